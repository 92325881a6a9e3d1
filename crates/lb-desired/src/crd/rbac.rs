//! What the control plane may do. git-api and the configstore have the API server review tokens, and nothing else; the watcher
//! does so, too, and watches pods, Deployments and EndpointSlices where producers' objects are. All that follows is the
//! actualizer's:
//!
//! * Producers cluster-wide, because they are cluster-scoped. `purge` deletes them, after it annotated them as the
//!   [admission policy](super::admission()) demands.
//! * With one target namespace all else is a Role there: children, and the objects that they own, Secrets among them.
//! * With a template (`customer-$PRODUCER`) the namespaces do not exist yet. Children are its own everywhere, and the
//!   kinds that they own are watched everywhere, but Secrets. What is written, and all that concerns Secrets, is a
//!   ClusterRole that the actualizer may bind (verb `bind`, that name alone) in the namespaces it makes, right after
//!   it made them: [`target_binding`] is that binding. It may then create RoleBindings anywhere, to that role alone,
//!   which a stolen identity of the actualizer could abuse: one namespace is the smaller right.
//! * Its lease and the brake's ConfigMap in the control plane's namespace, and Events.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde_json::Value;

use super::GROUP;
use crate::build::LeafKind;
use crate::settings::Settings;

/// The actualizer's ServiceAccount, in the control plane's namespace; also the name of its roles.
pub const SERVICE_ACCOUNT: &str = "lunchbadger-actualizer";
/// git-api's ServiceAccount, in the control plane's namespace.
pub const GIT_API_ACCOUNT: &str = "lunchbadger-git-api";
/// The configstore's ServiceAccount, in the control plane's namespace.
pub const CONFIGSTORE_ACCOUNT: &str = "lunchbadger-configstore";
/// The watcher's ServiceAccount, in the control plane's namespace; also the name of its role.
pub const WATCHER_ACCOUNT: &str = "lunchbadger-watcher";
/// The role of all three: `create tokenreviews` alone.
pub const REVIEWER_ROLE: &str = "lunchbadger-token-reviewer";
/// The role of a target namespace.
pub const TARGET_ROLE: &str = "lunchbadger-actualizer-target";

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";
const CHILDREN: [&str; 3] = ["lbworkspaces", "lbgateways", "lbfunctions"];
const WRITE: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];
const WATCH: &[&str] = &["list", "watch"];

/// ServiceAccounts of the control plane's roles, as manifests.
#[must_use]
pub fn accounts(settings: &Settings) -> Vec<Value> {
    let home = settings.control_plane.namespace.as_str();
    let account = |name| ServiceAccount { metadata: named(name, Some(home)), ..ServiceAccount::default() };
    let all = [SERVICE_ACCOUNT, GIT_API_ACCOUNT, CONFIGSTORE_ACCOUNT, WATCHER_ACCOUNT];
    all.map(|name| manifest(&account(name))).to_vec()
}

/// Roles and bindings of the control plane, as manifests in the order of application.
#[must_use]
pub fn rbac(settings: &Settings) -> Vec<Value> {
    let home = settings.control_plane.namespace.as_str();
    let cluster = named(SERVICE_ACCOUNT, None);
    let mut rules = cluster_rules();
    let target = match settings.target_namespace.single() {
        Some(namespace) => {
            let metadata = named(TARGET_ROLE, Some(namespace));
            let rules = [child_rules(), leaf_rules()].concat();
            let role_ref = role("Role", TARGET_ROLE);
            let subjects = Some(vec![account(SERVICE_ACCOUNT, home)]);
            vec![
                manifest(&Role { metadata: metadata.clone(), rules: Some(rules) }),
                manifest(&RoleBinding { metadata, role_ref, subjects }),
            ]
        }
        None => {
            rules.extend(template_rules());
            let (metadata, rules) = (named(TARGET_ROLE, None), Some(leaf_rules()));
            vec![manifest(&ClusterRole { metadata, rules, aggregation_rule: None })]
        }
    };
    let mut manifests = vec![
        manifest(&ClusterRole { metadata: cluster.clone(), rules: Some(rules), aggregation_rule: None }),
        manifest(&ClusterRoleBinding {
            metadata: cluster,
            role_ref: role("ClusterRole", SERVICE_ACCOUNT),
            subjects: Some(vec![account(SERVICE_ACCOUNT, home)]),
        }),
        manifest(&Role { metadata: named(SERVICE_ACCOUNT, Some(home)), rules: Some(home_rules()) }),
        manifest(&RoleBinding {
            metadata: named(SERVICE_ACCOUNT, Some(home)),
            role_ref: role("Role", SERVICE_ACCOUNT),
            subjects: Some(vec![account(SERVICE_ACCOUNT, home)]),
        }),
    ];
    manifests.extend(target);
    manifests.extend(reviewers(home));
    manifests.extend(watcher(settings));
    manifests
}

