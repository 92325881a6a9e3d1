//! What every component has: its name, labels, Service, Ingress, ServiceAccount and Deployment.

use std::collections::BTreeMap;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD as BASE64;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    PodSpec, PodTemplateSpec, Service, ServiceAccount, ServicePort, ServiceSpec,
};
use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend,
    IngressSpec, IngressTLS, ServiceBackendPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use lb_vocab::{InstanceName, Producer, Secret};
use serde::{Serialize, Serializer};

use super::names::{GATEWAY, SLS_API, WORKSPACE, child_labels, gateway_name, sls_api_name, workspace_name};
use super::{LabelValue, Leaf, LeafKind, Manifest};
use crate::settings::Settings;

/// The component that an object belongs to: its `app` label and its name.
#[derive(Clone, Copy, Debug)]
pub(super) enum App<'a> {
    Workspace,
    SlsApi,
    Gateway { instance: &'a InstanceName, id: &'a LabelValue },
}

/// A component of one producer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Component<'a> {
    pub(super) app: App<'a>,
    pub(super) producer: &'a Producer,
    pub(super) settings: &'a Settings,
}

/// A port: its name, that of the Service, that of the container.
#[derive(Clone, Copy, Debug)]
pub(super) struct Port {
    pub(super) name: &'static str,
    pub(super) service: i32,
    pub(super) container: i32,
}

/// What goes into a pod template beside labels.
pub(super) struct Pods {
    pub(super) replicas: i32,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) spec: PodSpec,
}

impl Component<'_> {
    pub(super) fn name(&self) -> String {
        match self.app {
            App::Workspace => workspace_name(self.producer),
            App::SlsApi => sls_api_name(self.producer),
            App::Gateway { instance, .. } => gateway_name(self.producer, instance),
        }
    }

    pub(super) fn app_name(&self) -> &'static str {
        match self.app {
            App::Workspace => WORKSPACE,
            App::SlsApi => SLS_API,
            App::Gateway { .. } => GATEWAY,
        }
    }

    /// Labels by which pods are found: never `id`, so that objects of the old system can be adopted and a changed
    /// id changes no selector.
    pub(super) fn selector(&self) -> BTreeMap<String, String> {
        let mut labels = producer_labels(self.producer, self.app_name());
        if let App::Gateway { instance, .. } = self.app {
            labels.insert("instance".to_owned(), instance.to_string());
        }
        labels
    }

    /// Labels of every object and pod. Workspace and sls-api have no `id`: clients read `workspace.default`.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.selector();
        if let App::Gateway { id, .. } = self.app {
            labels.insert("id".to_owned(), id.to_string());
        }
        labels
    }

    pub(super) fn namespace(&self) -> String {
        self.settings.namespace(self.producer.name())
    }

    pub(super) fn metadata(&self) -> ObjectMeta {
        ObjectMeta {
            name: Some(self.name()),
            namespace: Some(self.namespace()),
            labels: Some(self.labels()),
            ..ObjectMeta::default()
        }
    }

    pub(super) fn service_account(&self) -> Leaf {
        leaf(
            LeafKind::ServiceAccount,
            &ServiceAccount {
                metadata: self.metadata(),
                automount_service_account_token: Some(false),
                ..ServiceAccount::default()
            },
        )
    }

    /// The type is set although it is the default: a Service that somebody turns into a LoadBalancer publishes
    /// what it should not.
    pub(super) fn service(&self, ports: &[Port], annotations: Option<BTreeMap<String, String>>) -> Leaf {
        let ports = ports.iter().map(|port| ServicePort {
            name: Some(port.name.to_owned()),
            port: port.service,
            protocol: Some("TCP".to_owned()),
            target_port: Some(IntOrString::Int(port.container)),
            ..ServicePort::default()
        });
        let spec = ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(self.selector()),
            ports: Some(ports.collect()),
            ..ServiceSpec::default()
        };
        let metadata = ObjectMeta { annotations, ..self.metadata() };
        leaf(LeafKind::Service, &Service { metadata, spec: Some(spec), status: None })
    }

    /// An Ingress of hosts with paths, each to a port of the component's Service: plain `Prefix` paths, no
    /// controller's annotations. Where the operator has a certificate it is named for the hosts below the domain.
    pub(super) fn ingress(&self, rules: Vec<(String, Vec<(&str, i32)>)>) -> Leaf {
        let below = format!(".{}", self.settings.domain);
        let hosts: Vec<String> =
            rules.iter().map(|(host, _)| host.clone()).filter(|host| host.ends_with(&below)).collect();
        let tls = self.settings.ingress.tls_secret.as_ref().filter(|_| !hosts.is_empty());
        let tls =
            tls.map(|secret| vec![IngressTLS { hosts: Some(hosts), secret_name: Some(secret.to_string()) }]);
        let rules = rules.into_iter().map(|(host, paths)| {
            let paths = paths.into_iter().map(|(path, port)| self.ingress_path(path, port)).collect();
            IngressRule { host: Some(host), http: Some(HTTPIngressRuleValue { paths }) }
        });
        let spec = IngressSpec {
            ingress_class_name: self.settings.ingress.class.as_ref().map(ToString::to_string),
            rules: Some(rules.collect()),
            tls,
            ..IngressSpec::default()
        };
        leaf(LeafKind::Ingress, &Ingress { metadata: self.metadata(), spec: Some(spec), status: None })
    }

    fn ingress_path(&self, path: &str, port: i32) -> HTTPIngressPath {
        let service = IngressServiceBackend {
            name: self.name(),
            port: Some(ServiceBackendPort { number: Some(port), name: None }),
        };
        HTTPIngressPath {
            path: Some(path.to_owned()),
            path_type: "Prefix".to_owned(),
            backend: IngressBackend { service: Some(service), resource: None },
        }
    }

    /// A rolling update never takes the only replica down. Two old ReplicaSets are kept: a roll-back is a revert in
    /// git, and thousands of producers would each leave ten.
    pub(super) fn deployment(&self, pods: Pods) -> Leaf {
        let rolling_update = RollingUpdateDeployment {
            max_surge: Some(IntOrString::Int(1)),
            max_unavailable: Some(IntOrString::Int(0)),
        };
        let annotations = Some(pods.annotations).filter(|annotations| !annotations.is_empty());
        let template = PodTemplateSpec {
            metadata: Some(ObjectMeta { labels: Some(self.labels()), annotations, ..ObjectMeta::default() }),
            spec: Some(pods.spec),
        };
        let spec = DeploymentSpec {
            replicas: Some(pods.replicas),
            revision_history_limit: Some(2),
            selector: LabelSelector { match_labels: Some(self.selector()), match_expressions: None },
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(rolling_update),
            }),
            template,
            ..DeploymentSpec::default()
        };
        leaf(LeafKind::Deployment, &Deployment { metadata: self.metadata(), spec, status: None })
    }
}

