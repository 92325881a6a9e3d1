//! What hand-written pages speak of must exist: environment variables, routes and tests.

use std::collections::BTreeSet;

use super::{Breach, TextFile};

/// The pages of all routes; tests of lb-services and lb-pod keep their tables equal to the code.
const ROUTES: [&str; 2] = ["docs/http.md", "docs/project-api.md"];
/// Methods that a documented route begins with.
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "ANY"];

/// Names in backticks that nothing of ours has.
pub(super) fn check(files: &[TextFile]) -> Vec<Breach> {
    let pages =
        || files.iter().filter(|file| file.path.extension().is_some_and(|extension| extension == "md"));
    let sources: Vec<&TextFile> =
        files.iter().filter(|file| !pages().any(|page| page.path == file.path)).collect();
    let routes: BTreeSet<String> = pages()
        .filter(|page| ROUTES.iter().any(|routes| page.path.ends_with(routes)))
        .flat_map(|page| page.text.lines().flat_map(quoted).filter_map(route))
        .collect();
    let mut breaches = Vec::new();
    for page in pages() {
        for (index, line) in page.text.lines().enumerate() {
            for name in quoted(line) {
                let missing = if is_variable(name) {
                    !sources.iter().any(|source| source.text.contains(name))
                } else if is_test(name) {
                    !sources.iter().any(|source| source.text.contains(&format!("fn {name}(")))
                } else {
                    !routes.is_empty() && route(name).is_some_and(|route| !leads_somewhere(&routes, &route))
                };
                if missing {
                    breaches.push(Breach::new(
                        &page.path,
                        index + 1,
                        format!("speaks of `{name}`, which does not exist"),
                    ));
                }
            }
        }
    }
    breaches
}

/// Whether it is a route, or the beginning of some: prose may leave parameters out.
fn leads_somewhere(routes: &BTreeSet<String>, route: &str) -> bool {
    routes.contains(route) || routes.iter().any(|known| known.starts_with(&format!("{route}/")))
}

/// What stands in backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// `SLEEP_TIME`, but not `GET` or `JSON`.
fn is_variable(name: &str) -> bool {
    let valid = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    name.contains('_') && name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(valid)
}

/// `a_pod_reaches_its_own_producer`: nothing else has a name of so many words.
fn is_test(name: &str) -> bool {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.matches('_').count() >= 3 && name.chars().all(valid)
}

/// `GET /users/{}/{}` of a route, however its parameters are written and called; queries do not count.
fn route(text: &str) -> Option<String> {
    let (method, path) = text.split_once(' ')?;
    if !METHODS.contains(&method) || !path.starts_with('/') {
        return None;
    }
    let path = path.split(['?', ' ']).next().unwrap_or(path);
    let parts = path.split('/').map(|part| if part.starts_with([':', '{', '<', '*']) { "{}" } else { part });
    Some(format!("{method} {}", parts.collect::<Vec<_>>().join("/")))
}

#[cfg(test)]
mod tests {
    use super::super::rust;
    use super::*;

    #[test]
    fn variables_routes_and_tests_exist() {
        let files = [
            rust("docs/http.md", "| `GET /users/{prefix}/{name}` | owner |\n"),
            rust("a/src/x.rs", "const A: &str = \"SLEEP_TIME\"; fn a_b_c_d() {}"),
            rust(
                "docs/use.md",
                "Set `SLEEP_TIME`, ask `GET /users/:prefix/:name?x=1`, get `JSON`; `GET /users`; `a_b_c_d`.\n",
            ),
            rust(
                "docs/wrong.md",
                "\n`SLEPT_TIME`\n`GET /users/:a/:b/:c`\n`POST /users/:a/:b`\n`GET /user`\n`a_b_c_e`\n",
            ),
        ];
        let found: Vec<_> = check(&files).into_iter().map(|breach| (breach.file, breach.line)).collect();
        assert_eq!(found, [2, 3, 4, 5, 6].map(|line| ("docs/wrong.md".into(), line)));
    }
}