/// What every role that serves may do.
fn reviewers(home: &str) -> [Value; 2] {
    let metadata = named(REVIEWER_ROLE, None);
    let rules = vec![rule("authentication.k8s.io", &["tokenreviews"], &["create"])];
    let all = [GIT_API_ACCOUNT, CONFIGSTORE_ACCOUNT, WATCHER_ACCOUNT];
    let subjects = all.map(|name| account(name, home)).to_vec();
    [
        manifest(&ClusterRole { metadata: metadata.clone(), rules: Some(rules), aggregation_rule: None }),
        manifest(&ClusterRoleBinding {
            metadata,
            role_ref: role("ClusterRole", REVIEWER_ROLE),
            subjects: Some(subjects),
        }),
    ]
}

/// What the watcher may see: in the target namespace, or everywhere with a template.
fn watcher(settings: &Settings) -> [Value; 2] {
    let rules = vec![
        rule("", &["pods"], WATCH),
        rule("apps", &["deployments"], WATCH),
        rule("discovery.k8s.io", &["endpointslices"], WATCH),
    ];
    let subjects = Some(vec![account(WATCHER_ACCOUNT, settings.control_plane.namespace.as_str())]);
    let metadata = named(WATCHER_ACCOUNT, settings.target_namespace.single());
    if settings.target_namespace.single().is_some() {
        let role_ref = role("Role", WATCHER_ACCOUNT);
        return [
            manifest(&Role { metadata: metadata.clone(), rules: Some(rules) }),
            manifest(&RoleBinding { metadata, role_ref, subjects }),
        ];
    }
    let role_ref = role("ClusterRole", WATCHER_ACCOUNT);
    [
        manifest(&ClusterRole { metadata: metadata.clone(), rules: Some(rules), aggregation_rule: None }),
        manifest(&ClusterRoleBinding { metadata, role_ref, subjects }),
    ]
}

/// The binding that the actualizer makes in a namespace of a template.
#[must_use]
pub fn target_binding(namespace: &str, settings: &Settings) -> RoleBinding {
    RoleBinding {
        metadata: named(TARGET_ROLE, Some(namespace)),
        role_ref: role("ClusterRole", TARGET_ROLE),
        subjects: Some(vec![account(SERVICE_ACCOUNT, settings.control_plane.namespace.as_str())]),
    }
}

/// What lies in no target namespace.
fn cluster_rules() -> Vec<PolicyRule> {
    let mut rules = with_status("lbproducers", WRITE);
    rules.push(rule("events.k8s.io", &["events"], &["create", "patch"]));
    rules
}

/// What a template adds: namespaces are made and looked at, never changed or deleted.
fn template_rules() -> Vec<PolicyRule> {
    let mut rules = child_rules();
    rules.extend(
        LeafKind::ALL.into_iter().filter(|kind| *kind != LeafKind::Secret).map(|kind| of_kind(kind, WATCH)),
    );
    rules.push(rule("", &["namespaces"], &["get", "create"]));
    rules.push(rule(RBAC_GROUP, &["rolebindings"], &["get", "create", "patch"]));
    rules.push(PolicyRule {
        resource_names: Some(vec![TARGET_ROLE.to_owned()]),
        ..rule(RBAC_GROUP, &["clusterroles"], &["bind"])
    });
    rules
}

fn child_rules() -> Vec<PolicyRule> {
    CHILDREN.iter().flat_map(|plural| with_status(plural, WRITE)).collect()
}

/// A kind of ours with its status. An owner reference that blocks deletion needs `update` of the owner's
/// `finalizers`.
fn with_status(plural: &str, verbs: &[&str]) -> Vec<PolicyRule> {
    vec![
        rule(GROUP, &[plural], verbs),
        rule(GROUP, &[&format!("{plural}/status")], &["patch"]),
        rule(GROUP, &[&format!("{plural}/finalizers")], &["update"]),
    ]
}

/// What children own: every kind that is built, so that none can be built and not be applied.
fn leaf_rules() -> Vec<PolicyRule> {
    LeafKind::ALL.into_iter().map(|kind| of_kind(kind, WRITE)).collect()
}

fn of_kind(kind: LeafKind, verbs: &[&str]) -> PolicyRule {
    let group = kind.api_version().split_once('/').map_or("", |(group, _)| group);
    rule(group, &[kind.plural()], verbs)
}

fn home_rules() -> Vec<PolicyRule> {
    vec![
        rule("coordination.k8s.io", &["leases"], &["get", "create", "update"]),
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

fn account(name: &str, namespace: &str) -> Subject {
    Subject {
        kind: "ServiceAccount".to_owned(),
        name: name.to_owned(),
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
