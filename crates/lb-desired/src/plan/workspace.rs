//! The workspace and the sls-api: they run for every producer that is not switched off, project or no project.

use lb_vocab::Source;

use super::{Complete, Component, Decision, Input, Why};
use crate::build::names::workspace_child;
use crate::crd::LBWorkspaceSpec;

/// The workspace of a producer that runs.
///
/// With `ENABLE_ROLLING_UPDATE` the spec carries the commits that its pods were started for; while one of them is
/// unknown the workspace is held, because a commit that comes and goes would restart it twice.
pub(super) fn plan(input: &Input<'_>) -> Component<LBWorkspaceSpec> {
    let name = workspace_child(input.producer);
    let rolling = input.settings.rolling_update;
    if let (true, Source::Unknown(reason)) = (rolling, &input.decoded.functions) {
        return Component::all_held([name], &format!("the functions repository is unknown: {reason}"));
    }
    let spec = LBWorkspaceSpec {
        producer: input.producer.name().to_string(),
        environment: input.producer.environment().to_string(),
        revision: revision(rolling, &input.decoded.project),
        functions_revision: revision(rolling, &input.decoded.functions),
    };
    Component {
        children: [(name, Decision::Deploy(spec))].into(),
        complete: Some(Complete { why: Why::NotInProject }),
    }
}

fn revision<T>(rolling: bool, source: &Source<T>) -> Option<String> {
    source.commit().filter(|_| rolling).map(ToString::to_string)
}
