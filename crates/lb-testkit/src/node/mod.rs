//! A real node for a [`ControlPlane`]: containerd, kubelet, kube-scheduler, kube-proxy, CoreDNS, and Contour with Envoy in
//! front. It takes root, and there is one on a machine at a time.
//!
//! ```text
//! <directory>/containerd  kubelet  cni   what they keep
//!             logs/                      one file per process, pods' logs below pods/
//! ```
//!
//! containerd and kubelet are in namespaces of their own for processes and mounts: however we end, no container and no
//! mount stays. The network is the machine's: host processes reach pods and pods reach [`ADDRESS`], where host processes
//! may listen for them; what is changed there is put back by a guard (`machine.sh`) that outlives us by a moment.

mod config;
mod ingress;
mod machine;
mod obstacle;
mod platform;

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::Api;

use crate::control_plane::{self, ControlPlane};
use crate::kubeconfig::{NODE_NAME, User};
use crate::process::{Supervised, until};
use crate::tools::NodeBinaries;
use crate::{Progress, free_port, images, quiet};
use ingress::Ingress;
use machine::Machine;
pub use machine::{PACKAGES, Package, clean, missing_packages};
pub use obstacle::{Obstacle, is_root, machine_lacks, obstacle};
pub use platform::Platform;

/// The machine's address among the pods: of the bridge that all of them are on.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);

/// The class of Ingresses that are served.
pub const INGRESS_CLASS: &str = "contour";

/// How a node is started.
pub struct Options {
    /// Where it keeps everything. `None`: beside what its control plane keeps.
    pub directory: Option<PathBuf>,
    /// The port of the loopback address at which Ingresses are served. `None`: a free one.
    pub ingress_port: Option<u16>,
    /// How long to wait for another node on this machine to end.
    pub patience: Duration,
    /// Told what is being waited for.
    pub progress: Progress,
}

impl Default for Options {
    /// Beside the control plane, after every other test that has one, quietly.
    fn default() -> Self {
        Self { directory: None, ingress_port: None, patience: Duration::from_secs(600), progress: quiet() }
    }
}

/// A running node. It is killed with its pods when this is dropped, and when our process ends in any way.
pub struct Node {
    // In the order in which they are stopped.
    ingress: Ingress,
    coredns: Supervised,
    proxy: Supervised,
    scheduler: Supervised,
    kubelet: Supervised,
    machine: Machine,
}

impl Node {
    /// Starts one and waits until pods can run there. The control plane was started for a node.
    ///
    /// # Errors
    /// Where it cannot be had (not root, programs missing, another node for longer than `patience`), or a part does not come
    /// up: which, and the end of its log.
    pub async fn start(plane: &ControlPlane, options: Options) -> Result<Self> {
        let Options { directory, ingress_port, patience, progress } = options;
        let parts = Parts {
            binaries: NodeBinaries::locate()?,
            directory: directory.unwrap_or_else(|| plane.directory().join("node")),
            plane,
            progress,
        };
        parts.prepare()?;
        let mut machine = Machine::start(&parts.directory, patience, &parts.progress).await?;
        machine.import(&images::pause()?).await?;
        let mut kubelet = parts.kubelet(&machine)?;
        let mut scheduler = parts.scheduler()?;
        let mut proxy = parts.proxy()?;
        let dns = free_port();
        let mut coredns = parts.coredns(dns)?;
        let ingress = Ingress::start(&parts, ingress_port.unwrap_or_else(free_port)).await?;
        let http = crate::http_client()?;
        let processes = [machine.process(), &mut kubelet, &mut scheduler, &mut proxy, &mut coredns];
        until("CoreDNS", processes, &parts.progress, async || {
            http.get(format!("http://127.0.0.1:{dns}/ready")).send().await?.error_for_status()?;
            Ok(())
        })
        .await?;
        let nodes: Api<NodeObject> = Api::all(control_plane::client(&plane.kubeconfig(), User::Admin).await?);
        let processes = [machine.process(), &mut kubelet, &mut scheduler, &mut proxy];
        until("the node", processes, &parts.progress, async || usable(&nodes.get(NODE_NAME).await?)).await?;
        Ok(Self { ingress, coredns, proxy, scheduler, kubelet, machine })
    }

