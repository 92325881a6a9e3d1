//! `diff`: what the cluster would have to change for what git says.

mod children;
mod compare;

use std::sync::Arc;

use anyhow::{Context, Result};
use kube::ResourceExt;
use lb_actualizer::Children;
use lb_cluster::{Child, Cluster, DryRun, Intent, Owner};
use lb_desired::build::{self, Leaf};
use lb_desired::crd::{LBFunctionSpec, LBWorkspaceSpec};
use lb_desired::plan::{Component, Decision, GatewayPlan, Plan};
use lb_desired::settings::Settings;
use lb_process::environment::{self, Variables};
use lb_vocab::Producer;
use serde_json::json;

use crate::cli::DiffArgs;
use crate::connect::Connect;
use crate::exit::Exit;
use crate::screen::Screen;
use compare::Difference;

/// Compares by a server-side dry run.
pub(crate) async fn run(
    arguments: &DiffArgs,
    variables: &Variables,
    connect: &Connect<'_>,
    screen: &mut Screen,
) -> Result<Exit> {
    let settings = environment::read(variables, Settings::read)?;
    let who = Producer::new(arguments.producer.clone(), arguments.env.clone())?;
    let cluster = connect.cluster().await?;
    let resource = super::producers::resource(&cluster, who.name()).await?;
    let standing = children::read(&cluster, &who).await?;
    let taken = children::taken(&cluster, &who, &settings.namespace(who.name())).await?;
    let git = connect.git_api().await?;
    let plan = lb_actualizer::preview(&git, &resource, &who, &standing, taken, &settings).await?;
    for finding in &plan.findings {
        screen.note(finding.to_string())?;
    }
    let owner = Owner::of(&resource).context("the LBProducer has no uid")?;
    let mut run = Run { cluster: &cluster, owner, who: &who, settings: &settings, found: Vec::new() };
    run.all(&plan, &standing).await?;
    let differences = run.found;
    if screen.json() {
        screen.document(&json!({"differences": differences}))?;
    } else {
        for difference in &differences {
            screen.text(&difference.render())?;
        }
        if differences.is_empty() {
            screen.note(format!("{who} stands as git says"))?;
        }
    }
    Ok(Exit::report_if(!differences.is_empty()))
}

/// Compares one kind of child after the other.
struct Run<'a> {
    cluster: &'a Cluster,
    owner: Owner,
    who: &'a Producer,
    settings: &'a Settings,
    found: Vec<Difference>,
}

impl Run<'_> {
    async fn all(&mut self, plan: &Plan, standing: &Children) -> Result<()> {
        let Plan { workspace, gateways, functions, findings: _, digest: _ } = plan;
        let settings = self.settings;
        let leaves = |spec: &LBWorkspaceSpec| {
            Ok((spec.clone(), build::workspace(&build::Workspace::try_from(spec)?, settings)))
        };
        self.kind(workspace, &standing.workspaces, leaves).await?;
        let leaves = |planned: &GatewayPlan| {
            let gateway = build::Gateway::try_from(&planned.spec)?;
            let mut leaves = vec![build::gateway_config(&gateway, &planned.config, settings)];
            leaves.extend(build::gateway(&gateway, settings));
            Ok((planned.spec.clone(), leaves))
        };
        self.kind(gateways, &standing.gateways, leaves).await?;
        let leaves = |spec: &LBFunctionSpec| Ok((spec.clone(), Vec::new()));
        self.kind(functions, &standing.functions, leaves).await
    }

    /// `wanted`: a child's spec, and its objects.
    async fn kind<K: Child, T>(
        &mut self,
        component: &Component<T>,
        standing: &[Arc<K>],
        wanted: impl Fn(&T) -> Result<(K::Spec, Vec<Leaf>)>,
    ) -> Result<()> {
        for (name, decision) in &component.children {
            let live = standing.iter().find(|child| child.name_any() == *name).map(Arc::as_ref);
            match (decision, live) {
                (Decision::Deploy(planned), _) => {
                    let (spec, leaves) = wanted(planned).with_context(|| format!("build {name}"))?;
                    self.child(name, spec, live, &leaves).await?;
                }
                (Decision::Withdraw(why), Some(live)) => {
                    self.found.push(Difference::removed(live, why.words())?);
                }
                (Decision::Hold(reason), _) => self.found.push(Difference::held::<K>(name, reason)),
                (Decision::Withdraw(_), None) => {}
            }
        }
        Ok(())
    }

    /// A child and its objects. The objects of a child that does not stand yet belong to the one that would be made.
    async fn child<K: Child>(
        &mut self,
        name: &str,
        spec: K::Spec,
        live: Option<&K>,
        leaves: &[Leaf],
    ) -> Result<()> {
        let namespace = self.settings.namespace(self.who.name());
        let labels = build::child_labels(self.who);
        let intent = Intent { namespace, name: name.to_owned(), labels, spec };
        let would_be = self.cluster.dry_run_child(&self.owner, &intent, live).await?;
        self.found.extend(Difference::between(live, &would_be)?);
        let owner = Owner::of(&would_be).context("the dry run of a child has no uid")?;
        for leaf in leaves {
            match self.cluster.dry_run(&owner, leaf).await {
                Ok(DryRun { live, would_be }) => {
                    self.found.extend(Difference::between(live.as_ref(), &would_be)?);
                }
                Err(error) => self.found.push(Difference::refused(leaf, &intent.namespace, &error)),
            }
        }
        Ok(())
    }
}
