//! `docs/project-api.md` ends with every route and its rule, written from the route tables.

use std::fmt::Write;
use std::path::Path;

use lb_http::route::RouteInfo;
use lb_pod::sls_api;
use lb_pod::workspace::{project_api, supervisor, workspace_api};

/// What stands before the tables; what comes before it is written by hand.
const MARK: &str =
    "<!-- Written from the code: LUNCHBADGER_TEST_UPDATE=1 cargo test -p lb-pod --test pod docs -->\n";

fn table(out: &mut String, title: &str, routes: &[RouteInfo]) {
    writeln!(out, "\n### {title}\n\n| route | who | answer |\n|---|---|---|").unwrap();
    for RouteInfo { method, path, rule, answer } in routes {
        writeln!(out, "| `{method} {path}` | {} | {answer} |", rule.words()).unwrap();
    }
}

#[test]
fn the_tables_of_a_pods_routes_are_current() {
    let mut tables = String::new();
    table(&mut tables, "Project API (port 4230; also under `/project-api`)", project_api::ROUTES);
    table(&mut tables, "Workspace API (port 4231; also under `/workspace-api`)", workspace_api::ROUTES);
    table(&mut tables, "The app's supervisor (port 4232 of the pod's loopback)", supervisor::ROUTES);
    table(&mut tables, "sls-api (port 4444)", sls_api::ROUTES);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/project-api.md");
    let written = std::fs::read_to_string(&file).unwrap();
    let (by_hand, old) = written.split_once(MARK).expect("the page has the mark");
    if lb_testkit::environment("LUNCHBADGER_TEST_UPDATE").is_some() {
        std::fs::write(&file, format!("{by_hand}{MARK}{tables}")).unwrap();
    } else {
        assert!(
            old == tables,
            "docs/project-api.md is not current: run this test with LUNCHBADGER_TEST_UPDATE=1"
        );
    }
}
