//! The npm package `loopback-workspace`, serving a copy of the project.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};
use lb_testkit::process::{Supervised, until};
use lb_testkit::producer::Files;

use super::connection::{Connection, Request};
use crate::bench::measure::Usage;
use crate::command::root;
use crate::say::progress;

/// The package, running.
pub(super) struct Package {
    /// Where it listens.
    pub(super) address: SocketAddr,
    process: Supervised,
}

impl Package {
    /// Starts what is installed in `installed` over a project of these files.
    pub(super) async fn start(installed: &Path, directory: &Path, files: &Files) -> Result<Self> {
        let project = directory.join("project");
        for (path, text) in files {
            let path = project.join(path);
            let parent = path.parent().unwrap_or(&project);
            fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
            fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        }
        // LoopBack's own models are looked for among the project's packages.
        let modules = installed.join("node_modules");
        symlink(&modules, project.join("node_modules"))
            .with_context(|| format!("link {}", modules.display()))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, lb_testkit::free_port()));
        let environment: BTreeMap<String, String> = [
            ("NODE_ENV", "production".to_owned()),
            ("NODE_PATH", modules.display().to_string()),
            ("PORT", address.port().to_string()),
            ("WORKSPACE_DIR", project.display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let script = root().join("tools/loopback-workspace/serve.js");
        let log = directory.join("log");
        let mut process = Supervised::start(Path::new("node"), [script], &environment, &log)?;
        let root = Request::new("GET", "/api/Facets", None, None);
        let answers = || async { Connection::open(address).await?.ask(&root).await.map(drop) };
        until("loopback-workspace", [&mut process], &progress(), answers).await?;
        Ok(Self { address, process })
    }

    /// What it has taken.
    pub(super) fn usage(&self) -> Result<Usage> {
        Usage::of(self.process.pid()?)
    }

    /// Ends it.
    pub(super) async fn stop(mut self) {
        self.process.end().await;
    }
}
