//! Judges what the watches on objects tell, when they tell it: does it match what its child says?

use std::sync::Arc;

use lb_cluster::{Change, Judge, Live, Verdict};
use lb_desired::build::{CREDENTIALS_APP, LeafKind};
use lb_desired::settings::Settings;
use lb_vocab::ProducerName;

use crate::child::ChildKey;
use crate::context::Key;
use crate::queue::Class;
use crate::stores::{Dispatch, Stores};

/// Compares objects with what their children say.
pub(crate) struct Blueprints {
    pub(crate) stores: Stores,
    pub(crate) dispatch: Arc<Dispatch>,
    pub(crate) settings: Arc<Settings>,
}

impl Judge for Blueprints {
    fn judge(&self, live: &Live<'_>) -> Verdict {
        if live.kind == LeafKind::Secret && live.labels.app == Some(CREDENTIALS_APP) {
            return Verdict::Kept;
        }
        let Some(owner) = live.owner else { return Verdict::Unknown };
        let Some(child) = self.stores.owner(owner) else { return Verdict::Unknown };
        let hosts = self.dispatch.hosts();
        let key = child.key();
        child.compare(&self.settings, live, |host| hosts.owner(host).is_none_or(|owner| *owner == key))
    }

    fn changed(&self, change: &Change) {
        let queue = &self.dispatch.queue;
        let owner = change.owner.map(|uid| (uid, self.stores.owner(uid)));
        let producer = change.producer.as_deref().and_then(|name| name.parse::<ProducerName>().ok());
        match owner {
            Some((_, Some(child))) => {
                queue.nudge(Key::Child(child.key()), Class::Interactive);
                // A configuration that is gone or changed is rendered anew from git.
                if change.kind == LeafKind::Secret
                    && let Some(producer) = child.producer()
                {
                    queue.nudge(Key::Producer(producer), Class::Interactive);
                }
            }
            Some((uid, None)) => queue.nudge(Key::Orphans(uid), Class::Interactive),
            // Somebody may have taken the owner away: the children of that producer look whether it is theirs.
            None => {
                let Some(producer) = producer else { return };
                for child in self.children(&producer) {
                    queue.nudge(Key::Child(child), Class::Interactive);
                }
                queue.nudge(Key::Producer(producer), Class::Interactive);
            }
        }
    }
}

impl Blueprints {
    fn children(&self, producer: &ProducerName) -> Vec<ChildKey> {
        let Some(producer) = self.stores.producer(producer) else { return Vec::new() };
        self.stores.children_of(&producer).keys().collect()
    }
}
