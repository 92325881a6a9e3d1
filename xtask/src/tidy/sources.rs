//! What each Rust file must look like.

use super::{Breach, TextFile};

/// Lines of code that a file may have; its test module does not count.
const MAX_CODE: usize = 600;
/// Lines that a file may have with its tests, and what a file of tests may have.
const MAX_TOTAL: usize = 900;

/// Text that stands for unfinished work or for a test that does not test. Joined here, so that this file passes.
const UNFINISHED: [&str; 5] = [
    concat!("to", "do!("),
    concat!("unimplemented", "!("),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("#[ig", "nore"),
];

const SLEEPS: [&str; 2] = [concat!("time::sl", "eep("), concat!("thread::sl", "eep(")];

/// The rules of one file.
pub(super) fn check(file: &TextFile) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut breach = |line, rule: String| breaches.push(Breach::new(&file.path, line, rule));
    if !file.text.starts_with("//! ") {
        breach(1, "does not begin with `//! `, what it is for".to_owned());
    }
    let total = file.text.lines().count();
    let code = code_lines(file);
    if code > MAX_CODE {
        breach(0, format!("{code} lines without tests; {MAX_CODE} are allowed: split it"));
    }
    if total > MAX_TOTAL {
        breach(
            0,
            format!("{total} lines with tests; {MAX_TOTAL} are allowed: move tests to a file of their own"),
        );
    }
    for (index, line) in file.text.lines().enumerate() {
        if let Some(found) = UNFINISHED.into_iter().find(|text| stands_alone(line, text)) {
            breach(index + 1, format!("`{found}` is not for what lands"));
        }
        if index >= code && SLEEPS.into_iter().any(|sleep| line.contains(sleep)) {
            breach(
                index + 1,
                "a test waits for a condition (lb_testkit::eventually), never for time".to_owned(),
            );
        }
    }
    breaches
}

/// Whether the text is in the line, not as a part of a longer word or escape.
fn stands_alone(line: &str, text: &str) -> bool {
    line.match_indices(text).any(|(at, _)| {
        let around = [line[..at].chars().next_back(), line[at + text.len()..].chars().next()];
        let joined =
            |c: char| text.ends_with(char::is_alphabetic) && (c.is_alphanumeric() || c == '\\' || c == '_');
        !around.into_iter().flatten().any(joined)
    })
}

/// How many lines come before the tests: none in a file of tests.
pub(super) fn code_lines(file: &TextFile) -> usize {
    let of_tests =
        file.path.components().any(|part| ["tests", "benches"].iter().any(|name| part.as_os_str() == *name));
    if of_tests || file.path.ends_with("tests.rs") {
        return 0;
    }
    let lines: Vec<&str> = file.text.lines().collect();
    lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{'))
        .unwrap_or(lines.len())
}

#[cfg(test)]
mod tests {
    use super::super::rust;
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(usize, String)> {
        check(&rust(path, text)).into_iter().map(|breach| (breach.line, breach.rule)).collect()
    }

    #[test]
    fn a_file_says_what_it_is_for() {
        assert_eq!(rules("a/src/x.rs", "//! Good.\n"), []);
        assert_eq!(rules("a/src/x.rs", "use std;\n")[0].0, 1);
    }

    #[test]
    fn tests_do_not_count_until_the_whole_is_too_long() {
        let code = format!("//! A.\n{}", "x\n".repeat(599));
        let tests = |lines| format!("{code}#[cfg(test)]\nmod tests {{\n{}}}\n", "x\n".repeat(lines));
        assert_eq!(rules("a/src/x.rs", &tests(297)), []);
        assert_eq!(
            rules("a/src/x.rs", &tests(298))[0].1,
            "901 lines with tests; 900 are allowed: move tests to a file of their own"
        );
        assert!(rules("a/src/x.rs", &format!("{code}x\n"))[0].1.starts_with("601 lines without tests"));
        assert_eq!(rules("a/tests/x.rs", &format!("{code}x\n")), []);
    }

    #[test]
    fn only_tests_may_not_sleep() {
        let sleep = format!("{}d);\n", SLEEPS[0]);
        assert_eq!(rules("a/src/x.rs", &format!("//! A.\n{sleep}")), []);
        assert_eq!(rules("a/src/x.rs", &format!("//! A.\n#[cfg(test)]\nmod tests {{\n{sleep}}}\n"))[0].0, 4);
        assert_eq!(rules("a/tests/x.rs", &format!("//! A.\n{sleep}"))[0].0, 2);
    }

    #[test]
    fn unfinished_work_is_found() {
        for text in UNFINISHED {
            assert_eq!(rules("a/src/x.rs", &format!("//! A.\n{text}\n")).len(), 1, "{text}");
        }
        let escape = format!("//! A.\n// `\\u{0}X` is an escape\n", UNFINISHED[3]);
        assert_eq!(rules("a/src/x.rs", &escape), []);
    }
}
