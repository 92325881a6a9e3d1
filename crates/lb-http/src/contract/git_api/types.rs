//! What git-api and its clients send to each other.

use std::collections::BTreeMap;
use std::fmt;

use lb_vocab::{CommitId, GitUser, Prefix, RepoName, SafePath, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};

/// A git user in the fields of the git server's API that older clients read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Number of the user on its host.
    #[serde(default)]
    pub id: u64,
    /// `<prefix>-<name>`.
    pub login: String,
    /// The same as `login`.
    #[serde(default)]
    pub username: String,
    /// A name for people.
    #[serde(default)]
    pub full_name: String,
    /// `name@prefix.com`.
    #[serde(default)]
    pub email: String,
}

/// A git user with all its repositories.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserWithRepos {
    /// The user.
    #[serde(flatten)]
    pub user: User,
    /// Its repositories, complete.
    pub repos: Vec<Repository>,
}

/// A repository in the fields of the git server's API that older clients read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Number of the repository on its host.
    #[serde(default)]
    pub id: u64,
    /// Its name: `dev`.
    pub name: String,
    /// `<login>/<name>`.
    #[serde(default)]
    pub full_name: String,
    /// Whose it is.
    pub owner: Owner,
    /// Always true for repositories that we make.
    #[serde(default)]
    pub private: bool,
    /// It has no references.
    #[serde(default)]
    pub empty: bool,
    /// `master`.
    #[serde(default)]
    pub default_branch: String,
    /// What the asked user may do; only in answers about one user's reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Permissions>,
}

/// Whose a repository is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The login.
    pub login: String,
    /// The same as `login`.
    #[serde(default)]
    pub username: String,
}

/// What a user may do with a repository, as the git server's API says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions {
    /// Settings, too.
    pub admin: bool,
    /// Push.
    pub push: bool,
    /// Fetch.
    pub pull: bool,
}

/// What a collaborator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Fetch.
    Read,
    /// Push, too.
    Write,
    /// Collaborators and keys, too.
    Admin,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        })
    }
}

impl Permissions {
    /// The most of them; `None`: nothing.
    #[must_use]
    pub fn most(self) -> Option<Permission> {
        match self {
            Self { admin: true, .. } => Some(Permission::Admin),
            Self { push: true, .. } => Some(Permission::Write),
            Self { pull: true, .. } => Some(Permission::Read),
            Self { admin: false, push: false, pull: false } => None,
        }
    }
}

/// A collaborator of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collaborator {
    /// Login of the git user.
    pub login: String,
    /// What it may do.
    pub permission: Permission,
}

/// Who a login is, and what it may do with a producer's repositories.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Name and mail address stand as author in commits.
    pub user: User,
    /// By repository; what it may not even read is not in it.
    pub repos: BTreeMap<String, Permission>,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// `user`, `pod`, `system` or `operator`.
    pub kind: String,
    /// Login of a user, component of a pod or part.
    pub name: String,
    /// The most that the credentials allow, whatever the caller may do.
    pub reach: Permission,
    /// A user's names and mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
}

/// How a webhook was found that is now as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HookState {
    /// It stood, as far as can be seen: nobody tells the secret that it has.
    Standing,
    /// It was missing, or another one.
    Amiss,
    /// The git host notes webhooks and delivers none.
    Undelivered,
}

/// How a commit fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CommitState {
    /// What it wants stands.
    Success,
    /// Something in it is to be mended.
    Failure,
    /// It is not the commit's fault that it does not stand.
    Error,
}

/// The body of `PUT /statuses/:prefix/:name/:repo/:commit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitStatus {
    /// Whose word it is: `lunchbadger/dev`.
    pub context: String,
    /// How it fared.
    pub state: CommitState,
    /// One line; cut to 255 bytes.
    pub description: String,
    /// A file of the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<SafePath>,
    /// A line of that file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// A public SSH key in the fields of the git server's API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    /// Number of the key on its host.
    pub id: u64,
    /// When it was added, RFC 3339.
    pub created_at: String,
    /// Its title.
    pub title: String,
    /// `SHA256:..`.
    pub fingerprint: String,
    /// The key in OpenSSH's form.
    pub key: String,
}

/// The body of `POST /trees/:prefix/:name/:repo`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TreeRequest {
    /// A full reference name (`refs/heads/master`) or a commit id.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Which files: paths or globs in which `*` stays inside a directory and `**` does not.
    pub globs: Vec<String>,
    /// Files larger than this are listed and not sent, bytes.
    pub max_bytes: u64,
}

/// The answer of `POST /trees/:prefix/:name/:repo`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeBody {
    /// At which commit; null where the reference does not exist.
    #[serde(deserialize_with = "required")]
    pub commit: Option<CommitId>,
    /// The complete listing of references, only where `commit` is null. Empty: the repository is unborn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refs: Option<Vec<String>>,
    /// The files that match.
    pub files: Vec<FileBody>,
}

