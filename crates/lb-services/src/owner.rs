//! Who acts for a producer, and with what.

use lb_desired::build::names::{SLS_API, WORKSPACE};
use lb_http::auth::Identity;
use lb_vocab::{GitUser, Prefix, RepoName};

/// The repositories of every producer.
pub(crate) const REPOSITORIES: [&str; 2] = ["dev", "functions"];

/// The repositories of every producer: `dev` and `functions`.
pub(crate) fn repositories() -> Vec<RepoName> {
    REPOSITORIES.iter().filter_map(|repo| repo.parse().ok()).collect()
}

/// Whether our own code calls, or a person. Gateways run a producer's code and hold no token: one that shows one has no
/// business here.
pub(crate) fn is_known(who: &Identity) -> bool {
    match who {
        Identity::Pod { producer: _, component } => [WORKSPACE, SLS_API].contains(&component.as_str()),
        Identity::Anonymous => false,
        Identity::User { .. } | Identity::System { .. } | Identity::Operator => true,
    }
}

/// Whether this is the git user itself, or a pod of its producer in which our code calls.
pub(crate) fn owns(who: &Identity, user: &GitUser, producers: &Prefix) -> bool {
    is_known(who) && who.belongs_to(user, producers)
}
