//! git's smart HTTP: advertisements and fetches. Pushes are in `receive`.

use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::Inner;
use super::repository::Target;
use crate::answer::{Answer, answer, piece, whole};
use crate::error::HostError;
use crate::pkt;
use crate::process::{self, run};
use crate::spool::Spool;
use crate::types::{Advertisement, ByteStream, Rpc, Service};

/// An advertisement at most, bytes: ten thousand references with long names.
const MAX_ADVERTISEMENT: usize = 8 << 20;
const PATIENCE: Duration = Duration::from_secs(30);
/// What a client may want and have, bytes.
const MAX_WANTS: u64 = 16 << 20;
/// How long a fetch may take.
const WHOLE_FETCH: Duration = Duration::from_secs(30 * 60);
/// How long one waits for its turn.
pub(super) const TURN: Duration = Duration::from_secs(20);
/// When one may come again whose turn did not come.
const LATER: Duration = Duration::from_secs(5);

/// Answers `info/refs`.
pub(super) async fn advertise(
    inner: &Inner,
    target: &Target,
    request: &Advertisement,
) -> Result<ByteStream, HostError> {
    let protocol = pkt::protocol(request.service, request.protocol.as_deref());
    let doing = format!("advertise {}", target.name());
    let _turn = turn(&inner.gates.requests).await?;
    let command = service(inner, target, request.service, protocol, &["--advertise-refs"]);
    let refs = run(command, MAX_ADVERTISEMENT, PATIENCE).await.map_err(|error| error.host(doing))?;
    let mut body =
        if protocol == Some("version=2") { Vec::new() } else { pkt::service_line(request.service.as_str()) };
    body.extend(refs);
    Ok(whole(body))
}

/// Answers a fetch.
pub(super) async fn upload(inner: &Arc<Inner>, target: Target, rpc: Rpc) -> Result<ByteStream, HostError> {
    let body = Spool::receive(rpc.body, MAX_WANTS, &inner.scratch()).await?;
    if body.too_large {
        return Err(HostError::TooLarge { what: "the request".to_owned(), limit: MAX_WANTS });
    }
    let turns = (turn(&target.share.fetches).await?, turn(&inner.gates.fetches).await?);
    let protocol = pkt::protocol(Service::UploadPack, rpc.protocol.as_deref());
    let command = service(inner, &target, Service::UploadPack, protocol, &[]);
    let doing = format!("fetch {}", target.name());
    let child = start(command, body).await.map_err(HostError::io(format!("{doing}: run git")))?;
    let (writer, reader) = answer();
    let cancelled = inner.cancelled.clone();
    inner.tasks.spawn(async move {
        let _turns = turns;
        tokio::select! {
            () = pass_on(child, writer, &doing) => {}
            () = cancelled.cancelled() => {}
        }
    });
    Ok(reader)
}

/// Passes on what git prints until it or the reader ends.
async fn pass_on(mut child: Running, mut writer: Answer, doing: &str) {
    let Running { child: git, stdout, complaint } = &mut child;
    let work = async {
        loop {
            match piece(stdout).await {
                Ok(piece) if piece.is_empty() => return true,
                Ok(piece) => {
                    if !writer.send(piece).await {
                        return false;
                    }
                }
                Err(_) => return true,
            }
        }
    };
    if !timeout(WHOLE_FETCH, work).await.unwrap_or(false) {
        process::end(git).await;
        writer.fail("the fetch was given up").await;
        return;
    }
    match git.wait().await {
        Ok(status) if status.success() => {}
        Ok(status) => {
            // Most often the client's doing: a want that is not there, a connection that broke.
            let why = complaint.await.unwrap_or_default();
            tracing::debug!(doing, %status, why, "git upload-pack ended early");
            writer.fail(format!("git upload-pack: {status}")).await;
        }
        Err(error) => writer.fail(error.to_string()).await,
    }
}

/// git's half of a service.
pub(super) fn service(
    inner: &Inner,
    target: &Target,
    service: Service,
    protocol: Option<&str>,
    arguments: &[&str],
) -> Command {
    let mut command = inner.git.command(&target.directory);
    if service == Service::ReceivePack {
        command.arg("-c").arg(format!("receive.maxInputSize={}", inner.settings.push_bytes));
    }
    command.arg(service.as_str().trim_start_matches("git-"));
    command.arg("--stateless-rpc").args(arguments).arg(".");
    if let Some(protocol) = protocol {
        command.env("GIT_PROTOCOL", protocol);
    }
    command
}

/// A child that answers.
pub(super) struct Running {
    pub(super) child: Child,
    pub(super) stdout: tokio::process::ChildStdout,
    /// Its last words, once it has ended.
    pub(super) complaint: tokio::task::JoinHandle<String>,
}

/// Starts a service and gives it its body.
pub(super) async fn start(mut command: Command, body: Spool) -> io::Result<Running> {
    let (stdin, rest) = body.stdin().await?;
    let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(pipe) = child.stdin.take() {
        // Beside the reading: git may answer before it has read everything.
        tokio::spawn(feed(pipe, rest));
    }
    let complaint = tokio::spawn(process::complaint(child.stderr.take()));
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("a child without its pipe"))?;
    Ok(Running { child, stdout, complaint })
}

async fn feed(mut pipe: ChildStdin, rest: Vec<u8>) {
    // A child that does not want all of it says why by itself.
    let _ = pipe.write_all(&rest).await;
}

/// Waits for a turn, a little while.
pub(super) async fn turn(gate: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, HostError> {
    match timeout(TURN, Arc::clone(gate).acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) | Err(_) => Err(HostError::RateLimited { retry_after: LATER }),
    }
}
