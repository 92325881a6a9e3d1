//! The trait.

use std::collections::BTreeMap;

use async_trait::async_trait;
use lb_vocab::{CommitId, GitUser, Prefix, RepoName, SafePath, Secret};
use tokio::sync::watch;
use url::Url;

use crate::error::HostError;
use crate::globs::Globs;
use crate::names::{Cursor, Login, RefName};
use crate::types::{
    Advertisement, At, ByteStream, Changes, Collaborator, CommitInfo, CommitStatus, Found, Hook, HookTarget,
    Permission, PublicKey, Repository, Rpc, TokenInfo, TreeAnswer, User,
};

/// A place where users keep repositories.
///
/// Guarantees: a method that answers `Ok` answers completely (lists are whole, paging is inside); what does not exist
/// is `None` or [`HostError::NotFound`], and nothing else is. Nothing here asks who may do what, but
/// [`GitHost::permission`]: authorising is the caller's.
#[async_trait]
pub trait GitHost: Send + Sync {
    /// Every user of a prefix with the repositories that it owns, by login and name.
    async fn users(&self, prefix: &Prefix) -> Result<Vec<(User, Vec<Repository>)>, HostError>;

    /// Users of any prefix whose login contains this text, without regard to case, by login.
    async fn search_users(&self, text: &str) -> Result<Vec<User>, HostError>;

    /// One user.
    async fn user(&self, user: &GitUser) -> Result<Option<User>, HostError>;

    /// Makes sure that a user exists, and says whether it was made now: of several callers at once one is told so. Its
    /// mail address is `<name>@<prefix>.com`; nobody knows its password.
    async fn create_user(&self, user: &GitUser) -> Result<(User, bool), HostError>;

    /// Removes a user with everything it owns. `NotFound` where there is none.
    async fn delete_user(&self, user: &GitUser) -> Result<(), HostError>;

    /// The repositories that a user owns, by name; `None` where there is no such user.
    async fn repositories(&self, user: &GitUser) -> Result<Option<Vec<Repository>>, HostError>;

    /// One repository.
    async fn repository(&self, user: &GitUser, repo: &RepoName) -> Result<Option<Repository>, HostError>;

    /// Every repository that a login may use, its own included.
    async fn reachable(&self, login: &Login) -> Result<Vec<(Repository, Permission)>, HostError>;

    /// Makes sure that a private repository with the default branch `master` exists. `NotFound` without its user.
    async fn ensure_repository(&self, user: &GitUser, repo: &RepoName) -> Result<Repository, HostError>;

    /// Removes a repository.
    async fn delete_repository(&self, user: &GitUser, repo: &RepoName) -> Result<(), HostError>;

    /// Every file at one commit whose path matches. Files over `max_bytes` are listed, not read.
    async fn tree(
        &self,
        user: &GitUser,
        repo: &RepoName,
        at: &At,
        globs: &Globs,
        max_bytes: u64,
    ) -> Result<TreeAnswer, HostError>;

    /// Commits on the first-parent line, newest first, at most `limit` (capped at 1,000); with a path, those that
    /// changed it. `NotFound` (commit) where there is no such reference or commit.
    async fn history(
        &self,
        user: &GitUser,
        repo: &RepoName,
        at: &At,
        path: Option<&SafePath>,
        limit: usize,
    ) -> Result<Vec<CommitInfo>, HostError>;

    /// Makes sure that exactly one push webhook with this address is registered, as it is given here. Says how it was
    /// found.
    async fn ensure_hook(
        &self,
        user: &GitUser,
        repo: &RepoName,
        target: &HookTarget,
    ) -> Result<(Hook, Found), HostError>;

    /// Says of a commit how it fared, for people who look at it. `false`: this host keeps no such thing.
    async fn set_commit_status(
        &self,
        user: &GitUser,
        repo: &RepoName,
        commit: &CommitId,
        status: &CommitStatus,
    ) -> Result<bool, HostError>;

    /// A user's public keys, oldest first.
    async fn keys(&self, user: &GitUser) -> Result<Vec<PublicKey>, HostError>;

    /// Adds a public key. A title `lunchbadger-internal-*` replaces that user's older keys of the same title.
    /// `Refused` with a text for people: no key, a kind that is not accepted, or known already.
    async fn add_key(&self, user: &GitUser, title: &str, key: &str) -> Result<PublicKey, HostError>;

