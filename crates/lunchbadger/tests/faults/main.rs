//! Every fault at every call: a producer's life, run again and again with one thing going wrong in each of its steps.
//!
//! A recording run tells what stands after each step and how many calls a step takes. Then, for each kind of fault and
//! each number, one run in which that fault hits the call of that number in *every* step: each step begins at what the
//! one before was found to end at, so a run tries as many calls as there are steps. After each step the same stands as
//! in the recording, nothing is written any more, nothing that should stand was removed or made anew, and no credential
//! has changed.
//!
//! The Actualizer runs in this process, in a runtime of its own that ends with it. A kill is a matter of the border: from
//! that call on nothing of it passes. A restart takes a tenth of a second, and its clock can be moved. That the program
//! behaves alike when it gets a SIGKILL there is what a few more runs show.
//!
//! `LUNCHBADGER_FAULTS` says what is run: nothing said: a fixed tenth; `all`; or one case, `kubernetes:kill-after:7`.
//! `LUNCHBADGER_FAULTS_REPORT` names a file for one line of JSON a case.
#![expect(clippy::expect_used, clippy::panic, reason = "a test reports by failing")]

mod actualizer;
mod cases;
mod life;
mod rows;
mod snapshot;
mod world;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tokio::time::Instant;

use crate::cases::Report;
use crate::life::Life;
use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_fault_at_every_call_ends_at_the_same_fixed_point() {
    let world = Arc::new(World::start().await);
    let recording = Life::record(&world).await;
    let mut report = Report::open(&recording);
    for case in cases::chosen(&recording) {
        let begin = Instant::now();
        // One that fails must not hide how the others fare.
        match AssertUnwindSafe(Life::with(&world, &recording, case)).catch_unwind().await {
            Ok(hits) => report.passed(case, begin.elapsed(), &hits),
            Err(panic) => {
                report.failed(case, panic);
                world.clear().await;
            }
        }
    }
    report.close();
}
