//! Who acts for a producer.

use lb_desired::build::names::{SLS_API, WORKSPACE};
use lb_http::auth::Identity;
use lb_vocab::{GitUser, Prefix};

/// Whether this is the git user itself, or a pod of its producer in which our code calls. Gateways run a producer's
/// code and hold no token: one that shows one has no business here.
pub(crate) fn owns(who: &Identity, user: &GitUser, producers: &Prefix) -> bool {
    let ours = match who {
        Identity::Pod { producer: _, component } => [WORKSPACE, SLS_API].contains(&component.as_str()),
        Identity::Anonymous | Identity::User { .. } | Identity::System { .. } | Identity::Operator => true,
    };
    ours && who.belongs_to(user, producers)
}
