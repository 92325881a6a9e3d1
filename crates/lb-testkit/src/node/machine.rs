//! What a node needs of the machine: namespaces with containerd in them, a bridge, and that nothing of it stays.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::ADDRESS;
use super::config::CONTAINERD;
use crate::Progress;
use crate::process::{Supervised, bare, until};
use crate::tools::in_path;

/// The bridge that all pods are on.
pub(super) const BRIDGE: &str = "lunchbadger0";
/// The control group of all pods.
pub(super) const CGROUP: &str = "lunchbadger-node";
/// Where Debian puts network plug-ins.
pub(super) const CNI_PLUGINS: &str = "/usr/lib/cni";
/// The right to have a node, and what is to be put back when it is gone.
const LOCK: &str = "/run/lunchbadger-node.lock";
const STATE: &str = "/run/lunchbadger-node.state";

/// Where Envoy is administered. Here and not in the node's directory, because the names of sockets are limited to 108 bytes.
pub(super) const ENVOY_SOCKET: &str = "/run/lunchbadger-envoy.sock";

const GUARD: &str = include_str!("machine.sh");
const INIT: &str = include_str!("init.sh");

/// A Debian package and a file by which it is known to be there: a program in `PATH`, or an absolute path.
pub type Package = (&'static str, &'static str);

/// What a node takes beside what is built from source.
pub const PACKAGES: [Package; 13] = [
    ("containerd", "containerd"),
    ("runc", "runc"),
    ("containernetworking-plugins", "/usr/lib/cni/bridge"),
    ("iptables", "iptables"),
    ("nftables", "nft"),
    ("conntrack", "conntrack"),
    ("socat", "socat"),
    ("ethtool", "ethtool"),
    ("iproute2", "ip"),
    ("util-linux", "nsenter"),
    ("buildah", "buildah"),
    ("debootstrap", "debootstrap"),
    ("python3-pip", "pip3"),
];

/// Those that are missing.
#[must_use]
pub fn missing_packages() -> Vec<&'static str> {
    let there = |file: &str| if file.starts_with('/') { Path::new(file).exists() } else { found(file) };
    PACKAGES.iter().filter(|(_, file)| !there(file)).map(|(package, _)| *package).collect()
}

/// Programs of an administrator are not in everybody's `PATH`.
fn found(program: &str) -> bool {
    in_path(program).is_some()
        || ["/usr/sbin", "/sbin"].iter().any(|path| Path::new(path).join(program).exists())
}

/// Puts back what a killed node left on this machine. Answers whether that could be done: not where another node runs.
///
/// # Errors
/// Where the guard cannot be started.
pub fn clean() -> Result<bool> {
    if !Path::new(STATE).exists() {
        return Ok(true);
    }
    if !super::is_root() {
        return Ok(false);
    }
    Ok(Guard::hold(Duration::from_secs(5))?.is_some())
}

/// The shell that cleans up after us.
#[derive(Debug)]
struct Guard(Child);

impl Guard {
    /// Waits for the right to have a node, cleans up and makes bridge and groups. `None`: somebody else has one.
    fn hold(patience: Duration) -> Result<Option<Self>> {
        let mut child = bare(Path::new("sh"))
            .args(["-c", GUARD, "machine.sh", LOCK, STATE, &patience.as_secs().to_string(), BRIDGE])
            .args([&format!("{ADDRESS}/24"), CGROUP, ENVOY_SOCKET])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start sh, which prepares the machine for a node")?;
        let mut said = String::new();
        let output = child.stdout.take().context("the guard has no output")?;
        BufReader::new(output).read_line(&mut said).context("read what the guard says")?;
        let guard = Self(child);
        match said.trim() {
            "ready" => Ok(Some(guard)),
            "busy" => Ok(None),
            _ => bail!("prepare the machine for a node: {}", guard.complaint()),
        }
    }

