//! What happens in a soak, drawn from a seed: the same seed draws the same deeds.

use std::collections::{BTreeMap, BTreeSet};

use lb_testkit::faults::Fault;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::model::{Content, GATEWAYS, Model, Routes};
use crate::cases::Border;

/// A fault hits one of so many calls from now on.
const CALLS: usize = 30;
/// Of so many deeds one needs the API server to end, or etcd to be full: these take seconds.
const RARE: usize = 25;

/// Something that is done.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    /// Another project is pushed.
    Push(Content),
    /// The newest commit is reverted by another one.
    Revert,
    /// The branch is moved back by force, so that this many commits are left.
    Force(usize),
    /// An operator enables or disables the producer.
    Enable(bool),
    /// Somebody deletes the Service of a component that stands.
    DeleteService,
    /// Somebody changes it.
    ChangeService,
    /// A fault at one of the next calls.
    Fault(Border, Fault, usize),
    /// The Actualizer is killed.
    Kill,
    /// Nothing can be written in Kubernetes until the next look.
    ReadOnly,
    /// git-api answers nothing about files until the next look.
    Silent,
    /// The clock jumps by an hour.
    ClockJump,
    /// Somebody takes the lease.
    TakeLease,
    /// The API server ends, and comes back over an etcd that was compacted.
    RestartApiServer,
    /// Nothing can be stored until the next look.
    EtcdFull,
}

impl Deed {
    /// Under which name it is counted.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Push(Content::Unreadable) => "push of nonsense",
            Self::Push(Content::Project { disabled: true, .. }) => "disabling push",
            Self::Push(Content::Project { .. }) => "push",
            Self::Revert => "revert",
            Self::Force(_) => "force push",
            Self::Enable(_) => "operator's switch",
            Self::DeleteService => "deleted Service",
            Self::ChangeService => "changed Service",
            Self::Fault(..) => "fault at a call",
            Self::Kill => "kill",
            Self::ReadOnly => "read-only API server",
            Self::Silent => "silent git-api",
            Self::ClockJump => "clock jump",
            Self::TakeLease => "lease taken",
            Self::RestartApiServer => "restart of the API server",
            Self::EtcdFull => "full etcd",
        }
    }
}

/// The next deed, to this producer where it is one.
pub(super) fn draw(random: &mut StdRng, model: &Model) -> Deed {
    if random.random_range(0..RARE) == 0 {
        return if random.random() { Deed::RestartApiServer } else { Deed::EtcdFull };
    }
    let commits = model.commits().len();
    match random.random_range(0..40) {
        0..10 => Deed::Push(project(random, false)),
        10..12 => Deed::Push(project(random, true)),
        12..14 => Deed::Push(Content::Unreadable),
        14..16 if commits > 1 => Deed::Revert,
        16..18 if commits > 1 => Deed::Force(random.random_range(1..commits)),
        18..20 => Deed::Enable(!model.is_enabled()),
        20 => Deed::DeleteService,
        21 => Deed::ChangeService,
        22..25 => Deed::Kill,
        25 => Deed::ReadOnly,
        26 => Deed::Silent,
        27 => Deed::ClockJump,
        28 => Deed::TakeLease,
        _ => {
            let border = *Border::ALL.choose(random).expect("there are some");
            let fault = *Fault::ALL.choose(random).expect("there are some");
            Deed::Fault(border, fault, random.random_range(0..CALLS))
        }
    }
}

/// A project. Of seven gateways one cannot be read.
pub(super) fn project(random: &mut StdRng, disabled: bool) -> Content {
    let mut gateways = BTreeMap::new();
    for gateway in GATEWAYS {
        if random.random() {
            let readable = random.random_range(0..7) > 0;
            gateways.insert(gateway, readable.then(|| routes(random)));
        }
    }
    Content::Project { gateways, disabled }
}

fn routes(random: &mut StdRng) -> Routes {
    let count = random.random_range(1..4);
    (0..count).map(|_| format!("/{}", random.random_range(0..100))).collect::<BTreeSet<_>>()
}
