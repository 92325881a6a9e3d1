//! Every object that build makes, as a file per case: what a producer's pods look like changes nowhere unannounced.
//!
//! A change of a pod template restarts every producer's pods: accept a new snapshot only together with a line in
//! CHANGELOG.md.

use std::collections::BTreeSet;

use crate::cases::{Input, cases, directory};
use lb_desired::build::{self, APPS, Gateway, Leaf, LeafKind, REDIS_PASSWORD_ANNOTATION, Workspace};
use serde_json::{Value, json};

#[test]
fn objects_are_as_their_files_say() {
    let mut snapshots = insta::Settings::clone_current();
    snapshots.set_snapshot_path(directory());
    snapshots.set_prepend_module_to_snapshot(false);
    snapshots.set_omit_expression(true);
    for (name, case) in cases() {
        snapshots.set_description(case.shows.clone());
        let manifests = case.manifests(&case.settings(&[]));
        snapshots.bind(|| insta::assert_yaml_snapshot!(name, manifests));
    }
}

#[test]
fn every_snapshot_has_its_case() {
    let cases = cases();
    for entry in std::fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json" | "snap") => assert!(cases.contains_key(stem), "{}: no case", path.display()),
            other => panic!("{}: what is {other:?}?", path.display()),
        }
    }
    assert!(cases.values().all(|case| !case.shows.is_empty()));
}

/// One object alone is the one that stands among all.
#[test]
fn an_object_is_built_alone_as_it_is_among_the_others() {
    for (name, case) in cases() {
        let settings = case.settings(&[]);
        for leaf in case.leaves(&settings) {
            let alone = match &case.build {
                Input::Workspace(spec) => {
                    let workspace = Workspace::try_from(spec).unwrap();
                    build::workspace_leaf(leaf.kind, &leaf.name, &workspace, &settings)
                }
                Input::Gateway(spec) => {
                    let gateway = Gateway::try_from(spec).unwrap();
                    assert_eq!(build::gateway_leaf(leaf.kind, "other", &gateway, &settings), None);
                    build::gateway_leaf(leaf.kind, &leaf.name, &gateway, &settings)
                }
                Input::GatewayConfig { .. }
                | Input::Credentials { .. }
                | Input::Function(_)
                | Input::Namespace { .. } => continue,
            };
            assert_eq!(alone.as_ref(), Some(&leaf), "{name}");
        }
    }
}

/// Names, namespaces, labels and order, whatever the settings.
#[test]
fn every_object_is_labelled_and_ordered() {
    for (name, case) in cases() {
        let settings = case.settings(&[]);
        let leaves = case.leaves(&settings);
        for leaf in &leaves {
            let manifest = leaf.manifest.value();
            let labels = &manifest["metadata"]["labels"];
            let app = labels["app"].as_str().unwrap();
            assert!(APPS.contains(&app), "{name}: {app}");
            assert!(labels["producer"].is_string() && labels["environment"].is_string(), "{name}: {labels}");
            assert_eq!(labels["id"].is_string(), app == "gateway", "{name}: {labels}");
            assert_eq!(manifest["kind"], leaf.kind.kind());
            assert_eq!(manifest["apiVersion"], leaf.kind.api_version());
            assert_eq!(manifest["metadata"]["name"], leaf.name);
            assert_eq!(manifest["metadata"]["namespace"], leaf.namespace);
            assert!(manifest.get("status").is_none());
        }
        for app in APPS {
            let of_app =
                leaves.iter().filter(|leaf| leaf.manifest.value()["metadata"]["labels"]["app"] == app);
            let kinds: Vec<LeafKind> = of_app.map(|leaf| leaf.kind).collect();
            assert!(kinds.is_sorted(), "{name}: {kinds:?}");
        }
    }
}

