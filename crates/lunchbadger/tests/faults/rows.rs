//! What goes wrong around the Actualizer rather than with one call.

use std::sync::Arc;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use lb_testkit::eventually_within;
use lb_testkit::faults::{Class, Counting, Log};
use serde_json::{Value, json};

use crate::actualizer::{TERM, WORKERS};
use crate::life::Step;
use crate::world::{NAMESPACE, PATIENCE, Side, World};

/// The Service that admission refuses.
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
    /// Another replica leads, and this one thinks that it does: its clock stands still.
    TwoLeaders,
}

impl Row {
    pub(crate) const ALL: [Self; 6] = [
        Self::ClockJump,
        Self::LeaseTaken,
        Self::ApiServerRestarted,
        Self::AdmissionRefuses,
        Self::ReadOnly,
        Self::TwoLeaders,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ClockJump => "clock-jump",
            Self::LeaseTaken => "lease-taken",
            Self::ApiServerRestarted => "api-server-restarted",
            Self::AdmissionRefuses => "admission-refuses",
            Self::ReadOnly => "read-only",
            Self::TwoLeaders => "two-leaders",
        }
    }

    /// Whether it happens in this step.
    pub(crate) fn concerns(self, step: Step) -> bool {
        match self {
            Self::ClockJump | Self::LeaseTaken | Self::ReadOnly => step != Step::Restart,
            // Clocks that differ by more than the grace never agree on who is withdrawn.
            Self::TwoLeaders => !matches!(step, Step::Restart | Step::Withdraw),
            Self::ApiServerRestarted => matches!(step, Step::Add | Step::Disable),
            Self::AdmissionRefuses => step == Step::Add,
        }
    }

    /// What has to be there before the step.
    pub(crate) async fn prepare(self, world: &Arc<World>) {
        match self {
            Self::ClockJump | Self::LeaseTaken | Self::ApiServerRestarted => {}
            Self::ReadOnly => world.side.api.refuse(Some(Class::Write)),
            Self::TwoLeaders => lead_beside(world).await,
            Self::AdmissionRefuses => refuse(world).await,
        }
    }

    /// Happens, while the step does.
    pub(crate) async fn happen(self, world: &World) {
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
            Self::TwoLeaders => {}
        }
    }

    /// After the step: what has to be put away. `writes` is what another replica may have sent.
    pub(crate) async fn finish(self, world: &World, writes: usize) {
        match self {
            Self::ClockJump
            | Self::LeaseTaken
            | Self::ApiServerRestarted
            | Self::AdmissionRefuses
            | Self::ReadOnly => {}
            Self::TwoLeaders => {
                let sent = world.rival.api.log().writes();
                assert!((1..=writes).contains(&sent), "the other leader sent {sent} writes");
                let incarnation = world.side.gate.incarnation();
                world.end().await;
                world.side.api.refuse(None);
                world.side.gate.passed(incarnation).await;
            }
        }
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
    let leads = |side: &Side, log: &Log| log.answered(side.gate.incarnation(), "GET /changes") > 2;
    world.side.git.until(|log| leads(&world.side, log)).await;
    world.side.api.refuse(Some(Class::Routine));
    world.rival.api.arm(Counting::default(), None);
    world.rival.git.arm(Counting::default(), None);
    world.rival().await;
    world.rival.git.until(|log| leads(&world.rival, log)).await;
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
    let services = Api::<k8s_openapi::api::core::v1::Service>::namespaced(world.client.clone(), NAMESPACE);
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
