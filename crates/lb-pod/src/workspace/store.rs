//! The files of the clone, and the one place in which they change.
//!
//! A save is a pure function of the files as they are when its turn comes, which says what changes or refuses: nothing can
//! come between the look and the write. Saves that wait for the disk together are written together, each as its own commit.
//!
//! Guarantees: a save that was answered survives a crash; one that was refused changed nothing; who reads after an answer
//! reads what was saved.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures::future::BoxFuture;
use http::StatusCode;
use lb_git::working::{NewCommit, Person, StageError, WorkingCopy, WorkingError};
use lb_http::error::{ApiError, code};
use lb_vocab::{Clock, CommitId, Timestamp, Tree};
use tokio::sync::{mpsc, oneshot, watch};

use super::starter::Changes;
use super::status::Board;

/// Jobs that wait at most; more callers wait for a place.
const WAITING: usize = 256;
/// Saves that are written together.
const BATCH: usize = 64;

/// What a save does.
pub(crate) struct Edit<T> {
    /// What is changed, for the commit's message: `LunchBadger: Changes in <what>`.
    pub(crate) what: String,
    /// Files with their whole new contents; `None` removes one. What is as it was makes no commit.
    pub(crate) changes: Changes,
    /// What the caller is answered.
    pub(crate) answer: T,
}

/// The clone at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// The commit that the files are those of.
    pub(crate) head: Option<CommitId>,
    /// Where the branch stands at the git host, as far as is known.
    pub(crate) upstream: Option<CommitId>,
    /// The files.
    pub(crate) tree: Arc<Tree>,
    /// Commits that are not at the git host.
    pub(crate) unpushed: usize,
}

type Finish = Box<dyn FnOnce(Result<(), ApiError>) + Send>;
type Save = Box<dyn FnOnce(&mut WorkingCopy, Timestamp) -> Finish + Send>;
type Work = Box<dyn for<'c> FnOnce(&'c mut WorkingCopy) -> BoxFuture<'c, ()> + Send>;

enum Job {
    Save(Save),
    Work(Work),
}

/// The files, for whoever reads and changes them. Clones are the same.
#[derive(Clone)]
pub(crate) struct Store {
    jobs: mpsc::Sender<Job>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
}

/// Does the jobs; it is to be run once.
pub(crate) struct Writer {
    copy: Box<WorkingCopy>,
    jobs: mpsc::Receiver<Job>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    board: Board,
    clock: Clock,
}

/// The writer has ended: the process is ending, or has a defect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone;

impl From<Gone> for ApiError {
    fn from(Gone: Gone) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ENDING", "the workspace is ending").retry_after(5)
    }
}

/// A store over a clone, and what does its work.
pub(crate) fn open(copy: WorkingCopy, board: Board, clock: Clock) -> (Store, Writer) {
    let (sender, jobs) = mpsc::channel(WAITING);
    let (snapshot, receiver) = watch::channel(Arc::new(look(&copy)));
    let store = Store { jobs: sender, snapshot: receiver };
    let writer = Writer { copy: Box::new(copy), jobs, snapshot, board, clock };
    writer.publish();
    (store, writer)
}

/// What is seen of a clone.
fn look(copy: &WorkingCopy) -> Snapshot {
    Snapshot {
        head: copy.head().unwrap_or_default(),
        upstream: copy.upstream().unwrap_or_default(),
        tree: Arc::clone(copy.tree()),
        unpushed: copy.unpushed(),
    }
}

