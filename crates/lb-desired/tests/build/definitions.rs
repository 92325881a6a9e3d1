//! The definitions that operators install, as files: a schema, a policy or a right changes nowhere unannounced.

use std::path::Path;

use lb_desired::crd;
use lb_desired::settings::Settings;
use lb_vocab::settings::Reader;
use serde_json::Value;

fn check(name: &str, manifests: &[Value]) {
    let mut snapshots = insta::Settings::clone_current();
    snapshots.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/definitions"));
    snapshots.set_prepend_module_to_snapshot(false);
    snapshots.set_omit_expression(true);
    snapshots.bind(|| insta::assert_yaml_snapshot!(name, manifests));
}

#[test]
fn custom_resource_definitions() {
    for definition in crd::all() {
        let name = definition.metadata.name.clone().unwrap();
        check(&name, &[serde_json::to_value(definition).unwrap()]);
    }
}

#[test]
fn admission() {
    let (policy, binding) = crd::admission();
    check("admission", &[serde_json::to_value(policy).unwrap(), serde_json::to_value(binding).unwrap()]);
}

#[test]
fn rights() {
    for (name, target) in [("rbac-one-namespace", "tenants"), ("rbac-template", "tenant-$PRODUCER")] {
        let variables = [
            ("ACTUALIZER_TARGET_NAMESPACE".to_owned(), target.to_owned()),
            ("CONTROL_PLANE_NAMESPACE".to_owned(), "lb-system".to_owned()),
        ];
        let settings = Settings::read(&mut Reader::new(&variables.into()));
        check(name, &crd::rbac(&settings));
    }
}
