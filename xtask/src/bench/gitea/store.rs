//! A Gitea with many producers, made once and kept in the user's cache directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt};
use lb_testkit::gitea::{Gitea, Options};
use lb_testkit::{producer, tools};
use reqwest::Method;
use serde_json::{Value, json};

use crate::say::{progress, say};

/// Producers that are made at once.
const AT_ONCE: usize = 8;
/// The file that says that all of it was made.
const COMPLETE: &str = "complete";
/// Git users of producers begin with this.
pub(super) const PREFIX: &str = "customer";

/// A running one.
pub(super) struct Store {
    /// The Gitea.
    pub(super) gitea: Gitea,
    // Ours alone until the process ends.
    _lock: File,
}

impl Store {
    /// Starts the one with so many producers; makes it where it was never made.
    pub(super) async fn open(producers: usize) -> Result<Self> {
        let directory = directory(producers)?;
        let lock = lock(&directory)?;
        if directory.join(COMPLETE).exists() {
            trim_log(&directory)?;
            let gitea = Gitea::reopen(directory, progress()).await?;
            return Ok(Self { gitea, _lock: lock });
        }
        if directory.exists() {
            fs::remove_dir_all(&directory).with_context(|| format!("remove {}", directory.display()))?;
        }
        say(&format!("making a Gitea with {producers} producers in {}; it is kept", directory.display()));
        let gitea =
            Gitea::launch(Options { directory: Some(directory.clone()), progress: progress() }).await?;
        let mut made = futures::stream::iter(0..producers)
            .map(|index| make(&gitea, format!("b{index:04}")))
            .buffer_unordered(AT_ONCE);
        let mut count = 0;
        while made.try_next().await?.is_some() {
            count += 1;
            if count % 100 == 0 {
                say(&format!("{count} of {producers} producers"));
            }
        }
        drop(made);
        fs::write(directory.join(COMPLETE), "").context("note that the Gitea is complete")?;
        Ok(Self { gitea, _lock: lock })
    }

    /// Requests that Gitea has answered up to now.
    pub(super) fn requests(&self) -> Result<Vec<String>> {
        let log = self.gitea.directory().join("gitea.log");
        let text = fs::read(&log).with_context(|| format!("read {}", log.display()))?;
        let text = String::from_utf8_lossy(&text);
        let asked = text.lines().filter_map(|line| {
            let (_, rest) = line.split_once("router: completed ")?;
            Some(rest.split(" for ").next().unwrap_or(rest).to_owned())
        });
        Ok(asked.collect())
    }

    /// Does something at Gitea and answers what it says.
    pub(super) async fn api(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        call(&self.gitea, method, path, body).await
    }
}

fn directory(producers: usize) -> Result<PathBuf> {
    let gitea = tools::GITEA.dir()?;
    let name = gitea.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(tools::cache_dir()?.join(format!("bench-{name}-{}-{producers}", producer::VERSION)))
}

fn lock(directory: &Path) -> Result<File> {
    let path = directory.with_extension("lock");
    let parent = path.parent().context("the cache has no parent")?;
    fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    if file.try_lock().is_err() {
        bail!("another `cargo xtask bench` uses {}: wait until it has ended", directory.display());
    }
    Ok(file)
}

/// The log of earlier runs would be read again and again.
fn trim_log(directory: &Path) -> Result<()> {
    fs::write(directory.join("gitea.log"), "").context("empty Gitea's log")
}

/// A user with two repositories that have a commit each.
async fn make(gitea: &Gitea, name: String) -> Result<()> {
    make_user(gitea, &name).await?;
    for repository in ["dev", "functions"] {
        let body =
            json!({"name": repository, "private": true, "auto_init": true, "default_branch": "master"});
        call(gitea, Method::POST, &format!("admin/users/{PREFIX}-{name}/repos"), &body).await?;
    }
    Ok(())
}

async fn make_user(gitea: &Gitea, name: &str) -> Result<()> {
    let user = json!({
        "username": format!("{PREFIX}-{name}"), "email": format!("{name}@{PREFIX}.com"),
        "password": lb_testkit::unique_secret("Aa1!")?, "must_change_password": false,
    });
    call(gitea, Method::POST, "admin/users", &user).await.map(drop)
}

async fn call(gitea: &Gitea, method: Method, path: &str, body: &Value) -> Result<Value> {
    let doing = format!("{method} {path} at Gitea");
    let answer = gitea.api(method, path).json(body).send().await.with_context(|| doing.clone())?;
    let (status, text) = (answer.status(), answer.text().await.with_context(|| doing.clone())?);
    if !status.is_success() {
        bail!("{doing}: {status} {text}");
    }
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text).with_context(|| format!("read the answer of {doing}"))
}
