//! `gateway.config.yml` of a project gateway.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use indexmap::{IndexMap, IndexSet};
use lb_project::{ApiEndpoint, Entity, Gateway, Pair, Pipeline, Policy};
use lb_vocab::{Finding, Place, Producer, Slug};
use serde_json::{Map, Value};

use super::file::{self, Admin, ById, Parameters, Parts, ServiceEndpoint};
use super::notes::Notes;
use super::upstreams::{Found, Upstreams, refused_id};
use super::{json, patterns, schema};
use crate::build::names::{admin_host, gateway_host, redis_namespace};
use crate::plan::Input;

/// The methods that Express Gateway's routers know; another one stops it.
const METHODS: [&str; 8] = ["all", "delete", "get", "head", "options", "patch", "post", "put"];
/// Express Gateway runs a policy without pairs once, with its defaults.
const DEFAULTS: &[Pair] = &[Pair { condition: None, action: None }];

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
    /// The file's text.
    pub(super) file: String,
    /// Routes and policies.
    pub(super) facts: Vec<String>,
}

/// Renders the file of one gateway.
pub(super) fn render(project: &Project<'_>, gateway: &Gateway, slug: &Slug, notes: &mut Notes) -> Config {
    let settings = project.input.settings;
    let (host, admin_host) = (gateway_host(slug, settings), admin_host(slug, settings));
    let mut file = File {
        project,
        gateway,
        host: &host,
        notes,
        endpoints: IndexMap::new(),
        services: project.upstreams.always().map(|(id, service)| (id, Cow::Borrowed(service))).collect(),
        facts: Vec::new(),
    };
    let pipelines = file.pipelines();
    let policies = file.policies(&pipelines);
    let File { endpoints, services, facts, .. } = file;
    let admin = Admin { host: &admin_host, origin: &settings.admin_cross_origin };
    Config { file: Parts { endpoints, services, policies, pipelines }.text(&admin), facts }
}

/// One file in the making.
struct File<'a, 'n> {
    project: &'a Project<'a>,
    gateway: &'a Gateway,
    /// The gateway's own host.
    host: &'a str,
    notes: &'n mut Notes,
    endpoints: ById<'a, file::ApiEndpoint<'a>>,
    services: ById<'a, Cow<'a, ServiceEndpoint<'a>>>,
    facts: Vec<String>,
}

