//! The channel between a workspace's API container and the supervisor in the app's own container.
//!
//! The supervisor shares its container with the producer's code, so whatever calls may be that code: what is served here is
//! the producer's own project, and what is heard changes a status and a document, both within limits.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use http::{Method, StatusCode};
use lb_vocab::{Blob, CommitId, SafePath, Tree};
use serde::{Deserialize, Serialize};
use url::Url;

use super::client::Caller;
use super::{ClientError, Timeouts, TokenSource};
use crate::error::ApiError;

/// The largest report of a state, bytes of its JSON.
pub const REPORT_LIMIT: usize = 512 << 10;
/// An app's last words, bytes; what was before them is dropped.
pub const OUTPUT_LIMIT: usize = 64 << 10;
/// The largest OpenAPI document, bytes.
pub const DOCUMENT_LIMIT: usize = 1 << 20;
/// Refuses an OpenAPI document, at each of the doors through which one comes.
#[must_use]
pub fn refused_document(problem: String) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "DOCUMENT_REFUSED", problem)
}

/// The largest file, bytes: a clone keeps none that is larger.
const FILE_LIMIT: usize = 256 << 20;
/// A line before a file: path and size.
const LINE_LIMIT: usize = 8 << 10;
const ORDER_LIMIT: usize = 4 << 10;
const ANSWER_LIMIT: usize = 64 << 10;

/// What the API container tells the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "camelCase")]
pub enum Order {
    /// The first one: under this name the supervisor is heard, until another one connects.
    Session {
        /// The name.
        id: String,
    },
    /// The files are those of this commit.
    Files {
        /// The commit.
        commit: CommitId,
    },
    /// Start the app anew.
    Restart,
    /// Install its dependencies anew, then start it.
    Reinstall,
}

/// How the app is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum Report {
    /// Its dependencies are being installed.
    Installing,
    /// It was started and does not listen yet.
    Starting,
    /// It listens.
    Running,
    /// It ended, or does not do what an app does.
    Crashed {
        /// Why, and what it printed.
        output: String,
    },
}

/// A line of the answer with the files.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    /// A file, whose content follows.
    File { path: SafePath, size: usize },
    /// The end: without it the answer was cut.
    End { commit: CommitId },
}

/// The files of a commit as they go over the wire, one after the other. Links and what was too large to be read are left out.
pub fn files(commit: CommitId, tree: Arc<Tree>) -> impl Stream<Item = Bytes> + Send + 'static {
    let next = move |after: Option<SafePath>| {
        let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let file = tree.files.range((from, Bound::Unbounded)).find_map(|(path, blob)| match blob {
            Blob::File(content) => Some((path, content)),
            Blob::Symlink | Blob::Submodule | Blob::TooLarge { .. } => None,
        });
        let (line, content) = match file {
            Some((path, content)) => (Line::File { path: path.clone(), size: content.len() }, &content[..]),
            None => (Line::End { commit: commit.clone() }, &b""[..]),
        };
        let mut piece = serde_json::to_vec(&line).unwrap_or_default();
        piece.push(b'\n');
        piece.extend_from_slice(content);
        (Bytes::from(piece), file.map(|(path, _)| path.clone()))
    };
    futures::stream::unfold(Some(None), move |at| {
        let step = at.map(|after| {
            let (piece, path) = next(after);
            (piece, path.map(Some))
        });
        std::future::ready(step)
    })
}

/// The files of a commit as they come over the wire.
pub struct Files {
    what: String,
    pieces: BoxStream<'static, Result<Bytes, ClientError>>,
    read: VecDeque<u8>,
    commit: Option<CommitId>,
}

impl Files {
    /// The next file; `None` after the last.
    ///
    /// # Errors
    /// Where the answer breaks off, or is none.
    pub async fn next(&mut self) -> Result<Option<(SafePath, Vec<u8>)>, ClientError> {
        if self.commit.is_some() {
            return Ok(None);
        }
        let end = loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                break end;
            }
            if self.read.len() > LINE_LIMIT {
                return Err(self.malformed("a line is too long"));
            }
            self.more().await?;
        };
        let line: Vec<u8> = self.read.drain(..=end).collect();
        match serde_json::from_slice(&line).map_err(|error| self.malformed(error.to_string()))? {
            Line::End { commit } => {
                self.commit = Some(commit);
                Ok(None)
            }
            Line::File { path, size } if size <= FILE_LIMIT => {
                while self.read.len() < size {
                    self.more().await?;
                }
                Ok(Some((path, self.read.drain(..size).collect())))
            }
            Line::File { path, size } => Err(self.malformed(format!("`{path}` has {size} bytes"))),
        }
    }

    /// The commit whose files they were, once all have come.
    #[must_use]
    pub fn commit(&self) -> Option<&CommitId> {
        self.commit.as_ref()
    }

    async fn more(&mut self) -> Result<(), ClientError> {
        match self.pieces.next().await {
            Some(piece) => {
                self.read.extend(piece?);
                Ok(())
            }
            None => Err(self.malformed("it broke off")),
        }
    }

    fn malformed(&self, why: impl Into<String>) -> ClientError {
        ClientError::Malformed { what: self.what.clone(), why: why.into() }
    }
}