/// A rotated password is rolled out, and stands in its Secret alone; a password that gateways do not share is nowhere.
#[test]
fn a_shared_redis_password_is_in_a_secret_and_rolls_out() {
    let case = &cases()["gateway-shared-redis"];
    let leaves = |acl: &str, password: &str| {
        case.leaves(&case.settings(&[("REDIS_ACL", acl), ("REDIS_PASSWORD", password)]))
    };
    let (old, new) = (leaves("off", "hunter1"), leaves("off", "hunter2"));
    let changed: Vec<LeafKind> =
        old.iter().zip(&new).filter(|(old, new)| old != new).map(|(old, _)| old.kind).collect();
    assert_eq!(changed, [LeafKind::Secret, LeafKind::Deployment]);
    for leaf in &new {
        let text = leaf.manifest.text();
        assert!(!text.contains("hunter2"), "{}: {text}", leaf.name);
        assert_eq!(text.contains("aHVudGVyMg=="), leaf.kind == LeafKind::Secret, "{}: {text}", leaf.name);
    }
    let template = |leaves: &[Leaf]| {
        let deployment = leaves.iter().find(|leaf| leaf.kind == LeafKind::Deployment).unwrap();
        let mut template = deployment.manifest.value()["spec"]["template"].take();
        let digest = template["metadata"]["annotations"][REDIS_PASSWORD_ANNOTATION].take();
        (digest, template)
    };
    assert_ne!(template(&old).0, template(&new).0);
    assert_eq!(template(&old).1, template(&new).1, "nothing but the digest rolls out");
    assert_eq!(leaves("on", "hunter1"), leaves("on", "hunter2"));
    assert!(leaves("on", "hunter1").iter().all(|leaf| leaf.kind != LeafKind::Secret));
}

/// The audiences of a pod's tokens, each bounded and closed to others.
fn tokens(pod: &Value) -> Vec<&str> {
    let projected = pod["volumes"].as_array().unwrap().iter().filter_map(|volume| volume.get("projected"));
    let sources = projected.flat_map(|projected| {
        assert_eq!(projected["defaultMode"], 0o440);
        projected["sources"].as_array().unwrap()
    });
    sources
        .map(|source| {
            let token = &source["serviceAccountToken"];
            assert_eq!(token["expirationSeconds"], 3600);
            assert_eq!(token["audience"], token["path"]);
            token["audience"].as_str().unwrap()
        })
        .collect()
}

/// Invariant 9, on every pod of every case.
#[test]
fn pods_have_nothing_worth_stealing() {
    let mut seen = BTreeSet::new();
    for (name, case) in cases() {
        for leaf in case.leaves(&case.settings(&[])) {
            let manifest = leaf.manifest.value();
            let Some(pod) = manifest.pointer("/spec/template/spec") else { continue };
            seen.insert(manifest["metadata"]["labels"]["app"].to_string());
            assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
            assert_eq!(pod["enableServiceLinks"], false, "{name}");
            let (mut users, mut all_users) = (BTreeSet::new(), BTreeSet::new());
            let all = ["initContainers", "containers"].iter().flat_map(|list| pod[list].as_array().unwrap());
            for container in all {
                let security = &container["securityContext"];
                assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
                assert_eq!(security["capabilities"], json!({ "drop": ["ALL"] }), "{name}");
                assert!(container["resources"]["limits"]["memory"].is_string(), "{name}");
                let mounts: Vec<&Value> = container["volumeMounts"].as_array().unwrap().iter().collect();
                let is = |mount: &&&Value, volume: &str| mount["name"] == volume;
                let has = |volume: &str| mounts.iter().any(|mount| is(&mount, volume));
                if has("identity") {
                    users.insert(security["runAsUser"].as_i64());
                }
                all_users.insert(security["runAsUser"].as_i64());
                let hostile = ["gateway", "workspace"].contains(&container["name"].as_str().unwrap());
                assert!(!(hostile && (has("identity") || has("clone"))), "{name}: {}", container["name"]);
            }
            assert!(users.len() <= 1, "{name}: the identity's user");
            let tokens = tokens(pod);
            let expected: &[&str] = if users.is_empty() { &[] } else { &["git-api", "configstore"] };
            assert_eq!(tokens, expected, "{name}");
            // With one user kubelet gives tokens to it; otherwise a group has to be there that reads them.
            let group = pod["securityContext"]["fsGroup"].as_i64();
            assert_eq!(group.is_some(), !users.is_empty() && all_users.len() > 1, "{name}");
            assert!(!all_users.contains(&group) || group.is_none(), "{name}: nobody's own group");
        }
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
}
