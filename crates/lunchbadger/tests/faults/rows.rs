//! What goes wrong around the Actualizer rather than with one call.

use std::sync::Arc;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use lb_testkit::eventually_within;
use lb_testkit::faults::{Call, Class, Counting, Log};
use serde_json::{Value, json};

use crate::actualizer::{How, TERM, WORKERS};
use crate::life::Step;
use crate::world::{NAMESPACE, PATIENCE, Side, World};

/// The Service that admission refuses, and that somebody changes.
const REFUSED: &str = "gateway-al-dev-edge";
/// The name of what refuses it.
const POLICY: &str = "refuse-one-service";

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    /// The clock jumps by an hour between two writes.
    ClockJump,
    /// Somebody else has the lease between two writes.
    LeaseTaken,
    /// The API server ends between two writes, and comes back over an etcd that was compacted.
    ApiServerRestarted,
    /// Admission refuses one object for a while.
    AdmissionRefuses,
    /// Nothing can be written for a while.
    ReadOnly,
    /// etcd has used up its quota: nothing can be stored, the lease neither, and it runs out.
    EtcdFull,
    /// Another replica leads, and this one thinks that it does: its clock stands still.
    TwoLeaders,
    /// The real program is stopped between two writes for longer than its lease, and goes on when its successor is done.
    Stopped,
}

impl Row {
    /// The last one is a program, with the machine's clock, which is ahead of the others'.
    pub(crate) const ALL: [Self; 8] = [
        Self::ClockJump,
        Self::LeaseTaken,
        Self::ApiServerRestarted,
        Self::AdmissionRefuses,
        Self::ReadOnly,
        Self::EtcdFull,
        Self::TwoLeaders,
        Self::Stopped,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ClockJump => "clock-jump",
            Self::LeaseTaken => "lease-taken",
            Self::ApiServerRestarted => "api-server-restarted",
            Self::AdmissionRefuses => "admission-refuses",
            Self::ReadOnly => "read-only",
            Self::EtcdFull => "etcd-full",
            Self::TwoLeaders => "two-leaders",
            Self::Stopped => "stopped",
        }
    }

    /// As what the Actualizer runs.
    pub(crate) fn how(self) -> How {
        if self == Self::Stopped { How::Program } else { How::Task }
    }

    /// Whether it happens in this step.
    pub(crate) fn concerns(self, step: Step) -> bool {
        match self {
            Self::ClockJump | Self::LeaseTaken | Self::ReadOnly => step != Step::Restart,
            // Clocks that differ by more than the grace never agree on who is withdrawn.
            Self::TwoLeaders => !matches!(step, Step::Restart | Step::Withdraw),
            // An operator cannot ask for a purge then.
            Self::EtcdFull => !matches!(step, Step::Restart | Step::Purge),
            Self::Stopped => matches!(step, Step::Add | Step::Remove | Step::Disable | Step::Enable),
            Self::ApiServerRestarted => matches!(step, Step::Add | Step::Disable),
            Self::AdmissionRefuses => step == Step::Add,
        }
    }

    /// What has to be there before the step.
    pub(crate) async fn prepare(self, world: &Arc<World>) {
        match self {
            Self::ClockJump | Self::LeaseTaken | Self::ApiServerRestarted | Self::Stopped => {}
            Self::EtcdFull => {
                leads(&world.side).await;
                world.cluster.set_full(true).await;
            }
            Self::ReadOnly => world.side.api.refuse(Some(Class::Write)),
            Self::TwoLeaders => lead_beside(world).await,
            Self::AdmissionRefuses => refuse(world).await,
        }
    }

    /// Happens, while the step does.
    pub(crate) async fn happen(self, world: &Arc<World>) {
        match self {
            Self::ClockJump => {
                written(world).await;
                world.side.clock.advance(std::time::Duration::from_secs(3600));
            }
            Self::LeaseTaken => take_lease(world).await,
            Self::ApiServerRestarted => {
                written(world).await;
                world.cluster.stop_api_server().await;
                world.cluster.compact().await;
                world.cluster.start_api_server().await;
            }
            Self::AdmissionRefuses => admit_again(world).await,
            Self::ReadOnly => {
                written(world).await;
                world.side.api.refuse(None);
            }
            Self::EtcdFull => run_full(world).await,
            Self::TwoLeaders => {}
            Self::Stopped => sleep_through(world).await,
        }
    }

    /// After the step: what has to be put away. `writes` is what another replica may have sent.
    pub(crate) async fn finish(self, world: &World, step: Step, writes: usize) {
        if self != Self::TwoLeaders {
            return;
        }
        let sent = world.rival.api.log().writes();
        assert!((1..=writes).contains(&sent), "the other leader sent {sent} writes");
        if step == Step::Add {
            lead_together(world).await;
        }
        let incarnation = world.side.gate.incarnation();
        world.end().await;
        world.side.api.refuse(None);
        world.side.gate.passed(incarnation).await;
    }
}

