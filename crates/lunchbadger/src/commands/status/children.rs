//! A producer's child resources, of whatever kind.

use anyhow::Result;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Client};
use lb_desired::crd::{ChildStatus, LBFunction, LBGateway, LBWorkspace};
use lb_vocab::ProducerName;
use serde_json::{Value, json};

use crate::commands::explain::explain;

/// A child resource.
#[derive(Clone, Debug)]
pub(crate) struct Child {
    /// Its kind.
    pub(crate) kind: String,
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// Its uid.
    pub(crate) uid: String,
    /// When it was created, RFC 3339.
    pub(crate) created: String,
    /// Its spec.
    pub(crate) spec: Value,
    /// Its status.
    pub(crate) status: ChildStatus,
}

impl Child {
    fn of(kind: &str, object: DynamicObject) -> Self {
        let field = |name: &str| object.data.get(name).cloned().unwrap_or_default();
        Self {
            kind: kind.to_owned(),
            namespace: object.metadata.namespace.unwrap_or_default(),
            name: object.metadata.name.unwrap_or_default(),
            uid: object.metadata.uid.unwrap_or_default(),
            created: object.metadata.creation_timestamp.map(|time| time.0.to_string()).unwrap_or_default(),
            spec: field("spec"),
            status: serde_json::from_value(field("status")).unwrap_or_default(),
        }
    }

    /// A text field of its spec.
    pub(crate) fn text(&self, field: &str) -> &str {
        self.spec.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// `lbgateway/al-dev-main`, as `kubectl` takes it.
    pub(crate) fn title(&self) -> String {
        format!("{}/{}", self.kind.to_ascii_lowercase(), self.name)
    }

    /// What scripts read.
    pub(crate) fn document(&self) -> Value {
        let Self { kind, namespace, name, uid: _, created, spec, status } = self;
        json!({
            "kind": kind, "namespace": namespace, "name": name, "created": created, "spec": spec, "status": status,
        })
    }
}

/// The kinds of child, each with how the API server knows it.
pub(crate) fn kinds() -> [ApiResource; 3] {
    [
        ApiResource::erase::<LBWorkspace>(&()),
        ApiResource::erase::<LBGateway>(&()),
        ApiResource::erase::<LBFunction>(&()),
    ]
}

/// All children of a producer, in whatever namespace.
pub(crate) async fn children(client: &Client, producer: &ProducerName) -> Result<Vec<Child>> {
    let mut children = all_children(client).await?;
    children.retain(|child| child.text("producer") == producer.as_str());
    Ok(children)
}

/// All children of all producers.
pub(crate) async fn all_children(client: &Client) -> Result<Vec<Child>> {
    let mut all = Vec::new();
    for resource in kinds() {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let list = api
            .list(&ListParams::default())
            .await
            .map_err(|error| explain(&format!("list {}", resource.plural), error))?;
        all.extend(list.items.into_iter().map(|object| Child::of(&resource.kind, object)));
    }
    Ok(all)
}
