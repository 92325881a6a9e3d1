//! Noticing what happened at Gitea, which keeps no stream of changes: into the journal, from which everybody is told.
//!
//! Three ways lead there. A *look* reads one repository's references, because a webhook, a push through us or a caller
//! named it. A *sweep* reads which repositories were updated last, newest first, back to where the sweep before ended;
//! where nothing happened that is one request. A *walk* reads all users and repositories, page by page, at long
//! intervals: it alone notices what is gone.
//!
//! Gitea stamps updates in whole seconds of its own clock, and after the references have moved. So a repository is read
//! again until the second of its stamp is over, and a sweep goes back two minutes further than it has to. What time it is
//! there, nobody says reliably: a proxy may write its own into `Date`. It only makes sweeps go back further, never less.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use lb_vocab::{GitUser, RepoName, Timestamp};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Inner;
use super::api::{Answer, Ask};
use super::wire::{FoundBody, RepositoryBody};
use crate::error::{HostError, Kind};
use crate::files::blocking;
use crate::journal::What;
use crate::names::Login;
use crate::types::User;

/// How much further a sweep goes back than the last one reached.
const SLACK: Duration = Duration::from_secs(120);
/// A stamp is final once its second is over.
const STAMP: Duration = Duration::from_secs(1);
/// Repositories that are read at once.
const AT_ONCE: usize = 8;
/// A repository that could not be read is tried again after this long.
const RETRY: Duration = Duration::from_secs(10);
/// Locks that keep two looks at one repository apart.
const LOCKS: usize = 64;

/// A repository's name, whole.
type Name = (GitUser, RepoName);

/// What sweeps remember.
#[derive(Debug)]
pub(super) struct Observer {
    begun: AtomicU64,
    state: Mutex<State>,
    locks: [Mutex<()>; LOCKS],
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the last sweep that went well.
    good: u64,
    /// Up to when updates are known, on Gitea's clock or before; `None` before the first walk.
    reached: Option<Timestamp>,
    /// When nothing newer than `reached` had been listed for the first time.
    stood: Option<Instant>,
    /// When the last sweep or walk that went well began.
    looked: Option<Instant>,
    /// When the last walk went well.
    walked: Option<Timestamp>,
    /// How each repository was found last.
    seen: HashMap<Name, Seen>,
    /// Repositories that could not be read, and when to try again.
    lagging: BTreeMap<Name, Timestamp>,
}

/// How a repository was found when its references were read.
#[derive(Clone, Copy, Debug)]
struct Seen {
    stamp: Stamp,
    /// When it was listed with this stamp first, on our clock.
    since: Timestamp,
    /// When its references were read, or a moment before, on our clock.
    read: Timestamp,
}

/// What a listing says of a repository, from which it is seen that something happened there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    /// Gitea's number for it: another one is another repository.
    id: u64,
    /// When it was updated.
    updated: Timestamp,
}

impl State {
    /// Where the next sweep may end. What the last look could not see yet was stamped after it, less the slack; and as
    /// long as nothing newer was listed, Gitea's clock went on as ours did. Without this, many repositories that were
    /// made at once would be read again in every sweep until the next push.
    fn back_to(&self) -> Timestamp {
        let rested =
            self.looked.zip(self.stood).map(|(looked, stood)| looked.saturating_duration_since(stood));
        let reached = self.reached.map_or(Timestamp(0), |reached| reached.plus(rested.unwrap_or_default()));
        Timestamp(reached.0.saturating_sub(SLACK.as_millis() as u64))
    }

    /// Notes that a look which began then found this as the newest.
    fn reach(&mut self, reached: Timestamp, looked: Instant) {
        if self.reached != Some(reached) {
            self.stood = Some(Instant::now());
        }
        (self.reached, self.looked) = (Some(reached), Some(looked));
    }
}

impl Seen {
    /// Whether nothing can have happened since.
    fn covers(&self, stamp: Stamp) -> bool {
        self.stamp == stamp && self.read >= self.since.plus(STAMP)
    }
}

impl Default for Observer {
    fn default() -> Self {
        Self {
            begun: AtomicU64::new(0),
            state: Mutex::default(),
            locks: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
        }
    }
}

