//! A directory as git would have it: what the control plane would read of a repository with this content.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use lb_git::Globs;
use lb_vocab::{Blob, CommitId, Digest, Finding, Place, SafePath, Source, Tree};

/// Entries that are looked at, at most: a directory with more is not a producer's repository.
const MAX_ENTRIES: usize = 200_000;
/// Bytes that are read of a repository, at most.
const MAX_TOTAL: u64 = 256 << 20;
/// Directories inside directories, at most.
const MAX_DEPTH: usize = 64;
/// Not looked into: git's own, and what no repository holds.
const SKIPPED: [&str; 2] = [".git", "node_modules"];

/// A repository that was read from a directory.
pub(super) struct Checkout {
    /// Its files, at a commit id made from their content; absent where there is no directory.
    pub(super) source: Source<Tree>,
    /// What git could not hold.
    pub(super) findings: Vec<Finding>,
}

/// Reads `root` as the repository `name`: the files that match `globs`, each up to `max_bytes`.
///
/// # Errors
/// Where something cannot be read: an answer without it would look like a removal.
pub(super) fn read(root: &Path, name: &str, globs: &[&str], max_bytes: u64) -> Result<Checkout> {
    let metadata = match fs::symlink_metadata(root) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Checkout { source: Source::Absent(None), findings: Vec::new() });
        }
        Err(error) => return Err(error).with_context(|| format!("look at {}", root.display())),
    };
    if metadata.is_symlink() {
        bail!(
            "{} is a symbolic link: name the directory that holds the repositories themselves",
            root.display()
        );
    }
    if !metadata.is_dir() {
        bail!("{} is not a directory: it should be a checkout of the repository `{name}`", root.display());
    }
    let globs = Globs::new(globs).context("compile the globs of a repository")?;
    let mut walk =
        Walk { name, globs, max_bytes, entries: 0, total: 0, tree: Tree::default(), findings: Vec::new() };
    walk.directory(root, "", 0)?;
    let commit = commit(&walk.tree)?;
    Ok(Checkout { source: Source::Known(walk.tree, commit), findings: walk.findings })
}

/// Reads one file as a repository that holds it alone, as `name`.
///
/// # Errors
/// Where it cannot be read: the user named it.
pub(super) fn read_file(path: &Path, name: &str, max_bytes: u64) -> Result<Source<Tree>> {
    let metadata = fs::metadata(path).with_context(|| format!("look at {}", path.display()))?;
    if !metadata.is_file() {
        bail!("{} is not a file", path.display());
    }
    let mut tree = Tree::default();
    tree.files.insert(name.parse()?, blob(path, &metadata, max_bytes)?);
    let commit = commit(&tree)?;
    Ok(Source::Known(tree, commit))
}

struct Walk<'a> {
    name: &'a str,
    globs: Globs,
    max_bytes: u64,
    entries: usize,
    total: u64,
    tree: Tree,
    findings: Vec<Finding>,
}

impl Walk<'_> {
    fn directory(&mut self, directory: &Path, inside: &str, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            bail!("{} is more than {MAX_DEPTH} directories deep: this is no checkout", directory.display());
        }
        for path in sorted(directory)? {
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                bail!("{} holds more than {MAX_ENTRIES} files: this is no checkout", self.name);
            }
            let Some(path) = path else {
                self.unusable(inside, "a file's name is not UTF-8: rename it");
                continue;
            };
            let file_name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if SKIPPED.contains(&file_name) {
                continue;
            }
            let inside =
                if inside.is_empty() { file_name.to_owned() } else { format!("{inside}/{file_name}") };
            self.entry(&path, &inside, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, inside: &str, depth: usize) -> Result<()> {
        let metadata = fs::symlink_metadata(path).with_context(|| format!("look at {}", path.display()))?;
        if metadata.is_dir() {
            if path.join(".git").symlink_metadata().is_ok() {
                self.insert(inside, || Ok(Blob::Submodule))
            } else if self.globs.may_match_below(inside) {
                self.directory(path, inside, depth + 1)
            } else {
                Ok(())
            }
        } else if metadata.is_symlink() {
            self.insert(inside, || Ok(Blob::Symlink))
        } else if metadata.is_file() {
            if self.globs.matches(inside) {
                self.total += metadata.len().min(self.max_bytes);
            }
            if self.total > MAX_TOTAL {
                bail!("{} holds more than {} MiB in files that are read", self.name, MAX_TOTAL >> 20);
            }
            let max_bytes = self.max_bytes;
            self.insert(inside, || blob(path, &metadata, max_bytes))
        } else {
            // A socket, a pipe or a device: git does not see it either.
            Ok(())
        }
    }

    fn insert(&mut self, inside: &str, blob: impl FnOnce() -> Result<Blob>) -> Result<()> {
        if !self.globs.matches(inside) {
            return Ok(());
        }
        match inside.parse::<SafePath>() {
            Ok(path) => {
                self.tree.files.insert(path, blob()?);
            }
            Err(error) => self.unusable(inside, &format!("it is left out: {error}")),
        }
        Ok(())
    }

    fn unusable(&mut self, inside: &str, why: &str) {
        let place = Place::file(format!("{}/{inside}", self.name));
        self.findings.push(Finding::warning("FileName", place, why));
    }
}

/// A directory's entries by name; `None` for a name that is not UTF-8.
fn sorted(directory: &Path) -> Result<Vec<Option<PathBuf>>> {
    let reading = || format!("read the directory {}", directory.display());
    let entries = fs::read_dir(directory).with_context(reading)?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.with_context(reading)?.path();
        paths.push(path.to_str().is_some().then_some(path));
    }
    paths.sort();
    Ok(paths)
}

fn blob(path: &Path, metadata: &Metadata, max_bytes: u64) -> Result<Blob> {
    if metadata.len() > max_bytes {
        return Ok(Blob::TooLarge { size: metadata.len() });
    }
    let reading = || format!("read {} (git could not add it either)", path.display());
    let mut content = Vec::new();
    // The file may have grown since it was looked at.
    File::open(path)
        .with_context(reading)?
        .take(max_bytes + 1)
        .read_to_end(&mut content)
        .with_context(reading)?;
    let size = content.len() as u64;
    Ok(if size > max_bytes { Blob::TooLarge { size } } else { Blob::File(content) })
}

/// An id that stands for this content, as a commit's would: the same files have the same one.
fn commit(tree: &Tree) -> Result<CommitId> {
    let mut parts = Vec::new();
    for (path, blob) in &tree.files {
        parts.push(path.to_string());
        parts.push(match blob {
            Blob::File(content) => Digest::of(content).to_string(),
            Blob::Symlink => "symlink".to_owned(),
            Blob::Submodule => "submodule".to_owned(),
            Blob::TooLarge { size } => format!("{size} bytes"),
        });
    }
    let digest = Digest::of_parts(parts.iter().map(String::as_bytes));
    Ok(digest.first(40).parse()?)
}
