//! The git server's push webhook. What it says is not believed: its address names a repository, and the secret of that
//! repository alone signs for it; then git-api looks at what happened there.

use axum::Json;
use axum::extract::{Request, State};
use hmac::Mac;
use http::HeaderMap;
use lb_http::contract::configstore::Hooks;
use lb_http::contract::hook::{self, keyed};
use lb_http::error::ApiError;
use lb_http::extract::read_pieces;
use lb_vocab::{GitUser, Prefix, RepoName};
use serde_json::{Value, json};

use super::Shared;

/// The largest webhook that is read, bytes. One that is larger is lost, as one that never came: the sweep sees the push.
const LIMIT: usize = 1 << 20;

/// Nothing of the body is kept: it is signed, and what it says is not used.
pub(super) async fn hook(
    State(app): State<Shared>,
    headers: HeaderMap,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let named = request.uri().query().and_then(hook::repository);
    let checked = check(&app, named.as_deref(), &headers, request).await;
    let (user, repo) = checked.inspect_err(|_| app.deliveries.refuse(named.as_deref()))?;
    app.repairs.heard(&user, &repo);
    app.deliveries.accept(user, repo);
    Ok(Json(json!({"ok": true})))
}

/// The repository that a delivery signs for.
async fn check(
    app: &Shared,
    named: Option<&str>,
    headers: &HeaderMap,
    request: Request,
) -> Result<(GitUser, RepoName), ApiError> {
    let key = app.hook_key.as_ref().ok_or_else(ApiError::forbidden)?;
    let signature = hook::signature(headers).ok_or_else(ApiError::unauthenticated)?;
    let named = named.ok_or_else(ApiError::unauthenticated)?;
    let repository = repository(&app.prefix, named).ok_or_else(ApiError::unauthenticated)?;
    let mut mac = keyed(&key.secret(named));
    read_pieces(request, LIMIT, |piece| mac.update(piece)).await?;
    // Compared in constant time.
    mac.verify_slice(&signature).map_err(|_| ApiError::unauthenticated())?;
    Ok(repository)
}

/// A repository of a producer.
fn repository(prefix: &Prefix, named: &str) -> Option<(GitUser, RepoName)> {
    let (login, repo) = named.split_once('/')?;
    let user = GitUser::from_login(prefix, login)?;
    user.producer().ok()?;
    Some((user, repo.parse().ok()?))
}

/// What deliveries came since the start, and which webhooks were repaired.
pub(super) async fn hooks(State(app): State<Shared>) -> Json<Hooks> {
    Json(Hooks { deliveries: app.deliveries.counted(), repairs: app.repairs.told() })
}
