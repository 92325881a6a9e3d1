//! Two states of one object, as a difference for people and scripts.

use anyhow::{Context, Result};
use kube::Resource;
use lb_cluster::ApplyError;
use lb_desired::build::Leaf;
use lb_vocab::with_causes;
use serde::Serialize;
use serde_json::Value;
use similar::TextDiff;

use crate::objects::redacted;
use crate::screen::printable;
use crate::yaml;

/// What the server keeps of an object beside what anybody asked for.
const SERVERS_OWN: [&str; 6] =
    ["creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"];

/// What would happen to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Action {
    Create,
    Change,
    Remove,
    Hold,
    Refused,
}

/// A difference between the cluster and what git says.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Difference {
    action: Action,
    object: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    diff: String,
}

impl Difference {
    /// Between what stands and what would, `None` where they are equal.
    pub(super) fn between<T: Serialize>(live: Option<&T>, would_be: &T) -> Result<Option<Self>> {
        let would_be = plain(would_be)?;
        let live = live.map(plain).transpose()?;
        if live.as_ref() == Some(&would_be) {
            return Ok(None);
        }
        let action = if live.is_some() { Action::Change } else { Action::Create };
        let object = title(&would_be);
        let diff = unified(&object, live.as_ref(), Some(&would_be))?;
        Ok(Some(Self { action, object, why: None, diff }))
    }

    /// A child that would be removed, with its objects.
    pub(super) fn removed<T: Serialize>(live: &T, why: &str) -> Result<Self> {
        let live = plain(live)?;
        let object = title(&live);
        let diff = unified(&object, Some(&live), None)?;
        Ok(Self { action: Action::Remove, object, why: Some(why.to_owned()), diff })
    }

    /// A child that stays as it is, because something about it is unknown.
    pub(super) fn held<K: Resource<DynamicType = ()>>(name: &str, reason: &str) -> Self {
        let object = format!("{} {name}", K::kind(&()));
        Self { action: Action::Hold, object, why: Some(reason.to_owned()), diff: String::new() }
    }

    /// An object that the API server, or somebody else's ownership, would refuse.
    pub(super) fn refused(leaf: &Leaf, namespace: &str, error: &ApplyError) -> Self {
        let object = format!("{} {namespace}/{}", leaf.kind.kind(), leaf.name);
        Self { action: Action::Refused, object, why: Some(with_causes(error)), diff: String::new() }
    }

    /// For people: a line, and the difference as `diff -u` shows it.
    pub(super) fn render(&self) -> String {
        let Self { action, object, why, diff } = self;
        let verb = match action {
            Action::Create => "create",
            Action::Change => "change",
            Action::Remove => "remove, with everything that it owns:",
            Action::Hold => "hold",
            Action::Refused => "would be refused:",
        };
        let why = why.as_ref().map(|why| format!(" ({})", printable(why))).unwrap_or_default();
        format!("{verb} {}{why}\n{diff}", printable(object))
    }
}

/// An object without what the server keeps, and without values of secrets.
fn plain<T: Serialize>(object: &T) -> Result<Value> {
    let mut value = redacted(&serde_json::to_value(object).context("write an object as JSON")?);
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| !SERVERS_OWN.contains(&key.as_str()));
    }
    if let Some(fields) = value.as_object_mut() {
        fields.shift_remove("status");
        fields.sort_keys();
    }
    Ok(value)
}

fn title(object: &Value) -> String {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    format!("{} {}/{}", text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
}

fn unified(object: &str, before: Option<&Value>, after: Option<&Value>) -> Result<String> {
    let text = |value: Option<&Value>| value.map_or(Ok(String::new()), yaml::document);
    let (before, after) = (text(before)?, text(after)?);
    let diff = TextDiff::from_lines(&before, &after);
    let (old, new) = (format!("cluster {object}"), format!("git {object}"));
    Ok(diff.unified_diff().context_radius(3).header(&old, &new).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Difference;

    #[test]
    fn what_the_server_keeps_is_no_difference() {
        let live = json!({"kind": "Service", "metadata": {"name": "a", "namespace": "n", "uid": "1", "generation": 3}, "status": {}});
        let would_be = json!({"metadata": {"namespace": "n", "name": "a", "uid": "2"}, "kind": "Service"});
        assert!(Difference::between(Some(&live), &would_be).unwrap().is_none());
    }

    #[test]
    fn a_difference_reads_like_a_diff_and_shows_no_secret() {
        let secret = |value: &str| json!({"kind": "Secret", "metadata": {"name": "a", "namespace": "n"}, "data": {"k": value}});
        let difference = Difference::between(Some(&secret("b25l")), &secret("dHdv")).unwrap().unwrap();
        let text = difference.render();
        assert!(
            text.starts_with("change Secret n/a\n--- cluster Secret n/a\n+++ git Secret n/a\n"),
            "{text}"
        );
        assert!(text.contains("\n-  k: sha256:") && text.contains("\n+  k: sha256:"), "{text}");
        assert!(!text.contains("b25l") && !text.contains("dHdv"), "{text}");
        let created = Difference::between(None, &secret("b25l")).unwrap().unwrap().render();
        assert!(
            created.starts_with("create Secret n/a\n") && created.contains("\n+kind: Secret\n"),
            "{created}"
        );
    }
}
