//! The one place that starts child processes: `git`, with an environment that holds nothing of ours.
//!
//! A child sees a fixed `PATH`, a home directory of its own, and one configuration file, which we wrote; neither the
//! machine's nor a person's configuration, no variable of ours, no terminal. Nothing that is secret is ever an
//! argument or a variable. Children end with us, have a deadline, and what they may print is bounded.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::error::HostError;

/// The oldest git that has all we use (`cat-file --batch-command`, `gc --cruft`, `core.fsync`).
const OLDEST: (u32, u32) = (2, 39);
/// Where programs are looked for.
const SEARCH_PATH: &str = "/usr/local/bin:/opt/homebrew/bin:/usr/bin:/bin";
/// The largest piece of memory that a child may ask for at once: a small pack can hold a huge tree or commit.
const MAX_ALLOCATION: u64 = 128 << 20;
/// How much of what a child complains about is kept, bytes.
const MAX_COMPLAINT: usize = 4096;
/// How long a child that was told to end may clean up after itself.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How `git` is run.
#[derive(Clone, Debug)]
pub struct Git {
    program: PathBuf,
    home: PathBuf,
}

/// Why a child was not waited for any longer, or did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    /// It could not be started, or talked to.
    #[error("git cannot be run")]
    Io(#[from] io::Error),
    /// It was too slow and was ended.
    #[error("git took longer than {} s", .0.as_secs())]
    Slow(Duration),
    /// It printed more than it may and was ended.
    #[error("git printed more than {0} bytes")]
    Verbose(usize),
    /// It failed; with its last words.
    #[error("{1} ({0})")]
    Failed(ExitStatus, String),
}

impl ProcessError {
    /// The error of a host, with what was attempted.
    pub(crate) fn host(self, doing: impl Into<String>) -> HostError {
        match self {
            Self::Io(source) => HostError::Io { doing: format!("{}: run git", doing.into()), source },
            Self::Verbose(limit) => {
                HostError::TooLarge { what: format!("{}: the answer", doing.into()), limit: limit as u64 }
            }
            Self::Slow(_) | Self::Failed(..) => HostError::Git { doing: doing.into(), why: self.to_string() },
        }
    }
}

impl Git {
    /// Runs `program` (a path, or a name that is looked for in the usual directories) with `home` as its home
    /// directory, where the file `gitconfig` is its only configuration.
    #[must_use]
    pub fn new(program: &Path, home: &Path) -> Self {
        Self { program: found(program), home: home.to_owned() }
    }

