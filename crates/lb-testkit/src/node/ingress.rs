//! Contour, and Envoy in front of the pods.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context, Result, bail};

use super::machine::ENVOY_SOCKET;
use super::{INGRESS_CLASS, Parts};
use crate::free_port;
use crate::kubeconfig::User;
use crate::process::{Supervised, bare, until};

/// The two of them.
pub(super) struct Ingress {
    envoy: Supervised,
    contour: Supervised,
    port: u16,
}

impl Ingress {
    /// Starts them and waits until Envoy has its configuration.
    pub(super) async fn start(parts: &Parts<'_>, port: u16) -> Result<Self> {
        definitions(parts).await?;
        let (configuration, statistics) = (free_port(), free_port());
        let bootstrap = parts.path("envoy.json");
        let mut command = bare(&parts.binaries.contour);
        command.args(["bootstrap", &bootstrap, "--admin-address", ENVOY_SOCKET, "--xds-address=127.0.0.1"]);
        command.args([&format!("--xds-port={configuration}"), "--xds-resource-version=v3"]);
        run(command, "contour bootstrap").await?;
        let mut contour =
            parts.start(&parts.binaries.contour, contour(parts, configuration, port, statistics))?;
        let mut envoy = parts.start(
            &parts.binaries.envoy,
            [
                "--config-path",
                &bootstrap,
                "--service-cluster",
                "lunchbadger",
                "--service-node",
                "lunchbadger",
            ]
            .into_iter()
            // Two of them would meet in shared memory.
            .chain(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"])
            .map(str::to_owned),
        )?;
        let http = crate::http_client()?;
        until("Contour and Envoy", [&mut contour, &mut envoy], &parts.progress, async || {
            http.get(format!("http://127.0.0.1:{statistics}/ready")).send().await?.error_for_status()?;
            Ok(())
        })
        .await?;
        Ok(Self { envoy, contour, port })
    }

    pub(super) fn address(&self) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port)
    }

    pub(super) fn processes(&mut self) -> [&mut Supervised; 2] {
        [&mut self.envoy, &mut self.contour]
    }
}

fn contour(parts: &Parts<'_>, configuration: u16, port: u16, statistics: u16) -> Vec<String> {
    let kubeconfig = parts.plane.kubeconfig_of(User::NodeServices);
    let mut arguments = vec![
        "serve".to_owned(),
        "--no-incluster".to_owned(),
        format!("--kubeconfig={}", kubeconfig.display()),
        "--insecure".to_owned(),
        "--disable-leader-election".to_owned(),
        format!("--ingress-class-name={INGRESS_CLASS}"),
        "--ingress-status-address=127.0.0.1".to_owned(),
        "--envoy-http-access-log=/dev/stdout".to_owned(),
    ];
    let places = [
        ("xds", configuration),
        ("envoy-service-http", port),
        ("envoy-service-https", free_port()),
        ("stats", statistics),
        ("health", free_port()),
        ("http", free_port()),
        ("debug-http", free_port()),
    ];
    for (name, port) in places {
        arguments.extend([format!("--{name}-address=127.0.0.1"), format!("--{name}-port={port}")]);
    }
    arguments
}

/// Contour does not start without its custom resources being served.
async fn definitions(parts: &Parts<'_>) -> Result<()> {
    let kubectl = |arguments: &[&str]| {
        let mut command = bare(parts.plane.kubectl());
        command.arg("--kubeconfig").arg(parts.plane.kubeconfig()).args(arguments);
        command.arg("--filename").arg(&parts.binaries.contour_crds).env("HOME", &parts.directory);
        command
    };
    let what = "apply Contour's custom resource definitions";
    run(kubectl(&["apply", "--server-side"]), what).await?;
    run(kubectl(&["wait", "--for=condition=Established", "--timeout=60s"]), what).await
}

async fn run(mut command: std::process::Command, what: &str) -> Result<()> {
    let output = tokio::task::spawn_blocking(move || command.output()).await?;
    let output = output.with_context(|| format!("start: {what}"))?;
    if !output.status.success() {
        bail!("{what}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
