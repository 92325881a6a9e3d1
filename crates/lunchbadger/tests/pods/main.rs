//! A producer's life on real pods: a node with kubelet and containerd, the built images, Envoy in front, and the `lunchbadger`
//! binary beside them. It takes root; `cargo xtask test` builds the images and hands them on.
#![expect(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test reports by failing")]

mod host;
mod hostile;
mod killed;
mod life;
mod misbehaving;
mod producer;
mod start;
mod world;

use std::sync::Arc;

use lb_testkit::skip;
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};
use world::World;

/// The world that all tests share, as a machine has one node; where none can run, `None`, and the test is noted as skipped.
pub(crate) async fn shared() -> Option<Arc<World>> {
    static SHARED: OnceCell<Arc<World>> = OnceCell::const_new();
    let images = skip::needs_pods()?;
    Some(SHARED.get_or_init(|| World::start(images)).await.clone())
}

/// Whether tests run beside each other: one that measures runs alone.
static TURN: RwLock<()> = RwLock::const_new(());

/// The turn of a test that measures, until it is dropped.
pub(crate) async fn alone() -> RwLockWriteGuard<'static, ()> {
    TURN.write().await
}

/// The turn of any other test, until it is dropped.
pub(crate) async fn together() -> RwLockReadGuard<'static, ()> {
    TURN.read().await
}
