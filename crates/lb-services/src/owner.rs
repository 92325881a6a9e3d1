//! Who acts for a producer.

use lb_desired::build::names::{SLS_API, WORKSPACE};
use lb_http::auth::Identity;
use lb_vocab::{GitUser, Prefix};

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