/// One entry of a [`TreeBody`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileBody {
    /// Its path.
    pub path: String,
    /// Its size, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Its content, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Why there is no content.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<NoContent>,
}

/// Why an entry of a [`TreeBody`] has no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NoContent {
    /// It is a symbolic link.
    Symlink,
    /// It is a submodule.
    Submodule,
    /// It is larger than was asked for.
    TooLarge,
}

/// A commit of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommitInfo {
    /// Its id.
    pub id: CommitId,
    /// Who wrote it.
    pub author_name: String,
    /// Who wrote it.
    pub author_email: String,
    /// Who committed it; can be forged.
    pub committer_email: String,
    /// When it was committed, milliseconds since the epoch.
    pub time: Timestamp,
    /// Its first line.
    pub subject: String,
    /// Its parents, the first one first.
    pub parents: Vec<CommitId>,
}

/// Something that happened to a user or a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ChangeBody", into = "ChangeBody")]
pub struct Change {
    /// Where in the stream it stands: what `after` and `Last-Event-ID` take. Opaque.
    pub cursor: String,
    /// Whose.
    pub user: GitUser,
    /// Which repository; `None` where the user itself appeared or vanished.
    pub repo: Option<RepoName>,
    /// What happened.
    pub kind: ChangeKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// A reference moved.
    Push {
        /// Its full name.
        reference: String,
        /// Where it stood; `None` where it is new, or this is a listing of heads.
        before: Option<CommitId>,
        /// Where it stands; `None` where it was removed.
        after: Option<CommitId>,
        /// Login of who pushed, where it is known.
        actor: Option<String>,
    },
    /// The user or repository appeared.
    Created,
    /// The user or repository vanished. A nudge like any other: it proves nothing.
    Deleted,
}

/// Changes after a cursor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Where the stream stands now: the next `after`.
    pub cursor: String,
    /// The cursor that was asked for is unknown or missing: `changes` lists the heads of every repository.
    pub reset: bool,
    /// In order.
    pub changes: Vec<Change>,
}

/// What the stream of changes gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeEvent {
    /// Something happened.
    Change(Change),
    /// The cursor was unknown or missing: the heads of every repository.
    Reset(Changes),
}

/// [`Change`] on the wire.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ChangeBody {
    cursor: String,
    prefix: Prefix,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repo: Option<RepoName>,
    kind: KindBody,
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(default)]
    before: Option<CommitId>,
    #[serde(default)]
    after: Option<CommitId>,
    #[serde(default)]
    actor: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindBody {
    Push,
    Created,
    Deleted,
}

impl TryFrom<ChangeBody> for Change {
    type Error = &'static str;

    fn try_from(body: ChangeBody) -> Result<Self, Self::Error> {
        let ChangeBody { cursor, prefix, name, repo, kind, reference, before, after, actor } = body;
        let kind = match kind {
            KindBody::Push if repo.is_none() => return Err("a push without `repo`"),
            KindBody::Push => {
                let reference = reference.ok_or("a push without `ref`")?;
                ChangeKind::Push { reference, before, after, actor }
            }
            KindBody::Created => ChangeKind::Created,
            KindBody::Deleted => ChangeKind::Deleted,
        };
        Ok(Self { cursor, user: GitUser { prefix, name }, repo, kind })
    }
}

impl From<Change> for ChangeBody {
    fn from(change: Change) -> Self {
        let Change { cursor, user: GitUser { prefix, name }, repo, kind } = change;
        let (kind, reference, before, after, actor) = match kind {
            ChangeKind::Push { reference, before, after, actor } => {
                (KindBody::Push, Some(reference), before, after, actor)
            }
            ChangeKind::Created => (KindBody::Created, None, None, None, None),
            ChangeKind::Deleted => (KindBody::Deleted, None, None, None, None),
        };
        Self { cursor, prefix, name, repo, kind, reference, before, after, actor }
    }
}

/// A key that must be there and may be null.
fn required<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_round_trips_and_a_push_needs_its_reference() {
        let text = r#"{"cursor":"c7","prefix":"customer","name":"al","repo":"dev","kind":"push","ref":"refs/heads/master","before":null,"after":"0123456789abcdef0123456789abcdef01234567","actor":"customer-bob"}"#;
        let change: Change = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&change).unwrap(), text);
        for broken in [
            "\"ref\":\"refs/heads/master\",",
            "\"repo\":\"dev\",",
            "\"cursor\":\"c7\",",
            "\"kind\":\"push\",",
        ] {
            assert!(serde_json::from_str::<Change>(&text.replace(broken, "")).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_tree_needs_its_commit_even_if_null() {
        assert!(serde_json::from_str::<TreeBody>(r#"{"files":[]}"#).is_err());
        assert!(serde_json::from_str::<TreeBody>(r#"{"commit":null,"files":[]}"#).unwrap().commit.is_none());
    }
}

/// Where an OpenAPI document is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptDocument {
    /// The commit that holds it, of its own reference.
    pub commit: CommitId,
    /// Whether that commit is new.
    pub kept: bool,
}
