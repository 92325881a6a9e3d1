//! A Kubernetes control plane for one bench: its audit log is what requests are counted by.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleRef, Subject};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use lb_testkit::cluster::User;
use lb_testkit::control_plane::{self, ControlPlane, Options};
use lb_testkit::files::write_private;
use lb_testkit::process::bare;
use serde_json::Value;

use crate::command::output;
use crate::say::progress;

/// The namespace of producers' objects.
pub(super) const NAMESPACE: &str = "customer";
/// Requests a second that the controllers may make. By default their own limit (20) would be what is measured.
const CONTROLLERS_RATE: u32 = 2000;
/// What etcd may keep, bytes: 10,000 producers are more than its default.
const ETCD_QUOTA: u64 = 8 << 30;

/// A running control plane.
pub(super) struct Cluster {
    plane: ControlPlane,
    /// A kubeconfig whose current context is LunchBadger's own user.
    pub(super) kubeconfig: PathBuf,
    /// Another user's client, who may do everything.
    pub(super) client: Client,
}

impl Cluster {
    /// Starts one with our definitions, and the right to everything for our user.
    pub(super) async fn start(directory: &Path, program: &Path) -> Result<Self> {
        Self::start_with(directory, program, false).await
    }

    /// The same where nothing makes pods, and requests are not noted.
    pub(super) async fn start_bare(directory: &Path, program: &Path) -> Result<Self> {
        Self::start_with(directory, program, true).await
    }

    async fn start_with(directory: &Path, program: &Path, only: bool) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
        let options = Options {
            directory: Some(directory.to_owned()),
            controllers_rate: Some(CONTROLLERS_RATE),
            removing_only: only,
            audit: !only,
            etcd_quota: Some(ETCD_QUOTA),
            progress: progress(),
        };
        let plane = ControlPlane::start(options).await?;
        let text = fs::read_to_string(plane.kubeconfig()).context("read the kubeconfig")?;
        let mut ours: Value = serde_json::from_str(&text).context("read the kubeconfig")?;
        ours["current-context"] = User::Lunchbadger.name().into();
        let kubeconfig = directory.join("lunchbadger.kubeconfig");
        write_private(&kubeconfig, &ours.to_string())?;
        let client = control_plane::client(&plane.kubeconfig(), User::Admin).await?;
        let mut definitions = bare(program);
        definitions.arg("--kubeconfig").arg(plane.kubeconfig()).args(["crds", "apply"]);
        output(&mut definitions)?;
        let cluster = Self { plane, kubeconfig, client };
        cluster.prepare().await?;
        Ok(cluster)
    }

    async fn prepare(&self) -> Result<()> {
        let metadata = |name: &str| ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        let namespace = Namespace { metadata: metadata(NAMESPACE), ..Namespace::default() };
        let created = Api::all(self.client.clone()).create(&PostParams::default(), &namespace).await;
        created.with_context(|| format!("create namespace {NAMESPACE}"))?;
        let group = "rbac.authorization.k8s.io";
        let binding = ClusterRoleBinding {
            metadata: metadata("bench"),
            role_ref: RoleRef {
                api_group: Some(group.into()),
                kind: "ClusterRole".into(),
                name: "cluster-admin".into(),
            },
            subjects: Some(vec![Subject {
                api_group: Some(group.into()),
                kind: "User".into(),
                name: User::Lunchbadger.name().into(),
                namespace: None,
            }]),
        };
        let bound = Api::all(self.client.clone()).create(&PostParams::default(), &binding).await;
        bound.map(drop).context("let LunchBadger's user do everything")
    }

    /// The API server's process.
    pub(super) fn api_server(&self) -> Result<u32> {
        self.plane.api_server()
    }

    /// What LunchBadger's user has asked since a moment (RFC 3339), leases apart. Requests that still run (watches) are
    /// not in it.
    pub(super) fn audit(&self, since: &str) -> Result<Vec<Asked>> {
        let directory = self.plane.directory();
        let mut all = Vec::new();
        let logs = fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))?;
        for log in logs.flatten().map(|entry| entry.path()) {
            let name = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("audit") && name.ends_with(".log") {
                let text = fs::read_to_string(&log).with_context(|| format!("read {}", log.display()))?;
                all.extend(text.lines().filter_map(Asked::read).filter(|asked| asked.at.as_str() >= since));
            }
        }
        all.sort_by(|one, other| one.at.cmp(&other.at));
        Ok(all)
    }
}

