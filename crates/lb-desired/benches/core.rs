//! How long plan and build of one producer take. `cargo xtask bench core` compares it with what is asked for.
#![expect(clippy::unwrap_used, reason = "a bench reports by failing")]

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use lb_desired::build::{self, Leaf};
use lb_desired::crd::Access;
use lb_desired::plan::{Existing, Input, Plan, Presence, plan};
use lb_desired::settings::Settings;
use lb_project::{Decoded, Observed, decode};
use lb_testkit::producer::{Files, Shape, dev, functions};
use lb_vocab::{Blob, CommitId, Limits, Producer, Source, Tree};

// As in the program that is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("core");
    for endpoints in [50, 500] {
        let (producer, settings) = ("al-dev".parse().unwrap(), Settings::default());
        let decoded = decoded(&producer, Shape { endpoints, ..Shape::standard() });
        assert_eq!(leaves(&planned(&producer, &decoded, &settings), &settings).len(), 22);
        group.throughput(Throughput::Elements(endpoints as u64));
        group.bench_function(format!("plan-and-build-{endpoints}"), |bencher| {
            bencher.iter(|| {
                let plan = planned(black_box(&producer), black_box(&decoded), &settings);
                leaves(&plan, &settings)
            });
        });
    }
    group.finish();
    criterion.final_summary();
}

fn decoded(producer: &Producer, shape: Shape) -> Decoded {
    let source = |files: Files, digit: &str| {
        let files =
            files.into_iter().map(|(path, text)| (path.parse().unwrap(), Blob::File(text.into_bytes())));
        let commit: CommitId = digit.repeat(40).parse().unwrap();
        Source::Known(Tree { files: files.collect() }, commit)
    };
    let observed = Observed {
        dev: source(dev("al", shape, 0), "a"),
        functions: source(functions("al", shape), "b"),
        openapi: Source::Absent(None),
    };
    decode(observed, producer, &Limits::default())
}

fn planned(producer: &Producer, decoded: &Decoded, settings: &Settings) -> Plan {
    plan(&Input {
        producer,
        decoded,
        access: Access::Enabled,
        presence: Presence::Present,
        existing: &Existing::default(),
        settings,
    })
}

/// Every object that the plan's children are built to.
fn leaves(plan: &Plan, settings: &Settings) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    for (_, spec) in plan.workspace.deployed() {
        leaves.extend(build::workspace(&spec.try_into().unwrap(), settings));
    }
    for (_, gateway) in plan.gateways.deployed() {
        let spec = (&gateway.spec).try_into().unwrap();
        leaves.push(build::gateway_config(&spec, &gateway.config, settings));
        leaves.extend(build::gateway(&spec, settings));
    }
    leaves
}
