//! Network policies: nothing in, nothing out, but what a component needs.
//!
//! * Policies match the port of the pod, after a Service's translation: git-api's is 8080 although pods call 80.
//! * The control plane's pods are found by namespace and `app` label; `CONTROL_PLANE_CIDRS` lets parts that run
//!   outside of the cluster through, on their ports alone: the API server runs on those machines, too.
//! * Producers' pods may call the internet (service endpoints, data sources, npm) but no private network, and so no
//!   metadata server and no API server behind its cluster address; `EGRESS_CIDRS` and `EGRESS_EXCEPT_CIDRS` say
//!   otherwise.
//! * Probes come from the node itself, which no policy stops.

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use lb_vocab::Producer;

use super::component::{Component, Port, leaf, producer_labels};
use super::function::FUNCTION_PORT;
use super::workspace::APP_PORT;
use super::{Leaf, LeafKind};
use crate::settings::{Cidr, Endpoint, Namespace, Settings};

/// Ports of the control plane's pods, as `http-apis.md` has them.
const GIT_API_PORT: u16 = 8080;
const CONFIGSTORE_PORT: u16 = 3002;
const DNS_PORT: u16 = 53;
/// The label that Kubernetes sets on every namespace.
const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";

/// Workspace: in from the ingress controller and the producer's own gateways; out to the control plane and the
/// internet.
pub(super) fn workspace(component: &Component<'_>, published: &[Port]) -> Leaf {
    let own_gateways = NetworkPolicyIngressRule {
        from: Some(vec![pods(producer_labels(component.producer, "gateway"))]),
        ports: Some(vec![tcp(APP_PORT)]),
    };
    let ingress = from_ingress_controller(component.settings, published).into_iter().chain([own_gateways]);
    policy(component, ingress.collect(), with_control_plane(component.settings))
}

/// Sls-api: in from the ingress controller; out to the control plane and the internet.
pub(super) fn sls_api(component: &Component<'_>, published: &[Port]) -> Leaf {
    let ingress = from_ingress_controller(component.settings, published).into_iter().collect();
    policy(component, ingress, with_control_plane(component.settings))
}

/// Gateway: in from the ingress controller, and from monitoring at the admin port where the operator says so; out to
/// the producer's own workspace and functions, Redis and the internet. It has no business with the control plane.
pub(super) fn gateway(component: &Component<'_>, published: Port, admin: Port) -> Leaf {
    let settings = component.settings;
    let monitoring = namespaces(&settings.network.monitoring_namespaces).map(|peer| {
        NetworkPolicyIngressRule { from: Some(vec![peer]), ports: Some(vec![tcp(admin.container)]) }
    });
    let ingress = from_ingress_controller(settings, &[published]).into_iter().chain(monitoring).collect();
    let mut egress = common_egress(settings);
    egress.push(to(vec![pods(producer_labels(component.producer, "workspace"))], vec![tcp(APP_PORT)]));
    egress.push(to(vec![pods(function_labels(component.producer))], vec![tcp(FUNCTION_PORT)]));
    egress.extend(redis(settings));
    policy(component, ingress, egress)
}

fn policy(
    component: &Component<'_>,
    ingress: Vec<NetworkPolicyIngressRule>,
    egress: Vec<NetworkPolicyEgressRule>,
) -> Leaf {
    let spec = NetworkPolicySpec {
        pod_selector: Some(labels(component.selector())),
        policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
        // An empty list would be dropped by the API server, and written again by every apply.
        ingress: Some(ingress).filter(|rules| !rules.is_empty()),
        egress: Some(egress),
    };
    leaf(LeafKind::NetworkPolicy, &NetworkPolicy { metadata: component.metadata(), spec: Some(spec) })
}

/// Labels of function pods: they carry `env`, not `environment`.
fn function_labels(producer: &Producer) -> Labels {
    Labels::from([
        ("env".to_owned(), producer.environment().to_string()),
        ("producer".to_owned(), producer.name().to_string()),
    ])
}

/// `None` where nobody is let in: a rule without peers would let everybody in.
fn from_ingress_controller(settings: &Settings, ports: &[Port]) -> Option<NetworkPolicyIngressRule> {
    let from: Vec<_> =
        namespaces(&settings.ingress.namespaces).into_iter().chain(outside(settings)).collect();
    let ports = ports.iter().map(|port| tcp(port.container)).collect();
    (!from.is_empty()).then_some(NetworkPolicyIngressRule { from: Some(from), ports: Some(ports) })
}

