//! Webhooks that do not do what they should, found by evidence: a branch moved, or a repository appeared, and no
//! delivery about it came. Then git-api registers that one webhook anew.
//!
//! Guarantees: where nothing happens nobody is asked; one repository is asked about at most once for each thing that
//! happened there, less and less often while it does not help; a host that delivers nothing is asked once.
//! Caveats: a delivery counts for what happens up to a grace later, so that of two pushes in that time the second may go
//! without; the next one shows it. Of several configstores each knows only of the deliveries that it got itself, and
//! has the webhook registered anew for the others'.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lb_http::contract::ClientError;
use lb_http::contract::configstore::{HookEvent, Repairs as Repaired};
use lb_http::contract::git_api::{Change, ChangeKind, HookState};
use lb_http::metrics::Metrics;
use lb_vocab::{Clock, GitUser, RepoName, Timestamp, with_causes};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tokio::sync::Notify;

use super::App;

/// How often it is looked whether a grace is over, while one runs.
const LOOK: Duration = Duration::from_millis(250);
/// Until a repair that failed is tried again; doubled each time,
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// up to this. So, too, where repairs go well and deliveries do not come nevertheless.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// Repositories that are remembered before those that need not be are forgotten.
const REMEMBERED: usize = 1000;
/// Repositories that are remembered at most; what happens in others goes unnoticed here.
const MOST: usize = 10_000;

/// A repository's name, whole.
type Name = (GitUser, RepoName);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    result: &'static str,
}

/// What is known of webhooks.
#[derive(Debug)]
pub(super) struct Repairs {
    clock: Clock,
    /// How long a delivery may take.
    grace: Duration,
    state: Mutex<State>,
    news: Notify,
    counter: Family<Label, Counter>,
}

#[derive(Debug, Default)]
struct State {
    /// The git host said that it delivers no webhooks.
    undelivered: bool,
    known: HashMap<Name, Known>,
    told: Repaired,
}

/// What is known of one repository's webhook.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// When the last delivery came, or the webhook was registered.
    heard: Option<Timestamp>,
    /// When the first thing happened of which nothing was heard.
    suspect: Option<Timestamp>,
    /// Repairs since the last delivery.
    repairs: u32,
    /// No repair before.
    not_before: Option<Timestamp>,
}

impl Known {
    /// Whether the grace is over, and a repair may be tried.
    fn is_due(&self, grace: Duration, now: Timestamp) -> bool {
        self.suspect.is_some_and(|suspect| suspect.plus(grace) <= now)
            && self.not_before.is_none_or(|moment| moment <= now)
    }

    /// Whether something happens otherwise because of it.
    fn matters(&self, grace: Duration, now: Timestamp) -> bool {
        self.suspect.is_some()
            || self.heard.is_some_and(|heard| heard.plus(grace) >= now)
            || self.not_before.is_some_and(|moment| moment.plus(LONGEST_WAIT) >= now)
    }

    fn wait(&mut self, now: Timestamp) {
        let wait = FIRST_WAIT.saturating_mul(1 << self.repairs.min(16)).min(LONGEST_WAIT);
        self.repairs = self.repairs.saturating_add(1);
        self.not_before = Some(now.plus(wait));
    }
}

impl Repairs {
    pub(super) fn new(clock: Clock, grace: Duration, metrics: &Metrics) -> Self {
        let counter = Family::default();
        metrics.register(
            "hook_repairs",
            "Webhooks registered anew because nothing was delivered, by result",
            counter.clone(),
        );
        Self { clock, grace, state: Mutex::default(), news: Notify::new(), counter }
    }

    /// A delivery came: the webhook is good.
    pub(super) fn heard(&self, user: &GitUser, repo: &RepoName) {
        let now = self.clock.now();
        self.edit(user, repo, |known| *known = Known { heard: Some(now), ..Known::default() });
    }

