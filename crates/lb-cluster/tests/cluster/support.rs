//! What the tests share: a namespace with an owner, what it wants, and a judge that knows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use lb_cluster::{
    Applied, ApplyError, Change, Cluster, Intent, Judge, Live, Options, Owner, Records, Scope, Store, Target,
    Uid, Verdict,
};
use lb_desired::build::{Leaf, LeafKind, Manifest, projection};
use lb_desired::crd::{Access, ConfigReference, LBGateway, LBGatewaySpec, LBProducer, all};
use lb_desired::plan::{Complete, Existing, Input, Presence, plan};
use lb_desired::settings::Settings;
use lb_project::Decoded;
use lb_testkit::cluster::{TestCluster, User};
use lb_testkit::{eventually, unique};
use lb_vocab::settings::Reader;
use lb_vocab::{Producer, Source};
use serde_json::{Value, json};
use tokio::sync::{Notify, OnceCell};

/// What is desired, and what was told.
#[derive(Default)]
pub(crate) struct Desired {
    pub(crate) owner: Mutex<Option<Uid>>,
    pub(crate) leaves: Mutex<BTreeMap<(LeafKind, String), Leaf>>,
    pub(crate) changes: Mutex<Vec<Change>>,
    pub(crate) told: Notify,
}

impl Desired {
    pub(crate) fn want(&self, leaves: impl IntoIterator<Item = Leaf>) {
        let mut wanted = self.leaves.lock().unwrap();
        *wanted = leaves.into_iter().map(|leaf| ((leaf.kind, leaf.name.clone()), leaf)).collect();
    }

    pub(crate) fn leaves(&self) -> Vec<Leaf> {
        self.leaves.lock().unwrap().values().cloned().collect()
    }

    pub(crate) fn names(&self) -> BTreeSet<(LeafKind, String)> {
        self.leaves.lock().unwrap().keys().cloned().collect()
    }

    pub(crate) fn changes(&self) -> Vec<Change> {
        std::mem::take(&mut *self.changes.lock().unwrap())
    }
}

impl Judge for Desired {
    fn judge(&self, live: &Live<'_>) -> Verdict {
        if live.labels.app == Some("credentials") {
            return Verdict::Kept;
        }
        if live.owner != *self.owner.lock().unwrap() {
            return Verdict::Unknown;
        }
        match self.leaves.lock().unwrap().get(&(live.kind, live.name.to_owned())) {
            None => Verdict::Unwanted,
            Some(leaf) if projection::matches(&leaf.manifest.value(), live.object) => {
                Verdict::Matches(leaf.manifest.digest())
            }
            Some(_) => Verdict::Drifted,
        }
    }

    fn changed(&self, change: &Change) {
        self.changes.lock().unwrap().push(change.clone());
        self.told.notify_one();
    }
}

/// A namespace with an owner of objects in it.
pub(crate) struct Bench {
    pub(crate) cluster: Cluster,
    pub(crate) mallory: Client,
    pub(crate) namespace: String,
    pub(crate) owner: Owner,
    pub(crate) desired: Arc<Desired>,
    pub(crate) records: Records,
    pub(crate) gateways: Store<LBGateway>,
    pub(crate) producer: LBProducer,
}

pub(crate) async fn connect(kubeconfig: &Path) -> Cluster {
    let target = Target::Kubeconfig { path: kubeconfig.to_owned(), context: Some("admin".into()) };
    Cluster::connect(&target, &Options::default()).await.unwrap()
}

