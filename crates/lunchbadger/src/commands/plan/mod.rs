//! `plan`: what a directory becomes, without a cluster and without a network.

mod directory;

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use lb_desired::crd::Access;
use lb_desired::plan::{Existing, Input, Plan, Presence};
use lb_desired::settings::Settings;
use lb_process::environment::{self, Variables};
use lb_project::{
    DEV_GLOBS, FUNCTION_FILE_BYTES, FUNCTIONS_GLOBS, OPENAPI_BYTES, OPENAPI_FILE, Observed, decode,
};
use lb_vocab::{Limits, Producer, Source};
use serde_json::Value;

use crate::cli::{PlanArgs, PlanFormat};
use crate::exit::Exit;
use crate::objects::{self, redacted};
use crate::screen::Screen;
use crate::yaml;

/// Prints the objects of a directory, and its findings.
pub(crate) fn run(arguments: &PlanArgs, variables: &Variables, screen: &mut Screen) -> Result<Exit> {
    let settings = environment::read(variables, Settings::read)?;
    let producer = Producer::new(arguments.producer.clone(), arguments.env.clone())?;
    let plan = plan(arguments, &producer, &settings)?;
    let objects = objects::of_plan(&plan, &producer, &settings)?;
    print(&objects, arguments, screen)?;
    for reason in held(&plan) {
        screen.note(format!("held, as it may stand already: {reason}"))?;
    }
    for finding in &plan.findings {
        screen.note(finding.to_string())?;
    }
    Ok(Exit::report_if(!plan.findings.is_empty()))
}

/// Why components are held: what cannot be understood removes nothing, and makes nothing either.
fn held(plan: &Plan) -> BTreeSet<&str> {
    let Plan { workspace, gateways, functions, findings: _, digest: _ } = plan;
    workspace.held().chain(gateways.held()).chain(functions.held()).map(|(_, why)| why).collect()
}

fn print(objects: &[Value], arguments: &PlanArgs, screen: &mut Screen) -> Result<()> {
    let shown = |object: &Value| if arguments.show_secrets { object.clone() } else { redacted(object) };
    let format = arguments.format.unwrap_or(if screen.json() { PlanFormat::Json } else { PlanFormat::Yaml });
    let shown: Vec<Value> = objects.iter().map(shown).collect();
    yaml::print(&shown, format == PlanFormat::Json, screen)?;
    screen.flush()
}

fn plan(arguments: &PlanArgs, producer: &Producer, settings: &Settings) -> Result<Plan> {
    let limits = Limits::default();
    let directory = &arguments.dir;
    std::fs::read_dir(directory).with_context(|| format!("read the directory {}", directory.display()))?;
    let dev = directory::read(&directory.join("dev"), "dev", DEV_GLOBS, limits.project_file_bytes)?;
    let functions =
        directory::read(&directory.join("functions"), "functions", FUNCTIONS_GLOBS, FUNCTION_FILE_BYTES)?;
    if let (Source::Absent(_), Source::Absent(_)) = (&dev.source, &functions.source) {
        bail!(
            "{} holds neither `dev` nor `functions`: name the directory in which the producer's repositories \
             are checked out under these names",
            directory.display()
        );
    }
    let openapi = match &arguments.openapi {
        Some(file) => directory::read_file(file, OPENAPI_FILE, OPENAPI_BYTES)?,
        None => Source::Absent(None),
    };
    let observed = Observed { dev: dev.source, functions: functions.source, openapi };
    let decoded = decode(observed, producer, &limits);
    let existing = Existing::default();
    let mut plan = lb_desired::plan::plan(&Input {
        producer,
        decoded: &decoded,
        access: Access::Enabled,
        presence: Presence::Present,
        existing: &existing,
        settings,
    });
    plan.findings.extend(dev.findings);
    plan.findings.extend(functions.findings);
    plan.findings.sort();
    Ok(plan)
}
