//! Files of a repository at one commit.

use std::collections::BTreeMap;

use crate::SafePath;

/// One entry that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blob {
    /// A regular file's content.
    File(Vec<u8>),
    /// A symbolic link where a file is wanted.
    Symlink,
    /// A submodule where a file is wanted.
    Submodule,
    /// A file that is larger than was asked for; it was not read.
    TooLarge {
        /// Its size, bytes.
        size: u64,
    },
}

/// The files of one repository at one commit that matched what was asked for. A path that is not listed is proven
/// absent at that commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// By path, sorted.
    pub files: BTreeMap<SafePath, Blob>,
}

impl Tree {
    /// The entry at this path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Blob> {
        path.parse::<SafePath>().ok().and_then(|path| self.files.get(&path))
    }
}
