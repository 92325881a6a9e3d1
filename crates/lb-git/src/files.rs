//! Files that are whole or not there, whatever happens.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::HostError;

/// Runs file work away from the threads that serve requests.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HostError> + Send + 'static,
) -> Result<T, HostError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            Err(HostError::Io { doing: "work on the data directory".to_owned(), source: error.into() })
        }
    }
}

/// Writes a JSON file so that after a crash either the old or the new content stands, on disk when this returns.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), HostError> {
    let doing = || format!("write {}", path.display());
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| HostError::io(doing())(error.into()))?;
    text.push(b'\n');
    replace(path, &text).map_err(HostError::io(doing()))
}

/// Reads a JSON file; `None` where there is none.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, HostError> {
    let doing = || format!("read {}", path.display());
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(HostError::io(doing())(error)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| HostError::malformed(doing(), error))
}

/// Replaces a file's content at once and durably.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_parent(path)
}

/// Moves a file or directory durably.
pub(crate) fn move_to(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_parent(to)?;
    sync_parent(from)
}

/// Removes a directory with all it holds; fine where there is none.
pub(crate) fn remove_all(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes a directory that is empty.
pub(crate) fn empty(directory: &Path) -> Result<(), HostError> {
    let doing = || format!("empty {}", directory.display());
    remove_all(directory).map_err(HostError::io(doing()))?;
    fs::create_dir_all(directory).map_err(HostError::io(doing()))
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_written_file_is_an_error_and_a_missing_one_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.json");
        assert_eq!(read_json::<Vec<u8>>(&path).unwrap(), None);
        write_json(&path, &[1, 2]).unwrap();
        assert_eq!(read_json::<Vec<u8>>(&path).unwrap(), Some(vec![1, 2]));
        fs::write(&path, "[1,").unwrap();
        assert!(matches!(read_json::<Vec<u8>>(&path), Err(HostError::Malformed { .. })));
    }
}
