//! The clone and the git host: saves are pushed, and what others pushed is taken over.
//!
//! One round at a time. Which commits are ours is decided by their ids; who says that something happened carries no data.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use lb_git::RefName;
use lb_git::working::{
    Fetched, Integrated, NewCommit, Pushed, Remote, StageError, WorkingCopy, WorkingError,
};
use lb_vocab::{Clock, CommitId, Producer, TextError, Timestamp, with_causes};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::app::{App, AppRequest};
use super::starter;
use super::status::{Board, moment};
use super::store::{Gone, Store};

/// One push at most.
const PUSH: Duration = Duration::from_secs(60);
/// A branch of displaced saves, for which other saves wait.
const DISPLACE: Duration = Duration::from_secs(15);
/// Pushes that are tried again at once because the branch moved.
const TRIES: usize = 5;
/// From one failed round to the next: twice as long each time, up to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// What the last pushes get at the end of the process.
const LAST: Duration = Duration::from_secs(20);
/// Commits that were pushed lately.
const SENT: usize = 256;

/// Says that the git host may have something new. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nudge {
    wanted: Arc<Notify>,
    sent: Arc<Mutex<VecDeque<CommitId>>>,
}

impl Nudge {
    /// Something may have happened.
    pub(crate) fn look(&self) {
        self.wanted.notify_one();
    }

    /// The branch is said to stand at this commit.
    pub(crate) fn moved_to(&self, commit: &str) {
        let ours = self
            .sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .any(|sent| sent.as_str() == commit);
        if !ours {
            self.look();
        }
    }

    fn sends(&self, commit: &CommitId) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if sent.len() >= SENT {
            sent.pop_front();
        }
        sent.push_back(commit.clone());
    }
}

/// Why a round did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SyncError {
    /// The clone or the git host.
    #[error(transparent)]
    Working(#[from] WorkingError),
    /// The repository lost its branch.
    #[error("the branch master is gone at the git host: push it there again, or remove the clone")]
    NoBranch,
    /// The branch moved again and again.
    #[error("the branch moves faster than it can be followed")]
    Restless,
    /// A name of ours is none.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The writer ended.
    #[error("the workspace is ending")]
    Gone,
}

impl From<Gone> for SyncError {
    fn from(Gone: Gone) -> Self {
        Self::Gone
    }
}

/// Makes what a clone always has, where it is missing: the last commit may be somebody else's.
pub(crate) type Complete = fn(&mut WorkingCopy, &Producer, Timestamp) -> Result<(), WorkingError>;

/// What keeps clone and git host together. Clones are the same.
#[derive(Clone)]
pub(crate) struct Sync {
    pub(crate) store: Store,
    pub(crate) remote: Remote,
    pub(crate) board: Board,
    pub(crate) app: App,
    pub(crate) nudge: Nudge,
    pub(crate) producer: Producer,
    /// Makes what such a clone always has.
    pub(crate) complete: Complete,
    pub(crate) clock: Clock,
    pub(crate) interval: Duration,
}

