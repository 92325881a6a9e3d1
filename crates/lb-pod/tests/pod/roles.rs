//! The matrix of roles: every route of the workspace's APIs, asked by every role.

use std::collections::BTreeSet;

use lb_http::auth::Rule;
use lb_http::route::RouteInfo;
use lb_pod::workspace::{project_api, supervisor, workspace_api};
use lb_testkit::eventually;
use lb_testkit::matrix::{self, Row};
use serde_json::json;

use crate::world::{Pod, World, answer};

const MATRIX: &str = include_str!("roles.txt");
const ROLES: [&str; 9] =
    ["none", "other", "functions", "reader", "writer", "owner", "admin", "pod-al", "operator"];
/// The only routes that answer without credentials; those of the supervisor's channel, which listens on the pod's loopback and
/// could ask for none that the app would not have.
const PUBLIC: [&str; 8] = [
    "/",
    "/ping",
    "/live",
    "/ready",
    "/orders",
    "/files/{session}",
    "/state/{session}",
    "/openapi/{session}/{commit}",
];

fn rows() -> Vec<Row> {
    matrix::rows(MATRIX, ROLES.len())
}

fn routes() -> Vec<(&'static str, &'static RouteInfo)> {
    let of = |service, own: &'static [RouteInfo]| {
        own.iter().chain(lb_http::serve::ROUTES).map(move |route| (service, route))
    };
    of("project", project_api::ROUTES)
        .chain(of("workspace", workspace_api::ROUTES))
        .chain(of("supervisor", supervisor::ROUTES))
        .collect()
}

#[test]
fn every_route_of_a_pod_has_its_row_and_every_row_its_route() {
    let documented: BTreeSet<String> =
        rows().iter().map(|row| format!("{} {} {}", row.service, row.method, row.path)).collect();
    let existing: BTreeSet<String> = routes()
        .iter()
        .map(|(service, route)| format!("{service} {} {}", route.method, route.path))
        .collect();
    assert_eq!(existing, documented);
}

#[test]
fn nothing_of_a_pod_but_what_is_listed_answers_without_credentials() {
    for (service, route) in routes() {
        assert_eq!(route.rule == Rule::Public, PUBLIC.contains(&route.path), "{service} {}", route.path);
    }
    for row in rows().iter().filter(|row| !PUBLIC.contains(&&*row.path)) {
        assert_eq!(row.expected[0], 401, "{}: nobody is let through without credentials", row.path);
        assert!(row.expected[1..].contains(&403), "{}: every role is let through", row.path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_gets_what_the_matrix_of_a_pod_says() {
    let world = World::new().await;
    let mut wrong = Vec::new();
    let mut pod = world.pod().await;
    let _supervisor = pod.app.supervise();
    for row in rows() {
        for (role, expected) in ROLES.iter().zip(&row.expected) {
            let prefixes = match row.service.as_str() {
                "project" => ["", "/project-api"].as_slice(),
                "workspace" => &["", "/workspace-api"],
                _ => &[""],
            };
            for prefix in prefixes {
                let own = lb_http::serve::ROUTES.iter().any(|route| route.path == row.path);
                if own && !prefix.is_empty() || row.path == "/" && !prefix.is_empty() {
                    continue;
                }
                let got = ask(&pod, &row, role, prefix).await;
                if got != *expected {
                    wrong.push(format!(
                        "{} {prefix}{} as {role}: {got}, expected {expected}",
                        row.method, row.path
                    ));
                }
                // It ended: the next one is asked of a new container.
                if row.path.ends_with("/self-destruct") && got == 204 {
                    pod.ended().await;
                    pod = world.pod().await;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn ask(pod: &Pod, row: &Row, role: &str, prefix: &str) -> u16 {
    let id = if row.path.starts_with("/api/Projects") { "al-dev" } else { "1" };
    let entity = match row.method.as_str() {
        "GET" | "POST" => "ModelDefinitions",
        "DELETE" => "ModelConfigs/server.Nobody",
        _ => "ModelDefinitions/server.Car",
    };
    let path = format!("{prefix}{}", row.path.replace("{id}", id).replace("{*path}", entity));
    let path = path.replace("{session}", "none").replace("{commit}", &"1".repeat(40));
    let request = pod.request_at(&row.service, role, &row.method, &path);
    let request = match (row.method.as_str(), row.path.as_str()) {
        ("PATCH" | "PUT" | "POST", "/api/Projects") => request.json(&json!({"id": "al-dev", "name": "main"})),
        ("PUT", "/api/WorkspaceFiles/files") => request.json(&json!({"files": {"x": "y"}})),
        ("POST" | "PUT" | "PATCH", "/api/{*path}") => {
            request.json(&json!({"id": "server.Car", "name": "Car", "facetName": "server"}))
        }
        ("PUT" | "PATCH", "/api/Forecasts") => request.json(&json!({"id": 1})),
        _ => request,
    };
    if row.path == "/orders" {
        return eventually("supervisors may follow each other", || async {
            let status = request.try_clone().unwrap().send().await.unwrap().status().as_u16();
            if status == 429 { Err("too fast") } else { Ok(status) }
        })
        .await;
    }
    if row.path.ends_with("/change-stream") {
        return request.send().await.unwrap().status().as_u16();
    }
    answer(request).await.0
}
