//! Snapshots that no test compares with any more.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use walkdir::WalkDir;

/// The `.snap` files that a complete run did not refer to (insta notes in `references` those it did), and those that
/// wait for a decision (`.snap.new`), relative to `root`.
pub(crate) fn unreferenced(root: &Path, references: &Path) -> Result<Vec<String>> {
    // No test with a snapshot: no file.
    let noted = fs::read_to_string(references).unwrap_or_default();
    let noted: BTreeSet<PathBuf> =
        noted.lines().map(|line| fs::canonicalize(line).unwrap_or_else(|_| PathBuf::from(line))).collect();
    let mut found = Vec::new();
    let visited = |name: &str| !["target", ".git", "node_modules"].contains(&name);
    for entry in
        WalkDir::new(root).into_iter().filter_entry(|entry| entry.file_name().to_str().is_none_or(visited))
    {
        let entry = entry.context("look for snapshots")?;
        let name = entry.file_name().to_string_lossy();
        let pending = name.ends_with(".snap.new") || name.ends_with(".pending-snap");
        let path = fs::canonicalize(entry.path()).unwrap_or_else(|_| entry.path().to_owned());
        if pending || name.ends_with(".snap") && !noted.contains(&path) {
            let shown = entry.path().strip_prefix(root).unwrap_or(entry.path());
            found.push(shown.display().to_string());
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_referred_to_may_stay() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        write("a.snap", "");
        write("b.snap", "");
        write("c.snap.new", "");
        fs::create_dir(root.path().join("target")).unwrap();
        write("target/d.snap", "");
        write("references", &format!("{}\n", root.path().join("a.snap").display()));
        assert_eq!(
            unreferenced(root.path(), &root.path().join("references")).unwrap(),
            ["b.snap", "c.snap.new"]
        );
    }
}
