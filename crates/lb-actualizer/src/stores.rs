//! Our own resources as the watches tell them, and what a change of one nudges.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::ResourceExt;
use lb_cluster::{Child as ChildResource, Cluster, Records, Scope, Store, StoreChange, Uid};
use lb_desired::build::names::function_claimants;
use lb_desired::crd::{LBFunction, LBGateway, LBProducer, LBWorkspace};
use lb_desired::plan::{Decision, Plan};
use lb_desired::settings::Settings;
use lb_vocab::{Producer, ProducerName};

use crate::child::{Child, ChildKey};
use crate::context::Key;
use crate::hosts::{Claim, Hosts};
use crate::producer::{Children, created};
use crate::queue::{Class, Queue};

/// Where changes of our resources lead: the queue, and who has which host.
#[derive(Debug)]
pub(crate) struct Dispatch {
    pub(crate) queue: Queue<Key>,
    hosts: Mutex<Hosts<ChildKey>>,
    /// Children that are gone and whose objects may not be yet.
    departing: Mutex<HashMap<Uid, (ProducerName, String)>>,
    settings: Arc<Settings>,
}

impl Dispatch {
    pub(crate) fn new(queue: Queue<Key>, settings: Arc<Settings>) -> Self {
        Self { queue, hosts: Mutex::default(), departing: Mutex::default(), settings }
    }

    pub(crate) fn hosts(&self) -> MutexGuard<'_, Hosts<ChildKey>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn departing(&self) -> MutexGuard<'_, HashMap<Uid, (ProducerName, String)>> {
        self.departing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many children of one environment are gone and still have objects, as far as is known.
    pub(crate) fn still_departing(&self, who: &Producer) -> usize {
        let environment = who.environment().as_str();
        self.departing().values().filter(|(name, of)| name == who.name() && of == environment).count()
    }

    /// The last object of a removed child is gone.
    pub(crate) fn departed(&self, uid: Uid) {
        if let Some((producer, _)) = self.departing().remove(&uid) {
            self.queue.nudge(Key::Producer(producer), Class::Interactive);
        }
    }

    fn producer_changed(&self, change: &StoreChange<LBProducer>) {
        if change.matters()
            && let Ok(name) = change.object().name_any().parse()
        {
            self.queue.nudge(Key::Producer(name), Class::Interactive);
        }
    }

    fn child_changed<K: ChildResource>(&self, change: &StoreChange<K>, producer: &str, child: &Child) {
        let Ok(producer) = producer.parse::<ProducerName>() else { return };
        if change.matters() {
            self.claim(child, change);
            self.queue.nudge(Key::Child(child.key()), Class::Interactive);
        }
        if let StoreChange::Removed(last) = change
            && let Some(uid) = Uid::of(last.as_ref())
        {
            self.departing().insert(uid, (producer.clone(), last.environment().to_owned()));
            self.queue.nudge(Key::Orphans(uid), Class::Interactive);
        }
        self.queue.nudge(Key::Producer(producer), Class::Interactive);
    }

    /// Nudges the other producers that may want the name of a function that came, went or changed hands.
    fn name_changed_hands(&self, change: &StoreChange<LBFunction>, producers: &Store<LBProducer>) {
        if !change.matters() {
            return;
        }
        let function = change.object();
        for who in function_claimants(&function.name_any()) {
            let (name, environment) = (who.name().as_str(), who.environment().as_str());
            let lives = |rival: Arc<LBProducer>| rival.spec.environments.iter().any(|it| it == environment);
            if name != function.spec.producer && producers.get("", name).is_some_and(lives) {
                self.queue.nudge(Key::Producer(who.name().clone()), Class::Interactive);
            }
        }
    }

    fn claim<K: ChildResource>(&self, child: &Child, change: &StoreChange<K>) {
        let hosts = match change {
            StoreChange::Applied { .. } => child.hosts(&self.settings),
            StoreChange::Removed(_) => BTreeSet::new(),
        };
        let meta = change.object().meta();
        let claim = Claim {
            created: created(meta.creation_timestamp.as_ref()),
            uid: meta.uid.clone().unwrap_or_default(),
            child: child.key(),
        };
        let affected = self.hosts().claim(claim, hosts);
        for other in affected {
            self.queue.nudge(Key::Child(other), Class::Interactive);
        }
    }
}

/// Producers and their children, held whole.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) producers: Store<LBProducer>,
    pub(crate) workspaces: Store<LBWorkspace>,
    pub(crate) gateways: Store<LBGateway>,
    pub(crate) functions: Store<LBFunction>,
}