    /// The webhook was registered otherwise.
    pub(super) fn registered(&self, user: &GitUser, repo: &RepoName, found: HookState) {
        let now = self.clock.now();
        self.edit(user, repo, |known| (known.heard, known.suspect) = (Some(now), None));
        self.lock().delivers(found);
    }

    /// Something happened, as the stream of changes tells it. References other than branches are not announced by
    /// Gitea, nor is a branch's end.
    pub(super) fn happened(&self, change: &Change) {
        let every = RepoName::of_every_producer();
        let Some(repo) = change.repo.as_ref().filter(|repo| every.contains(repo)) else { return };
        if change.user.producer().is_err() || self.lock().undelivered {
            return;
        }
        let now = self.clock.now();
        let suspect = |known: &mut Known| {
            if known.heard.is_none_or(|heard| now.since(heard) > self.grace) {
                known.suspect.get_or_insert(now);
            }
        };
        match &change.kind {
            ChangeKind::Push { reference, after: Some(_), .. } if reference.starts_with("refs/heads/") => {
                self.edit(&change.user, repo, suspect);
            }
            ChangeKind::Created => self.edit(&change.user, repo, suspect),
            ChangeKind::Deleted => {
                self.lock().known.remove(&(change.user.clone(), repo.clone()));
            }
            ChangeKind::Push { .. } => {}
        }
        self.news.notify_one();
    }

    /// The stream starts over: perhaps over another git host. What is listed then is no evidence of anything.
    pub(super) fn reset(&self) {
        self.lock().undelivered = false;
    }

    /// What was done so far.
    pub(super) fn told(&self) -> Repaired {
        let state = self.lock();
        Repaired { waiting: state.suspects().count(), ..state.told.clone() }
    }

    fn is_idle(&self) -> bool {
        self.lock().suspects().next().is_none()
    }

    /// The repository that has waited longest of those whose webhook is to be registered now.
    fn due(&self) -> Option<Name> {
        let now = self.clock.now();
        let state = self.lock();
        let due = state.known.iter().filter(|(_, known)| known.is_due(self.grace, now));
        due.min_by_key(|(name, known)| (known.suspect, *name)).map(|(name, _)| name.clone())
    }

    /// Notes what came of a repair.
    fn done(&self, name: &Name, result: &Result<HookState, ClientError>) {
        let now = self.clock.now();
        let mut state = self.lock();
        let told = HookEvent { repository: format!("{}/{}", name.0, name.1), at: now.0 };
        let label = match result {
            Ok(HookState::Amiss) => {
                state.told.repaired += 1;
                state.told.last_repaired = Some(told);
                "repaired"
            }
            Ok(HookState::Standing) => {
                state.told.renewed += 1;
                state.told.last_renewed = Some(told);
                "renewed"
            }
            Ok(HookState::Undelivered) => "undelivered",
            Err(_) => {
                state.told.failed += 1;
                state.told.last_failed = Some(told);
                "failed"
            }
        };
        self.counter.get_or_create(&Label { result: label }).inc();
        match result {
            Ok(found) => {
                if let Some(known) = state.known.get_mut(name) {
                    known.suspect = None;
                    known.wait(now);
                }
                state.delivers(*found);
            }
            // It will appear anew, if it does.
            Err(ClientError::NotFound { .. }) => drop(state.known.remove(name)),
            Err(
                ClientError::Unreachable { .. }
                | ClientError::Malformed { .. }
                | ClientError::Refused { .. }
                | ClientError::TooLarge { .. },
            ) => {
                if let Some(known) = state.known.get_mut(name) {
                    known.wait(now);
                }
            }
        }
    }

