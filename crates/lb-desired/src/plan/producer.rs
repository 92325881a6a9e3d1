//! The producer as a whole: run it, remove it, or touch nothing.

use lb_vocab::Source;

use super::{Input, Presence, Why};
use crate::crd::Access;

/// What holds for every component of the producer.
pub(super) enum Verdict {
    /// What the project says runs.
    Run,
    /// All but credentials goes.
    Remove(Why),
    /// Nobody can say whether the producer is disabled.
    Unknown(String),
}

/// The operator's word first (it needs no git), then the roster's, then the project's.
pub(super) fn verdict(input: &Input<'_>) -> Verdict {
    match (input.access, input.presence) {
        (Access::Disabled, Presence::Present | Presence::Withdrawn) => {
            Verdict::Remove(Why::DisabledByOperator)
        }
        (Access::Enabled, Presence::Withdrawn) => Verdict::Remove(Why::Withdrawn),
        (Access::Enabled, Presence::Present) => match &input.decoded.project {
            Source::Unknown(reason) => Verdict::Unknown(format!("the project is unknown: {reason}")),
            Source::Known(project, _) if project.disabled => Verdict::Remove(Why::DisabledByProject),
            Source::Known(..) | Source::Absent(_) => Verdict::Run,
        },
    }
}
