//! The load generator: webhooks that nobody signed, from one core, over connections that are kept.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

/// A forged body, bytes: as large as Gitea's own are.
const FORGED: usize = 6 << 10;
/// What an oversized one says that it is, bytes: twice what is read.
const OVERSIZED: usize = 2 << 20;
/// What of an oversized one is sent where its size is said before.
const BEGIN: usize = 64 << 10;
/// Every so many requests one is oversized, and says so.
const DECLARED: u64 = 16;
/// Every so many requests one is oversized, and does not say so.
const CHUNKED: u64 = 512;
/// An answer that does not come within this is none.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends forged webhooks. Run by `cargo xtask bench`, as a process of its own.
#[derive(clap::Args)]
pub(crate) struct Load {
    /// Where to.
    #[arg(long)]
    address: SocketAddr,
    /// The path, with its query.
    #[arg(long)]
    path: String,
    /// Connections.
    #[arg(long)]
    connections: u64,
    /// Requests a second, all connections together.
    #[arg(long)]
    rate: u64,
    /// For so long.
    #[arg(long)]
    seconds: u64,
}

/// What happened.
#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    refused: AtomicU64,
    accepted: AtomicU64,
    cut: AtomicU64,
    connected: AtomicU64,
}

/// Sends, and prints what happened.
pub(crate) fn load(arguments: &Load) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let counts = Arc::new(Counts::default());
    let begin = std::time::Instant::now();
    runtime.context("start the async runtime")?.block_on(async {
        let begin = Instant::now();
        let one = |number| connection(arguments, number, begin, Arc::clone(&counts));
        futures::future::join_all((0..arguments.connections).map(one)).await;
    });
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let Counts { sent, refused, accepted, cut, connected } = &*counts;
    println!(
        "{}",
        json!({
            "sent": of(sent), "refused": of(refused), "accepted": of(accepted), "cut": of(cut),
            "connected": of(connected), "seconds": begin.elapsed().as_secs_f64(),
        })
    );
    Ok(())
}

/// One connection, made anew where the server ends it.
async fn connection(arguments: &Load, number: u64, begin: Instant, counts: Arc<Counts>) {
    let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
    let requests = Requests::new(arguments);
    let end = begin + Duration::from_secs(arguments.seconds);
    let step = Duration::from_secs(1).mul_f64(arguments.connections as f64 / arguments.rate as f64);
    let mut next = begin + step.mul_f64(number as f64 / arguments.connections as f64);
    let mut stream = None;
    for index in number.. {
        sleep_until(next).await;
        next += step;
        if Instant::now() >= end {
            return;
        }
        let connected = match stream.take() {
            Some(stream) => stream,
            None => {
                let Ok(made) = TcpStream::connect(arguments.address).await else { continue };
                count(&counts.connected);
                made
            }
        };
        count(&counts.sent);
        match timeout(PATIENCE, ask(connected, requests.get(index))).await {
            Ok(Ok((status, kept))) => {
                count(if status < 300 { &counts.accepted } else { &counts.refused });
                stream = kept;
            }
            Ok(Err(_)) | Err(_) => drop(count(&counts.cut)),
        }
    }
}

/// The requests that are sent, made once.
struct Requests {
    forged: Vec<u8>,
    declared: Vec<u8>,
    chunked: Vec<u8>,
}

impl Requests {
    fn new(arguments: &Load) -> Self {
        let head = |length: &str| {
            format!(
                "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nX-Gitea-Event: push\r\n\
                 X-Gitea-Signature: {}\r\n{length}\r\n\r\n",
                arguments.path,
                arguments.address,
                "ab".repeat(32)
            )
            .into_bytes()
        };
        let with = |mut head: Vec<u8>, body: usize| {
            head.resize(head.len() + body, b'x');
            head
        };
        let mut chunked = head("Transfer-Encoding: chunked");
        for _ in 0..OVERSIZED / BEGIN {
            chunked.extend_from_slice(format!("{BEGIN:x}\r\n").as_bytes());
            chunked.resize(chunked.len() + BEGIN, b'x');
            chunked.extend_from_slice(b"\r\n");
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        Self {
            forged: with(head(&format!("Content-Length: {FORGED}")), FORGED),
            declared: with(head(&format!("Content-Length: {OVERSIZED}")), BEGIN),
            chunked,
        }
    }

    fn get(&self, index: u64) -> &[u8] {
        match index {
            _ if index % CHUNKED == CHUNKED - 1 => &self.chunked,
            _ if index % DECLARED == DECLARED - 1 => &self.declared,
            _ => &self.forged,
        }
    }
}

/// Sends a request and reads the answer: its status, and the connection where it is kept.
async fn ask(mut stream: TcpStream, request: &[u8]) -> Result<(u16, Option<TcpStream>)> {
    // A server that has heard enough answers and reads no further: what it says is read all the same.
    let sent = stream.write_all(request).await;
    let mut answer = Vec::with_capacity(1024);
    loop {
        if let Some((status, length, kept)) = head(&answer)
            && answer.len() >= length
        {
            return Ok((status, (kept && sent.is_ok()).then_some(stream)));
        }
        if stream.read_buf(&mut answer).await.context("read an answer")? == 0 {
            bail!("the connection was cut");
        }
    }
}

/// Status, length with the body, and whether the connection stays, once the head is there.
fn head(answer: &[u8]) -> Option<(u16, usize, bool)> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&answer[..end]).ok()?.to_ascii_lowercase();
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let body: usize = field("content-length:").and_then(|length| length.parse().ok()).unwrap_or(0);
    Some((status, end + 4 + body, field("connection:") != Some("close")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_known_by_its_head() {
        let text = b"HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(head(text), Some((413, text.len(), false)));
        assert_eq!(head(b"HTTP/1.1 200 OK\r\n\r\n"), Some((200, 19, true)));
        assert_eq!(head(b"HTTP/1.1 200 OK\r\n"), None);
    }
}
