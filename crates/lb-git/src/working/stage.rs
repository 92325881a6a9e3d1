//! A commit while it is made: what it changes, before anything of the clone does.

use lb_vocab::{Blob, SafePath};

use super::commit::Moved;
use super::listing::{Directory, Leaf, Obstacle};
use super::object::{Object, ObjectId, ObjectKind};
use super::{MAX_FILE, StageError, WorkingError};

/// What a commit that is being made changes.
#[derive(Default)]
pub(super) struct Next {
    pub(super) root: Directory,
    pub(super) moved: Vec<Moved>,
    /// What is kept of the files' contents; `None`: the file is gone.
    pub(super) contents: Vec<(SafePath, Option<Blob>)>,
    pub(super) objects: Vec<Object>,
}

impl Next {
    /// Nothing yet, on these directories.
    pub(super) fn on(root: &Directory) -> Self {
        Self { root: root.clone(), ..Self::default() }
    }

    /// Puts a file at a path, or removes it.
    pub(super) fn change(&mut self, path: SafePath, content: Option<Vec<u8>>) -> Result<(), StageError> {
        let key = path.as_str().as_bytes();
        let before = self.root.leaf(key);
        if content.is_some() && before.is_some_and(|leaf| !leaf.is_file()) {
            return Err(StageError::NotAFile { path });
        }
        let object = content.as_ref().map(|content| Object::new(ObjectKind::Blob, content)).transpose();
        let object = object.map_err(WorkingError::io("make an object"))?;
        let after = object.as_ref().map(|object| Leaf::with_content(before, object.id));
        self.root.set(key, after).map_err(|obstacle| match obstacle {
            Obstacle::NotADirectory => StageError::NotADirectory { path: path.clone() },
            Obstacle::IsADirectory => StageError::IsADirectory { path: path.clone() },
        })?;
        if before == after {
            return Ok(());
        }
        self.objects.extend(object);
        match self.moved.iter_mut().find(|known| known.path == key) {
            Some(known) => known.after = after,
            None => self.moved.push(Moved { path: key.to_vec(), before, after }),
        }
        let blob = content.map(|content| match content.len() as u64 {
            size if size > MAX_FILE => Blob::TooLarge { size },
            _ => Blob::File(content),
        });
        self.contents.push((path, blob));
        Ok(())
    }
}

/// A directory's object, with those of every directory below it that changed.
pub(super) fn write_directories(
    root: &mut Directory,
    objects: &mut Vec<Object>,
) -> Result<ObjectId, WorkingError> {
    let mut write = |content: &[u8]| {
        let object = Object::new(ObjectKind::Tree, content)?;
        let id = object.id;
        objects.push(object);
        Ok::<_, std::io::Error>(id)
    };
    root.write(&mut write).map_err(WorkingError::io("make an object"))
}
