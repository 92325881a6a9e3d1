//! A gateway: Express Gateway with its rendered configuration.
//!
//! Express Gateway writes into its configuration's directory, so an init container copies the files from the
//! immutable Secret that the child names into an empty directory. The Secret's name has the configuration's digest
//! in it: a changed configuration changes the pod template, and rolls out.
//!
//! Secrets of the environment are read from the credentials, which never change. With `REDIS_ACL=off` the shared
//! password is a Secret of the gateway's own instead; it may be rotated, and a digest of it in the pod template rolls
//! it out. The Secret keeps its name, so that an old pod that starts again gets the password that holds.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVar, KeyToPath, PodSpec, SecretVolumeSource, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lb_vocab::{Digest, Secret};

use super::component::{App, Component, Pods, Port, secret};
use super::names::{credentials_name, redis_namespace, shared_redis_name};
use super::pod::{
    ContainerParts, User, container_ports, empty_dir, env, mount, pod, read_only, ready_by_tcp, secret_env,
    tmp,
};
use super::{
    CIPHER_KEY_KEY, Gateway, Leaf, LeafKind, REDIS_PASSWORD_ANNOTATION, REDIS_PASSWORD_KEY,
    SESSION_SECRET_KEY, network_policy,
};
use crate::settings::Settings;

const GATEWAY: Port = Port { name: "gateway", service: 8080, container: 8080 };
const ADMIN: Port = Port { name: "admin", service: 9876, container: 9876 };

/// Where Express Gateway reads, and writes, its configuration: its image's own directory.
const CONFIG_DIR: &str = "/var/lib/eg";
/// Where the Secret is mounted.
const SOURCE_DIR: &str = "/etc/lunchbadger/gateway";
/// Keys of the Secret, with the file of each. Keys have no `/`, so that models get their directory here.
const FILES: [(&str, &str); 5] = [
    ("gateway.config.yml", "gateway.config.yml"),
    ("system.config.yml", "system.config.yml"),
    ("users.json", "models/users.json"),
    ("applications.json", "models/applications.json"),
    ("credentials.json", "models/credentials.json"),
];

/// The gateway's object of a kind; the configuration is not among them: the producer's reconcile writes that, because no
/// content of it stands in the child.
pub(super) fn leaf(kind: LeafKind, gateway: &Gateway, settings: &Settings) -> Option<Leaf> {
    let component = component(gateway, settings);
    Some(match kind {
        LeafKind::ServiceAccount => component.service_account(),
        LeafKind::NetworkPolicy => network_policy::gateway(&component, GATEWAY, ADMIN),
        LeafKind::Secret => SharedRedis::of(gateway, settings)?.leaf(&component),
        LeafKind::Service => {
            let scrape = BTreeMap::from([
                ("prometheus.io/port".to_owned(), ADMIN.service.to_string()),
                ("prometheus.io/scrape".to_owned(), "true".to_owned()),
            ]);
            component.service(&[GATEWAY, ADMIN], Some(scrape))
        }
        LeafKind::Deployment => {
            let shared = SharedRedis::of(gateway, settings);
            component.deployment(Pods {
                replicas: gateway.replicas,
                annotations: shared.iter().map(SharedRedis::annotation).collect(),
                spec: pod_spec(&component, gateway, shared.as_ref()),
            })
        }
        LeafKind::Ingress => {
            let hosts = gateway.hosts.iter().map(|host| (host.to_string(), vec![("/", GATEWAY.service)]));
            component.ingress(hosts.collect())
        }
    })
}

/// The Redis password that all gateways share, with `REDIS_ACL=off`.
struct SharedRedis {
    /// The Secret's name.
    name: String,
    password: Secret,
}

impl SharedRedis {
    fn of(gateway: &Gateway, settings: &Settings) -> Option<Self> {
        let password = settings.redis.shared_password()?;
        Some(Self { name: shared_redis_name(&gateway.producer, &gateway.instance), password })
    }

    fn leaf(&self, component: &Component<'_>) -> Leaf {
        let metadata = ObjectMeta { name: Some(self.name.clone()), ..component.metadata() };
        secret(&metadata, [(REDIS_PASSWORD_KEY, &self.password)], None)
    }

