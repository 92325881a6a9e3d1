//! What the built NetworkPolicies mean, by a small evaluation of them: who reaches whom. No enforcing plug-in runs
//! in tests.

use std::net::IpAddr;

use lb_desired::build::Leaf;
use serde_json::{Map, Value, json};

use crate::cases::cases;

/// Where a connection ends, or starts.
#[derive(Clone, Debug)]
enum End {
    Pod { namespace: &'static str, labels: Value },
    Address(IpAddr),
}

fn pod(namespace: &'static str, labels: Value) -> End {
    End::Pod { namespace, labels }
}

fn address(text: &str) -> End {
    End::Address(text.parse().unwrap())
}

fn selects(selector: &Value, labels: &Map<String, Value>) -> bool {
    let by_labels = selector["matchLabels"].as_object();
    let by_expressions = selector["matchExpressions"].as_array();
    by_labels.into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value))
        && by_expressions.into_iter().flatten().all(|expression| {
            assert_eq!(expression["operator"], "In");
            let value = labels.get(expression["key"].as_str().unwrap());
            value.is_some_and(|value| expression["values"].as_array().unwrap().contains(value))
        })
}

fn in_block(cidr: &str, address: IpAddr) -> bool {
    let (network, prefix) = cidr.split_once('/').unwrap();
    let prefix: u32 = prefix.parse().unwrap();
    match (network.parse().unwrap(), address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            prefix == 0 || (u32::from(network) ^ u32::from(address)) >> (32 - prefix) == 0
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            prefix == 0 || (u128::from(network) ^ u128::from(address)) >> (128 - prefix) == 0
        }
        _ => false,
    }
}

fn is_peer(peer: &Value, end: &End, own_namespace: &str) -> bool {
    match end {
        End::Address(address) => {
            let block = &peer["ipBlock"];
            block["cidr"].as_str().is_some_and(|cidr| in_block(cidr, *address))
                && !block["except"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|except| in_block(except.as_str().unwrap(), *address))
        }
        End::Pod { namespace, labels } => {
            let names = json!({ "kubernetes.io/metadata.name": namespace });
            let namespace_fits = match &peer["namespaceSelector"] {
                Value::Null => *namespace == own_namespace,
                selector => selects(selector, names.as_object().unwrap()),
            };
            peer["ipBlock"].is_null()
                && namespace_fits
                && selects(&peer["podSelector"], labels.as_object().unwrap())
        }
    }
}

/// Whether the policy of `app` in a case lets a TCP connection through: `ingress` from, or `egress` to `end`.
fn allowed(leaves: &[Leaf], app: &str, direction: &str, end: &End, port: u16) -> bool {
    let policy = leaves
        .iter()
        .map(|leaf| leaf.manifest.value())
        .find(|manifest| manifest["kind"] == "NetworkPolicy" && manifest["metadata"]["labels"]["app"] == app);
    let policy = policy.unwrap();
    let types = policy["spec"]["policyTypes"].as_array().unwrap();
    assert!(types.contains(&json!("Ingress")) && types.contains(&json!("Egress")));
    let peers = if direction == "ingress" { "from" } else { "to" };
    policy["spec"][direction].as_array().into_iter().flatten().any(|rule| {
        let ports = rule["ports"].as_array();
        let port_fits =
            ports.is_none_or(|ports| ports.iter().any(|p| p["port"] == port && p["protocol"] == "TCP"));
        let peer_fits = rule[peers].as_array().is_none_or(|list| {
            list.iter().any(|peer| is_peer(peer, end, policy["metadata"]["namespace"].as_str().unwrap()))
        });
        port_fits && peer_fits
    })
}

