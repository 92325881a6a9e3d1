//! Files that are generated from the code, and whether they are current.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use crate::command::{cargo, output, root};
use crate::say::say;

/// A generated file: its place in the checkout and its content.
pub(crate) struct Generated {
    /// The file.
    pub(crate) path: PathBuf,
    /// What must stand in it.
    pub(crate) content: String,
}

/// Every generated file. Compiles what they are generated from.
pub(crate) fn all() -> Result<Vec<Generated>> {
    say("generating documents and definitions from the code");
    let documents = output(&mut cargo(&["run", "--quiet", "--package", "xtask", "--example", "documents"]))?;
    let documents: Map<String, Value> =
        serde_json::from_str(&documents).context("read the generated documents")?;
    let mut files: Vec<Generated> = documents
        .into_iter()
        .map(|(path, content)| Generated {
            path: path.into(),
            content: content.as_str().unwrap_or_default().to_owned(),
        })
        .collect();
    let definitions =
        output(&mut cargo(&["run", "--quiet", "--package", "lunchbadger", "--", "crds", "print"]))?;
    let content = format!(
        "# Generated from the code by `cargo xtask generate`; `lunchbadger crds apply` applies the same.\n{definitions}"
    );
    files.push(Generated { path: "deploy/crds.yaml".into(), content });
    Ok(files)
}

/// Writes those that are not current.
pub(crate) fn write() -> Result<()> {
    for file in stale(&root(), &all()?) {
        let path = root().join(&file.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        }
        fs::write(&path, &file.content).with_context(|| format!("write {}", path.display()))?;
        say(&format!("wrote {}", file.path.display()));
    }
    Ok(())
}

/// Those whose file is missing or says something else.
pub(crate) fn stale<'a>(root: &Path, files: &'a [Generated]) -> Vec<&'a Generated> {
    files
        .iter()
        .filter(|file| fs::read_to_string(root.join(&file.path)).ok().as_ref() != Some(&file.content))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_or_is_missing_is_stale() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "same").unwrap();
        fs::write(root.path().join("b"), "old").unwrap();
        let files = [("a", "same"), ("b", "new"), ("c", "new")]
            .map(|(path, content)| Generated { path: path.into(), content: content.into() });
        let names: Vec<_> = stale(root.path(), &files).iter().map(|file| file.path.clone()).collect();
        assert_eq!(names, [PathBuf::from("b"), PathBuf::from("c")]);
    }
}
