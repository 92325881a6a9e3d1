//! Files that are generated from the code, and whether they are current.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::command::root;
use crate::say::say;

/// A generated file: its place in the checkout and its content.
pub(crate) struct Generated {
    /// The file.
    pub(crate) path: PathBuf,
    /// What must stand in it.
    pub(crate) content: String,
}

/// Every generated file.
pub(crate) fn all() -> Result<Vec<Generated>> {
    Ok(Vec::new())
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
