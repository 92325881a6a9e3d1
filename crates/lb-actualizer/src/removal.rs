//! Asking the brake before anything is removed, and keeping its state where a failover finds it.

use std::collections::BTreeMap;

use lb_cluster::ApiError;
use lb_desired::plan::{Decision, Plan, Why};
use lb_vocab::Producer;
use serde_json::json;

use crate::brake::{Brake, Removal, Totals, Verdict, Will};
use crate::context::Context;

/// The ConfigMap of the brake, in the control plane's namespace.
pub const CONFIG_MAP: &str = "lunchbadger-brake";
/// The key under which an operator puts the digest of the set to release.
pub const RELEASE: &str = "release";
/// The key of the held set: names, a line each.
pub const HELD: &str = "held";
/// The key of the held set's digest; empty where nothing is held.
pub const DIGEST: &str = "digest";

/// The key of the brake's own state, as JSON.
pub const STATE: &str = "state.json";

/// Lets a plan's removals pass the brake. Where it stops them, every `Withdraw` of the plan becomes a `Hold`, which
/// says why, and the answer is `true`.
///
/// `objects` is how many objects stand that the plan removes; `own_commit` whether the revision is a new one.
///
/// # Errors
/// Where the brake's state cannot be read or written: then nothing is removed either, because the reconcile ends.
pub(crate) async fn pass(
    context: &Context,
    who: &Producer,
    plan: &mut Plan,
    objects: usize,
    own_commit: bool,
) -> Result<bool, ApiError> {
    let Some(why) = removes(plan).filter(|_| objects > 0) else {
        if context.braked().remove(&who.to_string()) {
            update(context, |brake| brake.forget(&who.to_string())).await?;
        }
        return Ok(false);
    };
    let will = match why {
        Why::DisabledByOperator => return Ok(false),
        Why::NotInProject | Why::DisabledByProject if own_commit => Will::OwnCommit,
        Why::NotInProject | Why::DisabledByProject | Why::Withdrawn => Will::Platform,
    };
    let removal = Removal { at: context.clock.now(), objects, will };
    let totals = Totals { producers: context.stores.producer_names().len(), objects: context.records.len() };
    let window = context.settings.brake_window;
    let verdict = update(context, |brake| brake.ask(&who.to_string(), removal, totals, window)).await?;
    match verdict {
        Verdict::Go => Ok(false),
        Verdict::Stop { digest } => {
            context.braked().insert(who.to_string());
            let why = format!(
                "the brake holds the removal of {objects} objects ({}); look at `lunchbadger brake show`, then \
                 `lunchbadger brake release {digest}`",
                why.words()
            );
            hold(plan, &why);
            Ok(true)
        }
    }
}

fn removes(plan: &Plan) -> Option<Why> {
    let Plan { workspace, gateways, functions, findings: _, digest: _ } = plan;
    let mut all = workspace.withdrawn().chain(gateways.withdrawn()).chain(functions.withdrawn());
    all.next().map(|(_, why)| why)
}

fn hold(plan: &mut Plan, why: &str) {
    fn all<T>(children: &mut BTreeMap<String, Decision<T>>, why: &str) {
        for decision in children.values_mut() {
            if matches!(decision, Decision::Withdraw(_)) {
                *decision = Decision::Hold(why.to_owned());
            }
        }
    }
    let Plan { workspace, gateways, functions, findings: _, digest: _ } = plan;
    all(&mut workspace.children, why);
    all(&mut gateways.children, why);
    all(&mut functions.children, why);
    workspace.complete = None;
    gateways.complete = None;
    functions.complete = None;
}

/// Reads the state, changes it and writes it back where it changed; an operator's release is taken up on the way.
async fn update<T>(context: &Context, change: impl FnOnce(&mut Brake) -> T) -> Result<T, ApiError> {
    let _one_at_a_time = context.brake_lock.lock().await;
    let namespace = context.settings.desired.control_plane.namespace.as_str();
    let stored = context.cluster.read_config(namespace, CONFIG_MAP).await?;
    let (mut data, version) = stored.map(|config| (config.data, Some(config.version))).unwrap_or_default();
    let mut brake: Brake = match data.get(STATE) {
        Some(text) => serde_json::from_str(text).map_err(|error| ApiError::Malformed {
            attempt: format!("read key {STATE} of ConfigMap {namespace}/{CONFIG_MAP}"),
            what: error.to_string(),
        })?,
        None => Brake::default(),
    };
    let before = brake.clone();
    if let Some(digest) = data.get(RELEASE)
        && brake.released.is_empty()
        && brake.release(digest)
    {
        tracing::warn!(digest, "an operator released the brake");
    }
    let answer = change(&mut brake);
    if brake != before {
        let digest = if brake.held.is_empty() { String::new() } else { brake.digest() };
        data.insert(STATE.to_owned(), json!(brake).to_string());
        data.insert(HELD.to_owned(), brake.held.keys().cloned().collect::<Vec<_>>().join("\n"));
        data.insert(DIGEST.to_owned(), digest);
        context.cluster.write_config(namespace, CONFIG_MAP, &data, version).await?;
    }
    Ok(answer)
}
