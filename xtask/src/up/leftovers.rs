//! What an earlier `up` left on this machine, where it could not clean up itself.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use lb_testkit::node;

use crate::say::say;

/// A file that marks a directory as ours: nothing else is ever emptied.
const MARK: &str = "lunchbadger-up";

/// What `up` starts. With `unshare` end containerd, kubelet and all containers.
const PROGRAMS: [&str; 11] = [
    "contour",
    "coredns",
    "envoy",
    "etcd",
    "gitea",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "lunchbadger",
    "unshare",
];

/// The right to a directory, of one `up` or `down` at a time. The operating system ends it, however we end.
#[derive(Debug)]
pub(super) struct Claim {
    path: PathBuf,
    _locked: File,
}

impl Claim {
    /// Takes the right to `directory`, whether it is there or not.
    pub(super) fn to(directory: &Path) -> Result<Self> {
        let mut path = directory.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let make = || {
            fs::create_dir_all(directory.parent().unwrap_or(directory))?;
            File::create(&path)
        };
        loop {
            let file = make().with_context(|| format!("create {}", path.display()))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => bail!(
                    "`cargo xtask up` runs in {}: Ctrl-C there ends it, --data-dir takes another directory",
                    directory.display()
                ),
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("lock {}", path.display()));
                }
            }
            // Who had it before us removes the file: then others would lock a new one.
            let there = file.metadata().with_context(|| format!("look at {}", path.display()))?.nlink() > 0;
            if there {
                return Ok(Self { path, _locked: file });
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // An empty file that stays does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// Kills processes that were started with a path in `directory`, and removes the directory.
pub(super) fn remove(directory: &Path) -> Result<()> {
    for (process, program) in processes_of(directory)? {
        say(&format!("ending {program} (process {process}) of an earlier run"));
        // It may have ended by itself meanwhile.
        let _ = Command::new("kill").args(["-KILL", &process.to_string()]).status();
    }
    // What a node changed on this machine is outside of the directory.
    if !node::clean()? {
        say("a node of another `cargo xtask up` or of a test runs on this machine: it is left alone");
    }
    if !directory.exists() {
        return Ok(());
    }
    if !directory.join(MARK).exists()
        && fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
    {
        bail!(
            "{} is not empty and was not made by `cargo xtask up`: name another directory",
            directory.display()
        );
    }
    fs::remove_dir_all(directory).with_context(|| format!("remove {}", directory.display()))
}

/// Makes the directory and marks it as ours.
pub(super) fn mark(directory: &Path) -> Result<()> {
    let make = || {
        fs::create_dir_all(directory)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
        fs::write(directory.join(MARK), "made by `cargo xtask up`, removed by `cargo xtask down`\n")
    };
    make().with_context(|| format!("make {}", directory.display()))
}

/// Processes with an argument in `directory`, but us.
fn processes_of(directory: &Path) -> Result<Vec<(u32, String)>> {
    let mut found = Vec::new();
    let inside = format!("{}/", directory.display());
    for entry in fs::read_dir("/proc").context("list processes")?.flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line).into_owned();
        let mut arguments = line.split('\0');
        let program = arguments.next().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned();
        let ours = arguments.any(|argument| {
            argument.split_once('=').map_or(argument, |(_, value)| value).starts_with(&inside)
        });
        if process != std::process::id() && ours && PROGRAMS.contains(&program.as_str()) {
            found.push((process, program));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_of_ours_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let (ours, foreign) = (directory.path().join("ours"), directory.path().join("foreign"));
        mark(&ours).unwrap();
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("thesis.txt"), "").unwrap();
        remove(&ours).unwrap();
        assert!(!ours.exists());
        assert!(remove(&foreign).unwrap_err().to_string().contains("was not made by"));
        assert!(foreign.join("thesis.txt").exists());
    }

    #[test]
    fn a_directory_is_claimed_once_and_nothing_stays_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let up = directory.path().join("up");
        let claim = Claim::to(&up).unwrap();
        assert!(Claim::to(&up).unwrap_err().to_string().contains("--data-dir"));
        drop(claim);
        drop(Claim::to(&up).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_process_is_known_by_a_path_in_its_arguments() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        // Waits for its standard input, called `etcd`, with an argument that it does not look at.
        let start = |argument: String| {
            let mut command = Command::new("sh");
            std::os::unix::process::CommandExt::arg0(&mut command, "etcd");
            command.args(["-c", "read -r _", &argument]).stdin(std::process::Stdio::piped()).spawn().unwrap()
        };
        let mut ours = start(format!("--data-dir={}/etcd", data.display()));
        let mut foreign = start(format!("--data-dir={}-other/etcd", data.display()));
        remove(&data).unwrap();
        assert!(!ours.wait().unwrap().success());
        assert_eq!(foreign.try_wait().unwrap(), None);
        foreign.kill().unwrap();
        foreign.wait().unwrap();
    }
}
