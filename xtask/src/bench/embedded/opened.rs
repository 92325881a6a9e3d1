//! Which repositories are opened, by whomever, as the kernel tells it: nobody of ours is asked.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};
use rustix::io::Errno;

/// Watched repositories.
pub(super) struct Opened(OwnedFd);

impl Opened {
    /// Watches these from now on. A watch is about what is directly in a directory, and whoever opens a repository opens
    /// something there.
    pub(super) fn watch<P: AsRef<Path>>(repositories: impl IntoIterator<Item = P>) -> Result<Self> {
        let watch = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).context("watch files")?;
        for repository in repositories {
            let path = repository.as_ref();
            add_watch(&watch, path, WatchFlags::OPEN).with_context(|| format!("watch {}", path.display()))?;
        }
        Ok(Self(watch))
    }

    /// How many of them were opened since; those that were told of before are not told again.
    pub(super) fn count(&self) -> Result<usize> {
        let mut buffer = [MaybeUninit::uninit(); 64 << 10];
        let mut events = Reader::new(&self.0, &mut buffer);
        let mut opened = BTreeSet::new();
        loop {
            match events.next() {
                Ok(event) => opened.insert(event.wd()),
                Err(Errno::AGAIN) => return Ok(opened.len()),
                Err(error) => return Err(error).context("read which files were opened"),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_that_is_opened_counts_once() {
        let [one, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        std::fs::write(one.path().join("HEAD"), "ref: refs/heads/master\n").unwrap();
        std::fs::create_dir(other.path().join("refs")).unwrap();
        let opened = Opened::watch([one.path(), other.path()]).unwrap();
        assert_eq!(opened.count().unwrap(), 0);
        std::fs::read(one.path().join("HEAD")).unwrap();
        std::fs::read(one.path().join("HEAD")).unwrap();
        assert_eq!(opened.count().unwrap(), 1);
        assert_eq!(std::fs::read_dir(other.path().join("refs")).unwrap().count(), 0);
        assert_eq!((opened.count().unwrap(), opened.count().unwrap()), (1, 0));
    }
}
