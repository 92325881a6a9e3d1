//! Observe: what git says of one environment, each source on its own.

use lb_http::contract::git_api::{GitApi, TreeRequest};
use lb_project::{
    DEV_GLOBS, FUNCTION_FILE_BYTES, FUNCTIONS_GLOBS, OPENAPI_BYTES, OPENAPI_FILE, Observed, openapi_ref,
};
use lb_vocab::{CommitId, GitUser, Limits, Producer, RepoName, Revision, Source, Tree, UnknownReason};

use crate::heads::BRANCH;

/// Reads all sources of one environment, at the same time. Never fails: what could not be read is `Unknown`.
///
/// `noted` is the revision that the status has: a repository that never had one may be unborn, and then is `Absent`.
pub(crate) async fn observe(
    git: &GitApi,
    user: &GitUser,
    who: &Producer,
    noted: &Revision,
    limits: &Limits,
) -> Observed {
    let openapi = openapi_ref(who.environment());
    let dev =
        Wanted { repo: "dev", reference: BRANCH, globs: DEV_GLOBS, max_bytes: limits.project_file_bytes };
    let functions = Wanted {
        repo: "functions",
        reference: BRANCH,
        globs: FUNCTIONS_GLOBS,
        max_bytes: FUNCTION_FILE_BYTES,
    };
    let document =
        Wanted { repo: "dev", reference: &openapi, globs: &[OPENAPI_FILE], max_bytes: OPENAPI_BYTES };
    let (dev, functions, openapi) = tokio::join!(
        dev.read(git, user, noted.dev.is_none(), false),
        functions.read(git, user, noted.functions.is_none(), false),
        document.read(git, user, true, true),
    );
    Observed { dev, functions, openapi }
}

/// The revision that was observed, and whether there is nothing to read again before there is another one.
///
/// A source over a size limit stays so until there is another commit; its commit is the newest that was told of before
/// it was read. Of one that is unknown for another reason the noted commit stays noted: it proves that the repository
/// is not unborn.
pub(crate) fn revision(observed: &Observed, heads: Option<&Revision>, noted: &Revision) -> (Revision, bool) {
    let mut settled = true;
    let mut commit = |source: &Source<Tree>, of: fn(&Revision) -> &Option<CommitId>| match source {
        Source::Known(_, commit) => Some(commit.clone()),
        Source::Absent(commit) => commit.clone(),
        Source::Unknown(reason) => {
            let head = heads.and_then(|heads| of(heads).clone());
            let head = head.filter(|_| matches!(reason, UnknownReason::Unreadable(_)));
            settled &= head.is_some();
            head.or_else(|| of(noted).clone())
        }
    };
    let dev = commit(&observed.dev, |revision| &revision.dev);
    let functions = commit(&observed.functions, |revision| &revision.functions);
    let openapi = commit(&observed.openapi, |revision| &revision.openapi);
    (Revision { dev, functions, openapi }, settled)
}

struct Wanted<'a> {
    repo: &'static str,
    reference: &'a str,
    globs: &'a [&'a str],
    max_bytes: u64,
}

impl Wanted<'_> {
    async fn read(
        &self,
        git: &GitApi,
        user: &GitUser,
        unborn_is_absent: bool,
        optional: bool,
    ) -> Source<Tree> {
        let repo: RepoName = match self.repo.parse() {
            Ok(repo) => repo,
            Err(error) => return Source::Unknown(UnknownReason::Malformed(format!("{error}"))),
        };
        let request = TreeRequest {
            reference: self.reference.to_owned(),
            globs: self.globs.iter().map(|glob| (*glob).to_owned()).collect(),
            max_bytes: self.max_bytes,
        };
        match git.tree(user, &repo, &request).await {
            Ok(answer) => answer.into_source(self.reference, unborn_is_absent, optional),
            Err(error) => Source::Unknown(UnknownReason::from(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(digit: u8) -> CommitId {
        format!("{digit:040x}").parse().unwrap()
    }

    fn of(digits: [u8; 3]) -> Revision {
        let [dev, functions, openapi] = digits.map(|digit| Some(commit(digit)));
        Revision { dev, functions, openapi }
    }

    #[test]
    fn what_is_too_large_is_read_again_at_another_commit_only() {
        let observed = |reason: UnknownReason| Observed {
            dev: Source::Known(Tree::default(), commit(1)),
            functions: Source::Unknown(reason),
            openapi: Source::Absent(None),
        };
        let too_large = observed(UnknownReason::Unreadable("too large".into()));
        let silent = observed(UnknownReason::Unreachable("no answer".into()));
        let (heads, noted) = (of([4, 5, 6]), of([7, 8, 9]));
        let expected =
            |functions| Revision { functions: Some(commit(functions)), openapi: None, ..of([1, 2, 3]) };
        assert_eq!(revision(&too_large, Some(&heads), &noted), (expected(5), true));
        assert_eq!(revision(&too_large, None, &noted), (expected(8), false));
        assert_eq!(
            revision(&silent, Some(&heads), &noted),
            (expected(8), false),
            "what was noted stays noted"
        );
    }
}
