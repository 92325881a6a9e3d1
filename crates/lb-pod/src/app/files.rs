//! The files of the project in the app's directory.
//!
//! The app may have put anything anywhere: links, pipes, directories in a file's place. So no name is ever opened but as a
//! directory that is none of a link; a file is made new beside the others and moved to its place. What the app or npm made
//! and no commit names is left alone.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use lb_vocab::SafePath;
use sha2::{Digest, Sha256};

/// A file while it is written.
const NEW: &str = ".lunchbadger-new";
/// What npm owns.
const PACKAGES: &str = "node_modules";

/// The directory, and what was written there.
pub(super) struct Files {
    root: Dir,
    written: BTreeMap<SafePath, [u8; 32]>,
}

impl Files {
    /// Opens the directory.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let root = Dir::open_ambient_dir(path, ambient_authority())?;
        Ok(Self { root, written: BTreeMap::new() })
    }

    /// Writes a file where it is not what was written last; answers whether it did. It blocks.
    pub(super) fn write(&mut self, path: &SafePath, content: &[u8]) -> io::Result<bool> {
        let digest = Sha256::digest(content).into();
        if is_packages(path) || self.written.get(path) == Some(&digest) {
            return Ok(false);
        }
        let directory = self.directory(path, true)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).follow(FollowSymlinks::No);
        clear(&directory, NEW)?;
        let mut file = directory.open_with(NEW, &options)?;
        file.write_all(content)?;
        drop(file);
        if directory.symlink_metadata(path.file_name()).is_ok_and(|there| there.is_dir()) {
            directory.remove_dir_all(path.file_name())?;
        }
        directory.rename(NEW, &directory, path.file_name())?;
        self.written.insert(path.clone(), digest);
        Ok(true)
    }

    /// Files that were written and that `keep` does not want any more.
    pub(super) fn gone(&self, keep: impl Fn(&SafePath) -> bool) -> Vec<SafePath> {
        self.written.keys().filter(|path| !keep(path)).cloned().collect()
    }

    /// Removes a file that was written, and directories that are empty then. It blocks.
    pub(super) fn remove(&mut self, path: &SafePath) -> io::Result<()> {
        self.written.remove(path);
        let mut parent = match self.directory(path, false) {
            Ok(directory) => {
                clear(&directory, path.file_name())?;
                path.parent().map(str::to_owned)
            }
            // The app removed the directory itself, or led it elsewhere.
            Err(_) => return Ok(()),
        };
        while let Some(path) = parent.as_deref().and_then(|parent| parent.parse::<SafePath>().ok()) {
            let empty = self.directory(&path, false)?.remove_dir(path.file_name());
            if empty.is_err() {
                break;
            }
            parent = path.parent().map(str::to_owned);
        }
        Ok(())
    }

    /// Removes what npm installed. It blocks.
    pub(super) fn remove_packages(&self) -> io::Result<()> {
        clear(&self.root, PACKAGES)
    }

    /// Whether there is anything that npm installed.
    pub(super) fn has_packages(&self) -> bool {
        self.root.symlink_metadata(PACKAGES).is_ok_and(|there| there.is_dir())
    }

    /// Copies a directory of packages to where npm has its own. It blocks.
    pub(super) fn copy_packages(&self, from: &Path) -> io::Result<()> {
        let from = Dir::open_ambient_dir(from, ambient_authority())?;
        clear(&self.root, PACKAGES)?;
        self.root.create_dir(PACKAGES)?;
        copy(&from, &self.root.open_dir_nofollow(PACKAGES)?)
    }

    /// A small file among the packages, which goes with them.
    pub(super) fn read_mark(&self, name: &str) -> Option<String> {
        self.root.open_dir_nofollow(PACKAGES).ok()?.read_to_string(name).ok()
    }

    /// Writes one.
    pub(super) fn write_mark(&self, name: &str, text: &str) -> io::Result<()> {
        let packages = self.root.open_dir_nofollow(PACKAGES)?;
        clear(&packages, name)?;
        packages.write(name, text)
    }

    /// The directory in which a path's last part is. Where `make`, whatever stands in a directory's place gives way to one.
    fn directory(&self, path: &SafePath, make: bool) -> io::Result<Dir> {
        let mut here = self.root.try_clone()?;
        for part in path.parent().into_iter().flat_map(|parent| parent.split('/')) {
            let below = match here.open_dir_nofollow(part) {
                Err(_) if make => {
                    clear(&here, part)?;
                    here.create_dir(part)?;
                    here.open_dir_nofollow(part)
                }
                opened => opened,
            };
            here = below?;
        }
        Ok(here)
    }
}

