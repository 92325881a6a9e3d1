//! Lossless editing of a JSON file: what is not edited keeps its bytes, what is written follows the file's own style
//! (indentation, line ends, or all in one line).

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use serde::Serialize;
use serde_json::Value;

use super::record::Step;
use crate::json::{self, SyntaxError};
use crate::node::{Data, Entry, Node};

/// Where a new key goes: behind the last one that ranks no higher, at the start where there is none.
pub(crate) type Rank<'a> = &'a dyn Fn(&str) -> usize;

/// A text that is being edited.
///
/// Guarantees: a failed edit changes nothing; after each edit the text is JSON.
#[derive(Debug)]
pub(crate) struct JsonText {
    text: String,
    root: Node,
}

impl JsonText {
    pub(crate) fn new(text: impl Into<String>) -> Result<Self, SyntaxError> {
        let text = text.into();
        Ok(Self { root: json::parse(&text)?, text })
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// The value there.
    pub(crate) fn get(&self, steps: &[Step]) -> Option<&Node> {
        descend(&self.root, steps)
    }

    /// Puts a value there: replaces what is there, adds a member, or appends an item. `false` where it leads nowhere.
    pub(crate) fn set(&mut self, steps: &[Step], value: &Value, rank: Rank<'_>) -> bool {
        let splice = self.setting(steps, value, rank);
        self.apply(splice)
    }

    /// Takes out what stands at these places, a key that stands twice both times. `false` where there is nothing.
    pub(crate) fn remove<'s>(&mut self, places: impl IntoIterator<Item = &'s [Step]>) -> bool {
        let mut parents: BTreeMap<&[Step], Vec<&Step>> = BTreeMap::new();
        for (last, parent) in places.into_iter().filter_map(<[Step]>::split_last) {
            parents.entry(parent).or_default().push(last);
        }
        let mut ranges: Vec<_> =
            parents.iter().flat_map(|(parent, steps)| self.removing(parent, steps)).collect();
        ranges.sort_by_key(|range| Reverse(range.start));
        let mut text = self.text.clone();
        for range in &ranges {
            text.replace_range(range.clone(), "");
        }
        !ranges.is_empty() && self.become_text(text)
    }

    fn apply(&mut self, splice: Option<(Range<usize>, String)>) -> bool {
        let Some((range, new)) = splice else { return false };
        let mut text = self.text.clone();
        text.replace_range(range, &new);
        self.become_text(text)
    }

    /// A value may be nested too deeply for the place where it is put.
    fn become_text(&mut self, text: String) -> bool {
        let Ok(root) = json::parse(&text) else { return false };
        (self.text, self.root) = (text, root);
        true
    }

    fn setting(&self, steps: &[Step], value: &Value, rank: Rank<'_>) -> Option<(Range<usize>, String)> {
        if let Some(node) = self.get(steps) {
            return Some((node.span.clone(), self.written(value, self.indentation(node.span.start))));
        }
        let (last, parents) = steps.split_last()?;
        let parent = self.get(parents)?;
        match (last, &parent.data) {
            (Step::Key(key), Data::Map(entries)) => {
                let previous = entries.iter().rposition(|entry| rank(&entry.key) <= rank(key));
                let next = Some(previous.map_or(0, |at| at + 1)).filter(|at| *at < entries.len());
                let spans: Vec<_> = entries.iter().map(member_span).collect();
                Some(self.inserting(parent, &spans, next, Some(key), value))
            }
            (Step::Index(_), Data::List(items)) => {
                let spans: Vec<_> = items.iter().map(|item| item.span.clone()).collect();
                Some(self.inserting(parent, &spans, None, None, value))
            }
            (Step::Key(_) | Step::Index(_), _) => None,
        }
    }