    /// Lets it end, and answers what it complained of.
    fn complaint(mut self) -> String {
        drop(self.0.stdin.take());
        let errors = self.0.stderr.take().and_then(|errors| std::io::read_to_string(errors).ok());
        errors.unwrap_or_default().trim().to_owned()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// containerd in namespaces of its own.
pub(super) struct Machine {
    // Before the guard, which removes what it uses.
    process: Supervised,
    _guard: Guard,
    init: u32,
    logs: PathBuf,
}

impl Machine {
    pub(super) async fn start(directory: &Path, patience: Duration, progress: &Progress) -> Result<Self> {
        progress("preparing the machine for a node: a bridge for pods, a control group");
        let Some(guard) = tokio::task::spawn_blocking(move || Guard::hold(patience)).await?? else {
            bail!("another node of ours runs on this machine, and there can be one: end that first");
        };
        let containerd =
            in_path("containerd").context("containerd is not installed: apt-get install containerd")?;
        let logs = directory.join("logs");
        let arguments = ["--mount", "--propagation=slave", "--pid", "--fork", "--kill-child", "--mount-proc"];
        let arguments = arguments.into_iter().chain(["sh", "-c", INIT, "init.sh"]).map(Into::into);
        let arguments = arguments.chain([directory.as_os_str().to_owned(), containerd.into_os_string()]);
        let log = logs.join("containerd.log");
        let process = Supervised::start(Path::new("unshare"), arguments, &BTreeMap::new(), &log)?;
        let mut process = process.called("containerd");
        let init = std::cell::Cell::new(0);
        until("the node's namespaces", [], progress, async || {
            init.set(only_child(process.pid()?)?);
            Ok(())
        })
        .await?;
        let init = init.get();
        until("containerd", [&mut process], progress, async || containerd_client(init, &["version"]).await)
            .await?;
        Ok(Self { process, _guard: guard, init, logs })
    }

    /// The process in whose namespaces everything runs; it is called by what it is there for.
    pub(super) fn process(&mut self) -> &mut Supervised {
        &mut self.process
    }

    /// Starts a program in these namespaces (of `nsenter`'s options), with its arguments.
    pub(super) fn enter(
        &self,
        name: &str,
        namespaces: &[&str],
        command: impl IntoIterator<Item = String>,
    ) -> Result<Supervised> {
        let target = format!("--target={}", self.init);
        let options = std::iter::once(target.as_str()).chain(namespaces.iter().copied()).chain(["--"]);
        let arguments = options.map(str::to_owned).chain(command);
        let log = self.logs.join(format!("{name}.log"));
        Ok(Supervised::start(Path::new("nsenter"), arguments, &BTreeMap::new(), &log)?.called(name))
    }

    pub(super) async fn import(&self, archive: &Path) -> Result<()> {
        let archive = archive.display().to_string();
        let arguments = ["--namespace=k8s.io", "images", "import", "--snapshotter=overlayfs", &archive];
        containerd_client(self.init, &arguments).await.with_context(|| format!("import {archive}"))
    }
}

/// Runs `ctr` in the namespaces of a process.
async fn containerd_client(init: u32, arguments: &[&str]) -> Result<()> {
    let mut command = bare(Path::new("nsenter"));
    command
        .args([&format!("--target={init}"), "--mount", "--", "ctr", "--address", CONTAINERD])
        .args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output()).await?.context("start nsenter")?;
    if !output.status.success() {
        bail!("ctr {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// `unshare` has one child: the first process in the new namespaces.
fn only_child(parent: u32) -> Result<u32> {
    let list = format!("/proc/{parent}/task/{parent}/children");
    let children = fs::read_to_string(&list).with_context(|| format!("read {list}"))?;
    children.trim().parse().with_context(|| format!("{parent} has the children {children:?}"))
}

/// The machine's own address: that from which it would call the world. Nothing is sent.
pub(super) fn address_of_an_interface() -> Result<Ipv4Addr> {
    let of_the_world = SocketAddr::from(([198, 51, 100, 1], 9));
    let address = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
        .and_then(|socket| socket.connect(of_the_world).and_then(|()| socket.local_addr()))
        .context("a node needs a network: this machine has no default route")?;
    match address {
        SocketAddr::V4(v4) => Ok(*v4.ip()),
        SocketAddr::V6(v6) => bail!("a node needs an IPv4 address, and this machine has {v6}"),
    }
}
