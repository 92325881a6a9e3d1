//! Gitea's JSON, as far as it is used, and what it means here.

use std::str::FromStr;

use jiff::Timestamp as Time;
use lb_vocab::{Secret, Timestamp};
use serde::Deserialize;

use crate::names::Login;
use crate::types::{Collaborator, Hook, HookTarget, Permission, PublicKey, Repository, TokenInfo, User};

/// A user.
#[derive(Debug, Deserialize)]
pub(super) struct UserBody {
    pub(super) id: u64,
    pub(super) login: String,
    #[serde(default)]
    full_name: String,
    #[serde(default)]
    email: String,
    created: Time,
    /// Shown to administrators, and to the user.
    #[serde(default)]
    active: Option<bool>,
    #[serde(default)]
    prohibit_login: Option<bool>,
}

/// A repository.
#[derive(Debug, Deserialize)]
pub(super) struct RepositoryBody {
    pub(super) id: u64,
    owner: OwnerBody,
    pub(super) name: String,
    #[serde(default)]
    default_branch: String,
    #[serde(default)]
    empty: bool,
    created_at: Time,
    updated_at: Time,
    #[serde(default)]
    permissions: Option<PermissionsBody>,
}

#[derive(Debug, Deserialize)]
struct OwnerBody {
    login: String,
}

#[derive(Debug, Deserialize)]
struct PermissionsBody {
    admin: bool,
    push: bool,
    pull: bool,
}

/// `GET /repos/search`
#[derive(Debug, Deserialize)]
pub(super) struct FoundBody {
    ok: bool,
    pub(super) data: Vec<RepositoryBody>,
}

/// `GET /users/search`
#[derive(Debug, Deserialize)]
pub(super) struct FoundUsersBody {
    ok: bool,
    pub(super) data: Vec<UserBody>,
}

/// `GET .../collaborators/<login>/permission`
#[derive(Debug, Deserialize)]
pub(super) struct PermissionBody {
    permission: String,
}

/// A public key.
#[derive(Debug, Deserialize)]
pub(super) struct KeyBody {
    pub(super) id: u64,
    pub(super) title: String,
    fingerprint: String,
    pub(super) key: String,
    created_at: Time,
}

/// A token; its text only where it was just made.
#[derive(Debug, Deserialize)]
pub(super) struct TokenBody {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) sha1: Secret,
    pub(super) created_at: Time,
    /// The end of the token's text.
    #[serde(default)]
    pub(super) token_last_eight: String,
    /// What it is good for.
    #[serde(default)]
    pub(super) scopes: Vec<String>,
}

/// `POST /login/oauth/access_token`
#[derive(Debug, Deserialize)]
pub(super) struct AccessBody {
    pub(super) access_token: Secret,
}

/// A webhook. Its secret is never answered.
#[derive(Debug, Deserialize)]
pub(super) struct HookBody {
    pub(super) id: u64,
    pub(super) config: HookConfigBody,
    pub(super) events: Vec<String>,
    pub(super) active: bool,
    #[serde(default)]
    branch_filter: String,
    created_at: Time,
}

/// A webhook's target.
#[derive(Debug, Deserialize)]
pub(super) struct HookConfigBody {
    #[serde(default)]
    pub(super) url: String,
    #[serde(default)]
    pub(super) content_type: String,
}

/// Logins ignore case at Gitea; here they have lower case. `None`: nothing of ours has such a name.
fn login(text: &str) -> Option<Login> {
    text.to_lowercase().parse().ok()
}

fn timestamp(time: Time) -> Timestamp {
    Timestamp(u64::try_from(time.as_millisecond()).unwrap_or(0))
}

impl UserBody {
    /// `None` where the name is none of ours.
    pub(super) fn user(self) -> Option<User> {
        let Self { id, login: name, full_name, email, created, active: _, prohibit_login: _ } = self;
        let full_name = if full_name.trim().is_empty() { name.clone() } else { full_name };
        Some(User { id, login: login(&name)?, full_name, email, created: timestamp(created) })
    }

    /// Whether it may sign in: not where Gitea does not say so.
    pub(super) fn may_sign_in(&self) -> bool {
        self.active == Some(true) && self.prohibit_login == Some(false)
    }
}

impl RepositoryBody {
    /// Whose it is; `None` where the name is none of ours.
    pub(super) fn owner(&self) -> Option<Login> {
        login(&self.owner.login)
    }

    /// When it last changed; whole seconds.
    pub(super) fn updated(&self) -> Timestamp {
        timestamp(self.updated_at)
    }

    /// What whoever asked may do with it.
    pub(super) fn permission(&self) -> Option<Permission> {
        match self.permissions.as_ref()? {
            PermissionsBody { admin: true, .. } => Some(Permission::Admin),
            PermissionsBody { push: true, .. } => Some(Permission::Write),
            PermissionsBody { pull: true, .. } => Some(Permission::Read),
            PermissionsBody { admin: false, push: false, pull: false } => None,
        }
    }

    /// `None` where its name or its owner's is none of ours.
    pub(super) fn repository(self) -> Option<Repository> {
        let owner = self.owner()?;
        let Self { id, owner: _, name, default_branch, empty, created_at, updated_at, permissions: _ } = self;
        Some(Repository {
            id,
            owner,
            name: name.parse().ok()?,
            default_branch,
            empty,
            created: timestamp(created_at),
            updated: timestamp(updated_at),
        })
    }
}

impl FoundBody {
    /// Whether Gitea says that the search worked.
    pub(super) fn checked(self) -> Option<Vec<RepositoryBody>> {
        self.ok.then_some(self.data)
    }
}

impl FoundUsersBody {
    /// Whether Gitea says that the search worked.
    pub(super) fn checked(self) -> Option<Vec<UserBody>> {
        self.ok.then_some(self.data)
    }
}

impl PermissionBody {
    /// `owner` is what Gitea also calls its own administrators.
    pub(super) fn permission(&self) -> Option<Permission> {
        match self.permission.as_str() {
            "owner" => Some(Permission::Admin),
            word => Permission::from_str(word).ok(),
        }
    }
}

impl KeyBody {
    pub(super) fn key(self) -> PublicKey {
        let Self { id, title, fingerprint, key, created_at } = self;
        PublicKey { id, title, fingerprint, key, created: timestamp(created_at) }
    }
}

impl TokenBody {
    pub(super) fn info(self) -> TokenInfo {
        let Self { id, name, sha1: _, created_at, token_last_eight: _, scopes: _ } = self;
        TokenInfo { id, name, created: timestamp(created_at) }
    }
}

impl HookBody {
    /// Whether it does what is wanted. A changed secret shows in the address.
    pub(super) fn is(&self, target: &HookTarget) -> bool {
        self.config.url == target.url
            && self.config.content_type == "json"
            && self.active
            && self.events == ["push"]
            && matches!(self.branch_filter.as_str(), "" | "*")
    }

    pub(super) fn hook(self) -> Hook {
        Hook { id: self.id, url: self.config.url, created: timestamp(self.created_at) }
    }
}

/// A collaborator, where its name is one of ours and it may do something.
pub(super) fn collaborator(user: &UserBody, permission: &PermissionBody) -> Option<Collaborator> {
    Some(Collaborator { login: login(&user.login)?, permission: permission.permission()? })
}
