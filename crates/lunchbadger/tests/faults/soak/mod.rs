//! A soak: producers push, break, revert and force, faults and restarts come between, all drawn from a seed. A model that
//! knows what was pushed, and nothing of how we plan and build, says what must stand.
//!
//! At every moment: what should stand all the time was not removed or made anew, and no credential is gone or another
//! one. After every few deeds all faults end: then exactly what the newest commits say stands, and nothing is written
//! any more. In the end that holds after a restart an hour later, too, which writes nothing.
//!
//! `LUNCHBADGER_SOAK_SECONDS` says how long (a minute where it says nothing), `LUNCHBADGER_SOAK_SEED` repeats the deeds of
//! an earlier run (not its timing), `LUNCHBADGER_SOAK_REPORT` names a file for a line of JSON for each deed.

mod deeds;
mod model;
mod seen;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use lb_testkit::faults::{Class, Counting};
use lb_testkit::git::Clone;
use lb_testkit::project::{Gateway, file};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::time::Instant;

use self::deeds::Deed;
use self::model::{Content, GATEWAYS, Model};
use self::seen::Seen;
use crate::actualizer::How;
use crate::cases::Border;
use crate::world::{NAMESPACE, World};

/// Producers.
const NAMES: [&str; 3] = ["so", "ak", "ed"];
/// How long a soak takes that nobody asked for.
const USUAL: Duration = Duration::from_secs(60);
/// Deeds until all faults end.
const DEEDS: usize = 12;
/// How long it may take to come to rest then, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_happens_the_system_comes_to_rest_where_git_says() {
    let _turn = crate::turn().await;
    let number = |name| lb_testkit::environment(name)?.to_str()?.parse::<u64>().ok();
    let seed = number("LUNCHBADGER_SOAK_SEED").unwrap_or_else(rand::random);
    let length = number("LUNCHBADGER_SOAK_SECONDS").map_or(USUAL, Duration::from_secs);
    let begin = Instant::now();
    let mut soak = Soak::start(seed).await;
    soak.look(None).await;
    while begin.elapsed() < length {
        for _ in 0..DEEDS {
            soak.deed().await;
        }
        soak.look(None).await;
    }
    soak.end().await;
}

/// A producer with what is known of it.
struct Producer {
    model: Model,
    dev: Clone,
    credentials: Option<Value>,
    /// Whether an operator has enabled or disabled it.
    switched: bool,
    /// Of what lasts, since the last look.
    uids: BTreeMap<String, Option<Value>>,
}

struct Soak {
    world: Arc<World>,
    random: StdRng,
    seed: u64,
    begin: Instant,
    producers: Vec<Producer>,
    report: Option<File>,
    counts: BTreeMap<&'static str, usize>,
    /// What was done last, for who looks for a failure.
    last: Vec<String>,
}

impl Soak {
    /// Everything runs, and each producer has pushed a project.
    async fn start(seed: u64) -> Self {
        let world = Arc::new(World::start().await);
        world.begin(How::Task).await;
        let report = lb_testkit::environment("LUNCHBADGER_SOAK_REPORT");
        let report = report.map(|path| File::create(path).expect("create the report"));
        let (random, begin) = (StdRng::seed_from_u64(seed), Instant::now());
        let (producers, counts, last) = (Vec::new(), BTreeMap::new(), Vec::new());
        let mut soak = Self { world, random, seed, begin, producers, report, counts, last };
        for name in NAMES {
            let dev = soak.world.create(name).await;
            let (model, uids) = (Model::new(name), BTreeMap::new());
            soak.producers.push(Producer { model, dev, credentials: None, switched: false, uids });
            let content = deeds::project(&mut soak.random, false);
            soak.act(soak.producers.len() - 1, Deed::Push(content)).await;
        }
        soak
    }

    /// Does something, and sees whether what lasts still stands.
    async fn deed(&mut self) {
        let who = self.random.random_range(0..self.producers.len());
        let deed = deeds::draw(&mut self.random, &self.producers[who].model);
        self.act(who, deed).await;
        // Some deeds come close together, others when the last one is being worked on, or is over.
        let sweeps = self.random.random_range(0..4);
        let git = &self.world.side.git;
        let swept = |log: &lb_testkit::faults::Log| {
            log.calls.iter().filter(|call| call.line.starts_with("GET /changes")).count()
        };
        let before = swept(&git.log());
        let paced = git.until(|log| swept(log) >= before + sweeps);
        // Who is killed or may not lead does not sweep.
        let _ = tokio::time::timeout(Duration::from_secs(2), paced).await;
        self.lasts().await;
    }

