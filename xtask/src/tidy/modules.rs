//! Files that no `mod` includes are never compiled, and nobody notices.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Breach, TextFile};

/// Rust files that no root of a package reaches.
pub(super) fn orphans(files: &[TextFile]) -> Vec<Breach> {
    let rust: BTreeMap<&Path, &str> = files
        .iter()
        .filter(|file| file.is_rust())
        .map(|file| (file.path.as_path(), file.text.as_str()))
        .collect();
    let mut reached = BTreeSet::new();
    let mut open: Vec<PathBuf> =
        rust.keys().filter(|path| is_root(path)).map(|path| path.to_path_buf()).collect();
    while let Some(path) = open.pop() {
        let Some(text) = rust.get(path.as_path()) else { continue };
        if reached.insert(path.clone()) {
            open.extend(text.lines().filter_map(declared).flat_map(|name| places(&path, name)));
        }
    }
    rust.keys()
        .filter(|path| !reached.contains(**path))
        .map(|path| Breach::new(*path, 0, "no `mod` includes this file"))
        .collect()
}

/// Roots that cargo finds by itself.
fn is_root(path: &Path) -> bool {
    let Some(directory) = path.parent() else { return false };
    let in_directory = |name| directory.ends_with(name);
    path.ends_with("build.rs")
        || in_directory("src/bin")
        || in_directory("tests") && !within_src(directory)
        || in_directory("benches")
        || in_directory("examples")
        || path.ends_with("main.rs") && directory.parent().is_some_and(keeps_programs)
        || in_directory("fuzz_targets")
        || in_directory("src") && (path.ends_with("lib.rs") || path.ends_with("main.rs"))
}

/// Directories whose subdirectories are programs, each with its `main.rs`.
fn keeps_programs(directory: &Path) -> bool {
    ["tests", "benches", "examples", "src/bin"].iter().any(|name| directory.ends_with(name))
}

fn within_src(directory: &Path) -> bool {
    directory.components().any(|part| part.as_os_str() == "src")
}

/// The name in `mod name;`, whatever its visibility. A `#[path]` is not followed: do without.
fn declared(line: &str) -> Option<&str> {
    let line = line.trim();
    let (before, rest) =
        if let Some(rest) = line.strip_prefix("mod ") { ("", rest) } else { line.split_once(" mod ")? };
    let visible = before.is_empty() || before == "pub" || before.starts_with("pub(") && before.ends_with(')');
    visible.then(|| rest.strip_suffix(';')).flatten().map(str::trim)
}

/// Where a module that `path` declares may stand.
fn places(path: &Path, name: &str) -> [PathBuf; 2] {
    let directory = path.parent().unwrap_or(Path::new(""));
    let own = ["lib.rs", "main.rs", "mod.rs", "build.rs"].iter().any(|root| path.ends_with(root));
    let stem = path.file_stem().unwrap_or_default();
    // A root under tests/ keeps its modules beside it.
    let base = if own || is_root(path) { directory.to_owned() } else { directory.join(stem) };
    [base.join(format!("{name}.rs")), base.join(name).join("mod.rs")]
}

#[cfg(test)]
mod tests {
    use super::super::rust;
    use super::*;

    #[test]
    fn what_a_root_reaches_is_not_an_orphan() {
        let files = [
            rust("crates/a/src/lib.rs", "mod b;\npub(crate) mod c;\n#[cfg(test)]\nmod tests;\n"),
            rust("crates/a/src/b.rs", "mod d;\n"),
            rust("crates/a/src/b/d.rs", ""),
            rust("crates/a/src/c/mod.rs", "pub mod e;"),
            rust("crates/a/src/c/e.rs", ""),
            rust("crates/a/src/tests.rs", ""),
            rust("crates/a/tests/it.rs", "mod common;"),
            rust("crates/a/tests/common/mod.rs", ""),
            rust("crates/a/src/bin/x.rs", ""),
            rust("crates/a/tests/e2e/main.rs", "mod drift;"),
            rust("crates/a/tests/e2e/drift.rs", ""),
        ];
        assert_eq!(orphans(&files), []);
    }

    #[test]
    fn what_nothing_reaches_is_an_orphan() {
        let files = [
            rust("crates/a/src/lib.rs", "// mod b;\nmod c {\n}\n"),
            rust("crates/a/src/b.rs", "mod d;"),
            rust("crates/a/src/b/d.rs", ""),
            rust("crates/a/tests/common/mod.rs", ""),
            rust("crates/a/src/x/tests/y.rs", ""),
        ];
        let found: Vec<_> = orphans(&files).into_iter().map(|breach| breach.file).collect();
        let expected = [
            "crates/a/src/b/d.rs",
            "crates/a/src/b.rs",
            "crates/a/src/x/tests/y.rs",
            "crates/a/tests/common/mod.rs",
        ];
        assert_eq!(found, expected.map(PathBuf::from));
    }
}
