//! A bare repository for one question: filled with a pack, read, and gone.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures::StreamExt;
use lb_vocab::CommitId;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::upload::Pack;
use crate::error::HostError;
use crate::files::blocking;
use crate::process::{self, Git};

/// How long a pack may take to arrive and to be taken in.
const PATIENCE: Duration = Duration::from_secs(60);

/// The repository. Its directory goes with it.
pub(super) struct Scratch {
    directory: TempDir,
    ends: Vec<CommitId>,
}

impl Scratch {
    /// An empty one below this directory. What git needs to see a repository is made by hand: a process less.
    pub(super) async fn new(below: &Path) -> Result<Self, HostError> {
        let below = below.to_owned();
        blocking(move || {
            let make = || {
                let directory = tempfile::Builder::new().prefix("read-").tempdir_in(&below)?;
                std::fs::create_dir_all(directory.path().join("objects/pack"))?;
                std::fs::create_dir_all(directory.path().join("refs/heads"))?;
                std::fs::write(directory.path().join("HEAD"), "ref: refs/heads/master\n")?;
                Ok(Self { directory, ends: Vec::new() })
            };
            make().map_err(HostError::io(format!("make a repository in {}", below.display())))
        })
        .await
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Commits whose parents are not here.
    pub(super) fn ends(&self) -> &[CommitId] {
        &self.ends
    }

    /// Takes a pack in as it arrives.
    pub(super) async fn take(&mut self, git: &Git, doing: &str, pack: Pack) -> Result<(), HostError> {
        let Pack { shallow, mut bytes } = pack;
        if !shallow.is_empty() {
            let text: String = shallow.iter().map(|id| format!("{id}\n")).collect();
            tokio::fs::write(self.path().join("shallow"), text)
                .await
                .map_err(HostError::io(format!("{doing}: note where its history ends")))?;
            self.ends = shallow;
        }
        let mut command = git.in_repository(self.path());
        command.args(["-c", "core.fsync=none", "index-pack", "--stdin"]);
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(HostError::io(format!("{doing}: run git")))?;
        let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
        let work = async {
            let feed = async {
                let Some(mut stdin) = stdin else { return Ok(()) };
                while let Some(piece) = bytes.next().await {
                    // A child that wants no more says why by itself.
                    if stdin.write_all(&piece?).await.is_err() {
                        break;
                    }
                }
                Ok(())
            };
            let (fed, complaint) = tokio::join!(feed, process::complaint(stderr));
            fed.map(|()| complaint)
        };
        let fed = timeout(PATIENCE, work).await;
        let complaint = match fed {
            Ok(Ok(complaint)) => complaint,
            Ok(Err(error)) => {
                process::end(&mut child).await;
                return Err(error);
            }
            Err(_) => {
                process::end(&mut child).await;
                let why = format!("the pack did not arrive within {} s", PATIENCE.as_secs());
                return Err(HostError::Unreachable { doing: doing.to_owned(), why });
            }
        };
        match child.wait().await {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(HostError::malformed(doing, format!("git index-pack: {complaint} ({status})"))),
            Err(source) => Err(HostError::Io { doing: format!("{doing}: wait for git"), source }),
        }
    }
}
