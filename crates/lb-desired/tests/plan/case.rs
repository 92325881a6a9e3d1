//! A case of `fixtures/plan`: what a producer keeps in git, and what is decided about it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use lb_desired::build;
use lb_desired::crd::Access;
use lb_desired::plan::{
    Component, Decision, Existing, ExistingFunction, ExistingGateway, GatewayPlan, Input, Plan, Presence,
    changes, plan,
};
use lb_desired::settings::Settings;
use lb_project::{Decoded, Entity, Observed, decode};
use lb_vocab::settings::Reader;
use lb_vocab::{Blob, CommitId, Limits, Producer, Source, Timestamp, Tree, UnknownReason};
use serde::Deserialize;

/// `case.json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Case {
    /// The sentence of the contract that the case shows.
    pub(crate) sentence: String,
    #[serde(default = "al")]
    producer: String,
    #[serde(default)]
    settings: BTreeMap<String, String>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    access: Access,
    #[serde(default)]
    withdrawn: bool,
    #[serde(default)]
    gateways: Vec<StandingGateway>,
    #[serde(default)]
    services: Vec<StandingFunction>,
    /// Children that are functions of other producers.
    #[serde(default)]
    taken: BTreeSet<String>,
    /// Sources that do not answer: `dev`, `functions`, `openapi`.
    #[serde(default)]
    unknown: Vec<String>,
    /// The whole objects are among what is expected, not their names alone.
    #[serde(default)]
    pub(crate) objects: bool,
    /// Another case: what the pusher reads when this one comes after it.
    #[serde(default)]
    after: Option<String>,
    /// Express Gateway starts on what is deployed.
    #[serde(default = "yes")]
    pub(crate) starts: bool,
    /// What the gateway answers when it runs.
    #[serde(default)]
    pub(crate) requests: Vec<Request>,
}

