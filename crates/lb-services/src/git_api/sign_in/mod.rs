//! Signing in: with a browser at the git host (OAuth 2), or with a personal access token of it. Whoever is signed in gets
//! tokens of ten minutes, each for one audience, which say who it is and nothing of what it may do.
//!
//! ```text
//! client ── GET /login?redirect_uri&state&code_challenge ─► git host ─► GET /login/callback ─► redirect_uri?code&state
//! client ── POST /login/session {code, codeVerifier} ─► a session (hours)
//! client ── POST /login/token {audience}, with the session or login and token ─► a token (ten minutes)
//! ```
//!
//! Nothing is kept here: what has to come back is signed, and travels through the browser. Both halves of the way through
//! the browser are bound to whoever began them: ours by a cookie, the client's by its code verifier (RFC 7636).

mod redirect;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use lb_git::{GitHost, Login, SignIn};
use lb_http::auth::{Authenticator, Identity, MAX_LIFETIME, Signer, bearer, pkce};
use lb_http::contract::git_api::Permission;
use lb_http::error::{ApiError, code};
use lb_http::extract::{JsonBody, QueryOf};
use lb_http::serve::Origins;
use lb_vocab::{GitUser, Producer, Secret};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use url::Url;

use super::{AUDIENCE, Shared, access, errors};
use crate::{configstore, watcher};

/// What is sealed is for no producer: none has `/` in its name.
const SESSION: &str = "sign-in/session";
const STATE: &str = "sign-in/state";
const CODE: &str = "sign-in/code";
/// How long somebody may take at the git host.
const PATIENCE: Duration = Duration::from_mins(10);
/// From the way back to the session.
const CODE_LIFETIME: Duration = Duration::from_mins(1);
const COOKIE: &str = "lunchbadger-sign-in";

/// What signing in needs, where a key is there to sign with.
pub(super) struct Desk {
    signer: Signer,
    session_lifetime: Duration,
    /// Knows people by what the git host gave them.
    people: Authenticator,
    public_url: Option<Url>,
    origins: Origins,
}

/// How people sign in.
pub(super) struct Settings {
    pub(super) session_lifetime: Duration,
    pub(super) public_url: Option<Url>,
    pub(super) origins: Origins,
}

impl Desk {
    pub(super) fn new(signer: Signer, people: Authenticator, settings: Settings) -> Self {
        let Settings { session_lifetime, public_url, origins } = settings;
        Self { signer, session_lifetime, people, public_url, origins }
    }

    /// Whose token for a producer's APIs this is, and how far it reaches.
    pub(super) fn holder(&self, token: &Secret, producer: &Producer) -> Option<(Login, Permission)> {
        let audience = producer.to_string();
        // A token for us is no token for a producer that could be called so.
        if is_ours(&audience) {
            return None;
        }
        match self.signer.verifier(&audience).identify(token.reveal())? {
            Identity::User { login, reach } => Some((login.parse().ok()?, reach)),
            Identity::Anonymous | Identity::Pod { .. } | Identity::System { .. } | Identity::Operator => None,
        }
    }

    /// What others need to check the tokens that are issued here.
    pub(super) fn public_keys(&self) -> Result<String, ApiError> {
        self.signer.public_keys().pem().map_err(|error| internal(&error))
    }

    /// What was sealed for an audience, where it is whole and has not ended.
    fn open<T: DeserializeOwned>(&self, token: &Secret, audience: &str, longest: Duration) -> Option<T> {
        self.signer.verifier(audience).up_to(longest).open(token.reveal())
    }

    fn seal(&self, content: &impl Serialize, audience: &str, lifetime: Duration) -> Result<Secret, ApiError> {
        self.signer.seal(content, audience, lifetime).ok_or_else(|| internal(&"signing failed"))
    }

