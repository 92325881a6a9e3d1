//! A row per rule of `build::projection`. What a real API server makes of such changes is in `live.rs`.

use lb_desired::build::Manifest;
use lb_desired::build::projection::{autoscaled, foreign_extras, matches, overwrites, without_replicas};
use serde_json::{Value, json};

/// `(rule, desired, live, matches, extras)`.
type Row = (&'static str, Value, Value, bool, &'static [&'static str]);

fn containers(containers: Value) -> Value {
    json!({ "spec": { "template": { "spec": { "containers": containers } } } })
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn rows() -> Vec<Row> {
    vec![
        ("a field that we set is equal", json!({"a": 1}), json!({"a": 1}), true, &[]),
        ("a field that we set differs", json!({"a": 1}), json!({"a": 2}), false, &[]),
        ("a field that we set is missing", json!({"a": 1}), json!({}), false, &[]),
        ("a field that we do not set", json!({"a": 1}), json!({"a": 1, "b": 2}), true, &[]),
        ("false is not missing", json!({"a": false}), json!({}), false, &[]),
        ("zero is not missing", json!({"a": 0}), json!({}), false, &[]),
        ("an empty text is missing", json!({"a": ""}), json!({}), true, &[]),
        ("an empty list is missing", json!({"a": []}), json!({}), true, &[]),
        ("an empty object is missing", json!({"a": {}}), json!({}), true, &[]),
        ("null is missing", json!({"a": null}), json!({}), true, &[]),
        ("an empty list is not a list with something", json!({"a": []}), json!({"a": [1]}), false, &[]),
        ("a value that is no object is equal", json!("a"), json!("a"), true, &[]),
        ("a value that is no object differs", json!("a"), json!("b"), false, &[]),
        (
            "ports of a NetworkPolicy have an order",
            json!({"ports": [{"port": 80}, {"port": 81}]}),
            json!({"ports": [{"port": 81}, {"port": 80}]}),
            false,
            &[],
        ),
        (
            "an item without its key is nobody's",
            json!({"env": [{"name": "TCP", "value": "x"}]}),
            json!({"env": [{"name": "TCP", "value": "x"}, {"value": "y"}]}),
            false,
            &["/env/1"],
        ),
        ("another type", json!({"a": "1"}), json!({"a": 1}), false, &[]),
        (
            "kind and apiVersion may be missing",
            json!({"kind": "X", "apiVersion": "v1"}),
            json!({}),
            true,
            &[],
        ),
        ("kind and apiVersion may not differ", json!({"kind": "X"}), json!({"kind": "Y"}), false, &[]),
        ("status is not looked at", json!({"status": {"a": 1}}), json!({"status": {"a": 2}}), true, &[]),
        (
            "foreign labels are tolerated",
            json!({"metadata": {"labels": {"app": "a"}}}),
            json!({"metadata": {"labels": {"app": "a", "x": "y"}}}),
            true,
            &[],
        ),
        (
            "our labels are not lost",
            json!({"metadata": {"labels": {"app": "a"}}}),
            json!({"metadata": {"labels": {"x": "y"}}}),
            false,
            &[],
        ),
        (
            "the owner stays",
            json!({"metadata": {"ownerReferences": [{"uid": "1", "controller": true}]}}),
            json!({"metadata": {}}),
            false,
            &[],
        ),
        (
            "the owner keeps control",
            json!({"metadata": {"ownerReferences": [{"uid": "1", "controller": true}]}}),
            json!({"metadata": {"ownerReferences": [{"uid": "1", "controller": false}]}}),
            false,
            &[],
        ),
        (
            "other owners are tolerated",
            json!({"metadata": {"ownerReferences": [{"uid": "1"}]}}),
            json!({"metadata": {"ownerReferences": [{"uid": "2"}, {"uid": "1"}]}}),
            true,
            &[],
        ),
        (
            "quantities are amounts",
            json!({"limits": {"cpu": "0.5", "memory": "1Gi"}}),
            json!({"limits": {"cpu": "500m", "memory": "1024Mi"}}),
            true,
            &[],
        ),
        (
            "quantities may be numbers",
            json!({"requests": {"cpu": "1"}}),
            json!({"requests": {"cpu": 1}}),
            true,
            &[],
        ),
        (
            "other amounts differ",
            json!({"requests": {"cpu": "1"}}),
            json!({"requests": {"cpu": "1m"}}),
            false,
            &[],
        ),
        (
            "a size limit is an amount",
            json!({"emptyDir": {"sizeLimit": "1Gi"}}),
            json!({"emptyDir": {"sizeLimit": "1024Mi"}}),
            true,
            &[],
        ),
        ("elsewhere a text is a text", json!({"value": "0.5"}), json!({"value": "500m"}), false, &[]),
        (
            "service ports: defaults are tolerated",
            json!({"ports": [{"port": 80, "targetPort": 4230}]}),
            json!({"ports": [{"port": 80, "targetPort": 4230, "protocol": "TCP", "nodePort": 30000}]}),
            true,
            &[],
        ),
        (
            "service ports: any order",
            json!({"ports": [{"port": 80, "targetPort": 1}, {"port": 81, "targetPort": 2}]}),
            json!({"ports": [{"port": 81, "targetPort": 2}, {"port": 80, "targetPort": 1}]}),
            true,
            &[],
        ),
        (
            "service ports: owned whole, extras from the end",
            json!({"spec": {"ports": [{"port": 80, "targetPort": 1}]}}),
            json!({"spec": {"ports": [{"port": 7, "targetPort": 7}, {"port": 80, "targetPort": 1}, {"port": 9, "targetPort": 9}]}}),
            false,
            &["/spec/ports/2", "/spec/ports/0"],
        ),
        (
            "service ports: the protocol is part of the key",
            json!({"ports": [{"port": 53, "targetPort": 1, "protocol": "TCP"}]}),
            json!({"ports": [{"port": 53, "targetPort": 1, "protocol": "UDP"}]}),
            false,
            &["/ports/0"],
        ),
        (
            "service ports: removed",
            json!({"ports": [{"port": 80, "targetPort": 1}, {"port": 81, "targetPort": 2}]}),
            json!({"ports": [{"port": 80, "targetPort": 1}]}),
            false,
            &[],
        ),
        (
            "container ports are owned whole",
            json!({"ports": [{"containerPort": 80}]}),
            json!({"ports": [{"containerPort": 80}, {"containerPort": 22}]}),
            false,
            &["/ports/1"],
        ),
        (
            "env: owned whole",
            containers(json!([{"name": "a", "env": [{"name": "X", "value": "1"}]}])),
            containers(
                json!([{"name": "a", "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": "1"}]}]),
            ),
            false,
            &["/spec/template/spec/containers/0/env/0"],
        ),
        (
            "env: of two of a name ours stays",
            containers(json!([{"name": "a", "env": [{"name": "X", "value": "1"}]}])),
            containers(
                json!([{"name": "a", "env": [{"name": "X", "value": "evil"}, {"name": "X", "value": "1"}]}]),
            ),
            false,
            &["/spec/template/spec/containers/0/env/0"],
        ),
        (
            "env: an empty value",
            containers(json!([{"name": "a", "env": [{"name": "X", "value": ""}]}])),
            containers(json!([{"name": "a", "env": [{"name": "X"}]}])),
            true,
            &[],
        ),
        (
            "containers: injected ones are tolerated",
            containers(json!([{"name": "a", "image": "i"}])),
            containers(json!([{"name": "mesh", "env": [{"name": "Z"}]}, {"name": "a", "image": "i"}])),
            true,
            &[],
        ),
        (
            "containers: ours is not lost",
            containers(json!([{"name": "a"}])),
            containers(json!([{"name": "b"}])),
            false,
            &[],
        ),
        (
            "volumes and mounts: injected ones are tolerated",
            json!({"volumes": [{"name": "v", "emptyDir": {}}], "volumeMounts": [{"name": "v", "mountPath": "/v"}]}),
            json!({"volumes": [{"name": "m"}, {"name": "v", "emptyDir": {}}],
                "volumeMounts": [{"name": "m", "mountPath": "/m"}, {"name": "v", "mountPath": "/v"}]}),
            true,
            &[],
        ),
        (
            "mounts: ours stays read-only",
            json!({"volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": true}]}),
            json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}),
            false,
            &[],
        ),
        ("command: in our order", json!({"command": ["a", "b"]}), json!({"command": ["b", "a"]}), false, &[]),
        ("command: whole", json!({"command": ["a"]}), json!({"command": ["a", "b"]}), false, &[]),
        (
            "image pull secrets: owned whole",
            json!({"imagePullSecrets": [{"name": "a"}]}),
            json!({"imagePullSecrets": [{"name": "a"}, {"name": "b"}]}),
            false,
            &["/imagePullSecrets/1"],
        ),
        (
            "ingress rules: exactly ours",
            json!({"rules": [{"host": "a"}]}),
            json!({"rules": [{"host": "a"}, {"host": "b"}]}),
            false,
            &[],
        ),
        (
            "ingress rules: nothing added to one",
            json!({"rules": [{"host": "a"}]}),
            json!({"rules": [{"host": "a", "http": {"paths": [1]}}]}),
            false,
            &[],
        ),
        (
            "ingress rules: in our order",
            json!({"rules": [{"host": "a"}, {"host": "b"}]}),
            json!({"rules": [{"host": "b"}, {"host": "a"}]}),
            false,
            &[],
        ),
        (
            "a policy's rules: exactly ours",
            json!({"spec": {"policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 1}]}]}}),
            json!({"spec": {"policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 1, "endPort": 9}]}]}}),
            false,
            &[],
        ),
        (
            "a policy's rules: none where we set none",
            json!({"spec": {"policyTypes": ["Ingress"]}}),
            json!({"spec": {"policyTypes": ["Ingress"], "ingress": [{}]}}),
            false,
            &["/spec/ingress"],
        ),
        (
            "selectors: owned whole",
            json!({"spec": {"selector": {"app": "a"}}}),
            json!({"spec": {"selector": {"app": "a", "x/y~z": "b"}}}),
            false,
            &["/spec/selector/x~1y~0z"],
        ),
        (
            "capabilities: owned whole",
            json!({"capabilities": {"drop": ["ALL"]}}),
            json!({"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}),
            false,
            &["/capabilities/add"],
        ),
        (
            "a secret's data: owned whole",
            json!({"data": {"a": "eA=="}}),
            json!({"data": {"a": "eA==", "b": "eA=="}}),
            false,
            &["/data/b"],
        ),
        ("stringData is data", json!({"stringData": {"a": "x"}}), json!({"data": {"a": "eA=="}}), true, &[]),
        (
            "stringData wins over data",
            json!({"data": {"a": "AA=="}, "stringData": {"a": "x"}}),
            json!({"data": {"a": "eA=="}}),
            true,
            &[],
        ),
        (
            "stringData is whole, too",
            json!({"stringData": {"a": "x"}}),
            json!({"data": {"a": "eA==", "b": ""}}),
            true,
            &[],
        ),
        ("replicas are ours", json!({"spec": {"replicas": 1}}), json!({"spec": {"replicas": 2}}), false, &[]),
    ]
}

#[test]
fn every_rule_holds() {
    for (rule, desired, live, same, extras) in rows() {
        assert_eq!(matches(&desired, &live), same, "{rule}");
        assert_eq!(foreign_extras(&desired, &live), extras, "{rule}");
        // `stringData` is never answered.
        assert!(desired.get("stringData").is_some() || matches(&desired, &desired), "{rule}: itself");
        let mut repaired = live.clone();
        for path in extras {
            remove(&mut repaired, path);
        }
        assert_eq!(foreign_extras(&desired, &repaired), Vec::<String>::new(), "{rule}: removed");
    }
}

/// Removes what a JSON pointer points at, as a JSON patch does.
fn remove(value: &mut Value, pointer: &str) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match value.pointer_mut(parent).unwrap() {
        Value::Array(items) => {
            items.remove(last.parse().unwrap());
        }
        Value::Object(map) => {
            map.remove(&last.replace("~1", "/").replace("~0", "~")).unwrap();
        }
        other => panic!("{other} at {parent}"),
    }
}

#[test]
fn replicas_are_an_autoscalers_where_it_wrote_them() {
    let live = |manager: &str, subresource: &str, fields: Value| {
        let entry = json!({"manager": manager, "subresource": subresource, "fieldsV1": fields});
        json!({"metadata": {"managedFields": [{"manager": "x"}, entry]}, "spec": {"replicas": 5}})
    };
    let replicas = json!({"f:spec": {"f:replicas": {}}});
    let desired = json!({"spec": {"replicas": 1, "paused": true}});
    for (manager, subresource, fields, autoscaler) in [
        ("kube-controller-manager", "scale", replicas.clone(), true),
        ("kube-controller-manager", "status", replicas.clone(), false),
        ("kubectl", "scale", replicas, false),
        ("kube-controller-manager", "scale", json!({"f:spec": {}}), false),
    ] {
        let live = live(manager, subresource, fields);
        assert_eq!(autoscaled(&live), autoscaler);
        let desired = json!({"spec": {"replicas": 1}});
        assert_eq!(matches(&desired, &live), autoscaler, "{manager} {subresource}");
    }
    assert_eq!(without_replicas(&desired), json!({"spec": {"paused": true}}));
    assert!(!autoscaled(&json!({})));
}

#[test]
fn lists_in_the_way_are_written_whole() {
    let desired = json!({"spec": {"ports": [{"name": "x", "port": 80, "targetPort": 1}]}});
    let live = json!({"spec": {"ports": [{"name": "x", "port": 81, "targetPort": 1}]}});
    let patch = json!({"op": "replace", "path": "/spec/ports", "value": [{"name": "x", "port": 80, "targetPort": 1}]});
    assert_eq!(overwrites(&desired, &live), [patch]);
    assert_eq!(overwrites(&desired, &desired), Vec::<Value>::new());

    let env = |variable: Value| json!({"name": "a", "env": [variable]});
    let desired = containers(json!([env(json!({"name": "X", "valueFrom": {"k": 1}}))]));
    let live = containers(
        json!([{"name": "mesh", "env": [{"name": "Y"}]}, env(json!({"name": "X", "value": "1"}))]),
    );
    let paths: Vec<_> = overwrites(&desired, &live).iter().map(|op| op["path"].clone()).collect();
    assert_eq!(paths, ["/spec/template/spec/containers/1/env"]);
}

/// Every text, number and truth value of a manifest, as JSON pointers.
fn scalars(path: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                scalars(&format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")), value, found);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                scalars(&format!("{path}/{at}"), value, found);
            }
        }
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) => found.push(path.to_owned()),
    }
}

/// Nothing that we set, in any object of any case, may be changed or removed unseen.
#[test]
fn every_field_that_we_set_is_drift_when_it_changes_or_goes() {
    let mut seen = 0;
    for (name, case) in crate::cases::cases() {
        for leaf in case.leaves(&case.settings(&[])) {
            let (mut paths, manifest) = (Vec::new(), leaf.manifest.value());
            scalars("", &manifest, &mut paths);
            for path in paths {
                let mut changed = manifest.clone();
                let value = changed.pointer_mut(&path).unwrap();
                *value = match &*value {
                    Value::Bool(on) => json!(!*on),
                    Value::Number(number) => json!(number.as_i64().unwrap() + 1),
                    other => json!(format!("{}x", other.as_str().unwrap())),
                };
                assert!(!matches(&manifest, &changed), "{name}: {path} changed");
                let mut gone = manifest.clone();
                remove(&mut gone, &path);
                let unlisted = ["/apiVersion", "/kind"].contains(&path.as_str());
                assert_eq!(matches(&manifest, &gone), unlisted, "{name}: {path} gone");
                assert_ne!(leaf.manifest.digest(), Manifest::of(&changed).digest(), "{name}: {path}");
                seen += 1;
            }
        }
    }
    assert!(seen > 1000, "{seen}");
}
