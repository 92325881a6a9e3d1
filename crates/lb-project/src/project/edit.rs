//! Lossless editing of `lunchbadger.json`: the text is spliced, every byte outside the edited value stays.

use std::ops::Range;

use lb_vocab::Producer;
use serde_json::{Value, json};

use super::envelope::{Inside, PROJECT_FILE, open};
use crate::cursor::{Document, Findings};
use crate::json;
use crate::node::{Data, Entry, Node};
use crate::text::Text;

/// Entity lists of a blank project (`project-file.md`).
pub(super) const LISTS: [&str; 9] = [
    "gateways",
    "apis",
    "functions",
    "serviceEndpoints",
    "microServices",
    "apiEndpoints",
    "connections",
    "states",
    "portals",
];

/// Why a project file was not edited.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The file cannot be understood; the text is a finding with place and remedy.
    #[error("the project file cannot be edited: {0}")]
    Unreadable(String),
    /// There is no project to edit.
    #[error("there is no project `{key}` yet: create it first")]
    NoProject {
        /// Its key.
        key: String,
    },
    /// A pointer is not empty and does not start with `/`.
    #[error("`{pointer}` is no JSON pointer: write it as `/gateways/0/name`")]
    PointerMalformed {
        /// The pointer.
        pointer: String,
    },
    /// Nothing stands at a pointer.
    #[error("there is nothing at `{pointer}` in the project")]
    NotFound {
        /// The pointer.
        pointer: String,
    },
    /// The project as a whole was to be removed.
    #[error("the project as a whole cannot be removed: set it to something else")]
    WholeProject,
}

/// `lunchbadger.json` as text, and the project of one producer's environment in it.
///
/// Guarantees: an edit leaves every byte outside the edited value as it was (a removed member goes with one comma and
/// the blanks beside it); a failed edit leaves all of them, and no edit makes the file unreadable. Where a key stands
/// twice, the last one is read and set, and all of them are removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectFile {
    text: String,
    key: String,
}