/// The shared cluster, with our CRDs.
pub(crate) async fn shared() -> &'static TestCluster {
    static CRDS: OnceCell<()> = OnceCell::const_new();
    let shared = TestCluster::shared().await;
    CRDS.get_or_init(|| async {
        let cluster = connect(shared.kubeconfig()).await;
        cluster.apply_crds(&all(), Duration::from_secs(60)).await.unwrap();
    })
    .await;
    shared
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::on(shared().await).await
    }

    pub(crate) async fn on(shared: &TestCluster) -> Self {
        let cluster = connect(shared.kubeconfig()).await;
        let namespace = shared.namespace("cluster").await;
        let producers = Store::<LBProducer>::watch(&cluster, &Scope::Everywhere, |_| {});
        let gateways = Store::<LBGateway>::watch(&cluster, &Scope::Namespace(namespace.clone()), |_| {});
        producers.synced().await;
        gateways.synced().await;
        let name = unique("al").parse().unwrap();
        assert!(cluster.create_producer(&producers, &name).await.unwrap());
        let producer = producers.get("", name.as_str()).unwrap();
        let intent = gateway(&namespace, name.as_str(), "main");
        let producer_owner = Owner::of(producer.as_ref()).unwrap();
        cluster.apply_child(&gateways, &producer_owner, &intent).await.unwrap();
        let owner = Owner::of(gateways.get(&namespace, &intent.name).unwrap().as_ref()).unwrap();
        let desired = Arc::new(Desired::default());
        *desired.owner.lock().unwrap() = Some(owner.uid);
        let records = Records::new(desired.clone());
        for kind in LeafKind::ALL {
            records.watch(&cluster, kind, &Scope::Namespace(namespace.clone()));
        }
        records.synced().await;
        let mallory = shared.client_for(User::Mallory).await;
        let producer = producer.as_ref().clone();
        Self { cluster, mallory, namespace, owner, desired, records, gateways, producer }
    }

    pub(crate) async fn apply(&self, leaf: &Leaf) -> Result<Applied, ApplyError> {
        self.cluster.apply(&self.records, &self.owner, leaf).await
    }

    /// Wants these objects and makes them.
    pub(crate) async fn stand(&self, leaves: &[Leaf]) {
        self.desired.want(leaves.to_vec());
        for leaf in leaves {
            assert_eq!(self.apply(leaf).await.unwrap(), Applied::Created, "{}", leaf.name);
        }
    }

    pub(crate) fn api(&self, kind: LeafKind) -> Api<DynamicObject> {
        dynamic(self.mallory.clone(), &self.namespace, kind)
    }

    pub(crate) async fn live(&self, kind: LeafKind, name: &str) -> Option<Value> {
        self.api(kind).get_opt(name).await.unwrap().map(|object| serde_json::to_value(object).unwrap())
    }

    /// Somebody else changes an object.
    pub(crate) async fn meddle(&self, kind: LeafKind, name: &str, change: Value) {
        let parameters = PatchParams { field_manager: Some("test-mallory".into()), ..PatchParams::default() };
        self.api(kind).patch(name, &parameters, &Patch::Merge(&change)).await.unwrap();
    }

    /// Waits until the records show what the API server has.
    pub(crate) async fn caught_up(&self, kind: LeafKind, name: &str) {
        eventually("the record is as new as the object", || async {
            let live = self.live(kind, name).await.map(|live| live["metadata"]["resourceVersion"].clone());
            let known =
                self.records.get(kind, &self.namespace, name).map(|record| json!(record.version.to_string()));
            if live == known { Ok(()) } else { Err(format!("{known:?} instead of {live:?}")) }
        })
        .await;
    }

    pub(crate) fn metadata(&self, name: &str) -> Value {
        json!({
            "name": name,
            "namespace": self.namespace,
            "labels": {"producer": "al", "environment": "dev", "app": "gateway", "instance": "main"},
        })
    }

    pub(crate) fn secret(&self, name: &str, value: &str) -> Leaf {
        // `djE=` is `v1`.
        self.leaf(LeafKind::Secret, name, &json!({"type": "Opaque", "data": {"file": value}}))
    }

    pub(crate) fn service(&self, name: &str) -> Leaf {
        let port = json!({"name": "http", "port": 8080, "targetPort": 8080, "protocol": "TCP"});
        let spec = json!({"type": "ClusterIP", "selector": {"producer": "al"}, "ports": [port]});
        self.leaf(LeafKind::Service, name, &json!({"spec": spec}))
    }

    pub(crate) fn deployment(&self, name: &str) -> Leaf {
        let labels = json!({"producer": "al", "instance": "main"});
        let container = json!({
            "name": "gateway",
            "image": "localhost/gateway:1",
            "env": [{"name": "LOG_LEVEL", "value": "info"}],
            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        });
        let spec = json!({
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        });
        self.leaf(LeafKind::Deployment, name, &json!({"spec": spec}))
    }

    pub(crate) fn ingress(&self, name: &str) -> Leaf {
        let backend = json!({"service": {"name": name, "port": {"number": 8080}}});
        let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
        let rule = json!({"host": "main-al-dev.example.test", "http": {"paths": [path]}});
        self.leaf(LeafKind::Ingress, name, &json!({"spec": {"rules": [rule]}}))
    }

    pub(crate) fn network_policy(&self, name: &str) -> Leaf {
        let spec = json!({
            "podSelector": {"matchLabels": {"producer": "al"}},
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": [{"protocol": "TCP", "port": 8080}]}],
        });
        self.leaf(LeafKind::NetworkPolicy, name, &json!({"spec": spec}))
    }

    pub(crate) fn service_account(&self, name: &str) -> Leaf {
        self.leaf(LeafKind::ServiceAccount, name, &json!({"automountServiceAccountToken": false}))
    }

    /// One object of each kind.
    pub(crate) fn one_of_each(&self) -> Vec<Leaf> {
        vec![
            self.service_account("main"),
            self.network_policy("main"),
            self.secret("main", "djE="),
            self.service("main"),
            self.deployment("main"),
            self.ingress("main"),
        ]
    }

    pub(crate) fn leaf(&self, kind: LeafKind, name: &str, body: &Value) -> Leaf {
        let mut manifest =
            json!({"apiVersion": kind.api_version(), "kind": kind.kind(), "metadata": self.metadata(name)});
        manifest.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        Leaf {
            kind,
            name: name.to_owned(),
            namespace: self.namespace.clone(),
            manifest: Manifest::of(&manifest),
        }
    }
}

