//! Decode, plan and render of one producer: one job on a bounded blocking pool, so that a huge project costs one
//! thread for a moment and not everybody's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::Semaphore;

/// A job that did not end well.
#[derive(Debug, thiserror::Error)]
#[error("computing the plan broke off: {0}")]
pub(crate) struct JobError(String);

/// The bounded pool.
#[derive(Clone, Debug)]
pub(crate) struct Jobs(Arc<Semaphore>);

impl Jobs {
    /// A pool of at most `size` jobs at a time.
    #[must_use]
    pub(crate) fn new(size: usize) -> Self {
        Self(Arc::new(Semaphore::new(size.max(1))))
    }

    /// Runs a pure computation. A panic in it is that producer's error, not the process's end.
    ///
    /// # Errors
    /// Where the computation panicked, or the process is about to end.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JobError> {
        let permit = self.0.clone().acquire_owned().await.map_err(|error| JobError(error.to_string()))?;
        let ran = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            catch_unwind(AssertUnwindSafe(job))
        });
        match ran.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(panic)) => Err(JobError(words(panic.as_ref()))),
            Err(error) => Err(JobError(error.to_string())),
        }
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
}

#[cfg(test)]
mod tests {
    use super::Jobs;

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_pool_goes_on() {
        let jobs = Jobs::new(1);
        let error = jobs.run(|| -> u8 { panic!("at the {}", "disco") }).await.unwrap_err();
        assert!(error.to_string().contains("at the disco"));
        assert_eq!(jobs.run(|| 7).await.unwrap(), 7);
    }
}
