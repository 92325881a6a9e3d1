//! What holds for every project, however irregular.

use std::collections::BTreeSet;

use lb_desired::crd::Access;
use lb_desired::plan::{
    Decision, Existing, ExistingFunction, ExistingGateway, GatewayPlan, Input, Plan, Presence, changes, plan,
};
use lb_desired::settings::Settings;
use lb_project::{Observed, decode};
use lb_vocab::settings::Reader;
use lb_vocab::{Blob, CommitId, Limits, Producer, Source, Timestamp, Tree, UnknownReason};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use crate::case::deployed;

/// What is known of a producer: projects of few names, so that they collide.
#[derive(Clone, Debug)]
struct World {
    project: Value,
    model_config: String,
    functions: Vec<(String, String)>,
    openapi: Value,
    /// Which of `dev`, `functions` and `openapi` do not answer.
    unknown: [bool; 3],
    access: Access,
    withdrawn: bool,
    auto: bool,
    gateways: Vec<ExistingGateway>,
    services: Vec<ExistingFunction>,
    taken: BTreeSet<String>,
}

fn commit() -> CommitId {
    "a".repeat(40).parse().unwrap()
}

impl World {
    fn source(&self, which: usize, files: Vec<(String, String)>) -> Source<Tree> {
        if self.unknown[which] {
            return Source::Unknown(UnknownReason::Unreachable("no answer".to_owned()));
        }
        let file = |(path, text): (String, String)| (path.parse().unwrap(), Blob::File(text.into_bytes()));
        Source::Known(Tree { files: files.into_iter().map(file).collect() }, commit())
    }

    fn plan(&self) -> Plan {
        let producer: Producer = "al-dev".parse().unwrap();
        let limits = Limits { gateways: 6, ..Limits::default() };
        let file = json!({ "models": { "Project": { "al-dev": self.project.to_string() } } }).to_string();
        let model = json!({ "name": "Car", "lunchbadgerId": "a" }).to_string();
        let dev = [
            ("lunchbadger.json", file),
            ("server/model-config.json", self.model_config.clone()),
            ("server/models/car.json", model),
        ];
        let observed = Observed {
            dev: self.source(0, dev.map(|(path, text)| (path.to_owned(), text)).to_vec()),
            functions: self.source(1, self.functions.clone()),
            openapi: self.source(2, vec![("openapi.json".to_owned(), self.openapi.to_string())]),
        };
        let settings =
            if self.auto { [("AUTOGATEWAY_ENABLE".to_owned(), "1".to_owned())].into() } else { [].into() };
        plan(&Input {
            producer: &producer,
            decoded: &decode(observed, &producer, &limits),
            access: self.access,
            presence: if self.withdrawn { Presence::Withdrawn } else { Presence::Present },
            existing: &Existing {
                gateways: self.gateways.clone(),
                functions: self.services.clone(),
                taken: self.taken.clone(),
            },
            settings: &Settings::read(&mut Reader::new(&settings)),
        })
    }

    /// The world once its plan was carried out.
    fn carried_out(&self) -> Self {
        let plan = self.plan();
        let mut next = self.clone();
        let kept = |name: &str, decision: Option<bool>| decision.unwrap_or_else(|| panic!("{name}"));
        next.gateways.retain(|child| {
            let name = format!("al-dev-{}", child.instance);
            kept(&name, plan.gateways.children.get(&name).map(|d| matches!(d, Decision::Hold(_))))
        });
        for spec in deployed(&plan.gateways).map(|gateway| &gateway.spec) {
            let created = self.gateways.iter().find(|old| old.instance.as_str() == spec.instance);
            next.gateways.push(ExistingGateway {
                instance: spec.instance.parse().unwrap(),
                id: spec.id.clone(),
                created: created.map_or(Timestamp(1000), |old| old.created),
                uid: spec.instance.clone(),
            });
        }
        next.services.retain(|child| {
            let name = format!("al-dev-{}", child.service);
            kept(&name, plan.functions.children.get(&name).map(|d| matches!(d, Decision::Hold(_))))
        });
        next.services.extend(deployed(&plan.functions).map(|spec| ExistingFunction {
            service: spec.service.clone(),
            path: spec.path.clone(),
            commit: spec.commit.clone(),
            digest: spec.digest.clone(),
        }));
        next
    }
}

fn id() -> impl Strategy<Value = &'static str> {
    select(&["a", "b", "c", "d", "7", "10", "admin", "__proto__", "x/y", "ä", ""][..])
}

fn junk() -> impl Strategy<Value = Value> {
    select(vec![
        json!(null),
        json!(1),
        json!("${REDIS_PASSWORD}"),
        json!([]),
        json!({}),
        json!([{}]),
        json!({"$": [null]}),
    ])
}

