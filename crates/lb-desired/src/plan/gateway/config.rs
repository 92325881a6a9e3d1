//! `gateway.config.yml` of a project gateway.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use lb_project::{ApiEndpoint, Entity, Gateway, Pair, Pipeline, Policy};
use lb_vocab::{Finding, Place, Producer, Slug};
use serde_json::{Map, Value, json};

use super::notes::Notes;
use super::upstreams::{ADMIN, Found, Upstreams, refused_id};
use super::{json, patterns, schema};
use crate::build::names::{admin_host, gateway_host, redis_namespace};
use crate::plan::Input;

/// The methods that Express Gateway's routers know; another one stops it.
const METHODS: [&str; 8] = ["all", "delete", "get", "head", "options", "patch", "post", "put"];

/// A project as its gateways need it.
pub(super) struct Project<'a> {
    input: &'a Input<'a>,
    upstreams: Upstreams<'a>,
    /// API endpoints by id, in order.
    endpoints: IndexMap<&'a str, &'a ApiEndpoint>,
    broken_endpoints: Vec<&'a lb_project::Broken>,
    /// The pipeline that each API endpoint's first connection starts at.
    publishers: BTreeMap<&'a str, &'a str>,
    /// Connections from a pipeline, in order: pipeline, API endpoint.
    connections: Vec<(&'a str, &'a str)>,
    /// API endpoints whose first connection may start at another pipeline than the one that is known, with the reason.
    uncertain: BTreeMap<&'a str, &'static str>,
}

impl<'a> Project<'a> {
    /// What all gateways share.
    pub(super) fn new(
        input: &'a Input<'a>,
        project: &'a lb_project::Project,
        upstreams: Upstreams<'a>,
        findings: &mut Vec<Finding>,
    ) -> Self {
        let mut this = Self {
            input,
            upstreams,
            endpoints: IndexMap::new(),
            broken_endpoints: Vec::new(),
            publishers: BTreeMap::new(),
            connections: Vec::new(),
            uncertain: BTreeMap::new(),
        };
        this.take_endpoints(project, findings);
        this.take_connections(project);
        this
    }

    fn take_endpoints(&mut self, project: &'a lb_project::Project, findings: &mut Vec<Finding>) {
        for entity in &project.api_endpoints {
            let endpoint = match entity {
                Entity::Read(endpoint) => endpoint,
                Entity::Broken(broken) => {
                    self.broken_endpoints.push(broken);
                    continue;
                }
            };
            if let Some(why) = refused_id(&endpoint.id) {
                findings.push(Finding::error(
                    "IdRefused",
                    endpoint.place.clone(),
                    format!("{why}: it is left out"),
                ));
            } else {
                self.endpoints.insert(&endpoint.id, endpoint);
            }
        }
    }

    /// Connections that start at a pipeline count; others are no gateway's business.
    fn take_connections(&mut self, project: &'a lb_project::Project) {
        let pipelines: BTreeSet<&str> = project
            .gateways
            .iter()
            .filter_map(Entity::read)
            .flat_map(|gateway| gateway.pipelines.iter().map(|pipeline| pipeline.id.as_str()))
            .collect();
        let unread = project.gateways.iter().any(|gateway| matches!(gateway, Entity::Broken(_)));
        for connection in &project.connections {
            let to = connection.to_id.as_str();
            let doubt = match connection.from_id.as_deref() {
                Some(from) if pipelines.contains(from) => {
                    self.publishers.entry(to).or_insert(from);
                    self.connections.push((from, to));
                    None
                }
                Some(_) => unread.then_some("a gateway that cannot be read may publish this API endpoint"),
                None => Some("a connection that cannot be read may publish this API endpoint elsewhere"),
            };
            if let Some(doubt) = doubt.filter(|_| !self.publishers.contains_key(to)) {
                self.uncertain.entry(to).or_insert(doubt);
            }
        }
    }
}

/// A rendered file and what it says in words.
pub(super) struct Config {
    /// The file.
    pub(super) file: Value,
    /// Routes and policies.
    pub(super) facts: Vec<String>,
}

/// Renders the file of one gateway.
pub(super) fn render(project: &Project<'_>, gateway: &Gateway, slug: &Slug, notes: &mut Notes) -> Config {
    let mut file = File {
        project,
        gateway,
        slug,
        notes,
        endpoints: Map::new(),
        services: Map::new(),
        facts: Vec::new(),
    };
    file.services.extend(project.upstreams.always().map(|(id, value)| (id.to_owned(), value.clone())));
    let pipelines = file.pipelines();
    let policies = file.policies(&pipelines);
    let File { endpoints, services, facts, .. } = file;
    let settings = project.input.settings;
    let admin = Admin { host: admin_host(slug, settings), origin: settings.admin_cross_origin.clone() };
    Config { file: assemble(&admin, endpoints, services, &policies, pipelines), facts }
}

