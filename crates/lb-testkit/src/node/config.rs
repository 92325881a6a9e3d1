//! The configuration files of a node's parts.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::json;

use super::ADDRESS;
use super::machine::{BRIDGE, CGROUP, CNI_PLUGINS};
use crate::{free_port, images};

/// Addresses of pods.
pub(super) const PODS: &str = "10.244.0.0/24";
/// Where containerd listens, seen from its namespaces.
pub(super) const CONTAINERD: &str = "/run/containerd/containerd.sock";

/// State and socket are where containerd has them by itself: in these namespaces that is nobody else's place.
pub(super) fn containerd(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        r#"version = 2
root = "{directory}/containerd"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Without CAP_SYS_RESOURCE (a machine that is itself a container) runc may not lower a score, and dies of trying.
  restrict_oom_score_adj = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{directory}/cni.d"
"#,
        pause = images::PAUSE,
    )
}

/// The bridge is there before its first pod, and masquerading is a table of ours: see `machine.sh`.
pub(super) fn network() -> String {
    json!({
        "cniVersion": "1.0.0",
        "name": "lunchbadger",
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": true,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": PODS, "gateway": ADDRESS}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
    .to_string()
}

pub(super) fn kubelet(directory: &Path, address: Ipv4Addr, api_server: &Path) -> String {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": address,
        "port": free_port(),
        "healthzPort": 0,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": api_server},
        },
        "authorization": {"mode": "Webhook"},
        "clusterDomain": "cluster.local",
        "clusterDNS": [ADDRESS],
        "resolvConf": resolver(),
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD}"),
        "podLogsDir": directory.join("logs/pods"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{CGROUP}"),
        "failCgroupV1": false,
        "failSwapOn": false,
        "enforceNodeAllocatable": [],
        "localStorageCapacityIsolation": false,
        // As it is with control groups of version 1 in any case: what runs beside the process that ate it goes on.
        "singleProcessOOMKill": true,
        // A developer's disk that is nearly full is no reason to throw pods and images out.
        "evictionHard": {"memory.available": "1%"},
        "imageGCHighThresholdPercent": 100,
    })
    .to_string()
}

pub(super) fn coredns(kubeconfig: &Path, ready: u16) -> String {
    format!(
        "\
.:53 {{
    bind {ADDRESS}
    errors
    ready 127.0.0.1:{ready}
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {} {}
    }}
    forward . {}
    cache 5
}}
",
        kubeconfig.display(),
        crate::kubeconfig::User::NodeServices,
        resolver(),
    )
}

/// The file of name servers that pods can reach, too: where the machine's own is a stub on loopback, what that asks.
fn resolver() -> &'static str {
    const USUAL: &str = "/etc/resolv.conf";
    const BEHIND_STUB: &str = "/run/systemd/resolve/resolv.conf";
    let stub = fs::read_to_string(USUAL).is_ok_and(|text| text.contains("nameserver 127."));
    if stub && Path::new(BEHIND_STUB).exists() { BEHIND_STUB } else { USUAL }
}
