//! From `git push` to objects, on real parts: the `lunchbadger` binary, git, an API server with its controllers.
#![expect(clippy::expect_used, clippy::panic, reason = "a test reports by failing")]

mod drift;
mod faults;
mod gitea;
mod hostile;
mod identity;
mod lifecycle;
mod operation;
mod project;
mod proxy;
mod reconcile;
mod template;
mod watcher;
mod world;

use std::sync::Arc;

use tokio::sync::OnceCell;
use world::World;

/// The world that most tests share; each has producers of its own.
pub(crate) async fn shared() -> Arc<World> {
    static SHARED: OnceCell<Arc<World>> = OnceCell::const_new();
    SHARED.get_or_init(|| World::start(&[])).await.clone()
}
