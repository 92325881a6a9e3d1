//! `docs/routes.md`: every route with its rule, from the tables that the services are made from.

use lb_http::route::RouteInfo;

use crate::cell;

const HEAD: &str = "\
# Routes

<!-- Generated from the code by `cargo xtask generate`. -->

What each service answers, and who may ask: *public* is anybody, *system* the control plane itself and its operator, *owner* the
git user that the path names. Everything else is refused: 401 without credentials, 403 with the wrong ones.
";

/// The page.
pub(crate) fn page() -> String {
    let mut page = HEAD.to_owned();
    let services = [
        ("Every service, the Actualizer included", lb_http::serve::ROUTES),
        ("configstore", lb_services::configstore::ROUTES),
        ("git-api", lb_services::git_api::ROUTES),
    ];
    for (service, routes) in services {
        page.push_str(&format!("\n## {service}\n\n| route | who | answer |\n|---|---|---|\n"));
        for RouteInfo { method, path, rule, answer } in routes {
            page.push_str(&format!("| `{method} {path}` | {} | {} |\n", rule.words(), cell(answer)));
        }
    }
    page
}
