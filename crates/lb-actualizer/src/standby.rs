//! What a replica does whether or not it leads: health, metrics, and a name of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures::future::BoxFuture;
use lb_cluster::Leadership;
use lb_http::auth::{AuthError, AuthSettings, Guard, Identity, Rule};
use lb_http::error::ApiError;
use lb_http::route::Seam;
use lb_http::serve::{Common, Origins};
use lb_vocab::Clock;

use crate::context::Context;
use crate::upstream;

/// How long runs under way may take to end.
pub(crate) const DRAIN: Duration = Duration::from_secs(15);
/// The ConfigMap that says how git-api and the configstore are, in the control plane's namespace.
const STATUS: &str = "lunchbadger-status";
/// The audience of tokens for this role.
const AUDIENCE: &str = "actualizer";

/// A name for this replica that no other has.
pub(crate) fn holder() -> String {
    let number: u64 = rand::random();
    format!("actualizer-{number:016x}")
}

/// Nobody but the platform itself may use the routes that are not public.
struct Denied;

impl Guard for Denied {
    fn allows<'a>(
        &'a self,
        _: Rule,
        _: &'a Identity,
        _: &'a http::request::Parts,
        _: &'a [(String, String)],
    ) -> BoxFuture<'a, Result<bool, ApiError>> {
        Box::pin(async { Ok(false) })
    }
}

/// `/live`, `/ready`, `/metrics`.
pub(crate) fn app(
    context: &Arc<Context>,
    leadership: &Leadership,
    auth: &AuthSettings,
    clock: &Clock,
) -> Result<Router, AuthError> {
    let seam = Seam::new(auth.authenticator(AUDIENCE, clock)?, Arc::new(Denied));
    let (of, leadership) = (context.clone(), leadership.clone());
    let ready = Arc::new(move || waiting(&of, &leadership));
    let metrics = context.metrics.registry.clone();
    let common = Common { seam, metrics, ready, origins: Origins::Listed(Vec::new()) };
    Ok(common.wrap(Router::new()))
}

/// What is still waited for. A standby is ready once its watches are: it only waits to lead.
fn waiting(context: &Context, leadership: &Leadership) -> Vec<String> {
    let mut waiting = context.stores.waiting();
    if waiting.is_empty() {
        waiting = context.records.waiting();
    }
    if leadership.is_leader() {
        waiting.extend(context.upstream.waiting());
    }
    waiting
}

/// Writes down how the services are that we read from, whenever that turns.
pub(crate) async fn note_upstream(context: Arc<Context>) {
    let namespace = context.settings.desired.control_plane.namespace.to_string();
    loop {
        let words = context.upstream.words();
        let changed = context.upstream.changed.notified();
        let Err(error) = note(&context, &namespace, &words).await else {
            changed.await;
            continue;
        };
        tracing::warn!(%error, "the state of git-api and the configstore was not written down");
        // Otherwise the old state would be read there until the next turn, which may be weeks away.
        drop(tokio::time::timeout(context.settings.retry_wait, changed).await);
    }
}

async fn note(
    context: &Context,
    namespace: &str,
    words: &BTreeMap<String, String>,
) -> Result<(), lb_cluster::ApiError> {
    let standing = context.cluster.read_config(namespace, STATUS).await?;
    let (data, version) = standing.map(|config| (config.data, Some(config.version))).unwrap_or_default();
    let mut words = words.clone();
    for (service, words) in &mut words {
        // A restart is no news: it must not write where nothing changed.
        if let Some(noted) = data.get(service).filter(|noted| !upstream::is_news(noted, words)) {
            words.clone_from(noted);
        }
    }
    if data != words {
        context.cluster.write_config(namespace, STATUS, &words, version).await?;
    }
    Ok(())
}
