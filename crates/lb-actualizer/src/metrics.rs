//! Metrics of the Actualizer.

use std::time::Duration;

use lb_cluster::Applied;
use lb_desired::build::LeafKind;
use lb_http::metrics::Metrics as Registry;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Object {
    kind: &'static str,
    done: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Run {
    controller: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Telling {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Controller {
    controller: &'static str,
}

/// The Actualizer's metrics, on top of those of every role.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) registry: Registry,
    objects: Family<Object, Counter>,
    runs: Family<Run, Counter>,
    told: Family<Telling, Counter>,
    seconds: Family<Controller, Histogram>,
    producers: Gauge,
    waiting: Gauge,
    leading: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let metrics = Self {
            registry: Registry::default(),
            objects: Family::default(),
            runs: Family::default(),
            told: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 4.0, 8))),
            producers: Gauge::default(),
            waiting: Gauge::default(),
            leading: Gauge::default(),
        };
        let registry = &metrics.registry;
        registry.register(
            "objects_applied",
            "Objects that were created or changed, by kind",
            metrics.objects.clone(),
        );
        registry.register("reconciles", "Runs of a driver, by controller and result", metrics.runs.clone());
        registry.register(
            "commit_statuses",
            "Times that it was told at a commit how that fared, by result",
            metrics.told.clone(),
        );
        registry.register("reconcile_seconds", "Time that a run of a driver took", metrics.seconds.clone());
        registry.register("producers", "Producers in the last full roster", metrics.producers.clone());
        registry.register("queue_length", "Keys that could be worked on now", metrics.waiting.clone());
        registry.register("leader", "1 where this replica leads", metrics.leading.clone());
        metrics
    }

    pub(crate) fn applied(&self, kind: LeafKind, applied: Applied) {
        let done = match applied {
            Applied::Unchanged => return,
            Applied::Created => "created",
            Applied::Changed => "changed",
        };
        self.objects.get_or_create(&Object { kind: kind.kind(), done }).inc();
    }

    pub(crate) fn ran(&self, controller: &'static str, result: &'static str, took: Duration) {
        self.runs.get_or_create(&Run { controller, result }).inc();
        self.seconds.get_or_create(&Controller { controller }).observe(took.as_secs_f64());
    }

    pub(crate) fn told(&self, result: &'static str) {
        self.told.get_or_create(&Telling { result }).inc();
    }

    pub(crate) fn producers(&self, count: usize) {
        self.producers.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn waiting(&self, keys: usize) {
        self.waiting.set(i64::try_from(keys).unwrap_or(i64::MAX));
    }

    pub(crate) fn leading(&self, leads: bool) {
        self.leading.set(i64::from(leads));
    }
}