fn or_junk(good: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Value> {
    prop_oneof![24 => good, 1 => junk()]
}

fn list(item: impl Strategy<Value = Value> + 'static, most: usize) -> impl Strategy<Value = Value> {
    or_junk(prop::collection::vec(item, 0..most).prop_map(Value::from))
}

fn policy() -> impl Strategy<Value = Value> {
    let names =
        select(&["proxy", "proxy", "proxy", "cors", "key-auth", "rate-limiter", "log", "my-auth"][..]);
    let action =
        or_junk((id(), junk()).prop_map(|(id, junk)| json!({ "serviceEndpoint": id, "message": junk })));
    let condition = select(vec![json!({}), json!({ "name": "never" }), json!({ "name": "full-moon" })]);
    (names, action, condition)
        .prop_map(|(name, action, condition)| json!({ name: [{ "action": action, "condition": condition }] }))
}

fn gateway() -> impl Strategy<Value = Value> {
    let pipeline =
        (id(), list(policy(), 3)).prop_map(|(id, policies)| json!({ "id": id, "policies": policies }));
    let name = select(&["Main", "main", "Edge", "autogenerated", "a-name-longer-than-15", "", "${A}"][..]);
    (id(), name, list(or_junk(pipeline), 3)).prop_map(|(id, name, pipelines)| {
        json!({ "id": id, "name": name, "pipelines": pipelines, "policies": ["cors", "my-auth"] })
    })
}

fn project() -> impl Strategy<Value = Value> {
    let service = (id(), select(&["http://one.example", "http://two.example:1/x", "none"][..]))
        .prop_map(|(id, url)| json!({ "id": id, "name": id, "urls": [url] }));
    let api = (id(), select(&["*", "main-bob-dev.lunchbadger.io"][..]), select(&["/x", "/(", "/:y*"][..]))
        .prop_map(
            |(id, host, path)| json!({ "id": id, "host": host, "paths": [path], "methods": ["GET", "use"] }),
        );
    let connection = (id(), id()).prop_map(|(from, to)| json!({ "fromId": from, "toId": to }));
    let disabled = prop_oneof![20 => Just(json!(false)), 1 => Just(json!(true)), 1 => junk()];
    (
        list(or_junk(gateway()), 5),
        list(or_junk(service), 5),
        list(or_junk(api), 5),
        list(connection, 8),
        disabled,
    )
        .prop_map(|(gateways, services, apis, connections, disabled)| {
            json!({
                "id": "al-dev", "name": "main", "gateways": gateways, "serviceEndpoints": services,
                "apiEndpoints": apis, "connections": connections, "disabled": disabled,
            })
        })
}

fn world() -> impl Strategy<Value = World> {
    let function = prop_oneof![
        4 => (id(), select(&["hello", "other", "Not A Name"][..])).prop_map(|(id, service)| format!(
            "service: {service}\nprovider: {{ runtime: \"nodejs:8\" }}\nfunctions: {{ f: {{ handler: a.b }} }}\nlunchbadger: {{ id: {id} }}\n"
        )),
        1 => Just("service: [".to_owned()),
    ];
    let functions = prop::collection::btree_map(
        select(&["one/serverless.yml", "two/serverless.yml"][..]),
        function,
        0..3,
    );
    let model_config = prop_oneof![6 => Just("{\"Car\": {}}".to_owned()), 1 => Just("{".to_owned())];
    let openapi = prop_oneof![
        3 => Just(json!({ "paths": { "/Cars": { "get": { "tags": ["Car"] } }, "/{x}/(": {} } })),
        1 => junk(),
    ];
    let standing =
        prop::collection::btree_map(select(&["main", "edge", "old", "autogenerated"][..]), id(), 0..4);
    let gateways = standing.prop_map(|standing| {
        let child = |(at, (instance, id)): (usize, (&str, &str))| ExistingGateway {
            instance: instance.parse().unwrap(),
            id: lb_vocab::label_id(id).0,
            created: Timestamp(at as u64 % 2),
            uid: instance.to_owned(),
        };
        standing.into_iter().enumerate().map(child).collect()
    });
    let services = prop::collection::btree_set(select(&["hello", "gone"][..]), 0..3).prop_map(|services| {
        let child = |service: &str| ExistingFunction {
            service: service.to_owned(),
            path: "one".to_owned(),
            commit: "b".repeat(40),
            digest: "c".repeat(64),
        };
        services.into_iter().map(child).collect()
    });
    let taken = prop::collection::btree_set(Just("al-dev-other".to_owned()), 0..2);
    let access = prop_oneof![20 => Just(Access::Enabled), 1 => Just(Access::Disabled)];
    let unknown = prop::array::uniform3(prop::bool::weighted(0.1));
    let known = (project(), model_config, functions, openapi);
    (known, unknown, access, prop::bool::weighted(0.05), any::<bool>(), gateways, services, taken).prop_map(
        |(
            (project, model_config, functions, openapi),
            unknown,
            access,
            withdrawn,
            auto,
            gateways,
            services,
            taken,
        )| World {
            project,
            model_config,
            functions: functions.into_iter().map(|(path, text)| (path.to_owned(), text)).collect(),
            openapi,
            unknown,
            access,
            withdrawn,
            auto,
            gateways,
            services,
            taken,
        },
    )
}

/// What Express Gateway would stop at, in a file that we say can be deployed.
fn dangling(config: &Value) -> Vec<String> {
    let declared: Vec<&str> =
        config["policies"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let mut wrong = Vec::new();
    for pipeline in config["pipelines"].as_object().unwrap().values() {
        for endpoint in pipeline["apiEndpoints"].as_array().unwrap() {
            if config["apiEndpoints"].get(endpoint.as_str().unwrap()).is_none() {
                wrong.push(format!("API endpoint {endpoint}"));
            }
        }
        for policy in pipeline["policies"].as_array().unwrap() {
            let (name, pairs) = policy.as_object().unwrap().iter().next().unwrap();
            if !declared.contains(&name.as_str()) || name == "my-auth" {
                wrong.push(format!("policy {name}"));
            }
            for pair in pairs.as_array().unwrap() {
                let target = pair.pointer("/action/serviceEndpoint").and_then(Value::as_str);
                if name == "proxy"
                    && target.is_some_and(|id| !id.is_empty() && config["serviceEndpoints"].get(id).is_none())
                {
                    wrong.push(format!("service endpoint {target:?}"));
                }
            }
        }
    }
    wrong
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_is_total_a_function_of_its_input_and_never_stops_express_gateway(world in world()) {
        let plan = world.plan();
        prop_assert_eq!(&world.plan(), &plan);
        prop_assert!(plan.findings.is_sorted());
        prop_assert!(world.taken.iter().all(|name| !plan.functions.children.contains_key(name)));
        for gateway in deployed(&plan.gateways) {
            let text = gateway.config["gateway.config.yml"].reveal();
            prop_assert!(!text.contains('$') && text.is_ascii());
            let wrong = dangling(&serde_json::from_str(text).unwrap());
            prop_assert!(wrong.is_empty(), "{:?} in {}", wrong, text);
            serde_json::from_str::<Value>(gateway.config["system.config.yml"].reveal()).unwrap();
        }
    }

    #[test]
    fn what_depends_on_something_unknown_is_never_complete(world in world()) {
        let plan = world.plan();
        let [dev, functions, openapi] = world.unknown;
        let off = world.access == Access::Disabled || world.withdrawn;
        let disabled = !dev && world.project["disabled"] == json!(true);
        if !off && dev {
            prop_assert!(plan.workspace.complete.is_none());
        }
        if !off && !disabled && (dev || functions) {
            prop_assert!(plan.functions.complete.is_none() && plan.gateways.complete.is_none());
        }
        if !off && !disabled && openapi && world.auto {
            prop_assert!(plan.gateways.complete.is_none());
        }
        if plan.gateways.complete.is_none() {
            prop_assert!(!plan.gateways.children.values().any(|d| matches!(d, Decision::Withdraw(_))));
        }
        for child in &world.gateways {
            let name = format!("al-dev-{}", child.instance);
            prop_assert!(plan.gateways.children.contains_key(&name), "nothing is decided about {}", name);
        }
    }

    #[test]
    fn a_plan_that_was_carried_out_is_itself(world in world()) {
        let next = world.carried_out();
        let (plan, again) = (world.plan(), next.plan());
        prop_assert_eq!(&plan.digest, &again.digest);
        prop_assert!(!again.gateways.children.values().any(|d| matches!(d, Decision::Withdraw(_)))
            || again.workspace.children.values().any(|d| matches!(d, Decision::Withdraw(_))));
        prop_assert!(changes(&again, &next.carried_out().plan()).is_empty());
    }

    #[test]
    fn removing_a_gateway_renames_no_other(world in world(), which in any::<Index>()) {
        let mut next = World { unknown: [false; 3], ..world }.carried_out();
        let names = |plan: &Plan| -> BTreeSet<(String, String, String)> {
            let name = |g: &GatewayPlan| (g.spec.id.clone(), g.place.name.clone(), g.spec.instance.clone());
            deployed(&plan.gateways).map(name).collect()
        };
        let before = names(&next.plan());
        if let Some(gateways) = next.project["gateways"].as_array_mut().filter(|list| !list.is_empty()) {
            gateways.remove(which.index(gateways.len()));
        }
        for (id, name, instance) in names(&next.plan()) {
            let had: Vec<_> = before.iter().filter(|(other, ..)| *other == id).collect();
            // Two gateways of one id cannot be told apart once one of them is gone.
            if let [(_, _, had)] = had[..] {
                prop_assert!(*had == instance, "{} {} was {} and is {}", id, name, had, instance);
            }
        }
    }

    #[test]
    fn what_is_irrelevant_does_not_change_the_digest(world in world(), key in "[a-z]{3,8}", more in junk()) {
        let mut other = world.clone();
        other.project["states"] = json!([{ "key": key, "value": more }]);
        other.project["itemOrder"] = json!(3);
        other.project["name"] = json!(key);
        let ids: Vec<Value> = world.project["serviceEndpoints"].as_array().into_iter().flatten().map(|e| e["id"].clone()).collect();
        let unique = ids.iter().enumerate().all(|(at, id)| id.is_string() && !ids[..at].contains(id));
        if let (true, Some(services)) = (unique, other.project["serviceEndpoints"].as_array_mut()) {
            services.reverse();
        }
        prop_assert_eq!(world.plan().digest, other.plan().digest);
    }
}
