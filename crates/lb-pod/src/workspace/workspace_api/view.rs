//! The project of the clone's files, read whole once and then where they differ.

use std::sync::{Arc, Mutex, PoisonError};

use lb_project::{Method, Request, Workspace};
use lb_vocab::{Blob, SafePath, Tree};
use serde_json::Value;

use super::super::starter::Changes;

/// The project as it was last looked at, with the files that it was read from.
#[derive(Debug)]
pub(crate) struct View(Mutex<(Arc<Tree>, Arc<Workspace>)>);

impl View {
    /// Reads a project; what cannot be read of it is told in the log, and to whoever asks for it.
    pub(crate) fn new(tree: &Arc<Tree>) -> Self {
        let files = tree.files.keys().filter(|path| Workspace::wants(path));
        let files = files.filter_map(|path| Some((path.clone(), content(tree, path)?)));
        let (project, findings) = Workspace::read(files);
        for finding in findings {
            tracing::warn!(%finding, "a file of the project cannot be read");
        }
        Self(Mutex::new((Arc::clone(tree), Arc::new(project))))
    }

    /// The project of these files.
    pub(crate) fn at(&self, tree: &Arc<Tree>) -> Arc<Workspace> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, project) = &mut *seen;
        if !Arc::ptr_eq(before, tree) {
            for path in differing(before, tree) {
                Arc::make_mut(project).update(path, content(tree, path));
            }
            *before = Arc::clone(tree);
        }
        Arc::clone(project)
    }
}

/// What a project has of a file; a link and what is too large are as good as absent.
fn content(tree: &Tree, path: &SafePath) -> Option<Vec<u8>> {
    match tree.files.get(path)? {
        Blob::File(content) => Some(content.clone()),
        Blob::Symlink | Blob::Submodule | Blob::TooLarge { .. } => None,
    }
}

/// Files of the project that are not the same in both.
fn differing<'a>(one: &'a Tree, other: &'a Tree) -> Vec<&'a SafePath> {
    let changed = other.files.iter().filter(|(path, blob)| one.files.get(*path) != Some(*blob));
    let gone = one.files.keys().filter(|path| !other.files.contains_key(*path));
    changed.map(|(path, _)| path).chain(gone).filter(|path| Workspace::wants(path)).collect()
}

/// The changes by which nothing is left of a project's models, their configuration and its data sources.
pub(crate) fn cleared(mut project: Workspace) -> Changes {
    let mut all = Changes::new();
    for kind in ["ModelConfigs", "ModelDefinitions", "DataSourceDefinitions"] {
        let list = project.answer(&Request { method: Method::Get, path: kind, query: "", body: b"" });
        let list: Vec<Value> = serde_json::from_slice(&list.body).unwrap_or_default();
        for id in list.iter().filter_map(|entity| entity["id"].as_str()) {
            let path = format!("{kind}/{id}");
            let request = Request { method: Method::Delete, path: &path, query: "", body: b"" };
            // LoopBack's own models refuse, and stay.
            for (path, content) in project.answer(&request).changes {
                project.update(&path, content.clone());
                all.retain(|(known, _)| *known != path);
                all.push((path, content));
            }
        }
    }
    all
}
