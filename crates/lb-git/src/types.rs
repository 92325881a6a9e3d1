//! What goes into and comes out of a git host.

use std::fmt;
use std::io;
use std::str::FromStr;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use lb_vocab::{CommitId, GitUser, RepoName, SafePath, Secret, TextError, Timestamp, Tree};
use serde::{Deserialize, Serialize};

use crate::names::{Cursor, Login, RefName};

/// A body in pieces, none of which is kept. An `Err` in it means that the rest cannot be had.
pub type ByteStream = BoxStream<'static, Result<Bytes, io::Error>>;

/// A git user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The host's number for it; never used again.
    pub id: u64,
    /// Its login.
    pub login: Login,
    /// What people call it: its login where it has no other name.
    pub full_name: String,
    /// Its mail address.
    pub email: String,
    /// Since when it exists.
    pub created: Timestamp,
}

/// A repository. Always private.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// The host's number for it; never used again.
    pub id: u64,
    /// Whose it is.
    pub owner: Login,
    /// Its name.
    pub name: RepoName,
    /// The branch that a clone checks out, short (`master`).
    pub default_branch: String,
    /// Whether it has no references at all.
    pub empty: bool,
    /// Since when it exists.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
}

/// What somebody may do with a repository. Ordered: each includes the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Clone and read.
    Read,
    /// Push.
    Write,
    /// Change who may do what.
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

impl FromStr for Permission {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        match text {
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            "admin" => Ok(Self::Admin),
            other => Err(TextError::new(other, "a permission", "`read`, `write` and `admin` are")),
        }
    }
}

/// Somebody who may use another user's repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collaborator {
    /// Who.
    pub login: Login,
    /// What they may do.
    pub permission: Permission,
}

/// A public SSH key of a user; the fields are those of Gitea.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// The host's number for it; never used again.
    pub id: u64,
    /// What the user calls it.
    pub title: String,
    /// `SHA256:` and unpadded base64, as `ssh-keygen -l` shows it.
    pub fingerprint: String,
    /// The key in OpenSSH's one-line form.
    pub key: String,
    /// Since when the host knows it.
    pub created: Timestamp,
}

/// A push webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The host's number for it; never used again.
    pub id: u64,
    /// Where it is delivered.
    pub url: String,
    /// Since when it is registered.
    pub created: Timestamp,
}

/// Where a push webhook is to be delivered.
#[derive(Clone, Debug)]
pub struct HookTarget {
    /// The address. Its query may change: what stands before it says which webhook this is.
    pub url: String,
    /// What deliveries are signed with.
    pub secret: Secret,
    /// It is written even where it looks as it should: no host tells the secret that it has.
    pub anew: bool,
}

/// How a webhook was found that is now as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It stood, as far as can be seen.
    Standing,
    /// It was missing, or another one.
    Amiss,
    /// This host notes webhooks and delivers none.
    Undelivered,
}

impl HookTarget {
    /// Whether a webhook with this address is an older or equal form of this one.
    #[must_use]
    pub fn replaces(&self, url: &str) -> bool {
        let address = |url: &str| url.split('?').next().map(str::to_owned);
        address(url) == address(&self.url)
    }
}

/// How a commit fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitState {
    /// What it wants stands.
    Success,
    /// Something in it is to be mended.
    Failure,
    /// It is not the commit's fault that it does not stand.
    Error,
}

impl CommitState {
    /// The word that git hosts have for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error => "error",
        }
    }
}

/// What is said of a commit, beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitStatus {
    /// Whose word it is: `lunchbadger/dev`. Of several of the same, the last one holds.
    pub context: String,
    /// How it fared.
    pub state: CommitState,
    /// One line, at most 255 bytes.
    pub description: String,
    /// A line of one of its files, from 1, to which people are led; otherwise they are led to the commit.
    pub place: Option<(SafePath, u32)>,
}

/// A token, without its secret, which nobody has but its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    /// The host's number for it; never used again.
    pub id: u64,
    /// What it is for.
    pub name: String,
    /// Since when it is valid.
    pub created: Timestamp,
}

/// A place in a repository's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// Where a reference points when the question arrives.
    Ref(RefName),
    /// One commit.
    Commit(CommitId),
}

impl FromStr for At {
    type Err = TextError;

    /// A full commit id, or a full reference name.
    fn from_str(text: &str) -> Result<Self, TextError> {
        text.parse().map(Self::Commit).or_else(|_| text.parse().map(Self::Ref))
    }
}

