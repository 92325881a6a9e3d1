//! What git says of one environment now, by way of git-api, as the Actualizer reads it.

use anyhow::{Context, Result, bail};
use lb_http::contract::git_api::{GitApi, TreeRequest};
use lb_project::{DEV_GLOBS, FUNCTIONS_GLOBS, Observed, openapi_ref};
use lb_vocab::{GitUser, Limits, Producer, Revision, Source, Tree};

use crate::commands::plan::OTHER_FILE_BYTES;

/// The branch of every environment.
const BRANCH: &str = "refs/heads/master";

/// Reads all sources.
///
/// # Errors
/// Where one is unknown: a comparison with half of it would show removals that nobody asked for.
pub(super) async fn observe(
    git: &GitApi,
    user: &GitUser,
    who: &Producer,
    noted: &Revision,
    limits: &Limits,
) -> Result<Observed> {
    let read =
        async |repo: &str, reference: &str, globs: &[&str], max_bytes: u64, unborn: bool, optional: bool| {
            let globs = globs.iter().map(|glob| (*glob).to_owned()).collect();
            let request = TreeRequest { reference: reference.to_owned(), globs, max_bytes };
            let answer = git
                .tree(user, &repo.parse()?, &request)
                .await
                .with_context(|| format!("read {user}/{repo}"))?;
            let source: Source<Tree> = answer.into_source(reference, unborn, optional);
            match source.unknown() {
                Some(reason) => bail!("{user}/{repo} cannot be read: {reason}"),
                None => Ok(source),
            }
        };
    let document = openapi_ref(who.environment());
    Ok(Observed {
        dev: read("dev", BRANCH, DEV_GLOBS, limits.project_file_bytes, noted.dev.is_none(), false).await?,
        functions: read(
            "functions",
            BRANCH,
            FUNCTIONS_GLOBS,
            OTHER_FILE_BYTES,
            noted.functions.is_none(),
            false,
        )
        .await?,
        openapi: read("dev", &document, &["openapi.json"], OTHER_FILE_BYTES, true, true).await?,
    })
}
