//! What a producer can push that costs more than it should.

use anyhow::{Context, Result};
use lb_testkit::producer::{Files, Shape, dev, functions};
use lb_vocab::Limits;

use super::population::{Change, Population, Push, Repository, name};

/// A kind of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Poison {
    /// A project rewritten every second, in order otherwise.
    Rewritten,
    /// JSON that ends in the middle.
    BrokenJson,
    /// More gateways than the limit.
    Gateways,
    /// More endpoints.
    Endpoints,
    /// More models.
    Models,
    /// More functions.
    Functions,
    /// A project file of more bytes.
    ProjectFile,
    /// Functions' descriptions that are no YAML.
    BrokenYaml,
    /// A push of more bytes.
    PushBytes,
    /// A push to a repository that has more bytes already.
    RepositoryBytes,
}

/// Each, so that the first few are of different kinds.
const ALL: [Poison; 10] = [
    Poison::Rewritten,
    Poison::BrokenJson,
    Poison::Gateways,
    Poison::Endpoints,
    Poison::Models,
    Poison::Functions,
    Poison::ProjectFile,
    Poison::BrokenYaml,
    Poison::PushBytes,
    Poison::RepositoryBytes,
];

impl Poison {
    /// That of one of many producers.
    pub(super) fn of(number: usize) -> Self {
        ALL[number % ALL.len()]
    }

    /// Whether the git host refuses it.
    pub(super) fn is_refused(self) -> bool {
        matches!(self, Self::PushBytes | Self::RepositoryBytes)
    }

    /// What is pushed, once a second where it is [`Self::Rewritten`].
    fn files(self, producer: &str) -> (Repository, Files) {
        let (limits, standard) = (Limits::default(), Shape::standard());
        let project = |shape: Shape| (Repository::Dev, dev(producer, shape, 0));
        match self {
            Self::Gateways => project(Shape { gateways: limits.gateways + 1, ..standard }),
            Self::Endpoints => project(Shape { endpoints: limits.endpoints + 1, ..standard }),
            Self::Models => project(Shape { models: limits.models + 1, ..standard }),
            Self::BrokenJson => edited(project(standard), |text| text.truncate(text.len() / 2)),
            Self::ProjectFile => edited(project(standard), |text| {
                let missing = usize::try_from(limits.project_file_bytes).unwrap_or(usize::MAX) - text.len();
                text.push_str(&" ".repeat(missing + 1));
            }),
            Self::Functions => {
                let shape = Shape { functions: limits.functions + 1, ..standard };
                (Repository::Functions, functions(producer, shape))
            }
            Self::BrokenYaml => {
                edited((Repository::Functions, functions(producer, standard)), |text| text.push_str("a: [\n"))
            }
            Self::Rewritten | Self::PushBytes | Self::RepositoryBytes => project(standard),
        }
    }
}

fn edited(
    (repository, mut files): (Repository, Files),
    edit: impl FnOnce(&mut String),
) -> (Repository, Files) {
    if let Some((_, text)) = files.first_mut() {
        edit(text);
    }
    (repository, files)
}

/// What one producer pushes within a window, and the push after which it is as before.
pub(super) struct Dose {
    pub(super) poison: Poison,
    pub(super) pushes: Vec<Push>,
    pub(super) cure: Option<Push>,
}

/// Makes a dose for each of these producers; one that is rewritten is so `seconds` times.
pub(super) fn doses(population: &mut Population, producers: &[usize], seconds: usize) -> Result<Vec<Dose>> {
    let (mut changes, mut counts) = (Vec::new(), Vec::new());
    for (number, index) in producers.iter().copied().enumerate() {
        let poison = Poison::of(number);
        let before = changes.len();
        match poison {
            Poison::PushBytes | Poison::RepositoryBytes => {}
            Poison::Rewritten => {
                changes.extend((1..=seconds).map(|ahead| population.restored(index, Repository::Dev, ahead)));
            }
            Poison::BrokenJson
            | Poison::Gateways
            | Poison::Endpoints
            | Poison::Models
            | Poison::Functions
            | Poison::ProjectFile
            | Poison::BrokenYaml => {
                let (repository, files) = poison.files(&name(index));
                changes.push(Change { index, repository, files, all: true });
                changes.push(population.restored(index, repository, 2));
            }
        }
        counts.push((poison, index, changes.len() - before));
    }
    let mut made = population.changes(changes)?.into_iter();
    let mut all = Vec::new();
    for (poison, index, count) in counts {
        let mut pushes: Vec<Push> = made.by_ref().take(count).collect();
        let cured = poison != Poison::Rewritten && !poison.is_refused();
        let cure = if cured { pushes.pop() } else { None };
        if poison.is_refused() {
            pushes.push(population.refused(index).with_context(|| format!("poison {}", name(index)))?);
        }
        all.push(Dose { poison, pushes, cure });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_poison_is_beyond_a_limit_or_broken() {
        let limits = Limits::default();
        for poison in ALL {
            let (_, files) = poison.files("al");
            let count = |part: &str| files.iter().filter(|(path, _)| path.contains(part)).count();
            let first = &files[0].1;
            match poison {
                Poison::Models => assert!(count("model-") / 2 > limits.models),
                Poison::Functions => assert!(count("serverless.yml") > limits.functions),
                Poison::ProjectFile => assert!(first.len() as u64 > limits.project_file_bytes),
                Poison::Gateways => assert!(first.matches("dnsPrefix").count() > limits.gateways),
                Poison::Endpoints => assert!(first.matches("methods").count() > limits.endpoints),
                Poison::BrokenJson => assert!(serde_json::from_str::<serde_json::Value>(first).is_err()),
                Poison::BrokenYaml => assert!(first.ends_with("a: [\n")),
                Poison::Rewritten | Poison::PushBytes | Poison::RepositoryBytes => {
                    assert!(serde_json::from_str::<serde_json::Value>(first).is_ok());
                }
            }
        }
    }
}
