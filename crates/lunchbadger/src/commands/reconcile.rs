//! `reconcile`: look at a producer now.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::Api;
use kube::runtime::wait::await_condition;
use lb_desired::crd::{ConditionType, EnvironmentStatus, LBProducer, LBProducerStatus};
use lb_http::contract::git_api::{TreeAnswer, TreeRequest};
use lb_vocab::ProducerName;
use serde_json::json;

use super::diff::BRANCH;
use super::status::{holds, short};
use crate::cli::ReconcileArgs;
use crate::clock;
use crate::connect::Connect;
use crate::exit::Exit;
use crate::screen::Screen;

/// When somebody asked: any new value is a nudge.
const REQUESTED_AT: &str = "lunchbadger.io/reconcile-requested-at";

/// Asks for a reconcile and waits until what git holds now has been worked on.
pub(crate) async fn run(
    arguments: &ReconcileArgs,
    connect: &Connect<'_>,
    screen: &mut Screen,
) -> Result<Exit> {
    let name = &arguments.producer;
    let cluster = connect.cluster().await?;
    let resource = super::producers::resource(&cluster, name).await?;
    if resource.spec.suspend {
        bail!("producer {name} is suspended: `lunchbadger producers resume {name}` first");
    }
    let heads = heads(name, connect).await?;
    let request = clock::system().now().0.to_string();
    cluster.edit(&resource, &json!({"metadata": {"annotations": {REQUESTED_AT: request}}})).await?;
    let api: Api<LBProducer> = Api::all(cluster.client().clone());
    let done = await_condition(api, name.as_str(), |producer: Option<&LBProducer>| {
        producer.is_some_and(|producer| is_done(producer, &heads))
    });
    let producer = match tokio::time::timeout(Duration::from_secs(arguments.timeout), done).await {
        Ok(done) => done.with_context(|| format!("watch LBProducer {name}"))?,
        Err(_) => bail!(
            "{name} does not stand as git says after {} s: `lunchbadger status {name}` shows why; if it shows an old \
             revision, look whether the Actualizer runs: its /ready says what it waits for",
            arguments.timeout
        ),
    };
    let status = producer.and_then(|producer| producer.status).unwrap_or_default();
    if screen.json() {
        screen.document(&status)?;
    } else {
        show(name, &status, screen)?;
    }
    let stalled = status.environments.values().any(|state| holds(&state.conditions, ConditionType::Stalled));
    Ok(Exit::report_if(stalled || holds(&status.conditions, ConditionType::Stalled)))
}

fn show(name: &ProducerName, status: &LBProducerStatus, screen: &mut Screen) -> Result<()> {
    screen.line(format!("producer {name} was reconciled"))?;
    for (environment, state) in &status.environments {
        let applied = state.applied.as_ref().and_then(|revision| revision.dev.as_deref());
        let revision = if applied.is_some() { short(applied) } else { "nothing" };
        screen.line(format!("  {environment}: {revision} is applied, {} findings", state.finding_count))?;
    }
    Ok(())
}

/// The commit of each repository's branch, where it has one.
async fn heads(name: &ProducerName, connect: &Connect<'_>) -> Result<BTreeMap<&'static str, String>> {
    let (git, user) = (connect.git_api()?, connect.git_user(name)?);
    let mut heads = BTreeMap::new();
    for repo in ["dev", "functions"] {
        // Only the commit is wanted: a path that is not there is the smallest question.
        let globs = vec!["lunchbadger.json".to_owned()];
        let request = TreeRequest { reference: BRANCH.to_owned(), globs, max_bytes: 0 };
        match git.tree(&user, &repo.parse()?, &request).await? {
            TreeAnswer::At(commit, _) => drop(heads.insert(repo, commit.to_string())),
            TreeAnswer::ReferenceMissing { .. } => {}
            TreeAnswer::RepositoryMissing | TreeAnswer::UserMissing => {
                bail!("there is no repository {user}/{repo}")
            }
        }
    }
    Ok(heads)
}

/// Whether every environment was worked on at these commits, and nothing is under way.
fn is_done(producer: &LBProducer, heads: &BTreeMap<&'static str, String>) -> bool {
    let environments = producer.status.as_ref().map(|status| &status.environments);
    producer.spec.environments.iter().all(|name| {
        let state = environments.and_then(|environments| environments.get(name));
        state
            .is_some_and(|state| is_at(state, heads) && !holds(&state.conditions, ConditionType::Reconciling))
    })
}

fn is_at(state: &EnvironmentStatus, heads: &BTreeMap<&'static str, String>) -> bool {
    // An operator's disable needs no git.
    let at = |revision: Option<&String>, repo| revision == heads.get(repo);
    let attempted = state.attempted.as_ref();
    holds(&state.conditions, ConditionType::Disabled)
        || attempted.is_some_and(|a| at(a.dev.as_ref(), "dev") && at(a.functions.as_ref(), "functions"))
}
