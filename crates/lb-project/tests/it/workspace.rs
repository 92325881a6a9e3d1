//! The workspace API: what the package answers, what it does not, hostile input, and properties.

mod hostile;
mod properties;
mod recorded;
mod states;

use std::collections::BTreeMap;
use std::path::Path;

use lb_project::{Answer, Method, Request, Workspace};
use lb_vocab::{Blob, SafePath};
use serde_json::Value;

/// A project and its workspace, which saves what answers ask for.
#[derive(Clone)]
pub(crate) struct Project {
    pub(crate) files: BTreeMap<SafePath, Vec<u8>>,
    pub(crate) workspace: Workspace,
}

impl Project {
    pub(crate) fn of(files: impl IntoIterator<Item = (SafePath, Vec<u8>)>) -> Self {
        let files: BTreeMap<_, _> = files.into_iter().collect();
        Self { workspace: Workspace::read(files.clone()).0, files }
    }

    /// A project of these files.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        Self::of(files.iter().map(|(path, text)| (path.parse().unwrap(), text.as_bytes().to_vec())))
    }

    /// The project that the cases are about.
    pub(crate) fn example() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workspace/project");
        Self::of(crate::common::read(&root).files.into_iter().filter_map(|(path, blob)| {
            let Blob::File(bytes) = blob else { return None };
            Some((path, bytes))
        }))
    }

    /// Asks without saving.
    pub(crate) fn ask(&self, request: &str, body: &[u8]) -> Answer {
        let (method, target) = request.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let method: Method = method.parse().unwrap();
        self.workspace.answer(&Request { method, path, query, body })
    }

    /// Asks, and saves.
    pub(crate) fn save(&mut self, request: &str, body: &Value) -> Answer {
        let answer = self.ask(request, body.to_string().as_bytes());
        self.apply(&answer);
        answer
    }

    pub(crate) fn apply(&mut self, answer: &Answer) {
        for (path, bytes) in &answer.changes {
            self.workspace.update(path, bytes.clone());
            match bytes {
                Some(bytes) => drop(self.files.insert(path.clone(), bytes.clone())),
                None => drop(self.files.remove(path)),
            }
        }
    }

    /// The file's text.
    pub(crate) fn text(&self, path: &str) -> &str {
        std::str::from_utf8(&self.files[&path.parse::<SafePath>().unwrap()]).unwrap()
    }
}

/// The body of an answer.
pub(crate) fn json(answer: &Answer) -> Value {
    if answer.body.is_empty() { Value::from("") } else { serde_json::from_slice(&answer.body).unwrap() }
}