    async fn act(&mut self, who: usize, deed: Deed) {
        *self.counts.entry(deed.name()).or_default() += 1;
        let name = self.producers[who].model.name.clone();
        let seconds = self.begin.elapsed().as_secs_f64();
        self.last.push(format!("{seconds:.1} s, {name}: {deed:?}"));
        self.line(&json!({"at": seconds, "producer": name, "deed": format!("{deed:?}")}));
        let world = self.world.clone();
        match deed {
            Deed::Push(content) => self.push(who, content).await,
            Deed::Revert => self.revert(who).await,
            Deed::Force(left) => self.force(who, left).await,
            Deed::Enable(enabled) => {
                let access = if enabled { "Enabled" } else { "Disabled" };
                self.producers[who].switched = true;
                self.producers[who].model.enable(enabled);
                // Of an API server that stores nothing nobody can ask for it; the next look does.
                drop(world.ask(&name, &json!({"spec": {"access": access}})).await);
            }
            Deed::DeleteService => drop(self.service(who, None).await),
            Deed::ChangeService => {
                let port = self.random.random_range(1..1000);
                let change = json!([{"op": "replace", "path": "/spec/ports/0/port", "value": port}]);
                drop(self.service(who, Some(change)).await);
            }
            Deed::Fault(border, fault, index) => {
                world.side.proxy(border).arm(Counting::Everything, Some((index, fault)));
            }
            Deed::Kill => world.side.gate.kill(world.side.gate.incarnation()),
            Deed::ReadOnly => world.side.api.refuse(Some(Class::Write)),
            Deed::Silent => world.side.git.refuse(Some(Class::Read)),
            Deed::ClockJump => world.side.clock.advance(Duration::from_secs(3600)),
            Deed::TakeLease => {
                let taken = json!({"spec": {"holderIdentity": "another"}});
                let leases = Api::<Lease>::namespaced(world.client.clone(), "default");
                let (name, patch) = ("lunchbadger-actualizer", Patch::Merge(&taken));
                drop(leases.patch(name, &PatchParams::default(), &patch).await);
            }
            Deed::RestartApiServer => {
                world.cluster.stop_api_server().await;
                world.cluster.compact().await;
                world.cluster.start_api_server().await;
            }
            Deed::EtcdFull => world.cluster.set_full(true).await,
        }
    }

    /// Pushes a commit with this content.
    async fn push(&mut self, who: usize, content: Content) {
        let Producer { model, dev, .. } = &mut self.producers[who];
        let message = format!("Commit {}", model.commits().len());
        // What changes with each commit, so that each can be reverted.
        dev.write("README.md", &message).write("lunchbadger.json", text(&model.name, &content));
        dev.commit_and_push(&message).await;
        model.push(content);
    }

    /// Pushes a commit that takes the newest one back.
    async fn revert(&mut self, who: usize) {
        let Producer { model, dev, .. } = &mut self.producers[who];
        let commits = model.commits();
        let content = commits[commits.len() - 2].clone();
        dev.run(&["revert", "--no-edit", "HEAD"]).await;
        let push = dev.push().await;
        assert!(push.accepted, "{}", push.output);
        model.push(content);
    }

    /// Moves the branch back, so that this many commits are left.
    async fn force(&mut self, who: usize, left: usize) {
        let Producer { model, dev, .. } = &mut self.producers[who];
        let back = model.commits().len() - left;
        dev.run(&["reset", "--quiet", "--hard", &format!("HEAD~{back}")]).await;
        let push = dev.push_to("+HEAD:refs/heads/master").await;
        assert!(push.accepted, "{}", push.output);
        model.rewind(left);
    }

    /// Changes or deletes the Service of some component, where one stands.
    async fn service(&mut self, who: usize, change: Option<Value>) -> kube::Result<()> {
        let producer = &self.producers[who].model.name;
        let services = Api::<Service>::namespaced(self.world.client.clone(), NAMESPACE);
        let gateway = GATEWAYS.choose(&mut self.random).expect("there are some");
        let name = format!("gateway-{producer}-dev-{gateway}");
        match change {
            Some(change) => {
                let change = Patch::Json::<()>(serde_json::from_value(change).expect("a patch"));
                services.patch(&name, &PatchParams::default(), &change).await.map(drop)
            }
            None => services.delete(&name, &DeleteParams::default()).await.map(drop),
        }
    }

    async fn seen(&self, who: usize) -> Option<Seen> {
        let name = &self.producers[who].model.name;
        // The API server may be on its way back.
        let snapshot = crate::snapshot::Snapshot::take(&self.world.client, name).await.ok()?;
        Some(Seen::new(name, snapshot))
    }

    /// At this very moment: what should stand all the time does, as the same objects, with the same credentials.
    async fn lasts(&mut self) {
        for who in 0..self.producers.len() {
            let Some(seen) = self.seen(who).await else { continue };
            let Producer { model, credentials, uids, .. } = &self.producers[who];
            assert_eq!(seen.credentials(), credentials.as_ref(), "credentials\n{}", self.told());
            for component in model.lasting() {
                for (key, uid) in seen.uids(component) {
                    assert!(
                        uids.get(&key).is_none_or(|before| *before == uid),
                        "{key} was removed or made anew: {uid:?}\n{}",
                        self.told()
                    );
                }
            }
        }
    }