    /// A `git` command that will run in `directory`, not started yet, with its standard streams closed.
    #[must_use]
    pub fn command(&self, directory: &Path) -> Command {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that clears the environment")]
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("PATH", SEARCH_PATH)
            .env("HOME", &self.home)
            .env("GIT_CONFIG_GLOBAL", self.home.join("gitconfig"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_ATTR_NOSYSTEM", "1")
            // An id means its own content, whatever `refs/replace/` says of it.
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOC_LIMIT", MAX_ALLOCATION.to_string())
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// A command on the bare repository at `directory`, which is not looked for anywhere else.
    pub(crate) fn in_repository(&self, directory: &Path) -> Command {
        let mut command = self.command(directory);
        command.env("GIT_DIR", ".");
        command
    }

    /// Fails where git is missing or too old.
    pub(crate) async fn check(&self) -> Result<(), HostError> {
        let doing = format!("look at {}", self.program.display());
        let mut command = self.command(Path::new("/"));
        command.arg("version");
        let output = run(command, 1000, Duration::from_secs(10)).await.map_err(|error| error.host(&doing))?;
        let text = String::from_utf8_lossy(&output);
        match version(&text) {
            Some(found) if found >= OLDEST => Ok(()),
            Some(_) | None => Err(HostError::refused(format!(
                "git {}.{} or newer is needed; {} says `{}`",
                OLDEST.0,
                OLDEST.1,
                self.program.display(),
                text.trim()
            ))),
        }
    }
}

/// Where a program is. A name that has to be looked for costs a copy of our page tables for each child, and failed
/// attempts to run it; with a path the standard library can do without. What is not found stays a name: starting it
/// says so.
fn found(program: &Path) -> PathBuf {
    let names_a_file = program.components().count() > 1;
    let mut places = SEARCH_PATH.split(':').map(|directory| Path::new(directory).join(program));
    let place = if names_a_file { None } else { places.find(|place| place.is_file()) };
    place.unwrap_or_else(|| program.to_owned())
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("git version ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.trim().parse().ok()?))
}

/// Runs a command to its end and returns what it printed, at most `max` bytes of it.
pub(crate) async fn run(mut command: Command, max: usize, limit: Duration) -> Result<Vec<u8>, ProcessError> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let work = async {
        let (output, complaint) = tokio::join!(read_bounded(stdout, max), complaint(stderr));
        let status = child.wait().await?;
        Ok::<_, ProcessError>((output?, complaint, status))
    };
    let Ok(done) = timeout(limit, work).await else {
        end(&mut child).await;
        return Err(ProcessError::Slow(limit));
    };
    let (output, complaint, status) = done?;
    if output.len() > max {
        return Err(ProcessError::Verbose(max));
    }
    if status.success() { Ok(output) } else { Err(ProcessError::Failed(status, complaint)) }
}

/// Ends a child: asks it first, so that git removes its lock files and temporary packs.
pub(crate) async fn end(child: &mut Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended by itself meanwhile; it is waited for below either way.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    if timeout(LAST_WORDS, child.wait()).await.is_err() {
        // `kill` waits, too; its only error is that there is nothing left to kill.
        let _ = child.kill().await;
    }
}

/// What a child complains about, printable and short.
pub(crate) async fn complaint(stderr: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stderr) = stderr else { return String::new() };
    let mut kept = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(count) = stderr.read(&mut buffer).await {
        if count == 0 {
            break;
        }
        let room = MAX_COMPLAINT.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(&buffer[..room]);
    }
    printable(&String::from_utf8_lossy(&kept))
}

/// One line of at most 500 characters without control characters.
pub(crate) fn printable(text: &str) -> String {
    let text: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.chars().take(500).collect()
}

/// Reads up to one byte more than `max`, and lets go of the pipe then, at which git ends.
async fn read_bounded(pipe: Option<impl AsyncRead + Unpin>, max: usize) -> io::Result<Vec<u8>> {
    let mut output = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(max as u64 + 1).read_to_end(&mut output).await?;
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(home: &Path) -> Git {
        Git::new(Path::new("git"), home)
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("git version 2.39.5"), Some((2, 39)));
        assert_eq!(version("git version 2.50.1 (Apple Git-155)"), Some((2, 50)));
        assert_eq!(version("git version 3.0\n"), Some((3, 0)));
        assert_eq!(version("hello"), None);
    }

    #[tokio::test]
    async fn a_child_sees_nothing_of_our_environment() {
        let home = tempfile::tempdir().unwrap();
        let mut command = git(home.path()).command(home.path());
        command.args(["-c", "alias.env=!env", "env"]);
        let output =
            String::from_utf8(run(command, 100_000, Duration::from_secs(10)).await.unwrap()).unwrap();
        let mut names: Vec<&str> = output.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        names.retain(|name| !name.starts_with("GIT_") && !["_", "PWD", "OLDPWD", "SHLVL"].contains(name));
        names.sort_unstable();
        assert_eq!(names, ["HOME", "LC_ALL", "PATH", "TZ"]);
        assert!(output.contains(&format!("HOME={}\n", home.path().display())));
    }

    #[tokio::test]
    async fn a_child_that_prints_too_much_takes_too_long_or_fails_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let alias = |script: &str| {
            let mut command = git(home.path()).command(home.path());
            command.arg("-c").arg(format!("alias.x=!{script}")).arg("x");
            command
        };
        let second = Duration::from_secs(10);
        assert!(matches!(run(alias("yes"), 1000, second).await, Err(ProcessError::Verbose(1000))));
        assert!(matches!(
            run(alias("tail -f /dev/null"), 1000, Duration::from_millis(50)).await,
            Err(ProcessError::Slow(_))
        ));
        let failed = run(alias("printf 'oh\\nno\\033[0m' >&2; exit 3 #"), 1000, second).await.unwrap_err();
        assert!(failed.to_string().starts_with("oh no [0m"), "{failed}");
    }

    #[tokio::test]
    async fn an_old_or_missing_git_is_named() {
        let home = tempfile::tempdir().unwrap();
        assert!(git(home.path()).check().await.is_ok());
        let missing = Git::new(Path::new("/nonexistent/git"), home.path()).check().await.unwrap_err();
        assert!(missing.to_string().contains("/nonexistent/git"), "{missing}");
    }
}