pub(crate) fn dynamic(client: Client, namespace: &str, kind: LeafKind) -> Api<DynamicObject> {
    let (group, version) = kind.api_version().rsplit_once('/').unwrap_or(("", kind.api_version()));
    let gvk = GroupVersionKind::gvk(group, version, kind.kind());
    Api::namespaced_with(client, namespace, &ApiResource::from_gvk_with_plural(&gvk, kind.plural()))
}

/// The settings of an operator who set but the namespaces.
pub(crate) fn settings(target: &str, home: &str) -> Settings {
    let variables = [("ACTUALIZER_TARGET_NAMESPACE", target), ("CONTROL_PLANE_NAMESPACE", home)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    Settings::read(&mut Reader::new(&variables))
}

/// The permission to prune gateways, as plan gives it for a producer that is switched off.
pub(crate) fn permission(producer: &str) -> Complete {
    let decoded = Decoded {
        project: Source::Absent(None),
        models: Source::Absent(None),
        models_left_out: BTreeSet::new(),
        data_sources: Source::Absent(None),
        functions: Source::Absent(None),
        openapi: Source::Absent(None),
        findings: Vec::new(),
    };
    let input = Input {
        producer: &Producer::new(producer.parse().unwrap(), "dev".parse().unwrap()).unwrap(),
        decoded: &decoded,
        access: Access::Disabled,
        presence: Presence::Present,
        existing: &Existing::default(),
        settings: &settings("customer", "default"),
    };
    plan(&input).gateways.complete.unwrap()
}

/// A gateway child.
pub(crate) fn gateway(namespace: &str, producer: &str, instance: &str) -> Intent<LBGatewaySpec> {
    Intent {
        namespace: namespace.to_owned(),
        name: format!("{producer}-dev-{instance}"),
        labels: [("producer", producer), ("environment", "dev")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
        spec: LBGatewaySpec {
            producer: producer.to_owned(),
            environment: "dev".to_owned(),
            instance: instance.to_owned(),
            id: "id1".to_owned(),
            hosts: vec![format!("{instance}-{producer}-dev.example.test")],
            replicas: 1,
            config: ConfigReference {
                name: format!("gateway-{producer}-dev-{instance}-0123456789"),
                digest: "0123456789abcdef".repeat(4),
            },
        },
    }
}