impl Inner {
    /// Reads one repository's references and notes what moved. One that does not exist is noted as gone.
    pub(super) async fn look(
        &self,
        user: &GitUser,
        repo: &RepoName,
        actor: Option<&Login>,
    ) -> Result<(), HostError> {
        // What an older look found must not be noted after what a newer one found.
        let lock = self.observer.hasher.hash_one((user, repo)) as usize % LOCKS;
        let _looking = self.observer.locks[lock].lock().await;
        let (journal, now) = (Arc::clone(&self.journal), self.api.now());
        let (user, repo, actor) = (user.clone(), repo.clone(), actor.cloned());
        match self.references(&user, &repo).await {
            Ok(refs) => {
                let known = journal.known(|known| known.repository(&user, &repo).is_some());
                blocking(move || {
                    if !known {
                        journal.note(vec![(user.clone(), Some(repo.clone()), What::Created)], now)?;
                    }
                    journal.observe(&user, &repo, &refs, actor.as_ref(), now).map(drop)
                })
                .await
            }
            Err(error @ HostError::NotFound { what: Kind::User | Kind::Repository, .. }) => {
                if journal.known(|known| known.repository(&user, &repo).is_some()) {
                    blocking(move || journal.note(vec![(user, Some(repo), What::Deleted)], now)).await?;
                }
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Notes what happened up to now. Callers at the same time share one sweep, which begins after they asked.
    pub(super) async fn catch_up(&self) -> Result<(), HostError> {
        let asked = self.observer.begun.load(Ordering::SeqCst);
        let mut state = self.observer.state.lock().await;
        if state.good > asked {
            return Ok(());
        }
        let number = self.observer.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let due =
            state.walked.is_none_or(|walked| self.clock.now().since(walked) >= self.settings.walk_interval);
        if due {
            self.walk(&mut state).await?;
        } else {
            self.sweep(&mut state).await?;
        }
        self.retry(&mut state).await;
        state.good = number;
        Ok(())
    }

    /// What was updated lately.
    async fn sweep(&self, state: &mut State) -> Result<(), HostError> {
        let doing = "look for updated repositories at Gitea";
        let ask = Ask::get(&["repos", "search"]).query("sort", "updated").query("order", "desc");
        let (begun, back_to) = (Instant::now(), state.back_to());
        let (mut reached, mut stale, mut created) = (None, Vec::new(), Vec::new());
        let (mut total, mut listed) = (None, 0);
        for page in 1.. {
            let answer = self.api.page(&ask, page).await.map_err(|failure| failure.host(doing))?;
            let (now, found) = (answer.time()?, found(&answer)?);
            if state.reached.is_some_and(|reached| now.plus(STAMP) < reached) {
                tracing::warn!("Gitea's clock was set back: everything is compared");
                return self.walk(state).await;
            }
            let counted = answer.total()?;
            if *total.get_or_insert(counted) != counted {
                // What is removed from a page moves the next ones, and one repository slips through between them.
                return self.walk(state).await;
            }
            // Not by the page's size: Gitea may be set to answer smaller ones than are asked for.
            listed += found.len();
            let last = listed >= counted || found.last().is_none_or(|oldest| oldest.updated() < back_to);
            // Of the first page: it has the newest.
            reached = reached.or_else(|| Some(found.first()?.updated().min(now)));
            for repository in found {
                self.weigh(state, &repository, &mut stale, &mut created);
            }
            if last {
                break;
            }
        }
        self.note(created).await?;
        self.read_all(state, stale).await;
        state.reach(reached.unwrap_or(Timestamp(0)), begun);
        Ok(())
    }

    /// Everything.
    async fn walk(&self, state: &mut State) -> Result<(), HostError> {
        let (begun, looked) = (self.clock.now(), Instant::now());
        let users = self.users().await?;
        let ask = every_repository();
        let first = self.api.page(&ask, 1).await.map_err(|failure| failure.host("list repositories"))?;
        let now = first.time()?;
        let all = self.api.pages(&ask, found).await.map_err(|failure| failure.host("list repositories"))?;
        let (mut stale, mut events) = (Vec::new(), Vec::new());
        let mut exist: BTreeMap<GitUser, BTreeSet<RepoName>> =
            users.into_iter().map(|(user, _)| (user, BTreeSet::new())).collect();
        for repository in &all {
            let Some((user, repo)) = self.name(repository) else { continue };
            exist.entry(user).or_default().insert(repo);
            self.weigh(state, repository, &mut stale, &mut events);
        }
        let mut missing = Vec::new();
        self.journal.known(|known| {
            for user in exist.keys().filter(|user| known.user(user).is_none()) {
                events.push((user.clone(), None, What::Created));
            }
            for known in known.users() {
                let owned = exist.get(&known.user);
                let gone = known.repos.keys().filter(|repo| owned.is_none_or(|owned| !owned.contains(*repo)));
                missing.extend(gone.map(|repo| (known.user.clone(), Some(repo.clone()))));
                missing.extend(owned.is_none().then(|| (known.user.clone(), None)));
            }
        });
        events.extend(self.gone(missing).await);
        let stands = |(user, repo): &Name| exist.get(user).is_some_and(|owned| owned.contains(repo));
        state.seen.retain(|name, _| stands(name));
        state.lagging.retain(|name, _| stands(name));
        let newest = all.iter().map(RepositoryBody::updated).max();
        self.note(events).await?;
        self.read_all(state, stale).await;
        state.reach(newest.unwrap_or(Timestamp(0)).min(now), looked);
        state.walked = Some(begun);
        Ok(())
    }

    /// What of this does not exist: a listing also lacks what was made meanwhile, and what our token may not see.
    async fn gone(
        &self,
        missing: Vec<(GitUser, Option<RepoName>)>,
    ) -> Vec<(GitUser, Option<RepoName>, What)> {
        let ask = |(user, repo): (GitUser, Option<RepoName>)| async move {
            let stands = match &repo {
                Some(repo) => self.repository_body(&user, repo).await.map(|body| body.is_some()),
                None => self.user_body(&user).await.map(|body| body.is_some()),
            };
            match stands {
                Ok(true) => None,
                Ok(false) | Err(HostError::Moved { .. }) => Some((user, repo, What::Deleted)),
                Err(error) => {
                    tracing::warn!(%user, %error, "what Gitea does not list may exist: the next walk asks again");
                    None
                }
            }
        };
        futures::stream::iter(missing)
            .map(ask)
            .buffered(AT_ONCE)
            .filter_map(std::future::ready)
            .collect()
            .await
    }

    /// Decides whether a listed repository has to be read, and whether it is new.
    fn weigh(
        &self,
        state: &State,
        repository: &RepositoryBody,
        stale: &mut Vec<(Name, Option<Seen>)>,
        created: &mut Vec<(GitUser, Option<RepoName>, What)>,
    ) {
        let Some(name) = self.name(repository) else { return };
        let stamp = Stamp { id: repository.id, updated: repository.updated() };
        if self.journal.known(|known| known.repository(&name.0, &name.1).is_none()) {
            created.push((name.0.clone(), Some(name.1.clone()), What::Created));
        }
        let (seen, read) = (state.seen.get(&name), self.clock.now());
        if !seen.is_some_and(|seen| seen.covers(stamp)) {
            let since = seen.filter(|seen| seen.stamp == stamp).map_or(read, |seen| seen.since);
            stale.push((name, Some(Seen { stamp, since, read })));
        }
    }

    /// Reads these repositories' references. One that cannot be read does not stop the others.
    async fn read_all(&self, state: &mut State, stale: Vec<(Name, Option<Seen>)>) {
        let look = |(name, seen): (Name, Option<Seen>)| async move {
            let looked = self.look(&name.0, &name.1, None).await;
            (name, seen, looked)
        };
        let mut looks = futures::stream::iter(stale).map(look).buffer_unordered(AT_ONCE);
        while let Some((name, seen, looked)) = looks.next().await {
            match looked {
                Ok(_) | Err(HostError::NotFound { .. }) => {
                    state.lagging.remove(&name);
                    match seen {
                        Some(seen) => drop(state.seen.insert(name, seen)),
                        None => drop(state.seen.remove(&name)),
                    }
                }
                Err(error) => {
                    tracing::warn!(repository = %format!("{}/{}", name.0, name.1), %error, "a repository cannot be read");
                    state.lagging.insert(name, self.clock.now().plus(RETRY));
                }
            }
        }
    }

    async fn retry(&self, state: &mut State) {
        let now = self.clock.now();
        let due: Vec<Name> =
            state.lagging.iter().filter(|(_, when)| **when <= now).map(|(name, _)| name.clone()).collect();
        for name in due {
            // Without a stamp: the next listing that has it reads it once more.
            self.read_all(state, vec![(name, None)]).await;
        }
    }

    /// Notes that users and repositories came or went.
    pub(super) async fn note(&self, events: Vec<(GitUser, Option<RepoName>, What)>) -> Result<(), HostError> {
        let (journal, now) = (Arc::clone(&self.journal), self.api.now());
        blocking(move || journal.note(events, now)).await
    }

    /// The name of a repository of a user with our prefix.
    fn name(&self, repository: &RepositoryBody) -> Option<Name> {
        let user = GitUser::from_login(&self.settings.prefix, repository.owner()?.as_str())?;
        Some((user, repository.name.parse().ok()?))
    }

    /// Every user with our prefix.
    async fn users(&self) -> Result<Vec<(GitUser, User)>, HostError> {
        let all: Vec<super::wire::UserBody> = self
            .api
            .list(&Ask::get(&["admin", "users"]))
            .await
            .map_err(|failure| failure.host("list users"))?;
        let ours = all.into_iter().filter_map(|body| {
            let user = body.user()?;
            Some((GitUser::from_login(&self.settings.prefix, user.login.as_str())?, user))
        });
        Ok(ours.collect())
    }

    /// Every user with our prefix, and what it owns.
    pub(super) async fn roster(&self) -> Result<Vec<(User, Vec<crate::types::Repository>)>, HostError> {
        let ask = every_repository();
        let (users, repositories) = tokio::try_join!(self.users(), async {
            self.api.pages(&ask, found).await.map_err(|failure| failure.host("list repositories"))
        })?;
        let mut owned: HashMap<Login, Vec<crate::types::Repository>> = HashMap::new();
        for repository in repositories.into_iter().filter_map(RepositoryBody::repository) {
            owned.entry(repository.owner.clone()).or_default().push(repository);
        }
        let with_repositories = |(_, user): (GitUser, User)| {
            let mut repositories = owned.remove(&user.login).unwrap_or_default();
            repositories.sort_by(|a, b| a.name.cmp(&b.name));
            (user, repositories)
        };
        let mut roster: Vec<_> = users.into_iter().map(with_repositories).collect();
        roster.sort_by(|(a, _), (b, _)| a.login.cmp(&b.login));
        Ok(roster)
    }
}

/// All repositories, in the order in which they were made: what is new comes last and moves no page.
fn every_repository() -> Ask {
    Ask::get(&["repos", "search"]).query("sort", "id").query("order", "asc")
}

fn found(answer: &Answer) -> Result<Vec<RepositoryBody>, HostError> {
    let found: FoundBody = answer.object()?;
    found.checked().ok_or_else(|| HostError::malformed("list repositories", "Gitea says that it is not ok"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_goes_back_less_far_the_longer_nothing_is_new() {
        let (mut state, start) = (State::default(), Instant::now());
        assert_eq!(state.back_to(), Timestamp(0));
        let (newest, slack) = (Timestamp(1_000_000), SLACK.as_millis() as u64);
        state.reach(newest, start);
        assert_eq!(state.back_to(), Timestamp(newest.0 - slack), "no time has passed");
        let stood = state.stood.unwrap();
        state.reach(newest, stood + Duration::from_secs(130));
        assert_eq!(state.back_to(), Timestamp(newest.0 - slack + 130_000));
        state.reach(newest.plus(Duration::from_secs(7)), stood + Duration::from_secs(131));
        assert!(state.back_to() <= Timestamp(newest.0 + 7_000 - slack + 131_000));
        state.stood = Some(stood + Duration::from_secs(131));
        assert_eq!(state.back_to(), Timestamp(newest.0 + 7_000 - slack), "something new begins it again");
    }

    #[test]
    fn a_repository_is_read_until_the_second_of_its_stamp_is_over() {
        let stamp = |id, updated| Stamp { id, updated: Timestamp(updated) };
        let at = stamp(7, 100_000);
        let seen = |after: u64| Seen { stamp: at, since: Timestamp(500), read: Timestamp(500 + after) };
        assert!(!seen(0).covers(at), "another push in the same second has the same stamp");
        assert!(!seen(999).covers(at), "the stamp may have been new when it was listed");
        assert!(seen(1000).covers(at));
        assert!(!seen(1000).covers(stamp(7, 103_000)), "a newer stamp");
        assert!(!seen(1000).covers(stamp(7, 99_000)), "a clock that was set back");
        assert!(!seen(1000).covers(stamp(8, 100_000)), "made anew under the same name");
    }
}
