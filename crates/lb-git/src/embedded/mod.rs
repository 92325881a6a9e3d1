//! The embedded host: bare repositories in a data directory, driven by the real `git`.
//!
//! Guarantees: what a push was told is accepted is on disk, and in the stream of changes at the latest when the
//! directory is opened again. A crash at any moment leaves every record either old or new.
//! Assumptions: the directory is on a local file system and this process's alone (a lock file sees to it).
//! Caveats: webhooks are registered and never delivered, since the stream of changes does their work; there is no SSH,
//! though keys are checked and kept.

mod host;
mod maintenance;
mod receive;
mod records;
mod repository;
mod smart;
mod start;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use lb_vocab::{Clock, GitUser, Limits, RepoName};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::records::Store;
use self::repository::{Live, Share, Target};
use crate::directory::Lock;
use crate::error::{HostError, Kind};
use crate::files::blocking;
use crate::journal::Journal;
use crate::journal::What;
use crate::names::Login;
use crate::process::Git;
use crate::trees::Trees;
use crate::types::RefUpdate;

/// How an embedded host is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything is kept. Made if it does not exist.
    pub directory: PathBuf,
    /// The `git` program: a path, or a name that is looked for in the usual directories.
    pub git: PathBuf,
    /// Size of one push at most, bytes.
    pub push_bytes: u64,
    /// Size at which a repository takes no more pushes, bytes on disk.
    pub repository_bytes: u64,
    /// Contents of all files that one [`crate::GitHost::tree`] answers, bytes.
    pub tree_bytes: u64,
    /// Whether deleting `refs/heads/master` is refused, as Gitea refuses it for the default branch.
    pub keep_master: bool,
    /// Changes that can be asked for at least; older cursors start over.
    pub keep_changes: usize,
    /// Objects that are files of their own, beyond which a repository is packed after a push.
    pub loose_objects: usize,
}

impl Settings {
    /// The defaults, with this data directory.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let limits = Limits::default();
        Self {
            directory: directory.into(),
            git: PathBuf::from("git"),
            push_bytes: limits.push_bytes,
            repository_bytes: limits.repository_bytes,
            tree_bytes: 64 << 20,
            keep_master: true,
            keep_changes: 4096,
            loose_objects: 1000,
        }
    }
}

/// A git host in a data directory. Clones are the same host.
#[derive(Clone)]
pub struct Embedded(Arc<Inner>);

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Embedded({})", self.0.settings.directory.display())
    }
}

/// How much happens at a time; the rest waits a little and is sent away then. Each owner has a part of it alone
/// ([`Share`]).
#[derive(Debug)]
struct Gates {
    /// Pushes whose body is arriving.
    arriving: Arc<Semaphore>,
    /// Pushes that are taken in.
    taking: Arc<Semaphore>,
    /// Processes that run shortly.
    requests: Arc<Semaphore>,
    /// Processes that live as long as their client listens.
    fetches: Arc<Semaphore>,
    /// Maintenance.
    maintenance: Semaphore,
}

impl Default for Gates {
    fn default() -> Self {
        let gate = |turns| Arc::new(Semaphore::new(turns));
        let (arriving, taking, requests, fetches) = (gate(64), gate(8), gate(16), gate(64));
        Self { arriving, taking, requests, fetches, maintenance: Semaphore::new(1) }
    }
}

/// What requests share, made when the first one comes.
#[derive(Debug, Default)]
struct Shared {
    repositories: HashMap<(Login, RepoName), Arc<Live>>,
    owners: HashMap<Login, Arc<Share>>,
}

/// What all clones share.
struct Inner {
    settings: Settings,
    clock: Clock,
    git: Git,
    store: Store,
    journal: Arc<Journal>,
    shared: Mutex<Shared>,
    /// What the journal could not be told of, because it could not be written.
    lagging: Mutex<BTreeSet<(GitUser, Option<RepoName>)>>,
    gates: Gates,
    trees: Trees,
    tasks: TaskTracker,
    cancelled: CancellationToken,
    /// Held as long as the directory is ours.
    _lock: Lock,
}

impl Embedded {
    /// Opens a data directory, or makes one; waits for what a crash made necessary.
    ///
    /// # Errors
    /// `Refused` where another process has it open or git is too old; `Malformed` where a record is damaged or of a
    /// later version.
    pub async fn open(settings: Settings, clock: Clock) -> Result<Self, HostError> {
        Ok(Self(Arc::new(Inner::open(settings, clock).await?)))
    }

    /// Packs a repository's loose objects now, which otherwise happens after pushes that make it necessary.
    ///
    /// # Errors
    /// `NotFound`, or `Git` where it fails.
    pub async fn maintain(&self, user: &GitUser, repo: &RepoName) -> Result<(), HostError> {
        let target = self.0.target(user, repo)?;
        self.0.maintain(&target).await
    }
}

impl Inner {
    /// A repository that exists.
    fn target(&self, user: &GitUser, repo: &RepoName) -> Result<Target, HostError> {
        let login = self.login(user)?;
        self.store.repository(&login, repo, |_| ())?;
        let (live, share) = {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            let live = Arc::clone(shared.repositories.entry((login.clone(), repo.clone())).or_default());
            (live, Arc::clone(shared.owners.entry(login.clone()).or_default()))
        };
        let directory = self.store.git_directory(&login, repo);
        Ok(Target { user: user.clone(), login, repo: repo.clone(), directory, live, share })
    }

