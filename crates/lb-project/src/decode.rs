//! Everything that is known of one producer's environment, read at once.

use std::collections::HashSet;

use lb_vocab::{Limits, Producer, Source, UnknownReason};

use crate::cursor::Findings;
use crate::entities::{Entity, Function};
use crate::loopback::{DataSources, Models};
use crate::{Decoded, Observed, functions, loopback, openapi, project};

/// Decodes what was observed of a producer's environment.
///
/// Total: every input gives an answer. What cannot be understood is [`Source::Unknown`] as a whole, or
/// [`Entity::Broken`] on its own, with an error finding that says where and what to do.
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "what was observed is used up here: nothing else reads it")]
pub fn decode(observed: Observed, producer: &Producer, limits: &Limits) -> Decoded {
    let findings = Findings::default();
    warn_of_size(&observed, &findings);
    let reading = project::read(&observed.dev, producer, limits, &findings);
    let models = loopback::models(&observed.dev, limits, &findings);
    let data_sources = loopback::data_sources(&observed.dev, &findings);
    let functions = functions::read(&observed.functions, producer, limits, &findings);
    let openapi = openapi::read(&observed.openapi, &findings);
    if let Some(reading) = reading.known() {
        let elsewhere = ids_elsewhere(&models, &data_sources, &functions);
        project::warn_of_dangling(&reading.project, &reading.ids, elsewhere.as_ref(), &findings);
    }
    let models_left_out = models.known().map(|models| models.left_out.clone()).unwrap_or_default();
    Decoded {
        project: map(reading, |reading| reading.project),
        models: map(models, |models| models.list),
        models_left_out,
        data_sources: map(data_sources, |sources| sources.list),
        functions,
        openapi,
        findings: findings.sorted(),
    }
}

/// What is unreadable before it is read is over a size limit.
fn warn_of_size(observed: &Observed, findings: &Findings) {
    let Observed { dev, functions, openapi } = observed;
    for (repository, source) in [("dev", dev), ("functions", functions), ("dev", openapi)] {
        if let Source::Unknown(UnknownReason::Unreadable(_)) = source {
            let message = "it has more or larger files than are read, what stands stays as it is: do not commit \
                           `node_modules` or what a build makes, list them in `.gitignore`";
            findings.refuse_file("RepositoryTooLarge", repository, message);
        }
    }
}

/// Ids of what connections may end at outside the project; `None` where not all of it is known.
fn ids_elsewhere(
    models: &Source<Models>,
    data_sources: &Source<DataSources>,
    functions: &Source<Vec<Entity<Function>>>,
) -> Option<HashSet<String>> {
    let known =
        models.unknown().is_none() && data_sources.unknown().is_none() && functions.unknown().is_none();
    let models = models.known().into_iter().flat_map(|models| &models.list).filter_map(|model| match model {
        Entity::Read(model) => model.lunchbadger_id.clone(),
        Entity::Broken(broken) => broken.id.clone(),
    });
    let functions = functions.known().into_iter().flatten().filter_map(|function| match function {
        Entity::Read(function) => function.lunchbadger_id.clone(),
        Entity::Broken(broken) => broken.id.clone(),
    });
    let data_sources = data_sources.known().into_iter().flat_map(|sources| sources.ids.clone());
    known.then(|| models.chain(functions).chain(data_sources).collect())
}

fn map<T, U>(source: Source<T>, change: impl FnOnce(T) -> U) -> Source<U> {
    match source {
        Source::Known(value, commit) => Source::Known(change(value), commit),
        Source::Absent(commit) => Source::Absent(commit),
        Source::Unknown(reason) => Source::Unknown(reason),
    }
}
