//! Which faults are tried, and how they fared.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::time::Duration;

use lb_testkit::faults::Fault;
use serde_json::json;

use crate::actualizer::How;
use crate::life::Recording;
use crate::rows::Row;

/// Of so many cases an ordinary test runs one.
const SHARE: usize = 10;

/// Between whom the fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Border {
    /// The Actualizer and the API server.
    Kubernetes,
    /// The Actualizer and git-api or the configstore.
    Services,
}

impl Border {
    pub(crate) const ALL: [Self; 2] = [Self::Kubernetes, Self::Services];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Services => "services",
        }
    }
}

/// One way in which a life goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// A fault at the call of this number in every step.
    Call(Border, Fault, usize),
    /// Something around it.
    Row(Row),
    /// The real program is killed at the call of this number in every step.
    Program(Fault, usize),
}

impl Case {
    /// What happens to calls at a border.
    pub(crate) fn fault(self, at: Border) -> Option<(usize, Fault)> {
        match self {
            Self::Call(border, fault, index) => (border == at).then_some((index, fault)),
            Self::Row(_) => None,
            Self::Program(fault, index) => (at == Border::Kubernetes).then_some((index, fault)),
        }
    }

    /// As what the Actualizer runs.
    pub(crate) fn how(self) -> How {
        match self {
            Self::Call(..) => How::Task,
            Self::Row(row) => row.how(),
            Self::Program(..) => How::Program,
        }
    }

    /// Under which name its hits are counted.
    fn kind(self) -> &'static str {
        match self {
            Self::Call(_, fault, _) | Self::Program(fault, _) => fault.name(),
            Self::Row(row) => row.name(),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(border, fault, index) => write!(f, "{}:{}:{index}", border.name(), fault.name()),
            Self::Row(row) => write!(f, "row:{}", row.name()),
            Self::Program(fault, index) => write!(f, "program:{}:{index}", fault.name()),
        }
    }
}

/// The cases to run.
pub(crate) fn chosen(recording: &Recording) -> Vec<Case> {
    let wanted = lb_testkit::environment("LUNCHBADGER_FAULTS");
    let wanted = wanted.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default();
    let all = Border::ALL.into_iter().flat_map(|border| {
        let calls = recording.most_calls(border);
        let faults = Fault::ALL.into_iter().enumerate();
        faults.flat_map(move |(kind, fault)| {
            (0..calls).map(move |index| (index + 3 * kind, Case::Call(border, fault, index)))
        })
    });
    // All of these are always run.
    let rows = Row::ALL.into_iter().map(|row| (0, Case::Row(row)));
    // These take longest, and come last: the machine's clock is ahead of the other one.
    let calls = recording.most_calls(Border::Kubernetes);
    let programs = [Fault::KillBefore, Fault::KillAfter].into_iter().enumerate().flat_map(|(kind, fault)| {
        (0..calls).map(move |index| {
            let place = if index % (2 * SHARE) == 3 + SHARE * kind { 0 } else { 1 };
            (place, Case::Program(fault, index))
        })
    });
    let chosen: Vec<Case> = all
        .chain(rows)
        .chain(programs)
        .filter(|(place, case)| match wanted.as_str() {
            "" => place % SHARE == 0,
            "all" => true,
            // Several may be given by their common beginning, and several of those with commas.
            texts => texts.split(',').any(|text| {
                let case = case.to_string();
                case == text || (text.ends_with(':') && case.starts_with(text))
            }),
        })
        .map(|(_, case)| case)
        .collect();
    assert!(
        !chosen.is_empty(),
        "LUNCHBADGER_FAULTS={wanted} names no case; one is `kubernetes:kill-after:7`"
    );
    chosen
}

/// How the cases fared.
pub(crate) struct Report {
    file: Option<File>,
    passed: usize,
    hits: BTreeMap<&'static str, usize>,
    failed: Vec<String>,
}

impl Report {
    pub(crate) fn open(recording: &Recording) -> Self {
        let path = lb_testkit::environment("LUNCHBADGER_FAULTS_REPORT");
        let file = path.map(|path| File::create(path).expect("create the report"));
        let mut report = Self { file, passed: 0, hits: BTreeMap::new(), failed: Vec::new() };
        report.line(&recording.summary());
        report
    }

    pub(crate) fn passed(&mut self, case: Case, took: Duration, hits: &[(&'static str, String)]) {
        self.passed += 1;
        *self.hits.entry(case.kind()).or_default() += hits.len();
        let hits: Vec<_> = hits.iter().map(|(step, call)| json!({"step": step, "call": call})).collect();
        self.line(&json!({"case": case.to_string(), "passed": true, "ms": took.as_millis(), "hits": hits}));
    }

    pub(crate) fn failed(&mut self, case: Case, panic: Box<dyn Any + Send>) {
        let why = match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(panic) => panic.downcast::<&str>().map_or("a panic".to_owned(), |text| (*text).to_owned()),
        };
        self.line(&json!({"case": case.to_string(), "passed": false, "why": why}));
        self.failed.push(format!("{case}: {why}"));
    }

    fn line(&mut self, value: &serde_json::Value) {
        if let Some(file) = &mut self.file {
            writeln!(file, "{value}").expect("write the report");
        }
    }

    /// Fails where a case did, or where nothing was hit.
    pub(crate) fn close(mut self) {
        let all = self.passed + self.failed.len();
        let summary = json!({"cases": all, "passed": self.passed, "hits": self.hits.clone()});
        self.line(&summary);
        assert!(
            self.failed.is_empty(),
            "{} of {all} cases failed:\n{}",
            self.failed.len(),
            self.failed.join("\n\n")
        );
        assert!(self.hits.values().sum::<usize>() > 0, "no fault hit anything");
    }
}