impl<'a> File<'a, '_> {
    fn pipelines(&mut self) -> ById<'a, file::Pipeline<'a>> {
        let gateway = self.gateway;
        let mut ids = BTreeSet::new();
        for pipeline in &gateway.pipelines {
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
        let published = self.published(&ids);
        let mut rendered = ById::new();
        for pipeline in gateway.pipelines.iter().filter(|pipeline| ids.contains(pipeline.id.as_str())) {
            let endpoints = published.get(pipeline.id.as_str()).cloned().unwrap_or_default();
            rendered.insert(pipeline.id.as_str(), self.pipeline(pipeline, endpoints));
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
            let rendered = self.endpoint(endpoint);
            self.endpoints.insert(&endpoint.id, rendered);
        }
    }

    /// The declared API endpoints that each of these pipelines is connected to, in the order of connections.
    fn published(&mut self, pipelines: &BTreeSet<&str>) -> BTreeMap<&'a str, IndexSet<&'a str>> {
        let project = self.project;
        let mut published: BTreeMap<&str, IndexSet<&str>> = BTreeMap::new();
        for (from, to) in project.connections.iter().filter(|(from, _)| pipelines.contains(from)) {
            if self.endpoints.contains_key(to) {
                published.entry(from).or_default().insert(to);
            } else if !project.endpoints.contains_key(to) {
                let may_be = |id: Option<&str>| id.is_none_or(|id| id == *to);
                let unread = project.broken_endpoints.iter().find(|broken| may_be(broken.id.as_deref()));
                if let Some(broken) = unread {
                    self.notes.hold_for(format!("{}: the API endpoint cannot be read", broken.place));
                }
            }
        }
        published
    }

    fn endpoint(&mut self, endpoint: &'a ApiEndpoint) -> file::ApiEndpoint<'a> {
        let host = match endpoint.host.as_str() {
            "*" | "" => self.host,
            other => other,
        };
        if !covers(host, self.host) {
            let text = format!(
                "its host `{}` is not published: the gateway's own is `{}`",
                excerpt(host),
                self.host
            );
            self.notes.warn("HostNotPublished", &endpoint.place, text);
        }
        let paths = endpoint.paths.as_deref();
        self.check_paths(paths.unwrap_or_default(), &endpoint.place);
        let methods = endpoint.methods.as_ref().and_then(|methods| self.methods(methods, &endpoint.place));
        // Express Gateway refuses the same scope twice.
        let scopes = endpoint.scopes.as_ref().map(|scopes| scopes.iter().map(String::as_str).collect());
        let friendly_name = Some(endpoint.name.as_str());
        let rendered = file::ApiEndpoint { host, paths, methods, scopes, friendly_name };
        self.facts.extend(routes(&rendered, self.host));
        rendered
    }

    fn check_paths(&mut self, paths: &[String], place: &Place) {
        for path in paths {
            if let Some(problem) = patterns::path_problem(path) {
                self.notes.hold("PathRefused", place, problem);
            }
        }
    }

    /// `None` means every method, as an empty list does. A method that is none is left out; where nothing is left of
    /// a list, nothing is answered.
    fn methods(&mut self, methods: &'a [String], place: &Place) -> Option<Vec<&'a str>> {
        let all = methods.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|m| !m.is_empty());
        let all: Vec<&str> = all.collect();
        if all.is_empty() || all.contains(&"*") {
            return None;
        }
        let mut good = Vec::new();
        for method in all {
            if METHODS.iter().any(|known| known.eq_ignore_ascii_case(method)) {
                good.push(method);
            } else {
                let text =
                    format!("`{}` is no method that Express Gateway routes: it is left out", excerpt(method));
                self.notes.refuse("MethodRefused", place, text);
            }
        }
        Some(good)
    }

    fn pipeline(&mut self, pipeline: &'a Pipeline, endpoints: IndexSet<&'a str>) -> file::Pipeline<'a> {
        let policies = pipeline.policies.iter().map(|policy| self.policy(policy)).collect();
        file::Pipeline { friendly_name: Some(&pipeline.name), api_endpoints: endpoints, policies }
    }

    fn policy(&mut self, policy: &'a Policy) -> file::Policy<'a> {
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
        self.facts.push(["policy ", name].concat());
        let pairs = if policy.pairs.is_empty() { DEFAULTS } else { &policy.pairs };
        let pairs = pairs.iter().map(|pair| self.pair(name, pair, &policy.place, plugins)).collect();
        file::Policy { name, pairs }
    }

    fn pair(&mut self, policy: &str, pair: &'a Pair, place: &Place, plugins: bool) -> file::Pair<'a> {
        if let Some(problem) =
            pair.condition.as_ref().and_then(|condition| schema::condition_problem(condition, plugins))
        {
            self.notes.hold("ConditionRefused", place, format!("its condition: {problem}"));
        }
        let action = match policy {
            "proxy" => self.proxy(pair.action.as_ref(), place),
            "rate-limit" => Some(Cow::Owned(rate_limit(self.project.input.producer, pair.action.as_ref()))),
            _ => pair.action.as_ref().map(Cow::Borrowed),
        };
        self.check(policy, action.as_deref().unwrap_or(&Map::new()), place);
        file::Pair { condition: pair.condition.as_ref().map(Cow::Borrowed), action }
    }

    fn check(&mut self, policy: &str, action: &Map<String, Value>, place: &Place) {
        if let Some(problem) = schema::action_problem(policy, action) {
            self.notes.hold("PolicyRefused", place, format!("`{policy}`: {problem}"));
        }
    }

    /// The action of a proxy: what it names is listed under `serviceEndpoints`, or not named any more.
    fn proxy(&mut self, action: Option<&'a Map<String, Value>>, place: &Place) -> Option<Parameters<'a>> {
        let named = action.and_then(|action| action.get("serviceEndpoint")).and_then(schema::as_text);
        let Some(id) = named.filter(|id| !id.is_empty()) else {
            self.notes.warn("ProxyNowhere", place, "it names no service endpoint: it answers 502");
            return action.map(Cow::Borrowed);
        };
        match self.project.upstreams.find(&id) {
            Found::Known(id, service) => {
                self.services.entry(id).or_insert(Cow::Borrowed(service));
                return action.map(Cow::Borrowed);
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
            Cow::Owned(action)
        })
    }

    /// As listed, then what pipelines use, then what the admin pipeline uses.
    fn policies(&mut self, pipelines: &ById<'a, file::Pipeline<'a>>) -> IndexSet<&'a str> {
        let used: IndexSet<&str> =
            pipelines.values().flat_map(|pipeline| &pipeline.policies).map(|policy| policy.name).collect();
        let mut policies = IndexSet::new();
        for listed in &self.gateway.policies {
            let name = schema::canonical(listed);
            if schema::is_policy(name) || used.contains(name) {
                policies.insert(name);
            } else {
                let text = format!("Express Gateway has no policy `{}`: it is left out", excerpt(name));
                self.notes.warn("PolicyUnknown", &self.gateway.place, text);
            }
        }
        policies.extend(used);
        policies.extend(["cors", "proxy"]);
        policies
    }

    /// Order is meaning, and JavaScript has its own for keys that are numbers.
    fn order(&mut self, pipelines: &ById<'a, file::Pipeline<'a>>) {
        let endpoints = json::reordered(self.endpoints.keys().copied());
        let pipelines = json::reordered(pipelines.keys().copied());
        for (what, reordered) in [("API endpoints", endpoints), ("pipelines", pipelines)] {
            if reordered {
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
    let theirs = action.get("rateLimitBy").map_or(Some(Cow::Borrowed("${req.ip}")), schema::as_text);
    let by = theirs.map(|theirs| format!("{}-{theirs}", redis_namespace(producer)));
    if let Some(by) = by {
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
fn routes(endpoint: &file::ApiEndpoint<'_>, own: &str) -> Vec<String> {
    let methods = match &endpoint.methods {
        Some(methods) if methods.is_empty() => return Vec::new(),
        Some(methods) => methods.join(",").to_ascii_uppercase() + " ",
        None => String::new(),
    };
    let host = if endpoint.host == own { "" } else { endpoint.host };
    let route = |path: &str| ["route ", &methods, host, path].concat();
    match endpoint.paths {
        Some(paths) if !paths.is_empty() => paths.iter().map(|path| route(path)).collect(),
        Some(_) | None => vec![route("/*")],
    }
}

/// The beginning of a producer's text, for a message.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(60).collect()
}