/// Waits until something of the step was written.
async fn written(world: &World) {
    world.side.api.until(|log| log.writes() >= 2).await;
}

/// Somebody else takes the lease, and from then on nothing is written by who had it.
async fn take_lease(world: &World) {
    written(world).await;
    let incarnation = world.side.gate.incarnation();
    let taken = json!({"spec": {"holderIdentity": "another", "acquireTime": null}});
    let leases = Api::<Lease>::namespaced(world.client.clone(), "default");
    let patch = Patch::Merge(&taken);
    leases.patch("lunchbadger-actualizer", &PatchParams::default(), &patch).await.expect("take the lease");
    world.side.clock.advance(TERM);
    let writes = |log: &Log| {
        let writes = log.calls.iter().filter(|call| call.class == Class::Write);
        writes.filter(|call| call.incarnation == incarnation).count()
    };
    let before = writes(&world.side.api.log());
    world.side.gate.passed(incarnation).await;
    // Each worker may have had one under way.
    let later = writes(&world.side.api.log()) - before;
    assert!(later <= WORKERS, "{later} writes without the lease");
}

/// Has another replica take the lease from one that cannot renew it and does not notice.
async fn lead_beside(world: &Arc<World>) {
    leads(&world.side).await;
    world.side.api.refuse(Some(Class::Routine));
    world.rival.api.arm(Counting::default(), None);
    world.rival.git.arm(Counting::default(), None);
    world.rival().await;
    leads(&world.rival).await;
}

/// Waits until this replica leads: who does not does not sweep.
async fn leads(side: &Side) {
    side.git.until(|log| log.answered(side.gate.incarnation(), "GET /changes") > 2).await;
}

/// Both lead for 40 s of the other one's clock, and sweep all the time. An object that somebody changes meanwhile is put
/// back, which is all that is written: they do not fight.
async fn lead_together(world: &World) {
    const HALF_SECONDS: usize = 80;
    let services = Api::<Service>::namespaced(world.client.clone(), NAMESPACE);
    let before = services.get(REFUSED).await.expect("read a Service");
    let sent = || world.side.api.log().writes() + world.rival.api.log().writes();
    let (begin, mut changed) = (sent(), 0);
    for moment in 0..HALF_SECONDS {
        if moment == HALF_SECONDS / 4 {
            let change = json!([{"op": "replace", "path": "/spec/ports/0/port", "value": 9}]);
            let change = Patch::Json::<()>(serde_json::from_value(change).expect("a patch"));
            services.patch(REFUSED, &PatchParams::default(), &change).await.expect("change a Service");
        }
        // Its term is not over before it is renewed.
        let renewed = |log: &Log| {
            log.calls.iter().filter(|call| call.line.contains("/leases") && call.status == Some(200)).count()
        };
        let terms = renewed(&world.rival.api.log());
        world.rival.clock.advance(TERM / 3);
        world.rival.api.until(|log| renewed(log) > terms).await;
        for side in [&world.side, &world.rival] {
            let sweeps = |log: &Log| log.answered(side.gate.incarnation(), "GET /changes");
            let swept = sweeps(&side.git.log());
            side.git.until(|log| sweeps(log) > swept).await;
        }
        if moment == HALF_SECONDS / 2 {
            changed = sent() - begin;
        }
    }
    let after = services.get(REFUSED).await.expect("read a Service");
    assert_eq!((&after.metadata.uid, &after.spec), (&before.metadata.uid, &before.spec), "it is put back");
    // Each of them may have sent it: refused because both ports have one name, the list written over, applied. Nothing
    // of that is worth a status or an Event.
    let told = || [world.side.told(), world.rival.told()].join("\n");
    assert!((1..=6).contains(&changed), "{changed} writes to put back one object\n{}", told());
    assert_eq!(sent() - begin, changed, "they go on writing\n{}", told());
}

