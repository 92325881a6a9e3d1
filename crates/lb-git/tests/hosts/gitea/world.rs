//! The adapter, a proxy, a real Gitea, and a clock that is moved.

use std::time::Duration;

use lb_git::gitea::{Gitea, Settings};
use lb_git::{Changes, Cursor, GitHost, HostError, Login, RefName};
use lb_testkit::clock::ManualClock;
use lb_testkit::eventually;
use lb_testkit::git::{Clone, Git};
use lb_testkit::gitea::{ADMIN, Gitea as RealGitea};
use lb_vocab::{Clock, CommitId, GitUser, Prefix, Secret, Timestamp};
use reqwest::Method;
use tempfile::TempDir;

use super::proxy::Proxy;
use crate::contract::changes::lines;
use crate::contract::world::repo;

/// Longer than a circuit breaker stays open and a repository that cannot be read is left alone.
pub(crate) const PAUSE: Duration = Duration::from_secs(20);

/// An adapter with a prefix of its own, `<prefix>-al` and its repository `dev`.
pub(crate) struct Behind {
    pub(crate) host: Gitea,
    pub(crate) proxy: Proxy,
    /// Moves the adapter's time.
    pub(crate) clock: ManualClock,
    time: Clock,
    pub(crate) prefix: Prefix,
    pub(crate) directory: TempDir,
    pub(crate) token: Secret,
    real: String,
    settings: Settings,
}

impl Behind {
    pub(crate) async fn new(real: &RealGitea, proxy: Proxy, change: impl FnOnce(&mut Settings)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let prefix: Prefix = lb_testkit::unique("p").parse().unwrap();
        let (clock, token) = (ManualClock::default(), Secret::new(real.admin_token().to_owned()));
        // Time goes on, because Gitea's does, and can be moved on.
        let (real_time, moved) = (lb_testkit::clock::system(), clock.clock());
        clock.set(Timestamp(0));
        let time = Clock::new(move || Timestamp(real_time.now().0 + moved.now().0));
        let mut settings = Settings::new(proxy.url(), token.clone(), prefix.clone(), directory.path());
        let host = Gitea::open(settings.clone(), time.clone()).await.unwrap();
        let al = GitUser { prefix: prefix.clone(), name: "al".to_owned() };
        host.create_user(&al).await.unwrap();
        host.ensure_repository(&al, &repo("dev")).await.unwrap();
        change(&mut settings);
        let real = real.url().to_owned();
        Self { host, proxy, clock, time, prefix, directory, token, real, settings }.reopen(None).await
    }

    pub(crate) fn user(&self, name: &str) -> GitUser {
        GitUser { prefix: self.prefix.clone(), name: name.to_owned() }
    }

    pub(crate) fn login(&self, name: &str) -> Login {
        Login::try_from(&self.user(name)).unwrap()
    }

    /// A working tree whose origin is a repository of Gitea's own, past the adapter.
    pub(crate) async fn directly(&self, user: &str, repo: &str) -> Clone {
        let git = Git::new().with_token(ADMIN, self.token.reveal());
        git.init(&format!("{}/{}/{repo}.git", self.real, self.login(user))).await
    }

    /// The same where time only goes on when it is moved.
    pub(crate) async fn still(self) -> Self {
        let time = self.clock.clock();
        Self { time, ..self }.reopen(None).await
    }

    /// The same in a process of tomorrow, in its directory or a new one.
    pub(crate) async fn reopen(self, directory: Option<TempDir>) -> Self {
        let Self { host, directory: before, .. } = self;
        host.close().await;
        drop(host);
        let directory = directory.unwrap_or(before);
        let settings = Settings { directory: directory.path().to_owned(), ..self.settings };
        let host = Gitea::open(settings.clone(), self.time.clone()).await.unwrap();
        Self { host, directory, settings, ..self }
    }

    /// Does something at Gitea itself, past the adapter.
    pub(crate) async fn api(&self, method: Method, path: &str, body: serde_json::Value) -> serde_json::Value {
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let request = http.request(method, format!("{}/api/v1/{path}", self.real));
        let answer = request.bearer_auth(self.token.reveal()).json(&body).send().await.unwrap();
        let (status, body) = (answer.status(), answer.bytes().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap_or_default()
    }

    /// Where `master` of a repository of al's points.
    pub(crate) async fn master(&self, name: &str) -> Result<Option<CommitId>, HostError> {
        Ok(self.host.refs(&self.user("al"), &repo(name)).await?.remove(&RefName::master()))
    }

    /// What happened after a cursor.
    pub(crate) async fn after(&self, cursor: &Cursor) -> Changes {
        let changes = self.host.changes(Some(cursor)).await.unwrap();
        assert!(!changes.reset);
        changes
    }

    /// Waits until nothing is read again that was read already: the seconds of all stamps are over.
    pub(crate) async fn settle(&self, cursor: &Cursor) {
        eventually("nothing is read again", async || {
            self.proxy.asked();
            self.told(cursor, &[]).await;
            let mut asked = self.proxy.asked();
            asked.retain(|path| path.ends_with("/git-upload-pack"));
            if asked.is_empty() { Ok(()) } else { Err(format!("{asked:?}")) }
        })
        .await;
    }

    /// Waits until exactly this is told after a cursor.
    pub(crate) async fn told(&self, cursor: &Cursor, expected: &[&str]) -> Cursor {
        eventually("what happened is told", async || {
            let changes = self.after(cursor).await;
            let told = lines(&changes.changes);
            if told == expected { Ok(changes.cursor) } else { Err(format!("{told:?}, not {expected:?}")) }
        })
        .await
    }
}
