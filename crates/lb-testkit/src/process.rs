//! Child processes that never outlive us.
//!
//! Every child runs under a small `sh` that holds the reading end of a pipe whose writing end only we have: when we
//! end in any way, `SIGKILL` included, the pipe closes and the child is killed. A parent-death signal would not do:
//! it fires when the *thread* that started the child ends, and each test has its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep};

use crate::Progress;

/// How long a process may take to answer. A start takes 5 seconds at most on an idle machine.
const START_DEADLINE: Duration = Duration::from_secs(180);

/// Starts `"$@"`; each line read from the pipe is a signal's name to send; at its end the child is killed.
const GUARD: &str = r#"
exec 3<&0 </dev/null
"$@" 3<&- &
child=$!
{ while read -r signal <&3; do kill -s "$signal" "$child"; done; kill -s KILL "$child"; } 2>/dev/null &
guard=$!
exec 3<&-
wait "$child"; code=$?
kill "$guard" 2>/dev/null
exit "$code"
"#;

/// Removes a directory when the pipe closes. What writes into it is killed at the same moment, hence twice.
const CLEANER: &str = r#"read -r _; rm -rf -- "$1" 2>/dev/null || { sleep 1; rm -rf -- "$1"; }"#;

/// A running child with its log file.
#[derive(Debug)]
pub struct Supervised {
    name: String,
    /// The file name of what runs.
    program: String,
    log: PathBuf,
    child: Child,
}