/// One file in the making.
struct File<'a, 'n> {
    project: &'a Project<'a>,
    gateway: &'a Gateway,
    slug: &'a Slug,
    notes: &'n mut Notes,
    endpoints: Map<String, Value>,
    services: Map<String, Value>,
    facts: Vec<String>,
}

impl File<'_, '_> {
    fn pipelines(&mut self) -> Map<String, Value> {
        let mut ids = BTreeSet::new();
        for pipeline in &self.gateway.pipelines {
            match refused_id(&pipeline.id) {
                Some(why) => {
                    self.notes.refuse("IdRefused", &pipeline.place, format!("{why}: it is left out"));
                }
                None => {
                    ids.insert(pipeline.id.as_str());
                }
            }
        }
        self.declare_endpoints(&ids);
        let mut rendered = Map::new();
        for pipeline in self.gateway.pipelines.iter().filter(|pipeline| ids.contains(pipeline.id.as_str())) {
            rendered.insert(pipeline.id.clone(), self.pipeline(pipeline));
        }
        self.order(&rendered);
        rendered
    }

    /// API endpoints whose first connection starts at a pipeline of this gateway.
    fn declare_endpoints(&mut self, pipelines: &BTreeSet<&str>) {
        let project = self.project;
        let own = |endpoint: &&&ApiEndpoint| {
            project.publishers.get(endpoint.id.as_str()).is_some_and(|pipeline| pipelines.contains(pipeline))
        };
        for endpoint in project.endpoints.values().filter(own) {
            if let Some(doubt) = project.uncertain.get(endpoint.id.as_str()) {
                self.notes.hold_for(format!("{}: {doubt}", endpoint.place));
            }
            let value = self.endpoint(endpoint);
            self.endpoints.insert(endpoint.id.clone(), value);
        }
        for (from, to) in &project.connections {
            let known = project.endpoints.contains_key(to);
            let unread = project
                .broken_endpoints
                .iter()
                .find(|broken| broken.id.as_deref().is_none_or(|id| id == *to));
            if let (true, false, Some(broken)) = (pipelines.contains(from), known, unread) {
                self.notes.hold_for(format!("{}: the API endpoint cannot be read", broken.place));
            }
        }
    }

    fn endpoint(&mut self, endpoint: &ApiEndpoint) -> Value {
        let own = gateway_host(self.slug, self.project.input.settings);
        let mut value = Map::new();
        let host = match endpoint.host.as_str() {
            "*" | "" => own.clone(),
            other => other.to_owned(),
        };
        if !covers(&host, &own) {
            let text =
                format!("its host `{}` is not published: the gateway's own is `{own}`", excerpt(&host));
            self.notes.warn("HostNotPublished", &endpoint.place, text);
        }
        value.insert("host".to_owned(), Value::from(host));
        let paths = endpoint.paths.as_ref().map(|paths| self.paths(paths, &endpoint.place));
        value.extend(paths.map(|paths| ("paths".to_owned(), paths)));
        if let Some(methods) =
            endpoint.methods.as_ref().and_then(|methods| self.methods(methods, &endpoint.place))
        {
            value.insert("methods".to_owned(), methods);
        }
        if let Some(scopes) = &endpoint.scopes {
            // Express Gateway refuses the same scope twice.
            let mut seen = BTreeSet::new();
            let scopes: Vec<String> = scopes.iter().filter(|scope| seen.insert(*scope)).cloned().collect();
            value.insert("scopes".to_owned(), Value::from(scopes));
        }
        value.insert("friendlyName".to_owned(), Value::from(endpoint.name.as_str()));
        self.facts.extend(routes(&value, &own));
        Value::Object(value)
    }

    fn paths(&mut self, paths: &[String], place: &Place) -> Value {
        for path in paths {
            if let Some(problem) = patterns::path_problem(path) {
                self.notes.hold("PathRefused", place, problem);
            }
        }
        Value::from(paths)
    }

