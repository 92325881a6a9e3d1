//! What a client of the Project API saves: keys of the project, merged into what stands there.
//!
//! Guarantees: what is given as it stands changes no byte, and of what is given otherwise as little as possible. Keys that
//! are not given stay, whoever wrote them.

use serde_json::{Map, Value};

use super::edit::{EditError, LISTS, ProjectFile};
use crate::node::push_segment;

/// Edits of one key, beyond which its value is written anew.
const MAX_EDITS: usize = 64;

/// Something that a client may not save.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Which part of what was given: `gateways[0].dnsPrefix`.
    pub place: String,
    /// What the rule is called: `presence`, `type`.
    pub code: &'static str,
    /// What is wrong, in words that follow the place.
    pub message: &'static str,
}

/// What is wrong with keys that a client gives, whatever stands in the file: it may have been there before.
#[must_use]
pub fn invalid(given: &Map<String, Value>) -> Vec<Invalid> {
    let mut found = Vec::new();
    if given.get("name").is_some_and(is_blank) {
        found.push(blank("name".to_owned()));
    }
    if given.get("disabled").is_some_and(|flag| !flag.is_boolean() && !flag.is_null()) {
        found.push(Invalid { place: "disabled".into(), code: "type", message: "is neither true nor false" });
    }
    for list in LISTS {
        let required: &[&str] = match list {
            "gateways" => &["name", "dnsPrefix"],
            "serviceEndpoints" | "apiEndpoints" | "microServices" => &["name"],
            _ => &[],
        };
        check_list(given.get(list), list, required, &mut found);
    }
    let nested = given.get("apis").and_then(Value::as_array).into_iter().flatten();
    for (index, api) in nested.enumerate() {
        check_list(api.get("apiEndpoints"), &format!("apis[{index}].apiEndpoints"), &["name"], &mut found);
    }
    found
}

fn check_list(list: Option<&Value>, place: &str, required: &[&str], found: &mut Vec<Invalid>) {
    let items = match list {
        None | Some(Value::Null) => return,
        Some(Value::Array(items)) => items,
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            found.push(Invalid { place: place.to_owned(), code: "type", message: "is no list" });
            return;
        }
    };
    for (index, item) in items.iter().enumerate() {
        let Some(entity) = item.as_object() else {
            found.push(Invalid { place: format!("{place}[{index}]"), code: "type", message: "is no object" });
            continue;
        };
        let missing = required.iter().filter(|key| entity.get(**key).is_none_or(is_blank));
        found.extend(missing.map(|key| blank(format!("{place}[{index}].{key}"))));
    }
}

fn is_blank(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

fn blank(place: String) -> Invalid {
    Invalid { place, code: "presence", message: "can't be blank" }
}

/// Gives connections and states an id that have none.
pub fn complete(given: &mut Map<String, Value>, mut id: impl FnMut() -> String) {
    for list in ["connections", "states"] {
        let items = given.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for entity in items.filter_map(Value::as_object_mut) {
            if entity.get("id").is_none_or(is_blank) {
                entity.insert("id".to_owned(), Value::String(id()));
            }
        }
    }
}

/// Whether what is given would switch a producer off or on.
#[must_use]
pub fn changes_switch(before: Option<&Value>, given: &Map<String, Value>) -> bool {
    let is_off =
        |flag: Option<&Value>| flag.is_some_and(|flag| *flag != Value::Bool(false) && !flag.is_null());
    let before = before.and_then(|project| project.get("disabled"));
    given.get("disabled").is_some_and(|flag| is_off(Some(flag)) != is_off(before))
}

/// Every entity list of a project, empty.
#[must_use]
pub fn nothing() -> Map<String, Value> {
    LISTS.iter().map(|list| ((*list).to_owned(), Value::Array(Vec::new()))).collect()
}

/// One edit at a pointer.
enum Step<'v> {
    Set(String, &'v Value),
    Remove(String),
}

impl ProjectFile {
    /// Merges keys into the project: those that are given replace what stands there.
    ///
    /// # Errors
    /// Where the file cannot be understood, or there is no project. Nothing is changed then.
    pub fn merge(&mut self, given: &Map<String, Value>) -> Result<(), EditError> {
        let before = self.text().to_owned();
        self.merge_keys(given).inspect_err(|_| self.put_back(before))
    }

    fn merge_keys(&mut self, given: &Map<String, Value>) -> Result<(), EditError> {
        let project = self.project()?.unwrap_or_default();
        for (key, value) in given {
            let pointer = below("", key);
            let mut steps = Vec::new();
            match project.get(key) {
                Some(stands) => differences(&pointer, stands, value, &mut steps),
                None => steps.push(Step::Set(pointer.clone(), value)),
            }
            if steps.len() > MAX_EDITS {
                steps = vec![Step::Set(pointer, value)];
            }
            for step in steps {
                match step {
                    Step::Set(pointer, value) => self.set(&pointer, value)?,
                    Step::Remove(pointer) => self.remove(&pointer)?,
                }
            }
        }
        Ok(())
    }
}

/// The pointer of a key below a pointer.
fn below(pointer: &str, key: &str) -> String {
    let mut below = pointer.to_owned();
    push_segment(&mut below, key);
    below
}

/// What makes one value of another. The order of keys counts: of pipelines it says which is asked first.
fn differences<'v>(pointer: &str, stands: &Value, wanted: &'v Value, steps: &mut Vec<Step<'v>>) {
    // Maps are equal whatever the order of their keys; their texts are not.
    let texts = [stands, wanted].map(Value::to_string);
    if texts[0] == texts[1] {
        return;
    }
    match (stands, wanted) {
        (Value::Object(old), Value::Object(new)) if keeps_order(old, new) => {
            for key in old.keys().filter(|key| !new.contains_key(*key)) {
                steps.push(Step::Remove(below(pointer, key)));
            }
            for (key, value) in new {
                let inner = below(pointer, key);
                match old.get(key) {
                    Some(stands) => differences(&inner, stands, value, steps),
                    None => steps.push(Step::Set(inner, value)),
                }
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (stands, value)) in old.iter().zip(new).enumerate() {
                differences(&format!("{pointer}/{index}"), stands, value, steps);
            }
        }
        (_, wanted) => steps.push(Step::Set(pointer.to_owned(), wanted)),
    }
}

/// Whether removing keys and adding others at the end gives the new order.
fn keeps_order(old: &Map<String, Value>, new: &Map<String, Value>) -> bool {
    let kept = old.keys().filter(|key| new.contains_key(*key));
    let added = new.keys().filter(|key| !old.contains_key(*key));
    kept.chain(added).eq(new.keys())
}
