//! Texts that Express Gateway makes regular expressions of: one that is none stops it.

use regress::Regex;

use super::config::excerpt;

/// Longest pattern, characters: a longer one is refused unread.
const MAX_PATTERN: usize = 1000;

/// What is wrong with a pattern of JavaScript's, where something is.
pub(super) fn regex_problem(pattern: &str) -> Option<String> {
    let shown = excerpt(pattern);
    if pattern.chars().count() > MAX_PATTERN {
        return Some(format!("`{shown}...` has more than {MAX_PATTERN} characters"));
    }
    Regex::new(pattern).err().map(|error| format!("`{shown}` is no regular expression ({})", error.text))
}

/// What is wrong with a path of a route, where something is.
pub(super) fn path_problem(path: &str) -> Option<String> {
    if is_plain(path) {
        return None;
    }
    regex_problem(&expression(path)).map(|_| {
        format!(
            "the path `{}` cannot be routed: only `*`, `:name` and text, or a good regular expression",
            excerpt(path)
        )
    })
}

/// Characters by which a path can be a bad regular expression; what `.`, `*`, `/` and `:` become is always a good one.
const SYNTAX: [char; 12] = ['\\', '^', '$', '+', '?', '(', ')', '[', ']', '{', '}', '|'];
/// Longest path that is judged by its characters, bytes: none becomes more than nine times as long, as `:a*` does, so
/// that these stay below [`MAX_PATTERN`].
const MAX_PLAIN: usize = 100;

/// Whether a path is good for what it is made of. Nearly all are, and compiling one takes a hundred times as long.
fn is_plain(path: &str) -> bool {
    path.len() <= MAX_PLAIN && !path.contains(SYNTAX)
}

/// The regular expression that Express 4 makes of a path (path-to-regexp 0.1): `*` matches anything, `:name` a
/// segment, `(...)` is taken as it stands, `.` is a dot. What `:name` matches differs in detail; whether the whole is
/// a regular expression does not.
fn expression(path: &str) -> String {
    let mut pattern = String::from("^");
    let mut rest = path;
    while let Some(c) = rest.chars().next() {
        let (text, length) = token(rest, c);
        pattern.push_str(&text);
        rest = &rest[length..];
    }
    pattern.push_str(if path.ends_with('/') { "?$" } else { "/?$" });
    pattern
}

/// The first token of a path and its length in bytes.
fn token(rest: &str, c: char) -> (String, usize) {
    let after = &rest[c.len_utf8()..];
    match c {
        '\\' => {
            let escaped: String = after.chars().take(1).collect();
            (format!("\\{escaped}"), 1 + escaped.len())
        }
        '.' if !after.starts_with(':') => ("\\.".to_owned(), 1),
        '*' => ("(.*)".to_owned(), 1),
        '/' if after.starts_with('(') => ("/(?:".to_owned(), 2),
        '/' | '.' | ':' => parameter(rest).unwrap_or_else(|| (c.to_string(), c.len_utf8())),
        other => (other.to_string(), other.len_utf8()),
    }
}

