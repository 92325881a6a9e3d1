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
mod rest;
mod rows;
mod snapshot;
mod soak;
mod world;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::cases::Report;
use crate::life::Life;
use crate::world::World;

/// The tests take turns: each has a control plane, and both at once would only make each other slower.
async fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

/// How long one case may take.
const LONGEST: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_fault_at_every_call_ends_at_the_same_fixed_point() {
    let _turn = turn().await;
    let world = Arc::new(World::start().await);
    let recording = Life::record(&world).await;
    let mut report = Report::open(&recording);
    for case in cases::chosen(&recording) {
        let begin = Instant::now();
        // One that fails must not hide how the others fare.
        let life = AssertUnwindSafe(Life::with(&world, &recording, case)).catch_unwind();
        match tokio::time::timeout(LONGEST, life).await {
            Ok(Ok(hits)) => report.passed(case, begin.elapsed(), &hits),
            failed => {
                let told = || Box::new(format!("not over after {LONGEST:?}\n{}", world.side.told())) as _;
                report.failed(case, failed.map_or_else(|_| told(), |panic| panic.expect_err("it failed")));
                world.clear().await;
            }
        }
    }
    report.close();
}
