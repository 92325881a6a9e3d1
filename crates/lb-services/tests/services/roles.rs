//! The matrix of roles: every route of every service, asked by every role.

use std::collections::BTreeSet;

use hmac::{Hmac, Mac};
use lb_http::auth::Rule;
use lb_http::route::RouteInfo;
use lb_services::{configstore, git_api};
use serde_json::json;
use sha2::Sha256;

use crate::world::{World, hook_secret, token};

const MATRIX: &str = include_str!("roles.txt");
const ROLES: [&str; 9] =
    ["none", "other", "reader", "writer", "owner", "pod-al", "pod-bob", "system", "operator"];
/// The only routes that answer without credentials.
const PUBLIC: [&str; 4] = ["/ping", "/live", "/ready", "/hook"];

struct Row {
    service: String,
    method: String,
    path: String,
    expected: Vec<u16>,
}

fn rows() -> Vec<Row> {
    let lines = MATRIX.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [service, method, path, expected @ ..] = &words[..] else { panic!("{line}") };
            let expected: Vec<u16> = expected.iter().map(|status| status.parse().unwrap()).collect();
            assert_eq!(expected.len(), ROLES.len(), "{line}");
            Row { service: (*service).into(), method: (*method).into(), path: (*path).into(), expected }
        })
        .collect()
}

fn routes() -> Vec<(&'static str, &'static RouteInfo)> {
    let of = |service, own: &'static [RouteInfo]| {
        own.iter().chain(lb_http::serve::ROUTES).map(move |route| (service, route))
    };
    of("git-api", git_api::ROUTES).chain(of("configstore", configstore::ROUTES)).collect()
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
fn public_routes_are_the_four_and_everything_else_refuses_somebody() {
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
    let world = World::populated().await;
    world
        .person("al")
        .await
        .init(&world.url("al", "dev"))
        .await
        .write("a", "a")
        .commit_and_push("first")
        .await;
    let mut wrong = Vec::new();
    for row in rows() {
        for (role, expected) in ROLES.iter().zip(&row.expected) {
            let got = ask(&world, &row, role).await;
            if got != *expected {
                wrong.push(format!(
                    "{} {} {} as {role}: {got} instead of {expected}",
                    row.service, row.method, row.path
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn ask(world: &World, row: &Row, role: &str) -> u16 {
    let address = if row.service == "git-api" { world.git_api } else { world.configstore };
    let path = [
        ("{prefix}", "customer"),
        ("{name}", "al"),
        ("{repo}", "dev"),
        ("{*path}", "lunchbadger.json"),
        ("{id}", "999"),
        ("{collaborator}", "customer-bob"),
        ("{login}", "customer-al"),
        ("{repository}", "dev.git"),
    ]
    .iter()
    .fold(row.path.clone(), |path, (parameter, value)| path.replace(parameter, value));
    assert!(!path.contains('{'), "{path} has a parameter that this test does not know");
    let method = if row.method == "ANY" { "PATCH" } else { &row.method };
    let mut request = world.http.request(method.parse().unwrap(), format!("http://{address}{path}"));
    if role != "none" {
        request = request.bearer_auth(token(role).reveal());
    }
    body(row, request).send().await.unwrap().status().as_u16()
}

/// What makes a request good, so that only the role decides.
fn body(row: &Row, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
    let last = row.path.rsplit('/').next().unwrap();
    match (row.method.as_str(), last) {
        ("POST", "users") => request.json(&json!({"name": "al", "prefix": "customer"})),
        ("POST", "producers") => request.json(&json!({"id": "al"})),
        ("POST", "ssh") => request.json(&json!({"publicKey": "nonsense", "type": "workspace"})),
        ("POST", "tokens") => request.json(&json!({"name": "t"})),
        ("PUT", "{collaborator}") => request.json(&json!({"permission": "read"})),
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