fn is_packages(path: &SafePath) -> bool {
    path.as_str().split('/').next() == Some(PACKAGES)
}

/// Leaves nothing of this name.
fn clear(directory: &Dir, name: &str) -> io::Result<()> {
    match directory.symlink_metadata(name) {
        Ok(there) if there.is_dir() => directory.remove_dir_all(name),
        Ok(_) => directory.remove_file(name),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Copies directories, files with what they may be, and links as they are: `.bin` consists of such.
fn copy(from: &Dir, to: &Dir) -> io::Result<()> {
    for entry in from.entries()? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        if kind.is_dir() {
            to.create_dir(&name)?;
            copy(&from.open_dir_nofollow(&name)?, &to.open_dir_nofollow(&name)?)?;
        } else if kind.is_symlink() {
            to.symlink_contents(from.read_link_contents(&name)?, &name)?;
        } else if kind.is_file() {
            from.copy(&name, to, &name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn path(text: &str) -> SafePath {
        text.parse().unwrap()
    }

    #[test]
    fn what_the_app_planted_is_replaced_and_never_followed() {
        let (outside, inside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(outside.path().join("kept"), "kept").unwrap();
        let app = inside.path();
        symlink(outside.path(), app.join("server")).unwrap();
        symlink(outside.path().join("kept"), app.join("index.js")).unwrap();
        symlink(outside.path().join("kept"), app.join(NEW)).unwrap();
        std::fs::create_dir_all(app.join("common/x")).unwrap();
        std::fs::write(app.join("file"), "in the way").unwrap();
        let mut files = Files::open(app).unwrap();
        for name in ["server/kept", "index.js", "common", "file/below"] {
            assert!(files.write(&path(name), name.as_bytes()).unwrap(), "{name}");
            assert_eq!(std::fs::read_to_string(app.join(name)).unwrap(), name);
            assert!(!files.write(&path(name), name.as_bytes()).unwrap(), "{name} is as it was");
        }
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
        assert_eq!(std::fs::read_to_string(outside.path().join("kept")).unwrap(), "kept");
        assert!(!files.write(&path("node_modules/x.js"), b"x").unwrap(), "that is npm's");
    }

    #[test]
    fn what_is_gone_is_removed_with_its_empty_directories_and_nothing_else() {
        let (outside, inside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(outside.path().join("b"), "kept").unwrap();
        let mut files = Files::open(inside.path()).unwrap();
        for name in ["a/b", "c/d/e", "c/f", "g/h"] {
            files.write(&path(name), b"x").unwrap();
        }
        std::fs::write(inside.path().join("g/own"), "the app's").unwrap();
        // The app leads a directory elsewhere: nothing is removed there.
        std::fs::remove_dir_all(inside.path().join("a")).unwrap();
        symlink(outside.path(), inside.path().join("a")).unwrap();
        let gone = files.gone(|path| path.as_str() == "c/f");
        assert_eq!(gone.len(), 3);
        for path in gone {
            files.remove(&path).unwrap();
        }
        assert!(inside.path().join("c/f").exists() && !inside.path().join("c/d").exists());
        assert!(inside.path().join("g/own").exists() && !inside.path().join("g/h").exists());
        assert!(outside.path().join("b").exists());
    }
}
