//! `status --watch`: again whenever something changes.

use std::pin::pin;
use std::time::Duration;

use anyhow::Result;
use futures::StreamExt;
use futures::stream::{BoxStream, select_all};
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use lb_cluster::Cluster;
use lb_desired::crd::LBProducer;
use lb_vocab::with_causes;

use super::children::kinds;

use crate::cli::StatusArgs;
use crate::connect::Connect;
use crate::exit::Exit;
use crate::screen::Screen;

/// Changes that come within this time are shown at once.
const BUNDLE: Duration = Duration::from_millis(200);

/// Shows it until the process is told to end.
pub(super) async fn run(
    arguments: &StatusArgs,
    connect: &Connect<'_>,
    cluster: &Cluster,
    screen: &mut Screen,
) -> Result<Exit> {
    // The first picture says what is wrong with the question; later ones outlast an API server that restarts.
    let mut exit = super::show(arguments, connect, cluster, screen).await?;
    screen.flush()?;
    let mut changes = pin!(changes(cluster.client()).ready_chunks(1024));
    loop {
        if changes.next().await.is_none() {
            return Ok(exit);
        }
        // More usually follows: one picture of all of it.
        while let Ok(Some(_)) = tokio::time::timeout(BUNDLE, changes.next()).await {}
        screen.clear()?;
        match super::show(arguments, connect, cluster, screen).await {
            Ok(shown) => exit = shown,
            Err(error) => screen.note(format!("{}; trying again", with_causes(error.as_ref())))?,
        }
        screen.flush()?;
    }
}

/// A tick for each change of a producer or a child. Broken watches are begun anew.
fn changes(client: &Client) -> BoxStream<'static, ()> {
    let mut kinds: Vec<ApiResource> = kinds().into();
    kinds.push(ApiResource::erase::<LBProducer>(&()));
    let streams = kinds.into_iter().map(|resource| {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        watcher(api, watcher::Config::default()).default_backoff().touched_objects().map(drop).boxed()
    });
    select_all(streams).boxed()
}
