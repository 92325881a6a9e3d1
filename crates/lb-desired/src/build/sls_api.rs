//! The sls-api: the producer's `functions` repository behind our API.

use k8s_openapi::api::core::v1::{Container, PodSpec};
use lb_vocab::Producer;

use super::component::{App, Component, Pods, Port};
use super::git::{CLONE, TMP, init, our_mounts, repository_env};
use super::names::sls_host;
use super::pod::{ContainerParts, User, container_ports, empty_dir, env, identity, pod, ready_by_http, tmp};
use super::{Leaf, LeafKind, Workspace, network_policy, revision_annotation};
use crate::settings::Settings;

const SLS: Port = Port { name: "sls", service: 80, container: 4444 };

/// The sls-api's object of a kind. Its own ServiceAccount is left out where the operator named one for all.
pub(super) fn leaf(kind: LeafKind, workspace: &Workspace, settings: &Settings) -> Option<Leaf> {
    let component = component(&workspace.producer, settings);
    Some(match kind {
        LeafKind::ServiceAccount if settings.sls_service_account.is_some() => return None,
        LeafKind::ServiceAccount => component.service_account(),
        LeafKind::NetworkPolicy => network_policy::sls_api(&component, &[SLS]),
        LeafKind::Secret => return None,
        LeafKind::Service => component.service(&[SLS], None),
        LeafKind::Deployment => component.deployment(Pods {
            replicas: 1,
            annotations: revision_annotation(workspace.functions_revision.as_ref()),
            spec: pod_spec(&component),
        }),
        LeafKind::Ingress => {
            component.ingress(vec![(sls_host(&workspace.producer, settings), vec![("/", SLS.service)])])
        }
    })
}

fn component<'a>(producer: &'a Producer, settings: &'a Settings) -> Component<'a> {
    Component { app: App::SlsApi, producer, settings }
}

fn pod_spec(component: &Component<'_>) -> PodSpec {
    let settings = component.settings;
    let account = settings.sls_service_account.as_ref().map_or_else(|| component.name(), ToString::to_string);
    let volumes = vec![empty_dir(CLONE, settings.sls_storage.as_str()), tmp(TMP), identity()];
    pod(component, account, vec![init(component, "functions")], container(component), volumes)
}

fn container(component: &Component<'_>) -> Container {
    let settings = component.settings;
    let mut variables = repository_env(component, "functions");
    variables.push(env("LB_TARGET_NAMESPACE", component.namespace()));
    let parts = ContainerParts {
        name: "sls-api",
        image: settings.images.of(&settings.images.sls_api, component.producer.name()),
        user: User::Ours,
        resources: &settings.resources.sls_api,
        env: variables,
        mounts: our_mounts(),
    };
    Container {
        args: Some(vec!["sls-api".to_owned()]),
        ports: container_ports(&[SLS]),
        readiness_probe: ready_by_http("/ping", SLS.container),
        ..parts.container()
    }
}