/// A parameter: `/:name`, with `(...)` for what it matches, `*` and `?` behind it.
fn parameter(rest: &str) -> Option<(String, usize)> {
    let start = rest.trim_start_matches('/');
    let slash = rest.len() - start.len();
    let name = start.strip_prefix('.').unwrap_or(start).strip_prefix(':')?;
    let word = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
    if word == 0 || slash > 1 {
        return None;
    }
    let mut tail = &name[word..];
    let mut capture = "([^/]+?)".to_owned();
    if let Some(end) = tail.strip_prefix('(').and_then(|inside| inside.find(')')) {
        capture = tail[..end + 2].replace('*', "(.*)");
        tail = &tail[end + 2..];
    }
    let star = tail.strip_prefix('*');
    let many = if star.is_some() { "((?:[/].+?)?)" } else { "" };
    tail = star.unwrap_or(tail);
    let optional = tail.strip_prefix('?');
    tail = optional.unwrap_or(tail);
    let mark = if optional.is_some() { "?" } else { "" };
    Some((format!("(?:{}{capture}{many}){mark}", &rest[..slash]), rest.len() - tail.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{MAX_PATTERN, expression, is_plain, path_problem, regex_problem};

    // What path-to-regexp 0.1.13 itself says about these paths.
    #[test]
    fn paths_are_judged_as_express_does() {
        for good in [
            "/cars",
            "/cars*",
            "*",
            "/cars/:id",
            "/cars/:id(\\d+)",
            "/v(1|2)/x",
            "/a.b",
            "/:a/:b?",
            "/:rest*",
            "/{x}",
            "/a+b",
            "/ä",
            "",
            "/(cars)?",
            "/x/:id.:format",
            "/$metadata",
            "\\",
            "/a{1,2}",
            "/**",
            "/:",
            "/a??",
            "/x]",
            "/:id*?",
            "/.:a",
            "//:a",
        ] {
            assert_eq!(path_problem(good), None, "{good}");
        }
        for bad in ["/cars(", "/cars)", "/[a", "/a**(", "+", "/(?<", "/:id(", "/a{2,1}", "/a???", "/(a", "?"]
        {
            assert!(path_problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn paths_become_expressions_token_by_token() {
        for (path, expected) in [
            ("", "^/?$"),
            ("/cars", "^/cars/?$"),
            ("/cars/", "^/cars/?$"),
            ("/a.b", r"^/a\.b/?$"),
            ("*", "^(.*)/?$"),
            ("/v(1|2)/ä", "^/v(1|2)/ä/?$"),
            ("/(cars)", "^/(?:cars)/?$"),
            ("/cars/:id", "^/cars(?:/([^/]+?))/?$"),
            (r"/cars/:id(\d+)", r"^/cars(?:/(\d+))/?$"),
            ("/:id(*)x", "^(?:/((.*)))x/?$"),
            ("/:a(x", "^(?:/([^/]+?))(x/?$"),
            ("/:a/:b?", "^(?:/([^/]+?))(?:/([^/]+?))?/?$"),
            ("/:rest*", "^(?:/([^/]+?)((?:[/].+?)?))/?$"),
            ("/:a_1-b", "^(?:/([^/]+?))-b/?$"),
            ("/x/:id.:format", "^/x(?:/([^/]+?))(?:([^/]+?))/?$"),
            ("/.:a", "^(?:/([^/]+?))/?$"),
            ("//:a", "^/(?:/([^/]+?))/?$"),
            (":a", "^(?:([^/]+?))/?$"),
            ("/:", "^/:/?$"),
            (r"\d\ä\", r"^\d\ä\/?$"),
        ] {
            assert_eq!(expression(path), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn a_plain_path_is_a_good_expression(
            path in prop_oneof!["[a-z/:*._-]{0,100}", "([/.]?:[a-z]\\*){0,30}", "\\PC{0,40}", "(?s:.{0,40})"],
        ) {
            if is_plain(&path) {
                prop_assert_eq!(regex_problem(&expression(&path)), None);
            }
        }
    }

    #[test]
    fn the_longest_plain_path_is_within_bounds() {
        let path = ":a*".repeat(33);
        assert!(is_plain(&path) && expression(&path).len() <= MAX_PATTERN);
    }

    #[test]
    fn a_long_or_deep_pattern_is_refused_without_harm() {
        let longest = "ä".repeat(MAX_PATTERN);
        assert_eq!(regex_problem(&longest), None);
        for long in [format!("{longest}ä"), longest.repeat(100)] {
            assert!(regex_problem(&long).is_some_and(|problem| problem.contains("more than 1000")));
        }
        assert!(regex_problem(&"(".repeat(100_000)).is_some());
        assert!(regex_problem(&format!("{}{}", "(".repeat(50), ")".repeat(50))).is_none());
        assert!(regex_problem("^/cars/[0-9]+$").is_none() && regex_problem("[").is_some());
    }
}