impl Sync {
    /// Pushes and fetches until `ending`, then pushes what is left.
    pub(crate) async fn run(self, ending: CancellationToken) {
        let mut seen = self.store.follow();
        let (mut pause, mut not_before) = (BACKOFF.0, Instant::now());
        let mut look = false;
        while !ending.is_cancelled() {
            let snapshot = seen.borrow_and_update().clone();
            let due = look || snapshot.unpushed > 0;
            tokio::select! {
                () = ending.cancelled() => break,
                () = self.nudge.wanted.notified(), if !look => {
                    look = true;
                    // Others' pushes do not wait for the next of ours, unless the host is failing.
                    if pause == BACKOFF.0 {
                        not_before = Instant::now();
                    }
                    continue;
                }
                changed = seen.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => break,
                },
                () = sleep_until(not_before), if due => {}
            }
            not_before = Instant::now() + self.interval;
            match self.round(look).await {
                Ok(()) => {
                    (pause, look) = (BACKOFF.0, false);
                    self.board.change(|facts| facts.problem = None);
                }
                Err(error) => {
                    self.fails(&error);
                    not_before = Instant::now() + pause;
                    pause = (pause * 2).min(BACKOFF.1);
                }
            }
        }
        self.finish().await;
    }

    fn fails(&self, error: &SyncError) {
        let problem = with_causes(error);
        tracing::warn!(error = problem, "the clone and the git host cannot be brought together");
        self.board.change(|facts| facts.problem = Some(problem));
    }

    /// Pushes what is left, as often as it takes.
    async fn finish(&self) {
        let last = async {
            while self.store.snapshot().unpushed > 0 {
                match self.round(false).await {
                    Ok(()) => {}
                    Err(error) => {
                        self.fails(&error);
                        tokio::time::sleep(BACKOFF.0).await;
                    }
                }
            }
        };
        if tokio::time::timeout(LAST, last).await.is_err() {
            let unpushed = self.store.snapshot().unpushed;
            tracing::error!(
                unpushed,
                "saves are left that the git host did not take: they are in the clone alone"
            );
        }
    }

    /// Takes over what others pushed where that is to be looked at, and pushes what is ours.
    async fn round(&self, look: bool) -> Result<(), SyncError> {
        if look {
            self.fetch().await?;
        }
        for _ in 0..TRIES {
            let snapshot = self.store.snapshot();
            let Some(head) = snapshot.head.clone().filter(|_| snapshot.unpushed > 0) else { return Ok(()) };
            self.nudge.sends(&head);
            match self.remote.push(&head, snapshot.upstream.as_ref(), PUSH).await? {
                Pushed::Done => {
                    let noted = self
                        .store
                        .work(move |copy| async move { copy.pushed(&head).map(|()| copy.tidying()) }.boxed());
                    if let Some(tidying) = noted.await?? {
                        tokio::spawn(tidying.run());
                    }
                    return Ok(());
                }
                Pushed::Moved => self.fetch().await?,
            }
        }
        Err(SyncError::Restless)
    }

    /// Takes over what is at the git host.
    pub(crate) async fn fetch(&self) -> Result<(), SyncError> {
        let commit = match self.remote.fetch().await? {
            Fetched::At(commit) => commit,
            // Nothing was ever there: our first push makes it.
            Fetched::Unborn if self.store.snapshot().upstream.is_none() => return Ok(()),
            Fetched::Unborn | Fetched::NoBranch => return Err(SyncError::NoBranch),
        };
        let (now, producer, complete) = (self.clock.now(), self.producer.clone(), self.complete);
        let (name, displaced) = displaced(now)?;
        let done = self.store.work(move |copy| {
            async move {
                let done = copy.integrate(&commit, &displaced, DISPLACE, now).await?;
                if done != Integrated::Ours {
                    complete(copy, &producer, now)?;
                }
                Ok::<_, WorkingError>(done)
            }
            .boxed()
        });
        match done.await?? {
            Integrated::Ours => {}
            Integrated::Theirs { lost } => {
                if !lost.is_empty() {
                    tracing::warn!(
                        files = lost.join(", "),
                        branch = name,
                        "somebody else's push displaced saves"
                    );
                }
                self.board.renew((!lost.is_empty()).then_some(name));
                let _asked = self.app.ask(AppRequest::Restart);
            }
        }
        Ok(())
    }

    /// Gives up what is not pushed, after pushing it to a branch of its own: the files become those of the git host.
    pub(crate) async fn reset(&self) -> Result<(), SyncError> {
        let Fetched::At(commit) = self.remote.fetch().await? else { return Err(SyncError::NoBranch) };
        let (now, producer, complete) = (self.clock.now(), self.producer.clone(), self.complete);
        let (name, displaced) = displaced(now)?;
        let done = self.store.work(move |copy| {
            async move {
                let given_up = copy.reset(&commit, &displaced, DISPLACE).await?;
                complete(copy, &producer, now)?;
                Ok::<_, WorkingError>(given_up)
            }
            .boxed()
        });
        let given_up = done.await??;
        self.board.renew((given_up > 0).then_some(name));
        // A push of our own may have been under way: then the host has more than this.
        self.nudge.look();
        Ok(())
    }
}

fn displaced(now: Timestamp) -> Result<(String, RefName), TextError> {
    let name = format!("lunchbadger/displaced/{}", moment(now));
    let reference = format!("refs/heads/{name}").parse()?;
    Ok((name, reference))
}

/// Makes what a workspace always has: the starter project in an empty repository, and the project file.
pub(crate) fn complete(
    copy: &mut WorkingCopy,
    producer: &Producer,
    now: Timestamp,
) -> Result<(), WorkingError> {
    let unborn = copy.head()?.is_none();
    let mut changes = if unborn { starter::project().unwrap_or_default() } else { Vec::new() };
    match (starter::blank_project(copy.tree(), producer), starter::PROJECT_FILE.parse()) {
        (Ok(Some(content)), Ok(path)) => changes.push((path, Some(content))),
        (Ok(None), _) | (_, Err(_)) => {}
        // It is shown to whoever reads the project, and is theirs to mend.
        (Err(error), _) => tracing::warn!(%error, "the project file is left as it is"),
    }
    if changes.is_empty() {
        return Ok(());
    }
    let what = if unborn { "workspace" } else { "project" };
    let commit = NewCommit { message: format!("LunchBadger: Changes in {what}"), author: None, changes };
    match copy.stage(commit, now) {
        Ok(_) => copy.flush(),
        Err(StageError::Working(error)) => Err(error),
        Err(error) => {
            tracing::warn!(%error, "the project file cannot be made");
            Ok(())
        }
    }
}
