//! Commits: what is asked to be saved, and how it is written.

use std::path::Path;
use std::time::Duration;

use lb_vocab::{CommitId, SafePath, Timestamp};

use super::WorkingError;
use super::listing::Leaf;
use super::object::{Object, ObjectId, ObjectKind};
use crate::process::{Git, run};

/// What the log of unpushed commits may have, bytes.
const MAX_LOG: usize = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(60);
/// What begins a commit in what `git log` prints; no raw difference and no path begins with it.
const BEGIN: char = '\u{2}';

/// Somebody in a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The name that people read.
    pub name: String,
    /// The mail address.
    pub email: String,
}

impl Person {
    /// LunchBadger itself, who commits what it keeps for others.
    #[must_use]
    pub fn system() -> Self {
        Self { name: "LunchBadger".to_owned(), email: "support@lunchbadger.com".to_owned() }
    }

    /// As it stands in a commit: git's own separators are left out.
    fn line(&self, seconds: u64) -> String {
        let clean = |text: &str, fallback: &str| {
            let text: String = text.chars().filter(|c| !c.is_control() && !"<>".contains(*c)).collect();
            let text = text.trim().to_owned();
            if text.is_empty() { fallback.to_owned() } else { text }
        };
        format!("{} <{}> {seconds} +0000", clean(&self.name, "nobody"), clean(&self.email, "nobody"))
    }
}

/// What is to be saved as one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCommit {
    /// The commit's message, without an end of line.
    pub message: String,
    /// Who wanted it; `None`: whoever commits.
    pub author: Option<Person>,
    /// Files with their whole new content; `None` removes one, and is fine where there is none.
    pub changes: Vec<(SafePath, Option<Vec<u8>>)>,
}

/// A commit that is not at the git host yet.
#[derive(Clone, Debug)]
pub(super) struct Local {
    pub(super) id: ObjectId,
    pub(super) message: String,
    pub(super) author: Person,
    /// When the author wrote it, seconds.
    pub(super) written: u64,
    /// Path, what stood there, what stands there.
    pub(super) changes: Vec<Moved>,
    /// Where its batch ends in the journal.
    pub(super) journaled: u64,
}

/// What a commit did at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) path: Vec<u8>,
    pub(super) before: Option<Leaf>,
    pub(super) after: Option<Leaf>,
}

/// What goes into a commit object.
pub(crate) struct Parts<'a> {
    pub(crate) tree: ObjectId,
    pub(crate) parent: Option<ObjectId>,
    pub(crate) author: &'a Person,
    pub(crate) written: u64,
    pub(crate) committer: &'a Person,
    pub(crate) now: Timestamp,
    pub(crate) message: &'a str,
}

impl Parts<'_> {
    /// The commit as an object.
    pub(super) fn object(&self) -> Result<Object, WorkingError> {
        Object::new(ObjectKind::Commit, self.content().as_bytes()).map_err(WorkingError::io("make a commit"))
    }

    /// What stands in the object.
    pub(crate) fn content(&self) -> String {
        let Self { tree, parent, author, written, committer, now, message } = self;
        let parent = parent.map(|id| format!("parent {id}\n")).unwrap_or_default();
        let message = message.replace('\0', " ");
        format!(
            "tree {tree}\n{parent}author {}\ncommitter {}\n\n{message}\n",
            author.line(*written),
            committer.line(now.seconds())
        )
    }
}

/// The commits from `upstream` (not included) to `head`, the oldest first.
pub(super) async fn unpushed(
    git: &Git,
    repository: &Path,
    upstream: Option<&CommitId>,
    head: &CommitId,
) -> Result<Vec<Local>, WorkingError> {
    let mut command = git.in_repository(repository);
    command.args(["log", "--first-parent", "--reverse", "--raw", "-z", "--no-abbrev", "--no-renames"]);
    command.args(["--root", "--encoding=UTF-8", "--format=tformat:%x02%H%x00%an%x00%ae%x00%at%x00%B%x00"]);
    command.args(["--end-of-options", head.as_str()]);
    command.args(upstream.map(|upstream| format!("^{upstream}"))).arg("--");
    let doing = format!("list the commits up to {}", head.short());
    let output = run(command, MAX_LOG, PATIENCE).await.map_err(WorkingError::local(&doing))?;
    parse(&output).ok_or_else(|| WorkingError::broken(doing, "git log printed what was not asked for"))
}

fn parse(output: &[u8]) -> Option<Vec<Local>> {
    let mut commits: Vec<Local> = Vec::new();
    let mut fields = output.split(|byte| *byte == 0);
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    while let Some(field) = fields.next() {
        let field = field.trim_ascii_start();
        if let Some(id) = std::str::from_utf8(field).ok().and_then(|text| text.strip_prefix(BEGIN)) {
            let id = ObjectId::parse(id)?;
            let author = Person { name: text(fields.next()?), email: text(fields.next()?) };
            let written = text(fields.next()?).parse::<i64>().ok()?.max(0).unsigned_abs();
            let message = text(fields.next()?).trim_end().to_owned();
            commits.push(Local { id, message, author, written, changes: Vec::new(), journaled: 0 });
        } else if let Some(raw) = field.strip_prefix(b":") {
            let mut words = std::str::from_utf8(raw).ok()?.split(' ');
            let mut mode = || u32::from_str_radix(words.next()?, 8).ok();
            let (old, new) = (mode()?, mode()?);
            let leaf = |mode: u32, id: Option<&str>| {
                let id = ObjectId::parse(id?)?;
                Some((mode != 0).then_some(Leaf { mode, id }))
            };
            let (before, after) = (leaf(old, words.next())?, leaf(new, words.next())?);
            let path = fields.next()?.to_vec();
            commits.last_mut()?.changes.push(Moved { path, before, after });
        } else if !field.is_empty() {
            return None;
        }
    }
    Some(commits)
}
