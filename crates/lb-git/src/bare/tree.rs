//! Many files at one commit.
//!
//! One process per call: git resolves the commit and hands over the trees on the way to what is wanted, and no
//! others; sizes are known before anything is read.

use std::collections::{BTreeMap, BTreeSet};

use lb_vocab::{Blob, CommitId, SafePath, Tree};

use super::objects::Objects;
use crate::error::{HostError, Kind};
use crate::globs::Globs;
use crate::process::ProcessError;

/// Directories that are read at most; a tree may name itself's subtrees over and over.
const MAX_TREES: usize = 20_000;
/// Directories' content that is read at most, bytes.
const MAX_TREE_BYTES: u64 = 64 << 20;
/// Files that are answered at most.
const MAX_FILES: usize = 20_000;
/// A path at most, bytes; as in `SafePath`.
const MAX_PATH: usize = 1024;

/// One entry of a directory.
struct Entry {
    mode: Mode,
    path: String,
    id: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Directory,
    File,
    Symlink,
    Submodule,
}

/// What is wanted.
pub(crate) struct Wanted<'a> {
    /// For messages: `read customer-al/dev`.
    pub(crate) doing: &'a str,
    /// Which files.
    pub(crate) globs: &'a Globs,
    /// Larger files are listed, not read.
    pub(crate) max_bytes: u64,
    /// All contents together.
    pub(crate) max_total: u64,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Found {
    /// The files.
    pub(crate) tree: Tree,
    /// Files whose content this repository does not have, with the contents' ids.
    pub(crate) missing: Vec<(SafePath, String)>,
}

impl Found {
    /// All of it, where the repository has everything.
    pub(crate) fn whole(self, doing: &str) -> Result<Tree, HostError> {
        match self.missing.first() {
            None => Ok(self.tree),
            Some((path, _)) => Err(HostError::malformed(doing, format!("{path} is missing"))),
        }
    }
}

/// The commit to which an id leads (an annotated tag leads to one), with its tree's id.
pub(crate) async fn commit(
    objects: &mut Objects,
    doing: &str,
    id: &CommitId,
) -> Result<(CommitId, String), HostError> {
    let names = [format!("{id}^{{commit}}"), format!("{id}^{{tree}}")];
    let mut found = objects.info(&names).await.map_err(|error| error.host(doing))?.into_iter().flatten();
    match (found.next(), found.next()) {
        (Some(commit), Some(tree)) => {
            Ok((commit.id.parse().map_err(|error| HostError::malformed(doing, error))?, tree.id))
        }
        (None, _) | (_, None) => Err(HostError::not_found(Kind::Commit, id)),
    }
}

/// The commit alone, where directories were left out.
pub(crate) async fn commit_id(
    objects: &mut Objects,
    doing: &str,
    id: &CommitId,
) -> Result<CommitId, HostError> {
    let names = [format!("{id}^{{commit}}")];
    let found = objects.info(&names).await.map_err(|error| error.host(doing))?.into_iter().flatten().next();
    let commit = found.ok_or_else(|| HostError::not_found(Kind::Commit, id))?;
    commit.id.parse().map_err(|error| HostError::malformed(doing, error))
}

/// Ids of all wanted files below a tree, each once.
pub(crate) async fn blobs(
    objects: &mut Objects,
    root: String,
    wanted: &Wanted<'_>,
) -> Result<BTreeSet<String>, HostError> {
    let entries = list(objects, root, wanted).await?;
    Ok(entries.into_values().filter(|entry| entry.mode == Mode::File).map(|entry| entry.id).collect())
}

/// All wanted files below a tree.
pub(crate) async fn read(
    objects: &mut Objects,
    root: String,
    wanted: &Wanted<'_>,
) -> Result<Found, HostError> {
    let entries = list(objects, root, wanted).await?;
    let failed = |error: ProcessError| error.host(wanted.doing);
    let ids: Vec<&str> =
        entries.iter().filter(|(_, entry)| entry.mode == Mode::File).map(|(_, entry)| &*entry.id).collect();
    let mut infos = objects.info(&ids).await.map_err(failed)?.into_iter();
    let mut files = BTreeMap::new();
    let (mut total, mut small, mut missing) = (0, Vec::new(), Vec::new());
    for (path, entry) in entries {
        let blob = match entry.mode {
            Mode::Symlink => Blob::Symlink,
            Mode::Submodule => Blob::Submodule,
            Mode::Directory => continue,
            Mode::File => match infos.next().flatten().filter(|info| info.kind == "blob") {
                None => {
                    missing.push((path, entry.id));
                    continue;
                }
                Some(info) if info.size > wanted.max_bytes => Blob::TooLarge { size: info.size },
                Some(info) => {
                    total += info.size;
                    small.push((path, entry.id));
                    continue;
                }
            },
        };
        files.insert(path, blob);
    }
    if total > wanted.max_total {
        return Err(HostError::TooLarge {
            what: format!("{}: all files together", wanted.doing),
            limit: wanted.max_total,
        });
    }
    let ids: Vec<&str> = small.iter().map(|(_, id)| &**id).collect();
    let contents = objects.contents(&ids).await.map_err(failed)?;
    files.extend(small.into_iter().map(|(path, _)| path).zip(contents.into_iter().map(Blob::File)));
    Ok(Found { tree: Tree { files }, missing })
}