    /// Ends all faults and waits until exactly what git says stands, and rests. `writes`: how many that may take.
    async fn look(&mut self, writes: Option<usize>) {
        let world = self.world.clone();
        world.cluster.set_full(false).await;
        for border in Border::ALL {
            world.side.proxy(border).arm(Counting::default(), None);
            world.side.proxy(border).refuse(None);
        }
        for Producer { model, .. } in self.producers.iter().filter(|producer| producer.switched) {
            let access = if model.is_enabled() { "Enabled" } else { "Disabled" };
            let asked = world.ask(&model.name, &json!({"spec": {"access": access}})).await;
            assert!(asked.is_ok(), "{asked:?}\n{}", self.told());
        }
        let begin = Instant::now();
        loop {
            world.side.rest().await;
            let Err(why) = self.settle().await else { break };
            assert!(begin.elapsed() < PATIENCE, "{why}\n{}", self.told());
        }
        if let Some(writes) = writes {
            let sent = world.side.api.log().writes();
            assert!(sent <= writes, "{sent} writes, where nothing changed\n{}", self.told());
        }
        *self.counts.entry("looks at rest").or_default() += 1;
    }

    /// Compares what stands with what must, and remembers it.
    async fn settle(&mut self) -> Result<(), String> {
        for who in 0..self.producers.len() {
            let name = self.producers[who].model.name.clone();
            // A kubelet would. Otherwise their roll-outs fail after ten minutes, which is news.
            let pods = self.world.cluster.make_pods_ready(NAMESPACE, &format!("producer={name}")).await;
            pods.map_err(|error| format!("{error:#}"))?;
            let seen = self.seen(who).await.ok_or("the API server does not answer")?;
            let components = seen.components()?;
            let told = self.told();
            let producer = &mut self.producers[who];
            producer.model.settle(&components)?;
            let credentials = seen.credentials().ok_or_else(|| format!("{name} has no credentials"))?;
            let before = producer.credentials.get_or_insert_with(|| credentials.clone());
            assert_eq!(before, credentials, "credentials of {name}\n{told}");
            let standing: BTreeSet<&str> = components.into_keys().collect();
            let uids = standing.into_iter().flat_map(|component| seen.uids(component));
            producer.uids = uids.collect();
        }
        Ok(())
    }

    /// Nothing is written any more: not after an hour, and not by the next one.
    async fn end(mut self) {
        for _ in 0..2 {
            self.world.side.gate.kill(self.world.side.gate.incarnation());
            self.world.side.clock.advance(Duration::from_secs(3600));
            self.look(None).await;
        }
        self.world.side.gate.kill(self.world.side.gate.incarnation());
        self.look(Some(0)).await;
        let counts = json!({"seed": self.seed.to_string(), "seconds": self.begin.elapsed().as_secs(), "counts": self.counts});
        self.line(&counts);
        self.world.end().await;
    }

    fn line(&mut self, value: &Value) {
        if let Some(file) = &mut self.report {
            writeln!(file, "{value}").expect("write the report");
        }
    }

    /// How to do it again, what was done last, and what followed.
    fn told(&self) -> String {
        let last = &self.last[self.last.len().saturating_sub(2 * DEEDS)..];
        let again = format!("LUNCHBADGER_SOAK_SEED={}", self.seed);
        [again, last.join("\n"), self.world.side.told()].join("\n")
    }
}

/// A project file with this content.
fn text(producer: &str, content: &Content) -> String {
    let (gateways, disabled) = match content {
        Content::Project { gateways, disabled } => (gateways, *disabled),
        Content::Unreadable => return "{\"models\": ".to_owned(),
    };
    let list: Vec<Gateway> = gateways
        .iter()
        .map(|(name, routes)| {
            let paths: Vec<&str> = routes.iter().flatten().map(String::as_str).collect();
            Gateway::new(&format!("id-{name}"), name, &paths)
        })
        .collect();
    let mut outer: Value = serde_json::from_str(&file(producer, &list, disabled)).expect("JSON");
    let project = &mut outer["models"]["Project"][format!("{producer}-dev")];
    let mut inner: Value = serde_json::from_str(project.as_str().expect("a text")).expect("JSON");
    for gateway in inner["gateways"].as_array_mut().into_iter().flatten() {
        let name = gateway["name"].as_str().expect("a name");
        if gateways[name].is_none() {
            gateway["pipelines"] = "none".into();
        }
    }
    *project = inner.to_string().into();
    outer.to_string()
}
