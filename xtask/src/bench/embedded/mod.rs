//! What needs many producers, kept by the embedded git host. One world serves all benches of a run.

mod applied;
mod baseline;
mod bulkhead;
mod burst;
mod from_nothing;
mod idle;
mod memory;
mod opened;
mod poison;
mod population;
mod push;
mod pushes;
mod restart;
mod rounds;
mod scale;
mod starting;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

pub(super) use bulkhead::bulkhead;
pub(super) use burst::burst;
pub(super) use from_nothing::{from_nothing, once};
pub(super) use idle::idle;
pub(super) use memory::memory;
pub(super) use push::push;
pub(super) use restart::restart;
pub(super) use scale::scale;
pub(super) use starting::starting;

use super::Bench;
use super::roles::Roles;
use super::system::{Cluster, NAMESPACE};
use crate::say::say;
use population::Population;

/// How long all producers may take to be applied.
const PATIENCE: Duration = Duration::from_secs(3600);

/// A cluster, the roles, and producers that are applied.
pub(super) struct World {
    directory: PathBuf,
    cluster: Cluster,
    roles: Roles,
    population: Population,
    /// The most memory that the Actualizer took until all came from nothing, MiB.
    peak: f64,
    /// From a push to applied where nothing else goes on, p99, milliseconds; as far as it was measured.
    idle_p99: Option<f64>,
}

impl World {
    /// Everything but the Actualizer runs.
    async fn start(bench: &Bench) -> Result<Self> {
        let directory = bench.place("embedded");
        let cluster = Cluster::start(&directory.join("cluster"), &bench.program).await?;
        Self::of(cluster, bench, &directory, bench.producers).await
    }

    /// The same in a cluster that runs already.
    async fn of(cluster: Cluster, bench: &Bench, directory: &Path, producers: usize) -> Result<Self> {
        let settings = [("CONTROL_PLANE_NAMESPACE", NAMESPACE.to_owned())];
        let mut roles = Roles::new(&bench.program, directory, Some(&cluster.kubeconfig), settings)?;
        say(&format!("making {producers} producers"));
        let mut population = Population::new(directory, &roles.directory().join("git"))?;
        population.add(producers)?;
        roles.start_services().await?;
        let directory = directory.to_owned();
        Ok(Self { directory, cluster, roles, population, peak: 0.0, idle_p99: None })
    }

    /// Ends everything, and removes it.
    pub(super) async fn stop(self) {
        let Self { directory, cluster, mut roles, .. } = self;
        roles.stop().await;
        drop(cluster);
        // What is left of it goes at the end of the run.
        let _ = std::fs::remove_dir_all(directory);
    }

    /// Waits until the Actualizer has nothing to do: no run of a driver for three seconds.
    async fn quiet(&self) -> Result<()> {
        let begin = Instant::now();
        let mut last = -1.0;
        loop {
            let runs = self.runs().await?;
            if (runs - last).abs() < 0.5 {
                return Ok(());
            }
            if begin.elapsed() > PATIENCE {
                bail!("the Actualizer still works after {PATIENCE:?}");
            }
            last = runs;
            sleep(Duration::from_secs(3)).await;
        }
    }

    /// Runs of drivers up to now.
    async fn runs(&self) -> Result<f64> {
        self.roles.metric(&self.roles.actualizer, "lunchbadger_reconciles_total", &[]).await
    }

    /// Says what was asked of the API server, the most frequent first: why a figure was missed.
    fn explain(&self, since: &str, only: impl Fn(&super::system::Asked) -> bool) -> Result<()> {
        let mut counts: BTreeMap<(String, String, u64), usize> = BTreeMap::new();
        for asked in self.cluster.audit(since)?.into_iter().filter(|asked| only(asked)) {
            *counts.entry((asked.verb, asked.resource, asked.status)).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for ((verb, resource, status), count) in counts.iter().take(25) {
            say(&format!("    {count:>7} {verb} {resource} -> {status}"));
        }
        Ok(())
    }
}