/// Waits until something was refused because nothing can be stored, and the lease ran out; then there is room again.
async fn run_full(world: &World) {
    let full = |log: &Log, incarnation: u64, what: &dyn Fn(&Call) -> bool| {
        let refused = |call: &&Call| call.status.is_some_and(|status| status >= 500);
        log.calls.iter().filter(refused).any(|call| call.incarnation >= incarnation && what(call))
    };
    let incarnation = world.side.gate.incarnation();
    world.side.api.until(|log| full(log, incarnation, &|call| call.class == Class::Write)).await;
    world.side.clock.advance(TERM);
    world.side.gate.passed(incarnation).await;
    // The next one tries to lead, in vain.
    let tries = |call: &Call| call.line.starts_with("PUT ") && call.line.contains("/leases");
    world.side.api.until(|log| full(log, incarnation + 1, &tries)).await;
    world.cluster.set_full(false).await;
}

/// Stops the program between two writes. Its successor does the rest; then it goes on, changes nothing any more, and ends.
async fn sleep_through(world: &Arc<World>) {
    written(world).await;
    let incarnation = world.side.gate.incarnation();
    world.signal("STOP").await;
    let clock = lb_testkit::clock::system();
    let stopped = clock.now();
    world.rival.api.arm(Counting::default(), None);
    world.rival.git.arm(Counting::default(), None);
    world.rival.clock.set(clock.now());
    world.rival().await;
    leads(&world.rival).await;
    world.rival.rest().await;
    let stands = world.stands().await;
    let writes = |log: &Log| log.calls.iter().filter(|call| call.class == Class::Write).count();
    let before = writes(&world.side.api.log());
    // Its successor's clock was moved. Clocks run at one speed: its own term has to be over, too.
    eventually_within("the term of who was stopped is over", PATIENCE, || async {
        let passed = clock.now().since(stopped);
        if passed > TERM { Ok(()) } else { Err(format!("{passed:?}")) }
    })
    .await;
    world.signal("CONT").await;
    world.side.gate.passed(incarnation).await;
    // Each worker may have had one under way, which carries the version of what it changes.
    let later = writes(&world.side.api.log()) - before;
    assert!(later <= WORKERS, "{later} writes after it was stopped\n{}", world.side.told());
    let differences = world.stands().await.normalised().differences(&stands.normalised());
    assert!(differences.is_empty(), "it changed something after it was stopped:\n{differences}");
    world.end().await;
}

fn admission(world: &World, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
    let mut resource = ApiResource::from_gvk(&kind);
    if kind.kind == "ValidatingAdmissionPolicy" {
        resource.plural = "validatingadmissionpolicies".to_owned();
    }
    Api::all_with(world.client.clone(), &resource)
}

/// From now on one Service is refused.
async fn refuse(world: &World) {
    let policy = json!({
        "metadata": {"name": POLICY},
        "spec": {
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["services"],
            }]},
            "validations": [{"expression": format!("object.metadata.name != '{REFUSED}'"), "message": "not today"}],
        },
    });
    let binding =
        json!({"metadata": {"name": POLICY}, "spec": {"policyName": POLICY, "validationActions": ["Deny"]}});
    for (kind, object) in
        [("ValidatingAdmissionPolicy", policy), ("ValidatingAdmissionPolicyBinding", binding)]
    {
        let object = serde_json::from_value(object).expect("an object");
        admission(world, kind).create(&PostParams::default(), &object).await.expect("make a policy");
    }
    let services = Api::<Service>::namespaced(world.client.clone(), NAMESPACE);
    let service = json!({"metadata": {"name": REFUSED}, "spec": {"ports": [{"port": 1}]}});
    let service = serde_json::from_value(service).expect("a Service");
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    eventually_within("the policy holds", PATIENCE, || async {
        match services.create(&dry, &service).await {
            Ok(_) => Err("it is admitted"),
            Err(_) => Ok(()),
        }
    })
    .await;
}

/// Waits until all but the refused object stands and the child says which is missing; then admits it.
async fn admit_again(world: &World) {
    eventually_within("all but the refused Service stands", PATIENCE, || async {
        let stands = world.stands().await.0;
        let gateway = stands.get("LBGateway/al-dev-edge").ok_or("no gateway")?;
        let conditions: Vec<&Value> =
            gateway["status"]["conditions"].as_array().into_iter().flatten().collect();
        let told = conditions.iter().any(|it| it["type"] == "Applied" && it["status"] == "False");
        let named = gateway["status"].to_string().contains(REFUSED);
        let others = stands.contains_key(&format!("Deployment/{REFUSED}"));
        if told && named && others {
            Ok(())
        } else {
            Err(format!("{:?} {}", stands.keys(), gateway["status"]))
        }
    })
    .await;
    for kind in ["ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy"] {
        admission(world, kind).delete(POLICY, &DeleteParams::default()).await.expect("remove a policy");
    }
}
