//! Waiting until an Actualizer rests, and telling what it did where it does not.

use tokio::time::Instant;

use lb_testkit::faults::Call;

use crate::cases::Border;
use crate::world::{PATIENCE, Side};

/// Sweeps that have to pass without a write until all is quiet.
const SWEEPS: usize = 2;
/// Watches that are begun anew until what is kept back is told.
const PATIENT_WATCHES: usize = 6;

impl Side {
    /// Waits until nothing was written for some sweeps. What streams keep back they tell then, ten minutes later.
    pub(crate) async fn rest(&self) {
        let Self { gate, api, git, clock } = self;
        let begin = Instant::now();
        loop {
            let incarnation = gate.incarnation();
            // Who is not told that something is gone asks for it again with each roster, in vain.
            let sent = || if api.is_held() { api.log().changes() } else { api.log().writes() };
            let (writes, sweeps) = (sent(), git.log().answered(incarnation, "GET /changes"));
            let swept = git.until(|log| {
                !gate.is_open(incarnation) || log.answered(incarnation, "GET /changes") >= sweeps + SWEEPS
            });
            // Who reads lists that are kept back asks again and again, and does not sweep yet.
            let asked = api.log().streams(incarnation) + PATIENT_WATCHES;
            let in_vain = api.until(|log| api.is_held() && log.streams(incarnation) >= asked);
            let rested = async {
                tokio::select! {
                    () = swept => {}
                    () = in_vain => {}
                }
            };
            if tokio::time::timeout(PATIENCE, rested).await.is_err() {
                panic!("no sweep for {PATIENCE:?}\n{}", self.told());
            }
            let busy = api.log().is_busy(incarnation) || git.log().is_busy(incarnation);
            let quiet = gate.is_open(incarnation) && !busy && sent() == writes;
            if quiet && (api.is_held() || git.is_held()) {
                clock.advance(std::time::Duration::from_secs(600));
                api.flow();
                git.flow();
            } else if quiet {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "it does not come to rest\n{}", self.told());
        }
    }

    /// What was done to which call, and what followed.
    pub(crate) fn told(&self) -> String {
        let mut lines = Vec::new();
        for border in Border::ALL {
            let log = self.proxy(border).log();
            lines.push(format!("{}: fired {:?}", border.name(), log.fired));
            let calls = log
                .calls
                .iter()
                .filter(|call| !call.line.contains("/leases") && !call.line.starts_with("GET /changes"));
            let of = |call: &Call| {
                let line = call.line.split('?').next().unwrap_or_default();
                format!("  #{} {:?} {line}", call.incarnation, call.status)
            };
            let mut calls: Vec<_> = calls.map(of).collect();
            calls.dedup();
            lines.extend(calls.drain(calls.len().saturating_sub(40)..));
        }
        lines.join("\n")
    }
}