    fn inserting(
        &self,
        parent: &Node,
        spans: &[Range<usize>],
        next: Option<usize>,
        key: Option<&str>,
        value: &Value,
    ) -> (Range<usize>, String) {
        let key =
            |separator: &str| key.map_or_else(String::new, |key| format!("{}:{separator}", Value::from(key)));
        let outer = self.indentation(parent.span.start);
        let end = self.line_end();
        let Some(first) = spans.first() else {
            let range = parent.span.start + 1..parent.span.end - 1;
            if self.is_one_line() {
                return (range, format!("{}{value}", key("")));
            }
            let inner = format!("{outer}{}", self.unit());
            return (range, format!("{end}{inner}{}{}{end}{outer}", key(" "), self.written(value, &inner)));
        };
        let before = &self.text[parent.span.start..first.start];
        let (gap, member) = if before.contains('\n') {
            let inner = self.indentation(first.start);
            (format!("{end}{inner}"), format!("{}{}", key(" "), self.written(value, inner)))
        } else {
            let spaced = self.text[parent.span.start..parent.span.end].contains([' ', '\n']);
            let gap = if spaced { " " } else { "" };
            (gap.to_owned(), format!("{}{value}", key(gap)))
        };
        match (next, spans.last()) {
            (Some(next), _) => (spans[next].start..spans[next].start, format!("{member},{gap}")),
            (None, last) => {
                let at = last.map_or(first.end, |last| last.end);
                (at..at, format!(",{gap}{member}"))
            }
        }
    }

    /// What to cut so that these members or items of a value go: each run of neighbours with the comma before it or, at
    /// the start, behind it.
    fn removing(&self, parent: &[Step], steps: &[&Step]) -> Vec<Range<usize>> {
        let Some(parent) = self.get(parent) else { return Vec::new() };
        let spans: Vec<_> = match &parent.data {
            Data::Map(entries) => entries.iter().map(member_span).collect(),
            Data::List(items) => items.iter().map(|item| item.span.clone()).collect(),
            Data::Null | Data::Flag(_) | Data::Number(_) | Data::Text(_) => Vec::new(),
        };
        let wanted: HashSet<&Step> = steps.iter().copied().collect();
        let step = |at: usize| match &parent.data {
            Data::Map(entries) => Step::Key(entries[at].key.clone()),
            Data::List(_) | Data::Null | Data::Flag(_) | Data::Number(_) | Data::Text(_) => Step::Index(at),
        };
        let removed: Vec<usize> = (0..spans.len()).filter(|at| wanted.contains(&step(*at))).collect();
        let runs = removed.chunk_by(|a, b| a + 1 == *b).filter_map(|run| Some((*run.first()?, *run.last()?)));
        runs.map(|(first, last)| match (first.checked_sub(1), spans.get(last + 1)) {
            (Some(previous), _) => spans[previous].end..spans[last].end,
            (None, Some(next)) => spans[first].start..next.start,
            (None, None) => parent.span.start + 1..parent.span.end - 1,
        })
        .collect()
    }

    /// The value as it is written where lines are indented like this.
    fn written(&self, value: &Value, indentation: &str) -> String {
        if self.is_one_line() {
            return value.to_string();
        }
        let unit = self.unit();
        let mut bytes = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(unit.as_bytes());
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
        match value.serialize(&mut serializer).ok().and_then(|()| String::from_utf8(bytes).ok()) {
            Some(text) => text.replace('\n', &format!("{}{indentation}", self.line_end())),
            None => value.to_string(),
        }
    }

    /// Whether the whole value stands in one line, and has something in it.
    fn is_one_line(&self) -> bool {
        let root = &self.text[self.root.span.clone()];
        !root.contains('\n') && root.len() > 2
    }

    fn line_end(&self) -> &'static str {
        if self.text.contains("\r\n") { "\r\n" } else { "\n" }
    }

    /// What a level is indented by.
    fn unit(&self) -> &str {
        let first = match &self.root.data {
            Data::Map(entries) => entries.first().map(|entry| entry.key_span.start),
            Data::List(items) => items.first().map(|item| item.span.start),
            Data::Null | Data::Flag(_) | Data::Number(_) | Data::Text(_) => None,
        };
        let unit = first.map_or("", |first| self.indentation(first));
        if unit.is_empty() { "  " } else { unit }
    }

    /// The blanks at the start of the line of an offset.
    fn indentation(&self, offset: usize) -> &str {
        let start = self.text[..offset].rfind('\n').map_or(0, |end| end + 1);
        let line = &self.text[start..];
        &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
    }
}

fn member_span(entry: &Entry) -> Range<usize> {
    entry.key_span.start..entry.value.span.end
}

