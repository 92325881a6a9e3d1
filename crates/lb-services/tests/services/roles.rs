//! The matrix of roles: every route of every service, asked by every role.

use std::collections::BTreeSet;

use hmac::{Hmac, Mac};
use lb_http::auth::Rule;
use lb_http::route::RouteInfo;
use lb_services::{configstore, git_api, watcher};
use lb_testkit::cluster::TestCluster;
use lb_testkit::matrix::{self, Row};
use lb_vocab::Secret;
use serde_json::json;
use sha2::Sha256;

use crate::facade::OTHER_KEY;
use crate::world::{World, answer, hook_secret, token};

const MATRIX: &str = include_str!("roles.txt");
pub(crate) const ROLES: [&str; 12] = [
    "none",
    "other",
    "reader",
    "writer",
    "owner",
    "admin",
    "pod-al",
    "pod-bob",
    "pod-sls",
    "pod-gateway",
    "system",
    "operator",
];
/// The only routes that answer without credentials; from `/hook` on they check themselves what they are shown.
const PUBLIC: [&str; 9] = [
    "/ping",
    "/live",
    "/ready",
    "/hook",
    "/login",
    "/login/callback",
    "/login/session",
    "/login/token",
    "/forward-auth",
];

pub(crate) fn rows() -> Vec<Row> {
    matrix::rows(MATRIX, ROLES.len())
}

fn routes() -> Vec<(&'static str, &'static RouteInfo)> {
    let of = |service, own: &'static [RouteInfo]| {
        own.iter().chain(lb_http::serve::ROUTES).map(move |route| (service, route))
    };
    let facades = of("git-api", git_api::ROUTES).chain(of("configstore", configstore::ROUTES));
    facades.chain(of("watcher", watcher::ROUTES)).collect()
}

#[test]
fn every_route_has_its_row_and_every_row_its_route() {
    let key = |service: &str, method: &str, path: &str| {
        format!("{service} {method} {}", path.split('?').next().unwrap())
    };
    let documented: BTreeSet<String> =
        rows().iter().map(|row| key(&row.service, &row.method, &row.path)).collect();
    let existing: BTreeSet<String> =
        routes().iter().map(|(service, route)| key(service, route.method, route.path)).collect();
    assert_eq!(existing, documented);
}

