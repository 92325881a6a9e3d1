//! Pushes.
//!
//! The body is received whole, then git takes it in (quarantined, checked, capped) while no other push to the same
//! repository runs. What moved is found by comparing references with the journal, so that nothing depends on what git
//! prints or on how it ended. A push that has begun goes on without its client.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Inner;
use super::repository::{Target, Usage, repair};
use super::smart::{TURN, service, start, turn};
use crate::answer::{Answer, answer, piece, whole};
use crate::error::HostError;
use crate::files::blocking;
use crate::names::{Login, RefName};
use crate::pkt::{Commands, Tail};
use crate::process;
use crate::push::{remarks, size, too_large};
use crate::spool::Spool;
use crate::types::{ByteStream, ReceivedHook, Rpc, Service};

/// References that one push may move.
const MAX_COMMANDS: usize = 2000;
/// References of a repository.
const MAX_REFS: usize = 10_000;
/// How long git may take to take a pack in.
const WHOLE_PUSH: Duration = Duration::from_secs(5 * 60);

/// A push whose body is here.
struct Push {
    target: Target,
    commands: Commands,
    body: Spool,
    actor: Option<Login>,
    on_received: Option<ReceivedHook>,
}

/// Answers a push.
pub(super) async fn receive(inner: &Arc<Inner>, target: Target, rpc: Rpc) -> Result<ByteStream, HostError> {
    let arriving = (turn(&target.share.arriving).await?, turn(&inner.gates.arriving).await?);
    let mut body = Spool::receive(rpc.body, inner.settings.push_bytes, &inner.scratch()).await?;
    let commands =
        Commands::parse(&body.head().await?).map_err(|nonsense| HostError::refused(nonsense.to_string()))?;
    if commands.list.is_empty() {
        return Ok(whole(Vec::new()));
    }
    let push = Push { target, commands, body, actor: rpc.actor, on_received: rpc.on_received };
    let (writer, reader) = answer();
    let inner_too = Arc::clone(inner);
    inner.tasks.spawn(async move {
        let _arriving = arriving;
        run(&inner_too, push, writer).await;
    });
    Ok(reader)
}

async fn run(inner: &Arc<Inner>, push: Push, mut writer: Answer) {
    let Push { target, commands, body, actor, on_received } = push;
    let Ok(mut usage) = timeout(TURN * 3, target.live.pushing.lock()).await else {
        writer.send(commands.refusal("other pushes to this repository take too long: try again")).await;
        return;
    };
    let turns = match tokio::try_join!(turn(&target.share.taking), turn(&inner.gates.taking)) {
        Ok(turns) => turns,
        Err(busy) => {
            writer.send(commands.refusal(&busy.to_string())).await;
            return;
        }
    };
    match refusal(inner, &target, &commands, &body, &mut usage).await {
        Ok(None) => {}
        Ok(Some(reason)) => {
            writer.send(commands.refusal(&reason)).await;
            return;
        }
        Err(error) => {
            tracing::error!(repository = target.name(), %error, "a push cannot be taken in");
            writer.send(commands.refusal("the git host has a problem of its own: try again later")).await;
            return;
        }
    }
    let mut tail = commands.side_band().then(Tail::default);
    let taken = take_in(inner, &target, body, &mut writer, tail.as_mut()).await;
    let moved = match inner.observe(&target, actor.as_ref()).await {
        Ok(moved) => moved,
        Err(error) => {
            tracing::error!(repository = target.name(), %error, "a push is not in the journal yet");
            Vec::new()
        }
    };
    *usage = None;
    drop((usage, turns));
    if let Err(error) = taken {
        tracing::warn!(repository = target.name(), %error, "a push broke off");
        writer.fail(error.to_string()).await;
    }
    let lines = remarks(on_received, moved).await;
    if let Some(tail) = tail {
        writer.send(tail.finish(&lines)).await;
    }
    drop(writer);
    inner.maintain_where_needed(&target).await;
}

/// Why this push cannot be, in words for its pusher.
async fn refusal(
    inner: &Inner,
    target: &Target,
    commands: &Commands,
    body: &Spool,
    usage: &mut Option<Usage>,
) -> Result<Option<String>, HostError> {
    let (push_bytes, limit) = (inner.settings.push_bytes, inner.settings.repository_bytes);
    if body.too_large {
        return Ok(Some(too_large(push_bytes)));
    }
    if commands.list.len() > MAX_COMMANDS {
        return Ok(Some(format!("a push moves at most {MAX_COMMANDS} references")));
    }
    if let Some(bad) = commands.list.iter().find(|command| command.checked.is_none()) {
        return Ok(Some(format!("`{}` is not a reference name", process::printable(&bad.name))));
    }
    let creates = commands.list.iter().filter(|command| command.new.is_some()).count();
    let known = inner
        .journal
        .known(|known| known.repository(&target.user, &target.repo).map_or(0, |known| known.refs.len()));
    if known + creates > MAX_REFS {
        return Ok(Some(format!("a repository has at most {MAX_REFS} references")));
    }
    let deletes =
        |name: &RefName| commands.list.iter().any(|c| c.new.is_none() && c.checked.as_ref() == Some(name));
    if inner.settings.keep_master && deletes(&RefName::master()) {
        return Ok(Some("`master` is what is deployed: it cannot be deleted".to_owned()));
    }
    let now = match *usage {
        Some(usage) => usage,
        None => inner.usage(target).await?,
    };
    *usage = Some(now);
    // Deleting needs no room, and is how one makes some.
    Ok((now.bytes > limit && creates > 0).then(|| format!("the repository is larger than {}", size(limit))))
}

/// Lets git take the body in, and passes its answer on.
async fn take_in(
    inner: &Inner,
    target: &Target,
    body: Spool,
    writer: &mut Answer,
    mut tail: Option<&mut Tail>,
) -> Result<(), HostError> {
    let doing = || format!("push to {}", target.name());
    let command = service(inner, target, Service::ReceivePack, None, &[]);
    let mut running = start(command, body).await.map_err(HostError::io(doing()))?;
    let work = async {
        loop {
            let piece = piece(&mut running.stdout).await?;
            if piece.is_empty() {
                return running.child.wait().await;
            }
            match tail.as_deref_mut() {
                Some(tail) => writer.send(tail.feed(&piece)).await,
                None => writer.send(piece).await,
            };
        }
    };
    let ended = timeout(WHOLE_PUSH, work).await;
    let why = match ended {
        Ok(Ok(status)) if status.success() => return Ok(()),
        Ok(Ok(status)) => format!("{} ({status})", running.complaint.await.unwrap_or_default()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("it took longer than {} s", WHOLE_PUSH.as_secs()),
    };
    process::end(&mut running.child).await;
    let _tidying = target.live.tidying.lock().await;
    let directory = target.directory.clone();
    blocking(move || repair(&directory).map_err(HostError::io(format!("clean up {}", directory.display()))))
        .await?;
    Err(HostError::Git { doing: doing(), why })
}