/// Every wanted entry, level by level.
async fn list(
    objects: &mut Objects,
    root: String,
    wanted: &Wanted<'_>,
) -> Result<BTreeMap<SafePath, Entry>, HostError> {
    let failed = |error: ProcessError| error.host(wanted.doing);
    let too_large =
        |what: &str, limit| HostError::TooLarge { what: format!("{}: {what}", wanted.doing), limit };
    let mut found = BTreeMap::new();
    let mut level = vec![(String::new(), root)];
    let (mut trees, mut bytes) = (0, 0);
    while !level.is_empty() {
        let ids: Vec<&str> = level.iter().map(|(_, id)| &**id).collect();
        trees += ids.len();
        bytes +=
            objects.info(&ids).await.map_err(failed)?.iter().flatten().map(|info| info.size).sum::<u64>();
        if trees > MAX_TREES || bytes > MAX_TREE_BYTES {
            return Err(too_large("its directories", MAX_TREE_BYTES));
        }
        let contents = objects.contents(&ids).await.map_err(failed)?;
        let mut next = Vec::new();
        for ((path, id), content) in level.iter().zip(&contents) {
            let entries = parse(content, path, id.len() / 2)
                .ok_or_else(|| HostError::malformed(wanted.doing, format!("the tree {id} is damaged")))?;
            for entry in entries {
                if entry.mode == Mode::Directory {
                    if wanted.globs.may_match_below(&entry.path) {
                        next.push((entry.path, entry.id));
                    }
                } else if let Some(path) =
                    entry.path.parse().ok().filter(|_| wanted.globs.matches(&entry.path))
                {
                    found.insert(path, entry);
                }
            }
        }
        if found.len() > MAX_FILES {
            return Err(too_large("the number of matching files", MAX_FILES as u64));
        }
        level = next;
    }
    Ok(found)
}

/// The entries of a tree object: `<mode> <name>\0<id>`. Names that are not UTF-8 or lead to too long paths cannot be
/// asked for and are left out.
fn parse(mut content: &[u8], directory: &str, id_bytes: usize) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    while !content.is_empty() {
        let blank = content.iter().position(|byte| *byte == b' ')?;
        let (mode, rest) = (&content[..blank], &content[blank + 1..]);
        let end = rest.iter().position(|byte| *byte == 0)?;
        let (name, rest) = (&rest[..end], &rest[end + 1..]);
        let id = rest.get(..id_bytes)?;
        content = &rest[id_bytes..];
        // As a number: old tools wrote leading zeros, and 100664.
        let mode = match u32::from_str_radix(std::str::from_utf8(mode).ok()?, 8).ok()? & 0o170_000 {
            0o040_000 => Mode::Directory,
            0o100_000 => Mode::File,
            0o120_000 => Mode::Symlink,
            0o160_000 => Mode::Submodule,
            _unknown => return None,
        };
        let Ok(name) = std::str::from_utf8(name) else { continue };
        let path = if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
        if path.len() <= MAX_PATH {
            entries.push(Entry { mode, path, id: hex::encode(id) });
        }
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&content, "a", 20);
        }

        #[test]
        fn a_cut_off_tree_is_refused(names in proptest::collection::vec("[a-z]{1,9}", 1..5), cut in 1_usize..20) {
            let mut content = Vec::new();
            for name in &names {
                content.extend_from_slice(format!("100644 {name}\0").as_bytes());
                content.extend_from_slice(&[7; 20]);
            }
            prop_assert_eq!(parse(&content, "", 20).map(|entries| entries.len()), Some(names.len()));
            content.truncate(content.len() - cut);
            prop_assert!(parse(&content, "", 20).is_none());
        }
    }
}
