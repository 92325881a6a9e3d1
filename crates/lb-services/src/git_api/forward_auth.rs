//! What an ingress asks before it lets a request through to a producer's API: who sends it, and whether that user may.
//!
//! The request in question stands in headers: `X-Forwarded-Method`, `-Host` and `-Uri` (Traefik, Caddy), or
//! `X-Original-Method` and `X-Original-URL` (ingress-nginx); the user's token is in `Authorization`, as it was sent. The
//! answer is 200 with `X-Lunchbadger-User`, 401 or 403.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use lb_http::contract::apis::{self, Api};
use lb_http::error::ApiError;
use lb_vocab::GitUser;
use url::Url;

use super::{Shared, access, sign_in, wire};

/// Who was let through, for the API behind.
const USER: HeaderName = HeaderName::from_static("x-lunchbadger-user");

/// The request that an ingress asks about.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    method: Method,
    host: String,
    path: String,
}

fn asked(headers: &HeaderMap) -> Option<Asked> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (method, url) = match (text("x-original-method"), text("x-original-url")) {
        (Some(method), Some(url)) => (method, url.to_owned()),
        _ => {
            let (host, uri) = (text("x-forwarded-host")?, text("x-forwarded-uri")?);
            (text("x-forwarded-method")?, format!("http://{host}{uri}"))
        }
    };
    let url: Url = url.parse().ok()?;
    // The parser has resolved `..`, as whoever serves the path would.
    let (host, path) = (url.host_str()?.to_owned(), url.path().to_owned());
    Some(Asked { method: method.parse().ok()?, host, path })
}

pub(super) async fn check(State(app): State<Shared>, headers: HeaderMap) -> Result<Response, ApiError> {
    let forbidden = |why: &str| ApiError::new(StatusCode::FORBIDDEN, "FORBIDDEN", why);
    let asked = asked(&headers).ok_or_else(|| {
        ApiError::bad_request("which request is asked about? X-Forwarded-Method, -Host and -Uri say it, or X-Original-Method and -URL")
    })?;
    // A browser's preflight carries no token, and its answer says nothing.
    if asked.method == Method::OPTIONS {
        return Ok(StatusCode::OK.into_response());
    }
    let (api, producer) = Api::at(&asked.host, &asked.path, &app.domain)
        .ok_or_else(|| forbidden("nothing that users reach has this host and path"))?;
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = token
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let (_, token) = token.ok_or_else(ApiError::unauthenticated)?;
    let (login, reach) =
        sign_in::desk(&app)?.holder(token.trim(), &producer).ok_or_else(ApiError::unauthenticated)?;
    let needs = apis::needs(api, &asked.method, &asked.path);
    let owner = GitUser::of(app.prefix.clone(), producer.name());
    let has = access::permissions(&app, &owner, &login).await?;
    let has =
        has.iter().find(|(repo, _)| repo.as_str() == api.repository()).map(|(_, has)| wire::from_host(*has));
    match has {
        Some(has) if has.min(reach) >= needs => {
            Ok((StatusCode::OK, [(USER, login.to_string())]).into_response())
        }
        Some(_) | None => Err(ApiError::forbidden()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Option<(String, String, String)> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
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
        let odd = [forwarded[0], forwarded[1], ("x-forwarded-uri", "/workspace-api/../project-api/x")];
        assert_eq!(of(&odd).unwrap().2, "/project-api/x");
        assert_eq!(of(&[forwarded[0], ("x-forwarded-host", "a b"), forwarded[2]]), None);
    }
}