fn descend<'n>(node: &'n Node, steps: &[Step]) -> Option<&'n Node> {
    steps.iter().try_fold(node, |node, step| match (step, &node.data) {
        (Step::Key(key), Data::Map(_)) => node.get(key),
        (Step::Index(index), Data::List(items)) => items.get(*index),
        (Step::Key(_) | Step::Index(_), _) => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn steps(path: &str) -> Vec<Step> {
        path.split('/')
            .filter(|step| !step.is_empty())
            .map(|step| step.parse().map_or_else(|_| Step::Key(step.to_owned()), Step::Index))
            .collect()
    }

    fn set(text: &str, path: &str, value: &Value) -> String {
        let mut json = JsonText::new(text).unwrap();
        let rank = |key: &str| usize::from(key == "last");
        assert!(json.set(&steps(path), value, &rank), "{path} of {text}");
        json.into_text()
    }

    fn removed(text: &str, path: &str) -> String {
        let mut json = JsonText::new(text).unwrap();
        assert!(json.remove([&steps(path)[..]]), "{path} of {text}");
        json.into_text()
    }

    #[test]
    fn what_is_written_follows_the_file() {
        let value = json!({ "x": [1] });
        assert_eq!(set("{}\n", "a", &json!(1)), "{\n  \"a\": 1\n}\n");
        assert_eq!(
            set("{\n    \"a\": 1\n}", "b", &value),
            "{\n    \"a\": 1,\n    \"b\": {\n        \"x\": [\n            1\n        ]\n    }\n}"
        );
        assert_eq!(set("{\n\t\"last\": {}\n}\n", "b", &json!([])), "{\n\t\"b\": [],\n\t\"last\": {}\n}\n");
        assert_eq!(
            set("{\n\t\"last\": {}\n}\n", "last/c", &json!(2)),
            "{\n\t\"last\": {\n\t\t\"c\": 2\n\t}\n}\n"
        );
        assert_eq!(set("{\"a\":1}", "b", &value), "{\"a\":1,\"b\":{\"x\":[1]}}");
        assert_eq!(set("{\"a\":{}}", "a/b", &value), "{\"a\":{\"b\":{\"x\":[1]}}}");
        assert_eq!(
            set("{\n  \"p\": { \"q\": 1 }\n}", "p/r", &json!(2)),
            "{\n  \"p\": { \"q\": 1, \"r\": 2 }\n}"
        );
        assert_eq!(
            set("{\r\n  \"a\": 1\r\n}\r\n", "b", &json!(2)),
            "{\r\n  \"a\": 1,\r\n  \"b\": 2\r\n}\r\n"
        );
        assert_eq!(
            set("{\n  \"l\": [\n    1\n  ]\n}", "l/9", &json!(2)),
            "{\n  \"l\": [\n    1,\n    2\n  ]\n}"
        );
        assert_eq!(
            set("{\n  \"a\": 1.50,\n  \"b\": 2\n}", "b", &json!("x")),
            "{\n  \"a\": 1.50,\n  \"b\": \"x\"\n}"
        );
    }

    #[test]
    fn what_is_removed_leaves_no_trace() {
        assert_eq!(removed("{\n  \"a\": 1,\n  \"b\": 2\n}\n", "a"), "{\n  \"b\": 2\n}\n");
        assert_eq!(removed("{\n  \"a\": 1,\n  \"b\": 2\n}\n", "b"), "{\n  \"a\": 1\n}\n");
        assert_eq!(removed("{\n  \"a\": 1\n}\n", "a"), "{}\n");
        assert_eq!(removed("{\n  \"l\": [\n    1,\n    2\n  ]\n}", "l/0"), "{\n  \"l\": [\n    2\n  ]\n}");
        let many = "{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": [1, 2, 3],\n  \"a\": 4\n}\n";
        let mut json = JsonText::new(many).unwrap();
        let places = [steps("a"), steps("c/0"), steps("c/2"), steps("no/x")];
        assert!(json.remove(places.iter().map(Vec::as_slice)));
        assert_eq!(json.into_text(), "{\n  \"b\": 2,\n  \"c\": [2]\n}\n");
        assert!(!JsonText::new("{}").unwrap().remove([&steps("a")[..]]));
        assert!(!JsonText::new("{}").unwrap().set(&steps("a/b"), &json!(1), &|_| 0));
    }
}
