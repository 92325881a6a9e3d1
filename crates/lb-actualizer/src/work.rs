//! The workers: take a key, run its driver, and say when the key wants to be worked on again.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lb_cluster::{ApiError, Retry};
use lb_vocab::with_causes;
use rand::Rng;

use crate::context::{Context, Key, Next};
use crate::queue::{Class, Run};
use crate::{child, producer};

/// Waits after failures are doubled each time, up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Failures of each key since its last success.
#[derive(Debug)]
pub(crate) struct Failures {
    first_wait: Duration,
    counts: Mutex<HashMap<Key, u32>>,
}

impl Failures {
    /// None yet; the first is followed by this wait.
    pub(crate) fn new(first_wait: Duration) -> Self {
        Self { first_wait, counts: Mutex::default() }
    }

    fn wait(&self, key: &Key) -> Duration {
        let mut failures = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(key.clone()).or_default();
        let wait = self.first_wait.saturating_mul(1 << (*count).min(6)).min(LONGEST_WAIT);
        *count += 1;
        // Whoever failed together is not tried again together.
        wait.mul_f64(rand::rng().random_range(0.5..1.0))
    }

    fn forget(&self, key: &Key) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// Works until the queue is closed.
pub(crate) async fn work(context: Arc<Context>, failures: Arc<Failures>) {
    while let Some(key) = context.dispatch.queue.take().await {
        context.metrics.waiting(context.dispatch.queue.depth().0);
        let begin = Instant::now();
        let (controller, result) = run(&context, &key).await;
        let label = match &result {
            Ok(_) => "ok",
            Err(failure) => failure.name,
        };
        context.metrics.ran(controller, label, begin.elapsed());
        let run = result.as_ref().map_or(Run::Worked, |(_, run)| *run);
        again(&context, &failures, &key, result.map(|(next, _)| next));
        context.dispatch.queue.done(&key, run);
    }
}

/// A driver's failure, as far as the worker cares.
struct Failure {
    name: &'static str,
    retry: Retry,
    error: Box<dyn Error + Send + Sync>,
}

impl Failure {
    fn new(name: &'static str, retry: Retry, error: impl Error + Send + Sync + 'static) -> Self {
        Self { name, retry, error: Box::new(error) }
    }
}

async fn run(context: &Context, key: &Key) -> (&'static str, Result<(Next, Run), Failure>) {
    match key {
        Key::Producer(name) => {
            let done = producer::reconcile(context, name).await;
            let done = done.map(|next| (next, Run::Worked));
            ("producer", done.map_err(|error| Failure::new(error.name(), error.retry(), error)))
        }
        Key::Child(child) => {
            context.requests.begun(child);
            let done = child::reconcile(context, child).await;
            // What moved under a run is looked at once more, at once, before it counts.
            let moved = done.as_ref().is_err_and(|error| error.retry() == Retry::Soon);
            if !moved && let Some(producer) = context.requests.ended(child) {
                context.dispatch.queue.nudge(Key::Producer(producer), Class::Interactive);
            }
            let done = done.map(|run| (Next::Settled, run));
            ("child", done.map_err(|error| Failure::new(error.name(), error.retry(), error)))
        }
        Key::Orphans(uid) => {
            let done = orphans(context, *uid).await;
            let done = done.map(|next| (next, Run::Worked));
            ("orphans", done.map_err(|error| Failure::new(error.name(), error.retry(), error)))
        }
    }
}

/// Removes what a child controlled that is gone: explicitly, because a cluster's garbage collector may be slow.
async fn orphans(context: &Context, uid: lb_cluster::Uid) -> Result<Next, ApiError> {
    if context.stores.owner(uid).is_some() {
        return Ok(Next::Settled);
    }
    let pruned = context.cluster.prune_orphans(&context.records, uid).await?;
    if pruned.remaining == 0 {
        context.dispatch.departed(uid);
    }
    Ok(Next::Settled)
}

fn again(context: &Context, failures: &Failures, key: &Key, result: Result<Next, Failure>) {
    let queue = &context.dispatch.queue;
    match result {
        Ok(Next::Settled) => failures.forget(key),
        Ok(Next::After(wait)) => {
            failures.forget(key);
            queue.nudge_after(key.clone(), Class::Resync, wait);
        }
        Ok(Next::Retry) => queue.nudge_after(key.clone(), Class::Resync, failures.wait(key)),
        Err(Failure { retry, error, .. }) => {
            let wait = match retry {
                Retry::Soon => Some(Duration::ZERO),
                Retry::Backoff => Some(failures.wait(key)),
                Retry::After(wait) => Some(wait),
                Retry::Never => None,
            };
            match retry {
                Retry::Soon => tracing::debug!(?key, error = with_causes(error.as_ref()), "again"),
                Retry::Backoff | Retry::After(_) | Retry::Never => {
                    tracing::warn!(?key, error = with_causes(error.as_ref()), again_in = ?wait, "not done");
                }
            }
            if let Some(wait) = wait {
                queue.nudge_after(key.clone(), Class::Resync, wait);
            }
        }
    }
}
