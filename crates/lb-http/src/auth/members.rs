//! What stands before a producer's APIs: a user's token, checked with git-api's public keys, and what git-api says that
//! this user may do with the producer's repositories.
//!
//! Guarantees: no answer lets nobody in; what git-api said holds for 30 s, so that whom the git host's permissions no longer
//! name is out after that. The git host's own credentials never come here.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::request::Parts;
use futures::future::BoxFuture;
use http::StatusCode;
use lb_vocab::{Clock, GitUser, RepoName, Secret, Timestamp};

use super::{Guard, Identity, KeySet, NoVerdict, Rule, TokenReviewer, Verifier};
use crate::contract::git_api::{Access, GitApi, Permission};
use crate::error::ApiError;

/// How long git-api's answer about a user holds.
const HOLDS: Duration = Duration::from_secs(30);
/// Users whose access is remembered at once.
const REMEMBERED: usize = 10_000;
/// Keys are asked for once in this time, whatever keys tokens name.
const KEY_INTERVAL: Duration = Duration::from_secs(10);
/// Where they were not answered, they are asked for again after this.
const KEY_RETRY: Duration = Duration::from_secs(2);

/// Checks tokens that git-api issued to users for one audience.
pub struct UserTokens {
    git: GitApi,
    verifier: Verifier,
    clock: Clock,
    keys: Mutex<KeySet>,
    /// Held while they are asked for, so that whoever comes meanwhile waits for the answer.
    asked: tokio::sync::Mutex<Option<Asked>>,
}

/// When keys were asked for last, and whether they were answered.
#[derive(Clone, Copy)]
struct Asked {
    at: Timestamp,
    answered: bool,
}

impl Asked {
    fn is_recent(&self, now: Timestamp) -> bool {
        let holds = if self.answered { KEY_INTERVAL } else { KEY_RETRY };
        self.at <= now && now.since(self.at) < holds
    }
}