impl Stores {
    /// Starts the watches. Children are watched where the target namespace is: in it, or everywhere.
    pub(crate) fn watch(cluster: &Cluster, dispatch: &Arc<Dispatch>, settings: &Settings) -> Self {
        let scope = match settings.target_namespace.single() {
            Some(namespace) => Scope::Namespace(namespace.to_owned()),
            None => Scope::Everywhere,
        };
        let (on_producer, on_workspace, on_gateway, on_function) =
            (dispatch.clone(), dispatch.clone(), dispatch.clone(), dispatch.clone());
        let producers = Store::watch(cluster, &Scope::Everywhere, move |change| {
            on_producer.producer_changed(change);
        });
        let rivals = producers.clone();
        Self {
            producers,
            workspaces: Store::watch(cluster, &scope, move |change: &StoreChange<LBWorkspace>| {
                let object = change.object();
                on_workspace.child_changed(change, &object.spec.producer, &Child::Workspace(object.clone()));
            }),
            gateways: Store::watch(cluster, &scope, move |change: &StoreChange<LBGateway>| {
                let object = change.object();
                on_gateway.child_changed(change, &object.spec.producer, &Child::Gateway(object.clone()));
            }),
            functions: Store::watch(cluster, &scope, move |change: &StoreChange<LBFunction>| {
                let object = change.object();
                on_function.child_changed(change, &object.spec.producer, &Child::Function(object.clone()));
                on_function.name_changed_hands(change, &rivals);
            }),
        }
    }

    /// Waits until every list was read once.
    pub(crate) async fn synced(&self) {
        self.producers.synced().await;
        self.workspaces.synced().await;
        self.gateways.synced().await;
        self.functions.synced().await;
    }

    /// What was not read even once.
    pub(crate) fn waiting(&self) -> Vec<String> {
        let Self { producers, workspaces, gateways, functions } = self;
        [producers.waiting(), workspaces.waiting(), gateways.waiting(), functions.waiting()]
            .into_iter()
            .flatten()
            .collect()
    }

    /// One producer.
    pub(crate) fn producer(&self, name: &ProducerName) -> Option<Arc<LBProducer>> {
        self.producers.get("", name.as_str())
    }

    /// Every producer whose name follows the grammar.
    pub(crate) fn producer_names(&self) -> Vec<ProducerName> {
        self.producers.names().iter().filter_map(|name| name.parse().ok()).collect()
    }

    /// Those of them that have children and are not suspended.
    pub(crate) fn producers_with_children(&self) -> Vec<ProducerName> {
        let mut names = self.producer_names();
        names.retain(|name| {
            self.producer(name)
                .is_some_and(|producer| !producer.spec.suspend && !self.children_of(&producer).is_empty())
        });
        names
    }

    /// One child.
    pub(crate) fn child(&self, key: &ChildKey) -> Option<Child> {
        match key {
            ChildKey::Workspace(namespace, name) => {
                self.workspaces.get(namespace, name).map(Child::Workspace)
            }
            ChildKey::Gateway(namespace, name) => self.gateways.get(namespace, name).map(Child::Gateway),
            ChildKey::Function(namespace, name) => self.functions.get(namespace, name).map(Child::Function),
        }
    }

    /// The child that is the owner of something.
    pub(crate) fn owner(&self, uid: Uid) -> Option<Child> {
        let gateway = self.gateways.by_uid(uid).map(Child::Gateway);
        gateway.or_else(|| self.workspaces.by_uid(uid).map(Child::Workspace))
    }

    /// The children that a producer controls.
    pub(crate) fn children_of(&self, producer: &LBProducer) -> Children {
        let Some(uid) = Uid::of(producer) else { return Children::default() };
        Children {
            workspaces: self.workspaces.owned_by(uid),
            gateways: self.gateways.owned_by(uid),
            functions: self.functions.owned_by(uid),
        }
    }

    /// Names of children in one environment that other producers' functions have: the one that stands keeps it.
    pub(crate) fn taken(
        &self,
        producer: &LBProducer,
        who: &Producer,
        settings: &Settings,
    ) -> BTreeSet<String> {
        let namespace = settings.namespace(who.name());
        self.functions.names_of_others(&namespace, &format!("{who}-"), Uid::of(producer))
    }

    /// How many objects a plan removes: children, and what they control.
    pub(crate) fn removals(&self, records: &Records, children: &Children, plan: &Plan) -> usize {
        fn goes<T>(decision: Option<&Decision<T>>) -> bool {
            matches!(decision, Some(Decision::Withdraw(_)))
        }
        let owned = |uid: Option<Uid>| 1 + uid.map_or(0, |uid| records.count(uid));
        let workspaces =
            children.workspaces.iter().filter(|child| goes(plan.workspace.children.get(&child.name_any())));
        let gateways =
            children.gateways.iter().filter(|child| goes(plan.gateways.children.get(&child.name_any())));
        let functions =
            children.functions.iter().filter(|child| goes(plan.functions.children.get(&child.name_any())));
        workspaces.map(|child| owned(Uid::of(child.as_ref()))).sum::<usize>()
            + gateways.map(|child| owned(Uid::of(child.as_ref()))).sum::<usize>()
            + functions.count()
    }
}
