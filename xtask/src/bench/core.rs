//! How long plan and build take, by the bench of `lb-desired`.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Bench;
use super::figure::Limit;
use crate::command::{cargo, run as run_command, target_directory};

/// A bench's name and what it may take at most, microseconds.
const LIMITS: [(&str, f64); 2] = [("plan-and-build-50", 250.0), ("plan-and-build-500", 2500.0)];

/// Runs it.
pub(super) fn core(bench: &mut Bench) -> Result<()> {
    let mut command =
        cargo(&["bench", "--locked", "--package", "lb-desired", "--bench", "core", "--", "--noplot"]);
    if bench.quick {
        command.args(["--warm-up-time", "1", "--measurement-time", "2"]);
    }
    run_command(&mut command)?;
    for (name, limit) in LIMITS {
        let path = target_directory()?.join("criterion/core").join(name).join("new/estimates.json");
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let estimates: Value =
            serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))?;
        let median = estimates["median"]["point_estimate"].as_f64();
        let median = median.with_context(|| format!("find a median in {}", path.display()))?;
        bench.figures.note(format!("{name} endpoints, median"), "us", Limit::AtMost(limit), median / 1000.0);
    }
    Ok(())
}
