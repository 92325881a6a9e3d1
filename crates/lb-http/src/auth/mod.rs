//! Who calls, and what that allows: the seam that every route goes through.
//!
//! [`Authenticator`] turns a request's credentials into an [`Identity`]; [`Rule`] stands beside each route in its
//! table; a role's [`Guard`] decides whether the identity satisfies the rule for what the request's path names.
//! Denied by default: a route has a rule, and only [`Rule::Public`] ones answer without credentials.

mod authenticator;
mod keys;
mod members;
pub mod pkce;
mod review;
mod settings;
mod signed;
mod static_tokens;

use std::fmt;

use axum::http::request::Parts;
use futures::future::BoxFuture;
use lb_vocab::{GitUser, Prefix, Producer};

pub use authenticator::{Authenticator, Passwords, bearer};
pub use keys::{KeyError, KeySet};
pub use members::{Accesses, Members, UserTokens};
pub use review::{NoVerdict, Reviews, TokenReviewer};
pub use settings::{AuthError, AuthSettings, VARIABLES};
pub use signed::{MAX_LIFETIME, Signer, Verifier};
pub use static_tokens::{StaticTokens, TokenFileError};

use crate::contract::git_api::Permission;
use crate::error::ApiError;

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// Nobody said who they are.
    Anonymous,
    /// A git user: a person, or a producer's own user.
    User {
        /// The login at the git host.
        login: String,
        /// The most that the credentials allow, whatever the user may do: a token may be good for reading alone.
        reach: Permission,
    },
    /// A pod of a producer: hostile code may run beside it.
    Pod {
        /// Whose pod, in which environment.
        producer: Producer,
        /// `workspace`, `sls-api`, `gateway`, ...
        component: String,
    },
    /// A part of the control plane.
    System {
        /// `actualizer`, `configstore`, ...
        component: String,
    },
    /// Who runs the platform.
    Operator,
}

impl Identity {
    /// The platform itself: its parts and its operator.
    #[must_use]
    pub fn is_system(&self) -> bool {
        match self {
            Self::System { .. } | Self::Operator => true,
            Self::Anonymous | Self::User { .. } | Self::Pod { .. } => false,
        }
    }

    /// As this git user, for whatever it may do.
    #[must_use]
    pub fn user(login: &str) -> Self {
        Self::User { login: login.to_owned(), reach: Permission::Admin }
    }

    /// The most that the credentials allow with any repository; what the caller may do is another question.
    #[must_use]
    pub fn reach(&self) -> Permission {
        match self {
            Self::User { login: _, reach } => *reach,
            Self::Anonymous => Permission::Read,
            Self::Pod { .. } | Self::System { .. } | Self::Operator => Permission::Admin,
        }
    }

    /// The git user itself, or one of its producer's pods.
    #[must_use]
    pub fn belongs_to(&self, user: &GitUser, producers: &Prefix) -> bool {
        match self {
            Self::User { login, reach: _ } => *login == user.to_string(),
            Self::Pod { producer, component: _ } => {
                user.prefix == *producers && user.name == producer.name().as_str()
            }
            Self::Anonymous | Self::System { .. } | Self::Operator => false,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::User { login, reach: _ } => write!(f, "user {login}"),
            Self::Pod { producer, component } => write!(f, "pod {component} of {producer}"),
            Self::System { component } => write!(f, "system {component}"),
            Self::Operator => f.write_str("operator"),
        }
    }
}

/// Who may use a route. Each rule includes the platform itself (its parts and its operator).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Anybody. The list of such routes is fixed: `/ping`, `/live`, `/ready`, `/` of a pod's APIs (kubelet asks it), and those that check themselves what they are
    /// shown: `/hook` a signature, `/login...` a code or a git user's own credentials, `/forward-auth` a token for another audience.
    Public,
    /// Nobody but the platform itself.
    System,
    /// Whoever it is, but pods that run a producer's code alone.
    Known,
    /// The git user or producer that the path names, its pods, and who administers all of its repositories.
    Owner,
    /// The git user that the path names; not its pods, whose code may be hostile.
    User,
    /// Who may read the repository that the path names.
    Read,
    /// Who may push to the repository that the path names.
    Write,
    /// Who may administer the repository that the path names; where it names a user alone, all of its repositories.
    Admin,
    /// Who may use the git service that path and query name: reading for fetches, writing for pushes.
    Git,
}

impl Rule {
    /// The rule in words, for the documentation.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::System => "system",
            Self::Owner => "owner, its pods, its admins",
            Self::User => "owner",
            Self::Known => "everybody known",
            Self::Read => "readers",
            Self::Write => "writers",
            Self::Admin => "admins",
            Self::Git => "readers; pushes: writers",
        }
    }
}

/// A role's answer to who may do what.
pub trait Guard: Send + Sync {
    /// Whether this identity, which is known and not the platform itself, satisfies a rule for what the request's
    /// path names. No answer means denied.
    fn allows<'a>(
        &'a self,
        rule: Rule,
        who: &'a Identity,
        request: &'a Parts,
        parameters: &'a [(String, String)],
    ) -> BoxFuture<'a, Result<bool, ApiError>>;
}
