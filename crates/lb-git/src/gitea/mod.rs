//! Gitea as git host, through its REST interface and git's smart HTTP.
//!
//! Guarantees: a listing is whole or an error; only Gitea's own 404 proves that something does not exist; what was renamed
//! or transferred is [`HostError::Moved`] and never followed. The admin's token goes to Gitea alone.
//! Assumptions: Gitea 1.24 or later with partial clones (its default), and a token of an administrator with all scopes.
//! Caveats: pushes through us reach Gitea as the administrator's; repositories with SHA-256 ids cannot be read.

mod api;
mod breaker;
mod hooks;
mod host;
mod observer;
mod pages;
mod proxy;
mod scratch;
mod sign_in;
mod statuses;
mod tokens;
mod upload;
mod wire;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lb_vocab::{Clock, GitUser, Limits, Prefix, RepoName, Secret};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use self::api::{Api, Ask, Failure};
use self::observer::Observer;
use crate::bare::refs::Refs;
use crate::directory::{self, Lock};
use crate::error::{HostError, Kind};
use crate::files::{self, blocking};
use crate::journal::Journal;
use crate::names::Login;
use crate::process::Git;
use crate::trees::Trees;

/// A token, and where it is had from.
#[derive(Clone, Debug)]
pub enum Token {
    /// Always this one.
    Fixed(Secret),
    /// A file's text, read anew for every request: mounted secrets are replaced while we run.
    File(PathBuf),
}

impl From<Secret> for Token {
    fn from(token: Secret) -> Self {
        Self::Fixed(token)
    }
}

impl Token {
    fn read(&self) -> Result<Secret, HostError> {
        match self {
            Self::Fixed(token) => Ok(token.clone()),
            Self::File(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(HostError::io(format!("read Gitea's token from {}", path.display())))?;
                Ok(Secret::new(text.trim().to_owned()))
            }
        }
    }
}

/// An OAuth 2 application of Gitea's, confidential, with which people sign in.
#[derive(Clone, Debug)]
pub struct OAuth {
    /// The application's id.
    pub client_id: String,
    /// The application's secret.
    pub client_secret: Token,
}

/// How a Gitea is reached and used.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its base URL; its REST interface is below `api/v1`.
    pub url: Url,
    /// Where people reach it, if that is elsewhere: what links begin with.
    pub public_url: Option<Url>,
    /// An administrator's token with all scopes.
    pub token: Token,
    /// Prefix of the git users whose changes are told.
    pub prefix: Prefix,
    /// Where the journal, scratch repositories and large requests are kept. Made if it does not exist; losing it costs
    /// time, nothing else.
    pub directory: PathBuf,
    /// The `git` program: a path, or a name that is looked for in the usual directories.
    pub git: PathBuf,
    /// Requests to Gitea at once.
    pub requests: usize,
    /// Answers of git that are passed on at once; who comes next waits for one to end.
    pub streams: usize,
    /// How long Gitea may take for one answer.
    pub timeout: Duration,
    /// Where people sign in with a browser.
    pub oauth: Option<OAuth>,
    /// Between two walks over all users and repositories, which notice what is gone.
    pub walk_interval: Duration,
    /// Size of one push at most, bytes.
    pub push_bytes: u64,
    /// Contents of all files that one [`crate::GitHost::tree`] answers, bytes.
    pub tree_bytes: u64,
    /// Changes that can be asked for at least; older cursors start over.
    pub keep_changes: usize,
}

impl Settings {
    /// Gitea's base URL as people reach it.
    fn for_people(&self) -> Url {
        self.public_url.as_ref().unwrap_or(&self.url).clone()
    }

    /// The defaults, for this Gitea and this data directory.
    #[must_use]
    pub fn new(url: Url, token: impl Into<Token>, prefix: Prefix, directory: impl Into<PathBuf>) -> Self {
        Self {
            url,
            public_url: None,
            token: token.into(),
            prefix,
            directory: directory.into(),
            git: PathBuf::from("git"),
            requests: 16,
            streams: 64,
            timeout: Duration::from_secs(10),
            oauth: None,
            walk_interval: Duration::from_mins(10),
            push_bytes: Limits::default().push_bytes,
            tree_bytes: 64 << 20,
            keep_changes: 4096,
        }
    }
}

/// A Gitea. Clones are the same.
#[derive(Clone)]
pub struct Gitea(Arc<Inner>);

impl fmt::Debug for Gitea {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gitea").field("url", &self.0.settings.url.as_str()).finish_non_exhaustive()
    }
}

