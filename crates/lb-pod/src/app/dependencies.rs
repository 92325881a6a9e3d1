//! The app's dependencies: what it asks for, whether that is there, and how npm is run.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The package's description.
pub(super) const PACKAGE: &str = "package.json";
/// What npm may be bound by.
pub(super) const LOCKS: [&str; 2] = ["package-lock.json", "npm-shrinkwrap.json"];
/// Keys of the description by which npm installs something else.
const KEYS: [&str; 8] = [
    "dependencies",
    "devDependencies",
    "optionalDependencies",
    "peerDependencies",
    "bundleDependencies",
    "bundledDependencies",
    "overrides",
    "workspaces",
];
/// Scripts that run while it installs.
const SCRIPTS: [&str; 5] = ["preinstall", "install", "postinstall", "prepare", "preprepare"];

/// What an app asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Of the description what concerns npm.
    keys: Map<String, Value>,
    /// The locks' texts.
    locks: Vec<Vec<u8>>,
}

impl Wanted {
    /// Of the texts of a project's files.
    pub(super) fn of(package: Option<&[u8]>, locks: Vec<Vec<u8>>) -> Self {
        let package: Value = package.and_then(|text| serde_json::from_slice(text).ok()).unwrap_or_default();
        let mut keys = Map::new();
        for key in KEYS {
            keys.extend(
                package
                    .get(key)
                    .filter(|value| !is_empty(value))
                    .map(|value| (key.to_owned(), value.clone())),
            );
        }
        for script in SCRIPTS {
            let text = package.get("scripts").and_then(|scripts| scripts.get(script));
            keys.extend(text.map(|text| (format!("scripts.{script}"), text.clone())));
        }
        Self { keys, locks }
    }

    /// A text that differs where something else is asked for.
    pub(super) fn mark(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(serde_json::to_vec(&self.keys).unwrap_or_default());
        for lock in &self.locks {
            digest.update(Sha256::digest(lock));
        }
        hex::encode(digest.finalize())
    }

    /// Whether a directory of packages has all of it in the versions that npm would look for.
    pub(super) fn covered_by(&self, dependencies: &Path) -> bool {
        let text = fs::read(dependencies.join(PACKAGE)).unwrap_or_default();
        let there: Value = serde_json::from_slice(&text).unwrap_or_default();
        let has = |(name, range): (&String, &Value)| there["dependencies"].get(name) == Some(range);
        let all = self.keys.get("dependencies").and_then(Value::as_object);
        self.locks.is_empty()
            && self.keys.keys().all(|key| key == "dependencies")
            && all.is_none_or(|all| all.iter().all(has))
    }

    /// Whether nothing is asked for.
    pub(super) fn is_nothing(&self) -> bool {
        self.keys.is_empty() && self.locks.is_empty()
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_npm_acts_on_makes_a_difference() {
        let of = |text: &str| Wanted::of(Some(text.as_bytes()), vec![]);
        let plain = of(r#"{"name":"a","dependencies":{"x":"^1"}}"#);
        assert_eq!(
            plain.mark(),
            of(r#"{"version":"2","dependencies":{"x":"^1"},"devDependencies":{}}"#).mark()
        );
        for other in [
            r#"{"dependencies":{"x":"^2"}}"#,
            r#"{"dependencies":{"x":"^1"},"devDependencies":{"y":"1"}}"#,
            r#"{"dependencies":{"x":"^1"},"scripts":{"postinstall":"y"}}"#,
            "no JSON",
        ] {
            assert_ne!(plain.mark(), of(other).mark(), "{other}");
        }
        assert_ne!(plain.mark(), Wanted { locks: vec![b"{}".to_vec()], ..plain.clone() }.mark());
        assert!(of("{}").is_nothing() && !plain.is_nothing());
    }

    #[test]
    fn packages_that_many_apps_need_do_where_they_are_all_that_is_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(PACKAGE), r#"{"dependencies":{"x":"^1","y":"^2"}}"#).unwrap();
        let of = |text: &str| Wanted::of(Some(text.as_bytes()), vec![]);
        let x = of(r#"{"dependencies":{"x":"^1"}}"#);
        assert!(x.covered_by(directory.path()));
        assert!(!x.covered_by(Path::new("/nowhere")));
        assert!(!Wanted { locks: vec![vec![]], ..x }.covered_by(directory.path()));
        for more in [
            r#"{"dependencies":{"x":"^1.1"}}"#,
            r#"{"dependencies":{"x":"^1","z":"1"}}"#,
            r#"{"dependencies":{"x":"^1"},"scripts":{"postinstall":"y"}}"#,
        ] {
            assert!(!of(more).covered_by(directory.path()), "{more}");
        }
    }
}