/// What is done at a pointer.
#[derive(Clone, Copy)]
pub(super) enum Edit<'v> {
    Set(&'v Value),
    Add(&'v Value),
    Remove,
}

/// Text to put in place of a range.
pub(super) struct Splice {
    pub(super) range: Range<usize>,
    pub(super) text: String,
}

impl ProjectFile {
    /// A project file; an empty text stands for a file that does not exist.
    pub fn new(text: impl Into<String>, producer: &Producer) -> Self {
        Self { text: text.into(), key: producer.to_string() }
    }

    /// The file's text as it is now.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file's text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    /// The project, `None` where there is none.
    ///
    /// # Errors
    /// Where the file cannot be understood.
    pub fn project(&self) -> Result<Option<Value>, EditError> {
        self.within(|inside| Ok(inside.map(|inside| inside.node.to_value())))
    }

    /// The project as it is written, `None` where there is none.
    ///
    /// # Errors
    /// Where the file cannot be understood.
    pub fn project_text(&self) -> Result<Option<String>, EditError> {
        self.within(|inside| Ok(inside.map(|inside| inside.document.text.as_str().to_owned())))
    }

    /// Makes the file what it was.
    pub(super) fn put_back(&mut self, text: String) {
        self.text = text;
    }

    /// The value at a JSON pointer (RFC 6901) inside the project, `None` where there is none.
    ///
    /// # Errors
    /// Where the file cannot be understood, or the pointer is malformed.
    pub fn get(&self, pointer: &str) -> Result<Option<Value>, EditError> {
        let segments = segments(pointer)?;
        self.within(|inside| {
            Ok(inside.and_then(|inside| descend(&inside.node, &segments).map(Node::to_value)))
        })
    }

    /// Creates a blank project where there is none; answers whether there was none.
    ///
    /// # Errors
    /// Where the file cannot be understood.
    pub fn create(&mut self) -> Result<bool, EditError> {
        let mut project = json!({ "id": self.key, "name": "main" });
        for list in LISTS {
            project[list] = json!([]);
        }
        let project = Value::String(project.to_string());
        if self.text.trim().is_empty() {
            let file = json!({ "ids": { "Project": 1 }, "models": { "Project": { &self.key: project } } });
            self.text = format!("{file:#}\n");
            return Ok(true);
        }
        let path = ["models", "Project", &self.key.clone()];
        if descend(&self.outer()?, &path).is_some_and(|node| node.data != Data::Null) {
            return Ok(false);
        }
        self.put(&path, &project)?;
        Ok(true)
    }

    /// Replaces the value at a pointer; adds the member where its object does not have it yet. The empty pointer
    /// means the project as a whole.
    ///
    /// # Errors
    /// Where the file cannot be understood, there is no project, or the pointer leads nowhere.
    pub fn set(&mut self, pointer: &str, value: &Value) -> Result<(), EditError> {
        self.edit(pointer, Edit::Set(value))
    }

    /// Adds a value as a JSON patch does: into a list before the given index or, at `-`, at its end; into an object
    /// under the key, replacing what is there.
    ///
    /// # Errors
    /// Where the file cannot be understood, there is no project, or the pointer leads nowhere.
    pub fn add(&mut self, pointer: &str, value: &Value) -> Result<(), EditError> {
        self.edit(pointer, Edit::Add(value))
    }

    /// Removes the value at a pointer, with its key.
    ///
    /// # Errors
    /// Where the file cannot be understood, there is no project, or nothing stands there.
    pub fn remove(&mut self, pointer: &str) -> Result<(), EditError> {
        self.edit(pointer, Edit::Remove)
    }

    fn edit(&mut self, pointer: &str, edit: Edit<'_>) -> Result<(), EditError> {
        let segments = segments(pointer)?;
        if segments.is_empty() && matches!(edit, Edit::Remove) {
            return Err(EditError::WholeProject);
        }
        let key = self.key.clone();
        let splices = self.within(|inside| {
            let Inside { document, node } = inside.ok_or(EditError::NoProject { key })?;
            let splices = splices(&node, &segments, edit)
                .ok_or_else(|| EditError::NotFound { pointer: pointer.to_owned() })?;
            let outside = |Splice { range, text }: Splice| {
                let quoted = Value::String(text).to_string();
                Splice {
                    range: document.text.file_range(&range),
                    text: quoted[1..quoted.len() - 1].to_owned(),
                }
            };
            Ok(splices.into_iter().map(outside).collect::<Vec<_>>())
        })?;
        let before = self.text.clone();
        for Splice { range, text } in splices.into_iter().rev() {
            self.text.replace_range(range, &text);
        }
        // A value may be nested too deeply for the place where it is put.
        self.within(|_| Ok(())).inspect_err(|_| self.text = before)
    }

    /// The text without a byte order mark.
    pub(super) fn body(&self) -> &str {
        self.text.strip_prefix('\u{feff}').unwrap_or(&self.text)
    }

    pub(super) fn outer(&self) -> Result<Node, EditError> {
        json::parse(self.body())
            .map_err(|error| EditError::Unreadable(format!("{PROJECT_FILE}: {}", error.problem)))
    }

    fn within<T>(
        &self,
        work: impl FnOnce(Option<Inside<'_>>) -> Result<T, EditError>,
    ) -> Result<T, EditError> {
        if self.text.is_empty() {
            return work(None);
        }
        let findings = Findings::default();
        let unreadable = |findings: &Findings| {
            EditError::Unreadable(
                findings.last_error().map_or_else(String::new, |finding| finding.to_string()),
            )
        };
        let text = Text::of_file(self.text.as_bytes()).map_err(|bad| {
            EditError::Unreadable(format!("{PROJECT_FILE}:{}:{}: not UTF-8", bad.line, bad.column))
        })?;
        let file = Document { file: PROJECT_FILE.to_owned(), text, findings: &findings };
        let inside = open(&file, &self.key).map_err(|_held| unreadable(&findings))?;
        work(inside)
    }
}

fn segments(pointer: &str) -> Result<Vec<String>, EditError> {
    match pointer.strip_prefix('/') {
        None if pointer.is_empty() => Ok(Vec::new()),
        None => Err(EditError::PointerMalformed { pointer: pointer.to_owned() }),
        Some(rest) => {
            Ok(rest.split('/').map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect())
        }
    }
}

fn index(segment: &str) -> Option<usize> {
    let canonical = segment == "0" || !segment.starts_with(['0', '+']);
    segment.parse().ok().filter(|_| canonical)
}

pub(super) fn descend<'n>(node: &'n Node, path: &[impl AsRef<str>]) -> Option<&'n Node> {
    path.iter().map(AsRef::as_ref).try_fold(node, |node, segment| match &node.data {
        Data::List(items) => items.get(index(segment)?),
        Data::Map(_) | Data::Null | Data::Flag(_) | Data::Number(_) | Data::Text(_) => node.get(segment),
    })
}