/// One request to the API server.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// When, RFC 3339 in microseconds.
    pub(super) at: String,
    /// `create`, `patch`, `list`, `watch`...
    pub(super) verb: String,
    /// The kind's name in URLs, with the subresource behind a slash.
    pub(super) resource: String,
    /// The object's name.
    pub(super) name: String,
    /// Path and query.
    pub(super) uri: String,
    /// The answer's status.
    pub(super) status: u64,
}

impl Asked {
    /// Reads a line of the audit log, where it is a finished request of ours that is no lease's.
    fn read(line: &str) -> Option<Self> {
        if !line.contains("\"username\":\"lunchbadger\"") {
            return None;
        }
        let event: Value = serde_json::from_str(line).ok()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (stage, verb) = (text(&event["stage"]), text(&event["verb"]));
        let watch = verb == "watch";
        if stage != if watch { "ResponseStarted" } else { "ResponseComplete" } {
            return None;
        }
        let reference = &event["objectRef"];
        let mut resource = text(&reference["resource"]);
        if resource == "leases" {
            return None;
        }
        if let Some(subresource) = reference["subresource"].as_str() {
            resource = format!("{resource}/{subresource}");
        }
        Some(Self {
            at: text(&event["requestReceivedTimestamp"]),
            verb,
            resource,
            name: text(&reference["name"]),
            uri: text(&event["requestURI"]),
            status: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
        })
    }

    /// Whether it changes something.
    pub(super) fn writes(&self) -> bool {
        ["create", "update", "patch", "delete", "deletecollection"].contains(&self.verb.as_str())
    }

    /// Whether it is about an object that producers' pods are made of, and not about our own kinds or Events.
    pub(super) fn leaf(&self) -> bool {
        const LEAVES: [&str; 7] = [
            "deployments",
            "services",
            "ingresses",
            "networkpolicies",
            "serviceaccounts",
            "secrets",
            "persistentvolumeclaims",
        ];
        LEAVES.contains(&self.resource.as_str())
    }
}

/// Now, as the audit log writes it.
pub(super) fn timestamp() -> String {
    let since = super::measure::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let at =
        k8s_openapi::jiff::Timestamp::from_microsecond(i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
    at.map(|at| format!("{at:.6}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_compare_with_those_of_the_audit_log() {
        let now = timestamp();
        assert_eq!(now.len(), "2026-11-28T01:37:53.123456Z".len(), "{now}");
        assert!(now.as_str() > "2020-01-01T00:00:00.000000Z");
    }

    #[test]
    fn finished_requests_of_ours_count_but_for_leases() {
        let line = |verb: &str, stage: &str, resource: &str| {
            format!(
                r#"{{"stage":"{stage}","verb":"{verb}","user":{{"username":"lunchbadger"}},"objectRef":{{"resource":"{resource}","subresource":"status","name":"x"}},"responseStatus":{{"code":200}}}}"#
            )
        };
        let asked = Asked::read(&line("patch", "ResponseComplete", "lbgateways")).unwrap();
        assert_eq!(
            (asked.resource.as_str(), asked.name.as_str(), asked.writes(), asked.leaf()),
            ("lbgateways/status", "x", true, false)
        );
        assert!(Asked::read(&line("watch", "ResponseStarted", "secrets")).is_some());
        assert!(Asked::read(&line("watch", "ResponseComplete", "secrets")).is_none());
        assert!(Asked::read(&line("patch", "ResponseComplete", "leases")).is_none());
        assert!(
            Asked::read(&line("patch", "ResponseComplete", "pods").replace("lunchbadger", "al")).is_none()
        );
    }
}