#[test]
fn pods_reach_what_they_need_and_nothing_else() {
    let cases = cases();
    let leaves = |name: &str| cases[name].leaves(&cases[name].settings(&[]));
    let workspace = leaves("workspace-defaults");
    let gateway = leaves("gateway-defaults");
    let own = |app: &str| pod("customer", json!({ "app": app, "producer": "al", "environment": "dev" }));
    let function = |producer: &str| pod("customer", json!({ "producer": producer, "env": "dev" }));
    let other = |app: &str| pod("customer", json!({ "app": app, "producer": "bob", "environment": "dev" }));
    let stage = |app: &str| pod("customer", json!({ "app": app, "producer": "al", "environment": "test" }));
    let control_plane = |app: &str| pod("default", json!({ "app": app }));
    let rows = [
        (&workspace, "workspace", "ingress", own("gateway"), 3000, true),
        (&workspace, "workspace", "ingress", own("gateway"), 4230, false),
        (&workspace, "workspace", "ingress", own("gateway"), 4231, false),
        (&workspace, "workspace", "ingress", own("sls-api"), 3000, false),
        (&workspace, "workspace", "ingress", other("gateway"), 3000, false),
        (&workspace, "workspace", "ingress", stage("gateway"), 3000, false),
        (&workspace, "workspace", "ingress", other("workspace"), 4231, false),
        (&workspace, "workspace", "ingress", pod("projectcontour", json!({})), 4231, true),
        (&workspace, "workspace", "ingress", pod("somewhere", json!({})), 4231, false),
        (&workspace, "workspace", "ingress", address("203.0.113.7"), 3000, false),
        (&workspace, "workspace", "egress", control_plane("git-api"), 8080, true),
        (&workspace, "workspace", "egress", control_plane("configstore"), 3002, true),
        (&workspace, "workspace", "egress", control_plane("configstore"), 8080, false),
        (&workspace, "workspace", "egress", control_plane("eg-identity-redis"), 6379, false),
        (&workspace, "workspace", "egress", other("workspace"), 3000, false),
        (&workspace, "workspace", "egress", address("104.16.0.1"), 443, true),
        (&workspace, "workspace", "egress", address("2606:4700::1"), 443, true),
        (&workspace, "workspace", "egress", address("169.254.169.254"), 80, false),
        (&workspace, "workspace", "egress", address("fd00:ec2::254"), 80, false),
        (&workspace, "workspace", "egress", address("10.96.0.1"), 443, false),
        (&workspace, "workspace", "egress", address("192.168.1.10"), 6443, false),
        (&workspace, "workspace", "egress", address("127.0.0.1"), 8080, false),
        (&workspace, "workspace", "egress", address("64:ff9b::a00:1"), 80, false),
        (&workspace, "workspace", "egress", address("::ffff:10.0.0.1"), 80, false),
        (&workspace, "sls-api", "ingress", own("gateway"), 4444, false),
        (&workspace, "sls-api", "ingress", pod("ingress-nginx", json!({})), 4444, true),
        (&workspace, "sls-api", "egress", control_plane("git-api"), 8080, true),
        (&gateway, "gateway", "ingress", pod("traefik", json!({})), 8080, true),
        (&gateway, "gateway", "ingress", pod("traefik", json!({})), 9876, false),
        (&gateway, "gateway", "ingress", own("workspace"), 8080, false),
        (&gateway, "gateway", "egress", own("workspace"), 3000, true),
        (&gateway, "gateway", "egress", own("workspace"), 4231, false),
        (&gateway, "gateway", "egress", own("sls-api"), 4444, false),
        (&gateway, "gateway", "egress", other("workspace"), 3000, false),
        (&gateway, "gateway", "egress", function("al"), 8080, true),
        (&gateway, "gateway", "egress", function("bob"), 8080, false),
        (&gateway, "gateway", "egress", control_plane("eg-identity-redis"), 6379, true),
        (&gateway, "gateway", "egress", control_plane("git-api"), 8080, false),
        (&gateway, "gateway", "egress", address("169.254.169.254"), 80, false),
        (&gateway, "gateway", "egress", pod("kube-system", json!({ "k8s-app": "kube-dns" })), 53, true),
        (&gateway, "gateway", "egress", pod("kube-system", json!({ "k8s-app": "other" })), 53, false),
    ];
    for (leaves, app, direction, end, port, expected) in rows {
        assert_eq!(allowed(leaves, app, direction, &end, port), expected, "{app} {direction} {end:?} {port}");
    }
}

#[test]
fn operators_open_what_they_name_and_no_more() {
    let cases = cases();
    let leaves = |name: &str| cases[name].leaves(&cases[name].settings(&[]));
    let everything = leaves("gateway-everything");
    let workspace = leaves("workspace-everything");
    let closed = leaves("gateway-closed-network");
    let outside = leaves("gateway-redis-by-address");
    let rows = [
        (&everything, "gateway", "ingress", pod("metrics", json!({})), 9876, true),
        (&everything, "gateway", "ingress", pod("metrics", json!({})), 8080, false),
        (&everything, "gateway", "ingress", pod("edge-2", json!({})), 8080, true),
        (&everything, "gateway", "ingress", address("10.9.0.7"), 8080, true),
        (&everything, "gateway", "egress", address("203.0.113.9"), 443, false),
        (&everything, "gateway", "egress", address("10.44.3.2"), 5432, true),
        (&everything, "gateway", "egress", address("10.45.3.2"), 5432, false),
        (&everything, "gateway", "egress", address("10.9.0.7"), 6390, true),
        (&everything, "gateway", "egress", address("10.9.0.7"), 6443, false),
        (&everything, "gateway", "egress", pod("stores", json!({})), 6390, true),
        (&workspace, "workspace", "egress", address("10.9.0.7"), 18080, true),
        (&workspace, "workspace", "egress", address("10.9.0.7"), 13002, true),
        (&workspace, "workspace", "egress", address("10.9.0.7"), 6443, false),
        (&workspace, "workspace", "egress", address("fd00:9::1"), 18080, true),
        (&closed, "gateway", "ingress", pod("ingress-nginx", json!({})), 8080, false),
        (&closed, "gateway", "ingress", address("203.0.113.7"), 8080, false),
        (&closed, "gateway", "egress", address("203.0.113.7"), 443, false),
        (&outside, "gateway", "egress", address("192.0.2.6"), 6379, true),
        (&outside, "gateway", "egress", address("198.51.100.3"), 6379, true),
    ];
    for (leaves, app, direction, end, port, expected) in rows {
        assert_eq!(allowed(leaves, app, direction, &end, port), expected, "{app} {direction} {end:?} {port}");
    }
}
