//! What an ingress asks before it lets a request through to a producer's API: who sends it, and whether that user may.
//!
//! The request in question stands in headers: `X-Forwarded-Method`, `-Host` and `-Uri` (Traefik, Caddy), or
//! `X-Original-Method` and `X-Original-URL` (ingress-nginx); the user's token is in `Authorization`, as it was sent. The
//! answer is 200 with `X-Lunchbadger-User`, 401 or 403.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use lb_http::auth::bearer;
use lb_http::contract::apis::{self, Api};
use lb_http::error::{ApiError, code};
use lb_vocab::GitUser;
use url::Url;

use super::{Shared, errors, sign_in, wire};

/// Who was let through, for the API behind.
const USER: HeaderName = HeaderName::from_static("x-lunchbadger-user");

/// The request that an ingress asks about.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    method: Method,
    host: String,
    path: String,
}

/// What a header says; the inner `None`: it is not there. The outer one: it says several things, or no text.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<Option<&'a str>> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Some(None) };
    if values.next().is_some() { None } else { value.to_str().ok().map(Some) }
}

impl Asked {
    /// `None` where host and target are not what they are taken for: `@`, `#` or a missing `/` would move what is host.
    fn of(method: &str, host: &str, target: &str) -> Option<Self> {
        if host.contains(['@', '/', '\\', '?', '#']) || !target.starts_with('/') || target.contains('#') {
            return None;
        }
        let url: Url = format!("http://{host}/").parse().ok()?;
        let path = target.split('?').next().unwrap_or_default().to_owned();
        Some(Self { method: method.parse().ok()?, host: url.host_str()?.to_owned(), path })
    }
}

/// An ingress sets one kind of headers, and lets through what its client sends of the other kind: where both stand there,
/// they must say the same.
fn asked(headers: &HeaderMap) -> Option<Asked> {
    let text = |name: &str| only(headers, name);
    let original = match (text("x-original-method")?, text("x-original-url")?) {
        (Some(method), Some(url)) => {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
            let (host, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            Some(Asked::of(method, host, if target.is_empty() { "/" } else { target })?)
        }
        (None, _) | (_, None) => None,
    };
    let named = [text("x-forwarded-method")?, text("x-forwarded-host")?, text("x-forwarded-uri")?];
    let forwarded = match named {
        [Some(method), Some(host), Some(uri)] => Some(Asked::of(method, host, uri)?),
        [None, _, _] | [_, None, _] | [_, _, None] => None,
    };
    match (original, forwarded) {
        (Some(original), Some(forwarded)) => (original == forwarded).then_some(original),
        (original, forwarded) => original.or(forwarded),
    }
}

pub(super) async fn check(State(app): State<Shared>, headers: HeaderMap) -> Result<Response, ApiError> {
    let forbidden = |why: &str| ApiError::new(StatusCode::FORBIDDEN, code::FORBIDDEN, why);
    let Asked { method, host, path } = asked(&headers).ok_or_else(|| {
        ApiError::bad_request("which request is asked about? X-Forwarded-Method, -Host and -Uri say it, or X-Original-Method and -URL")
    })?;
    let path = apis::plain(&path).ok_or_else(|| forbidden("this path can be read in several ways"))?;
    let (api, producer) = Api::at(&host, &path, &app.domain)
        .ok_or_else(|| forbidden("nothing that users reach has this host and path"))?;
    // A browser's preflight carries no token, and its answer says nothing.
    if method == Method::OPTIONS {
        return Ok(StatusCode::OK.into_response());
    }
    let token = bearer(&headers).ok_or_else(ApiError::unauthenticated)?;
    let (login, reach) =
        sign_in::desk(&app)?.holder(&token, &producer).ok_or_else(ApiError::unauthenticated)?;
    let needs = apis::needs(api, &method, &path);
    let owner = GitUser::of(app.prefix.clone(), producer.name());
    let _place = app.limits.enter(&owner.to_string()).await?;
    let has = app.host.permission(&login, &owner, &api.repository()).await.map_err(errors::api)?;
    if has.is_some_and(|has| wire::from_host(has).min(reach) >= needs) {
        Ok((StatusCode::OK, [(USER, login.to_string())]).into_response())
    } else {
        Err(ApiError::forbidden())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Option<(String, String, String)> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        asked(&headers).map(|Asked { method, host, path }| (method.to_string(), host, path))
    }

    #[test]
    fn ingresses_say_in_two_ways_what_is_asked() {
        let expected =
            Some(("GET".into(), "internal-al-dev.x.io".into(), "/project-api/api/Projects/al-dev".into()));
        let uri = "/project-api/api/Projects/al-dev?filter=1";
        let forwarded = [
            ("x-forwarded-method", "GET"),
            ("x-forwarded-host", "internal-al-dev.x.io:8443"),
            ("x-forwarded-uri", uri),
        ];
        assert_eq!(of(&forwarded), expected);
        let original = format!("https://internal-al-dev.x.io{uri}");
        assert_eq!(of(&[("x-original-method", "GET"), ("x-original-url", &original)]), expected);
        assert_eq!(of(&forwarded[..2]), None);
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[forwarded[0], ("x-forwarded-host", "a b"), forwarded[2]]), None);
    }

    #[test]
    fn a_client_of_the_ingress_does_not_choose_what_is_asked_about() {
        let forwarded = [
            ("x-forwarded-method", "PATCH"),
            ("x-forwarded-host", "internal-al-dev.x.io"),
            ("x-forwarded-uri", "/project-api/x"),
        ];
        let with = |more: &[(&'static str, &'static str)]| of(&[&forwarded[..], more].concat());
        let same = [
            ("x-original-method", "PATCH"),
            ("x-original-url", "https://internal-al-dev.x.io/project-api/x?y"),
        ];
        assert_eq!(with(&same), of(&forwarded));
        assert_eq!(with(&[same[0]]), of(&forwarded), "half of the other kind says nothing");
        for more in [
            [("x-original-method", "GET"), same[1]],
            [same[0], ("x-original-url", "https://internal-eve-dev.x.io/project-api/x")],
            [same[0], ("x-original-url", "https://internal-al-dev.x.io/explorer/x")],
            [("x-forwarded-method", "GET"), same[1]],
        ] {
            assert_eq!(with(&more), None, "{more:?}");
        }
        for (host, uri) in [
            ("internal-al-dev.x.io", "@internal-eve-dev.x.io/project-api/x"),
            ("internal-al-dev.x.io", "project-api/x"),
            ("internal-al-dev.x.io", "/project-api/x#/y"),
            ("al@internal-eve-dev.x.io", "/project-api/x"),
            ("internal-eve-dev.x.io/project-api/x?", "/y"),
            ("internal-eve-dev.x.io#", "/y"),
        ] {
            let odd = [forwarded[0], ("x-forwarded-host", host), ("x-forwarded-uri", uri)];
            assert_eq!(of(&odd), None, "{host} {uri}");
        }
        for authority in ["al@internal-eve-dev.x.io", "internal-eve-dev.x.io#", "internal-eve-dev.x.io?"] {
            let url = format!("https://{authority}/project-api/x");
            assert_eq!(of(&[("x-original-method", "GET"), ("x-original-url", &url)]), None, "{url}");
        }
    }
}
