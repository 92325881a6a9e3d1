//! `rights`: ServiceAccounts, roles and bindings of the control plane.

use anyhow::Result;
use lb_desired::crd;
use lb_desired::settings::Settings;
use lb_process::environment::{self, Variables};

use crate::exit::Exit;
use crate::screen::Screen;
use crate::yaml;

/// Prints them, accounts first.
pub(crate) fn run(variables: &Variables, screen: &mut Screen) -> Result<Exit> {
    let settings = environment::read(variables, Settings::read)?;
    let manifests = [crd::accounts(&settings), crd::rbac(&settings)].concat();
    yaml::print(&manifests, screen.json(), screen)?;
    Ok(Exit::Clean)
}