/// The supervisor's end of the channel.
#[derive(Clone, Debug)]
pub struct Channel(Caller);

impl Channel {
    /// A channel to the API container at this URL.
    ///
    /// # Errors
    /// Where the client cannot be set up.
    pub fn new(base: Url) -> Result<Self, ClientError> {
        Caller::new(base, TokenSource::none(), Timeouts::default()).map(Self)
    }

    /// Becomes the app's supervisor, as long as the stream is read. It ends with an error where it breaks.
    ///
    /// # Errors
    /// Where the stream cannot be opened.
    pub async fn orders(&self) -> Result<BoxStream<'static, Result<Order, ClientError>>, ClientError> {
        let events = self.0.events(self.0.call(Method::GET, &["orders"])?, ORDER_LIMIT).await?;
        let order = |data: &str| {
            serde_json::from_str(data).map_err(|error| ClientError::Malformed {
                what: "an order to the supervisor".to_owned(),
                why: error.to_string(),
            })
        };
        Ok(events.map(move |event| order(&event?.data)).boxed())
    }

    /// The files as they are now.
    ///
    /// # Errors
    /// Where the call fails.
    pub async fn files(&self, session: &str) -> Result<Files, ClientError> {
        let (what, pieces) = self.0.pieces(self.0.call(Method::GET, &["files", session])?).await?;
        Ok(Files { what, pieces, read: VecDeque::new(), commit: None })
    }

    /// Says how the app is.
    ///
    /// # Errors
    /// Where the call fails, or somebody else is the supervisor now.
    pub async fn report(&self, session: &str, report: &Report) -> Result<(), ClientError> {
        let body = serde_json::to_value(report).unwrap_or_default();
        let call = self.0.call(Method::PUT, &["state", session])?.json(&body);
        self.0.send(call, ANSWER_LIMIT).await.map(drop)
    }

    /// Hands over the OpenAPI document of the app as it is at a commit.
    ///
    /// # Errors
    /// Where the call fails, or the document is refused.
    pub async fn document(
        &self,
        session: &str,
        commit: &CommitId,
        document: Vec<u8>,
    ) -> Result<(), ClientError> {
        let call = self.0.call(Method::PUT, &["openapi", session, commit.as_str()])?.body(document);
        self.0.send(call, ANSWER_LIMIT).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: Vec<Bytes>) -> Files {
        let pieces = futures::stream::iter(pieces.into_iter().map(Ok)).boxed();
        Files { what: "files".to_owned(), pieces, read: VecDeque::new(), commit: None }
    }

    async fn all(mut files: Files) -> Result<(Vec<(String, Vec<u8>)>, Option<CommitId>), ClientError> {
        let mut found = Vec::new();
        while let Some((path, content)) = files.next().await? {
            found.push((path.to_string(), content));
        }
        Ok((found, files.commit().cloned()))
    }

    #[tokio::test]
    async fn files_arrive_as_they_were_however_the_answer_is_cut() {
        let commit: CommitId = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
        let mut tree = Tree::default();
        for (path, blob) in [
            ("a", Blob::File(b"one\n\n".to_vec())),
            ("b/c", Blob::File(vec![0xff, b'\n', 0])),
            ("b/d", Blob::File(Vec::new())),
            ("link", Blob::Symlink),
            ("z", Blob::TooLarge { size: 9 }),
        ] {
            tree.files.insert(path.parse().unwrap(), blob);
        }
        let sent: Vec<Bytes> = files(commit.clone(), Arc::new(tree)).collect().await;
        let whole: Vec<u8> = sent.concat();
        for size in [1, 7, whole.len()] {
            let (found, at) =
                all(read(whole.chunks(size).map(Bytes::copy_from_slice).collect())).await.unwrap();
            assert_eq!(at, Some(commit.clone()));
            let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
            assert_eq!(paths, ["a", "b/c", "b/d"]);
            assert_eq!(
                (found[0].1.as_slice(), found[1].1.as_slice()),
                (&b"one\n\n"[..], &[0xff, b'\n', 0][..])
            );
        }
        for end in 0..whole.len() {
            let cut = all(read(vec![Bytes::copy_from_slice(&whole[..end])])).await;
            assert!(cut.is_err(), "an answer of {end} bytes is cut");
        }
        for bad in [
            "{\"path\":\"../x\",\"size\":0}\n",
            "{\"path\":\"x\"}\n",
            "{\"path\":\"x\",\"size\":99999999999}\n",
        ] {
            assert!(all(read(vec![Bytes::from(bad)])).await.is_err(), "{bad}");
        }
    }
}
