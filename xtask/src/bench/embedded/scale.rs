//! What ten times as many producers take. Nothing makes pods, and the run ends where the machine's memory does.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use super::applied::{applied, until_applied};
use super::{PATIENCE, World};
use crate::bench::Bench;
use crate::bench::figure::Limit;
use crate::bench::measure::{Usage, millis, now, used};
use crate::bench::system::Cluster;
use crate::say::say;

/// Producers, for each one of the other benches.
const TIMES: usize = 10;
/// The machine's memory in use at which it ends, MiB.
const ENOUGH: f64 = 20.0 * 1024.0;

/// Runs it, in a world of its own.
pub(in crate::bench) async fn scale(bench: &mut Bench) -> Result<()> {
    let (directory, producers) = (bench.directory.join("scale"), bench.producers * TIMES);
    let cluster = Cluster::start_bare(&directory.join("cluster"), &bench.program).await?;
    let mut world = World::of(cluster, bench, &directory, producers).await?;
    let (begin, before) = (now(), used()?);
    say(&format!("from nothing to {producers} producers"));
    world.roles.start_actualizer()?;
    let end = tokio::select! {
        end = until_applied(world.cluster.client.clone(), producers, 2 * PATIENCE) => Some(end?),
        enough = enough() => {
            enough?;
            None
        }
    };
    let seconds = millis(begin, end.unwrap_or_else(now)) / 1000.0;
    let stand = applied(world.cluster.client.clone()).await? as f64;
    let figures = &mut bench.figures;
    figures.note(format!("of {producers} producers applied"), "", Limit::Exactly(producers as f64), stand);
    figures.note("after", "s", Limit::Told, seconds);
    figures.note("the machine's memory in use", "MiB", Limit::AtMost(ENOUGH), used()?);
    figures.note("the same before", "MiB", Limit::Told, before);
    for (name, process) in [
        ("Actualizer", world.roles.actualizer.pid()?),
        ("git-api", world.roles.git_api.pid()?),
        ("configstore", world.roles.configstore.pid()?),
        ("API server", world.cluster.api_server()?),
    ] {
        let Usage { cpu, resident: _, peak } = Usage::of(process)?;
        bench.figures.note(format!("peak memory of the {name}"), "MiB", Limit::Told, peak);
        bench.figures.note(format!("CPU of the {name}"), "s", Limit::Told, cpu);
    }
    world.stop().await;
    Ok(())
}

/// Comes back where the machine has no more memory for this.
async fn enough() -> Result<()> {
    while used()? < ENOUGH {
        sleep(Duration::from_secs(1)).await;
    }
    say("the machine's memory is in use");
    Ok(())
}
