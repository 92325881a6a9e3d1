//! What the tests of this crate share.

use std::fs;
use std::path::Path;

use lb_project::Observed;
use lb_vocab::{Blob, CommitId, Producer, Source, Tree};

/// Producer `al` in `dev`.
pub(crate) fn producer() -> Producer {
    "al-dev".parse().unwrap()
}

/// A commit that is nothing but ones of these digits.
pub(crate) fn commit(digit: char) -> CommitId {
    digit.to_string().repeat(40).parse().unwrap()
}

/// A tree of these files.
pub(crate) fn tree(files: &[(&str, &[u8])]) -> Tree {
    let blob = |bytes: &[u8]| Blob::File(bytes.to_vec());
    Tree { files: files.iter().map(|(path, bytes)| (path.parse().unwrap(), blob(bytes))).collect() }
}

/// A producer of whom these files are known.
pub(crate) fn observed(dev: Tree, functions: Tree, openapi: Tree) -> Observed {
    Observed {
        dev: Source::Known(dev, commit('a')),
        functions: Source::Known(functions, commit('b')),
        openapi: Source::Known(openapi, commit('c')),
    }
}

/// A producer of whom the `dev` repository alone is known, with this project file.
pub(crate) fn with_project_file(bytes: &[u8]) -> Observed {
    observed(tree(&[("lunchbadger.json", bytes)]), Tree::default(), Tree::default())
}

/// The files of a directory: `dev`, `functions`, `openapi`, each of which may be missing.
pub(crate) fn observe(directory: &Path) -> Observed {
    let [dev, functions, openapi] = ["dev", "functions", "openapi"].map(|name| read(&directory.join(name)));
    observed(dev, functions, openapi)
}

pub(crate) fn read(root: &Path) -> Tree {
    let mut tree = Tree::default();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().parse().unwrap();
                tree.files.insert(name, Blob::File(fs::read(&path).unwrap()));
            }
        }
    }
    tree
}

/// A project file that holds this JSON.
pub(crate) fn project_file(inner: &str) -> Vec<u8> {
    serde_json::json!({ "models": { "Project": { "al-dev": inner } } }).to_string().into_bytes()
}