/// A request to a running gateway.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// `GET http://host/path`.
    pub(crate) request: String,
    /// The status that it answers.
    pub(crate) status: u16,
    /// What the body contains; the upstream answers with method, host and path that it saw.
    #[serde(default)]
    pub(crate) body: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StandingGateway {
    instance: String,
    id: String,
    created: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StandingFunction {
    service: String,
    path: String,
    commit: String,
    digest: String,
}

fn yes() -> bool {
    true
}

fn al() -> String {
    "al-dev".to_owned()
}

/// The directories of all cases.
pub(crate) fn all() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/plan");
    let mut all: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

/// A case that was read and planned.
pub(crate) struct Planned {
    pub(crate) case: Case,
    pub(crate) settings: Settings,
    pub(crate) plan: Plan,
}

/// The end-to-end pure pipeline, up to the plan.
pub(crate) fn planned(directory: &Path) -> Planned {
    let text = fs::read_to_string(directory.join("case.json")).unwrap();
    let case: Case = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{directory:?}: {error}"));
    let producer: Producer = case.producer.parse().unwrap();
    let mut reader = Reader::new(&case.settings);
    let settings = Settings::read(&mut reader);
    let settings = reader.finish(settings).unwrap().0;
    let decoded = decode(observe(directory, &case), &producer, &case.limits);
    let existing = existing(&case, &decoded);
    let plan = plan(&Input {
        producer: &producer,
        decoded: &decoded,
        access: case.access,
        presence: if case.withdrawn { Presence::Withdrawn } else { Presence::Present },
        existing: &existing,
        settings: &settings,
    });
    Planned { case, settings, plan }
}

/// The plan of a producer with these files in `dev`, and nothing else.
pub(crate) fn plan_of(dev: &[(&str, &str)]) -> Plan {
    let producer: Producer = al().parse().unwrap();
    let files = dev
        .iter()
        .map(|(path, text)| (path.parse().unwrap(), Blob::File(text.as_bytes().to_vec())))
        .collect();
    let commit: CommitId = "a".repeat(40).parse().unwrap();
    let observed = Observed {
        dev: Source::Known(Tree { files }, commit),
        functions: Source::Absent(None),
        openapi: Source::Absent(None),
    };
    let limits = Limits::default();
    plan(&Input {
        producer: &producer,
        decoded: &decode(observed, &producer, &limits),
        access: Access::Enabled,
        presence: Presence::Present,
        existing: &Existing::default(),
        settings: &Settings::default(),
    })
}

/// Children that stand. The digest `@<directory>` is that of the directory as it is.
fn existing(case: &Case, decoded: &Decoded) -> Existing {
    let digest = |text: &str| match text.strip_prefix('@') {
        None => text.to_owned(),
        Some(directory) => {
            let functions = decoded.functions.known().unwrap().iter().filter_map(Entity::read);
            functions
                .filter(|function| function.directory == directory)
                .map(|f| f.digest.to_string())
                .collect()
        }
    };
    let gateway = |child: &StandingGateway| ExistingGateway {
        instance: child.instance.parse().unwrap(),
        id: child.id.clone(),
        created: Timestamp(child.created),
        uid: format!("uid-{}", child.instance),
    };
    let function = |child: &StandingFunction| ExistingFunction {
        service: child.service.clone(),
        path: child.path.clone(),
        commit: child.commit.clone(),
        digest: digest(&child.digest),
    };
    Existing {
        gateways: case.gateways.iter().map(gateway).collect(),
        functions: case.services.iter().map(function).collect(),
        taken: case.taken.clone(),
    }
}

fn observe(directory: &Path, case: &Case) -> Observed {
    let source = |name: &str, digit: &str| {
        let commit: CommitId = digit.repeat(40).parse().unwrap();
        let files = directory.join(name);
        if case.unknown.iter().any(|unknown| unknown == name) {
            Source::Unknown(UnknownReason::Unreachable("git-api did not answer".to_owned()))
        } else if files.is_dir() {
            Source::Known(read(&files), commit)
        } else {
            Source::Absent(None)
        }
    };
    Observed { dev: source("dev", "a"), functions: source("functions", "b"), openapi: source("openapi", "c") }
}

fn read(root: &Path) -> Tree {
    let mut tree = Tree::default();
    for file in files(root) {
        let name = file.strip_prefix(root).unwrap().to_str().unwrap().parse().unwrap();
        tree.files.insert(name, Blob::File(fs::read(&file).unwrap()));
    }
    tree
}

/// Every file below a directory, sorted.
pub(crate) fn files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

impl Planned {
    /// What is expected of the case, as files of its directory `expected`.
    pub(crate) fn expected(&self, directory: &Path) -> BTreeMap<String, String> {
        let mut files = BTreeMap::from([("decisions.txt".to_owned(), self.decisions(directory))]);
        for (name, decision) in &self.plan.gateways.children {
            if let Decision::Deploy(gateway) = decision {
                for key in ["gateway.config.yml", "system.config.yml"] {
                    files.insert(format!("{name}.{key}"), gateway.config[key].reveal().clone());
                }
            }
        }
        if self.case.objects {
            let manifests: Vec<_> = self.leaves().into_iter().map(|leaf| leaf.manifest.value()).collect();
            files.insert("objects.json".to_owned(), format!("{:#}\n", serde_json::Value::from(manifests)));
        }
        files
    }

    fn decisions(&self, directory: &Path) -> String {
        let mut text = format!("{}\n", self.case.sentence);
        let findings: Vec<String> =
            self.plan.findings.iter().map(|finding| format!("{} {finding}", finding.code)).collect();
        section(&mut text, "findings", &findings);
        section(&mut text, "workspace", &component(&self.plan.workspace, json));
        section(&mut text, "gateways", &component(&self.plan.gateways, gateway));
        section(&mut text, "functions", &component(&self.plan.functions, json));
        let names: Vec<String> =
            self.leaves().iter().map(|leaf| format!("{} {}", leaf.kind.kind(), leaf.name)).collect();
        section(&mut text, "objects", &names);
        let before = self.case.after.as_ref().map(|name| planned(&directory.with_file_name(name)).plan);
        if let Some(before) = before {
            section(&mut text, "for the pusher", &changes(&before, &self.plan));
        }
        text
    }

    /// Every object that the plan's children are built to.
    pub(crate) fn leaves(&self) -> Vec<build::Leaf> {
        let mut leaves = Vec::new();
        for spec in deployed(&self.plan.workspace) {
            leaves.extend(build::workspace(&spec.try_into().unwrap(), &self.settings));
        }
        for gateway in deployed(&self.plan.gateways) {
            let spec = (&gateway.spec).try_into().unwrap();
            leaves.push(build::gateway_config(&spec, &gateway.config, &self.settings));
            leaves.extend(build::gateway(&spec, &self.settings));
        }
        leaves
    }
}

/// The children to deploy.
pub(crate) fn deployed<T>(component: &Component<T>) -> impl Iterator<Item = &T> {
    component.children.values().filter_map(|decision| match decision {
        Decision::Deploy(child) => Some(child),
        Decision::Hold(_) | Decision::Withdraw(_) => None,
    })
}

fn section(text: &mut String, title: &str, lines: &[String]) {
    write!(text, "\n{title}:\n").unwrap();
    for line in lines {
        writeln!(text, "  {line}").unwrap();
    }
}

fn component<T>(component: &Component<T>, show: impl Fn(&T) -> String) -> Vec<String> {
    let complete = component.complete.as_ref().map_or("nothing is pruned".to_owned(), |complete| {
        format!("what is not listed goes: {:?}", complete.why())
    });
    let decisions = component.children.iter().map(|(name, decision)| match decision {
        Decision::Deploy(child) => format!("deploy {name} {}", show(child)),
        Decision::Hold(why) => format!("hold {name}: {why}"),
        Decision::Withdraw(why) => format!("withdraw {name}: {why:?}"),
    });
    decisions.chain([complete]).collect()
}

fn gateway(plan: &GatewayPlan) -> String {
    format!("{} from {}: {}", json(&plan.spec), plan.place, plan.facts.join(", "))
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap()
}
