//! What a pusher is told behind `remote:`: what the push changes, and what is wrong with it.
//!
//! It is a preview made by the same pure stages that the actualizer runs, of the same files, for the default
//! environment and the default limits; nobody's children are asked for. Whatever goes wrong here, the push stands: at
//! worst it is answered without these lines.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use lb_desired::crd::{Access, in_default_environment};
use lb_desired::plan::{Existing, Input, Plan, Presence, changes, plan};
use lb_git::{At, GitHost, Globs, HostError, ReceivedHook, RefName, RefUpdate, TreeAnswer};
use lb_project::{DEV_GLOBS, FUNCTIONS_GLOBS, OPENAPI_FILE, Observed, decode, openapi_ref};
use lb_vocab::{CommitId, GitUser, Limits, Producer, RepoName, Source, Tree, UnknownReason};
use tokio::sync::Semaphore;

/// Lines at most.
const MAX_LINES: usize = 20;
/// A pusher does not wait longer than this.
const PATIENCE: Duration = Duration::from_secs(5);
/// Previews that are made at once; they hold many files in memory.
const AT_ONCE: usize = 2;

/// Makes previews.
#[derive(Clone)]
pub(super) struct Previews {
    host: Arc<dyn GitHost>,
    settings: Arc<lb_desired::settings::Settings>,
    turns: Arc<Semaphore>,
}

/// The three places in git that an environment is made of.
#[derive(Clone)]
struct Places {
    dev: Place,
    functions: Place,
    openapi: Place,
}

#[derive(Clone)]
struct Place {
    repo: RepoName,
    reference: RefName,
    globs: &'static [&'static str],
    /// The commit to read; the reference where it stands now, where this push did not move it.
    at: Option<Option<CommitId>>,
}