/// The labels that every object of a producer has.
pub(super) fn producer_labels(producer: &Producer, app: &str) -> BTreeMap<String, String> {
    let mut labels = child_labels(producer);
    labels.insert("app".to_owned(), app.to_owned());
    labels
}

/// A Secret of these keys and values. They are encoded straight into the manifest: a gateway's configuration is large,
/// and Kubernetes' own type would hold it twice beside.
pub(super) fn secret<'a>(
    metadata: &ObjectMeta,
    values: impl IntoIterator<Item = (&'a str, &'a Secret)>,
    immutable: Option<bool>,
) -> Leaf {
    let kind = LeafKind::Secret;
    let data = values.into_iter().map(|(key, value)| (key, Encoded(value))).collect();
    let object =
        SecretObject { api_version: kind.api_version(), kind: kind.kind(), data, immutable, metadata };
    leaf_of(kind, metadata, &object)
}

/// `v1` Secret, as `k8s_openapi` writes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SecretObject<'a> {
    api_version: &'static str,
    kind: &'static str,
    data: BTreeMap<&'a str, Encoded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    immutable: Option<bool>,
    metadata: &'a ObjectMeta,
}

/// A secret text as base64.
struct Encoded<'a>(&'a Secret);

impl Serialize for Encoded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0.reveal().as_bytes(), &BASE64))
    }
}

/// A typed object as a leaf.
pub(super) fn leaf<T>(kind: LeafKind, object: &T) -> Leaf
where
    T: Serialize + k8s_openapi::Metadata<Ty = ObjectMeta>,
{
    leaf_of(kind, object.metadata(), object)
}

fn leaf_of(kind: LeafKind, metadata: &ObjectMeta, object: &impl Serialize) -> Leaf {
    Leaf {
        kind,
        name: metadata.name.clone().unwrap_or_default(),
        namespace: metadata.namespace.clone().unwrap_or_default(),
        manifest: Manifest::of(object),
    }
}
