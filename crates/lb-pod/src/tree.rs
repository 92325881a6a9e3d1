//! Files as a tree: an object of names to texts, and to objects for directories.
//!
//! A name is checked before anything is looked at; a path of good names still cannot leave the repository, because files are
//! entries of a commit and not of a file system.

use http::StatusCode;
use lb_http::error::{ApiError, code};
use lb_vocab::{Blob, SafePath, Tree};
use serde_json::{Map, Value};

use crate::workspace::Changes;

/// A tree that is sent, bytes.
pub(crate) const BODY: usize = 32 << 20;
/// Files of one tree.
const MAX_FILES: usize = 5000;
/// Directories in each other.
const MAX_DEPTH: usize = 32;
/// A name, bytes: what file systems have.
const MAX_NAME: usize = 255;
/// Names that are not shown and not written, beside those that contain `.git`.
const HIDDEN: [&str; 4] = ["node_modules", "package-lock.json", "yarn.lock", "lunchbadger.json"];

fn is_hidden(name: &str) -> bool {
    HIDDEN.contains(&name) || name.to_ascii_lowercase().contains(".git")
}

/// The text files below a directory (`hello/`; empty: all) that are shown.
pub(crate) fn tree<'a>(
    files: impl IntoIterator<Item = (&'a SafePath, &'a Blob)>,
    directory: &str,
) -> Map<String, Value> {
    let mut root = Map::new();
    for (path, blob) in files {
        let Some(path) = path.as_str().strip_prefix(directory) else { continue };
        let Blob::File(content) = blob else { continue };
        let Ok(text) = std::str::from_utf8(content) else { continue };
        if path.split('/').any(is_hidden) {
            continue;
        }
        insert(&mut root, path, text);
    }
    root
}

fn insert(here: &mut Map<String, Value>, path: &str, text: &str) {
    let Some((directory, rest)) = path.split_once('/') else {
        here.insert(path.to_owned(), Value::String(text.to_owned()));
        return;
    };
    if let Value::Object(below) = here.entry(directory).or_insert_with(|| Value::Object(Map::new())) {
        insert(below, rest, text);
    }
}

/// 422 about a name.
pub(crate) fn refused(path: &str, why: &str) -> ApiError {
    let path: String = path.chars().take(200).collect();
    let message = format!("`{}` cannot be written: {why}", path.escape_debug());
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "FILE_REFUSED", message).named("ValidationError")
}

/// Whether a name can be written, as the last one of a path.
pub(crate) fn check(name: &str, path: &str) -> Result<(), ApiError> {
    let why = match name {
        "" => "a name is empty",
        "." | ".." => "`.` and `..` lead elsewhere",
        _ if name.len() > MAX_NAME => "a name is longer than 255 bytes",
        _ if name.contains(['/', '\\']) => "a name holds a separator of directories: nest objects instead",
        _ if name.chars().any(char::is_control) => "a name holds a control character",
        _ if is_hidden(name) => {
            "it is hidden here: change it with git, or through the API that it belongs to"
        }
        _ => return Ok(()),
    };
    Err(refused(path, why))
}

/// What a tree asks for: paths with texts, and paths of which nothing is to be left.
#[derive(Default)]
pub(crate) struct Wanted {
    texts: Vec<(SafePath, String)>,
    gone: Vec<SafePath>,
}

impl Wanted {
    /// Reads a tree that is to stand below a directory (`hello/`; empty: all).
    ///
    /// # Errors
    /// 422 where a name cannot be written, 413 where it has too many.
    pub(crate) fn of(directory: &str, tree: Map<String, Value>) -> Result<Self, ApiError> {
        let mut wanted = Self::default();
        wanted.walk(directory, tree, 0)?;
        Ok(wanted)
    }

    fn walk(&mut self, prefix: &str, tree: Map<String, Value>, depth: usize) -> Result<(), ApiError> {
        if depth > MAX_DEPTH {
            return Err(refused(prefix, "directories are nested too deeply"));
        }
        for (name, value) in tree {
            let path = format!("{prefix}{name}");
            check(&name, &path)?;
            let safe =
                || path.parse().map_err(|_| refused(&path, "the path is longer than 1024 bytes, or odd"));
            match value {
                Value::Object(below) => self.walk(&format!("{path}/"), below, depth + 1)?,
                Value::String(text) => self.texts.push((safe()?, text)),
                Value::Null => self.gone.push(safe()?),
                Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                    return Err(refused(&path, "it is neither a text, nor an object, nor null"));
                }
            }
            if self.texts.len() + self.gone.len() > MAX_FILES {
                let message = format!("a tree has at most {MAX_FILES} files");
                return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, code::TOO_LARGE, message));
            }
        }
        Ok(())
    }

    /// The changes that this is: what goes first, so that a file may take a directory's place.
    pub(crate) fn changes(self, files: &Tree) -> Changes {
        let Self { texts, gone } = self;
        let below = |path: &SafePath| {
            let prefix = format!("{path}/");
            files
                .files
                .keys()
                .filter(move |file| file.as_str().starts_with(&prefix))
                .cloned()
                .collect::<Vec<_>>()
        };
        let mut changes = Changes::new();
        for path in gone {
            changes.extend(below(&path).into_iter().map(|file| (file, None)));
            if files.files.contains_key(&path) {
                changes.push((path, None));
            }
        }
        changes.extend(texts.into_iter().map(|(path, text)| (path, Some(text.into_bytes()))));
        changes
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hidden_files_and_what_is_no_text_are_not_shown() {
        let mut files = Tree::default();
        let mut add = |path: &str, blob| files.files.insert(path.parse().unwrap(), blob);
        for path in [
            "a/b/c.js",
            "a/.gitignore",
            "x.gitx/y",
            "node_modules/z",
            "package-lock.json",
            "lunchbadger.json",
            "d",
        ] {
            add(path, Blob::File(b"text".to_vec()));
        }
        add("binary", Blob::File(vec![0xff]));
        add("link", Blob::Symlink);
        assert_eq!(Value::Object(tree(&files.files, "")), json!({"a": {"b": {"c.js": "text"}}, "d": "text"}));
        assert_eq!(
            Value::Object(tree(&files.files, "a/")),
            json!({"b": {"c.js": "text"}}),
            "below a directory"
        );
    }
}