impl UserTokens {
    /// Keys come from this git-api, which names itself `issuer` in tokens.
    #[must_use]
    pub fn new(git: GitApi, issuer: &str, audience: &str, clock: &Clock) -> Self {
        let verifier = Verifier::new(issuer, audience, clock.clone());
        Self {
            git,
            verifier,
            clock: clock.clone(),
            keys: Mutex::default(),
            asked: tokio::sync::Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, KeySet> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys that a token of a new key is checked with.
    async fn newer(&self, token: &Secret) -> Result<KeySet, NoVerdict> {
        let mut asked = self.asked.lock().await;
        let known = self.known().clone();
        if known.of(token.reveal()).is_some() {
            return Ok(known);
        }
        let silent = NoVerdict { retry_after: KEY_RETRY };
        if let Some(asked) = asked.filter(|asked| asked.is_recent(self.clock.now())) {
            return if asked.answered { Ok(known) } else { Err(silent) };
        }
        let answer = self.git.public_keys().await;
        *asked = Some(Asked { at: self.clock.now(), answered: answer.is_ok() });
        let keys = answer.map_err(|error| {
            tracing::warn!(%error, "git-api does not answer its public keys");
            silent
        })?;
        self.known().clone_from(&keys);
        Ok(keys)
    }

    async fn check(&self, token: &Secret) -> Result<Option<Identity>, NoVerdict> {
        let known = self.known().clone();
        let keys = if known.of(token.reveal()).is_some() { known } else { self.newer(token).await? };
        let who = self.verifier.clone().trust(keys).identify(token.reveal());
        // Only people come this way: the platform's parts have tokens of their own.
        Ok(who.filter(|who| matches!(who, Identity::User { .. })))
    }
}

impl TokenReviewer for UserTokens {
    fn review<'a>(&'a self, token: &'a Secret) -> BoxFuture<'a, Result<Option<Identity>, NoVerdict>> {
        Box::pin(self.check(token))
    }
}

/// What was answered, and when it was asked for: by owner and login.
type Answers = HashMap<(String, String), (Timestamp, Option<Access>)>;

/// What git-api says that users may do with producers' repositories.
pub struct Accesses {
    git: GitApi,
    clock: Clock,
    known: Mutex<Answers>,
}

impl Accesses {
    /// Asks this git-api, as ourselves.
    #[must_use]
    pub fn new(git: GitApi, clock: Clock) -> Self {
        Self { git, clock, known: Mutex::default() }
    }

    /// Who a login is, as the author of commits, and what it may do with an owner's repositories; `None`: nothing.
    ///
    /// # Errors
    /// 503 where git-api does not say.
    pub async fn of(&self, owner: &GitUser, login: &str) -> Result<Option<Access>, ApiError> {
        let now = self.clock.now();
        let fresh = |asked: Timestamp| asked <= now && now.since(asked) < HOLDS;
        let key = (owner.to_string(), login.to_owned());
        if let Some((asked, access)) = self.lock().get(&key)
            && fresh(*asked)
        {
            return Ok(access.clone());
        }
        let access = self.git.access(owner, login).await.map_err(|error| {
            tracing::warn!(%error, "git-api does not say what a user may do");
            let message = "what you may do here cannot be found out now";
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "NO_VERDICT", message).retry_after(2)
        })?;
        let mut known = self.lock();
        if known.len() >= REMEMBERED {
            known.retain(|_, (asked, _)| fresh(*asked));
        }
        if known.len() < REMEMBERED {
            known.insert(key, (now, access.clone()));
        }
        Ok(access)
    }

    /// Whether a user's credentials and permissions allow `needs` with a repository.
    ///
    /// # Errors
    /// 503 where git-api does not say.
    pub async fn allow(
        &self,
        who: &Identity,
        owner: &GitUser,
        repo: &RepoName,
        needs: Permission,
    ) -> Result<bool, ApiError> {
        let Identity::User { login, reach } = who else { return Ok(false) };
        if *reach < needs {
            return Ok(false);
        }
        let access = self.of(owner, login).await?;
        Ok(access.and_then(|access| access.repos.get(repo.as_str()).copied()).is_some_and(|has| has >= needs))
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets users do with one producer's API what they may do with the repository behind it.
pub struct Members {
    accesses: Accesses,
    owner: GitUser,
    repo: RepoName,
}

impl Members {
    /// Asks about `owner`'s repository `repo`.
    #[must_use]
    pub fn new(accesses: Accesses, owner: GitUser, repo: RepoName) -> Self {
        Self { accesses, owner, repo }
    }

    /// Who a login is, and what it may do here.
    ///
    /// # Errors
    /// 503 where git-api does not say.
    pub async fn access(&self, login: &str) -> Result<Option<Access>, ApiError> {
        self.accesses.of(&self.owner, login).await
    }

    /// Whether a rule is satisfied here; the platform itself satisfies each.
    ///
    /// # Errors
    /// 503 where git-api does not say.
    pub async fn satisfies(&self, rule: Rule, who: &Identity) -> Result<bool, ApiError> {
        Ok(who.is_system() || self.decide(rule, who).await?)
    }

    async fn decide(&self, rule: Rule, who: &Identity) -> Result<bool, ApiError> {
        let needs = match rule {
            Rule::Public => return Ok(true),
            Rule::Known | Rule::Read => Permission::Read,
            Rule::Write => Permission::Write,
            Rule::Admin => Permission::Admin,
            Rule::System | Rule::Owner | Rule::User | Rule::Git => return Ok(false),
        };
        self.accesses.allow(who, &self.owner, &self.repo, needs).await
    }
}

impl Guard for Members {
    fn allows<'a>(
        &'a self,
        rule: Rule,
        who: &'a Identity,
        _: &'a Parts,
        _: &'a [(String, String)],
    ) -> BoxFuture<'a, Result<bool, ApiError>> {
        Box::pin(self.decide(rule, who))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::extract::State;
    use axum::routing::get;
    use axum::{Json, Router};
    use futures::future::join_all;
    use serde_json::{Value, json};
    use tokio::sync::Semaphore;

    use super::super::{MAX_LIFETIME, Signer};
    use super::*;
    use crate::contract::{Timeouts, TokenSource};

    /// How often keys were asked for, what is answered, and when: once nobody holds it back.
    type Keys = Arc<(AtomicUsize, String, Semaphore)>;

    async fn keys(State(keys): State<Keys>) -> Json<Value> {
        keys.0.fetch_add(1, Ordering::SeqCst);
        let _free = keys.2.acquire().await.unwrap();
        Json(json!({"keys": keys.1}))
    }

    #[tokio::test]
    async fn whoever_comes_while_keys_are_asked_for_waits_for_them() {
        let directory = tempfile::tempdir().unwrap();
        let clock = lb_testkit::clock::system();
        let signer =
            |name| Signer::load_or_create(&directory.path().join(name), "lb", clock.clone()).unwrap();
        let (right, other) = (signer("right"), signer("other"));
        let answered: Keys =
            Arc::new((AtomicUsize::new(0), right.public_keys().pem().unwrap(), Semaphore::new(0)));
        let app = Router::new().route("/keys", get(keys)).with_state(Arc::clone(&answered));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(axum::serve(listener, app).into_future());
        let git = GitApi::new(base, TokenSource::none(), Timeouts::default()).unwrap();
        let tokens = UserTokens::new(git, "lb", "al-dev", &clock);
        let issue =
            |signer: &Signer, login| signer.issue(&Identity::user(login), "al-dev", MAX_LIFETIME).unwrap();
        let shown: Vec<Secret> = ["a", "b", "c"].iter().map(|login| issue(&right, login)).collect();
        let checked = join_all(shown.iter().map(|token| tokens.check(token)));
        let asked = async {
            while answered.0.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
            // The others are under way by now: they were begun together.
            answered.2.add_permits(1);
        };
        let (found, ()) = tokio::join!(checked, asked);
        let expected = ["a", "b", "c"].map(|login| Ok(Some(Identity::user(login))));
        assert_eq!(found, expected);
        assert_eq!(tokens.check(&issue(&other, "a")).await, Ok(None), "another key");
        assert_eq!(answered.0.load(Ordering::SeqCst), 1, "asked once for all of them");
    }
}
