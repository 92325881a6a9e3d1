//! The directories of a commit, as they are in git: every entry, also those whose names no API can say.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::object::ObjectId;

/// A regular file.
pub(crate) const FILE: u32 = 0o100_644;
/// A regular file that can be run.
const PROGRAM: u32 = 0o100_755;
const DIRECTORY: u32 = 0o040_000;
const SYMLINK: u32 = 0o120_000;

/// What is at a path that is no directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) mode: u32,
    pub(crate) id: ObjectId,
}

impl Leaf {
    /// A regular file.
    pub(crate) fn is_file(self) -> bool {
        self.mode & 0o170_000 == FILE & 0o170_000
    }

    /// A symbolic link.
    pub(crate) fn is_symlink(self) -> bool {
        self.mode & 0o170_000 == SYMLINK
    }

    /// A file with this content in place of what was there: who could run it still can.
    pub(crate) fn with_content(before: Option<Self>, id: ObjectId) -> Self {
        let mode = before.map_or(FILE, |leaf| if leaf.mode == PROGRAM { PROGRAM } else { FILE });
        Self { mode, id }
    }
}

/// Something in a directory.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Leaf(Leaf),
    Directory(Arc<Directory>),
}

/// A directory. Clones share what is below them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    entries: BTreeMap<Vec<u8>, Node>,
    /// Its object; `None` where it was changed since it was written.
    id: Option<ObjectId>,
}

/// Why an entry cannot stand at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// A part before the last is a file, a symbolic link or a submodule.
    NotADirectory,
    /// A directory stands there.
    IsADirectory,
}

/// What `git ls-tree -r -t -z -l --full-tree` printed.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) root: Directory,
    /// Every entry that is no directory, with the size of a file.
    pub(crate) leaves: Vec<(Vec<u8>, Leaf, u64)>,
}

impl Listing {
    /// Reads it; `None` where it is something else. `root` is the object of the commit's own directory.
    pub(crate) fn parse(output: &[u8], root: ObjectId) -> Option<Self> {
        let mut listing = Self::default();
        for line in output.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
            let tab = line.iter().position(|byte| *byte == b'\t')?;
            let (about, path) = (std::str::from_utf8(&line[..tab]).ok()?, &line[tab + 1..]);
            let mut words = about.split_ascii_whitespace();
            let mode = u32::from_str_radix(words.next()?, 8).ok()?;
            let (_kind, id) = (words.next()?, ObjectId::parse(words.next()?)?);
            let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
            if mode & 0o170_000 == DIRECTORY {
                listing.root.insert(
                    &parts,
                    Node::Directory(Arc::new(Directory { id: Some(id), ..Directory::default() })),
                )?;
            } else {
                let leaf = Leaf { mode, id };
                listing.root.insert(&parts, Node::Leaf(leaf))?;
                listing.leaves.push((path.to_owned(), leaf, words.next()?.parse().unwrap_or_default()));
            }
        }
        listing.root.id = Some(root);
        Some(listing)
    }
}

impl Directory {
    /// Puts a node where it was listed, without touching what objects are known.
    fn insert(&mut self, parts: &[&[u8]], node: Node) -> Option<()> {
        let (first, rest) = parts.split_first()?;
        if rest.is_empty() {
            self.entries.insert(first.to_vec(), node);
            return Some(());
        }
        match self.entries.get_mut(*first)? {
            Node::Directory(below) => Arc::make_mut(below).insert(rest, node),
            Node::Leaf(_) => None,
        }
    }

    /// What is at a path.
    pub(crate) fn get(&self, path: &[u8]) -> Option<&Node> {
        let mut here = self;
        let mut parts = path.split(|byte| *byte == b'/').peekable();
        while let Some(part) = parts.next() {
            let node = here.entries.get(part)?;
            match node {
                _ if parts.peek().is_none() => return Some(node),
                Node::Directory(below) => here = below,
                Node::Leaf(_) => return None,
            }
        }
        None
    }

    /// The file, link or submodule at a path.
    pub(crate) fn leaf(&self, path: &[u8]) -> Option<Leaf> {
        match self.get(path)? {
            Node::Leaf(leaf) => Some(*leaf),
            Node::Directory(_) => None,
        }
    }

