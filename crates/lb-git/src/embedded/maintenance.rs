//! Keeping repositories small and quick: `git gc`, one repository at a time, after pushes that left many files behind
//! and at no other time.

use std::sync::Arc;
use std::time::Duration;

use super::Inner;
use super::repository::{Target, Usage};
use crate::error::HostError;
use crate::files::blocking;
use crate::process::run;

/// How long it may take; what is not done then is tried after a later push.
const WHOLE: Duration = Duration::from_secs(15 * 60);
/// Packs that are left alone.
const PACKS: usize = 20;

impl Inner {
    /// What a repository takes up.
    pub(super) async fn usage(&self, target: &Target) -> Result<Usage, HostError> {
        let directory = target.directory.clone();
        blocking(move || {
            Usage::of(&directory).map_err(HostError::io(format!("measure {}", directory.display())))
        })
        .await
    }

    /// Measures a repository that was pushed to, and starts maintenance where it has grown untidy.
    pub(super) async fn maintain_where_needed(self: &Arc<Self>, target: &Target) {
        let usage = match self.usage(target).await {
            Ok(usage) => usage,
            Err(error) => {
                tracing::warn!(repository = target.name(), %error, "a repository cannot be measured");
                return;
            }
        };
        if let Ok(mut known) = target.live.pushing.try_lock() {
            *known = Some(usage);
        }
        if (usage.loose > self.settings.loose_objects || usage.packs > PACKS) && target.live.maintain() {
            let (inner, target) = (Arc::clone(self), target.clone());
            self.tasks.spawn(async move {
                tokio::select! {
                    done = inner.maintain(&target) => if let Err(error) = done {
                        tracing::warn!(repository = target.name(), %error, "maintenance gave up");
                    },
                    () = inner.cancelled.cancelled() => {}
                }
                target.live.maintained();
            });
        }
    }

    /// Packs what is loose. Objects that nothing leads to stay for two weeks: a push that runs meanwhile may need
    /// them.
    pub(super) async fn maintain(&self, target: &Target) -> Result<(), HostError> {
        let doing = || format!("tidy {}", target.name());
        let _one =
            self.gates.maintenance.acquire().await.map_err(|error| HostError::malformed(doing(), error))?;
        let _tidying = target.live.tidying.lock().await;
        let mut command = self.git.in_repository(&target.directory);
        command.args(["gc", "--quiet", "--cruft", "--prune=2.weeks.ago"]);
        run(command, 4096, WHOLE).await.map_err(|error| error.host(doing()))?;
        Ok(())
    }
}