/// Files at one commit, or the proof that the reference does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeAnswer {
    /// The reference led to this commit, and these are all the files there that match.
    Known {
        /// The commit.
        commit: CommitId,
        /// Every matching path; one that is not listed does not exist at this commit.
        tree: Tree,
    },
    /// There is no such reference.
    NoSuchRef {
        /// Every reference that the repository has; none: it is unborn.
        refs: Vec<RefName>,
    },
}

/// A commit, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitInfo {
    /// Its id.
    pub id: CommitId,
    /// Ids of its parents, the first one first.
    pub parents: Vec<CommitId>,
    /// Who wrote it, as they say.
    pub author_name: String,
    /// The author's mail address, as they say.
    pub author_email: String,
    /// The committer's mail address, as they say.
    pub committer_email: String,
    /// When it was committed, as they say.
    pub time: Timestamp,
    /// First line of its message.
    pub subject: String,
}

/// Something that happened to a user or a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where one is after this change.
    pub cursor: Cursor,
    /// Whose.
    pub user: GitUser,
    /// Which repository; `None` where it is the user as such that was created or deleted.
    pub repo: Option<RepoName>,
    /// What happened.
    pub kind: ChangeKind,
}

/// What happened to a user or a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// A reference moved.
    Push {
        /// The reference.
        ref_name: RefName,
        /// Where it pointed; `None`: it is new, or (in a reset) this is not known.
        before: Option<CommitId>,
        /// Where it points; `None`: it was deleted.
        after: Option<CommitId>,
        /// Who pushed, where the host knows.
        actor: Option<Login>,
    },
    /// It exists from now on.
    Created,
    /// It is gone.
    Deleted,
}

/// What happened since a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// Where one is after all of them.
    pub cursor: Cursor,
    /// The cursor asked for is missing, unknown or too old: `changes` are what stands instead: of every repository the
    /// references from which something is deployed ([`RefName::is_deployed`]; kind `Push`, `before` unknown; at most
    /// 32, `master` first), and `Created` for each user and for each repository without any.
    pub reset: bool,
    /// In the order in which they happened.
    pub changes: Vec<Change>,
}

/// One of git's two services over smart HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// Clone and fetch.
    UploadPack,
    /// Push.
    ReceivePack,
}

impl Service {
    /// The service as routes and media types have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }

    /// What somebody must be allowed to use it.
    #[must_use]
    pub fn needs(self) -> Permission {
        match self {
            Self::UploadPack => Permission::Read,
            Self::ReceivePack => Permission::Write,
        }
    }
}

impl FromStr for Service {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        match text {
            "git-upload-pack" => Ok(Self::UploadPack),
            "git-receive-pack" => Ok(Self::ReceivePack),
            other => {
                Err(TextError::new(other, "a git service", "`git-upload-pack` and `git-receive-pack` are"))
            }
        }
    }
}

/// `GET <repository>/info/refs?service=`.
#[derive(Clone, Debug)]
pub struct Advertisement {
    /// For which service.
    pub service: Service,
    /// The request's `Git-Protocol` header as it came; nonsense in it is ignored, as git does.
    pub protocol: Option<String>,
}

/// One reference that a push moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefUpdate {
    /// The reference.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
    /// Where it pointed; `None`: it is new.
    pub before: Option<CommitId>,
    /// Where it points; `None`: it was deleted.
    pub after: Option<CommitId>,
}

/// Called once after a push has moved references and they are durable and in the stream of changes; not called
/// where nothing moved. Each line that it answers is shown to the pusher as `remote: <line>`, where their client can
/// show it. It may take a few seconds; then the push is answered without it.
pub type ReceivedHook = Box<dyn FnOnce(Vec<RefUpdate>) -> BoxFuture<'static, Vec<String>> + Send>;

/// `POST <repository>/git-upload-pack` or `/git-receive-pack`.
pub struct Rpc {
    /// Which of the two.
    pub service: Service,
    /// Who asks: authenticated, and authorised by the caller. Noted in changes.
    pub actor: Option<Login>,
    /// The request's `Git-Protocol` header as it came.
    pub protocol: Option<String>,
    /// The request's body with its content coding removed: `Content-Encoding: gzip`, which git uses, is HTTP's
    /// affair and thus the caller's.
    pub body: ByteStream,
    /// What the pusher is told.
    pub on_received: Option<ReceivedHook>,
}

impl fmt::Debug for Rpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rpc")
            .field("service", &self.service)
            .field("actor", &self.actor)
            .finish_non_exhaustive()
    }
}
