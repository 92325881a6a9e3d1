//! Who listens to which environment, and what is told them: the newest state, once it is another one.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment as KubernetesDeployment;
use k8s_openapi::api::core::v1::Pod as KubernetesPod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use lb_cluster::{Cluster, Groups, Scope, Selection};
use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::objects::{Deployment, Endpoints, Pod, Reading, SELECTOR};
use super::state::{Objects, message};

/// Changes that come within this time are told together.
const QUIET: Duration = Duration::from_millis(50);

/// The state of an environment, as JSON: one copy for all of its clients. Who reads slowly skips what was in between.
pub(super) type State = watch::Receiver<Arc<str>>;

/// The three watches, and the clients of all environments.
pub(super) struct Hub {
    pods: Groups<Pod>,
    deployments: Groups<Deployment>,
    endpoints: Groups<Endpoints>,
    /// Those of environments that somebody listens to, or did a moment ago.
    channels: Mutex<HashMap<String, watch::Sender<Arc<str>>>>,
    changes: Arc<Changes>,
}

/// Environments whose objects changed.
#[derive(Default)]
struct Changes {
    environments: Mutex<BTreeSet<String>>,
    some: Notify,
}

impl Changes {
    fn note(&self, environment: &str) {
        self.environments.lock().unwrap_or_else(PoisonError::into_inner).insert(environment.to_owned());
        self.some.notify_one();
    }

    fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.environments.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Hub {
    /// Watches the objects of all producers.
    pub(super) fn watch(cluster: &Cluster, reading: &Reading) -> Self {
        let scope = match reading.target.single() {
            Some(namespace) => Scope::Namespace(namespace.to_owned()),
            None => Scope::Everywhere,
        };
        let changes = Arc::new(Changes::default());
        let changed = || {
            let changes = Arc::clone(&changes);
            Box::new(move |environment: &str| changes.note(environment))
        };
        let labels = SELECTOR;
        let (pods, deployments, endpoints) = (reading.clone(), reading.clone(), reading.clone());
        let reduce = Box::new(move |object: &Value| pods.pod(object));
        let pods = Selection { scope: scope.clone(), labels, reduce, changed: changed() };
        let reduce = Box::new(move |object: &Value| deployments.deployment(object));
        let deployments = Selection { scope: scope.clone(), labels, reduce, changed: changed() };
        let reduce = Box::new(move |object: &Value| endpoints.endpoints(object));
        let endpoints = Selection { scope, labels, reduce, changed: changed() };
        Self {
            pods: Groups::watch::<KubernetesPod>(cluster, pods),
            deployments: Groups::watch::<KubernetesDeployment>(cluster, deployments),
            endpoints: Groups::watch::<EndpointSlice>(cluster, endpoints),
            channels: Mutex::default(),
            changes,
        }
    }

    /// The lists that are not there yet.
    pub(super) fn waiting(&self) -> Vec<String> {
        let waiting = [self.pods.waiting(), self.deployments.waiting(), self.endpoints.waiting()];
        waiting.into_iter().flatten().collect()
    }

    /// The state of an environment from now on. Before the lists are there nothing is known, which is not the same as
    /// nothing being there: it waits for them.
    pub(super) async fn listen(&self, environment: &str) -> State {
        tokio::join!(self.pods.synced(), self.deployments.synced(), self.endpoints.synced());
        let mut channels = self.lock();
        channels.retain(|known, channel| known == environment || channel.receiver_count() > 0);
        if let Some(channel) = channels.get(environment) {
            return channel.subscribe();
        }
        // Read while the channels are locked: what changes later finds the channel.
        let (channel, state) = watch::channel(self.state(environment));
        channels.insert(environment.to_owned(), channel);
        state
    }

    /// Tells what changed, for ever.
    pub(super) async fn tell(&self) {
        loop {
            self.changes.some.notified().await;
            tokio::time::sleep(QUIET).await;
            for environment in self.changes.take() {
                let mut channels = self.lock();
                let Some(channel) = channels.get(&environment) else { continue };
                if channel.receiver_count() == 0 {
                    channels.remove(&environment);
                    continue;
                }
                let state = self.state(&environment);
                channel.send_if_modified(|told| {
                    let other = *told != state;
                    *told = state;
                    other
                });
            }
        }
    }

    fn state(&self, environment: &str) -> Arc<str> {
        let objects = Objects {
            pods: self.pods.of(environment),
            deployments: self.deployments.of(environment),
            endpoints: self.endpoints.of(environment),
        };
        message(&objects).into()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<Arc<str>>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
