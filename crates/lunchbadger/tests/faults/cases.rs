//! Which faults are tried, and how they fared.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Write;

use lb_testkit::faults::Fault;
use serde_json::json;

use crate::Recording;

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

/// One fault: at the call of this number in every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) border: Border,
    pub(crate) fault: Fault,
    pub(crate) index: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.border.name(), self.fault.name(), self.index)
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
            (0..calls).map(move |index| (index + 3 * kind, Case { border, fault, index }))
        })
    });
    let chosen: Vec<Case> = all
        .filter(|(place, case)| match wanted.as_str() {
            "" => place % SHARE == 0,
            "all" => true,
            // Several may be given by their common beginning.
            text => case.to_string() == text || (text.ends_with(':') && case.to_string().starts_with(text)),
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

    pub(crate) fn passed(&mut self, case: Case, hits: &[(&'static str, String)]) {
        self.passed += 1;
        *self.hits.entry(case.fault.name()).or_default() += hits.len();
        let hits: Vec<_> = hits.iter().map(|(step, call)| json!({"step": step, "call": call})).collect();
        self.line(&json!({"case": case.to_string(), "passed": true, "hits": hits}));
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
