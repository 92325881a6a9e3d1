//! The first-parent line of a branch.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use lb_vocab::{CommitId, SafePath, Timestamp};

use crate::error::HostError;
use crate::process::{Git, run};
use crate::types::CommitInfo;

/// Commits at most, as invariants of `why` have it.
pub(crate) const MAX_COMMITS: usize = 1000;
/// What git may print, bytes: a commit's author may be megabytes long.
const MAX_OUTPUT: usize = 8 << 20;
const PATIENCE: Duration = Duration::from_secs(20);
/// Id, parents, author's name and mail, committer's mail, time, subject: each ends with a NUL, and none can hold one.
const FORMAT: &str = "--format=tformat:%H%x00%P%x00%an%x00%ae%x00%ce%x00%ct%x00%s";
const FIELDS: usize = 7;

/// Commits from `start` on along first parents, those that changed `path` if one is given.
pub(crate) async fn read(
    git: &Git,
    repository: &Path,
    doing: &str,
    start: &CommitId,
    path: Option<&SafePath>,
    limit: usize,
) -> Result<Vec<CommitInfo>, HostError> {
    let mut command = git.in_repository(repository);
    command.args([
        "--literal-pathspecs",
        "log",
        "-z",
        "--first-parent",
        "--encoding=UTF-8",
        "--no-show-signature",
        FORMAT,
    ]);
    command.arg(format!("--max-count={}", limit.min(MAX_COMMITS)));
    command
        .args(["--end-of-options", start.as_str(), "--"])
        .args(path.map(SafePath::as_str))
        .stdin(Stdio::null());
    let output = run(command, MAX_OUTPUT, PATIENCE).await.map_err(|error| error.host(doing))?;
    parse(&output).ok_or_else(|| HostError::malformed(doing, "git log printed what was not asked for"))
}

fn parse(output: &[u8]) -> Option<Vec<CommitInfo>> {
    let text = String::from_utf8_lossy(output);
    let Some(text) = text.strip_suffix('\0') else { return text.is_empty().then(Vec::new) };
    let fields: Vec<&str> = text.split('\0').collect();
    let commits = fields.chunks(FIELDS).map(|fields| {
        let [id, parents, author_name, author_email, committer_email, time, subject] = fields else {
            return None;
        };
        // A time before 1970 is nonsense that some commits have.
        let seconds = time.parse::<i64>().ok()?.max(0).unsigned_abs();
        Some(CommitInfo {
            id: id.parse().ok()?,
            parents: parents.split_whitespace().map(|id| id.parse().ok()).collect::<Option<_>>()?,
            author_name: (*author_name).to_owned(),
            author_email: (*author_email).to_owned(),
            committer_email: (*committer_email).to_owned(),
            time: Timestamp(seconds.saturating_mul(1000)),
            subject: (*subject).to_owned(),
        })
    });
    commits.collect()
}