/// What all clones share.
struct Inner {
    settings: Settings,
    clock: Clock,
    api: Api,
    git: Git,
    journal: Arc<Journal>,
    observer: Observer,
    /// Fetches that are streamed at once.
    streams: Arc<Semaphore>,
    trees: Trees,
    tasks: TaskTracker,
    cancelled: CancellationToken,
    /// Held as long as the directory is ours.
    _lock: Lock,
}

impl Gitea {
    /// Prepares to use a Gitea, which need not answer yet.
    ///
    /// # Errors
    /// `Refused` where another process uses the data directory or git is too old.
    pub async fn open(settings: Settings, clock: Clock) -> Result<Self, HostError> {
        let directory = settings.directory.clone();
        let lock = blocking(move || directory::take(&directory)).await?;
        let directory =
            std::fs::canonicalize(&settings.directory).map_err(HostError::io("find the data directory"))?;
        let git = Git::new(&settings.git, &directory.join("home"));
        git.check().await?;
        let api = Api::new(&settings, clock.clone())?;
        let keep = settings.keep_changes;
        let settings = Settings { directory: directory.clone(), ..settings };
        let journal = blocking(move || {
            files::empty(&directory.join("tmp"))?;
            Journal::open(&directory.join("gitea-journal"), keep)
        })
        .await?;
        let streams = Arc::new(Semaphore::new(settings.streams));
        Ok(Self(Arc::new(Inner {
            settings,
            clock,
            api,
            git,
            journal: Arc::new(journal),
            observer: Observer::default(),
            streams,
            trees: Trees::default(),
            tasks: TaskTracker::new(),
            cancelled: CancellationToken::new(),
            _lock: lock,
        })))
    }
}

impl Inner {
    /// Where every reference of a repository points.
    async fn references(&self, user: &GitUser, repo: &RepoName) -> Result<Refs, HostError> {
        let doing = format!("read the references of {user}/{repo}");
        let path = git_path(user, repo)?;
        match self.api.references(&doing, &path).await {
            Ok(refs) => Ok(refs),
            Err(Failure::Absent) => Err(self.missing(user, repo).await),
            Err(failure) => Err(failure.host(&doing)),
        }
    }

    /// Why git's interface says that there is no such repository: asked of the REST interface, whose 404 is a proof.
    async fn missing(&self, user: &GitUser, repo: &RepoName) -> HostError {
        match self.repository_body(user, repo).await {
            Ok(Some(_)) => HostError::malformed(
                format!("use {user}/{repo}"),
                "git finds no repository, but Gitea has one",
            ),
            Ok(None) => match self.user_body(user).await {
                Ok(Some(_)) => HostError::not_found(Kind::Repository, format!("{user}/{repo}")),
                Ok(None) => HostError::not_found(Kind::User, user),
                Err(error) => error,
            },
            Err(error) => error,
        }
    }

    async fn user_body(&self, user: &GitUser) -> Result<Option<wire::UserBody>, HostError> {
        match Login::try_from(user) {
            Ok(login) => self.body_of_user(&login).await,
            Err(_) => Ok(None),
        }
    }

    async fn body_of_user(&self, login: &Login) -> Result<Option<wire::UserBody>, HostError> {
        match self.api.ask(Ask::get(&["users", login.as_str()])).await {
            Ok(answer) => answer.object().map(Some),
            Err(Failure::Absent) => Ok(None),
            Err(failure) => Err(failure.host(&format!("git user `{login}`"))),
        }
    }

    async fn repository_body(
        &self,
        user: &GitUser,
        repo: &RepoName,
    ) -> Result<Option<wire::RepositoryBody>, HostError> {
        let Ok(login) = Login::try_from(user) else { return Ok(None) };
        match self.api.ask(Ask::get(&["repos", login.as_str(), repo.as_str()])).await {
            Ok(answer) => answer.object().map(Some),
            Err(Failure::Absent) => Ok(None),
            Err(failure) => Err(failure.host(&format!("repository `{login}/{repo}`"))),
        }
    }
}

/// Where git's interface has a repository.
fn git_path(user: &GitUser, repo: &RepoName) -> Result<Vec<String>, HostError> {
    let login = Login::try_from(user).map_err(|_| HostError::not_found(Kind::User, user))?;
    Ok(vec![login.to_string(), format!("{repo}.git")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_a_file_is_the_newest_and_a_missing_one_names_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let token = Token::File(path.clone());
        assert!(token.read().unwrap_err().to_string().contains("token"));
        for text in ["first", "second"] {
            std::fs::write(&path, format!("{text}\n")).unwrap();
            assert_eq!(token.read().unwrap().reveal(), text);
        }
    }
}