    /// `None` means every method, as an empty list does. A method that is none is left out; where nothing is left of
    /// a list, nothing is answered.
    fn methods(&mut self, methods: &[String], place: &Place) -> Option<Value> {
        let all = methods.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|m| !m.is_empty());
        let all: Vec<&str> = all.collect();
        if all.is_empty() || all.contains(&"*") {
            return None;
        }
        let mut good = Vec::new();
        for method in all {
            if METHODS.contains(&method.to_ascii_lowercase().as_str()) {
                good.push(Value::from(method));
            } else {
                let text =
                    format!("`{}` is no method that Express Gateway routes: it is left out", excerpt(method));
                self.notes.refuse("MethodRefused", place, text);
            }
        }
        Some(Value::Array(good))
    }

    fn pipeline(&mut self, pipeline: &Pipeline) -> Value {
        let mut published: Vec<&str> = Vec::new();
        for (from, to) in &self.project.connections {
            if *from == pipeline.id && self.endpoints.contains_key(*to) && !published.contains(to) {
                published.push(to);
            }
        }
        let policies: Vec<Value> = pipeline.policies.iter().map(|policy| self.policy(policy)).collect();
        json!({ "friendlyName": pipeline.name, "apiEndpoints": published, "policies": policies })
    }

    fn policy(&mut self, policy: &Policy) -> Value {
        let name = schema::canonical(&policy.name);
        let plugins =
            self.gateway.system.get("plugins").and_then(Value::as_object).is_some_and(|p| !p.is_empty());
        if !schema::is_policy(name) {
            let shown = excerpt(name);
            if plugins && name != "__proto__" && !name.is_empty() {
                let text =
                    format!("`{shown}` is no policy of Express Gateway's own: a plugin has to bring it");
                self.notes.warn("PolicyOfPlugin", &policy.place, text);
            } else {
                self.notes.hold(
                    "PolicyUnknown",
                    &policy.place,
                    format!("Express Gateway has no policy `{shown}`"),
                );
            }
        }
        if name == "oauth2-introspect" {
            let text = "`oauth2-introspect` keeps tokens where every producer's gateways find them: use `jwt` or `oauth2`";
            self.notes.hold("PolicyUnsafe", &policy.place, text);
        }
        self.facts.push(format!("policy {name}"));
        // Express Gateway runs a policy without pairs once, with its defaults.
        let defaults = [Pair::default()];
        let pairs = if policy.pairs.is_empty() { &defaults[..] } else { &policy.pairs[..] };
        let pairs = pairs.iter().map(|pair| self.pair(name, pair, &policy.place, plugins)).collect();
        json::object([(name, Value::Array(pairs))])
    }

    fn pair(&mut self, policy: &str, pair: &Pair, place: &Place, plugins: bool) -> Value {
        let mut value = Map::new();
        if let Some(condition) = &pair.condition {
            if let Some(problem) = schema::condition_problem(condition, plugins) {
                self.notes.hold("ConditionRefused", place, format!("its condition: {problem}"));
            }
            value.insert("condition".to_owned(), Value::Object(condition.clone()));
        }
        let action = match policy {
            "proxy" => self.proxy(pair.action.as_ref(), place),
            "rate-limit" => Some(rate_limit(self.project.input.producer, pair.action.as_ref())),
            _ => pair.action.clone(),
        };
        self.check(policy, action.as_ref().unwrap_or(&Map::new()), place);
        value.extend(action.map(|action| ("action".to_owned(), Value::Object(action))));
        Value::Object(value)
    }

    fn check(&mut self, policy: &str, action: &Map<String, Value>, place: &Place) {
        if let Some(problem) = schema::action_problem(policy, action) {
            self.notes.hold("PolicyRefused", place, format!("`{policy}`: {problem}"));
        }
    }

    /// The action of a proxy: what it names is listed under `serviceEndpoints`, or not named any more.
    fn proxy(&mut self, action: Option<&Map<String, Value>>, place: &Place) -> Option<Map<String, Value>> {
        let named = action.and_then(|action| action.get("serviceEndpoint")).and_then(schema::as_text);
        let Some(id) = named.filter(|id| !id.is_empty()) else {
            self.notes.warn("ProxyNowhere", place, "it names no service endpoint: it answers 502");
            return action.cloned();
        };
        match self.project.upstreams.find(&id) {
            Found::Known(value) => {
                self.services.entry(id).or_insert_with(|| value.clone());
                return action.cloned();
            }
            Found::Unreadable(broken) => {
                let reason = format!("{broken}: the {} cannot be read", broken.kind.words());
                self.notes.hold_for(reason);
            }
            Found::Missing => {
                let text = format!("there is no service endpoint `{}`: it answers 502", excerpt(&id));
                self.notes.refuse("ServiceEndpointMissing", place, text);
            }
        }
        action.map(|action| {
            let mut action = action.clone();
            action.shift_remove("serviceEndpoint");
            action
        })
    }

    /// As listed, then what pipelines use, then what the admin pipeline uses.
    fn policies(&mut self, pipelines: &Map<String, Value>) -> Vec<String> {
        let used = pipelines.values().filter_map(|p| p["policies"].as_array()).flatten();
        let used: Vec<String> =
            used.filter_map(|policy| policy.as_object()?.keys().next().cloned()).collect();
        let mut policies: Vec<String> = Vec::new();
        for listed in &self.gateway.policies {
            let name = schema::canonical(listed);
            if schema::is_policy(name) || used.iter().any(|used| used == name) {
                policies.push(name.to_owned());
            } else {
                let text = format!("Express Gateway has no policy `{}`: it is left out", excerpt(name));
                self.notes.warn("PolicyUnknown", &self.gateway.place, text);
            }
        }
        policies.extend(used);
        policies.extend(["cors", "proxy"].map(str::to_owned));
        let mut seen = BTreeSet::new();
        policies.retain(|policy| seen.insert(policy.clone()));
        policies
    }

    /// Order is meaning, and JavaScript has its own for keys that are numbers.
    fn order(&mut self, pipelines: &Map<String, Value>) {
        for (what, keys) in [("API endpoints", &self.endpoints), ("pipelines", pipelines)] {
            if json::reordered(keys.keys().map(String::as_str)) {
                let text = format!(
                    "ids of its {what} are whole numbers, which Express Gateway sorts to the front: the order of the project does not hold"
                );
                self.notes.warn("IdReordered", &self.gateway.place, text);
            }
        }
    }
}

