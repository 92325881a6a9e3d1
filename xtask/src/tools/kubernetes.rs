//! A control plane of Kubernetes, and kubectl.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lb_testkit::tools::{self as kept, KUBERNETES};

use super::{go, lock};
use crate::say::say;

/// A program that `go install` makes.
struct Program {
    /// What it is called in the cache.
    name: &'static str,
    /// The package that it is built from; Go calls the file after its last part.
    package: &'static str,
    /// What `go install` calls it.
    built: &'static str,
}

const fn command(name: &'static str, package: &'static str) -> Program {
    Program { name, package, built: name }
}

/// In the order in which the parts share what they are compiled from.
static PROGRAMS: [Program; 4] = [
    Program { name: "etcd", package: "go.etcd.io/etcd/server/v3", built: "server" },
    command("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    command("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    command("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
];

/// Builds what is missing: all that `up` needs.
pub(crate) fn ensure() -> Result<()> {
    if missing(&PROGRAMS)?.is_empty() {
        say(&format!("control plane {}: built, nothing to do", KUBERNETES.version()?));
        return Ok(());
    }
    build_missing(&PROGRAMS)
}

/// `kubectl` alone: ours, else the user's own, else it is built.
pub(crate) fn kubectl() -> Result<PathBuf> {
    const KUBECTL: &str = "kubectl";
    if let Some(kubectl) = kept::find(KUBECTL)?.or_else(|| kept::in_path(KUBECTL)) {
        return Ok(kubectl);
    }
    build_missing(PROGRAMS.iter().filter(|program| program.name == KUBECTL))?;
    kept::find(KUBECTL)?.context("kubectl is not where it was built")
}

/// Builds those that are missing, one after the other.
fn build_missing(programs: impl IntoIterator<Item = &'static Program>) -> Result<()> {
    let directory = KUBERNETES.dir()?;
    go::needed()?;
    let _lock = lock(&directory)?;
    fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
    // Another cargo xtask may have built them while we waited.
    let missing = missing(programs)?;
    say(&format!(
        "building {} of Kubernetes {} into {} (all four take 10 to 15 minutes on two cores where nothing is cached)",
        missing.iter().map(|program| program.name).collect::<Vec<_>>().join(", "),
        KUBERNETES.version()?,
        directory.display()
    ));
    for (index, program) in missing.iter().enumerate() {
        build(program, &directory, &format!("{} ({} of {})", program.name, index + 1, missing.len()))?;
    }
    Ok(())
}

fn missing(programs: impl IntoIterator<Item = &'static Program>) -> Result<Vec<&'static Program>> {
    let mut missing = Vec::new();
    for program in programs {
        if kept::find(program.name)?.is_none() {
            missing.push(program);
        }
    }
    Ok(missing)
}

fn build(program: &Program, directory: &Path, title: &str) -> Result<()> {
    let flags = version_flags()?;
    let building = directory.join("building");
    go::Install { module: &KUBERNETES, package: program.package, tags: "", flags: &flags }
        .run(&building, title)?;
    let (from, to) = (building.join(program.built), directory.join(program.name));
    fs::rename(&from, &to).with_context(|| format!("move {} to {}", from.display(), to.display()))?;
    say(&format!("{title}: done"));
    Ok(())
}

/// Linker's flags by which a program of Kubernetes knows its version.
pub(super) fn version_flags() -> Result<String> {
    const KEY: &str = "-X k8s.io/component-base/version.";
    let version = KUBERNETES.version()?;
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    Ok(format!("-s -w {KEY}gitVersion={version} {KEY}gitMajor={major} {KEY}gitMinor={minor}"))
}