impl Store {
    /// The clone as it is now.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.borrow())
    }

    /// Follows the clone.
    pub(crate) fn follow(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.clone()
    }

    /// Saves what `edit` makes of the files, as one commit by `author`; answers when it is on disk. `edit` runs alone: it
    /// compares what it must with what stands there.
    pub(crate) async fn save<T: Send + 'static>(
        &self,
        author: Option<Person>,
        edit: impl FnOnce(&Arc<Tree>) -> Result<Edit<T>, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (answer, answered) = oneshot::channel();
        let save: Save = Box::new(move |copy, now| {
            let staged = stage(copy, author, edit, now);
            Box::new(move |flushed| {
                // Whoever asked may have gone away; it is saved all the same.
                let _ = answer.send(staged.and_then(|value| flushed.map(|()| value)));
            })
        });
        self.jobs.send(Job::Save(save)).await.map_err(|_| Gone)?;
        answered.await.map_err(|_| Gone)?
    }

    /// Does something with the clone while nobody saves.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut WorkingCopy) -> BoxFuture<'c, T> + Send + 'static,
    ) -> Result<T, Gone> {
        let (answer, answered) = oneshot::channel();
        let work: Work = Box::new(move |copy| {
            let done = work(copy);
            Box::pin(async move {
                let _ = answer.send(done.await);
            })
        });
        self.jobs.send(Job::Work(work)).await.map_err(|_| Gone)?;
        answered.await.map_err(|_| Gone)
    }
}

fn stage<T>(
    copy: &mut WorkingCopy,
    author: Option<Person>,
    edit: impl FnOnce(&Arc<Tree>) -> Result<Edit<T>, ApiError>,
    now: Timestamp,
) -> Result<T, ApiError> {
    let tree = Arc::clone(copy.tree());
    // A defect in one edit must not end the writer for all.
    let edited = catch_unwind(AssertUnwindSafe(|| edit(&tree))).unwrap_or_else(|_| {
        let message = "a defect of this service: see its log";
        Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", message))
    });
    drop(tree);
    let Edit { what, changes, answer } = edited?;
    let message = format!("LunchBadger: Changes in {what}");
    copy.stage(NewCommit { message, author, changes }, now).map_err(|error| refused(&error))?;
    Ok(answer)
}

/// What a caller is told of a change that cannot be made.
fn refused(error: &StageError) -> ApiError {
    match error {
        StageError::NotADirectory { .. } | StageError::IsADirectory { .. } | StageError::NotAFile { .. } => {
            ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "FILE_REFUSED", error.to_string())
                .named("ValidationError")
        }
        StageError::Working(error) => failed(error),
    }
}

/// What a caller is told of a clone that does not do.
pub(crate) fn failed(error: &WorkingError) -> ApiError {
    tracing::error!(error = lb_vocab::with_causes(error), "the clone does not take a change");
    if error.is_full() {
        let message = "nothing was saved: the workspace's disk is full";
        return ApiError::new(StatusCode::INSUFFICIENT_STORAGE, code::TOO_LARGE, message);
    }
    let message = "nothing was saved: the workspace's clone does not take it";
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "CLONE", message)
}

impl Writer {
    /// Does jobs until nobody can ask any more.
    pub(crate) async fn run(mut self) -> Result<(), tokio::task::JoinError> {
        let mut next = None;
        loop {
            let job = match next.take() {
                Some(job) => job,
                None => match self.jobs.recv().await {
                    Some(job) => job,
                    None => return Ok(()),
                },
            };
            match job {
                Job::Work(work) => {
                    work(&mut self.copy).await;
                    self.publish();
                }
                Job::Save(first) => {
                    let mut saves = vec![first];
                    while saves.len() < BATCH
                        && next.is_none()
                        && let Ok(job) = self.jobs.try_recv()
                    {
                        match job {
                            Job::Save(save) => saves.push(save),
                            Job::Work(_) => next = Some(job),
                        }
                    }
                    self = self.write(saves).await?;
                }
            }
        }
    }

    async fn write(mut self, saves: Vec<Save>) -> Result<Self, tokio::task::JoinError> {
        let now = self.clock.now();
        let mut copy = self.copy;
        let work = move || {
            let finishes: Vec<Finish> = saves.into_iter().map(|save| save(&mut copy, now)).collect();
            let flushed = copy.flush().map_err(|error| failed(&error));
            (copy, finishes, flushed)
        };
        let (copy, finishes, flushed) = tokio::task::spawn_blocking(work).await?;
        self.copy = copy;
        self.publish();
        for finish in finishes {
            finish(flushed.clone());
        }
        Ok(self)
    }

    /// Shows what the clone is now; before anybody is answered.
    fn publish(&self) {
        let snapshot = look(&self.copy);
        self.board.change(|facts| facts.unpushed = snapshot.unpushed);
        self.snapshot.send_replace(Arc::new(snapshot));
    }
}
