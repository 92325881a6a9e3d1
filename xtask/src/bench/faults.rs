//! The long runs of the tests in `crates/lunchbadger/tests/faults/`: every fault at every call, and the soak.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Bench;
use super::figure::Limit;
use crate::command::{cargo, shown, target_directory};
use crate::say::say;
use crate::tools;

/// Which cases are run; the tests know what may be said here.
const CASES: &str = "LUNCHBADGER_FAULTS";
/// How long the soak lasts, seconds.
const SOAK: &str = "LUNCHBADGER_SOAK_SECONDS";
/// How long it lasts here.
const HALF_AN_HOUR: u64 = 1800;
/// How often a long run says where it is.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Cases of one kind.
#[derive(Debug, Default, PartialEq)]
struct Kind {
    cases: usize,
    hits: usize,
    failed: usize,
    slowest: u64,
}

/// What a report says: the cases by kind, and the names of those that failed.
#[derive(Debug, Default, PartialEq)]
struct Summary {
    kinds: BTreeMap<String, Kind>,
    failed: Vec<String>,
}

impl Summary {
    /// Reads lines of JSON; the last one may be half written.
    fn read(text: &str) -> Self {
        let mut summary = Self::default();
        for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let Some(case) = line["case"].as_str() else { continue };
            let kind = case.rsplit_once(':').map_or(case, |(kind, _)| kind);
            // Each row is one case, of a kind of its own.
            let kind = if kind == "row" { case } else { kind };
            let kind = summary.kinds.entry(kind.to_owned()).or_default();
            kind.cases += 1;
            kind.hits += line["hits"].as_array().map_or(0, Vec::len);
            kind.slowest = kind.slowest.max(line["ms"].as_u64().unwrap_or_default());
            if line["passed"] != true {
                kind.failed += 1;
                let why = line["why"].as_str().unwrap_or_default().lines().next().unwrap_or_default();
                summary.failed.push(format!("{case}: {why}"));
            }
        }
        summary
    }

    fn cases(&self) -> usize {
        self.kinds.values().map(|kind| kind.cases).sum()
    }

    fn hits(&self) -> usize {
        self.kinds.values().map(|kind| kind.hits).sum()
    }

    /// The table of `docs/performance.md`.
    fn table(&self) -> String {
        let mut table =
            "| what goes wrong | cases | times it happened | failed | slowest |\n|---|---|---|---|---|\n"
                .to_owned();
        for (name, Kind { cases, hits, failed, slowest }) in &self.kinds {
            let slowest = Duration::from_millis(*slowest).as_secs_f64();
            table += &format!("| {name} | {cases} | {hits} | {failed} | {slowest:.1} s |\n");
        }
        table
    }
}

/// Runs all cases, or those that `LUNCHBADGER_FAULTS` names.
pub(super) fn faults(bench: &mut Bench) -> Result<()> {
    let report = report("faults")?;
    let which = lb_testkit::environment(CASES);
    let which = which.unwrap_or_else(|| if bench.quick { "row:".into() } else { "all".into() });
    let mut command = test("every_fault_at_every_call_ends_at_the_same_fixed_point")?;
    command.env(CASES, which).env("LUNCHBADGER_FAULTS_REPORT", &report);
    let begin = Instant::now();
    let status = run(&mut command, || {
        let summary = Summary::read(&fs::read_to_string(&report).unwrap_or_default());
        format!("{} cases, {} failed", summary.cases(), summary.failed.len())
    })?;
    let text = fs::read_to_string(&report).with_context(|| format!("read {}", report.display()))?;
    let summary = Summary::read(&text);
    println!("\n{}", summary.table());
    for failed in &summary.failed {
        println!("failed: {failed}");
    }
    println!("each case, with what it hit: {}", report.display());
    let figures = &mut bench.figures;
    figures.note("cases", "", Limit::AtLeast(1.0), count(summary.cases()));
    figures.note("times that something went wrong", "", Limit::Told, count(summary.hits()));
    figures.note("cases that failed", "", Limit::Exactly(0.0), count(summary.failed.len()));
    figures.note("time of all", "min", Limit::Told, begin.elapsed().as_secs_f64() / 60.0);
    if !status.success() && summary.failed.is_empty() {
        bail!("the test failed before or after its cases ({status}): its output is above");
    }
    Ok(())
}

