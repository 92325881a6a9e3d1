//! Observe: what git says of one environment, each source on its own.

use lb_http::contract::git_api::{GitApi, TreeRequest};
use lb_project::{DEV_GLOBS, FUNCTION_FILE_BYTES, FUNCTIONS_GLOBS, OPENAPI_BYTES, Observed, openapi_ref};
use lb_vocab::{GitUser, Limits, Producer, RepoName, Revision, Source, Tree, UnknownReason};

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
        Wanted { repo: "dev", reference: &openapi, globs: &["openapi.json"], max_bytes: OPENAPI_BYTES };
    let (dev, functions, openapi) = tokio::join!(
        dev.read(git, user, noted.dev.is_none(), false),
        functions.read(git, user, noted.functions.is_none(), false),
        document.read(git, user, true, true),
    );
    Observed { dev, functions, openapi }
}

/// The revision that was observed: `None` where a source is absent or unknown.
#[must_use]
pub(crate) fn revision(observed: &Observed) -> Revision {
    Revision {
        dev: observed.dev.commit().cloned(),
        functions: observed.functions.commit().cloned(),
        openapi: observed.openapi.commit().cloned(),
    }
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
