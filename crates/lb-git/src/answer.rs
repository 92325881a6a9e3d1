//! An answer that a task writes and a client reads, a few pieces apart.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::types::ByteStream;

/// Pieces between the writer and the reader.
const PIECES: usize = 4;
/// A piece at most, bytes.
const PIECE: usize = 64 << 10;
/// How long a reader may take for one piece.
const PATIENCE: Duration = Duration::from_secs(60);

/// The writing end. Once the reader is gone, writing does nothing.
#[derive(Debug)]
pub(crate) struct Answer(Option<mpsc::Sender<Result<Bytes, io::Error>>>);

/// Both ends.
pub(crate) fn answer() -> (Answer, ByteStream) {
    let (sender, mut receiver) = mpsc::channel(PIECES);
    (Answer(Some(sender)), futures::stream::poll_fn(move |context| receiver.poll_recv(context)).boxed())
}

/// An answer that is known as a whole.
pub(crate) fn whole(bytes: Vec<u8>) -> ByteStream {
    futures::stream::iter([Ok(Bytes::from(bytes))]).boxed()
}

impl Answer {
    /// Writes a piece; `false`: nobody reads any more.
    pub(crate) async fn send(&mut self, bytes: impl Into<Bytes>) -> bool {
        let bytes = bytes.into();
        if !bytes.is_empty() {
            self.pass(Ok(bytes)).await;
        }
        self.0.is_some()
    }

    /// Breaks the answer off, which a client notices.
    pub(crate) async fn fail(&mut self, why: impl Into<String>) {
        self.pass(Err(io::Error::other(why.into()))).await;
        self.0 = None;
    }

    async fn pass(&mut self, piece: Result<Bytes, io::Error>) {
        if let Some(sender) = &self.0
            && !matches!(timeout(PATIENCE, sender.send(piece)).await, Ok(Ok(())))
        {
            self.0 = None;
        }
    }
}

/// The next piece that a child prints; empty at the end.
pub(crate) async fn piece(pipe: &mut (impl AsyncRead + Unpin)) -> io::Result<Bytes> {
    let mut piece = bytes::BytesMut::with_capacity(PIECE);
    pipe.read_buf(&mut piece).await?;
    Ok(piece.freeze())
}
