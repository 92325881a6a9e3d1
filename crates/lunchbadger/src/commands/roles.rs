//! `actualizer`, `configstore` and `git-api`: one role a process.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use lb_git::GitHost;
use lb_git::embedded::{self, Embedded};
use lb_git::gitea::{self, Gitea};
use lb_http::auth::AuthSettings;
use lb_services::{configstore, git_api};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::connect::Connect;
use crate::environment::{self, Variables};
use crate::exit::Exit;
use crate::signals;

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
        ..defaults
    };
    let host = Gitea::open(settings, clock::system()).await;
    Ok(Arc::new(host.with_context(|| format!("prepare to use Gitea at {}", wanted.url))?))
}

/// Gitea's token: of the file, where one is named.
fn token(wanted: &git_api::Gitea) -> Result<gitea::Token> {
    match (&wanted.token_file, &wanted.token) {
        (Some(path), _) => Ok(gitea::Token::File(path.clone())),
        (None, Some(token)) => Ok(token.clone().into()),
        (None, None) => bail!("GITEA_HOST is set, and neither GITEA_TOKEN nor GITEA_TOKEN_FILE is"),
    }
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
