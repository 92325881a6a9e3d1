//! `brake`: what holds removals, and letting them go.

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use lb_actualizer::brake::{Brake, Will};
use lb_actualizer::removal::{CONFIG_MAP, RELEASE, STATE};
use lb_cluster::OPERATOR;
use serde_json::json;

use super::explain::explain;
use crate::cli::BrakeCommand;
use crate::connect::Connect;
use crate::exit::Exit;
use crate::screen::{Screen, Table};

/// Runs one of the commands.
pub(crate) async fn run(command: &BrakeCommand, connect: &Connect<'_>, screen: &mut Screen) -> Result<Exit> {
    let namespace = connect.control_namespace().to_owned();
    let api: Api<ConfigMap> = Api::namespaced(connect.client().await?, &namespace);
    let what = format!("ConfigMap {namespace}/{CONFIG_MAP}");
    let map = api.get_opt(CONFIG_MAP).await.map_err(|error| explain(&format!("get {what}"), error))?;
    if map.is_none() {
        screen.note(format!(
            "there is no {what} before the first removal; if the control plane is in another namespace, name it in \
             CONTROL_PLANE_NAMESPACE"
        ))?;
    }
    let brake = state(map).with_context(|| format!("read {what}"))?;
    match command {
        BrakeCommand::Show => show(&brake, screen),
        BrakeCommand::Release { digest } => release(&api, &brake, digest, screen).await,
    }
}

fn state(map: Option<ConfigMap>) -> Result<Brake> {
    let state = map.and_then(|map| map.data).and_then(|mut data| data.remove(STATE));
    state.map_or_else(|| Ok(Brake::default()), |text| Ok(serde_json::from_str(&text)?))
}

fn show(brake: &Brake, screen: &mut Screen) -> Result<Exit> {
    let held = !brake.held.is_empty();
    if screen.json() {
        let digest = held.then(|| brake.digest());
        screen.document(&json!({"digest": digest, "held": brake.held, "executed": brake.executed, "released": brake.released}))?;
        return Ok(Exit::report_if(held));
    }
    if !held {
        screen.line("the brake holds nothing")?;
        return Ok(Exit::Clean);
    }
    let mut table = Table::new(&["HELD", "OBJECTS", "BY WHOSE WILL"]);
    for (who, removal) in &brake.held {
        let will = match removal.will {
            Will::OwnCommit => "a commit in its own repository",
            Will::Platform => "the platform's",
            Will::Operator => "an operator's",
        };
        table.row([who, &removal.objects.to_string(), will]);
    }
    screen.text(&table.render())?;
    screen.line(format!("to let exactly these go: lunchbadger brake release {}", brake.digest()))?;
    Ok(Exit::Report)
}

async fn release(api: &Api<ConfigMap>, brake: &Brake, digest: &str, screen: &mut Screen) -> Result<Exit> {
    if brake.held.is_empty() {
        bail!("the brake holds nothing: there is nothing to release");
    }
    if brake.digest() != digest {
        bail!(
            "the brake holds another set now, with digest {}: look at it with `lunchbadger brake show` first",
            brake.digest()
        );
    }
    let parameters = PatchParams { field_manager: Some(OPERATOR.to_owned()), ..PatchParams::default() };
    let patch = json!({"data": {RELEASE: digest}});
    api.patch(CONFIG_MAP, &parameters, &Patch::Merge(patch))
        .await
        .context("write the digest into the brake's ConfigMap")?;
    if screen.json() {
        screen.document(&json!({"released": brake.held.keys().collect::<Vec<_>>()}))?;
    } else {
        screen.line(format!("released {} removals; they go with the next reconciles", brake.held.len()))?;
    }
    Ok(Exit::Clean)
}