/// What to put where in a text, in order of places; `None` where the path leads nowhere.
pub(super) fn splices(root: &Node, path: &[impl AsRef<str>], edit: Edit<'_>) -> Option<Vec<Splice>> {
    let Some((last, parents)) = path.split_last() else {
        return match edit {
            Edit::Set(value) | Edit::Add(value) => Some(vec![replacement(root, value)]),
            Edit::Remove => None,
        };
    };
    let parent = descend(root, parents)?;
    match &parent.data {
        Data::Map(entries) => edit_member(parent, entries, last.as_ref(), edit),
        Data::List(items) => edit_item(parent, items, last.as_ref(), edit),
        Data::Null | Data::Flag(_) | Data::Number(_) | Data::Text(_) => None,
    }
}

fn edit_member(parent: &Node, entries: &[Entry], key: &str, edit: Edit<'_>) -> Option<Vec<Splice>> {
    let spans: Vec<_> = entries.iter().map(|entry| entry.key_span.start..entry.value.span.end).collect();
    let found: Vec<_> = (0..entries.len()).filter(|at| entries[*at].key == key).collect();
    match (edit, found.last()) {
        (Edit::Set(value) | Edit::Add(value), Some(last)) => {
            Some(vec![replacement(&entries[*last].value, value)])
        }
        (Edit::Set(value) | Edit::Add(value), None) => {
            let member = format!("{}:{value}", Value::from(key));
            Some(vec![insertion(&spans, parent, entries.len(), &member)])
        }
        (Edit::Remove, Some(_)) => Some(removals(&spans, &found)),
        (Edit::Remove, None) => None,
    }
}

fn edit_item(parent: &Node, items: &[Node], segment: &str, edit: Edit<'_>) -> Option<Vec<Splice>> {
    let spans: Vec<_> = items.iter().map(|item| item.span.clone()).collect();
    let existing = index(segment).filter(|index| *index < items.len());
    match edit {
        Edit::Set(value) => Some(vec![replacement(&items[existing?], value)]),
        Edit::Add(value) => {
            let before = if segment == "-" { items.len() } else { index(segment)? };
            (before <= items.len()).then(|| vec![insertion(&spans, parent, before, &value.to_string())])
        }
        Edit::Remove => Some(removals(&spans, &[existing?])),
    }
}

fn replacement(node: &Node, value: &Value) -> Splice {
    Splice { range: node.span.clone(), text: value.to_string() }
}

fn insertion(spans: &[Range<usize>], parent: &Node, before: usize, text: &str) -> Splice {
    let (at, text) = match (spans.get(before), spans.last()) {
        (Some(next), _) => (next.start, format!("{text},")),
        (None, Some(last)) => (last.end, format!(",{text}")),
        (None, None) => (parent.span.start + 1, text.to_owned()),
    };
    Splice { range: at..at, text }
}

/// Takes out some of the elements: each run of neighbours with the comma before it or, at the start, behind it.
fn removals(spans: &[Range<usize>], removed: &[usize]) -> Vec<Splice> {
    removed
        .chunk_by(|a, b| a + 1 == *b)
        .map(|run| {
            let (first, last) = (run[0], run[run.len() - 1]);
            let range = match (first.checked_sub(1), spans.get(last + 1)) {
                (Some(previous), _) => spans[previous].end..spans[last].end,
                (None, Some(next)) => spans[first].start..next.start,
                (None, None) => spans[first].start..spans[last].end,
            };
            Splice { range, text: String::new() }
        })
        .collect()
}
