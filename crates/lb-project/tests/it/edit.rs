//! Lossless editing: every byte outside the edited value stays, at every level.

use lb_project::{EditError, ProjectFile, decode};
use lb_vocab::{Limits, Source};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use crate::common::{producer, project_file, with_project_file};

fn file(inner: &str) -> ProjectFile {
    ProjectFile::new(String::from_utf8(project_file(inner)).unwrap(), &producer())
}

fn inner(file: &ProjectFile) -> String {
    let outer: Value = serde_json::from_str(file.text()).unwrap();
    outer["models"]["Project"]["al-dev"].as_str().unwrap().to_owned()
}

#[test]
fn set_add_and_remove_splice_the_text() {
    let before = "{ \"name\" : \"main\",\n\t\"gateways\":[ {\"id\":\"a\"} , {\"id\":\"b\"} ], \"a/b~\": 1e2, \"empty\": { } , \"é\\ud83d\\ude00\": [] }";
    type Edit<'e> = &'e dyn Fn(&mut ProjectFile) -> Result<(), EditError>;
    let cases: [(&str, Edit<'_>, &str, &str); 11] = [
        ("/name", &|f| f.set("/name", &json!("o\"x\n")), "\"main\"", "\"o\\\"x\\n\""),
        ("/gateways/1/id", &|f| f.set("/gateways/1/id", &json!(7)), "\"b\"", "7"),
        ("/gateways/1/name", &|f| f.set("/gateways/1/name", &json!("x")), "\"b\"", "\"b\",\"name\":\"x\""),
        ("/gateways/0", &|f| f.add("/gateways/0", &json!({})), "{\"id\":\"a\"}", "{},{\"id\":\"a\"}"),
        ("/gateways/-", &|f| f.add("/gateways/-", &json!(null)), "{\"id\":\"b\"}", "{\"id\":\"b\"},null"),
        ("/gateways/0", &|f| f.remove("/gateways/0"), "{\"id\":\"a\"} , ", ""),
        ("/gateways/1", &|f| f.remove("/gateways/1"), " , {\"id\":\"b\"}", ""),
        ("/name", &|f| f.remove("/name"), "\"name\" : \"main\",\n\t", ""),
        ("/a~1b~0", &|f| f.set("/a~1b~0", &json!(2)), "1e2", "2"),
        ("/empty/x", &|f| f.add("/empty/x", &json!([])), "{ }", "{\"x\":[] }"),
        ("/é😀/0", &|f| f.add("/é😀/0", &json!("ü")), "[]", "[\"ü\"]"),
    ];
    for (pointer, edit, from, to) in cases {
        let mut edited = file(before);
        edit(&mut edited).unwrap();
        assert_eq!(inner(&edited), before.replacen(from, to, 1), "{pointer}");
    }
}

#[test]
fn the_whole_project_is_set_and_not_removed() {
    let mut whole = file(" {\"id\":\"al-dev\"} ");
    whole.set("", &json!({ "name": "new" })).unwrap();
    assert_eq!(inner(&whole), " {\"name\":\"new\"} ");
    assert_eq!(whole.remove(""), Err(EditError::WholeProject));
}

#[test]
fn a_repeated_key_is_set_where_it_is_read_and_removed_everywhere() {
    let mut repeated = file("{\"a\":1,\"b\":2,\"a\":3}");
    repeated.set("/a", &json!(4)).unwrap();
    assert_eq!(inner(&repeated), "{\"a\":1,\"b\":2,\"a\":4}");
    repeated.remove("/a").unwrap();
    assert_eq!(inner(&repeated), "{\"b\":2}");
    for (before, after) in [
        ("{ \"a\":1 , \"a\":2 }", "{  }"),
        ("{\"a\":1,\"a\":2,\"b\":3,\"a\":4,\"c\":5,\"a\":6}", "{\"b\":3,\"c\":5}"),
        ("{\"b\":{\"a\":0},\"a\":1,\"a\":2}", "{\"b\":{\"a\":0}}"),
    ] {
        let mut repeated = file(before);
        repeated.remove("/a").unwrap();
        assert_eq!(inner(&repeated), after);
    }
    let mut list = file("{\"a\":[1,1]}");
    list.remove("/a/0").unwrap();
    assert_eq!(inner(&list), "{\"a\":[1]}");
}

#[test]
fn a_pointer_that_leads_nowhere_changes_nothing() {
    let before = file("{\"list\":[1],\"text\":\"x\"}");
    for pointer in ["/list/1", "/list/01", "/list/-1", "/list/x", "/text/0", "/no/where", "/list/0/a"] {
        let mut edited = before.clone();
        let gone = Err(EditError::NotFound { pointer: pointer.to_owned() });
        assert_eq!(edited.set(pointer, &json!(1)), gone);
        assert_eq!(edited.remove(pointer), gone);
        assert_eq!(edited.get(pointer), Ok(None));
        assert_eq!(edited, before);
    }
    assert_eq!(before.get("list"), Err(EditError::PointerMalformed { pointer: "list".to_owned() }));
    assert_eq!(
        file("{\"list\":[1]}").add("/list/3", &json!(1)).unwrap_err(),
        EditError::NotFound { pointer: "/list/3".to_owned() }
    );
}

#[test]
fn no_edit_makes_the_file_unreadable() {
    let deep = (0..95).fold(json!(1), |value, _| json!([value]));
    let before = file("{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{}}}}}}");
    let mut edited = before.clone();
    assert!(matches!(edited.set("/a/b/c/d/e/f", &deep), Err(EditError::Unreadable(_))));
    assert_eq!(edited, before);
    edited.set("/a", &deep).unwrap();
    assert_eq!(edited.get("/a"), Ok(Some(deep)));
}

#[test]
fn a_missing_project_is_created_blank() {
    let starts = [
        "",
        "{}",
        "\u{feff}{\r\n  \"ids\": {\"Forecast\": 3}\r\n}\r\n",
        "{\"models\": null, \"x\": [1]}",
        "{\"models\": {\"Forecast\": {}}}",
        "{\"models\": {\"Project\": { }}}",
        "{\"models\": {\"Project\": {\"bob-dev\": \"{}\"}}}",
    ];
    for start in starts {
        let mut created = ProjectFile::new(start, &producer());
        assert!(created.create().unwrap(), "{start}");
        assert!(!created.create().unwrap(), "{start}");
        let project = created.project().unwrap().unwrap();
        assert_eq!((project["id"].as_str(), project["name"].as_str()), (Some("al-dev"), Some("main")));
        assert_eq!(project.as_object().unwrap().len(), 11);
        let decoded = decode(with_project_file(created.text().as_bytes()), &producer(), &Limits::default());
        assert!(matches!(decoded.project, Source::Known(..)), "{start}");
        if let Some(kept) = start.strip_suffix("}\r\n") {
            assert!(created.text().starts_with(kept.trim_end()) && created.text().ends_with("}\r\n"));
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_not_edited() {
    for start in [
        "[",
        "[]",
        "{\"models\": []}",
        "{\"models\": {\"Project\": 1}}",
        "{\"models\":{\"Project\":{\"al-dev\":\"{\"}}}",
    ] {
        let mut file = ProjectFile::new(start, &producer());
        assert!(matches!(file.set("/name", &json!("x")), Err(EditError::Unreadable(_))), "{start}");
        assert!(matches!(file.project(), Err(EditError::Unreadable(_))), "{start}");
        assert_eq!(file.text(), start);
    }
    let mut absent = ProjectFile::new("", &producer());
    assert_eq!(absent.set("/name", &json!("x")), Err(EditError::NoProject { key: "al-dev".to_owned() }));
    assert_eq!(absent.project(), Ok(None));
    for foreign in ["[1]", "{\"models\": 3}", "{\"models\": {\"Project\": []}}", "{"] {
        assert!(
            matches!(ProjectFile::new(foreign, &producer()).create(), Err(EditError::Unreadable(_))),
            "{foreign}"
        );
    }
}

/// JSON with keys that need escapes, and texts with every kind of character.
fn any_value() -> impl Strategy<Value = Value> {
    let text = "[a-c/~\"\\\\\u{0}-\u{1f}é😀]{0,4}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        text.prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 40, 5, move |value| {
        prop_oneof![
            prop::collection::vec(value.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((text, value), 0..5)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// Every pointer of a value, with what stands there.
fn pointers(value: &Value, at: String, all: &mut Vec<String>) {
    let segment = |key: &str| format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, item)| pointers(item, segment(&index.to_string()), all)),
        Value::Object(map) => map.iter().for_each(|(key, item)| pointers(item, segment(key), all)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    all.push(at);
}

/// JSON of a value with blanks where blanks may be, and some characters escaped that need not be.
fn written(value: &Value, pretty: bool, ascii: bool) -> String {
    let text = if pretty { format!(" {value:#}\n") } else { value.to_string() };
    if !ascii {
        return text;
    }
    let escaped =
        |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
    text.chars().map(|c| if c.is_ascii() { c.to_string() } else { escaped(c) }).collect()
}

/// Length of the common start and the common end of two texts.
fn shared(before: &str, after: &str) -> (usize, usize) {
    let (before, after) = (before.as_bytes(), after.as_bytes());
    let shorter = before.len().min(after.len());
    let start = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let end =
        before.iter().rev().zip(after.iter().rev()).take(shorter - start).take_while(|(a, b)| a == b).count();
    (start, end)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn nothing_but_the_edited_value_changes(
        project in any_value(), value in any_value(), pick: Index, kind in 0..3, new: bool, pretty: bool, ascii: bool, outer_ascii: bool,
    ) {
        let project = json!({ "a": project, "name": "é😀" });
        let text = written(&json!({ "x": 1, "models": { "Project": { "al-dev": written(&project, pretty, ascii) } }, "y": [] }), pretty, outer_ascii);
        let before = ProjectFile::new(text.clone(), &producer());
        let mut all = Vec::new();
        pointers(&project, String::new(), &mut all);
        all.retain(|pointer| !pointer.is_empty());
        let mut pointer = pick.get(&all).clone();
        if new && kind < 2 && project.pointer(&pointer).unwrap().is_object() {
            pointer.push_str("/new");
        }
        let mut after = before.clone();
        let mut expected = project.clone();
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        let last = last.replace("~1", "/").replace("~0", "~");
        match (kind, expected.pointer_mut(parent).unwrap()) {
            (0, Value::Array(list)) => { list[last.parse::<usize>().unwrap()] = value.clone(); after.set(&pointer, &value).unwrap(); }
            (0, Value::Object(map)) => { map.insert(last, value.clone()); after.set(&pointer, &value).unwrap(); }
            (1, Value::Array(list)) => { list.insert(last.parse().unwrap(), value.clone()); after.add(&pointer, &value).unwrap(); }
            (1, Value::Object(map)) => { map.insert(last, value.clone()); after.add(&pointer, &value).unwrap(); }
            (_, Value::Array(list)) => { list.remove(last.parse().unwrap()); after.remove(&pointer).unwrap(); }
            (_, Value::Object(map)) => { map.shift_remove(&last); after.remove(&pointer).unwrap(); }
            _ => unreachable!("a value inside another has a list or an object around it"),
        }
        prop_assert_eq!(after.project().unwrap().unwrap(), expected);
        let (start, end) = shared(&text, after.text());
        let in_list = project.pointer(parent).unwrap().is_array();
        let inserted = before.get(&pointer).unwrap().is_none() || kind == 1 && in_list;
        match kind {
            // Nothing is gone.
            0 | 1 if inserted => prop_assert_eq!(start + end, text.len()),
            // What stands around the value is found by setting another one.
            0 | 1 => {
                let mut marked = before;
                marked.set(&pointer, &json!("@@")).unwrap();
                let (around, behind) = marked.text().split_once(r#"\"@@\""#).unwrap();
                for text in [&text, after.text()] {
                    prop_assert!(text.starts_with(around) && text.ends_with(behind));
                }
            }
            // Nothing but one piece is gone.
            _ => prop_assert_eq!(start + end, after.text().len()),
        }
    }

    #[test]
    fn editing_never_panics(text in ".{0,60}", pointer in "[a-c/~0-9-]{0,8}") {
        let mut any = ProjectFile::new(text, &producer());
        let _ = any.create();
        let _ = any.set(&pointer, &json!(1));
        let _ = any.add(&pointer, &json!({}));
        let _ = any.remove(&pointer);
    }
}