    /// Puts a file at a path, or removes what is there; directories are made, and go when they are empty.
    pub(crate) fn set(&mut self, path: &[u8], leaf: Option<Leaf>) -> Result<(), Obstacle> {
        let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        self.set_parts(&parts, leaf)
    }

    fn set_parts(&mut self, parts: &[&[u8]], leaf: Option<Leaf>) -> Result<(), Obstacle> {
        let Some((first, rest)) = parts.split_first() else { return Ok(()) };
        if rest.is_empty() {
            match (self.entries.get(*first), leaf) {
                (Some(Node::Directory(_)), _) => return Err(Obstacle::IsADirectory),
                (Some(Node::Leaf(before)), Some(leaf)) if *before == leaf => return Ok(()),
                (Some(Node::Leaf(_)) | None, Some(leaf)) => {
                    self.entries.insert(first.to_vec(), Node::Leaf(leaf));
                }
                (Some(Node::Leaf(_)), None) => {
                    self.entries.remove(*first);
                }
                (None, None) => return Ok(()),
            }
            self.id = None;
            return Ok(());
        }
        match self.entries.get_mut(*first) {
            Some(Node::Leaf(_)) => return Err(Obstacle::NotADirectory),
            Some(Node::Directory(below)) => {
                Arc::make_mut(below).set_parts(rest, leaf)?;
                if below.entries.is_empty() {
                    self.entries.remove(*first);
                }
            }
            None if leaf.is_none() => return Ok(()),
            None => {
                let mut below = Self::default();
                below.set_parts(rest, leaf)?;
                self.entries.insert(first.to_vec(), Node::Directory(Arc::new(below)));
            }
        }
        self.id = None;
        Ok(())
    }

    /// Its object; every directory that was changed is given to `write` first.
    pub(crate) fn write<E>(
        &mut self,
        write: &mut impl FnMut(&[u8]) -> Result<ObjectId, E>,
    ) -> Result<ObjectId, E> {
        if let Some(id) = self.id {
            return Ok(id);
        }
        let mut lines = Vec::with_capacity(self.entries.len());
        for (name, node) in &mut self.entries {
            // Git sorts directories as if their names ended with a slash.
            let (mode, id, sort) = match node {
                Node::Leaf(Leaf { mode, id }) => (*mode, *id, name.clone()),
                Node::Directory(below) => {
                    (DIRECTORY, Arc::make_mut(below).write(write)?, [name.as_slice(), b"/"].concat())
                }
            };
            lines.push((sort, mode, name, id));
        }
        lines.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut content = Vec::with_capacity(lines.len() * 48);
        for (_, mode, name, id) in lines {
            content.extend_from_slice(format!("{mode:o} ").as_bytes());
            content.extend_from_slice(name);
            content.push(0);
            content.extend_from_slice(&id.0);
        }
        let id = write(&content)?;
        self.id = Some(id);
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(byte: u8) -> Leaf {
        Leaf { mode: FILE, id: ObjectId([byte; 20]) }
    }

    #[test]
    fn files_and_directories_do_not_stand_in_each_others_place() {
        let mut root = Directory::default();
        root.set(b"a/b/c", Some(leaf(1))).unwrap();
        root.set(b"d", Some(leaf(2))).unwrap();
        assert_eq!(root.set(b"a/b", Some(leaf(3))), Err(Obstacle::IsADirectory));
        assert_eq!(root.set(b"d/e", Some(leaf(3))), Err(Obstacle::NotADirectory));
        assert_eq!(root.set(b"d/e", None), Err(Obstacle::NotADirectory));
        assert_eq!(root.set(b"x/y", None), Ok(()));
        assert_eq!((root.leaf(b"a/b/c"), root.leaf(b"a/b"), root.leaf(b"d/e")), (Some(leaf(1)), None, None));
        root.set(b"a/b/c", None).unwrap();
        assert!(root.get(b"a").is_none(), "empty directories are none");
    }

    #[test]
    fn a_clone_keeps_what_it_was() {
        let mut root = Directory::default();
        root.set(b"a/b", Some(leaf(1))).unwrap();
        let before = root.clone();
        root.set(b"a/b", Some(leaf(2))).unwrap();
        assert_eq!((before.leaf(b"a/b"), root.leaf(b"a/b")), (Some(leaf(1)), Some(leaf(2))));
    }
}
