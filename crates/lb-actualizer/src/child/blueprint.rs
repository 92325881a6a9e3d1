//! Build: what a child's spec becomes, with the hosts that somebody else has taken out.

use lb_cluster::{Live, Owner, Verdict, secret_data};
use lb_desired::build::{self, Function, Gateway, Leaf, LeafKind, SpecError, Workspace, projection};
use lb_desired::crd::{LBFunction, LBGateway, LBWorkspace};
use lb_desired::settings::Settings;
use lb_vocab::ProducerName;

use super::{Child, ChildKey};
use crate::hosts;

/// What a child should have.
#[derive(Clone, Debug)]
pub(crate) struct Blueprint {
    /// Its objects, in the order of application. The Secret of a gateway's configuration is not among them.
    pub leaves: Vec<Leaf>,
    /// The Secret that has to stand before the Deployment may.
    pub config: Option<String>,
    /// What is waited for before there can be objects at all.
    pub waiting: Option<&'static str>,
}

/// Functions are checked and kept as blueprints; nothing runs them yet.
const FUNCTIONS_WAIT: &str = "a version of LunchBadger that runs functions";

impl Child {
    /// The objects of this child, before hosts are withheld.
    ///
    /// # Errors
    /// Where somebody edited the child into something that no object can be built from.
    pub(crate) fn blueprint(&self, settings: &Settings) -> Result<Blueprint, SpecError> {
        match self {
            Self::Workspace(child) => {
                let leaves = build::workspace(&Workspace::try_from(&child.spec)?, settings);
                Ok(Blueprint { leaves, config: None, waiting: None })
            }
            Self::Gateway(child) => {
                let leaves = build::gateway(&Gateway::try_from(&child.spec)?, settings);
                Ok(Blueprint { leaves, config: Some(child.spec.config.name.clone()), waiting: None })
            }
            Self::Function(child) => {
                Function::try_from(&child.spec)?;
                Ok(Blueprint { leaves: Vec::new(), config: None, waiting: Some(FUNCTIONS_WAIT) })
            }
        }
    }

    /// How an object that this child controls compares with what it should be. `keep` says which hosts it has.
    pub(crate) fn compare(
        &self,
        settings: &Settings,
        live: &Live<'_>,
        keep: impl Fn(&str) -> bool,
    ) -> Verdict {
        if let (Self::Gateway(child), LeafKind::Secret) = (self, live.kind)
            && live.name == child.spec.config.name
        {
            return compare_config(child, settings, live);
        }
        let Ok(leaf) = self.leaf(settings, live.kind, live.name) else { return Verdict::Unknown };
        let mut leaves = Vec::from_iter(leaf);
        hosts::withhold(&mut leaves, keep);
        match leaves.first() {
            Some(leaf) => compare(leaf, live),
            None => Verdict::Unwanted,
        }
    }

    /// One of the blueprint's objects.
    fn leaf(&self, settings: &Settings, kind: LeafKind, name: &str) -> Result<Option<Leaf>, SpecError> {
        Ok(match self {
            Self::Workspace(child) => {
                build::workspace_leaf(kind, name, &Workspace::try_from(&child.spec)?, settings)
            }
            Self::Gateway(child) => {
                build::gateway_leaf(kind, name, &Gateway::try_from(&child.spec)?, settings)
            }
            Self::Function(child) => {
                Function::try_from(&child.spec)?;
                None
            }
        })
    }

    /// Hosts that this child claims.
    pub(crate) fn hosts(&self, settings: &Settings) -> std::collections::BTreeSet<String> {
        self.blueprint(settings).map(|blueprint| hosts::of(&blueprint.leaves)).unwrap_or_default()
    }

    /// The child as the owner of its objects.
    pub(crate) fn owner(&self) -> Option<Owner> {
        match self {
            Self::Workspace(child) => Owner::of::<LBWorkspace>(child.as_ref()),
            Self::Gateway(child) => Owner::of::<LBGateway>(child.as_ref()),
            Self::Function(child) => Owner::of::<LBFunction>(child.as_ref()),
        }
    }

    /// The producer that it belongs to, where its spec says a valid one.
    pub(crate) fn producer(&self) -> Option<ProducerName> {
        match self {
            Self::Workspace(child) => child.spec.producer.parse().ok(),
            Self::Gateway(child) => child.spec.producer.parse().ok(),
            Self::Function(child) => child.spec.producer.parse().ok(),
        }
    }

    /// Whether it is being deleted.
    pub(crate) fn is_leaving(&self) -> bool {
        match self {
            Self::Workspace(child) => child.metadata.deletion_timestamp.is_some(),
            Self::Gateway(child) => child.metadata.deletion_timestamp.is_some(),
            Self::Function(child) => child.metadata.deletion_timestamp.is_some(),
        }
    }

    /// Its key.
    pub(crate) fn key(&self) -> ChildKey {
        match self {
            Self::Workspace(child) => ChildKey::workspace(child),
            Self::Gateway(child) => ChildKey::gateway(child),
            Self::Function(child) => ChildKey::function(child),
        }
    }
}

fn compare(leaf: &Leaf, live: &Live<'_>) -> Verdict {
    if projection::matches(&leaf.manifest.value(), live.object) {
        Verdict::Matches(leaf.manifest.digest())
    } else {
        Verdict::Drifted
    }
}

/// The content of a configuration is not in the child, but its digest is: the Secret is what it should be where its
/// own content has that digest.
fn compare_config(child: &LBGateway, settings: &Settings, live: &Live<'_>) -> Verdict {
    let Ok(gateway) = Gateway::try_from(&child.spec) else { return Verdict::Unknown };
    let Some(files) = secret_data(live.object) else { return Verdict::Drifted };
    if build::config_reference(&gateway.producer, &gateway.instance, &files) != child.spec.config {
        return Verdict::Drifted;
    }
    compare(&build::gateway_config(&gateway, &files, settings), live)
}
