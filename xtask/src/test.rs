//! `cargo xtask test`: every check and every test, with the set-up that they need.
//!
//! All steps run even where one fails, so that one run tells everything; `cargo test` comes last, and its closing lines
//! stand at the end of the output.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use lb_testkit::cluster::SHARED_KUBECONFIG;
use lb_testkit::control_plane::{ControlPlane, Options};
use lb_testkit::gitea::{self, Gitea, SHARED_GITEA};
use lb_testkit::images::OF_THE_RUN;
use lb_testkit::node;
use lb_testkit::skip::{MACHINE, SKIPS};

use crate::command::{cargo, root, run as run_command};
use crate::say::{progress, say};
use crate::{images, runtime, tidy, tools};

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only the tests, without formatting, lints, tidy and documentation.
    #[arg(long)]
    tests_only: bool,
    /// For `cargo test`: `-p lb-git push`, for example. Whatever is given here makes it a partial run.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    cargo_test: Vec<String>,
}

impl Arguments {
    /// Whether tests run that take the images of producers' pods: all tests, or those called so.
    fn runs_pods(&self) -> bool {
        self.cargo_test.is_empty() || self.cargo_test.iter().any(|argument| argument == "pods")
    }
}

/// What `cargo test` said.
#[derive(Debug, Default)]
struct Results {
    /// Its lines `test result: ...`, one for each binary.
    closing: Vec<String>,
    failed: Vec<String>,
    ignored: Vec<String>,
}

impl Results {
    /// Takes a line of its standard output.
    fn take(&mut self, line: &str) {
        if line.starts_with("test result: ") {
            self.closing.push(line.to_owned());
        } else if let Some((name, outcome)) =
            line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... "))
        {
            match outcome {
                "FAILED" => self.failed.push(name.to_owned()),
                _ if outcome.starts_with("ignored") => self.ignored.push(name.to_owned()),
                _ => {}
            }
        }
    }
}

/// Runs it all.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    tools::ensure()?;
    let mut failures = Vec::new();
    if !arguments.tests_only {
        for (name, step) in CHECKS {
            if let Err(error) = step() {
                say(&format!("{name} FAILED: {error:#}"));
                failures.push(name);
            }
        }
    }
    if !tests(arguments)? {
        failures.push("cargo test");
    }
    if failures.is_empty() {
        say("everything passed");
        return Ok(());
    }
    bail!("failed: {}", failures.join(", "))
}

/// A check's name and what runs it.
type Check = (&'static str, fn() -> Result<()>);

const CHECKS: [Check; 5] = [
    ("formatting (cargo fmt mends it)", || run_command(&mut cargo(&["fmt", "--all", "--", "--check"]))),
    ("tidy", tidy::run),
    ("lints", || {
        run_command(&mut cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]))
    }),
    ("documentation", || {
        let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"]);
        // Nothing is published: these pages are for who works here, so a link to a private item leads somewhere.
        run_command(doc.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links"))
    }),
    ("cargo-deny", || {
        if lb_testkit::tools::in_path("cargo-deny").is_none() {
            say("cargo-deny is not installed (cargo install --locked cargo-deny): its checks are left to CI");
            return Ok(());
        }
        run_command(&mut cargo(&["deny", "--locked", "check", "bans", "licenses", "sources"]))
    }),
];

