//! A host of either kind with a prefix of the test's own, and git's smart HTTP before it.

use std::sync::Arc;

use lb_git::embedded::{Embedded, Settings};
use lb_git::gitea::{self, Gitea};
use lb_git::{GitHost, Login};
use lb_testkit::clock;
use lb_testkit::git::{Clone, Git};
use lb_testkit::gitea::Gitea as RealGitea;
use lb_vocab::{GitUser, Prefix, RepoName, Secret};
use tempfile::TempDir;

use crate::server::{Remarks, listen};

/// A host with `<prefix>-al` and its repository `dev`.
pub(crate) struct World {
    pub(crate) host: Arc<dyn GitHost>,
    pub(crate) prefix: Prefix,
    _directory: TempDir,
    base: String,
}

pub(crate) fn repo(name: &str) -> RepoName {
    name.parse().unwrap()
}

impl World {
    pub(crate) async fn embedded() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let host = Embedded::open(Settings::new(directory.path()), clock::system()).await.unwrap();
        Self::over(Arc::new(host), "customer".parse().unwrap(), directory).await
    }

    /// `None`, and a note, where there is no Gitea on this machine.
    pub(crate) async fn gitea() -> Option<Self> {
        lb_testkit::skip::needs_gitea()?;
        let real = RealGitea::shared().await;
        let directory = tempfile::tempdir().unwrap();
        let prefix: Prefix = lb_testkit::unique("p").parse().unwrap();
        let host = Self::open(real, &prefix, &directory).await;
        Some(Self::over(Arc::new(host), prefix, directory).await)
    }

    /// Another process's view of the same Gitea.
    pub(crate) async fn open(real: &RealGitea, prefix: &Prefix, directory: &TempDir) -> Gitea {
        let token = Secret::new(real.admin_token().to_owned());
        let settings =
            gitea::Settings::new(real.url().parse().unwrap(), token, prefix.clone(), directory.path());
        Gitea::open(settings, clock::system()).await.unwrap()
    }

    async fn over(host: Arc<dyn GitHost>, prefix: Prefix, directory: TempDir) -> Self {
        let remarks: Remarks = Arc::new(|moved| vec![format!("{} moved", moved.len())]);
        let base = listen(Arc::clone(&host), prefix.clone(), remarks).await;
        let world = Self { host, prefix, _directory: directory, base };
        world.host.create_user(&world.user("al")).await.unwrap();
        world.host.ensure_repository(&world.user("al"), &repo("dev")).await.unwrap();
        world
    }

    pub(crate) fn user(&self, name: &str) -> GitUser {
        GitUser { prefix: self.prefix.clone(), name: name.to_owned() }
    }

    pub(crate) fn login(&self, name: &str) -> Login {
        Login::try_from(&self.user(name)).unwrap()
    }

    /// Something with which a user authenticates.
    pub(crate) async fn password(&self, name: &str) -> Secret {
        self.host.create_token(&self.login(name), "test").await.unwrap().1
    }

    /// A client that is this user.
    pub(crate) async fn git(&self, name: &str) -> Git {
        Git::new().with_token(self.login(name).as_str(), self.password(name).await.reveal())
    }

    /// Address of a repository behind the host.
    pub(crate) fn url(&self, user: &str, repo: &str) -> String {
        format!("{}/{}/{repo}.git", self.base, self.login(user))
    }

    /// A working tree of a new history whose origin is al's `dev`.
    pub(crate) async fn al(&self) -> Clone {
        self.git("al").await.init(&self.url("al", "dev")).await
    }
}
