//! The repository at the git host, over smart HTTP with the real `git`.
//!
//! Guarantees: a token stands in one file that only we can read, as long as the transfer takes that shows it; never in an
//! argument, a variable, a URL or a message. A push moves the branch only from where we believe it stands.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use lb_vocab::{CommitId, Secret};
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;
use url::Url;

use super::WorkingError;
use crate::bare::refs;
use crate::names::RefName;
use crate::process::{Git, complaint, end, run};

/// How long a first clone may take.
const FETCH: Duration = Duration::from_secs(15 * 60);
const LISTING: Duration = Duration::from_secs(30);
const MAX_LISTING: usize = 1 << 20;
const MAX_REPORT: u64 = 64 << 10;
/// Where a fetch puts what it found.
const FETCHED: &str = "refs/lunchbadger/fetched";

/// A token to show, asked for before every transfer: mounted tokens are replaced while we run. `Ok(None)`: none is needed.
pub type Token = Arc<dyn Fn() -> Result<Option<Secret>, io::Error> + Send + Sync>;

/// What a push came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It is there.
    Done,
    /// The branch stands elsewhere than we believed: fetch, then try again.
    Moved,
}

/// The repository at the git host. Clones are the same; one transfer runs at a time.
#[derive(Clone)]
pub struct Remote {
    git: Git,
    repository: PathBuf,
    home: PathBuf,
    url: Url,
    token: Token,
    turn: Arc<Mutex<()>>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({})", self.url)
    }
}

/// The file that shows a token; gone when this is dropped.
struct Shown(PathBuf);

impl Drop for Shown {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Remote {
    pub(super) fn new(git: Git, repository: &Path, home: &Path, url: Url, token: Token) -> Self {
        let (repository, home) = (repository.to_owned(), home.to_owned());
        // What a process that was killed left.
        let _ = fs::remove_file(home.join(super::SHOWN));
        Self { git, repository, home, url, token, turn: Arc::default() }
    }

    /// Where the branch stands at the host, with everything it leads to; `None`: the host has no such branch, and `empty`
    /// tells whether it has any reference at all.
    ///
    /// # Errors
    /// Where the host does not answer or lets us not.
    pub async fn fetch(&self) -> Result<Fetched, WorkingError> {
        let doing = format!("fetch {}", self.url);
        let _turn = self.turn.lock().await;
        let _shown = self.show(&doing)?;
        let mut command = self.git.in_repository(&self.repository);
        command.args(["ls-remote", "--quiet", "--refs", self.url.as_str()]);
        let listed = run(command, MAX_LISTING, LISTING).await.map_err(WorkingError::remote(&doing))?;
        let listed = String::from_utf8_lossy(&listed);
        let master = RefName::master();
        let at = listed
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .find(|(_, name)| *name == master.as_str());
        let Some((at, _)) = at else {
            return Ok(if listed.trim().is_empty() { Fetched::Unborn } else { Fetched::NoBranch });
        };
        let at: CommitId = at.parse().map_err(|error| WorkingError::broken(&doing, error))?;
        if self.known(&at).await {
            return Ok(Fetched::At(at));
        }
        let mut command = self.git.in_repository(&self.repository);
        command
            .args([
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-write-fetch-head",
                "--no-auto-maintenance",
                "--refmap=",
            ])
            .arg(self.url.as_str())
            .arg(format!("+{master}:{FETCHED}"));
        run(command, MAX_LISTING, FETCH).await.map_err(WorkingError::remote(&doing))?;
        let fetched: RefName = FETCHED.parse().map_err(|error| WorkingError::broken(&doing, error))?;
        let found = refs::resolve(&self.repository, &fetched).map_err(WorkingError::io(&doing))?;
        found.map(Fetched::At).ok_or_else(|| WorkingError::broken(doing, "what was fetched is not there"))
    }

    /// Whether a commit is here with its directories: it was fetched or made here.
    async fn known(&self, commit: &CommitId) -> bool {
        let mut command = self.git.in_repository(&self.repository);
        command.args([
            "rev-list",
            "--quiet",
            "--objects",
            "--max-count=1",
            "--end-of-options",
            commit.as_str(),
        ]);
        run(command, 4096, LISTING).await.is_ok()
    }

