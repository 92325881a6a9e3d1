//! Building what tests and `up` need and no package registry has ready: once, into a cache outside the checkout.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use lb_testkit::tools as kept;

use crate::command::{output, root, watched};
use crate::say::say;

/// A program that `go install` makes.
struct GoTool {
    /// What it is called in the cache.
    name: &'static str,
    /// The package that it is built from; Go calls the file after its last part.
    package: &'static str,
    /// What `go install` calls it.
    built: &'static str,
}

const fn command_of_kubernetes(name: &'static str, package: &'static str) -> GoTool {
    GoTool { name, package, built: name }
}

/// The control plane, in the order in which the parts share what they are compiled from.
static KUBERNETES: [GoTool; 4] = [
    GoTool { name: "etcd", package: "go.etcd.io/etcd/server/v3", built: "server" },
    command_of_kubernetes("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    command_of_kubernetes("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    command_of_kubernetes("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
];

/// Builds whatever is missing; says what, where to, and how far it is.
pub(crate) fn ensure() -> Result<()> {
    needs_git()?;
    kubernetes()?;
    express_gateway()
}

/// Only what a control plane takes: what `up` needs.
pub(crate) fn kubernetes() -> Result<()> {
    if missing(&KUBERNETES)?.is_empty() {
        say(&format!("control plane {}: built, nothing to do", kept::kubernetes_version()?));
        return Ok(());
    }
    build_missing(&KUBERNETES)
}

/// `kubectl` alone: ours, else the user's own, else it is built.
pub(crate) fn kubectl() -> Result<PathBuf> {
    const KUBECTL: &str = "kubectl";
    if let Some(kubectl) = kept::find(KUBECTL)?.or_else(|| kept::in_path(KUBECTL)) {
        return Ok(kubectl);
    }
    build_missing(KUBERNETES.iter().filter(|tool| tool.name == KUBECTL))?;
    kept::find(KUBECTL)?.context("kubectl is not where it was built")
}

/// Builds those that are missing, one after the other.
fn build_missing(tools: impl IntoIterator<Item = &'static GoTool> + Clone) -> Result<()> {
    let directory = kept::kubernetes_dir()?;
    needs_go()?;
    fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
    let _lock = lock(&directory)?;
    // Another cargo xtask may have built them while we waited.
    let missing = missing(tools)?;
    say(&format!(
        "building {} of Kubernetes {} into {} (all four take 10 to 15 minutes on two cores where nothing is cached)",
        missing.iter().map(|tool| tool.name).collect::<Vec<_>>().join(", "),
        kept::kubernetes_version()?,
        directory.display()
    ));
    for (index, tool) in missing.iter().enumerate() {
        build(tool, &directory, &format!("{} ({} of {})", tool.name, index + 1, missing.len()))?;
    }
    Ok(())
}

fn missing(tools: impl IntoIterator<Item = &'static GoTool>) -> Result<Vec<&'static GoTool>> {
    let mut missing = Vec::new();
    for tool in tools {
        if kept::find(tool.name)?.is_none() {
            missing.push(tool);
        }
    }
    Ok(missing)
}

fn build(tool: &GoTool, directory: &Path, title: &str) -> Result<()> {
    let module = root().join("tools/kubernetes");
    say(&format!("{title}: looking up its packages, downloading what is not there"));
    let mut list = go(&module);
    let mut packages = 0_usize;
    watched(list.args(["list", "-deps", tool.package]), |line| {
        packages += usize::from(!line.starts_with("go: "));
        format!("{title}: {line}")
    })?;

    let version = kept::kubernetes_version()?;
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    const KEY: &str = "-X k8s.io/component-base/version.";
    let flags = format!("-s -w {KEY}gitVersion={version} {KEY}gitMajor={major} {KEY}gitMinor={minor}");
    let building = directory.join("building");
    let mut compiled = 0_usize;
    let mut install = go(&module);
    install.env("GOBIN", &building).args(["install", "-v", "-trimpath", "-ldflags", &flags, tool.package]);
    watched(&mut install, |line| {
        compiled += usize::from(!line.starts_with("go: "));
        format!("{title}: {compiled} of at most {packages} packages compiled, now {line}")
    })?;
    let (from, to) = (building.join(tool.built), directory.join(tool.name));
    fs::rename(&from, &to).with_context(|| format!("move {} to {}", from.display(), to.display()))?;
    say(&format!("{title}: done"));
    Ok(())
}

fn go(module: &Path) -> Command {
    let mut go = Command::new("go");
    // Cross compilation and foreign flags are the user's for other programs.
    go.current_dir(module)
        .env_remove("GOOS")
        .env_remove("GOARCH")
        .env("GOFLAGS", "-mod=readonly")
        .env("GOWORK", "off");
    go
}

/// express-gateway from npm, to start it on generated files; without npm those tests are skipped by name.
fn express_gateway() -> Result<()> {
    let directory = kept::express_gateway_dir()?;
    let installed = || directory.join("node_modules").is_dir();
    if installed() {
        return Ok(());
    }
    if kept::in_path("npm").is_none() {
        say("npm is not installed (apt-get install npm): what needs express-gateway is skipped");
        return Ok(());
    }
    let parent = directory.parent().context("the cache has no parent")?;
    fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    let _lock = lock(&directory)?;
    // Another cargo xtask may have installed it while we waited.
    if installed() {
        return Ok(());
    }
    let building = parent.join("express-gateway.building");
    if building.exists() {
        fs::remove_dir_all(&building).with_context(|| format!("remove {}", building.display()))?;
    }
    fs::create_dir_all(&building).with_context(|| format!("create {}", building.display()))?;
    let source = root().join("tools/express-gateway");
    for file in ["package.json", "package-lock.json"] {
        fs::copy(source.join(file), building.join(file)).with_context(|| format!("copy {file}"))?;
    }
    say(&format!("installing express-gateway from npm into {}", directory.display()));
    let mut npm = Command::new("npm");
    npm.current_dir(&building).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    watched(&mut npm, |line| format!("express-gateway: {line}"))?;
    fs::rename(&building, &directory).with_context(|| format!("move {}", building.display()))
}

/// Held while one of us builds; a second one waits and then finds everything done.
fn lock(directory: &Path) -> Result<File> {
    let mut path = directory.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            say(&format!(
                "waiting for another cargo xtask that builds the same (it holds {})",
                path.display()
            ));
            file.lock().with_context(|| format!("lock {}", path.display()))?;
            Ok(file)
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("lock {}", path.display())),
    }
}

pub(crate) fn needs_git() -> Result<()> {
    if kept::in_path("git").is_none() {
        bail!("git is not installed: apt-get install git");
    }
    Ok(())
}

/// Go 1.21 and later fetch the toolchain that a module asks for by themselves.
fn needs_go() -> Result<()> {
    const HOW: &str = "get 1.21 or later from https://go.dev/dl/ (Debian 12's golang-go is too old; bookworm-backports has one)";
    if kept::in_path("go").is_none() {
        bail!("go is not in PATH: {HOW}");
    }
    let version = output(Command::new("go").args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local"))?;
    let version = version.trim();
    let minor =
        version.strip_prefix("go1.").and_then(|rest| rest.split(['.', 'r', 'b']).next()?.parse::<u32>().ok());
    match minor {
        Some(minor) if minor >= 21 => Ok(()),
        Some(_) | None => bail!("{version} is too old: {HOW}"),
    }
}
