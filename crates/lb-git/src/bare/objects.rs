//! Objects of one repository, asked of one `git cat-file --batch-command`.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};

use crate::process::{Git, ProcessError};

/// Questions that are asked before their answers are read: both fit the pipes, so that neither side waits forever.
const AT_ONCE: usize = 256;
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running `git cat-file`. It ends when this is dropped.
pub(crate) struct Objects {
    _child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What git says of an object before it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Info {
    /// Its id.
    pub(crate) id: String,
    /// `commit`, `tree`, `blob` or `tag`.
    pub(crate) kind: String,
    /// Its size, bytes.
    pub(crate) size: u64,
}

impl Objects {
    /// Starts git on a bare repository.
    pub(crate) fn open(git: &Git, repository: &Path) -> Result<Self, ProcessError> {
        let mut command = git.in_repository(repository);
        command.args(["cat-file", "--batch-command"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(questions), Some(answers)) => {
                Ok(Self { _child: child, questions, answers: BufReader::with_capacity(64 << 10, answers) })
            }
            (None, _) | (_, None) => Err(nonsense("it has no pipes")),
        }
    }

    /// What objects these names are, in this order; `None`: there is no such object.
    pub(crate) async fn info(
        &mut self,
        names: &[impl AsRef<str>],
    ) -> Result<Vec<Option<Info>>, ProcessError> {
        let mut found = Vec::with_capacity(names.len());
        for names in names.chunks(AT_ONCE) {
            self.ask("info", names).await?;
            for _ in names {
                found.push(self.header().await?);
            }
        }
        Ok(found)
    }

    /// The contents of objects that `info` has found, in this order. Their sizes are the caller's to check.
    pub(crate) async fn contents(&mut self, ids: &[impl AsRef<str>]) -> Result<Vec<Vec<u8>>, ProcessError> {
        let mut found = Vec::with_capacity(ids.len());
        for ids in ids.chunks(AT_ONCE) {
            self.ask("contents", ids).await?;
            for _ in ids {
                let info = self.header().await?.ok_or_else(|| nonsense("an object vanished"))?;
                let size = usize::try_from(info.size).map_err(|_| nonsense("an object is too large"))?;
                let mut content = vec![0; size + 1];
                patient(self.answers.read_exact(&mut content)).await?;
                content.truncate(size);
                found.push(content);
            }
        }
        Ok(found)
    }

    async fn ask(&mut self, what: &str, names: &[impl AsRef<str>]) -> Result<(), ProcessError> {
        let mut text = String::new();
        for name in names {
            for part in [what, " ", name.as_ref(), "\n"] {
                text.push_str(part);
            }
        }
        patient(self.questions.write_all(text.as_bytes())).await
    }

    async fn header(&mut self) -> Result<Option<Info>, ProcessError> {
        let mut line = String::new();
        patient((&mut self.answers).take(4096).read_line(&mut line)).await?;
        let line = line.strip_suffix('\n').ok_or_else(|| nonsense("the answer broke off"))?;
        if line.ends_with(" missing") {
            return Ok(None);
        }
        let mut words = line.split(' ');
        match (words.next(), words.next(), words.next().and_then(|size| size.parse().ok()), words.next()) {
            (Some(id), Some(kind), Some(size), None) => {
                Ok(Some(Info { id: id.to_owned(), kind: kind.to_owned(), size }))
            }
            _other_line => Err(nonsense("an answer is none that git cat-file documents")),
        }
    }
}

async fn patient<T>(work: impl Future<Output = std::io::Result<T>>) -> Result<T, ProcessError> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(ProcessError::Slow(PATIENCE)),
    }
}

fn nonsense(why: &str) -> ProcessError {
    ProcessError::Io(std::io::Error::new(std::io::ErrorKind::InvalidData, format!("git cat-file: {why}")))
}
