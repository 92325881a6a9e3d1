//! A request's body, received whole before git sees any of it: in memory while it is small, in an unnamed file
//! otherwise. A slow or broken client thus holds neither a process nor a repository.

use std::fs::File;
use std::io::{self, Seek};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_util::io::ReaderStream;

use crate::error::HostError;
use crate::types::ByteStream;

/// What is kept in memory, bytes.
const IN_MEMORY: usize = 256 << 10;
/// The beginning that can be looked at, bytes.
const HEAD: usize = 1 << 20;
/// How long a client may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a whole body may take.
const WHOLE: Duration = Duration::from_secs(15 * 60);

/// A received body.
#[derive(Debug)]
pub(crate) struct Spool {
    memory: Vec<u8>,
    file: Option<tokio::fs::File>,
    /// It was larger than it may be; only its beginning is here.
    pub(crate) too_large: bool,
}

impl Spool {
    /// Receives a body. What is over `max` is read and dropped up to as much again, since git clients listen only when
    /// they have sent everything.
    pub(crate) async fn receive(body: ByteStream, max: u64, directory: &Path) -> Result<Self, HostError> {
        match timeout(WHOLE, Self::read(body, max, directory)).await {
            Ok(result) => result,
            Err(_) => Err(broken(&format!("it took longer than {} s", WHOLE.as_secs()))),
        }
    }

    async fn read(mut body: ByteStream, max: u64, directory: &Path) -> Result<Self, HostError> {
        let mut spool = Self { memory: Vec::new(), file: None, too_large: false };
        let mut size = 0_u64;
        loop {
            let part = match timeout(SILENCE, body.next()).await {
                Ok(None) => break,
                Ok(Some(Ok(part))) => part,
                Ok(Some(Err(error))) => return Err(broken(&error.to_string())),
                Err(_) => return Err(broken(&format!("nothing came for {} s", SILENCE.as_secs()))),
            };
            size += part.len() as u64;
            spool.too_large |= size > max;
            if size > max.saturating_mul(2) {
                return Err(HostError::TooLarge { what: "the request".to_owned(), limit: max });
            }
            if !spool.too_large {
                spool.add(&part, directory).await.map_err(HostError::io("keep a request's body"))?;
            }
        }
        if let Some(file) = &mut spool.file {
            file.flush().await.map_err(HostError::io("keep a request's body"))?;
        }
        Ok(spool)
    }

    async fn add(&mut self, part: &Bytes, directory: &Path) -> io::Result<()> {
        if self.file.is_none() && self.memory.len() + part.len() <= IN_MEMORY {
            self.memory.extend_from_slice(part);
            return Ok(());
        }
        if self.file.is_none() {
            let directory = directory.to_owned();
            let file = tokio::task::spawn_blocking(move || tempfile::tempfile_in(directory)).await??;
            self.file = Some(tokio::fs::File::from_std(file));
        }
        if let Some(file) = &mut self.file {
            file.write_all(&std::mem::take(&mut self.memory)).await?;
            file.write_all(part).await?;
        }
        Ok(())
    }

    /// The body's beginning, at most 1 MiB.
    pub(crate) async fn head(&mut self) -> Result<Vec<u8>, HostError> {
        let Some(file) = self.file.take() else { return Ok(self.memory.clone()) };
        let file = file.into_std().await;
        let (head, file) = tokio::task::spawn_blocking(move || (read_head(&file), file))
            .await
            .map_err(|error| HostError::io("look at a request's body")(error.into()))?;
        self.file = Some(tokio::fs::File::from_std(file));
        head.map_err(HostError::io("look at a request's body"))
    }

    /// A child's standard input that has this body, and what must be written to it where it is a pipe.
    pub(crate) async fn stdin(self) -> io::Result<(Stdio, Vec<u8>)> {
        match self.file {
            None => Ok((Stdio::piped(), self.memory)),
            Some(file) => {
                let mut file: File = file.into_std().await;
                file.rewind()?;
                Ok((Stdio::from(file), Vec::new()))
            }
        }
    }

    /// The body once more, and its length in bytes.
    pub(crate) async fn into_stream(self) -> io::Result<(u64, ByteStream)> {
        match self.file {
            None => Ok((self.memory.len() as u64, crate::answer::whole(self.memory))),
            Some(mut file) => {
                file.rewind().await?;
                let length = file.metadata().await?.len();
                Ok((length, ReaderStream::with_capacity(file, 64 << 10).boxed()))
            }
        }
    }
}

fn read_head(file: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD];
    let mut length = 0;
    while length < HEAD {
        match file.read_at(&mut head[length..], length as u64)? {
            0 => break,
            count => length += count,
        }
    }
    head.truncate(length);
    Ok(head)
}

fn broken(why: &str) -> HostError {
    HostError::refused(format!("the request did not arrive whole: {why}"))
}
