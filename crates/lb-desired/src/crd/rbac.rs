//! What the actualizer may do.
//!
//! * Custom resources cluster-wide: producers are cluster-scoped, and one watch sees the children of all namespaces.
//! * Objects that children own, Secrets among them, in target namespaces alone, never cluster-wide. With one target
//!   namespace that is a Role there. With a template (`customer-$PRODUCER`) the namespaces do not exist yet: the same
//!   rules are a ClusterRole that the actualizer may bind (verb `bind`, that name alone) in the namespaces it makes;
//!   [`target_binding`] is that binding. It may create RoleBindings anywhere then, to that role alone, which a
//!   stolen identity of the actualizer could abuse: one namespace is the smaller right.
//! * Leases, the brake's ConfigMap and Events in the control plane's namespace.
//! * Deleting a producer is an operator's right, not the actualizer's.

use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde_json::Value;

use super::GROUP;
use crate::settings::Settings;

/// The actualizer's ServiceAccount, in the control plane's namespace; also the name of its roles.
pub const SERVICE_ACCOUNT: &str = "lunchbadger-actualizer";
/// The role of a target namespace.
pub const TARGET_ROLE: &str = "lunchbadger-actualizer-target";

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";
const WRITE: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

/// Roles and bindings of the actualizer, as manifests in the order of application.
#[must_use]
pub fn rbac(settings: &Settings) -> Vec<Value> {
    let home = settings.control_plane.namespace.as_str();
    let cluster = named(SERVICE_ACCOUNT, None);
    let mut rules = cluster_rules();
    let target = match settings.target_namespace.single() {
        Some(namespace) => vec![
            manifest(&Role { metadata: named(TARGET_ROLE, Some(namespace)), rules: Some(target_rules()) }),
            manifest(&RoleBinding {
                metadata: named(TARGET_ROLE, Some(namespace)),
                role_ref: role("Role", TARGET_ROLE),
                subjects: Some(vec![actualizer(home)]),
            }),
        ],
        None => {
            rules.extend(template_rules());
            let metadata = named(TARGET_ROLE, None);
            vec![manifest(&ClusterRole { metadata, rules: Some(target_rules()), aggregation_rule: None })]
        }
    };
    let mut manifests = vec![
        manifest(&ClusterRole { metadata: cluster.clone(), rules: Some(rules), aggregation_rule: None }),
        manifest(&ClusterRoleBinding {
            metadata: cluster,
            role_ref: role("ClusterRole", SERVICE_ACCOUNT),
            subjects: Some(vec![actualizer(home)]),
        }),
        manifest(&Role { metadata: named(SERVICE_ACCOUNT, Some(home)), rules: Some(home_rules()) }),
        manifest(&RoleBinding {
            metadata: named(SERVICE_ACCOUNT, Some(home)),
            role_ref: role("Role", SERVICE_ACCOUNT),
            subjects: Some(vec![actualizer(home)]),
        }),
    ];
    manifests.extend(target);
    manifests
}

/// The binding that the actualizer makes in a namespace of a template.
#[must_use]
pub fn target_binding(namespace: &str, settings: &Settings) -> RoleBinding {
    RoleBinding {
        metadata: named(TARGET_ROLE, Some(namespace)),
        role_ref: role("ClusterRole", TARGET_ROLE),
        subjects: Some(vec![actualizer(settings.control_plane.namespace.as_str())]),
    }
}

/// The roster makes producers; operators delete them. Children are made and pruned. Owner references that block
/// deletion need `update` of the owner's `finalizers`.
fn cluster_rules() -> Vec<PolicyRule> {
    let children = ["lbworkspaces", "lbgateways", "lbfunctions"];
    vec![
        rule(GROUP, &["lbproducers"], &["get", "list", "watch", "create", "patch"]),
        rule(GROUP, &children, WRITE),
        rule(
            GROUP,
            &["lbproducers/status", "lbworkspaces/status", "lbgateways/status", "lbfunctions/status"],
            &["patch"],
        ),
        rule(
            GROUP,
            &[
                "lbproducers/finalizers",
                "lbworkspaces/finalizers",
                "lbgateways/finalizers",
                "lbfunctions/finalizers",
            ],
            &["update"],
        ),
        rule("events.k8s.io", &["events"], &["create", "patch"]),
    ]
}

/// What a template adds: namespaces are made and looked at, never changed or deleted.
fn template_rules() -> Vec<PolicyRule> {
    vec![
        rule("", &["namespaces"], &["get", "create"]),
        rule(RBAC_GROUP, &["rolebindings"], &["get", "create"]),
        PolicyRule {
            resource_names: Some(vec![TARGET_ROLE.to_owned()]),
            ..rule(RBAC_GROUP, &["clusterroles"], &["bind"])
        },
    ]
}

fn target_rules() -> Vec<PolicyRule> {
    vec![
        rule("", &["secrets", "services", "serviceaccounts"], WRITE),
        rule("apps", &["deployments"], WRITE),
        rule("networking.k8s.io", &["ingresses", "networkpolicies"], WRITE),
    ]
}

fn home_rules() -> Vec<PolicyRule> {
    vec![
        rule("coordination.k8s.io", &["leases"], &["get", "create", "update", "patch"]),
        rule("", &["configmaps"], &["get", "list", "watch", "create", "patch"]),
    ]
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(texts(&[group])),
        resources: Some(texts(resources)),
        verbs: texts(verbs),
        ..PolicyRule::default()
    }
}

fn named(name: &str, namespace: Option<&str>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.map(str::to_owned),
        ..ObjectMeta::default()
    }
}

fn role(kind: &str, name: &str) -> RoleRef {
    RoleRef { api_group: Some(RBAC_GROUP.to_owned()), kind: kind.to_owned(), name: name.to_owned() }
}

fn actualizer(namespace: &str) -> Subject {
    Subject {
        kind: "ServiceAccount".to_owned(),
        name: SERVICE_ACCOUNT.to_owned(),
        namespace: Some(namespace.to_owned()),
        api_group: None,
    }
}

fn manifest<T: Serialize>(object: &T) -> Value {
    match serde_json::to_value(object) {
        Ok(manifest) => manifest,
        Err(error) => unreachable!("Kubernetes' own types are JSON: {error}"),
    }
}