impl Supervised {
    /// Starts a program. It sees no environment but `PATH`, `HOME`, `TMPDIR` and `environment`, its standard output and error
    /// are appended to `log`.
    ///
    /// # Errors
    /// Where `log` cannot be opened or `sh` not started. That the program itself is missing shows in its log.
    pub fn start(
        program: &Path,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        environment: &BTreeMap<String, String>,
        log: &Path,
    ) -> Result<Self> {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("open the log {} of {name}", log.display()))?;
        let child = guarded(GUARD)
            .arg(program)
            .args(arguments.into_iter().map(Into::into))
            .envs(environment)
            .stdout(output.try_clone().context("duplicate a log's handle")?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("start sh, which starts {}", program.display()))?;
        Ok(Self { program: name.clone(), name, log: log.to_owned(), child })
    }

    /// Another name for messages: that of the program which the one that was started starts.
    #[must_use]
    pub fn called(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The program's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of the program itself, not of the `sh` that guards it.
    ///
    /// # Errors
    /// Where it has not begun yet or has ended.
    pub fn pid(&self) -> Result<u32> {
        let guard = self.child.id();
        let list = format!("/proc/{guard}/task/{guard}/children");
        let children = fs::read_to_string(&list).with_context(|| format!("read {list}"))?;
        let runs = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
            let program = Path::new(std::str::from_utf8(program).unwrap_or_default());
            program.file_name().is_some_and(|name| name.to_string_lossy() == self.program)
        };
        let mut children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        children
            .find(runs)
            .with_context(|| format!("{} is not among the processes {children:?}", self.program))
    }

    /// Its exit status where it has ended (128 + signal where one ended it).
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends a signal by its name without `SIG` (`TERM`, `INT`, `HUP`, `STOP`).
    ///
    /// # Errors
    /// Where the process has ended.
    pub fn signal(&mut self, signal: &str) -> Result<()> {
        let pipe = self.child.stdin.as_mut().context("the process was stopped")?;
        writeln!(pipe, "{signal}").with_context(|| format!("send {signal} to {}", self.name))
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// Lets it end in order, within ten seconds, and kills it then.
    pub async fn end(&mut self) {
        let end = Instant::now() + Duration::from_secs(10);
        let mut waiting = self.signal("TERM").is_ok();
        while waiting && Instant::now() < end {
            waiting = self.ended().is_none();
            sleep(Duration::from_millis(20)).await;
        }
        self.kill();
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&mut self) {
        drop(self.child.stdin.take());
        // It was killed; how it ended tells nothing.
        let _ = self.child.wait();
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Removes a directory when it is dropped, or when our process ends in any way.
#[derive(Debug)]
pub struct Cleaner(Child);

impl Cleaner {
    /// Takes care of `directory`.
    ///
    /// # Errors
    /// Where `sh` cannot be started.
    pub fn of(directory: &Path) -> Result<Self> {
        let child = guarded(CLEANER)
            .arg(directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("start sh, which cleans up {}", directory.display()))?;
        Ok(Self(child))
    }

    /// The named directory, which stays, or a temporary one that only we may read and that is taken care of.
    ///
    /// # Errors
    /// Where none can be made.
    pub fn named_or_temporary(named: Option<PathBuf>, prefix: &str) -> Result<(PathBuf, Option<Self>)> {
        if let Some(directory) = named {
            return Ok((directory, None));
        }
        let mode = fs::Permissions::from_mode(0o700);
        let directory = tempfile::Builder::new().prefix(prefix).permissions(mode).tempdir()?.keep();
        let cleaner = Self::of(&directory)?;
        Ok((directory, Some(cleaner)))
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Tries until it succeeds, says every five seconds what it waits for, and gives up where one of the processes has ended
/// or after three minutes.
///
/// # Errors
/// Where it gives up: what was waited for, and the end of the ended process's log or the last attempt's error.
pub async fn until<'a>(
    what: &str,
    processes: impl IntoIterator<Item = &'a mut Supervised>,
    progress: &Progress,
    attempt: impl AsyncFn() -> Result<()>,
) -> Result<()> {
    progress(&format!("waiting for {what}"));
    let mut processes: Vec<_> = processes.into_iter().collect();
    let begin = Instant::now();
    let mut said = begin;
    loop {
        let Err(error) = attempt().await else { return Ok(()) };
        for process in &mut processes {
            if let Some(status) = process.ended() {
                bail!(
                    "{} ended ({status}) while waiting for {what}:\n{}",
                    process.name(),
                    process.log_tail()
                );
            }
        }
        if begin.elapsed() > START_DEADLINE {
            return Err(error.context(format!("gave up after {START_DEADLINE:?} waiting for {what}")));
        }
        if said.elapsed() > Duration::from_secs(5) {
            progress(&format!("still waiting for {what}, {} s: {error:#}", begin.elapsed().as_secs()));
            said = Instant::now();
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// `sh` with a script and a piped standard input.
fn guarded(script: &str) -> Command {
    let mut command = bare(Path::new("sh"));
    command.args(["-c", script, "sh"]).stdin(Stdio::piped());
    command
}

/// A command without our environment but `PATH`, `HOME` and `TMPDIR`: tests behave alike whatever the shell has set,
/// proxies and kubeconfigs above all. It is in a process group of its own, so that Ctrl-C is ours to pass on.
#[must_use]
pub fn bare(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().process_group(0);
    for name in ["PATH", "HOME", "TMPDIR"] {
        if let Some(value) = crate::environment(name) {
            command.env(name, value);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventually_within;

    fn start(directory: &Path, script: &str) -> Supervised {
        Supervised::start(Path::new("sh"), ["-c", script], &BTreeMap::new(), &directory.join("log")).unwrap()
    }

    async fn ended(process: &mut Supervised) -> ExitStatus {
        let process = std::sync::Mutex::new(process);
        eventually_within("the process ends", Duration::from_secs(10), || {
            let status = process.lock().unwrap().ended();
            async move { status.ok_or("it runs") }
        })
        .await
    }

    #[tokio::test]
    async fn an_end_is_noticed_with_its_code_and_log() {
        let directory = tempfile::tempdir().unwrap();
        let mut process = start(directory.path(), "echo oh no >&2; exit 7");
        assert_eq!(ended(&mut process).await.code(), Some(7));
        assert_eq!(process.log_tail(), "oh no");
    }

    #[tokio::test]
    async fn a_program_is_known_by_its_number() {
        let directory = tempfile::tempdir().unwrap();
        let arguments = ["-f", "/dev/null"];
        let process =
            Supervised::start(Path::new("tail"), arguments, &BTreeMap::new(), &directory.path().join("log"))
                .unwrap();
        eventually_within("it has a number", Duration::from_secs(10), || {
            let pid = process.pid();
            async move { pid.map(|pid| assert!(Path::new(&format!("/proc/{pid}")).exists())) }
        })
        .await;
    }

    #[tokio::test]
    async fn a_signal_arrives_and_a_kill_kills_what_ignores_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut polite = start(directory.path(), "trap 'exit 3' TERM; echo up; while :; do :; done");
        eventually_within("it traps", Duration::from_secs(10), || {
            let up = polite.log_tail() == "up";
            async move { if up { Ok(()) } else { Err("not yet") } }
        })
        .await;
        polite.signal("TERM").unwrap();
        assert_eq!(ended(&mut polite).await.code(), Some(3));

        let mut rude = start(directory.path(), "trap '' TERM; exec tail -f /dev/null");
        rude.kill();
        assert!(rude.ended().is_some());
    }

    #[tokio::test]
    async fn a_directory_goes_with_its_cleaner() {
        let directory = tempfile::tempdir().unwrap().keep();
        fs::write(directory.join("file"), "x").unwrap();
        let cleaner = Cleaner::of(&directory).unwrap();
        assert!(directory.exists());
        drop(cleaner);
        assert!(!directory.exists());
    }
}
