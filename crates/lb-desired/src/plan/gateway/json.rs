//! Text of Express Gateway's files.
//!
//! Express Gateway replaces `${NAME}` in the raw text of both files from its environment, before it parses them, and
//! parses them as YAML. A producer's text therefore never contains a raw `$`; and because YAML forbids characters
//! that JSON allows (DEL, C1 controls, U+FFFE), everything outside ASCII is escaped, too.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value};

/// Something written into a file.
pub(super) enum Node {
    /// JSON text of our own; its `${NAME}` is meant.
    Own(&'static str),
    /// A value that holds a producer's text.
    Value(Value),
    /// An object of such.
    Object(Vec<(String, Node)>),
}

/// Something of a producer's as JSON, indented, in ASCII, without any `$`.
pub(super) fn escaped(value: &impl Serialize) -> String {
    escape(&(indented(value) + "\n"))
}

/// A node as JSON; only [`Node::Own`] may hold a `$`.
pub(super) fn text(node: &Node) -> String {
    let mut text = String::new();
    write(&mut text, node, 0);
    text.push('\n');
    text
}

fn write(text: &mut String, node: &Node, depth: usize) {
    match node {
        Node::Own(own) => text.push_str(own),
        Node::Value(value) => {
            let indent = format!("\n{}", "  ".repeat(depth));
            text.push_str(&escape(&indented(value)).replace('\n', &indent));
        }
        Node::Object(entries) => {
            text.push('{');
            for (at, (key, value)) in entries.iter().enumerate() {
                text.push_str(if at == 0 { "\n" } else { ",\n" });
                text.push_str(&"  ".repeat(depth + 1));
                text.push_str(&escape(&indented(key)));
                text.push_str(": ");
                write(text, value, depth + 1);
            }
            text.push('\n');
            text.push_str(&"  ".repeat(depth));
            text.push('}');
        }
    }
}

fn indented(value: &impl Serialize) -> String {
    match serde_json::to_string_pretty(value) {
        Ok(text) => text,
        Err(error) => unreachable!("keys are texts, and a text can be written to: {error}"),
    }
}

/// In JSON text `$` and characters outside ASCII stand inside strings only, where `\uXXXX` means the same.
fn escape(json: &str) -> String {
    // Nearly every text: what is searched for as bytes takes a tenth of what a look at every character does.
    if json.is_ascii() && !json.contains('\u{7f}') {
        return json.replace('$', "\\u0024");
    }
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '$' || c == '\u{7f}' || !c.is_ascii() {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        } else {
            text.push(c);
        }
    }
    text
}

/// An object of these entries, in this order.
pub(super) fn map<const N: usize>(entries: [(&str, Value); N]) -> Map<String, Value> {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Whether JavaScript lists these keys of an object in another order than they were written in: keys that are array
/// indices come first, by number.
pub(super) fn reordered<'a>(keys: impl IntoIterator<Item = &'a str>) -> bool {
    let ranks: Vec<u64> = keys.into_iter().map(|key| index(key).map_or(u64::MAX, u64::from)).collect();
    !ranks.is_sorted()
}

/// An array index of JavaScript: a canonical decimal below 2^32 - 1.
fn index(key: &str) -> Option<u32> {
    let number: u32 = key.parse().ok()?;
    (number < u32::MAX && number.to_string() == key).then_some(number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Node, escape, escaped, index, reordered, text};

    #[test]
    fn a_producers_text_never_has_a_raw_dollar_and_means_the_same() {
        let value = json!({"a$": "${REDIS_PASSWORD} $$ é \u{7f} \u{85} \u{1f600}", "n": [1, 2.5, null]});
        let text = escaped(&value);
        assert!(text.is_ascii() && !text.contains('$') && !text.contains('\u{7f}'), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        for (text, expected) in [
            ("a$b", r"a\u0024b"),
            ("a\u{7f}b", r"a\u007fb"),
            ("aéb", r"a\u00e9b"),
            ("\u{1f600}", r"\ud83d\ude00"),
        ] {
            assert_eq!(escape(text), expected, "each alone");
        }
    }

    #[test]
    fn only_our_own_text_keeps_its_dollar() {
        let node = Node::Object(vec![
            ("ours".into(), Node::Own(r#""${REDIS_HOST}""#)),
            ("$theirs".into(), Node::Value(json!({"x": ["${REDIS_PASSWORD}"]}))),
        ]);
        let text = text(&node);
        assert_eq!(text.matches('$').count(), 1, "{text}");
        let back: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(back, json!({"ours": "${REDIS_HOST}", "$theirs": {"x": ["${REDIS_PASSWORD}"]}}));
    }

    #[test]
    fn keys_that_are_array_indices_come_first() {
        assert!(reordered(["a", "1"]) && reordered(["2", "1"]) && reordered(["10", "9", "x"]));
        assert!(!reordered(["1", "2", "a", "b"]) && !reordered(["a", "01", "-1", "4294967295", "1.5"]));
        assert_eq!(
            (index("4294967294"), index("4294967295"), index("+1")),
            (Some(4_294_967_294), None, None)
        );
    }
}
