//! `serverless.yml` as JSON, and back: what is as it was keeps its text, comments and style.

use serde_json::{Map, Value};

use crate::functions::MAX_BYTES;
use crate::node::{Data, Node};
use crate::yaml;

/// Why a `serverless.yml` cannot be read, or not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum YamlError {
    /// The text is no YAML that can be read.
    #[error("it is not YAML that can be read: {0}")]
    Unreadable(String),
    /// The value has no YAML that reads as the same again.
    #[error("it cannot be written as YAML: {0}")]
    Unwritable(String),
}

/// The value of a YAML text; of an empty one null.
///
/// # Errors
/// Where it cannot be read.
pub fn read_yaml(text: &str) -> Result<Value, YamlError> {
    Ok(parse(text)?.to_value())
}

/// The text of a value. Keys of `old`, the text before, that have the same value keep their lines; others are written anew,
/// in the order of the value. Where `old` is written in another way (flow style, anchors across keys) all of it is written anew.
///
/// # Errors
/// Where the value is no object, or YAML cannot hold it.
pub fn write_yaml(old: &str, value: &Value) -> Result<String, YamlError> {
    let Value::Object(wanted) = value else {
        return Err(YamlError::Unwritable("it is no object".to_owned()));
    };
    if let Ok(node) = parse(old) {
        if node.to_value() == *value {
            return Ok(old.to_owned());
        }
        if let Some(text) = merged(old, &node, wanted)
            && read_yaml(&text).is_ok_and(|read| read == *value)
        {
            return Ok(text);
        }
    }
    let text = emit(value)?;
    let read = read_yaml(&text).map_err(|error| YamlError::Unwritable(error.to_string()))?;
    if read == *value { Ok(text) } else { Err(YamlError::Unwritable("it would read differently".to_owned())) }
}

fn parse(text: &str) -> Result<Node, YamlError> {
    if text.len() as u64 > MAX_BYTES {
        let problem = format!("it has {} bytes, at most {MAX_BYTES} are read: make it smaller", text.len());
        return Err(YamlError::Unreadable(problem));
    }
    yaml::parse(text).map_err(|error| YamlError::Unreadable(error.problem))
}

fn emit(value: &impl serde::Serialize) -> Result<String, YamlError> {
    serde_saphyr::to_string(value).map_err(|error| {
        let problem = error.to_string();
        YamlError::Unwritable(problem.chars().take(160).collect())
    })
}

