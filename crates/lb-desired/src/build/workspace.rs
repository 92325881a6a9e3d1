//! The workspace: the producer's clone behind our APIs, and the producer's own app.
//!
//! Two containers that share nothing writable. The API container is a native sidecar: it owns the clone, holds the
//! pod's tokens, and is up before the app starts and after it ends. The app container is hostile code: it has no
//! token and mounts none of the API container's volumes.

use k8s_openapi::api::core::v1::{Container, PodSpec, SecretVolumeSource, Volume};
use lb_vocab::Producer;
use lb_vocab::settings::AuthMode;

use super::component::{App, Component, Pods, Port};
use super::git::{CLONE, TMP, init, our_mounts, repository_env};
use super::names::{internal_host, workspace_host};
use super::pod::{
    ContainerParts, TOKEN_GROUP, User, container_ports, empty_dir, env, identity, mount, pod, read_only,
    ready_by_http, tmp,
};
use super::{Leaf, LeafKind, Workspace, network_policy, revision_annotation};
use crate::settings::Settings;

const PROJECT_API: Port = Port { name: "project-api", service: 80, container: 4230 };
const WORKSPACE_API: Port = Port { name: "workspace-api", service: 81, container: 4231 };
const APP: Port = Port { name: "workspace", service: 3000, container: 3000 };

/// The port at which gateways reach a producer's app.
pub(super) const APP_PORT: i32 = APP.container;

pub(super) fn component<'a>(producer: &'a Producer, settings: &'a Settings) -> Component<'a> {
    Component { app: App::Workspace, producer, settings }
}

/// The workspace's object of a kind.
pub(super) fn leaf(kind: LeafKind, workspace: &Workspace, settings: &Settings) -> Option<Leaf> {
    let component = component(&workspace.producer, settings);
    let ports = [PROJECT_API, WORKSPACE_API, APP];
    Some(match kind {
        LeafKind::ServiceAccount => component.service_account(),
        LeafKind::NetworkPolicy => network_policy::workspace(&component, &ports),
        LeafKind::Secret => return None,
        LeafKind::Service => component.service(&ports, None),
        LeafKind::Deployment => component.deployment(Pods {
            replicas: 1,
            annotations: revision_annotation(workspace.revision.as_ref()),
            spec: pod_spec(&component),
        }),
        LeafKind::Ingress => component.ingress(hosts(&component)),
    })
}

/// The app at its own host; the APIs at the internal one, where `/explorer` goes to the API container, which strips
/// it and proxies to the app. `AUTH_MODE=none` publishes no internal host: nothing would guard it.
fn hosts(component: &Component<'_>) -> Vec<(String, Vec<(&'static str, i32)>)> {
    let (producer, settings) = (component.producer, component.settings);
    let mut hosts = vec![(workspace_host(producer, settings), vec![("/", APP.service)])];
    match settings.auth_mode {
        AuthMode::None => {}
        AuthMode::Tokens => hosts.push((
            internal_host(producer, settings),
            vec![
                ("/project-api", PROJECT_API.service),
                ("/workspace-api", WORKSPACE_API.service),
                ("/explorer", WORKSPACE_API.service),
            ],
        )),
    }
    hosts
}

fn pod_spec(component: &Component<'_>) -> PodSpec {
    let settings = component.settings;
    let storage = settings.workspace.storage.as_str();
    let mut volumes =
        vec![empty_dir(CLONE, storage), tmp(TMP), empty_dir("app", storage), tmp("app-tmp"), identity()];
    let mut app = app_container(component);
    if settings.workspace.triton {
        volumes.push(triton());
        app.volume_mounts.get_or_insert_default().push(read_only("triton-keypair", "/root/.triton_ssh"));
    }
    let ours = vec![init(component, "dev"), api_container(component)];
    let mut pod = pod(component, component.name(), ours, app, volumes);
    pod.security_context.get_or_insert_default().fs_group = Some(TOKEN_GROUP);
    pod
}

/// The Triton object store's key pair. It is the same for every producer and lies where its code can read it: the
/// contract's, for closed set-ups; off by default.
fn triton() -> Volume {
    let source = SecretVolumeSource {
        secret_name: Some("triton-keypair".to_owned()),
        ..SecretVolumeSource::default()
    };
    Volume { name: "triton-keypair".to_owned(), secret: Some(source), ..Volume::default() }
}

fn api_container(component: &Component<'_>) -> Container {
    let settings = component.settings;
    let mut variables = repository_env(component, "dev");
    variables.extend(settings.workspace.push_interval.map(|ms| env("LB_PUSH_INTERVAL", ms.to_string())));
    variables
        .extend(settings.workspace.url_prefix.as_ref().map(|prefix| env("WORKSPACE_URL_PREFIX", prefix)));
    variables.extend(settings.workspace.issuer.as_ref().map(|issuer| env("AUTH_ISSUER", issuer)));
    variables.extend(settings.workspace.origins.as_ref().map(|origins| env("CORS_ORIGINS", origins)));
    match settings.auth_mode {
        // The container's own default.
        AuthMode::Tokens => {}
        AuthMode::None => variables.push(env("AUTH_MODE", "none")),
    }
    let parts = ContainerParts {
        name: "api",
        image: settings.images.of(&settings.images.workspace, component.producer.name()),
        user: User::Ours,
        resources: &settings.resources.workspace_api,
        env: variables,
        mounts: our_mounts(),
    };
    Container {
        args: Some(vec!["workspace".to_owned()]),
        ports: container_ports(&[PROJECT_API, WORKSPACE_API]),
        readiness_probe: ready_by_http("/", WORKSPACE_API.container),
        restart_policy: Some("Always".to_owned()),
        ..parts.container()
    }
}

fn app_container(component: &Component<'_>) -> Container {
    let settings = component.settings;
    let producer = component.producer;
    let parts = ContainerParts {
        name: "workspace",
        image: settings.images.of(&settings.images.workspace, producer.name()),
        user: User::App,
        resources: &settings.resources.app,
        env: vec![
            env("LB_ENV", producer.environment().as_str()),
            env("LB_PRODUCER", producer.name().as_str()),
        ],
        mounts: vec![mount("app", "/app"), mount("app-tmp", "/tmp")],
    };
    Container { args: Some(vec!["app".to_owned()]), ports: container_ports(&[APP]), ..parts.container() }
}
