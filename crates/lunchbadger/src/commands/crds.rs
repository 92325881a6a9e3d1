//! `crds`: the custom resource definitions, and the policy that guards them against deletion.

use std::time::Duration;

use anyhow::{Context, Result};
use kube::api::{Patch, PatchParams};
use kube::{Api, Resource, ResourceExt};
use lb_cluster::{Cluster, OPERATOR};
use lb_desired::crd;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cli::CrdsCommand;
use crate::connect::Connect;
use crate::exit::Exit;
use crate::screen::Screen;
use crate::yaml;

/// How long the API server is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs one of the commands.
pub(crate) async fn run(command: &CrdsCommand, connect: &Connect<'_>, screen: &mut Screen) -> Result<Exit> {
    match command {
        CrdsCommand::Print => print(screen),
        CrdsCommand::Apply => {
            let applied = apply(&connect.cluster().await?).await?;
            if screen.json() {
                screen.document(&json!({"applied": applied}))?;
            } else {
                for name in applied {
                    screen.line(format!("{name} is in force"))?;
                }
            }
            Ok(Exit::Clean)
        }
    }
}

/// Prints them.
fn print(screen: &mut Screen) -> Result<Exit> {
    yaml::print(&manifests()?, screen.json(), screen)?;
    Ok(Exit::Clean)
}

/// Applies all of them and waits until the API server serves the definitions. The names, in order.
async fn apply(cluster: &Cluster) -> Result<Vec<String>> {
    cluster.apply_crds(&crd::all(), PATIENCE).await?;
    let mut applied: Vec<String> =
        crd::all().iter().map(|crd| format!("CustomResourceDefinition {}", crd.name_any())).collect();
    let (policy, binding) = crd::admission();
    applied.push(force(cluster, &policy).await?);
    applied.push(force(cluster, &binding).await?);
    Ok(applied)
}

async fn force<K>(cluster: &Cluster, object: &K) -> Result<String>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let name = format!("{} {}", K::kind(&()), object.name_any());
    let parameters = PatchParams::apply(OPERATOR).force();
    let api: Api<K> = Api::all(cluster.client().clone());
    api.patch(&object.name_any(), &parameters, &Patch::Apply(object))
        .await
        .with_context(|| format!("apply {name}"))?;
    Ok(name)
}

fn manifests() -> Result<Vec<Value>> {
    let (policy, binding) = crd::admission();
    let mut manifests: Vec<Value> = crd::all()
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<_, _>>()
        .context("write definitions as JSON")?;
    manifests.push(serde_json::to_value(policy).context("write the policy as JSON")?);
    manifests.push(serde_json::to_value(binding).context("write the policy's binding as JSON")?);
    Ok(manifests)
}