#[test]
fn public_routes_are_listed_and_everything_else_refuses_somebody() {
    for (service, route) in routes() {
        assert_eq!(route.rule == Rule::Public, PUBLIC.contains(&route.path), "{service} {}", route.path);
    }
    for row in rows().iter().filter(|row| !PUBLIC.iter().any(|path| row.path.split('?').next() == Some(path)))
    {
        assert_eq!(row.expected[0], 401, "{}: nobody is let through without credentials", row.path);
        assert!(row.expected[1..].contains(&403), "{}: every role is let through", row.path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_gets_what_the_matrix_says() {
    let (world, _) = crate::watcher::beside(TestCluster::shared().await, &[]).await;
    first_push(&world).await;
    let mut wrong = Vec::new();
    for row in rows() {
        for role in ROLES {
            let token = (role != "none").then(|| token(role));
            let (got, expected) = (ask(&world, &row, token.as_ref()).await, row.expects(&ROLES, role));
            if got != expected {
                wrong.push(format!(
                    "{} {} {} as {role}: {got} instead of {expected}",
                    row.service, row.method, row.path
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_deletes_somebody_else_s_key() {
    let world = World::populated().await;
    let key = json!({"publicKey": OTHER_KEY, "title": "laptop"});
    let (status, added) = answer(world.request("other", "POST", "/users/customer/bob/ssh").json(&key)).await;
    assert_eq!(status, 200, "{added}");
    let id = &added["result"]["id"];
    let delete = async |role: &str, owner: &str| {
        let path = format!("/users/customer/{owner}/ssh/{id}");
        // No role has the token of `none`.
        answer(world.request(role, "DELETE", &path)).await.0
    };
    for role in ROLES {
        let through_al = match role {
            "none" => 401,
            // Al and the platform get to the handler, where the key is not al's.
            "owner" | "admin" | "system" | "operator" => 400,
            _ => 403,
        };
        assert_eq!(delete(role, "al").await, through_al, "{role}: bob's key among al's");
        let refused = match role {
            "other" | "system" | "operator" => continue,
            "none" => 401,
            _ => 403,
        };
        assert_eq!(delete(role, "bob").await, refused, "{role}: bob's key");
    }
    assert_eq!(delete("other", "bob").await, 204, "it was there all the time, and is bob's");
}

/// Gives al's `dev` its first commit.
pub(crate) async fn first_push(world: &World) {
    let clone = world.person("al").await.init(&world.url("al", "dev")).await;
    clone.write("a", "a").commit_and_push("first").await;
}

/// The status that a route answers to whoever has this token.
pub(crate) async fn ask(world: &World, row: &Row, token: Option<&Secret>) -> u16 {
    let address = match row.service.as_str() {
        "git-api" => world.git_api,
        "configstore" => world.configstore,
        _ => world.watcher.expect("there is a cluster"),
    };
    let path = [
        ("{prefix}", "customer"),
        ("{name}", "al"),
        ("{repo}", "dev"),
        ("{*path}", "lunchbadger.json"),
        ("{id}", "999"),
        ("{commit}", "0123456789abcdef0123456789abcdef01234567"),
        ("{environment}", "dev"),
        ("{collaborator}", "customer-bob"),
        ("{member}", "customer-carl"),
        ("{login}", "customer-al"),
        ("{repository}", "dev.git"),
        ("{channel}", "al-dev"),
    ]
    .iter()
    .fold(row.path.clone(), |path, (parameter, value)| path.replace(parameter, value));
    assert!(!path.contains('{'), "{path} has a parameter that this test does not know");
    let method = if row.method == "ANY" { "PATCH" } else { &row.method };
    let mut request = world.http.request(method.parse().unwrap(), format!("http://{address}{path}"));
    if let Some(token) = token {
        request = request.bearer_auth(token.reveal());
    }
    body(row, request).send().await.unwrap().status().as_u16()
}

/// What makes a request good, so that only the role decides.
fn body(row: &Row, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
    let last = row.path.rsplit('/').next().unwrap();
    match (row.method.as_str(), last) {
        ("POST", "users") => request.json(&json!({"name": "al", "prefix": "customer"})),
        ("POST", "session") => request.json(&json!({"code": "x", "codeVerifier": "y"})),
        ("POST", "token") => request.json(&json!({"audience": "al-dev"})),
        ("PATCH" | "ANY", "forward-auth") => request
            .header("x-forwarded-method", "GET")
            .header("x-forwarded-host", "internal-al-dev.lunchbadger.io")
            .header("x-forwarded-uri", "/project-api/api/Projects/al-dev"),
        ("POST", "producers" | "sign-up") => request.json(&json!({"id": "al"})),
        ("POST", "ssh") => request.json(&json!({"publicKey": "nonsense", "type": "workspace"})),
        ("POST", "tokens") => request.json(&json!({"name": "t"})),
        ("PUT", "{collaborator}") => request.json(&json!({"permission": "read"})),
        ("PUT", "{commit}") if row.path.contains("/openapi/") => {
            request.json(&json!({"paths": {"/Cars": {}}}))
        }
        ("PUT", "{commit}") => {
            request.json(&json!({"context": "lunchbadger/dev", "state": "success", "description": "applied"}))
        }
        ("POST", "{repo}") => {
            request.json(&json!({"ref": "refs/heads/master", "globs": ["*"], "maxBytes": 100}))
        }
        ("POST", "git-upload-pack" | "git-receive-pack") => {
            request.header("content-type", format!("application/x-{last}-request")).body("0000")
        }
        ("POST", "dev") => {
            let secret = hook_secret("customer-al/dev");
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()).unwrap();
            mac.update(b"{}");
            request.header("x-gitea-signature", hex::encode(mac.finalize().into_bytes())).body("{}")
        }
        _ => request,
    }
}
