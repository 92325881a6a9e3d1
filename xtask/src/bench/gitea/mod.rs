//! What needs a real Gitea.

mod flood;
mod load;
mod push;
mod store;
mod sweep;

use std::path::Path;

use anyhow::Result;
use lb_testkit::gitea::Gitea;

pub(super) use flood::flood;
pub(crate) use load::{Load, load};
pub(super) use push::push;
pub(super) use sweep::sweep;

use super::roles::Roles;

/// Producers in Gitea: more than a page, or as many as a large installation has.
fn producers(quick: bool) -> usize {
    if quick { 60 } else { 1000 }
}

/// Roles that keep producers at Gitea.
fn roles(program: &Path, directory: &Path, kubeconfig: Option<&Path>, gitea: &Gitea) -> Result<Roles> {
    let settings = [
        ("GITEA_HOST", gitea.url().to_owned()),
        ("GITEA_TOKEN_FILE", gitea.admin_token_file().display().to_string()),
        ("CONTROL_PLANE_NAMESPACE", super::system::NAMESPACE.to_owned()),
    ];
    Roles::new(program, directory, kubeconfig, settings)
}