    /// Where Ingresses are served, by the hosts that they name.
    #[must_use]
    pub fn ingress(&self) -> SocketAddrV4 {
        self.ingress.address()
    }

    /// Takes an image from an OCI archive; what is there already is not copied again.
    ///
    /// # Errors
    /// Where containerd does not take it.
    pub async fn import(&self, archive: &Path) -> Result<()> {
        self.machine.import(archive).await
    }

    /// Fails where a part has ended.
    ///
    /// # Errors
    /// Which, and the end of its log.
    pub fn still_runs(&mut self) -> Result<()> {
        let parts = [
            self.machine.process(),
            &mut self.kubelet,
            &mut self.scheduler,
            &mut self.proxy,
            &mut self.coredns,
        ];
        for part in parts.into_iter().chain(self.ingress.processes()) {
            if let Some(status) = part.ended() {
                bail!("{} ended ({status}):\n{}", part.name(), part.log_tail());
            }
        }
        Ok(())
    }
}

/// Whether pods may be put there.
fn usable(node: &NodeObject) -> Result<()> {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).map_or(0, Vec::len);
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.into_iter().flatten().find(|condition| condition.type_ == "Ready");
    match ready {
        Some(ready) if ready.status == "True" && taints == 0 => Ok(()),
        Some(ready) => bail!("Ready={} {}", ready.status, ready.message.as_deref().unwrap_or_default()),
        None => bail!("kubelet has not said how it is"),
    }
}

/// What the parts are started from.
struct Parts<'a> {
    binaries: NodeBinaries,
    directory: PathBuf,
    plane: &'a ControlPlane,
    progress: Progress,
}

impl Parts<'_> {
    fn prepare(&self) -> Result<()> {
        for name in ["containerd", "kubelet", "cni", "cni.d", "logs/containers", "logs/pods"] {
            let directory = self.directory.join(name);
            fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
        }
        let nodes_own = machine::address_of_an_interface()?;
        self.write("containerd.toml", &config::containerd(&self.directory))?;
        self.write("cni.d/10-lunchbadger.conflist", &config::network())?;
        self.write("kubelet.json", &config::kubelet(&self.directory, nodes_own, &self.plane.kubelet_client()))
    }

    fn kubelet(&self, machine: &Machine) -> Result<Supervised> {
        let arguments = [
            self.binaries.kubelet.display().to_string(),
            format!("--config={}", self.path("kubelet.json")),
            format!("--kubeconfig={}", self.plane.kubeconfig_of(User::Kubelet).display()),
            format!("--hostname-override={NODE_NAME}"),
            format!("--node-ip={}", machine::address_of_an_interface()?),
        ];
        machine.enter("kubelet", &["--mount", "--pid"], arguments)
    }

    fn scheduler(&self) -> Result<Supervised> {
        let kubeconfig = self.plane.kubeconfig_of(User::Scheduler);
        let arguments = [
            format!("--kubeconfig={}", kubeconfig.display()),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
        ];
        self.start(&self.binaries.scheduler, arguments)
    }

    fn proxy(&self) -> Result<Supervised> {
        let kubeconfig = self.plane.kubeconfig_of(User::Proxy);
        let arguments = [
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--hostname-override={NODE_NAME}"),
            "--proxy-mode=nftables".to_owned(),
            "--conntrack-max-per-core=0".to_owned(),
            format!("--cluster-cidr={}", config::PODS),
            format!("--healthz-bind-address=127.0.0.1:{}", free_port()),
            format!("--metrics-bind-address=127.0.0.1:{}", free_port()),
        ];
        self.start(&self.binaries.proxy, arguments)
    }

    /// Answers readiness at this port.
    fn coredns(&self, ready: u16) -> Result<Supervised> {
        let kubeconfig = self.plane.kubeconfig_of(User::NodeServices);
        self.write("Corefile", &config::coredns(&kubeconfig, ready))?;
        self.start(&self.binaries.coredns, [format!("-conf={}", self.path("Corefile"))])
    }

    fn start(&self, program: &Path, arguments: impl IntoIterator<Item = String>) -> Result<Supervised> {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        Supervised::start(program, arguments, &BTreeMap::new(), &self.log(&name))
    }

    fn log(&self, name: &str) -> PathBuf {
        self.directory.join("logs").join(format!("{name}.log"))
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.directory.join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }
}
