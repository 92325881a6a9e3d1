//! YAML with places, and with budgets that an alias bomb does not get past.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Location, Options, Spanned};

use crate::json::{SyntaxError, merge_conflict};
use crate::node::{Data, Entry, Node};

/// Levels of nesting: `serverless.yml` needs six. The deserializer takes some 40 KiB of stack for each where it is not
/// optimised, and worker threads have 2 MiB.
const MAX_DEPTH: usize = 16;

/// Parses one YAML document. An empty one is null.
pub(crate) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let parsed: Result<Spanned<Unplaced>, _> = serde_saphyr::from_str_with_options(text, options());
    parsed.map(|parsed| node(text, parsed)).map_err(|error| {
        if let Some(conflict) = merge_conflict(text) {
            return conflict;
        }
        let offset = error.location().map_or(0, |location| offset(text, location));
        let problem = error.without_snippet().to_string();
        let problem = problem.lines().next().unwrap_or_default();
        let problem = problem.find(" at line ").map_or(problem, |end| &problem[..end]);
        SyntaxError { offset, problem: problem.chars().take(160).collect() }
    })
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 50_000,
            max_nodes: 25_000,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_aliases: 100,
            max_anchors: 100,
            max_documents: 1,
            max_merge_keys: 100,
            max_recorded_anchor_events: 10_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 10_000,
            max_replay_stack_depth: 8,
            max_alias_expansions_per_anchor: 100,
        },
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        strict_booleans: true,
        with_snippet: false,
    }
}

/// A value whose own place its surrounding [`Spanned`] has.
enum Unplaced {
    Scalar(Data),
    List(Vec<Spanned<Unplaced>>),
    Map(Vec<(Spanned<String>, Spanned<Unplaced>)>),
}

impl<'de> Deserialize<'de> for Unplaced {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UnplacedVisitor)
    }
}

struct UnplacedVisitor;

impl<'de> Visitor<'de> for UnplacedVisitor {
    type Value = Unplaced;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Unplaced, E> {
        Ok(Unplaced::Scalar(Data::Null))
    }

    fn visit_none<E>(self) -> Result<Unplaced, E> {
        Ok(Unplaced::Scalar(Data::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Unplaced, D::Error> {
        Unplaced::deserialize(deserializer)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Unplaced, E> {
        Ok(Unplaced::Scalar(Data::Flag(flag)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Unplaced, E> {
        Ok(Unplaced::Scalar(Data::Number(number.into())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Unplaced, E> {
        Ok(Unplaced::Scalar(Data::Number(number.into())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Unplaced, E> {
        Ok(Unplaced::Scalar(Number::from_f64(number).map_or(Data::Null, Data::Number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Unplaced, E> {
        Ok(Unplaced::Scalar(Data::Text(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Unplaced, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Unplaced::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Unplaced, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Unplaced::Map(entries))
    }
}

/// Byte offset of a location. Lines are split as [`crate::text::Text`] splits them.
fn offset(text: &str, location: Location) -> usize {
    let start = (location.line(), location.column()) == (1, 1);
    let known = location.span().byte_offset().filter(|offset| *offset > 0 || start);
    match known.and_then(|offset| usize::try_from(offset).ok()) {
        Some(offset) => text.floor_char_boundary(offset),
        None => offset_of_line(text, location),
    }
}

/// The parser's own errors have line and column alone.
fn offset_of_line(text: &str, location: Location) -> usize {
    let [lines, columns] = [location.line(), location.column()]
        .map(|count| usize::try_from(count).unwrap_or(usize::MAX).saturating_sub(1));
    let start = text.split_inclusive('\n').take(lines).map(str::len).sum::<usize>();
    start + text[start..].chars().take(columns).map(char::len_utf8).sum::<usize>()
}

fn node(text: &str, spanned: Spanned<Unplaced>) -> Node {
    let start = offset(text, spanned.referenced);
    let data = match spanned.value {
        Unplaced::Scalar(data) => data,
        Unplaced::List(items) => Data::List(items.into_iter().map(|item| node(text, item)).collect()),
        Unplaced::Map(entries) => Data::Map(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let at = offset(text, key.referenced);
                    Entry { key: key.value, key_span: at..at, value: node(text, value) }
                })
                .collect(),
        ),
    };
    Node { span: start..start, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_places() {
        let text = "# é\nservice: hello\nlist:\n  - {a: 1}\n  - \"x: é\"\nnothing: ~\nyes: true\n1: 2.5\n";
        let node = parse(text).unwrap();
        let list = node.get("list").unwrap();
        assert!(text[list.children()[1].span.start..].starts_with("\"x: é"));
        assert!(text[node.get("service").unwrap().span.start..].starts_with("hello"));
        assert_eq!(list.to_value(), serde_json::json!([{ "a": 1 }, "x: é"]));
        assert_eq!(node.get("nothing").unwrap().data, Data::Null);
        assert_eq!(node.get("1").unwrap().as_text().unwrap(), "2.5");
        assert_eq!(parse("").unwrap().data, Data::Null);
    }

    #[test]
    fn bombs_are_refused() {
        let mut aliases = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = level - 1;
            aliases
                .push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 9].join(", ")));
        }
        let deep = "[".repeat(100_000);
        let block: String = (0..5000).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
        for bad in [&aliases, &deep, &block, "a: *missing", "a: [", "a: b: c", "--- 1\n--- 2\n", "a: &a [*a]"]
        {
            assert!(parse(bad).is_err(), "{}", &bad[..bad.len().min(40)]);
        }
    }
}
