//! `producers`: list, create, switch off and on, remove.

mod change;
mod members;
mod purge;
mod read;

use anyhow::{Context, Result};
use kube::Api;
use lb_cluster::Cluster;
use lb_desired::crd::LBProducer;
use lb_vocab::ProducerName;

use crate::cli::ProducersCommand;
use crate::connect::Connect;
use crate::exit::Exit;
use crate::screen::Screen;

/// Runs one of the commands.
pub(crate) async fn run(
    command: &ProducersCommand,
    connect: &Connect<'_>,
    screen: &mut Screen,
) -> Result<Exit> {
    use change::Switch;
    match command {
        ProducersCommand::List => read::list(connect, screen).await,
        ProducersCommand::Show { name } => read::show(name, connect, screen).await,
        ProducersCommand::Create { name } => change::create(name, connect, screen).await,
        ProducersCommand::Token { name, title } => change::token(name, title, connect, screen).await,
        ProducersCommand::Members { name } => members::list(name, connect, screen).await,
        ProducersCommand::Invite { name, login, permission } => {
            members::invite(name, login, *permission, connect, screen).await
        }
        ProducersCommand::Revoke { name, login } => members::revoke(name, login, connect, screen).await,
        ProducersCommand::Disable { name } => change::switch(name, Switch::Disable, connect, screen).await,
        ProducersCommand::Enable { name } => change::switch(name, Switch::Enable, connect, screen).await,
        ProducersCommand::Suspend { name } => change::switch(name, Switch::Suspend, connect, screen).await,
        ProducersCommand::Resume { name } => change::switch(name, Switch::Resume, connect, screen).await,
        ProducersCommand::Purge { name, yes, force } => {
            purge::run(name, &purge::Consent { yes: *yes, force: *force }, connect, screen).await
        }
    }
}

/// The producer's resource in the cluster.
///
/// # Errors
/// Where there is none, with what to do.
pub(crate) async fn resource(cluster: &Cluster, name: &ProducerName) -> Result<LBProducer> {
    let api: Api<LBProducer> = Api::all(cluster.client().clone());
    let got = api.get_opt(name.as_str()).await;
    let resource = got.map_err(|error| super::explain::explain(&format!("get LBProducer {name}"), error))?;
    resource.with_context(|| {
        format!(
            "there is no LBProducer {name}: `lunchbadger producers list` shows whom the configstore knows, \
             and the Actualizer makes an LBProducer of each"
        )
    })
}
