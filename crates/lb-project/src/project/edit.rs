//! Lossless editing of `lunchbadger.json`: the text is spliced, every byte outside the edited value stays.

use std::ops::Range;

use lb_vocab::Producer;
use serde_json::{Value, json};

use super::envelope::{Inside, PROJECT_FILE, open};
use crate::cursor::{Document, Findings};
use crate::json;
use crate::node::{Data, Node};
use crate::text::Text;

/// Entity lists of a blank project (`project-file.md`).
const LISTS: [&str; 9] = [
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
/// the blanks beside it); a failed edit leaves all of them. Where a key stands twice, the last one is read and set,
/// and all of them are removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectFile {
    text: String,
    key: String,
}

/// What is done at a pointer.
#[derive(Clone, Copy)]
enum Edit<'v> {
    Set(&'v Value),
    Add(&'v Value),
    Remove,
}

/// Text to put in place of a range.
struct Splice {
    range: Range<usize>,
    text: String,
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
        let outer = self.outer()?;
        let models = json!({ "Project": { &self.key: &project } });
        let given = |path: &[&str]| {
            let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
            descend(&outer, &path).is_some_and(|node| node.data != Data::Null)
        };
        let (path, value): (Vec<&str>, &Value) = if !given(&["models"]) {
            (vec!["models"], &models)
        } else if !given(&["models", "Project"]) {
            (vec!["models", "Project"], &models["Project"])
        } else if !given(&["models", "Project", &self.key]) {
            (vec!["models", "Project", &self.key], &project)
        } else {
            return Ok(false);
        };
        let path: Vec<String> = path.into_iter().map(str::to_owned).collect();
        let splice = splice(&outer, &self.text, &path, Edit::Set(value)).ok_or_else(|| {
            EditError::Unreadable(format!("{PROJECT_FILE}: `models` or `models.Project` is no object"))
        })?;
        let base = self.text.len() - self.body().len();
        self.text.replace_range(base + splice.range.start..base + splice.range.end, &splice.text);
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
        self.edit(pointer, Edit::Remove)?;
        // Of a repeated key another one would come to light.
        while self.get(pointer)?.is_some() && self.is_member(pointer)? {
            self.edit(pointer, Edit::Remove)?;
        }
        Ok(())
    }

    fn is_member(&self, pointer: &str) -> Result<bool, EditError> {
        let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
        Ok(self.get(parent)?.is_some_and(|parent| parent.is_object()))
    }

    fn edit(&mut self, pointer: &str, edit: Edit<'_>) -> Result<(), EditError> {
        let segments = segments(pointer)?;
        if segments.is_empty() && matches!(edit, Edit::Remove) {
            return Err(EditError::WholeProject);
        }
        let key = self.key.clone();
        let (range, text) = self.within(|inside| {
            let Inside { document, node } = inside.ok_or(EditError::NoProject { key })?;
            let splice = splice(&node, document.text.as_str(), &segments, edit)
                .ok_or_else(|| EditError::NotFound { pointer: pointer.to_owned() })?;
            let quoted = Value::String(splice.text).to_string();
            Ok((document.text.file_range(&splice.range), quoted[1..quoted.len() - 1].to_owned()))
        })?;
        self.text.replace_range(range, &text);
        Ok(())
    }

    /// The text without a byte order mark.
    fn body(&self) -> &str {
        self.text.strip_prefix('\u{feff}').unwrap_or(&self.text)
    }

    fn outer(&self) -> Result<Node, EditError> {
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

fn descend<'n>(node: &'n Node, segments: &[String]) -> Option<&'n Node> {
    segments.iter().try_fold(node, |node, segment| match &node.data {
        Data::List(items) => items.get(index(segment)?),
        Data::Map(_) | Data::Null | Data::Flag(_) | Data::Number(_) | Data::Text(_) => node.get(segment),
    })
}

/// What to put where in a text; `None` where the path leads nowhere.
fn splice(root: &Node, text: &str, path: &[String], edit: Edit<'_>) -> Option<Splice> {
    let Some((last, parents)) = path.split_last() else {
        return match edit {
            Edit::Set(value) | Edit::Add(value) => {
                Some(Splice { range: root.span.clone(), text: value.to_string() })
            }
            Edit::Remove => None,
        };
    };
    let parent = descend(root, parents)?;
    match &parent.data {
        Data::Map(entries) => {
            let spans: Vec<_> =
                entries.iter().map(|entry| entry.key_span.start..entry.value.span.end).collect();
            let found = entries.iter().rposition(|entry| entry.key == *last);
            match (edit, found) {
                (Edit::Set(value) | Edit::Add(value), Some(found)) => {
                    Some(Splice { range: entries[found].value.span.clone(), text: value.to_string() })
                }
                (Edit::Set(value) | Edit::Add(value), None) => {
                    let member = format!("{}:{value}", Value::String(last.clone()));
                    Some(insertion(&spans, parent, entries.len(), &member))
                }
                (Edit::Remove, found) => Some(removal(&spans, found?)),
            }
        }
        Data::List(items) => {
            let spans: Vec<_> = items.iter().map(|item| item.span.clone()).collect();
            let existing = index(last).filter(|index| *index < items.len());
            match edit {
                Edit::Set(value) => Some(Splice { range: spans[existing?].clone(), text: value.to_string() }),
                Edit::Add(value) => {
                    let before = if last == "-" { items.len() } else { index(last)? };
                    (before <= items.len()).then(|| insertion(&spans, parent, before, &value.to_string()))
                }
                Edit::Remove => Some(removal(&spans, existing?)),
            }
        }
        Data::Null | Data::Flag(_) | Data::Number(_) | Data::Text(_) => None,
    }
    .filter(|splice| text.is_char_boundary(splice.range.start) && text.is_char_boundary(splice.range.end))
}

fn insertion(spans: &[Range<usize>], parent: &Node, before: usize, text: &str) -> Splice {
    let (at, text) = match (spans.get(before), spans.last()) {
        (Some(next), _) => (next.start, format!("{text},")),
        (None, Some(last)) => (last.end, format!(",{text}")),
        (None, None) => (parent.span.start + 1, text.to_owned()),
    };
    Splice { range: at..at, text }
}

fn removal(spans: &[Range<usize>], at: usize) -> Splice {
    let range = match (at.checked_sub(1), spans.get(at + 1)) {
        (Some(previous), _) => spans[previous].end..spans[at].end,
        (None, Some(next)) => spans[at].start..next.start,
        (None, None) => spans[at].clone(),
    };
    Splice { range, text: String::new() }
}