impl Previews {
    pub(super) fn new(host: Arc<dyn GitHost>, settings: lb_desired::settings::Settings) -> Self {
        Self { host, settings: Arc::new(settings), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// What to call when a push to this repository was taken. `None` for users that can be no producer.
    pub(super) fn hook(&self, user: &GitUser, repo: &RepoName) -> Option<ReceivedHook> {
        let producer = user.producer().ok().filter(|_| user.prefix == self.settings.prefix)?;
        let producer = in_default_environment(producer).ok()?;
        let (previews, user, repo) = (self.clone(), user.clone(), repo.clone());
        let hook = move |updates: Vec<RefUpdate>| async move {
            let preview = async {
                let _turn = previews.turns.acquire().await.ok()?;
                previews.lines(&user, &repo, &producer, &updates).await
            };
            tokio::time::timeout(PATIENCE, preview).await.ok().flatten().unwrap_or_default()
        };
        Some(Box::new(move |updates| hook(updates).boxed()))
    }

    /// `None` where the push moved nothing that is deployed, or nothing can be said.
    async fn lines(
        &self,
        user: &GitUser,
        repo: &RepoName,
        producer: &Producer,
        updates: &[RefUpdate],
    ) -> Option<Vec<String>> {
        let (before, after) = Places::of(producer)?.moved(repo, updates)?;
        let before = self.observe(user, before).await;
        let after = self.observe(user, after).await;
        let (producer, settings) = (producer.clone(), Arc::clone(&self.settings));
        let preview = tokio::task::spawn_blocking(move || {
            let old = planned(before, &producer, &settings);
            let new = planned(after, &producer, &settings);
            lines(&old, &new)
        });
        preview.await.inspect_err(|error| tracing::error!(%error, "a preview failed")).ok()
    }

    async fn observe(&self, user: &GitUser, places: Places) -> Observed {
        let Places { dev, functions, openapi } = places;
        Observed {
            dev: self.read(user, dev, false).await,
            functions: self.read(user, functions, false).await,
            openapi: self.read(user, openapi, true).await,
        }
    }

    async fn read(&self, user: &GitUser, place: Place, optional: bool) -> Source<Tree> {
        let Place { repo, reference, globs, at } = place;
        let at = match at {
            None => At::Ref(reference),
            Some(Some(commit)) => At::Commit(commit),
            Some(None) => return Source::Absent(None),
        };
        let max_bytes = Limits::default().project_file_bytes;
        let read = async { self.host.tree(user, &repo, &at, &Globs::new(globs)?, max_bytes).await };
        match read.await {
            Ok(TreeAnswer::Known { commit, tree }) => Source::Known(tree, commit),
            Ok(TreeAnswer::NoSuchRef { refs }) if optional || refs.is_empty() => Source::Absent(None),
            Ok(TreeAnswer::NoSuchRef { .. }) => {
                Source::Unknown(UnknownReason::BranchMissing(format!("{repo} has no such reference")))
            }
            Err(error @ HostError::NotFound { .. }) => {
                Source::Unknown(UnknownReason::RepositoryMissing(error.to_string()))
            }
            Err(error @ HostError::TooLarge { .. }) => {
                Source::Unknown(UnknownReason::Unreadable(error.to_string()))
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read what was pushed");
                Source::Unknown(UnknownReason::Unreachable(format!("{repo} cannot be read now")))
            }
        }
    }
}

impl Places {
    fn of(producer: &Producer) -> Option<Self> {
        let dev: RepoName = "dev".parse().ok()?;
        let place = |repo: RepoName, reference, globs| Place { repo, reference, globs, at: None };
        let openapi = openapi_ref(producer.environment()).parse().ok()?;
        Some(Self {
            dev: place(dev.clone(), RefName::master(), DEV_GLOBS),
            functions: place("functions".parse().ok()?, RefName::master(), FUNCTIONS_GLOBS),
            openapi: place(dev, openapi, &[OPENAPI_FILE]),
        })
    }

    /// Before and after these updates. `None` where they move none of the places.
    fn moved(self, repo: &RepoName, updates: &[RefUpdate]) -> Option<(Self, Self)> {
        let (mut before, mut after) = (self.clone(), self);
        let mut any = false;
        for update in updates {
            for (before, after) in before.all().into_iter().zip(after.all()) {
                if before.repo == *repo && before.reference == update.ref_name {
                    before.at = Some(update.before.clone());
                    after.at = Some(update.after.clone());
                    any = true;
                }
            }
        }
        any.then_some((before, after))
    }

    fn all(&mut self) -> [&mut Place; 3] {
        let Self { dev, functions, openapi } = self;
        [dev, functions, openapi]
    }
}

fn planned(observed: Observed, producer: &Producer, settings: &lb_desired::settings::Settings) -> Plan {
    let limits = Limits::default();
    let decoded = decode(observed, producer, &limits);
    plan(&Input {
        producer,
        decoded: &decoded,
        access: Access::Enabled,
        presence: Presence::Present,
        existing: &Existing::default(),
        settings,
    })
}

/// Findings come last, next to the prompt, and get at least half of the room.
fn lines(old: &Plan, new: &Plan) -> Vec<String> {
    let mut lines = if held(old) && !held(new) {
        // What ran meanwhile is the last good commit, which is not looked for here.
        vec!["readable again: what runs becomes what this commit says".to_owned()]
    } else {
        changes(old, new)
    };
    if lines.is_empty() {
        lines.push("nothing that runs changes".to_owned());
    }
    let findings = &new.findings;
    let room = MAX_LINES - findings.len().min(MAX_LINES / 2) - usize::from(!findings.is_empty());
    cut(&mut lines, room);
    if !findings.is_empty() {
        let mut about: Vec<String> = findings.iter().map(|finding| format!("  {}", finding.line())).collect();
        cut(&mut about, MAX_LINES - lines.len() - 1);
        let noun = if findings.len() == 1 { "finding" } else { "findings" };
        lines.push(format!("{} {noun}:", findings.len()));
        lines.extend(about);
    }
    lines
}

/// Nothing could be said about the commit as a whole.
fn held(plan: &Plan) -> bool {
    plan.workspace.held().next().is_some()
}

/// Leaves `room` lines at most, the last of which counts what was cut.
fn cut(lines: &mut Vec<String>, room: usize) {
    if lines.len() > room {
        let rest = lines.len() - room.saturating_sub(1);
        lines.truncate(room.saturating_sub(1));
        lines.push(format!("and {rest} more"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> CommitId {
        format!("{n:040x}").parse().unwrap()
    }

    fn update(reference: &str, before: Option<u8>, after: Option<u8>) -> RefUpdate {
        RefUpdate { ref_name: reference.parse().unwrap(), before: before.map(id), after: after.map(id) }
    }

    #[test]
    fn only_what_is_deployed_counts() {
        let places = || Places::of(&"al-dev".parse().unwrap()).unwrap();
        let (dev, functions) = ("dev".parse().unwrap(), "functions".parse().unwrap());
        let updates = [update("refs/heads/x", None, Some(1)), update("refs/heads/master", Some(1), Some(2))];
        let (before, after) = places().moved(&dev, &updates).unwrap();
        assert_eq!((before.dev.at, after.dev.at), (Some(Some(id(1))), Some(Some(id(2)))));
        assert_eq!((before.functions.at, after.openapi.at), (None, None));
        assert!(places().moved(&dev, &updates[..1]).is_none());
        assert!(places().moved(&"other".parse().unwrap(), &updates).is_none());
        let (before, after) = places().moved(&functions, &updates).unwrap();
        assert_eq!((before.dev.at, after.functions.at), (None, Some(Some(id(2)))));
        let (before, after) =
            places().moved(&dev, &[update("refs/lunchbadger/openapi/dev", None, Some(3))]).unwrap();
        assert_eq!((before.openapi.at, after.openapi.at), (Some(None), Some(Some(id(3)))));
    }

    #[test]
    fn lines_are_cut_and_counted() {
        let mut lines: Vec<String> = (0..30).map(|n| n.to_string()).collect();
        cut(&mut lines, 10);
        assert_eq!((lines.len(), lines[9].as_str()), (10, "and 21 more"));
        cut(&mut lines, 10);
        assert_eq!(lines.len(), 10);
    }
}
