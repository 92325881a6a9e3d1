//! Preview: what a reconcile would plan now, for whoever only looks.

use std::collections::BTreeSet;

use lb_desired::crd::LBProducer;
use lb_desired::plan::Plan;
use lb_desired::settings::Settings;
use lb_http::contract::git_api::GitApi;
use lb_vocab::{Limits, Producer, UnknownReason};

use super::{Case, Children};
use crate::roster::Standing;

/// Something that a plan is made of could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{what} of `{who}` cannot be read: {reason}")]
pub struct Unreadable {
    /// Whose it is.
    pub who: Producer,
    /// A repository, or the OpenAPI document.
    pub what: &'static str,
    /// Why.
    pub reason: UnknownReason,
}

/// The plan that a reconcile of one environment would make now, by the very steps of a reconcile, with `children`
/// standing, and functions of other producers having the names `taken`. The roster is not asked: a producer that was withdrawn counts as withdrawn.
///
/// # Errors
/// Where a source is unknown: a reconcile would hold what stands, and there is nothing to show.
pub async fn preview(
    git: &GitApi,
    resource: &LBProducer,
    who: &Producer,
    children: &Children,
    taken: BTreeSet<String>,
    settings: &Settings,
) -> Result<Plan, Unreadable> {
    let unasked = Standing::Unconfirmed("not asked".to_owned());
    let case = Case::new(&Limits::default(), resource, who, &unasked, taken);
    let observed = case.observe(git, &settings.prefix).await;
    if let Some((what, reason)) = case.unreadable(&observed) {
        return Err(Unreadable { who: who.clone(), what, reason: reason.clone() });
    }
    Ok(case.planning(observed, children)(settings))
}
