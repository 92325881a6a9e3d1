//! What `gateway.config.yml` of any gateway holds, as types that borrow from the project: a file is written once, and
//! nothing of it is kept but its text. Keys stand in the order of the fields.

use std::borrow::Cow;

use indexmap::{IndexMap, IndexSet};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::json;
use super::upstreams::ADMIN;

/// What a gateway has by its id, in order.
pub(super) type ById<'a, T> = IndexMap<&'a str, T>;
/// A condition or an action: a producer's as it was written, or one of ours.
pub(super) type Parameters<'a> = Cow<'a, Map<String, Value>>;

/// What differs from file to file. The rest is added where it is written.
pub(super) struct Parts<'a> {
    /// Entries of `apiEndpoints`.
    pub(super) endpoints: ById<'a, ApiEndpoint<'a>>,
    /// Entries of `serviceEndpoints`.
    pub(super) services: ById<'a, Cow<'a, ServiceEndpoint<'a>>>,
    /// Names of policies.
    pub(super) policies: IndexSet<&'a str>,
    /// Entries of `pipelines`.
    pub(super) pipelines: ById<'a, Pipeline<'a>>,
}

/// An entry of `apiEndpoints`.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiEndpoint<'a> {
    pub(super) host: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) paths: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) methods: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scopes: Option<IndexSet<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) friendly_name: Option<&'a str>,
}

/// An entry of `serviceEndpoints`.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceEndpoint<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) friendly_name: Option<&'a str>,
    #[serde(flatten)]
    pub(super) urls: Urls<'a>,
}

/// One address under `url`, or several under `urls`.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Urls<'a> {
    Url(Cow<'a, str>),
    Urls(&'a [String]),
}

/// An entry of `pipelines`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pipeline<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) friendly_name: Option<&'a str>,
    pub(super) api_endpoints: IndexSet<&'a str>,
    pub(super) policies: Vec<Policy<'a>>,
}

/// A policy of a pipeline: an object of its name alone.
pub(super) struct Policy<'a> {
    pub(super) name: &'a str,
    pub(super) pairs: Vec<Pair<'a>>,
}

/// What a policy does, and when.
#[derive(Serialize)]
pub(super) struct Pair<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) condition: Option<Parameters<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) action: Option<Parameters<'a>>,
}

impl Serialize for Policy<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.name, &self.pairs)])
    }
}

impl<'a> ServiceEndpoint<'a> {
    /// One of a single address.
    pub(super) fn of_url(friendly_name: Option<&'a str>, url: impl Into<Cow<'a, str>>) -> Self {
        Self { friendly_name, urls: Urls::Url(url.into()) }
    }
}

impl<'a> Policy<'a> {
    /// A policy of ours, which does one thing always.
    pub(super) fn always(name: &'a str, action: Map<String, Value>) -> Self {
        Self { name, pairs: vec![Pair { condition: None, action: Some(Cow::Owned(action)) }] }
    }
}

/// What the admin entries are made of.
pub(super) struct Admin<'a> {
    /// `admin-<slug>.D`.
    pub(super) host: &'a str,
    /// `ADMIN_CROSS_ORIGIN`.
    pub(super) origin: &'a str,
}

/// The whole file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    http: Value,
    admin: Value,
    api_endpoints: ById<'a, ApiEndpoint<'a>>,
    service_endpoints: ById<'a, Cow<'a, ServiceEndpoint<'a>>>,
    policies: IndexSet<&'a str>,
    pipelines: ById<'a, Pipeline<'a>>,
}

impl<'a> Parts<'a> {
    /// The file's text, the admin API's entries added. Its endpoint comes first, so that no wildcard host of the
    /// producer's takes its requests.
    pub(super) fn text(self, admin: &Admin<'a>) -> String {
        let Self { mut endpoints, mut services, policies, mut pipelines } = self;
        let cors = json::map([("origin", Value::from(admin.origin)), ("credentials", Value::from(true))]);
        let proxy = json::map([("serviceEndpoint", Value::from(ADMIN))]);
        let pipeline = Pipeline {
            friendly_name: None,
            api_endpoints: [ADMIN].into(),
            policies: vec![Policy::always("cors", cors), Policy::always("proxy", proxy)],
        };
        let service = ServiceEndpoint::of_url(None, "http://localhost:9876");
        endpoints.shift_insert(0, ADMIN, ApiEndpoint { host: admin.host, ..ApiEndpoint::default() });
        services.shift_insert(0, ADMIN, Cow::Owned(service));
        pipelines.shift_insert(0, ADMIN, pipeline);
        json::escaped(&File {
            http: json!({ "host": "*", "port": 8080 }),
            admin: json!({ "hostname": "0.0.0.0", "port": 9876 }),
            api_endpoints: endpoints,
            service_endpoints: services,
            policies,
            pipelines,
        })
    }
}