    /// Moves the branch at the host from `expected` (`None`: it is not there) to a commit that is here.
    ///
    /// # Errors
    /// Where the host does not answer, or refuses for another reason than that the branch moved.
    pub async fn push(
        &self,
        commit: &CommitId,
        expected: Option<&CommitId>,
        limit: Duration,
    ) -> Result<Pushed, WorkingError> {
        let expected = expected.map_or("", CommitId::as_str);
        let master = RefName::master();
        self.send(&format!("--force-with-lease={master}:{expected}"), commit, &master, limit).await
    }

    /// Makes a branch at the host of a commit that is here.
    ///
    /// # Errors
    /// Where the host does not answer or refuses.
    pub async fn push_branch(
        &self,
        commit: &CommitId,
        branch: &RefName,
        limit: Duration,
    ) -> Result<(), WorkingError> {
        match self.send("--no-force", commit, branch, limit).await? {
            Pushed::Done => Ok(()),
            Pushed::Moved => Err(WorkingError::Unreachable {
                doing: format!("push {branch} to {}", self.url),
                why: "a branch of this name is there already".to_owned(),
            }),
        }
    }

    async fn send(
        &self,
        how: &str,
        commit: &CommitId,
        to: &RefName,
        limit: Duration,
    ) -> Result<Pushed, WorkingError> {
        let doing = format!("push {} to {}", commit.short(), self.url);
        let _turn = self.turn.lock().await;
        let _shown = self.show(&doing)?;
        let mut command = self.git.in_repository(&self.repository);
        command
            .args(["push", "--porcelain", "--no-verify", "--no-signed", how, self.url.as_str()])
            .arg(format!("{commit}:{to}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(WorkingError::io(&doing))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let work = async {
            let mut report = String::new();
            let read = async {
                if let Some(stdout) = stdout {
                    stdout.take(MAX_REPORT).read_to_string(&mut report).await?;
                }
                Ok::<_, io::Error>(())
            };
            let (read, complaint) = tokio::join!(read, complaint(stderr));
            read?;
            Ok::<_, io::Error>((child.wait().await?, report, complaint))
        };
        let unreachable = |why: String| WorkingError::Unreachable { doing: doing.clone(), why };
        let Ok(done) = tokio::time::timeout(limit, work).await else {
            end(&mut child).await;
            return Err(unreachable(format!("git took longer than {} s", limit.as_secs())));
        };
        let (status, report, complaint) = done.map_err(WorkingError::io(&doing))?;
        if status.success() {
            return Ok(Pushed::Done);
        }
        // What the host itself refuses ("remote rejected") does not get better by fetching.
        match report.lines().find(|line| line.starts_with('!')) {
            Some(line) if line.contains("[rejected]") => Ok(Pushed::Moved),
            Some(line) => Err(unreachable(crate::process::printable(line))),
            None => Err(unreachable(complaint)),
        }
    }

    /// Lets git show the token while a transfer runs.
    fn show(&self, doing: &str) -> Result<Option<Shown>, WorkingError> {
        let token = (self.token)().map_err(WorkingError::io(format!("{doing}: read the token")))?;
        let Some(token) = token else { return Ok(None) };
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '#' | ';');
        if token.reveal().is_empty() || !token.reveal().chars().all(plain) {
            return Err(WorkingError::NoToken { doing: doing.to_owned() });
        }
        let path = self.home.join(super::SHOWN);
        let write = || {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            write!(file, "[http]\n\textraHeader = \"Authorization: Bearer {}\"\n", token.reveal())
        };
        write().map_err(WorkingError::io(format!("{doing}: show the token to git")))?;
        Ok(Some(Shown(path)))
    }
}

/// What is at the git host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The branch stands here, and everything that it leads to is in the clone.
    At(CommitId),
    /// The repository has no reference at all.
    Unborn,
    /// The repository has references, and this branch is not among them.
    NoBranch,
}