/// Runs `cargo test` against one cluster and one Gitea, and says at the end what it said, what was skipped and what is
/// unreferenced. Answers whether all is well.
fn tests(arguments: &Arguments) -> Result<bool> {
    let notes = tempfile::tempdir().context("make a directory for notes")?;
    let (skips, references) = (notes.path().join("skips"), notes.path().join("snapshots"));
    let mut command = cargo(&["test", "--no-fail-fast", "--locked"]);
    if !arguments.cargo_test.iter().any(|argument| argument == "-p" || argument.starts_with("--package")) {
        command.arg("--workspace");
    }
    command.args(&arguments.cargo_test).env(SKIPS, &skips);
    command.env("INSTA_UPDATE", "no").env("INSTA_SNAPSHOT_REFERENCES_FILE", &references);
    if arguments.runs_pods() && node::obstacle().is_none() {
        let list = notes.path().join("images");
        images::of_producers(&images::Given::default())?.write(&list)?;
        command.env(OF_THE_RUN, &list);
    }

    if arguments.cargo_test.is_empty() {
        // Compiled before they start, so that they do not stand idle beside the compiler.
        run_command(&mut cargo(&["test", "--no-run", "--workspace", "--locked"]))?;
    }
    let runtime = runtime()?;
    let (plane, gitea) = runtime.block_on(async {
        tokio::try_join!(
            ControlPlane::start(Options { progress: progress(), ..Options::default() }),
            Gitea::launch(gitea::Options { progress: progress(), ..gitea::Options::default() }),
        )
    })?;
    command.env(SHARED_KUBECONFIG, plane.kubeconfig()).env(SHARED_GITEA, gitea.directory());
    say(&crate::command::shown(&command));
    let mut child = command.stdout(Stdio::piped()).spawn().context("start cargo test")?;
    let mut results = Results::default();
    for line in BufReader::new(child.stdout.take().context("cargo test has no output")?).lines() {
        let line = line.context("read cargo test's output")?;
        println!("{line}");
        results.take(&line);
    }
    let passed = child.wait().context("wait for cargo test")?.success();
    drop((plane, gitea));

    let complete = passed && arguments.cargo_test.is_empty();
    let unreferenced =
        if complete { tidy::unreferenced_snapshots(&root(), &references)? } else { Vec::new() };
    Ok(report(&results, &read(&skips), &unreferenced) && passed)
}

/// Says how it ended. Skips are a failure in CI only, and there not those of which the machine is the reason.
fn report(results: &Results, skips: &str, unreferenced: &[String]) -> bool {
    println!("\n-- cargo test ended with --");
    for line in &results.closing {
        println!("{line}");
    }
    for (title, names) in [("failed", results.failed.as_slice()), ("unreferenced snapshot", unreferenced)] {
        for name in names {
            println!("{title}: {name}");
        }
    }
    let skipped: Vec<&str> = skips.lines().chain(results.ignored.iter().map(String::as_str)).collect();
    for line in &skipped {
        println!("skipped: {line}");
    }
    println!(
        "{} test binaries, {} tests failed, {} skipped",
        results.closing.len(),
        results.failed.len(),
        skipped.len()
    );
    let excepted = skipped.iter().filter(|line| is_excepted(line)).count();
    if excepted > 0 {
        println!("{excepted} of them because of this machine, which is no failure anywhere");
    }
    let fails = lb_testkit::environment("CI").is_some() && excepted < skipped.len();
    if fails {
        println!("CI is set: any other skipped test is a failure");
    }
    unreferenced.is_empty() && !fails
}

/// Whether a test was skipped for what no set-up of ours changes.
fn is_excepted(skipped: &str) -> bool {
    skipped.contains(MACHINE)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_cannot_run_a_node_is_no_failure_and_anything_else_is() {
        let skip = |why: &node::Obstacle| format!("node a_pod_runs: {why}");
        assert!(is_excepted(&skip(&node::Obstacle::Machine("it takes root (sudo)".into()))));
        assert!(!is_excepted(&skip(&node::Obstacle::SetUp("kubelet is missing".into()))));
        assert!(!is_excepted("actualizer redis: redis-server is not installed"));
    }

    #[test]
    fn closing_lines_and_names_are_kept() {
        let mut results = Results::default();
        for line in [
            "running 3 tests",
            "test names::a ... ok",
            "test names::b ... FAILED",
            "test names::c ... ignored, needs a reason",
            "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ] {
            results.take(line);
        }
        assert_eq!(
            (results.closing.len(), results.failed, results.ignored),
            (1, vec!["names::b".into()], vec!["names::c".into()])
        );
    }
}
