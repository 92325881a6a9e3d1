//! `docs/http.md` lists every route with its rule; it is written from the route tables.

use std::fmt::Write;
use std::path::Path;

use lb_http::route::RouteInfo;
use lb_services::{configstore, git_api};

const INTRODUCTION: &str = "# HTTP routes

Every route of the control plane, with who may use it. The platform's own parts and its operator may use every route.
Written from the route tables of the code: `LUNCHBADGER_TEST_UPDATE=1 cargo test -p lb-services --test services docs`.

Callers authenticate with `Authorization: Bearer <token>` (a static token, or a signed one that holds ten minutes at
most); the `git` client with a git user's name and token, or any name and such a token. Errors are
`{\"error\":{\"statusCode\",\"name\",\"code\",\"message\"}}`, with the CORS headers of good answers. Who is unknown gets 401,
who may not gets 403, also for what does not exist.

| who | means |
|---|---|
| public | anybody |
| system | the platform itself alone |
| owner, its pods | the git user that the path names, and the pods of its producer |
| owner | that user, not its pods |
| readers, writers, repository admins | the repository's owner, its collaborators of that permission, and pods: a workspace writes `dev` and reads `functions`, sls-api the other way round |
";

fn table(out: &mut String, title: &str, note: &str, routes: &[RouteInfo]) {
    writeln!(out, "\n## {title}\n\n{note}\n\n| route | who | answer |\n|---|---|---|").unwrap();
    for RouteInfo { method, path, rule, answer } in routes {
        writeln!(out, "| `{method} {path}` | {} | {answer} |", rule.words()).unwrap();
    }
}

#[test]
fn the_page_of_routes_is_current() {
    let mut page = INTRODUCTION.to_owned();
    table(&mut page, "Every service", "Health, and metrics for whoever has a token.", lb_http::serve::ROUTES);
    let note = "Port 8080. Requests about a git user are limited per user (`GIT_API_USER_RATE_LIMIT`) and in total; over it: 503 with `Retry-After`.";
    table(&mut page, "git-api", note, git_api::ROUTES);
    table(&mut page, "configstore", "Port 3002. Every route also answers under `/api`.", configstore::ROUTES);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/http.md");
    if lb_testkit::environment("LUNCHBADGER_TEST_UPDATE").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == page, "docs/http.md is not current: run the test with LUNCHBADGER_TEST_UPDATE=1");
}
