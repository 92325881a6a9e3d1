//! Git objects: their ids, and their form on disk.
//!
//! Written here and not by `git`, because a save must not cost a process; the format is git's documented one
//! (`gitformat-loose`), and tests have the real `git` check it.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use lb_vocab::CommitId;
use sha1::{Digest, Sha1};

use super::WorkingError;

/// The id of an object (SHA-1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectId(pub(crate) [u8; 20]);

impl ObjectId {
    /// The id of the object with this content.
    pub(crate) fn of(kind: ObjectKind, content: &[u8]) -> Self {
        let header = kind.header(content);
        Self(Sha1::new().chain_update(&header).chain_update(content).finalize().into())
    }

    /// Reads 40 hex digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut id = [0; 20];
        hex::decode_to_slice(text, &mut id).ok()?;
        Some(Self(id))
    }

    /// The id of a commit; `None`: it is one of a repository with longer ids.
    pub(crate) fn of_commit(commit: &CommitId) -> Option<Self> {
        Self::parse(commit.as_str())
    }

    /// As a commit's id.
    pub(crate) fn commit(self) -> Result<CommitId, WorkingError> {
        let broken = |error: lb_vocab::TextError| WorkingError::broken("make a commit", error);
        self.to_string().parse().map_err(broken)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What kind of object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ObjectKind {
    Blob,
    Tree,
    Commit,
}

impl ObjectKind {
    /// What stands before the content.
    fn header(self, content: &[u8]) -> String {
        let kind = match self {
            Self::Blob => "blob",
            Self::Tree => "tree",
            Self::Commit => "commit",
        };
        format!("{kind} {}\0", content.len())
    }
}

/// An object in the form in which it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) id: ObjectId,
    pub(crate) compressed: Vec<u8>,
}

impl Object {
    /// The object with this content.
    pub(crate) fn new(kind: ObjectKind, content: &[u8]) -> io::Result<Self> {
        let header = kind.header(content);
        let mut encoder = ZlibEncoder::new(Vec::with_capacity(content.len() / 2 + 64), Compression::fast());
        encoder.write_all(header.as_bytes())?;
        encoder.write_all(content)?;
        Ok(Self { id: ObjectId::of(kind, content), compressed: encoder.finish()? })
    }

    fn path(&self, repository: &Path) -> PathBuf {
        let name = self.id.to_string();
        repository.join("objects").join(&name[..2]).join(&name[2..])
    }

    /// Writes it where it is not there yet. It is not synced: the journal has it.
    pub(crate) fn write(&self, repository: &Path) -> io::Result<()> {
        let path = self.path(repository);
        if path.exists() { Ok(()) } else { self.replace(&path) }
    }

    /// Writes it where it is missing or damaged.
    pub(crate) fn repair(&self, repository: &Path) -> io::Result<()> {
        let path = self.path(repository);
        match fs::read(&path) {
            Ok(found) if found == self.compressed => Ok(()),
            Ok(_) | Err(_) => self.replace(&path),
        }
    }

    fn replace(&self, path: &Path) -> io::Result<()> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        // Git knows files of this name as what a crash may leave, and removes them.
        let temporary = path.with_file_name(format!("tmp_obj_{}", self.id));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o444)
            .open(&temporary)
            .or_else(|_| {
                fs::remove_file(&temporary)?;
                fs::OpenOptions::new().write(true).create_new(true).mode(0o444).open(&temporary)
            })?;
        file.write_all(&self.compressed)?;
        fs::rename(temporary, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn git_reads_what_is_written_and_damage_is_mended() {
        let git = lb_testkit::git::Git::new();
        let directory = tempfile::tempdir().unwrap();
        git.init_bare(directory.path()).await;
        let object = Object::new(ObjectKind::Blob, b"hello\n").unwrap();
        assert_eq!(object.id.to_string(), "ce013625030ba8dba906f756967f9e9ca394464a");
        object.write(directory.path()).unwrap();
        object.write(directory.path()).unwrap();
        let show = ["cat-file", "blob", "ce013625030ba8dba906f756967f9e9ca394464a"];
        assert_eq!(git.run(directory.path(), &show).await, "hello");
        fs::remove_file(object.path(directory.path())).unwrap();
        fs::write(object.path(directory.path()), "").unwrap();
        object.repair(directory.path()).unwrap();
        assert_eq!(git.run(directory.path(), &show).await, "hello");
        git.run(directory.path(), &["fsck", "--strict"]).await;
    }
}
