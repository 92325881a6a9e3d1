//! `diff`: what the cluster would have to change for what git says.

mod children;
mod compare;
mod observe;

use anyhow::{Context, Result};
use kube::core::NamespaceResourceScope;
use kube::{Resource, ResourceExt};
use lb_cluster::{Child, Cluster, DryRun, Owner};
use lb_desired::build::{self, Leaf};
use lb_desired::crd::{LBFunction, LBFunctionSpec, LBGateway, LBProducer, LBWorkspace, LBWorkspaceSpec};
use lb_desired::plan::{Component, Decision, GatewayPlan, Input, Plan, Presence};
use lb_desired::settings::Settings;
use lb_vocab::{Limits, Producer, Revision};
use serde_json::json;

use crate::cli::DiffArgs;
use crate::connect::Connect;
use crate::environment::{self, Variables};
use crate::exit::Exit;
use crate::screen::Screen;
use children::Standing;
use compare::Difference;
pub(crate) use observe::BRANCH;

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
    let standing = Standing::read(&cluster, &who, &settings.namespace(who.name())).await?;
    let plan = plan(connect, &resource, &who, &standing, &settings).await?;
    for finding in &plan.findings {
        screen.note(finding.to_string())?;
    }
    let mut run =
        Run { cluster: &cluster, resource: &resource, who: &who, settings: &settings, found: Vec::new() };
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

/// What git says now.
async fn plan(
    connect: &Connect<'_>,
    resource: &LBProducer,
    who: &Producer,
    standing: &Standing,
    settings: &Settings,
) -> Result<Plan> {
    let limits = resource.spec.limits.over(&Limits::default());
    let status =
        resource.status.as_ref().and_then(|status| status.environments.get(who.environment().as_str()));
    let noted = status.and_then(|status| status.attempted.as_ref());
    let commit = |text: Option<&String>| text.and_then(|text| text.parse().ok());
    let noted = Revision {
        dev: commit(noted.and_then(|noted| noted.dev.as_ref())),
        functions: commit(noted.and_then(|noted| noted.functions.as_ref())),
        openapi: commit(noted.and_then(|noted| noted.openapi.as_ref())),
    };
    let user = connect.git_user(who.name())?;
    let observed = observe::observe(&connect.git_api()?, &user, who, &noted, &limits).await?;
    let decoded = lb_project::decode(observed, who, &limits);
    let existing = standing.existing();
    Ok(lb_desired::plan::plan(&Input {
        producer: who,
        decoded: &decoded,
        access: resource.spec.access,
        presence: Presence::Present,
        existing: &existing,
        settings,
    }))
}

/// Compares one kind of child after the other.
struct Run<'a> {
    cluster: &'a Cluster,
    resource: &'a LBProducer,
    who: &'a Producer,
    settings: &'a Settings,
    found: Vec<Difference>,
}

impl Run<'_> {
    async fn all(&mut self, plan: &Plan, standing: &Standing) -> Result<()> {
        let Plan { workspace, gateways, functions, findings: _, digest: _ } = plan;
        let settings = self.settings;
        let wanted = |name: &str, spec: &LBWorkspaceSpec| {
            let leaves = build::workspace(&build::Workspace::try_from(spec)?, settings);
            Ok((LBWorkspace::new(name, spec.clone()), leaves))
        };
        self.kind(workspace, &standing.workspaces, wanted).await?;
        let wanted = |name: &str, planned: &GatewayPlan| {
            let gateway = build::Gateway::try_from(&planned.spec)?;
            let mut leaves = vec![build::gateway_config(&gateway, &planned.config, settings)];
            leaves.extend(build::gateway(&gateway, settings));
            Ok((LBGateway::new(name, planned.spec.clone()), leaves))
        };
        self.kind(gateways, &standing.gateways, wanted).await?;
        let wanted =
            |name: &str, spec: &LBFunctionSpec| Ok((LBFunction::new(name, spec.clone()), Vec::new()));
        self.kind(functions, &standing.functions, wanted).await
    }

    async fn kind<K: Child + Resource<Scope = NamespaceResourceScope>, T>(
        &mut self,
        component: &Component<T>,
        standing: &[K],
        wanted: impl Fn(&str, &T) -> Result<(K, Vec<Leaf>)>,
    ) -> Result<()> {
        for (name, decision) in &component.children {
            let live = standing.iter().find(|child| child.name_any() == *name);
            match (decision, live) {
                (Decision::Deploy(planned), _) => {
                    let (child, leaves) = wanted(name, planned).with_context(|| format!("build {name}"))?;
                    self.child(child, live, &leaves).await?;
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
    async fn child<K>(&mut self, child: K, live: Option<&K>, leaves: &[Leaf]) -> Result<()>
    where
        K: Child + Resource<Scope = NamespaceResourceScope>,
    {
        let namespace = self.settings.namespace(self.who.name());
        let would_be =
            children::dry_run(self.cluster, self.resource, self.who, &namespace, child, live).await?;
        self.found.extend(Difference::between(live, &would_be)?);
        let owner = Owner::of(&would_be).context("the dry run of a child has no uid")?;
        for leaf in leaves {
            match self.cluster.dry_run(&owner, leaf).await {
                Ok(DryRun { live, would_be }) => {
                    self.found.extend(Difference::between(live.as_ref(), &would_be)?);
                }
                Err(error) => self.found.push(Difference::refused(leaf, &namespace, &error)),
            }
        }
        Ok(())
    }
}
