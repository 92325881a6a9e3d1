//! `login` and `logout`.

use std::future::IntoFuture;
use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::extract::{Query, State};
use axum::response::Html;
use axum::routing::get;
use lb_http::auth::pkce;
use lb_http::contract::Timeouts;
use lb_http::contract::git_api::{Issued, Login, SignIn};
use lb_vocab::Secret;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::cli::LoginArgs;
use crate::connect::Connect;
use crate::exit::Exit;
use crate::screen::{Screen, printable};

/// How long somebody may take in the browser.
const PATIENCE: Duration = Duration::from_mins(10);
/// How long the browser may take for the answer that it can be closed.
const FAREWELL: Duration = Duration::from_secs(1);
/// A personal access token at most, bytes.
const MAX_TOKEN: u64 = 4096;
const DONE: &str =
    "<!doctype html><title>LunchBadger</title><p>This window can be closed: see the command line.";

/// Signs in, tries it, and keeps it.
pub(crate) async fn run(arguments: &LoginArgs, connect: &Connect<'_>, screen: &mut Screen) -> Result<Exit> {
    let url = connect.git_api_url()?;
    let doors = SignIn::new(url.clone(), Timeouts::default())?;
    let login = match &arguments.user {
        Some(user) => Login::Token { login: user.clone(), token: from_standard_input()? },
        None => in_a_browser(&url, &doors, screen).await?,
    };
    let issued = doors.token(&login, lb_services::git_api::AUDIENCE).await;
    let Issued { login: name, .. } = issued.context("the sign-in is not accepted")?;
    let logins = connect.logins()?;
    let path = logins.path().to_owned();
    logins.keep(&url, &login)?;
    if screen.json() {
        screen.document(&json!({"login": name, "gitApi": url}))?;
    } else {
        screen.line(format!("signed in to {url} as {}", printable(&name)))?;
        screen.note(format!("kept in {}, until `lunchbadger logout`", path.display()))?;
    }
    Ok(Exit::Clean)
}

/// Forgets a login.
pub(crate) fn forget(connect: &Connect<'_>, screen: &mut Screen) -> Result<Exit> {
    let url = connect.git_api_url()?;
    let said = if connect.logins()?.forget(&url)? { "signed out of" } else { "nobody was signed in to" };
    screen.line(format!("{said} {url}"))?;
    Ok(Exit::Clean)
}

fn from_standard_input() -> Result<Secret> {
    let mut text = String::new();
    std::io::stdin()
        .take(MAX_TOKEN)
        .read_to_string(&mut text)
        .context("read the token from standard input")?;
    match text.trim() {
        "" => bail!(
            "standard input is empty: `lunchbadger login --user LOGIN < FILE` reads a personal access token from it"
        ),
        token => Ok(Secret::new(token.to_owned())),
    }
}

/// What the browser comes back with.
#[derive(Deserialize)]
struct Back {
    state: String,
    code: Option<Secret>,
    error: Option<String>,
}

/// Shows the page of the git host, and waits here for the browser to come back (RFC 8252).
async fn in_a_browser(git_api: &Url, doors: &SignIn, screen: &mut Screen) -> Result<Login> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("wait for the browser on this machine")?;
    let here = format!("http://{}/", listener.local_addr().context("read the port to wait on")?);
    let (verifier, state) = (pkce::verifier()?, pkce::verifier()?);
    let mut page = git_api.clone();
    if let Ok(mut segments) = page.path_segments_mut() {
        segments.pop_if_empty().push("login");
    }
    page.query_pairs_mut()
        .append_pair("redirect_uri", &here)
        .append_pair("state", state.reveal())
        .append_pair("code_challenge", &pkce::challenge(&verifier));
    screen.note(format!("open this page in a browser on this machine, and come back here:\n\n  {page}\n"))?;
    let (sender, mut receiver) = mpsc::channel(4);
    let take = async |State(sender): State<mpsc::Sender<Back>>, Query(back): Query<Back>| {
        let _ = sender.try_send(back);
        Html(DONE)
    };
    let waiting = Router::new().route("/", get(take)).with_state(sender);
    let enough = CancellationToken::new();
    let graceful = axum::serve(listener, waiting).with_graceful_shutdown(enough.clone().cancelled_owned());
    let serving = tokio::spawn(graceful.into_future());
    let coming = async {
        loop {
            match receiver.recv().await {
                // Other pages in the browser can call here, too: theirs does not know the state.
                Some(back) if back.state == *state.reveal() => break Some(back),
                Some(_) => {}
                None => break None,
            }
        }
    };
    let back = tokio::time::timeout(PATIENCE, coming).await;
    // The browser gets its answer, but a connection that it keeps does not hold us up.
    enough.cancel();
    let _ = tokio::time::timeout(FAREWELL, serving).await;
    let back = back.ok().flatten().context("nobody came back from the browser within ten minutes")?;
    let Some(code) = back.code else {
        bail!("the git host did not sign you in: {}", printable(&back.error.unwrap_or_default()));
    };
    let issued = doors.session(&code, &verifier).await.context("the sign-in is not accepted")?;
    Ok(Login::Session(issued.token))
}
