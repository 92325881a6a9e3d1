//! `producers list` and `producers show`.

use anyhow::{Result, bail};
use kube::Api;
use lb_desired::crd::{Access, LBProducer};
use lb_http::contract::git_api::Repository;
use lb_vocab::ProducerName;
use serde_json::json;

use crate::commands::explain::explain;
use crate::connect::Connect;
use crate::exit::Exit;
use crate::screen::{Screen, Table, printable};

/// All producers of the configstore.
pub(super) async fn list(connect: &Connect<'_>, screen: &mut Screen) -> Result<Exit> {
    let producers = connect.configstore().await?.producers().await?;
    if screen.json() {
        screen.document(&producers)?;
        return Ok(Exit::Clean);
    }
    let mut table = Table::new(&["PRODUCER", "USER", "REPOSITORIES", "NOTE"]);
    for entry in &producers {
        let note = entry.finding.as_deref().unwrap_or_default();
        table.row([&entry.name, &entry.user.login, &names(&entry.repos), note]);
    }
    screen.text(&table.render())?;
    if producers.is_empty() {
        screen.note("there are no producers yet: `lunchbadger producers create NAME` makes one")?;
    }
    Ok(Exit::Clean)
}

/// One producer, with its resource where a cluster is named.
pub(super) async fn show(name: &ProducerName, connect: &Connect<'_>, screen: &mut Screen) -> Result<Exit> {
    let known = connect.configstore().await?.producer(name).await?;
    let resource = if connect.has_cluster() {
        let api: Api<LBProducer> = Api::all(connect.client().await?);
        let got = api.get_opt(name.as_str()).await;
        got.map_err(|error| explain(&format!("get LBProducer {name}"), error))?
    } else {
        None
    };
    if known.is_none() && resource.is_none() {
        bail!("there is no producer {name}: `lunchbadger producers create {name}` makes it");
    }
    if screen.json() {
        screen.document(&json!({"producer": known, "resource": resource}))?;
        return Ok(Exit::Clean);
    }
    screen.line(format!("producer      {name}"))?;
    match &known {
        Some(known) => {
            screen.line(format!("git user      {}", printable(&known.user.login)))?;
            screen.line(format!("repositories  {}", printable(&names(&known.repos))))?;
        }
        None => screen.line("git user      none: the configstore does not know it")?,
    }
    match &resource {
        Some(resource) => about(resource, screen)?,
        None if connect.has_cluster() => screen.line("access        not yet in the cluster")?,
        None => {
            screen.note("access and environments are in the cluster: say `--kubeconfig FILE` to see them")?;
        }
    }
    Ok(Exit::Clean)
}

fn about(resource: &LBProducer, screen: &mut Screen) -> Result<()> {
    let access = match resource.spec.access {
        Access::Enabled => "enabled",
        Access::Disabled => "disabled by an operator",
    };
    let suspended = if resource.spec.suspend { ", suspended" } else { "" };
    screen.line(format!("access        {access}{suspended}"))?;
    screen.line(format!("environments  {}", printable(&resource.spec.environments.join(", "))))
}

fn names(repositories: &[Repository]) -> String {
    let named = |repository: &Repository| match repository.empty {
        true => format!("{} (empty)", repository.name),
        false => repository.name.clone(),
    };
    repositories.iter().map(named).collect::<Vec<_>>().join(", ")
}
