//! YAML for people and `kubectl`.

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};

use crate::screen::Screen;

/// One document of a YAML stream, with the line that starts it.
pub(crate) fn document(value: &impl Serialize) -> Result<String> {
    // By way of JSON: what Kubernetes' types leave out stays out, and keys keep their order.
    let value = serde_json::to_value(value).context("write an object as JSON")?;
    // Long strings stay on one line: folding them makes differences unreadable.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: 1 << 20 };
    let text = serde_saphyr::to_string_with_options(&value, options).context("write an object as YAML")?;
    Ok(format!("---\n{}\n", text.trim_end()))
}

/// Prints objects for `kubectl`: a YAML stream, or one `v1` List as JSON.
pub(crate) fn print(objects: &[Value], json: bool, screen: &mut Screen) -> Result<()> {
    if json {
        return screen.document(&json!({"apiVersion": "v1", "kind": "List", "items": objects}));
    }
    objects.iter().try_for_each(|object| screen.text(&document(object)?))
}