    /// Removes a key of this user; `NotFound` where the id is unknown or somebody else's.
    async fn delete_key(&self, user: &GitUser, id: u64) -> Result<(), HostError>;

    /// Who else may use a repository, by login.
    async fn collaborators(&self, user: &GitUser, repo: &RepoName) -> Result<Vec<Collaborator>, HostError>;

    /// Lets an existing user use a repository, or changes what they may do.
    async fn set_collaborator(
        &self,
        user: &GitUser,
        repo: &RepoName,
        login: &Login,
        permission: Permission,
    ) -> Result<(), HostError>;

    /// Ends that. `Ok` where they were none.
    async fn remove_collaborator(
        &self,
        user: &GitUser,
        repo: &RepoName,
        login: &Login,
    ) -> Result<(), HostError>;

    /// What a login may do with a repository; `None`: nothing, or there is no such login or repository.
    async fn permission(
        &self,
        login: &Login,
        user: &GitUser,
        repo: &RepoName,
    ) -> Result<Option<Permission>, HostError>;

    /// The most that this token, as the password of HTTP Basic, lets that user do with any repository; `None`: it is not
    /// this user's, or lets it do nothing. A user's own password is no token. Compared in constant time.
    async fn authenticate(&self, login: &Login, password: &Secret) -> Result<Option<Permission>, HostError>;

    /// Whoever has this login, of whatever prefix; `None` where nobody has, or who has may not sign in.
    async fn person(&self, login: &Login) -> Result<Option<User>, HostError>;

    /// Where people sign in with a browser; `None`: nowhere, they have passwords and tokens alone.
    fn sign_in(&self) -> Option<&dyn SignIn>;

    /// Where every reference of one repository points.
    async fn refs(&self, user: &GitUser, repo: &RepoName) -> Result<BTreeMap<RefName, CommitId>, HostError>;

    /// What happened after a cursor. It may repeat and does not miss.
    async fn changes(&self, after: Option<&Cursor>) -> Result<Changes, HostError>;

    /// Has a look at one repository now: somebody says that something happened there. Believes nothing else.
    async fn look(&self, user: &GitUser, repo: &RepoName) -> Result<(), HostError>;

    /// Changes its value with each change: look again. The value is the cursor after it.
    fn subscribe(&self) -> watch::Receiver<Cursor>;

    /// The whole body that answers `info/refs`, `# service=` line included where the protocol has it.
    async fn advertise(
        &self,
        user: &GitUser,
        repo: &RepoName,
        request: Advertisement,
    ) -> Result<ByteStream, HostError>;

    /// Runs a service and streams its answer. A push goes on where the answer is dropped. An `Err` means that nothing
    /// was answered yet; what goes wrong later breaks the stream off, which git clients notice.
    async fn rpc(&self, user: &GitUser, repo: &RepoName, request: Rpc) -> Result<ByteStream, HostError>;

    /// Waits until running pushes are done, and ends fetches. Stop serving first.
    async fn close(&self);

    /// Makes a token, with which a user authenticates instead of the password that it does not have. It is answered
    /// this once and stored nowhere.
    async fn create_token(&self, login: &Login, name: &str) -> Result<(TokenInfo, Secret), HostError>;

    /// A user's tokens, oldest first.
    async fn list_tokens(&self, login: &Login) -> Result<Vec<TokenInfo>, HostError>;

    /// Makes a token invalid; `NotFound` where the id is unknown or somebody else's.
    async fn revoke_token(&self, login: &Login, id: u64) -> Result<(), HostError>;
}

/// Signing in with a browser: OAuth 2 with an authorization code and PKCE (RFC 7636).
#[async_trait]
pub trait SignIn: Send + Sync {
    /// Where a browser is sent. It comes back to `callback` with a code and `state`; `challenge` is the S256 challenge of
    /// the verifier that [`SignIn::signed_in`] gets.
    fn address(&self, callback: &Url, state: &str, challenge: &str) -> Result<Url, HostError>;

    /// Who came back with this code. `Refused` where it was never given, was used already, or belongs to another verifier.
    async fn signed_in(&self, callback: &Url, code: &Secret, verifier: &Secret) -> Result<Login, HostError>;
}
