//! What the change stream last said of every repository: the newest commit of each source of each producer.
//!
//! It is a hint: it tells which producers to look at, and what need not be read again. Decisions are made on what
//! [`crate::observe`] reads.

use std::collections::HashMap;
use std::sync::RwLock;

use lb_vocab::{CommitId, Environment, ProducerName, Revision};

/// The branch of every environment, until environments get their own.
pub(crate) const BRANCH: &str = "refs/heads/master";

/// Which source of an environment a reference is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// `master` of `dev`: every environment's project.
    Dev,
    /// `master` of `functions`: every environment's functions.
    Functions,
    /// The OpenAPI document of one environment.
    OpenApi(Environment),
}

impl Reference {
    /// Reads the name of a repository and of a reference; `None` where nothing is deployed from it.
    #[must_use]
    pub(crate) fn read(repo: &str, reference: &str) -> Option<Self> {
        match (repo, reference) {
            ("dev", BRANCH) => Some(Self::Dev),
            ("functions", BRANCH) => Some(Self::Functions),
            ("dev", other) => {
                let environment = other.strip_prefix("refs/lunchbadger/openapi/")?;
                environment.parse().ok().map(Self::OpenApi)
            }
            _ => None,
        }
    }
}

/// The newest known commits of every producer.
#[derive(Debug, Default)]
pub(crate) struct Heads(RwLock<HashMap<ProducerName, Known>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    dev: Option<CommitId>,
    functions: Option<CommitId>,
    openapi: Vec<(Environment, CommitId)>,
}

impl Heads {
    /// Notes a reference's commit (`None`: it is gone). Answers whether that is news.
    pub(crate) fn note(
        &self,
        producer: &ProducerName,
        reference: &Reference,
        commit: Option<CommitId>,
    ) -> bool {
        let mut heads = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let known = heads.entry(producer.clone()).or_default();
        let before = known.clone();
        match reference {
            Reference::Dev => known.dev = commit,
            Reference::Functions => known.functions = commit,
            Reference::OpenApi(environment) => {
                known.openapi.retain(|(old, _)| old != environment);
                known.openapi.extend(commit.map(|commit| (environment.clone(), commit)));
            }
        }
        *known != before
    }

    /// Replaces everything, as a reset of the change stream wants it. Answers the producers for which that is news,
    /// those that vanished among them.
    pub(crate) fn replace(
        &self,
        all: impl IntoIterator<Item = (ProducerName, Reference, CommitId)>,
    ) -> Vec<ProducerName> {
        let new = Self::default();
        for (producer, reference, commit) in all {
            new.note(&producer, &reference, Some(commit));
        }
        let new = new.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut heads = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let changed = new
            .iter()
            .filter(|(producer, known)| heads.get(*producer) != Some(*known))
            .map(|(producer, _)| producer)
            .chain(heads.keys().filter(|producer| !new.contains_key(*producer)))
            .cloned()
            .collect();
        *heads = new;
        changed
    }

    /// The newest known revision of one environment.
    #[must_use]
    pub(crate) fn revision(&self, producer: &ProducerName, environment: &Environment) -> Revision {
        let heads = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(known) = heads.get(producer) else { return Revision::default() };
        let openapi =
            known.openapi.iter().find(|(of, _)| of == environment).map(|(_, commit)| commit.clone());
        Revision { dev: known.dev.clone(), functions: known.functions.clone(), openapi }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(digit: &str) -> CommitId {
        digit.repeat(40).parse().unwrap()
    }

    #[test]
    fn references_that_nothing_is_deployed_from_are_no_news() {
        assert_eq!(Reference::read("dev", "refs/heads/master"), Some(Reference::Dev));
        assert_eq!(
            Reference::read("dev", "refs/lunchbadger/openapi/dev"),
            Some(Reference::OpenApi("dev".parse().unwrap()))
        );
        for (repo, reference) in [
            ("dev", "refs/heads/topic"),
            ("other", BRANCH),
            ("functions", "refs/lunchbadger/openapi/dev"),
            ("dev", "refs/lunchbadger/openapi/../x"),
        ] {
            assert_eq!(Reference::read(repo, reference), None, "{repo} {reference}");
        }
    }

    #[test]
    fn only_what_is_new_is_news() {
        let heads = Heads::default();
        let al: ProducerName = "al".parse().unwrap();
        assert!(heads.note(&al, &Reference::Dev, Some(commit("1"))));
        assert!(!heads.note(&al, &Reference::Dev, Some(commit("1"))));
        assert!(heads.note(&al, &Reference::Dev, None));
        assert!(heads.note(&al, &Reference::Functions, Some(commit("2"))));
        let same = [(al.clone(), Reference::Functions, commit("2"))];
        assert_eq!(heads.replace(same), Vec::<ProducerName>::new());
        assert_eq!(heads.replace([]), std::slice::from_ref(&al));
        assert_eq!(heads.revision(&al, &"dev".parse().unwrap()), Revision::default());
    }
}