    /// Where the git host sends browsers back to.
    fn callback(&self) -> Result<Url, ApiError> {
        let unset = || unavailable("GIT_API_PUBLIC_URL is not set at git-api");
        let mut url = self.public_url.clone().ok_or_else(unset)?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["login", "callback"]);
        }
        Ok(url)
    }

    /// The cookie that binds the way through the browser to whoever began it.
    fn cookie(&self, value: &str, seconds: u64) -> Result<HeaderValue, ApiError> {
        let secure = self.public_url.as_ref().is_some_and(|url| url.scheme() == "https");
        let secure = if secure { "; Secure" } else { "" };
        // A proxy may serve us below a path of its own.
        let below = self.public_url.as_ref().map_or("", |url| url.path().trim_end_matches('/'));
        let cookie = format!(
            "{COOKIE}={value}; Path={below}/login; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
        );
        HeaderValue::from_str(&cookie).map_err(|error| internal(&error))
    }
}

/// Whether these are the platform's own tokens.
fn is_ours(audience: &str) -> bool {
    [AUDIENCE, configstore::AUDIENCE, watcher::AUDIENCE].contains(&audience)
}

fn unavailable(why: &str) -> ApiError {
    let message = format!("nobody can sign in here: {why}");
    ApiError::new(StatusCode::NOT_IMPLEMENTED, "SIGN_IN_UNAVAILABLE", message)
}

fn internal(error: &dyn std::fmt::Display) -> ApiError {
    tracing::error!(%error, "a sign-in failed");
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "a defect of this service: see its log")
}

pub(super) fn desk(app: &Shared) -> Result<&Desk, ApiError> {
    app.desk.as_ref().ok_or_else(|| unavailable("AUTH_SIGNING_KEY_FILE is not set at git-api"))
}

fn door(host: &Arc<dyn GitHost>) -> Result<&dyn SignIn, ApiError> {
    let why = "the git host has no sign-in for browsers, or GITEA_OAUTH_CLIENT_ID is not set at git-api; \
               sign in with a token of the git host";
    host.sign_in().ok_or_else(|| unavailable(why))
}