    fn edit(&self, user: &GitUser, repo: &RepoName, change: impl FnOnce(&mut Known)) {
        let now = self.clock.now();
        let name = (user.clone(), repo.clone());
        let mut state = self.lock();
        if state.known.len() >= REMEMBERED && !state.known.contains_key(&name) {
            state.known.retain(|_, known| known.matters(self.grace, now));
            if state.known.len() >= MOST {
                return;
            }
        }
        change(state.known.entry(name).or_default());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn suspects(&self) -> impl Iterator<Item = &Known> {
        self.known.values().filter(|known| known.suspect.is_some())
    }

    fn delivers(&mut self, found: HookState) {
        self.undelivered = found == HookState::Undelivered;
        if self.undelivered {
            self.known.clear();
        }
    }
}

/// Has webhooks registered anew, one after the other, until shutdown.
pub(super) async fn run(app: &App) {
    let repairs = &app.repairs;
    loop {
        let next = async {
            if let Some(name) = repairs.due() {
                repair(app, &name).await;
            } else if repairs.is_idle() {
                repairs.news.notified().await;
            } else {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = next => {}
            () = app.shutdown.cancelled() => return,
        }
    }
}

async fn repair(app: &App, name: &Name) {
    let (user, repo) = name;
    let done = app.git.ensure_hook(user, repo, &app.hook_url, true).await;
    let repository = format!("{user}/{repo}");
    match &done {
        Ok(HookState::Amiss) => {
            tracing::warn!(repository, "its webhook was missing or amiss, and is registered anew");
        }
        Ok(HookState::Standing) => {
            tracing::warn!(
                repository,
                "nothing was delivered by its webhook, which stands: it is registered anew; see whether Gitea may call the configstore"
            );
        }
        Ok(HookState::Undelivered) => tracing::info!("the git host delivers no webhooks"),
        Err(error) => {
            tracing::warn!(
                repository,
                error = with_causes(error),
                "its webhook could not be registered anew"
            );
        }
    }
    app.repairs.done(name, &done);
}

#[cfg(test)]
mod tests {
    use lb_testkit::clock::ManualClock;

    use super::*;

    const GRACE: Duration = Duration::from_secs(60);

    struct Scene {
        time: ManualClock,
        repairs: Repairs,
    }

    impl Scene {
        fn new() -> Self {
            let time = ManualClock::default();
            let repairs = Repairs::new(time.clock(), GRACE, &Metrics::default());
            Self { time, repairs }
        }

        fn happened(&self, name: &str, repo: &str, kind: ChangeKind) {
            let user = user(name);
            let repo = Some(repo.parse().unwrap());
            self.repairs.happened(&Change { cursor: "c".into(), user, repo, kind });
        }

        fn pushed(&self, name: &str) {
            self.happened(name, "dev", push("refs/heads/master", true));
        }

        fn heard(&self, name: &str) {
            self.repairs.heard(&user(name), &"dev".parse().unwrap());
        }

        /// Repairs what is due after some time; answers whose webhooks that were.
        fn after(&self, seconds: u64, result: impl Fn() -> Result<HookState, ClientError>) -> Vec<String> {
            self.time.advance(Duration::from_secs(seconds));
            let mut done = Vec::new();
            while let Some(name) = self.repairs.due() {
                self.repairs.done(&name, &result());
                done.push(format!("{}/{}", name.0.name, name.1));
            }
            done
        }
    }

    fn user(name: &str) -> GitUser {
        GitUser { prefix: "customer".parse().unwrap(), name: name.into() }
    }

    fn push(reference: &str, stands: bool) -> ChangeKind {
        let after = stands.then(|| "1".repeat(40).parse().unwrap());
        ChangeKind::Push { reference: reference.into(), before: None, after, actor: None }
    }

    fn silent() -> Result<HookState, ClientError> {
        Err(ClientError::Malformed { what: "PUT".into(), why: "nonsense".into() })
    }

    const AMISS: fn() -> Result<HookState, ClientError> = || Ok(HookState::Amiss);

    #[test]
    fn what_no_delivery_announces_within_the_grace_is_repaired_once() {
        let scene = Scene::new();
        scene.pushed("al");
        scene.pushed("bob");
        scene.heard("bob");
        scene.heard("carl");
        scene.pushed("carl");
        assert_eq!(scene.after(59, AMISS), Vec::<String>::new());
        assert_eq!(scene.after(1, AMISS), ["al/dev"]);
        assert_eq!(scene.after(10_000, AMISS), Vec::<String>::new());
        scene.pushed("carl");
        scene.happened("al", "functions", ChangeKind::Created);
        assert_eq!(scene.after(60, AMISS), ["al/functions", "carl/dev"]);
        let told = scene.repairs.told();
        assert_eq!((told.repaired, told.renewed, told.failed, told.waiting), (3, 0, 0, 0));
    }

    #[test]
    fn what_no_webhook_announces_is_no_evidence() {
        let scene = Scene::new();
        for (name, repo, kind) in [
            ("al", "dev", push("refs/heads/master", false)),
            ("al", "dev", push("refs/lunchbadger/openapi/dev", true)),
            ("al", "dev", push("refs/tags/v1", true)),
            ("al", "website", push("refs/heads/master", true)),
            ("al--x", "dev", push("refs/heads/master", true)),
            ("al", "dev", ChangeKind::Deleted),
        ] {
            scene.happened(name, repo, kind);
        }
        scene.happened("bob", "dev", ChangeKind::Created);
        scene.repairs.registered(&user("bob"), &"dev".parse().unwrap(), HookState::Amiss);
        scene.pushed("dora");
        scene.happened("dora", "dev", ChangeKind::Deleted);
        assert!(scene.repairs.is_idle());
        assert_eq!(scene.after(100, AMISS), Vec::<String>::new());
    }

    #[test]
    fn repairs_that_fail_or_do_not_help_are_tried_less_and_less_often() {
        let scene = Scene::new();
        scene.pushed("al");
        assert_eq!(scene.after(60, silent), ["al/dev"]);
        assert_eq!(scene.after(9, silent), Vec::<String>::new());
        assert_eq!(scene.after(1, silent), ["al/dev"]);
        assert_eq!(scene.after(19, silent), Vec::<String>::new());
        assert_eq!(scene.after(1, || Ok(HookState::Standing)), ["al/dev"]);
        scene.pushed("al");
        let standing = || Ok(HookState::Standing);
        let mut attempts = 0;
        for _ in 0..600 {
            attempts += scene.after(60, standing).len();
            scene.pushed("al");
        }
        assert!((10..20).contains(&attempts), "{attempts} in ten hours of pushes that are not announced");
        scene.heard("al");
        scene.time.advance(GRACE * 2);
        scene.pushed("al");
        assert_eq!(scene.after(60, AMISS), ["al/dev"], "a delivery makes it good again");
        let gone =
            || Err(ClientError::NotFound { what: "PUT".into(), code: String::new(), message: String::new() });
        scene.pushed("bob");
        assert_eq!(scene.after(60, gone), ["bob/dev"]);
        assert!(scene.repairs.is_idle());
    }

    #[test]
    fn a_host_that_delivers_nothing_is_asked_once_until_the_stream_starts_over() {
        let scene = Scene::new();
        scene.pushed("al");
        scene.pushed("bob");
        let undelivered = || Ok(HookState::Undelivered);
        assert_eq!(scene.after(60, undelivered).len(), 1);
        scene.pushed("al");
        assert_eq!(scene.after(60, undelivered), Vec::<String>::new());
        scene.repairs.reset();
        scene.pushed("al");
        assert_eq!(scene.after(60, undelivered), ["al/dev"]);
    }

    #[test]
    fn memory_is_bounded() {
        let scene = Scene::new();
        for n in 0..MOST + 10 {
            scene.pushed(&format!("u{n}"));
        }
        assert_eq!(scene.repairs.told().waiting, MOST);
        scene.after(60, AMISS);
        scene.time.advance(LONGEST_WAIT * 2);
        scene.pushed("al");
        assert_eq!(scene.repairs.lock().known.len(), 1);
    }
}