/// The text in which the keys that changed are exchanged; `None` where its keys do not stand at the beginnings of lines.
fn merged(old: &str, node: &Node, wanted: &Map<String, Value>) -> Option<String> {
    let Data::Map(entries) = &node.data else { return None };
    let starts: Vec<usize> = entries.iter().map(|entry| entry.key_span.start).collect();
    let first = *starts.first()?;
    let in_order = starts.is_sorted() && starts.iter().all(|at| *at == 0 || old[..*at].ends_with('\n'));
    let repeated = node.fields().len() != entries.len();
    if !in_order || repeated {
        return None;
    }
    let mut text = old[..first].to_owned();
    let ends = starts.iter().skip(1).copied().chain([old.len()]);
    for (entry, (start, end)) in entries.iter().zip(starts.iter().copied().zip(ends)) {
        let block = &old[start..end];
        match wanted.get(&entry.key) {
            Some(value) if *value == entry.value.to_value() => text.push_str(block),
            Some(value) => {
                text.push_str(&one(&entry.key, value)?);
                text.push_str(behind(block));
            }
            None => text.push_str(behind(block)),
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
    }
    for (key, value) in wanted.iter().filter(|(key, _)| node.get(key).is_none()) {
        text.push_str(&one(key, value)?);
    }
    Some(text)
}

/// One key with its value.
fn one(key: &str, value: &Value) -> Option<String> {
    emit(&Map::from_iter([(key.to_owned(), value.clone())])).ok()
}

/// Comments and empty lines behind a key's value, which stand before the next key and belong to it.
fn behind(block: &str) -> &str {
    let mut at = block.len();
    for line in block.split_inclusive('\n').rev() {
        let text = line.trim_end();
        if !text.is_empty() && !text.starts_with('#') {
            break;
        }
        at -= line.len();
    }
    &block[at..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const TEXT: &str = "\
# The first function.
service: hello   # as its directory
provider: { name: kubeless, runtime: \"nodejs:8\" }

# What is called.
functions:
  fn-al-dev-hello:
    handler: handler.hello
# The end.
";

    #[test]
    fn what_is_as_it_was_keeps_its_text() {
        let mut value = read_yaml(TEXT).unwrap();
        assert_eq!(write_yaml(TEXT, &value).unwrap(), TEXT);
        value["provider"]["runtime"] = json!("nodejs:22");
        value["lunchbadger"] = json!({"id": "7"});
        let text = write_yaml(TEXT, &value).unwrap();
        assert_eq!(read_yaml(&text).unwrap(), value);
        assert!(
            text.starts_with("# The first function.\nservice: hello   # as its directory\nprovider:\n"),
            "{text}"
        );
        assert!(text.contains("\n\n# What is called.\nfunctions:\n  fn-al-dev-hello:\n    handler: handler.hello\n# The end.\n"), "{text}");
        value.as_object_mut().unwrap().shift_remove("functions");
        let text = write_yaml(&text, &value).unwrap();
        assert_eq!(read_yaml(&text).unwrap(), value);
        assert!(!text.contains("handler") && text.contains("# The end."), "{text}");
    }

    #[test]
    fn what_is_written_in_another_way_is_written_anew() {
        let value = json!({"service": "b", "x": [1, {"y": null}]});
        for old in
            ["", "{service: a, x: 1}", "service: a\nservice: c\n", "- a\n", "a: [", "{\"service\": \"a\"}"]
        {
            let text = write_yaml(old, &value).unwrap();
            assert_eq!(read_yaml(&text).unwrap(), value, "{old}: {text}");
        }
        // An anchor that another key uses.
        let old = "a: &a {x: 1}\nb: *a\n";
        let value = json!({"a": 2, "b": {"x": 1}});
        assert_eq!(read_yaml(&write_yaml(old, &value).unwrap()).unwrap(), value);
        assert!(write_yaml("", &json!([1])).is_err());
        assert!(read_yaml("a: [").unwrap_err().to_string().contains("YAML"));
    }

    #[test]
    fn hostile_texts_and_values_are_read_or_refused_and_never_changed_in_silence() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let before = level - 1;
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 9].join(", ")));
        }
        let (deep, long) = ("{a: ".repeat(5000), format!("a: {}\n", "x".repeat(300 << 10)));
        for text in [&bomb, &deep, &long, "a: 1\n---\na: 2\n", "a: *b", "a: &a [*a]", "? [a]\n: b\n"] {
            let told = read_yaml(text).unwrap_err().to_string();
            assert!(told.len() < 300, "{told}");
        }
        let others = [
            "\u{feff}service: a\n",
            "---\nservice: a\n...\n",
            "service: a\r\nx: 1\r\n",
            "base: &b {x: 1}\nservice: {<<: *b, y: 2}\n",
            "service: |+\n  a\n\n\nx: >-\n  b\n  # c\n",
            "service: !!binary aGVsbG8=\n",
            "? service\n: a\n",
            "'service': a # c\n\"x\\u0041\": 1\n",
        ];
        for old in others {
            let Ok(mut value) = read_yaml(old) else { continue };
            assert_eq!(write_yaml(old, &value).unwrap(), old, "what is the same is not touched");
            for (key, other) in [
                ("service", json!("y")),
                ("__proto__", json!({"x": null})),
                ("null", json!("~")),
                ("<<", json!("yes")),
                ("a: b # c", json!(["- x", "#", "\u{0}", "\u{2028}", "0x1f", "1e3", "", " "])),
                ("1", json!(1.5e300)),
            ] {
                value[key] = other;
                if let Ok(text) = write_yaml(old, &value) {
                    assert_eq!(read_yaml(&text).unwrap(), value, "{old:?}, {key}: {text}");
                }
            }
        }
        let deep = (0..100).fold(json!(1), |below, _| json!({ "a": below }));
        let wide: Value = (0..60_000).map(|n| (format!("k{n}"), json!(n))).collect::<Map<_, _>>().into();
        for value in [deep, wide, json!({"a": "x".repeat(300 << 10)})] {
            assert!(matches!(write_yaml("", &value), Err(YamlError::Unwritable(_))));
        }
    }

    proptest! {
        #[test]
        fn texts_of_all_kinds_come_back(key in "\\PC{1,12}", text in "(\\PC|\n){0,40}", before in "[a-z]{1,5}: [a-z]{1,5}\n") {
            let value = json!({"service": "s", key: {"list": [&text, true, 1, null], "text": &text}});
            if let Ok(written) = write_yaml(&before, &value) {
                prop_assert_eq!(read_yaml(&written).unwrap(), value);
            }
        }
    }
}
