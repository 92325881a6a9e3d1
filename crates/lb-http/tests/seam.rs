//! What stands around every handler: authorisation, time, panics, the envelope.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test reports by failing")]

use std::sync::Arc;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Request, StatusCode, header};
use futures::future::BoxFuture;
use lb_http::auth::{Authenticator, Guard, Identity, Rule, StaticTokens};
use lb_http::error::ApiError;
use lb_http::metrics::Metrics;
use lb_http::route::Seam;
use lb_http::serve::{Common, Origins};
use lb_vocab::settings::AuthMode;
use tower::ServiceExt;

/// Allows what the name in the path says, fails for `broken`.
struct Named;

impl Guard for Named {
    fn allows<'a>(
        &'a self,
        rule: Rule,
        who: &'a Identity,
        _: &'a Parts,
        parameters: &'a [(String, String)],
    ) -> BoxFuture<'a, Result<bool, ApiError>> {
        Box::pin(async move {
            assert!(rule != Rule::System && *who != Identity::Anonymous, "decided before anybody is asked");
            match parameters.iter().find(|(key, _)| key == "name").map(|(_, name)| name.as_str()) {
                Some("broken") => Err(ApiError::new(StatusCode::BAD_GATEWAY, "BROKEN", "no answer")),
                Some(name) => Ok(*who == Identity::user(name)),
                None => Ok(false),
            }
        })
    }
}

async fn panics() -> &'static str {
    panic!("hunter2")
}

async fn hangs() -> &'static str {
    std::future::pending().await
}

async fn fine(axum::Extension(who): axum::Extension<Identity>) -> String {
    who.to_string()
}

mod service {
    use super::{fine, hangs, panics};

    lb_http::routes! { ();
        GET "/panics" System panics, "never";
        GET "/hangs" System hangs, "never";
        GET "/system" System fine, "who";
        GET "/of/{name}" Owner fine, "who";
        ANY "/any/{name}" Owner fine, "who";
    }

    pub(crate) fn all(seam: &lb_http::route::Seam) -> axum::Router {
        router(seam)
    }
}

fn app() -> axum::Router {
    let file = tempfile::NamedTempFile::new().unwrap();
    let tokens = "token-of-the-system,actualizer,system\ntoken-of-the-user-al,al,user\n";
    std::fs::write(file.path(), tokens).unwrap();
    let tokens = StaticTokens::read(file.path()).unwrap();
    let seam = Seam::new(Authenticator::new(AuthMode::Tokens, tokens), Arc::new(Named));
    let origins = Origins::parse(&["https://ui.example.com".to_owned()]).unwrap();
    let routes = service::all(&seam);
    Common { seam, metrics: Metrics::default(), ready: Arc::new(|| vec!["git".into()]), origins }.wrap(routes)
}

async fn ask(method: &str, path: &str, token: Option<&str>) -> (u16, String, axum::http::HeaderMap) {
    let mut request = Request::builder().method(method).uri(path).header("origin", "https://ui.example.com");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer token-of-the-{token}"));
    }
    let response = app().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    (parts.status.as_u16(), String::from_utf8(body.to_vec()).unwrap(), parts.headers)
}

#[tokio::test]
async fn a_route_is_behind_its_rule() {
    for (method, path, token, status) in [
        ("GET", "/system", None, 401),
        ("GET", "/system", Some("nobody"), 401),
        ("GET", "/system", Some("user-al"), 403),
        ("GET", "/system", Some("system"), 200),
        ("GET", "/of/al", None, 401),
        ("GET", "/of/al", Some("user-al"), 200),
        ("GET", "/of/bob", Some("user-al"), 403),
        ("GET", "/of/bob", Some("system"), 200),
        ("GET", "/of/broken", Some("user-al"), 502),
        ("GET", "/of/%ff", Some("user-al"), 403),
        ("DELETE", "/any/al", Some("user-al"), 200),
        ("DELETE", "/any/al", None, 401),
        ("HEAD", "/of/al", None, 401),
        ("POST", "/of/al", None, 405),
        ("GET", "/metrics", None, 401),
        ("GET", "/live", None, 200),
        ("GET", "/ready", None, 503),
    ] {
        let (got, body, _) = ask(method, path, token).await;
        assert_eq!(got, status, "{method} {path} {token:?}: {body}");
    }
    assert_eq!(ask("GET", "/of/al", Some("user-al")).await.1, "user al");
    assert!(ask("GET", "/ready", None).await.1.contains("waiting for git"));
}

#[tokio::test]
async fn a_panic_is_a_500_in_the_envelope_that_says_nothing() {
    let (status, body, headers) = ask("GET", "/panics", Some("system")).await;
    assert!(status == 500 && body.contains("\"INTERNAL\"") && !body.contains("hunter2"), "{body}");
    assert_eq!(headers["access-control-allow-origin"], "https://ui.example.com");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_begin_in_time_is_a_504() {
    let (status, body, _) = ask("GET", "/hangs", Some("system")).await;
    assert!(status == 504 && body.contains("\"TIMEOUT\""), "{body}");
}
