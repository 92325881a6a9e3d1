//! `actualizer`, `configstore`, `git-api` and `watcher`: one role a process.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use lb_git::GitHost;
use lb_git::embedded::{self, Embedded};
use lb_git::gitea::{self, Gitea};
use lb_http::auth::AuthSettings;
use lb_process::environment::{self, Variables};
use lb_process::signals;
use lb_process::{clock, limits};
use lb_services::{configstore, git_api, watcher};
use lb_vocab::{Clock, Secret};
use tokio_util::sync::CancellationToken;

use crate::connect::Connect;
use crate::exit::Exit;

/// Runs the Actualizer until it is told to end.
pub(crate) async fn actualizer(variables: &Variables, connect: &Connect<'_>) -> Result<Exit> {
    let (settings, auth) = environment::read(variables, |reader| {
        (lb_actualizer::settings::Settings::read(reader), AuthSettings::read(reader))
    })?;
    let cluster = connect.cluster_as("lunchbadger-actualizer").await?;
    let shutdown = signals::shutdown()?;
    let running = lb_actualizer::run(settings, &auth, cluster, clock::system(), shutdown.clone());
    signals::within_deadline(async { Ok(running.await?) }, &shutdown).await?;
    Ok(Exit::Clean)
}

/// Runs the configstore until it is told to end.
pub(crate) async fn configstore(variables: &Variables, connect: &Connect<'_>) -> Result<Exit> {
    let settings = environment::read(variables, configstore::Settings::read)?;
    let callers = connect.cluster_of_callers("configstore", &settings.auth, &settings.review).await?;
    let shutdown = signals::shutdown()?;
    let server = configstore::Server::bind(&settings, callers, &clock::system(), shutdown.clone()).await?;
    signals::within_deadline(async { Ok(server.run().await?) }, &shutdown).await?;
    Ok(Exit::Clean)
}

/// Runs git-api over its git host until it is told to end.
pub(crate) async fn git_api(variables: &Variables, connect: &Connect<'_>) -> Result<Exit> {
    let settings = environment::read(variables, git_api::Settings::read)?;
    let callers = connect.cluster_of_callers("git-api", &settings.auth, &settings.review).await?;
    let shutdown = signals::shutdown()?;
    let host = host(&settings).await?;
    let server =
        git_api::Server::bind(&settings, Arc::clone(&host), callers, &clock::system(), shutdown.clone())
            .await?;
    signals::within_deadline(serve_git(server, host), &shutdown).await?;
    Ok(Exit::Clean)
}

/// Runs the watcher until it is told to end.
pub(crate) async fn watcher(variables: &Variables, connect: &Connect<'_>) -> Result<Exit> {
    let settings = environment::read(variables, watcher::Settings::read)?;
    let shutdown = signals::shutdown()?;
    let server = watch(&settings, connect, &clock::system(), &shutdown).await?;
    signals::within_deadline(async { Ok(server.run().await?) }, &shutdown).await?;
    Ok(Exit::Clean)
}

/// The watcher on its address.
pub(super) async fn watch(
    settings: &watcher::Settings,
    connect: &Connect<'_>,
    clock: &Clock,
    shutdown: &CancellationToken,
) -> Result<watcher::Server> {
    // Each client is a connection that stays open.
    limits::open_all_files_allowed().context("raise the limit of open connections")?;
    let cluster = connect.cluster_as("lunchbadger-watcher").await?;
    let callers = connect.cluster_of_callers("watcher", &settings.auth, &settings.review).await?;
    Ok(watcher::Server::bind(settings, &cluster, callers, clock, shutdown.clone()).await?)
}

/// The git host that the settings name: Gitea, or the embedded one.
pub(super) async fn host(settings: &git_api::Settings) -> Result<Arc<dyn GitHost>> {
    let directory = &settings.data_dir;
    let Some(wanted) = &settings.gitea else {
        let host = Embedded::open(embedded::Settings::new(directory), clock::system()).await;
        return Ok(Arc::new(host.with_context(|| format!("open the git host in {}", directory.display()))?));
    };
    let prefix = settings.platform.prefix.clone();
    let defaults = gitea::Settings::new(wanted.url.clone(), token(wanted)?, prefix, directory);
    let settings = gitea::Settings {
        public_url: wanted.public_url.clone(),
        requests: wanted.requests,
        timeout: wanted.timeout,
        walk_interval: wanted.walk_interval,
        oauth: wanted.oauth.as_ref().map(oauth).transpose()?,
        ..defaults
    };
    let host = Gitea::open(settings, clock::system()).await;
    Ok(Arc::new(host.with_context(|| format!("prepare to use Gitea at {}", wanted.url))?))
}

/// Gitea's token: of the file, where one is named.
fn token(wanted: &git_api::Gitea) -> Result<gitea::Token> {
    let token = secret(wanted.token_file.as_ref(), wanted.token.as_ref());
    token.context("GITEA_HOST is set, and neither GITEA_TOKEN nor GITEA_TOKEN_FILE is")
}

/// The application with which people sign in.
fn oauth(wanted: &git_api::OAuth) -> Result<gitea::OAuth> {
    let git_api::OAuth { client_id, client_secret, client_secret_file } = wanted;
    let secret = secret(client_secret_file.as_ref(), client_secret.as_ref());
    Ok(gitea::OAuth {
        client_id: client_id.clone(),
        client_secret: secret.context("GITEA_OAUTH_CLIENT_ID is set, and no secret for it")?,
    })
}

fn secret(file: Option<&PathBuf>, value: Option<&Secret>) -> Option<gitea::Token> {
    file.map(|path| gitea::Token::File(path.clone())).or_else(|| value.map(|value| value.clone().into()))
}

/// Serves git-api until its shutdown; pushes that are under way are finished.
pub(super) async fn serve_git(server: git_api::Server, host: Arc<dyn GitHost>) -> Result<()> {
    let served = server.run().await;
    host.close().await;
    Ok(served?)
}

/// Ends everything when one part ended, and answers what ended first.
pub(super) async fn together<const N: usize>(
    parts: [(&'static str, futures::future::BoxFuture<'static, Result<()>>); N],
    shutdown: &CancellationToken,
) -> Result<()> {
    let parts = parts.map(|(name, part)| {
        let shutdown = shutdown.clone();
        async move {
            let done = part.await.with_context(|| format!("the {name} ended"));
            shutdown.cancel();
            done
        }
    });
    let ended = futures::future::join_all(parts).await;
    ended.into_iter().collect()
}
