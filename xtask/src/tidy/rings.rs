//! The ring table: who may depend on whom, and what the pure rings must not contain.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::sources::code_lines;
use super::{Breach, TextFile};
use crate::command::{cargo, output};

/// Where a crate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ring {
    Vocabulary,
    Pure,
    Adapter,
    Role,
    Binary,
    Development,
}

/// Every crate of ours.
const RINGS: [(&str, Ring); 14] = [
    ("lb-vocab", Ring::Vocabulary),
    ("lb-project", Ring::Pure),
    ("lb-desired", Ring::Pure),
    ("lb-git", Ring::Adapter),
    ("lb-cluster", Ring::Adapter),
    ("lb-http", Ring::Adapter),
    ("lb-process", Ring::Adapter),
    ("lb-actualizer", Ring::Role),
    ("lb-services", Ring::Role),
    ("lb-pod", Ring::Role),
    ("lunchbadger", Ring::Binary),
    ("lunchbadger-pod", Ring::Binary),
    ("lb-testkit", Ring::Development),
    ("xtask", Ring::Development),
];

/// What the vocabulary and the pure crates may use: no async, I/O, clock or randomness in any of them.
const OUTSIDE: [&str; 15] = [
    "base64",
    "hex",
    "indexmap",
    "jsonc-parser",
    "k8s-openapi",
    "kube",
    "regex",
    "regress",
    "schemars",
    "serde",
    "serde-saphyr",
    "serde_json",
    "sha2",
    "thiserror",
    "url",
];

/// kube in a pure crate is its derive macro and its types: a client would be I/O.
const KUBE_FEATURES: [&str; 1] = ["derive"];

/// What the code of a pure crate must not mention.
const IMPURE: [&str; 12] = [
    "async fn",
    ".await",
    "std::env",
    "std::fs",
    "std::process",
    "std::thread",
    "SystemTime",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "Instant::now",
    "RandomState",
];

/// Checks the edges that cargo knows and the words of the pure crates.
pub(super) fn check(root: &Path, files: &[TextFile]) -> Result<Vec<Breach>> {
    let text =
        output(cargo(&["metadata", "--format-version", "1", "--no-deps", "--offline"]).current_dir(root))?;
    let metadata: Value = serde_json::from_str(&text).context("read cargo metadata")?;
    let mut breaches = edges(&metadata);
    for file in files.iter().filter(|file| file.is_rust()) {
        breaches.extend(impure(file));
    }
    Ok(breaches)
}

fn ring(name: &str) -> Option<Ring> {
    RINGS.iter().find(|(crate_name, _)| *crate_name == name).map(|(_, ring)| *ring)
}

fn edges(metadata: &Value) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut used = BTreeSet::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let mut breach = |rule: String| breaches.push(Breach::new(format!("{name}/Cargo.toml"), 0, rule));
        let Some(from) = ring(name) else {
            breach("stands in no ring: add it to the table in xtask/src/tidy/rings.rs".to_owned());
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = dependency["name"].as_str().unwrap_or_default();
            let development = dependency["kind"] == "dev";
            match ring(to) {
                Some(ring) if !allowed(from, ring, name == to, development) => {
                    breach(format!("depends on {to}, which its ring must not"));
                }
                None if from <= Ring::Pure && !development => {
                    used.insert(to.to_owned());
                    if !OUTSIDE.contains(&to) {
                        breach(format!("depends on {to}, which is not in the list of pure crates"));
                    } else if to == "kube" && !kube_is_pure(dependency) {
                        breach("depends on kube with more than its derive".to_owned());
                    }
                }
                Some(_) | None => {}
            }
        }
    }
    for outside in OUTSIDE.iter().filter(|outside| !used.contains(**outside)) {
        breaches.push(Breach::new(
            "xtask/src/tidy/rings.rs",
            0,
            format!("no pure crate uses {outside} any more"),
        ));
    }
    breaches
}

/// The table. Adapters and roles do not know each other; a test may start the other side of a wire.
fn allowed(from: Ring, to: Ring, same: bool, development: bool) -> bool {
    let product = match from {
        Ring::Vocabulary => false,
        Ring::Pure => to <= Ring::Pure,
        Ring::Adapter => to <= Ring::Pure,
        Ring::Role => to <= Ring::Adapter,
        Ring::Binary => to <= Ring::Role,
        Ring::Development => true,
    };
    let test = development && (to == Ring::Development || from == Ring::Role && to == Ring::Role);
    !same && (product || test)
}

fn kube_is_pure(dependency: &Value) -> bool {
    let features = dependency["features"].as_array().into_iter().flatten();
    dependency["uses_default_features"] == false
        && features.filter_map(Value::as_str).all(|feature| KUBE_FEATURES.contains(&feature))
}

fn impure(file: &TextFile) -> Vec<Breach> {
    let Some(name) = file.path.to_str().and_then(|path| path.strip_prefix("crates/")?.split('/').next())
    else {
        return Vec::new();
    };
    if ring(name).is_none_or(|ring| ring > Ring::Pure) {
        return Vec::new();
    }
    let code = file.text.lines().take(code_lines(file)).enumerate();
    code.filter(|(_, line)| !line.trim_start().starts_with("//"))
        .filter_map(|(index, line)| {
            let word = IMPURE.into_iter().find(|word| line.contains(word))?;
            Some(Breach::new(&file.path, index + 1, format!("`{word}` in a pure crate")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::rust;
    use super::*;

    /// The breaches of one package whose dependencies are `(name, kind)`.
    fn rules(name: &str, dependencies: &[(&str, Option<&str>)]) -> Vec<String> {
        let dependencies: Vec<Value> = dependencies
            .iter()
            .map(|(name, kind)| json!({"name": name, "kind": kind, "features": ["derive"], "uses_default_features": false}))
            .collect();
        let metadata = json!({"packages": [{"name": name, "dependencies": dependencies}]});
        let breaches = edges(&metadata).into_iter().map(|breach| breach.rule);
        breaches.filter(|rule| !rule.starts_with("no pure crate uses")).collect()
    }

    #[test]
    fn edges_go_inwards() {
        assert!(rules("lb-desired", &[("lb-project", None), ("lb-vocab", None), ("kube", None)]).is_empty());
        assert!(
            rules("lb-git", &[("lb-vocab", None), ("tokio", None), ("lb-testkit", Some("dev"))]).is_empty()
        );
        assert!(rules("lb-actualizer", &[("lb-http", None), ("lb-services", Some("dev"))]).is_empty());
        for (from, to) in [
            ("lb-vocab", "lb-project"),
            ("lb-project", "lb-git"),
            ("lb-git", "lb-http"),
            ("lb-actualizer", "lb-services"),
            ("lb-services", "lunchbadger"),
            ("lunchbadger", "lb-testkit"),
        ] {
            assert_eq!(rules(from, &[(to, None)]).len(), 1, "{from} -> {to}");
        }
        assert_eq!(rules("lb-new", &[]).len(), 1);
    }

    #[test]
    fn pure_crates_use_what_is_listed() {
        assert_eq!(
            rules("lb-project", &[("tokio", None), ("proptest", Some("dev"))]),
            ["depends on tokio, which is not in the list of pure crates"]
        );
    }

    #[test]
    fn pure_crates_do_no_io() {
        let text =
            "//! A.\n// std::fs is fine here\nuse std::fs;\n#[cfg(test)]\nmod tests {\nuse std::fs;\n}\n";
        assert_eq!(impure(&rust("crates/lb-project/src/a.rs", text)).len(), 1);
        assert_eq!(impure(&rust("crates/lb-git/src/a.rs", text)).len(), 0);
    }
}
