//! The LoopBack 3 project that a workspace begins with, and the project file that it always has.

use lb_project::{EditError, ProjectFile};
use lb_vocab::{Blob, Producer, SafePath, TextError, Tree};

/// Where the project stands.
pub(super) const PROJECT_FILE: &str = "lunchbadger.json";

/// The files, as `node .` runs them after `npm install`.
const FILES: [(&str, &str); 9] = [
    (".gitignore", include_str!("starter/gitignore")),
    ("package.json", include_str!("starter/package.json")),
    ("server/boot/root.js", include_str!("starter/server/boot/root.js")),
    ("server/component-config.json", include_str!("starter/server/component-config.json")),
    ("server/config.json", include_str!("starter/server/config.json")),
    ("server/datasources.json", include_str!("starter/server/datasources.json")),
    ("server/middleware.json", include_str!("starter/server/middleware.json")),
    ("server/model-config.json", include_str!("starter/server/model-config.json")),
    ("server/server.js", include_str!("starter/server/server.js")),
];

/// Files with their new contents.
pub(crate) type Changes = Vec<(SafePath, Option<Vec<u8>>)>;

/// The starter project, for a repository that has nothing.
///
/// # Errors
/// Never: the paths are good, as a test shows.
pub(super) fn project() -> Result<Changes, TextError> {
    let file = |(path, content): &(&str, &str)| Ok((path.parse()?, Some(content.as_bytes().to_vec())));
    FILES.iter().map(file).collect()
}

/// What the project file lacks: nothing, or a blank project.
///
/// # Errors
/// Where there is a file that cannot be understood: it is never overwritten.
pub(super) fn blank_project(tree: &Tree, producer: &Producer) -> Result<Option<Vec<u8>>, EditError> {
    let text = match tree.get(PROJECT_FILE) {
        None => String::new(),
        Some(Blob::File(content)) => match String::from_utf8(content.clone()) {
            Ok(text) => text,
            Err(_) => return Err(EditError::Unreadable(format!("{PROJECT_FILE} is not UTF-8"))),
        },
        Some(Blob::Symlink | Blob::Submodule | Blob::TooLarge { .. }) => {
            return Err(EditError::Unreadable(format!("{PROJECT_FILE} is no file of a readable size")));
        }
    };
    let mut file = ProjectFile::new(text, producer);
    Ok(file.create()?.then(|| file.into_text().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_starter_project_is_json_with_good_paths_and_no_models() {
        let files = project().unwrap();
        for (path, content) in &files {
            if path.as_str().ends_with(".json") {
                let value: serde_json::Value = serde_json::from_slice(content.as_ref().unwrap()).unwrap();
                // LoopBack's own byte style.
                assert_eq!(format!("{value:#}\n").into_bytes(), *content.as_ref().unwrap(), "{path}");
                if path.as_str() == "server/model-config.json" {
                    assert_eq!(value.as_object().unwrap().keys().collect::<Vec<_>>(), ["_meta"]);
                }
            }
        }
    }
}