    /// The login of a user that exists.
    fn login(&self, user: &GitUser) -> Result<Login, HostError> {
        let not_found = || HostError::not_found(Kind::User, user);
        let login = Login::try_from(user).map_err(|_| not_found())?;
        let same = self.store.owner(&login, |owner| owner.record.user == *user)?;
        if same { Ok(login) } else { Err(not_found()) }
    }

    /// Forgets what the requests of repositories shared that are gone.
    fn forget(&self, gone: impl Fn(&Login, &RepoName) -> bool) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.repositories.retain(|(login, repo), _| !gone(login, repo));
        drop(shared);
        self.trees.forget(|user, repo| Login::try_from(user).is_ok_and(|login| gone(&login, repo)));
    }

    /// Where spooled bodies and things in the making are.
    fn scratch(&self) -> PathBuf {
        self.settings.directory.join("tmp")
    }

    /// Tells the journal where a repository's references point; answers what moved. The caller holds
    /// [`Live::pushing`]: an older look at the references must not come after a newer one.
    async fn observe(&self, target: &Target, actor: Option<&Login>) -> Result<Vec<RefUpdate>, HostError> {
        let (journal, now, actor) = (Arc::clone(&self.journal), self.clock.now(), actor.cloned());
        let (user, repo) = (target.user.clone(), target.repo.clone());
        let observed = match list(target).await {
            Ok(refs) => blocking(move || journal.observe(&user, &repo, &refs, actor.as_ref(), now)).await,
            Err(error) => Err(error),
        };
        if observed.is_err() {
            self.lagging(|lagging| lagging.insert((target.user.clone(), Some(target.repo.clone()))));
        }
        observed
    }

    /// Tells the journal which repositories of a user exist, and whether the user does.
    async fn settle(&self, user: &GitUser) -> Result<(), HostError> {
        let events = self.unsettled(user);
        let (journal, now) = (Arc::clone(&self.journal), self.clock.now());
        let settled = blocking(move || journal.note(events, now)).await;
        if settled.is_err() {
            self.lagging(|lagging| lagging.insert((user.clone(), None)));
        }
        settled
    }

    /// What the journal does not know of a user yet.
    fn unsettled(&self, user: &GitUser) -> Vec<(GitUser, Option<RepoName>, What)> {
        let exist: Option<BTreeSet<RepoName>> = self.login(user).ok().and_then(|login| {
            self.store.owner(&login, |owner| owner.repositories.keys().cloned().collect()).ok()
        });
        let known: Option<BTreeSet<RepoName>> =
            self.journal.known(|known| known.user(user).map(|user| user.repos.keys().cloned().collect()));
        let event = |repo: Option<&RepoName>, what| (user.clone(), repo.cloned(), what);
        let (exist, known, first, last) = match (exist, known) {
            (None, None) => return Vec::new(),
            (Some(exist), None) => (exist, BTreeSet::new(), Some(What::Created), None),
            (None, Some(known)) => (BTreeSet::new(), known, None, Some(What::Deleted)),
            (Some(exist), Some(known)) => (exist, known, None, None),
        };
        let mut events: Vec<_> = first.map(|what| event(None, what)).into_iter().collect();
        events.extend(exist.difference(&known).map(|repo| event(Some(repo), What::Created)));
        events.extend(known.difference(&exist).map(|repo| event(Some(repo), What::Deleted)));
        events.extend(last.map(|what| event(None, what)));
        events
    }

    /// Tells the journal what it could not be told before. Nobody is answered from it as long as it cannot be written:
    /// a change that is left out would be taken for none.
    async fn catch_up(&self) -> Result<(), HostError> {
        let mut behind = self.lagging(std::mem::take);
        while let Some((user, repo)) = behind.pop_first() {
            if let Err(error) = self.catch_up_with(&user, repo.as_ref()).await {
                behind.insert((user, repo));
                self.lagging(|lagging| lagging.append(&mut behind));
                return Err(error);
            }
        }
        Ok(())
    }

    async fn catch_up_with(&self, user: &GitUser, repo: Option<&RepoName>) -> Result<(), HostError> {
        self.settle(user).await?;
        let Some(target) = repo.and_then(|repo| self.target(user, repo).ok()) else { return Ok(()) };
        // A push that is taken in looks for itself when it is done, but one that is refused does not.
        let again =
            || self.lagging(|lagging| lagging.insert((target.user.clone(), Some(target.repo.clone()))));
        let Ok(_pushing) = target.live.pushing.try_lock() else {
            again();
            return Ok(());
        };
        if let Err(error) = list(&target).await {
            // One damaged repository does not stop the others' changes; what was known of it stays known.
            tracing::error!(repository = target.name(), %error, "a repository cannot be read");
            again();
            return Ok(());
        }
        self.observe(&target, None).await.map(drop)
    }

    fn lagging<T>(&self, work: impl FnOnce(&mut BTreeSet<(GitUser, Option<RepoName>)>) -> T) -> T {
        work(&mut self.lagging.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// All references of a repository.
async fn list(target: &Target) -> Result<crate::bare::refs::Refs, HostError> {
    let (directory, doing) = (target.directory.clone(), format!("read the references of {}", target.name()));
    blocking(move || crate::bare::refs::list(&directory).map_err(HostError::io(doing))).await
}

#[cfg(test)]
mod tests;