/// What every component may call: DNS and the internet.
fn common_egress(settings: &Settings) -> Vec<NetworkPolicyEgressRule> {
    let kube_dns = NetworkPolicyPeer {
        namespace_selector: Some(labels(one_label(NAMESPACE_LABEL, "kube-system"))),
        pod_selector: Some(labels(one_label("k8s-app", "kube-dns"))),
        ip_block: None,
    };
    let resolvers = [kube_dns].into_iter().chain(outside(settings)).collect();
    let mut rules = vec![to(resolvers, vec![port("UDP", DNS_PORT.into()), tcp(DNS_PORT.into())])];
    let internet: Vec<_> =
        settings.network.egress.iter().map(|cidr| block(cidr, &settings.network.except)).collect();
    if !internet.is_empty() {
        rules.push(NetworkPolicyEgressRule { to: Some(internet), ports: None });
    }
    rules
}

/// What workspace and sls-api call beside that: git-api and the configstore.
fn with_control_plane(settings: &Settings) -> Vec<NetworkPolicyEgressRule> {
    let control_plane = &settings.control_plane;
    let namespace = labels(one_label(NAMESPACE_LABEL, control_plane.namespace.as_str()));
    let part = |app: &str, port: u16| {
        let peer = NetworkPolicyPeer {
            namespace_selector: Some(namespace.clone()),
            pod_selector: Some(labels(one_label("app", app))),
            ip_block: None,
        };
        to(vec![peer], vec![tcp(port.into())])
    };
    let mut rules = common_egress(settings);
    rules.push(part("git-api", GIT_API_PORT));
    rules.push(part("configstore", CONFIGSTORE_PORT));
    let outside: Vec<_> = outside(settings).collect();
    if !outside.is_empty() {
        let ports = [(&control_plane.git_api, GIT_API_PORT), (&control_plane.configstore, CONFIGSTORE_PORT)]
            .map(|(endpoint, default)| tcp(endpoint.port.unwrap_or(default).into()));
        rules.push(to(outside, ports.to_vec()));
    }
    rules
}

/// Redis: by the namespace in its name, by its address, or in `CONTROL_PLANE_CIDRS`. A name of another kind is
/// reached where it is on the internet.
fn redis(settings: &Settings) -> Option<NetworkPolicyEgressRule> {
    let peers: Vec<_> = endpoint(&settings.redis.host).into_iter().chain(outside(settings)).collect();
    (!peers.is_empty()).then(|| to(peers, vec![tcp(settings.redis.port.into())]))
}

fn endpoint(endpoint: &Endpoint) -> Option<NetworkPolicyPeer> {
    if let Some(address) = endpoint.address() {
        return Some(block(&Cidr::single(address), &[]));
    }
    let namespace_selector = Some(labels(one_label(NAMESPACE_LABEL, endpoint.namespace()?)));
    Some(NetworkPolicyPeer { namespace_selector, ..NetworkPolicyPeer::default() })
}

fn outside(settings: &Settings) -> impl Iterator<Item = NetworkPolicyPeer> {
    settings.control_plane.cidrs.iter().map(|cidr| block(cidr, &[]))
}

/// A block of addresses without those of `except` that lie in it. A block that is as small as an exception, or
/// smaller, is what the operator asked for and stays whole.
fn block(cidr: &Cidr, except: &[Cidr]) -> NetworkPolicyPeer {
    let inside = |other: &&Cidr| cidr.strictly_contains(other);
    let except: Vec<_> = except.iter().filter(inside).map(ToString::to_string).collect();
    let ip_block = IPBlock { cidr: cidr.to_string(), except: Some(except).filter(|list| !list.is_empty()) };
    NetworkPolicyPeer { ip_block: Some(ip_block), ..NetworkPolicyPeer::default() }
}

fn namespaces(names: &[Namespace]) -> Option<NetworkPolicyPeer> {
    let requirement = LabelSelectorRequirement {
        key: NAMESPACE_LABEL.to_owned(),
        operator: "In".to_owned(),
        values: Some(names.iter().map(ToString::to_string).collect()),
    };
    let selector = LabelSelector { match_expressions: Some(vec![requirement]), match_labels: None };
    let peer = NetworkPolicyPeer { namespace_selector: Some(selector), ..NetworkPolicyPeer::default() };
    (!names.is_empty()).then_some(peer)
}

type Labels = std::collections::BTreeMap<String, String>;

fn one_label(name: &str, value: &str) -> Labels {
    Labels::from([(name.to_owned(), value.to_owned())])
}

fn labels(labels: Labels) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), match_expressions: None }
}

/// Pods of the same namespace.
fn pods(of: Labels) -> NetworkPolicyPeer {
    NetworkPolicyPeer { pod_selector: Some(labels(of)), ..NetworkPolicyPeer::default() }
}

fn to(peers: Vec<NetworkPolicyPeer>, ports: Vec<NetworkPolicyPort>) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule { to: Some(peers), ports: Some(ports) }
}

fn tcp(number: i32) -> NetworkPolicyPort {
    port("TCP", number)
}

fn port(protocol: &str, number: i32) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(number)),
        protocol: Some(protocol.to_owned()),
        end_port: None,
    }
}
