//! A producer's life, step by step, and what has to hold after each.

use std::sync::Arc;

use lb_actualizer::PURGE;
use lb_desired::crd::CONFIRM_DELETE;
use lb_testkit::faults::Counting;
use lb_testkit::git::Clone;
use lb_testkit::project::{Gateway, file};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::actualizer::{GRACE, How};
use crate::cases::{Border, Case};
use crate::snapshot::Snapshot;
use crate::world::{NAMESPACE, NEIGHBOUR, PATIENCE, PRODUCER, World};

/// Calls to git-api and the configstore that are not repetitions.
const DISTINCT: usize = 10;

/// What happens in a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The producer is made, and pushes a project with one gateway.
    Create,
    /// The Actualizer is killed.
    Restart,
    /// Another gateway is pushed.
    Add,
    /// A gateway is taken out of the project.
    Remove,
    /// The project is disabled.
    Disable,
    /// The project is enabled.
    Enable,
    /// The git user is deleted.
    Withdraw,
    /// An operator purges the producer.
    Purge,
}

const STEPS: [(Step, &str); 8] = [
    (Step::Create, "create"),
    (Step::Restart, "restart"),
    (Step::Add, "add"),
    (Step::Remove, "remove"),
    (Step::Disable, "disable"),
    (Step::Enable, "enable"),
    (Step::Withdraw, "withdraw"),
    (Step::Purge, "purge"),
];

/// What a step comes to where nothing goes wrong.
#[derive(Debug)]
struct Recorded {
    stands: Snapshot,
    writes: usize,
    calls: [usize; 2],
}

/// What a life comes to where nothing goes wrong.
#[derive(Debug)]
pub(crate) struct Recording(Vec<Recorded>);

impl Recording {
    /// Calls at a border in the step that has most. At git-api and the configstore what comes later is asked again and
    /// again: for what is new, and for a producer that is missing.
    pub(crate) fn most_calls(&self, border: Border) -> usize {
        let most = self.0.iter().map(|step| step.calls[border as usize]).max().unwrap_or_default();
        match border {
            Border::Kubernetes => most,
            Border::Services => most.min(DISTINCT),
        }
    }

    /// Calls and writes of each step.
    pub(crate) fn summary(&self) -> Value {
        let steps = STEPS.iter().zip(&self.0).map(|((_, name), step)| {
            let Recorded { stands, writes, calls } = step;
            json!({"step": name, "objects": stands.0.len(), "writes": writes, "kubernetes": calls[0], "services": calls[1]})
        });
        json!({"recording": steps.collect::<Vec<_>>()})
    }
}

/// One life.
pub(crate) struct Life {
    world: Arc<World>,
    case: Option<Case>,
    dev: Option<Clone>,
    neighbour: Snapshot,
    /// What stands since the last step.
    stands: Snapshot,
}

impl Life {
    /// A life in which nothing goes wrong. The neighbour is made first.
    pub(crate) async fn record(world: &Arc<World>) -> Recording {
        world.begin(How::Task).await;
        let neighbour = world.create(NEIGHBOUR).await;
        neighbour.write("lunchbadger.json", file(NEIGHBOUR, &gateways(&["main"]), false));
        neighbour.commit_and_push("The project").await;
        let mut life = Self::new(world, None).await;
        life.applied(NEIGHBOUR, &neighbour).await;
        // Otherwise its roll-out fails after ten minutes, which is news.
        life.until("the neighbour serves", async |world| {
            let pods = world.cluster.make_pods_ready(NAMESPACE, &format!("producer={NEIGHBOUR}")).await;
            let status = world.status(NEIGHBOUR).await.unwrap_or_default();
            let ready = status.environments.values().flat_map(|environment| &environment.conditions);
            pods.is_ok() && ready.into_iter().any(|it| it.type_ == "Ready" && it.status == "True")
        })
        .await;
        world.end().await;
        let mut life = Self::new(world, None).await;
        world.begin(How::Task).await;
        let mut recorded = Vec::new();
        for (step, name) in STEPS {
            life.arm(step);
            life.act(step).await;
            world.side.rest().await;
            let stands = world.stands().await;
            life.check(name, &stands).await;
            let writes = world.side.api.log().writes();
            let calls = Border::ALL.map(|border| world.side.proxy(border).log().counted());
            recorded.push(Recorded { stands: stands.normalised(), writes, calls });
            life.stands = stands;
        }
        world.end().await;
        Recording(recorded)
    }

    /// A life with a fault in each step. Answers the calls that were hit.
    pub(crate) async fn with(
        world: &Arc<World>,
        recording: &Recording,
        case: Case,
    ) -> Vec<(&'static str, String)> {
        let mut life = Self::new(world, Some(case)).await;
        world.begin(case.how()).await;
        let mut hits = Vec::new();
        for ((step, name), recorded) in STEPS.into_iter().zip(&recording.0) {
            life.arm(step);
            match case {
                Case::Row(row) if row.concerns(step) => {
                    row.prepare(world).await;
                    tokio::join!(life.act(step), row.happen(world));
                    hits.push((name, row.name().to_owned()));
                }
                Case::Row(_) | Case::Call(..) | Case::Program(..) => life.act(step).await,
            }
            let stands = life.settled(name, recorded).await;
            life.check(name, &stands).await;
            if let Case::Row(row) = case
                && row.concerns(step)
            {
                row.finish(world, step, 3 * recorded.writes + 20).await;
            }
            for border in Border::ALL {
                hits.extend(world.side.proxy(border).log().fired.take().map(|(call, _)| (name, call)));
            }
            life.stands = stands;
        }
        world.end().await;
        hits
    }