/// Runs the soak for half an hour, or for as long as `LUNCHBADGER_SOAK_SECONDS` says.
pub(super) fn soak(bench: &mut Bench) -> Result<()> {
    let report = report("soak")?;
    let seconds = lb_testkit::environment(SOAK);
    let usual = if bench.quick { 60 } else { HALF_AN_HOUR };
    let seconds = seconds.unwrap_or_else(|| usual.to_string().into());
    let mut command = test("whatever_happens_the_system_comes_to_rest_where_git_says")?;
    command.env(SOAK, seconds).env("LUNCHBADGER_SOAK_REPORT", &report);
    let last = |report: &Path| -> Value {
        let text = fs::read_to_string(report).unwrap_or_default();
        text.lines().rev().find_map(|line| serde_json::from_str(line).ok()).unwrap_or_default()
    };
    let status = run(&mut command, || last(&report).to_string())?;
    let last = last(&report);
    println!("\n{last:#}\nwhat was done, in order: {}", report.display());
    let figures = &mut bench.figures;
    for (name, value) in last["counts"].as_object().into_iter().flatten() {
        figures.note(name.clone(), "", Limit::Told, value.as_f64().unwrap_or_default());
    }
    let failed = if status.success() { 0.0 } else { 1.0 };
    figures.note("runs that failed", "", Limit::Exactly(0.0), failed);
    Ok(())
}

/// Where a run writes down how it fares.
fn report(name: &str) -> Result<PathBuf> {
    let directory = target_directory()?.join("bench");
    fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
    let report = directory.join(format!("{name}.jsonl"));
    fs::write(&report, "").with_context(|| format!("empty {}", report.display()))?;
    Ok(report)
}

/// One of the tests.
fn test(name: &str) -> Result<Command> {
    tools::kubernetes()?;
    tools::needs_git()?;
    Ok(cargo(&["test", "--locked", "--package", "lunchbadger", "--test", "faults", name]))
}

/// Runs a long command, and says from time to time where it is.
fn run(command: &mut Command, place: impl Fn() -> String) -> Result<ExitStatus> {
    let shown = shown(command);
    say(&shown);
    let mut child = command.spawn().with_context(|| format!("start `{shown}`"))?;
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait()));
    loop {
        match ended.recv_timeout(HEARTBEAT) {
            Ok(status) => return status.with_context(|| format!("wait for `{shown}`")),
            Err(RecvTimeoutError::Timeout) => say(&place()),
            Err(RecvTimeoutError::Disconnected) => bail!("nobody waits for `{shown}` any more"),
        }
    }
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_summed_up_by_kind() {
        let text = r#"{"recording":[]}
{"case":"kubernetes:409:0","passed":true,"ms":1500,"hits":[{"step":"create","call":"GET /"},{"step":"add","call":"GET /"}]}
{"case":"kubernetes:409:1","passed":false,"why":"add: another fixed point:\nmore"}
{"case":"row:clock-jump","passed":true,"ms":7,"hits":[{"step":"add","call":"clock-jump"}]}
{"case":"kuber"#;
        let summary = Summary::read(text);
        assert_eq!((summary.cases(), summary.hits()), (3, 3));
        assert_eq!(summary.failed, ["kubernetes:409:1: add: another fixed point:"]);
        assert_eq!(
            summary.table().lines().skip(2).collect::<Vec<_>>(),
            ["| kubernetes:409 | 2 | 2 | 1 | 1.5 s |", "| row:clock-jump | 1 | 1 | 0 | 0.0 s |"]
        );
    }
}
