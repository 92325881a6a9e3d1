//! Strict JSON with places.
//!
//! `serde_json` decides what is JSON (RFC 8259, without recursion), `jsonc_parser` says where each value stands.
//! Depth and number of values are checked before either, so that neither stack nor memory can be exhausted.

use std::ops::Range;

use jsonc_parser::ast::Value as Ast;
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions};
use serde::de::IgnoredAny;
use serde_json::Number;

use crate::node::{Data, Entry, Node};
use crate::text::without_lone_surrogates;

/// Levels of nesting: a project needs fewer than twenty.
pub(crate) const MAX_DEPTH: usize = 100;
/// Values of one text. A project of 4 MiB has half as many.
const MAX_VALUES: usize = 400_000;

/// Why a text is not JSON that we read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// Where, in bytes of the text.
    pub(crate) offset: usize,
    /// What is wrong, in words that follow "it is not JSON: ".
    pub(crate) problem: String,
}

/// Parses one JSON text.
pub(crate) fn parse(text: &str) -> Result<Node, SyntaxError> {
    check_size(text)?;
    let text = &*without_lone_surrogates(text);
    serde_json::from_str::<IgnoredAny>(text)
        .map_err(|error| merge_conflict(text).unwrap_or_else(|| syntax_error(text, &error)))?;
    let parsed = jsonc_parser::parse_to_ast(text, &CollectOptions::default(), &strict())
        .map_err(|error| SyntaxError { offset: error.range().start, problem: error.kind().to_string() })?;
    let value = parsed.value.ok_or(SyntaxError { offset: 0, problem: "there is no value".into() })?;
    Ok(convert(value))
}

fn strict() -> ParseOptions {
    ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

/// Refuses what is nested too deeply or has too many values.
fn check_size(text: &str) -> Result<(), SyntaxError> {
    let (mut depth, mut values) = (0_usize, 0_usize);
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at) - 1,
            b'{' | b'[' => (depth, values) = (depth + 1, values + 1),
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' | b':' => values += 1,
            _ => {}
        }
        if depth > MAX_DEPTH {
            let problem = format!("it is nested deeper than {MAX_DEPTH} levels");
            return Err(SyntaxError { offset: at, problem });
        }
        if values > MAX_VALUES {
            return Err(SyntaxError { offset: at, problem: format!("it has more than {MAX_VALUES} values") });
        }
        at += 1;
    }
    Ok(())
}

/// Where the string literal that starts at `start` ends: behind its closing quote, or at the end of the text.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The string literal whose closing quote is the last character before `end`, blanks left aside.
pub(crate) fn string_before(text: &str, end: usize) -> Option<Range<usize>> {
    let end = text.get(..end)?.trim_end().len();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < end {
        if bytes[at] == b'"' {
            let start = at;
            at = string_end(bytes, at);
            if at == end {
                return (end > start + 1).then_some(start..end);
            }
        } else {
            at += 1;
        }
    }
    None
}

/// What a merge leaves in a file that it could not put together.
const CONFLICT: &str = "<<<<<<< ";

/// The first conflict of a text that is no JSON or YAML.
pub(crate) fn merge_conflict(text: &str) -> Option<SyntaxError> {
    let offset = if text.starts_with(CONFLICT) { 0 } else { text.find(&format!("\n{CONFLICT}"))? + 1 };
    let problem = "a merge left its conflict here: keep one side, and remove the lines with `<<<<<<<`, `=======` and \
                   `>>>>>>>`";
    Some(SyntaxError { offset, problem: problem.to_owned() })
}

impl SyntaxError {
    /// Whether it is a conflict that a merge left.
    pub(crate) fn is_conflict(&self, text: &str) -> bool {
        text[self.offset..].starts_with(CONFLICT)
    }
}

fn syntax_error(text: &str, error: &serde_json::Error) -> SyntaxError {
    let start = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
    let offset = text.floor_char_boundary(start + error.column().saturating_sub(1));
    let problem = error.to_string();
    let problem = problem.rfind(" at line ").map_or(&*problem, |end| &problem[..end]);
    SyntaxError { offset, problem: problem.to_owned() }
}

fn convert(value: Ast<'_>) -> Node {
    let span = value.start()..value.end();
    let data = match value {
        Ast::NullKeyword(_) => Data::Null,
        Ast::BooleanLit(flag) => Data::Flag(flag.value),
        // A number beyond what a double holds, such as 1e999, is infinite in JavaScript and null when it is written.
        Ast::NumberLit(number) => number.value.parse::<Number>().map_or(Data::Null, Data::Number),
        Ast::StringLit(text) => Data::Text(text.value.into_owned()),
        Ast::Array(list) => Data::List(list.elements.into_iter().map(convert).collect()),
        Ast::Object(map) => Data::Map(
            map.properties
                .into_iter()
                .map(|property| Entry {
                    key_span: property.name.start()..property.name.end(),
                    key: property.name.into_string(),
                    value: convert(property.value),
                })
                .collect(),
        ),
    };
    Node { span, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_places() {
        let text = " {\"a\": [1, \"\\u00e9\\ud800\", null, true], \"b\": 1e999} ";
        let node = parse(text).unwrap();
        assert_eq!(&text[node.span.clone()], text.trim());
        let list = node.get("a").unwrap();
        let spans: Vec<_> = list.children().into_iter().map(|item| &text[item.span.clone()]).collect();
        assert_eq!(spans, ["1", "\"\\u00e9\\ud800\"", "null", "true"]);
        assert_eq!(list.children()[1].as_text().unwrap(), "é\u{fffd}");
        assert_eq!(node.get("b").unwrap().data, Data::Null);
    }

    #[test]
    fn only_json_is_json() {
        for bad in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "'a'",
            "// c\n1",
            "[1 2]",
            "01",
            "+1",
            ".5",
            "0x1",
            "NaN",
            "\"\n\"",
            "\"\\x41\"",
            "1 2",
            "{\"a\" 1}",
            "\u{a0}1",
            "\u{b}1",
            "\"\\'\"",
            "tru",
            "\"a",
            "{\"a\":1 \"b\":2}",
            "\\u1",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn depth_and_number_of_values_are_bounded() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&deep(MAX_DEPTH)).is_ok());
        assert_eq!(parse(&deep(1_000_000)).unwrap_err().offset, MAX_DEPTH);
        let objects = format!("{}1{}", "{\"a\":".repeat(MAX_DEPTH), "}".repeat(MAX_DEPTH));
        assert!(parse(&objects).is_ok());
        assert!(parse(&format!("[{}0]", "0,".repeat(MAX_VALUES))).unwrap_err().problem.contains("values"));
    }

    #[test]
    fn a_syntax_error_has_its_place() {
        let error = parse("{\"a\": 1,\n \"b\" 2}").unwrap_err();
        assert_eq!((error.offset, error.problem.as_str()), (14, "expected `:`"));
        assert_eq!(parse("").unwrap_err().problem, "EOF while parsing a value");
    }
}