/// The action of a rate limit, counting by a key of the environment's own: Express Gateway keeps the counters of all
/// gateways of a Redis under `rl:`, so that one producer's requests would count for another's.
pub(super) fn rate_limit(producer: &Producer, action: Option<&Map<String, Value>>) -> Map<String, Value> {
    let mut action = action.cloned().unwrap_or_default();
    let theirs = action.get("rateLimitBy").map_or_else(|| Some("${req.ip}".to_owned()), schema::as_text);
    if let Some(theirs) = theirs {
        let by = format!("{}-{theirs}", redis_namespace(producer));
        action.insert("rateLimitBy".to_owned(), Value::from(by));
    }
    action
}

/// Whether requests for the gateway's own host reach an endpoint of this host.
fn covers(host: &str, own: &str) -> bool {
    let matches = |(pattern, label): (&str, &str)| pattern == "*" || pattern.eq_ignore_ascii_case(label);
    host.split('.').count() == own.split('.').count() && host.split('.').zip(own.split('.')).all(matches)
}

/// The routes of a rendered endpoint in words: `route /cars`, `route GET,POST example.org/cars`.
fn routes(endpoint: &Map<String, Value>, own: &str) -> Vec<String> {
    let texts = |key: &str| {
        let list = endpoint.get(key)?.as_array()?;
        Some(list.iter().filter_map(Value::as_str).collect::<Vec<_>>())
    };
    let methods = match texts("methods") {
        Some(methods) if methods.is_empty() => return Vec::new(),
        Some(methods) => methods.join(",").to_uppercase() + " ",
        None => String::new(),
    };
    let host = endpoint.get("host").and_then(Value::as_str).filter(|host| *host != own).unwrap_or_default();
    let paths = texts("paths").filter(|paths| !paths.is_empty()).unwrap_or_else(|| vec!["/*"]);
    paths.iter().map(|path| format!("route {methods}{host}{path}")).collect()
}

/// The beginning of a producer's text, for a message.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(60).collect()
}

/// What the admin entries are made of.
pub(super) struct Admin {
    /// `admin-<slug>.D`.
    pub(super) host: String,
    /// `ADMIN_CROSS_ORIGIN`.
    pub(super) origin: String,
}

/// The file from its parts, the admin API's added. Its endpoint comes first, so that no wildcard host of the
/// producer's takes its requests.
pub(super) fn assemble(
    admin: &Admin,
    endpoints: Map<String, Value>,
    services: Map<String, Value>,
    policies: &[String],
    pipelines: Map<String, Value>,
) -> Value {
    let entry = |own: Value, theirs: Map<String, Value>| {
        Value::Object([(ADMIN.to_owned(), own)].into_iter().chain(theirs).collect())
    };
    let pipeline = json!({
        "apiEndpoints": [ADMIN],
        "policies": [
            { "cors": [{ "action": { "origin": admin.origin, "credentials": true } }] },
            { "proxy": [{ "action": { "serviceEndpoint": ADMIN } }] },
        ],
    });
    json!({
        "http": { "host": "*", "port": 8080 },
        "admin": { "hostname": "0.0.0.0", "port": 9876 },
        "apiEndpoints": entry(json!({ "host": admin.host }), endpoints),
        "serviceEndpoints": entry(json!({ "url": "http://localhost:9876" }), services),
        "policies": policies,
        "pipelines": entry(pipeline, pipelines),
    })
}