    /// With the name in the digest no table of digests helps to find the password. A guess can be checked against it by
    /// whoever reads Deployments; but gateways, which are a producer's, hold the password itself.
    fn annotation(&self) -> (String, String) {
        let digest = Digest::of_parts([self.name.as_bytes(), self.password.reveal().as_bytes()]);
        (REDIS_PASSWORD_ANNOTATION.to_owned(), digest.first(10).to_owned())
    }
}

/// The Secret of a rendered configuration.
pub(super) fn config(gateway: &Gateway, files: &BTreeMap<String, Secret>, settings: &Settings) -> Leaf {
    let component = component(gateway, settings);
    let metadata = ObjectMeta { name: Some(gateway.config.name.clone()), ..component.metadata() };
    secret(&metadata, files.iter().map(|(key, content)| (key.as_str(), content)), Some(true))
}

fn component<'a>(gateway: &'a Gateway, settings: &'a Settings) -> Component<'a> {
    let app = App::Gateway { instance: &gateway.instance, id: &gateway.id };
    Component { app, producer: &gateway.producer, settings }
}

fn pod_spec(component: &Component<'_>, gateway: &Gateway, shared: Option<&SharedRedis>) -> PodSpec {
    let item = |(key, path): (&str, &str)| KeyToPath {
        key: key.to_owned(),
        path: path.to_owned(),
        ..KeyToPath::default()
    };
    let source = SecretVolumeSource {
        secret_name: Some(gateway.config.name.clone()),
        items: Some(FILES.map(item).to_vec()),
        ..SecretVolumeSource::default()
    };
    let volumes = vec![
        Volume { name: "source".to_owned(), secret: Some(source), ..Volume::default() },
        empty_dir("config", "16Mi"),
        tmp("tmp"),
    ];
    pod(component, component.name(), vec![copy_container(component)], container(component, shared), volumes)
}

/// Copies what the Secret holds; `-L`, because a Secret's files are symbolic links. It runs Express Gateway's own
/// image, which is on the node anyway.
fn copy_container(component: &Component<'_>) -> Container {
    let settings = component.settings;
    let parts = ContainerParts {
        name: "config",
        image: settings.images.of(&settings.images.gateway, component.producer.name()),
        user: User::Gateway,
        resources: &settings.resources.init,
        env: Vec::new(),
        mounts: vec![read_only("source", SOURCE_DIR), mount("config", CONFIG_DIR)],
    };
    let source = |name: &str| format!("{SOURCE_DIR}/{name}");
    let command = ["cp".to_owned(), "-RL".to_owned()].into_iter();
    let sources = ["gateway.config.yml", "system.config.yml", "models"].map(source);
    let command = command.chain(sources).chain([CONFIG_DIR.to_owned()]).collect();
    Container { command: Some(command), env: None, ..parts.container() }
}

fn container(component: &Component<'_>, shared: Option<&SharedRedis>) -> Container {
    let settings = component.settings;
    let parts = ContainerParts {
        name: "gateway",
        image: settings.images.of(&settings.images.gateway, component.producer.name()),
        user: User::Gateway,
        resources: &settings.resources.gateway,
        env: variables(component, shared),
        mounts: vec![mount("config", CONFIG_DIR), mount("tmp", "/tmp")],
    };
    Container {
        ports: container_ports(&[GATEWAY, ADMIN]),
        readiness_probe: ready_by_tcp(GATEWAY.container),
        ..parts.container()
    }
}

/// Redis' host and port in plain text; what is secret by reference.
fn variables(component: &Component<'_>, shared: Option<&SharedRedis>) -> Vec<EnvVar> {
    let (producer, settings) = (component.producer, component.settings);
    let credentials = credentials_name(producer);
    let redis = shared.map_or(&credentials, |shared| &shared.name);
    vec![
        secret_env("EG_CIPHER_KEY", &credentials, CIPHER_KEY_KEY),
        env("EG_CONFIG_DIR", CONFIG_DIR),
        env("EG_NAMESPACE", redis_namespace(producer)),
        secret_env("EG_SESSION_SECRET", &credentials, SESSION_SECRET_KEY),
        env("LB_PRODUCER", producer.name().as_str()),
        env("LOG_LEVEL", settings.gateway_log_level.as_str()),
        env("REDIS_HOST", settings.redis.host.host.as_str()),
        secret_env("REDIS_PASSWORD", redis, REDIS_PASSWORD_KEY),
        env("REDIS_PORT", settings.redis.port.to_string()),
    ]
}
