//! What a process prints: passed on to the container's log, and its end kept.

use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lb_http::contract::supervisor::OUTPUT_LIMIT;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

/// How long the end of an output is waited for when its process is gone.
const REST: Duration = Duration::from_millis(500);

/// The end of an output.
#[derive(Debug, Default)]
pub(super) struct Output {
    end: Arc<Mutex<VecDeque<u8>>>,
    pumps: JoinSet<()>,
}

/// Has a command's output come to us.
pub(super) fn piped(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped())
}

impl Output {
    /// Reads what a child prints.
    pub(super) fn of(child: &mut Child) -> Self {
        let mut output = Self::default();
        if let Some(stdout) = child.stdout.take() {
            output.pumps.spawn(pump(stdout, Arc::clone(&output.end)));
        }
        if let Some(stderr) = child.stderr.take() {
            output.pumps.spawn(pump(stderr, Arc::clone(&output.end)));
        }
        output
    }

    /// What was printed last; of a process that is gone.
    pub(super) async fn rest(&mut self) -> String {
        let all = async { while self.pumps.join_next().await.is_some() {} };
        // Whoever inherited the pipe may keep it open.
        let _late = tokio::time::timeout(REST, all).await;
        self.now()
    }

    /// What was printed last.
    pub(super) fn now(&self) -> String {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(end.make_contiguous()).into_owned()
    }
}

async fn pump(mut from: impl AsyncRead + Unpin, end: Arc<Mutex<VecDeque<u8>>>) {
    let (mut buffer, mut log) = ([0; 8192], tokio::io::stdout());
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let piece = &buffer[..read];
        {
            let mut end = end.lock().unwrap_or_else(PoisonError::into_inner);
            end.extend(piece);
            let old = end.len().saturating_sub(OUTPUT_LIMIT);
            end.drain(..old);
        }
        // A log that takes nothing any more does not stop the app.
        let _unlogged = log.write_all(piece).await;
        let _unlogged = log.flush().await;
    }
}
