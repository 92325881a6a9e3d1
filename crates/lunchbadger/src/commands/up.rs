//! `up`: all roles in one process, over HTTP on loopback as in production, with the embedded git host, or
//! with Gitea where `GITEA_HOST` names one.

mod tokens;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use futures::FutureExt;
use kube::Api;
use kube::api::ListParams;
use lb_cluster::Cluster;
use lb_desired::crd::LBProducer;
use lb_http::auth::AuthSettings;
use lb_process::environment::{self, Variables};
use lb_process::{clock, signals};
use lb_services::{configstore, git_api, watcher};
use serde_json::json;

use super::explain::explain;
use super::roles;
use crate::cli::UpArgs;
use crate::connect::Connect;
use crate::exit::Exit;
use crate::screen::Screen;
use tokens::Tokens;

/// Runs all roles until it is told to end.
pub(crate) async fn run(
    arguments: &UpArgs,
    variables: &Variables,
    connect: &Connect<'_>,
    screen: &mut Screen,
) -> Result<Exit> {
    let cluster = connect.cluster_as("lunchbadger-actualizer").await?;
    check(&cluster).await?;
    let directory = &arguments.data_dir;
    let tokens = Tokens::ensure(directory)?;
    let variables = settings(arguments, variables, &tokens);
    let (git_settings, mut store_settings, mut watcher_settings, mut settings, auth) =
        environment::read(&variables, |reader| {
            (
                git_api::Settings::read(reader),
                configstore::Settings::read(reader),
                watcher::Settings::read(reader),
                lb_actualizer::settings::Settings::read(reader),
                AuthSettings::read(reader),
            )
        })?;
    let shutdown = signals::shutdown()?;
    let clock = clock::system();
    let host = roles::host(&git_settings).await?;
    let callers = connect.cluster_of_callers("git-api", &git_settings.auth, &git_settings.review).await?;
    let git =
        git_api::Server::bind(&git_settings, Arc::clone(&host), callers, &clock, shutdown.clone()).await?;
    // With port 0 the system has chosen: the others are told what it was.
    let git_url = url(git.address());
    store_settings.git_api_url = git_url.parse().context("read git-api's address")?;
    let callers =
        connect.cluster_of_callers("configstore", &store_settings.auth, &store_settings.review).await?;
    let store = configstore::Server::bind(&store_settings, callers, &clock, shutdown.clone()).await?;
    let store_url = url(store.address());
    watcher_settings.git_api_url.clone_from(&store_settings.git_api_url);
    let watcher = roles::watch(&watcher_settings, connect, &clock, &shutdown).await?;
    let watcher_url = url(watcher.address());
    settings.git_api_url.clone_from(&git_url);
    settings.configstore_url.clone_from(&store_url);
    let actualizer = url(settings.address);
    let places = Places { git: git_url, store: store_url, watcher: watcher_url, actualizer, tokens: &tokens };
    announce(&places, screen)?;
    let ended = shutdown.clone();
    let actualizer = async move { Ok(lb_actualizer::run(settings, &auth, cluster, clock, ended).await?) };
    let parts = [
        ("git-api", roles::serve_git(git, host).boxed()),
        ("configstore", async { Ok(store.run().await?) }.boxed()),
        ("watcher", async { Ok(watcher.run().await?) }.boxed()),
        ("Actualizer", actualizer.boxed()),
    ];
    signals::within_deadline(roles::together(parts, &shutdown), &shutdown).await?;
    Ok(Exit::Clean)
}

/// Whether the cluster answers and knows our kinds.
async fn check(cluster: &Cluster) -> Result<()> {
    let api: Api<LBProducer> = Api::all(cluster.client().clone());
    let listed = api.list(&ListParams::default().limit(1)).await;
    listed.map(drop).map_err(|error| explain("ask the cluster for LBProducers", error))
}

/// The environment with what `up` decides: everything else is as for the roles alone.
fn settings(arguments: &UpArgs, variables: &Variables, tokens: &Tokens) -> Variables {
    let UpArgs { data_dir, git_api_address, configstore_address, watcher_address, actualizer_address } =
        arguments;
    let mut variables = variables.clone();
    // One process has one prefix of git users: the Actualizer's is the facades', too.
    if let Some(prefix) = variables.get("CUSTOMER_NAMESPACE").cloned() {
        variables.insert("REPO_PREFIX".to_owned(), prefix);
    }
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let decided = [
        ("GIT_API_LISTEN", git_api_address.to_string()),
        ("CONFIGSTORE_LISTEN", configstore_address.to_string()),
        ("WATCHER_LISTEN", watcher_address.to_string()),
        ("ACTUALIZER_ADDRESS", actualizer_address.to_string()),
        ("GIT_API_URL", url(*git_api_address)),
        ("CONFIGSTORE_URL", url(*configstore_address)),
        ("CONFIGSTORE_HOOK_URL", format!("{}/hook", url(*configstore_address))),
        ("GIT_DATA_DIR", path(&data_dir.join("git"))),
        ("AUTH_TOKENS_FILE", path(&tokens.table)),
        ("AUTH_SIGNING_KEY_FILE", path(&data_dir.join("signing-key.pem"))),
        ("SYSTEM_TOKEN_FILE", path(&tokens.system)),
    ];
    variables.entry("HOOK_SECRET".to_owned()).or_insert_with(|| tokens.hook_key.reveal().clone());
    variables.extend(decided.map(|(name, value)| (name.to_owned(), value)));
    variables
}

/// Where everything is, for people and scripts.
struct Places<'a> {
    git: String,
    store: String,
    watcher: String,
    actualizer: String,
    tokens: &'a Tokens,
}

/// Says it, and what to try.
fn announce(places: &Places<'_>, screen: &mut Screen) -> Result<()> {
    let Places { git, store, watcher, actualizer, tokens } = places;
    if screen.json() {
        screen.document(&json!({
            "gitApi": git, "configstore": store, "watcher": watcher, "actualizer": actualizer,
            "operatorTokenFile": tokens.operator, "systemTokenFile": tokens.system,
        }))?;
        return screen.flush();
    }
    let operator = tokens.operator.display();
    screen.line(format!("git-api      {git}"))?;
    screen.line(format!("configstore  {store}"))?;
    screen.line(format!("watcher      {watcher}/v2/channels/<producer>-<env>"))?;
    screen.line(format!("actualizer   {actualizer}/ready"))?;
    screen.line(format!("tokens       {operator} (operator), {} (roles)", tokens.system.display()))?;
    let options = format!("--git-api-url {git} --configstore-url {store} --token-file {operator}");
    screen.line(format!("try          lunchbadger producers create al {options}"))?;
    screen.flush()
}

/// The URL by which this machine reaches what listens there: one that listens everywhere is reached on loopback.
fn url(address: SocketAddr) -> String {
    let address = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], v4.port())),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], v6.port()))
        }
        SocketAddr::V4(_) | SocketAddr::V6(_) => address,
    };
    format!("http://{address}")
}