    async fn new(world: &Arc<World>, case: Option<Case>) -> Self {
        let neighbour = world.snapshot(NEIGHBOUR).await;
        Self { world: world.clone(), case, dev: None, neighbour, stands: Snapshot::default() }
    }

    fn arm(&self, step: Step) {
        let counting = if step == Step::Restart { Counting::Everything } else { Counting::Work };
        for border in Border::ALL {
            let fault = self.case.and_then(|case| case.fault(border));
            self.world.side.proxy(border).arm(counting, fault);
        }
    }

    async fn act(&mut self, step: Step) {
        match step {
            Step::Create => {
                let dev = self.world.create(PRODUCER).await;
                self.dev = Some(dev);
                self.push(&["main"], false).await;
            }
            Step::Restart => self.world.side.gate.kill(self.world.side.gate.incarnation()),
            Step::Add => self.push(&["main", "edge"], false).await,
            Step::Remove => self.push(&["main"], false).await,
            Step::Disable => self.push(&["main"], true).await,
            Step::Enable => self.push(&["main"], false).await,
            Step::Withdraw => {
                self.world.delete_user(PRODUCER).await;
                self.until("it is missing", async |world| {
                    world.status(PRODUCER).await.is_some_and(|status| status.missing_since.is_some())
                })
                .await;
                self.world.side.clock.advance(GRACE);
                if self.case.is_none() {
                    self.until("it is withdrawn", async |world| world.snapshot(PRODUCER).await.0.len() == 2)
                        .await;
                }
            }
            Step::Purge => {
                let ask = json!({"metadata": {"annotations": {PURGE: PRODUCER, CONFIRM_DELETE: PRODUCER}}});
                self.world.edit(PRODUCER, &ask).await;
                if self.case.is_none() {
                    self.until("it is gone", async |world| world.status(PRODUCER).await.is_none()).await;
                }
            }
        }
    }

    /// Pushes a project with these gateways; where nothing goes wrong it is then applied.
    async fn push(&mut self, names: &[&str], disabled: bool) {
        let dev = self.dev.take().expect("it was made");
        dev.write("lunchbadger.json", file(PRODUCER, &gateways(names), disabled));
        dev.commit_and_push("Change the project").await;
        if self.case.is_none() {
            self.applied(PRODUCER, &dev).await;
        }
        self.dev = Some(dev);
    }

    async fn applied(&mut self, name: &str, dev: &Clone) {
        let commit = dev.run(&["rev-parse", "HEAD"]).await;
        self.until("it is applied", async |world| {
            let environments = world.status(name).await.map(|status| status.environments);
            let environment = environments.and_then(|mut all| all.remove("dev")).unwrap_or_default();
            let applied =
                environment.conditions.iter().any(|it| it.type_ == "Applied" && it.status == "True");
            applied && environment.applied.and_then(|revision| revision.dev) == Some(commit.clone())
        })
        .await;
    }

    /// Waits for something, from one quiet moment to the next.
    async fn until(&self, what: &str, holds: impl AsyncFn(&World) -> bool) {
        let begin = Instant::now();
        loop {
            self.world.side.rest().await;
            if holds(&self.world).await {
                return;
            }
            if begin.elapsed() > PATIENCE {
                let stands = self.world.snapshot(PRODUCER).await;
                panic!(
                    "gave up waiting until {what}; {:#?}\n{}",
                    stands.0.get(&format!("LBProducer/{PRODUCER}")),
                    self.world.side.told()
                );
            }
        }
    }

    /// Waits until the same stands as where nothing goes wrong, and it rests.
    async fn settled(&self, name: &str, recorded: &Recorded) -> Snapshot {
        let begin = Instant::now();
        loop {
            self.world.side.rest().await;
            let stands = self.world.stands().await;
            let differences = stands.normalised().differences(&recorded.stands);
            if differences.is_empty() {
                let writes = self.world.side.api.log().writes();
                assert!(
                    writes <= 3 * recorded.writes + 20,
                    "{name}: {writes} writes\n{}",
                    self.world.side.told()
                );
                return stands;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "{name}: another fixed point:\n{differences}\n{}",
                self.world.side.told()
            );
        }
    }

    /// What stood before and stands now is the same object, with the same credentials; and the neighbour as it was.
    async fn check(&self, name: &str, now: &Snapshot) {
        let (before, after) = (self.stands.each("/metadata/uid"), now.each("/metadata/uid"));
        for (key, uid) in before {
            let same = after.get(key).is_none_or(|now| *now == uid);
            assert!(same, "{name}: {key} was removed and made anew\n{}", self.world.side.told());
        }
        for (key, data) in self.stands.credentials() {
            let same = now.credentials().get(key).is_none_or(|now| *now == data);
            assert!(same, "{name}: {key} has changed");
        }
        let neighbour = self.world.snapshot(NEIGHBOUR).await;
        let versions = |snapshot: &Snapshot| {
            let versions = snapshot.each("/metadata/resourceVersion").into_iter();
            versions.map(|(key, version)| (key.to_owned(), version.clone())).collect::<Vec<_>>()
        };
        assert_eq!(versions(&neighbour), versions(&self.neighbour), "{name}: the neighbour noticed");
    }
}

/// Gateways of these names.
fn gateways(names: &[&str]) -> Vec<Gateway> {
    names.iter().map(|name| Gateway::new(&format!("id-{name}"), name, &[&format!("/{name}")])).collect()
}
