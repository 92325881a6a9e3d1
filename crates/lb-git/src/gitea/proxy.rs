//! Smart HTTP, passed on to Gitea: requests are received whole first, so that a slow client holds nothing there, and
//! answers are streamed in bounded memory.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use http::{Method, header};
use lb_vocab::{GitUser, RepoName};
use tokio::time::timeout;

use super::api::Failure;
use super::{Inner, git_path};
use crate::answer::{Answer, answer, whole};
use crate::error::HostError;
use crate::pkt::{Commands, Tail};
use crate::push::{remarks, too_large};
use crate::spool::Spool;
use crate::types::{Advertisement, ByteStream, Rpc, Service};

/// What a client may want and have, bytes.
const MAX_WANTS: u64 = 16 << 20;
/// An answer may be silent for so long, and take so long as a whole.
const SILENCE: Duration = Duration::from_secs(60);
const WHOLE_FETCH: Duration = Duration::from_secs(30 * 60);

/// Answers `info/refs`.
pub(super) async fn advertise(
    inner: &Arc<Inner>,
    user: &GitUser,
    repo: &RepoName,
    request: &Advertisement,
) -> Result<ByteStream, HostError> {
    let doing = format!("advertise {user}/{repo}");
    let mut path = git_path(user, repo)?;
    path.extend(["info".to_owned(), "refs".to_owned()]);
    let service = request.service;
    let response = inner
        .api
        .smart(&doing, &path, |http, url| {
            let request_to = http.get(url).query(&[("service", service.as_str())]);
            protocol(request_to, service, request.protocol.as_deref())
        })
        .await;
    let response = refused(inner, user, repo, &doing, response).await?;
    Ok(streamed(inner, response, doing))
}

/// Answers a fetch.
pub(super) async fn upload(
    inner: &Arc<Inner>,
    user: &GitUser,
    repo: &RepoName,
    rpc: Rpc,
) -> Result<ByteStream, HostError> {
    let doing = format!("fetch {user}/{repo}");
    let body = Spool::receive(rpc.body, MAX_WANTS, &inner.settings.directory.join("tmp")).await?;
    if body.too_large {
        return Err(HostError::TooLarge { what: "the request".to_owned(), limit: MAX_WANTS });
    }
    let response =
        send(inner, user, repo, &doing, Service::UploadPack, rpc.protocol.as_deref(), body).await?;
    Ok(streamed(inner, response, doing))
}

/// Answers a push. It goes on without its client, and what it moved is found by looking.
pub(super) async fn receive(
    inner: &Arc<Inner>,
    user: &GitUser,
    repo: &RepoName,
    rpc: Rpc,
) -> Result<ByteStream, HostError> {
    let limit = inner.settings.push_bytes;
    let mut body = Spool::receive(rpc.body, limit, &inner.settings.directory.join("tmp")).await?;
    let commands =
        Commands::parse(&body.head().await?).map_err(|nonsense| HostError::refused(nonsense.to_string()))?;
    if body.too_large {
        return Ok(whole(commands.refusal(&too_large(limit))));
    }
    let doing = format!("push to {user}/{repo}");
    let response = send(inner, user, repo, &doing, Service::ReceivePack, None, body).await?;
    let (mut writer, reader) = answer();
    let (inner_too, user, repo) = (Arc::clone(inner), user.clone(), repo.clone());
    inner.tasks.spawn(async move {
        let mut tail = commands.side_band().then(Tail::default);
        let passed = pass_on(response, &mut writer, tail.as_mut()).await;
        if let Err(error) = inner_too.look(&user, &repo, rpc.actor.as_ref()).await {
            tracing::warn!(%error, "what a push moved is found by the next sweep");
        }
        // Not what this look noted: the push's webhook may have led to an earlier one.
        let moved = inner_too.journal.known(|known| {
            known.repository(&user, &repo).map_or_else(Vec::new, |known| commands.fulfilled(&known.refs))
        });
        if let Err(why) = passed {
            tracing::warn!(doing, why, "a push broke off");
            writer.fail(why).await;
        }
        let lines = remarks(rpc.on_received, moved).await;
        if let Some(tail) = tail {
            writer.send(tail.finish(&lines)).await;
        }
    });
    Ok(reader)
}

async fn send(
    inner: &Inner,
    user: &GitUser,
    repo: &RepoName,
    doing: &str,
    service: Service,
    version: Option<&str>,
    body: Spool,
) -> Result<reqwest::Response, HostError> {
    let mut path = git_path(user, repo)?;
    path.push(service.as_str().to_owned());
    let (length, body) =
        body.into_stream().await.map_err(HostError::io(format!("{doing}: read its request again")))?;
    let response = inner
        .api
        .smart(doing, &path, |http, url| {
            let request = http
                .request(Method::POST, url)
                .header(header::CONTENT_TYPE, format!("application/x-{}-request", service.as_str()))
                .header(header::CONTENT_LENGTH, length)
                .body(reqwest::Body::wrap_stream(body));
            protocol(request, service, version)
        })
        .await;
    refused(inner, user, repo, doing, response).await
}

/// Passes `Git-Protocol` on, where it is one of git's words; pushes know one version only.
fn protocol(
    request: reqwest::RequestBuilder,
    service: Service,
    header: Option<&str>,
) -> reqwest::RequestBuilder {
    match crate::pkt::protocol(service, header) {
        Some(version) => request.header("git-protocol", version),
        None => request,
    }
}

async fn refused(
    inner: &Inner,
    user: &GitUser,
    repo: &RepoName,
    doing: &str,
    response: Result<reqwest::Response, Failure>,
) -> Result<reqwest::Response, HostError> {
    match response {
        Ok(response) => Ok(response),
        Err(Failure::Absent) => Err(inner.missing(user, repo).await),
        Err(failure) => Err(failure.host(doing)),
    }
}

/// An answer that is passed on until it, its reader or the process ends.
fn streamed(inner: &Arc<Inner>, response: reqwest::Response, doing: String) -> ByteStream {
    let (mut writer, reader) = answer();
    let (cancelled, streams) = (inner.cancelled.clone(), Arc::clone(&inner.streams));
    inner.tasks.spawn(async move {
        let passing = async {
            let _turn = streams.acquire_owned().await;
            timeout(WHOLE_FETCH, pass_on(response, &mut writer, None)).await
        };
        let passed = tokio::select! {
            passed = passing => passed,
            () = cancelled.cancelled() => Ok(Err("this process ends".to_owned())),
        };
        let why = match passed {
            Ok(Ok(())) => return,
            Ok(Err(why)) => why,
            Err(_) => "it took too long".to_owned(),
        };
        tracing::debug!(doing, why, "an answer of Gitea broke off");
        writer.fail(why).await;
    });
    reader
}

async fn pass_on(
    response: reqwest::Response,
    writer: &mut Answer,
    mut tail: Option<&mut Tail>,
) -> Result<(), String> {
    let mut pieces = response.bytes_stream();
    loop {
        let piece = match timeout(SILENCE, pieces.next()).await {
            Ok(Some(Ok(piece))) => piece,
            Ok(Some(Err(_))) => return Err("Gitea's answer broke off".to_owned()),
            Ok(None) => return Ok(()),
            Err(_) => return Err(format!("nothing came from Gitea for {} s", SILENCE.as_secs())),
        };
        let goes_on = match tail.as_deref_mut() {
            Some(tail) => {
                writer.send(tail.feed(&piece)).await;
                // A push is heard to its end, whoever listens.
                true
            }
            None => writer.send(piece).await,
        };
        if !goes_on {
            return Ok(());
        }
    }
}
