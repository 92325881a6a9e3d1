//! Pods, as Pod Security `restricted` wants them: no root, no privilege, a read-only root file system, limits, no
//! token of the API server's.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource, HTTPGetAction,
    LocalObjectReference, PodSecurityContext, PodSpec, Probe, ProjectedVolumeSource, ResourceRequirements,
    SeccompProfile, SecretKeySelector, SecurityContext, ServiceAccountTokenProjection, TCPSocketAction,
    Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::component::{Component, Port};
use crate::settings;

/// Audience of the token by which git-api knows a pod: its ServiceAccount says producer, environment and component.
/// The API server refuses a token of another audience, so that neither service can use at the other what it is shown.
pub const GIT_API_AUDIENCE: &str = "git-api";
/// Audience of the token by which the configstore knows a pod.
pub const CONFIGSTORE_AUDIENCE: &str = "configstore";
/// Where a pod finds its tokens, in containers that run our code alone: a file each, named like its audience.
pub const TOKEN_DIRECTORY: &str = "/var/run/secrets/lunchbadger";

const TOKEN_VOLUME: &str = "identity";
/// Seconds; kubelet renews it after four fifths.
const TOKEN_LIFETIME: i64 = 3600;
/// Nobody else reads tokens. (Of pods whose containers have one user kubelet gives them to that user alone.)
const TOKEN_MODE: i32 = 0o440;
/// The group that reads tokens in pods with containers of several users. It is not our code's own group, because
/// kubelet gives it to every container: what keeps a producer's code from them is that it mounts no token.
pub(super) const TOKEN_GROUP: i64 = 10_003;
/// Size of a `/tmp`.
const TMP_SIZE: &str = "256Mi";

/// Users of containers. Our code and a producer's never share one: neither can read the other's files or send it
/// signals. Numbers, because kubelet cannot check `runAsNonRoot` against a name.
#[derive(Clone, Copy, Debug)]
pub(super) enum User {
    /// Our own code.
    Ours,
    /// A producer's app.
    App,
    /// Express Gateway: `node` of its image.
    Gateway,
}

impl User {
    fn id(self) -> i64 {
        match self {
            Self::Ours => 10_001,
            Self::App => 10_002,
            Self::Gateway => 1000,
        }
    }
}

/// What all containers are made of.
pub(super) struct ContainerParts<'a> {
    pub(super) name: &'a str,
    pub(super) image: String,
    pub(super) user: User,
    pub(super) resources: &'a settings::Resources,
    pub(super) env: Vec<EnvVar>,
    pub(super) mounts: Vec<VolumeMount>,
}

impl ContainerParts<'_> {
    /// A container with these parts and Pod Security `restricted`.
    pub(super) fn container(self) -> Container {
        let security = SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            read_only_root_filesystem: Some(true),
            run_as_group: Some(self.user.id()),
            run_as_user: Some(self.user.id()),
            ..SecurityContext::default()
        };
        Container {
            name: self.name.to_owned(),
            image: Some(self.image),
            env: Some(self.env),
            resources: Some(requirements(self.resources)),
            security_context: Some(security),
            volume_mounts: Some(self.mounts),
            ..Container::default()
        }
    }
}

fn requirements(resources: &settings::Resources) -> ResourceRequirements {
    let table = |cpu: &settings::Quantity, memory: &settings::Quantity| {
        let quantity = |text: &settings::Quantity| Quantity(text.to_string());
        Some(BTreeMap::from([("cpu".to_owned(), quantity(cpu)), ("memory".to_owned(), quantity(memory))]))
    };
    ResourceRequirements {
        requests: table(&resources.cpu.0, &resources.memory.0),
        limits: table(&resources.cpu.1, &resources.memory.1),
        ..ResourceRequirements::default()
    }
}

/// A pod of a component.
pub(super) fn pod(
    component: &Component<'_>,
    account: String,
    init: Vec<Container>,
    container: Container,
    volumes: Vec<Volume>,
) -> PodSpec {
    let pull_secret = component.settings.images.pull_secret.as_ref();
    PodSpec {
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        image_pull_secrets: pull_secret.map(|name| vec![LocalObjectReference { name: name.to_string() }]),
        init_containers: Some(init),
        containers: vec![container],
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        service_account_name: Some(account),
        volumes: Some(volumes),
        ..PodSpec::default()
    }
}

pub(super) fn env(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.into()), value_from: None }
}

/// A variable whose value is a key of a Secret.
pub(super) fn secret_env(name: &str, secret: &str, key: &str) -> EnvVar {
    let selector = SecretKeySelector { name: secret.to_owned(), key: key.to_owned(), optional: None };
    let source = EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() };
    EnvVar { name: name.to_owned(), value: None, value_from: Some(source) }
}

pub(super) fn container_ports(ports: &[Port]) -> Option<Vec<ContainerPort>> {
    let port = |port: &Port| ContainerPort {
        name: Some(port.name.to_owned()),
        container_port: port.container,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    };
    Some(ports.iter().map(port).collect())
}

/// Ready every 2 s instead of Kubernetes' 10: a push to a new gateway is waited for by people.
const PROBE_SECONDS: i32 = 2;

pub(super) fn ready_by_http(path: &str, port: i32) -> Option<Probe> {
    let get = HTTPGetAction {
        path: Some(path.to_owned()),
        port: IntOrString::Int(port),
        ..HTTPGetAction::default()
    };
    Some(Probe { http_get: Some(get), period_seconds: Some(PROBE_SECONDS), ..Probe::default() })
}

pub(super) fn ready_by_tcp(port: i32) -> Option<Probe> {
    let socket = TCPSocketAction { port: IntOrString::Int(port), host: None };
    Some(Probe { tcp_socket: Some(socket), period_seconds: Some(PROBE_SECONDS), ..Probe::default() })
}

pub(super) fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount { name: volume.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}

pub(super) fn read_only(volume: &str, path: &str) -> VolumeMount {
    VolumeMount { read_only: Some(true), ..mount(volume, path) }
}

/// An empty directory that lives as long as the pod.
pub(super) fn empty_dir(name: &str, size: &str) -> Volume {
    let source = EmptyDirVolumeSource {
        size_limit: Some(Quantity(size.to_owned())),
        ..EmptyDirVolumeSource::default()
    };
    Volume { name: name.to_owned(), empty_dir: Some(source), ..Volume::default() }
}

/// A `/tmp` of one container.
pub(super) fn tmp(name: &str) -> Volume {
    empty_dir(name, TMP_SIZE)
}

/// The pod's own tokens, one for each service that it calls.
pub(super) fn identity() -> Volume {
    let sources = [GIT_API_AUDIENCE, CONFIGSTORE_AUDIENCE].map(token).to_vec();
    let projected = ProjectedVolumeSource {
        default_mode: Some(TOKEN_MODE),
        sources: Some(sources),
        ..ProjectedVolumeSource::default()
    };
    Volume { name: TOKEN_VOLUME.to_owned(), projected: Some(projected), ..Volume::default() }
}

fn token(audience: &str) -> VolumeProjection {
    let token = ServiceAccountTokenProjection {
        audience: Some(audience.to_owned()),
        expiration_seconds: Some(TOKEN_LIFETIME),
        path: audience.to_owned(),
        ..ServiceAccountTokenProjection::default()
    };
    VolumeProjection { service_account_token: Some(token), ..VolumeProjection::default() }
}

pub(super) fn identity_mount() -> VolumeMount {
    read_only(TOKEN_VOLUME, TOKEN_DIRECTORY)
}