fn equal(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[derive(Deserialize)]
pub(super) struct Begin {
    redirect_uri: String,
    state: String,
    code_challenge: String,
    code_challenge_method: Option<String>,
}

/// What comes back with the browser.
#[derive(Serialize, Deserialize)]
struct Sent {
    /// Where the client waits.
    redirect: Url,
    /// The client's own state.
    state: String,
    /// The client's challenge.
    challenge: String,
    /// The challenge of the verifier that is in our cookie.
    own: String,
}

/// Sends a browser to the git host.
pub(super) async fn begin(
    State(app): State<Shared>,
    QueryOf(begin): QueryOf<Begin>,
) -> Result<Response, ApiError> {
    let Begin { redirect_uri, state, code_challenge, code_challenge_method } = begin;
    let (desk, door) = (desk(&app)?, door(&app.host)?);
    let redirect = redirect::checked(&redirect_uri, &desk.origins).map_err(ApiError::bad_request)?;
    if code_challenge_method.is_some_and(|method| method != "S256") || !pkce::is_challenge(&code_challenge) {
        return Err(ApiError::bad_request("`code_challenge` is an S256 challenge of RFC 7636"));
    }
    if state.len() > 512 {
        return Err(ApiError::bad_request("`state` has at most 512 bytes"));
    }
    let verifier = pkce::verifier().map_err(|error| internal(&error))?;
    let own = pkce::challenge(&verifier);
    let sent = Sent { redirect, state, challenge: code_challenge, own: own.clone() };
    let sealed = desk.seal(&sent, STATE, PATIENCE)?;
    let to = door.address(&desk.callback()?, sealed.reveal(), &own).map_err(errors::api)?;
    found(&to, desk.cookie(verifier.reveal(), PATIENCE.as_secs())?)
}

/// A redirect that no cache keeps and no page learns the address of.
fn found(to: &Url, cookie: HeaderValue) -> Result<Response, ApiError> {
    let to = HeaderValue::from_str(to.as_str()).map_err(|error| internal(&error))?;
    let headers = [
        (header::LOCATION, to),
        (header::SET_COOKIE, cookie),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    Ok((StatusCode::FOUND, headers).into_response())
}

#[derive(Deserialize)]
pub(super) struct Back {
    state: Secret,
    code: Option<Secret>,
    error: Option<String>,
}

/// What a code says.
#[derive(Serialize, Deserialize)]
struct Came {
    #[serde(flatten)]
    person: Person,
    challenge: String,
}

/// Somebody at the git host. A login may become somebody else's; its number does not.
#[derive(Serialize, Deserialize)]
struct Person {
    login: Login,
    person: u64,
}

/// The browser is back from the git host: it is sent on to the client, with a code for a session.
pub(super) async fn callback(
    State(app): State<Shared>,
    headers: HeaderMap,
    QueryOf(Back { state, code, error }): QueryOf<Back>,
) -> Result<Response, ApiError> {
    let (desk, door) = (desk(&app)?, door(&app.host)?);
    let stale = || {
        ApiError::bad_request("this sign-in was begun elsewhere, or more than ten minutes ago: begin it anew")
    };
    let sent: Sent = desk.open(&state, STATE, PATIENCE).ok_or_else(stale)?;
    let verifier = cookie(&headers).filter(|verifier| equal(&pkce::challenge(verifier), &sent.own));
    let verifier = verifier.ok_or_else(stale)?;
    let mut to = sent.redirect;
    let answer = match (code, error) {
        (Some(code), None) => {
            let callback = desk.callback()?;
            let _place = app.strangers.enter().await?;
            let login = door.signed_in(&callback, &code, &verifier).await.map_err(errors::api)?;
            let person = Person { person: person(&app, &login).await?.id, login };
            let came = Came { person, challenge: sent.challenge };
            ("code", desk.seal(&came, CODE, CODE_LIFETIME)?.reveal().clone())
        }
        // `access_denied`, mostly. Its text is the git host's: only its form is passed on.
        (_, Some(error)) => {
            ("error", error.chars().filter(|c| c.is_ascii_lowercase() || *c == '_').collect())
        }
        (None, None) => return Err(ApiError::bad_request("neither `code` nor `error` came back")),
    };
    to.query_pairs_mut().append_pair(answer.0, &answer.1).append_pair("state", &sent.state);
    found(&to, desk.cookie("", 0)?)
}

fn cookie(headers: &HeaderMap) -> Option<Secret> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
        .map(|value| Secret::new(value.to_owned()))
}

/// Whoever has this login now and may sign in.
async fn person(app: &Shared, login: &Login) -> Result<lb_git::User, ApiError> {
    app.host.person(login).await.map_err(errors::api)?.ok_or_else(ApiError::unauthenticated)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Redeemed {
    code: Secret,
    code_verifier: Secret,
}

/// The session of a code, for whoever began the sign-in.
pub(super) async fn session(
    State(app): State<Shared>,
    JsonBody(Redeemed { code, code_verifier }): JsonBody<Redeemed>,
) -> Result<Json<Value>, ApiError> {
    let desk = desk(&app)?;
    let came = desk.open(&code, CODE, CODE_LIFETIME).ok_or_else(ApiError::unauthenticated)?;
    let Came { person, challenge } = came;
    if !equal(&pkce::challenge(&code_verifier), &challenge) {
        return Err(ApiError::unauthenticated());
    }
    let session = desk.seal(&person, SESSION, desk.session_lifetime)?;
    tracing::info!(login = %person.login, "signed in");
    Ok(issued(&session, &person.login, desk.session_lifetime))
}

fn issued(token: &Secret, login: &Login, lifetime: Duration) -> Json<Value> {
    Json(json!({"token": token.reveal(), "login": login.as_str(), "expiresIn": lifetime.as_secs()}))
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    audience: String,
}

/// A token for one audience, for whoever is signed in: with a session, or with the git host's own credentials.
pub(super) async fn token(
    State(app): State<Shared>,
    headers: HeaderMap,
    JsonBody(Wanted { audience }): JsonBody<Wanted>,
) -> Result<Json<Value>, ApiError> {
    let desk = desk(&app)?;
    let SignedIn { login, reach, person: known } = signed_in(desk, &headers).await?;
    let person = person(&app, &login).await?;
    if known.is_some_and(|known| known != person.id) {
        return Err(ApiError::unauthenticated());
    }
    if !is_ours(&audience) {
        let producer: Producer = audience.parse().map_err(|_: lb_vocab::TextError| {
            let others = (configstore::AUDIENCE, watcher::AUDIENCE);
            let message =
                format!("`audience` is `{AUDIENCE}`, `{}`, `{}` or `<producer>-<env>`", others.0, others.1);
            ApiError::bad_request(message)
        })?;
        let owner = GitUser::of(app.prefix.clone(), producer.name());
        if access::permissions(&app, &owner, &login).await?.is_empty() {
            return Err(ApiError::forbidden());
        }
    }
    let who = Identity::User { login: login.to_string(), reach };
    let token =
        desk.signer.issue(&who, &audience, MAX_LIFETIME).ok_or_else(|| internal(&"signing failed"))?;
    Ok(issued(&token, &login, MAX_LIFETIME))
}

/// Who is signed in.
struct SignedIn {
    login: Login,
    /// How far the credentials reach.
    reach: Permission,
    /// Whose session it is, if it is one.
    person: Option<u64>,
}

async fn signed_in(desk: &Desk, headers: &HeaderMap) -> Result<SignedIn, ApiError> {
    let session = bearer(headers).and_then(|token| desk.open(&token, SESSION, desk.session_lifetime));
    if let Some(Person { login, person }) = session {
        return Ok(SignedIn { login, reach: Permission::Admin, person: Some(person) });
    }
    match desk.people.identify(headers).await? {
        Identity::User { login, reach } => {
            let login = login.parse().map_err(|_: lb_vocab::TextError| ApiError::forbidden())?;
            Ok(SignedIn { login, reach, person: None })
        }
        // Pods are not known here, whatever they show.
        Identity::Anonymous | Identity::Pod { .. } => Err(ApiError::unauthenticated()),
        Identity::System { .. } | Identity::Operator => {
            let message =
                "only git users get tokens here: show a session, or a login with a token of the git host";
            Err(ApiError::new(StatusCode::FORBIDDEN, code::FORBIDDEN, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use lb_http::auth::StaticTokens;
    use lb_vocab::settings::AuthMode;

    use super::*;

    /// A desk below this address, and what signs for it.
    fn desk(public_url: Option<&str>) -> (Desk, Signer) {
        let directory = tempfile::tempdir().unwrap();
        let clock = lb_testkit::clock::system();
        let signer = Signer::load_or_create(&directory.path().join("key"), "lb", clock).unwrap();
        let people = Authenticator::new(AuthMode::Tokens, StaticTokens::default());
        let settings = Settings {
            session_lifetime: Duration::from_hours(1),
            public_url: public_url.map(|url| url.parse().unwrap()),
            origins: Origins::Listed(Vec::new()),
        };
        (Desk::new(signer.clone(), people, settings), signer)
    }

    #[test]
    fn the_cookie_comes_back_to_the_callback() {
        for (public, callback, path, secure) in [
            ("https://x.io", "https://x.io/login/callback", "Path=/login;", true),
            ("https://x.io/git-api/", "https://x.io/git-api/login/callback", "Path=/git-api/login;", true),
            ("http://x.io/a/b", "http://x.io/a/b/login/callback", "Path=/a/b/login;", false),
        ] {
            let (desk, _) = desk(Some(public));
            assert_eq!(desk.callback().unwrap().as_str(), callback);
            let cookie = desk.cookie("v", 1).unwrap();
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.contains(path) && cookie.contains("; Secure") == secure, "{cookie}");
        }
    }

    #[test]
    fn a_token_for_the_platform_opens_no_producer_that_is_called_so() {
        let (desk, signer) = desk(None);
        for (audience, opens) in [("al-dev", true), (AUDIENCE, false)] {
            let token = signer.issue(&Identity::user("alice"), audience, MAX_LIFETIME).unwrap();
            let holder = desk.holder(&token, &audience.parse().unwrap());
            assert_eq!(holder.is_some(), opens, "{audience}");
        }
        for sealed in [SESSION, STATE, CODE] {
            assert!(sealed.parse::<Producer>().is_err(), "{sealed}");
        }
    }
}
