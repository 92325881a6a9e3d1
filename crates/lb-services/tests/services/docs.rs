//! `docs/http.md` ends with every route and its rule, written from the route tables.

use std::fmt::Write;
use std::path::Path;

use lb_http::route::RouteInfo;
use lb_services::{configstore, git_api, watcher};

/// What stands before the tables; what comes before it is written by hand.
const MARK: &str = "<!-- Written from the code: LUNCHBADGER_TEST_UPDATE=1 cargo test -p lb-services --test services docs -->\n";

fn table(out: &mut String, title: &str, routes: &[RouteInfo]) {
    writeln!(out, "\n### {title}\n\n| route | who | answer |\n|---|---|---|").unwrap();
    for RouteInfo { method, path, rule, answer } in routes {
        writeln!(out, "| `{method} {path}` | {} | {answer} |", rule.words()).unwrap();
    }
}

#[test]
fn the_tables_of_routes_are_current() {
    let mut tables = String::new();
    table(&mut tables, "Every service, the Actualizer included", lb_http::serve::ROUTES);
    table(&mut tables, "git-api (port 8080)", git_api::ROUTES);
    table(&mut tables, "configstore (port 3002; every route also under `/api`)", configstore::ROUTES);
    table(&mut tables, "watcher (port 7788)", watcher::ROUTES);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/http.md");
    let written = std::fs::read_to_string(&file).unwrap();
    let (by_hand, old) = written.split_once(MARK).expect("the page has the mark");
    if lb_testkit::environment("LUNCHBADGER_TEST_UPDATE").is_some() {
        std::fs::write(&file, format!("{by_hand}{MARK}{tables}")).unwrap();
    } else {
        assert!(old == tables, "docs/http.md is not current: run this test with LUNCHBADGER_TEST_UPDATE=1");
    }
}
