//! What producers' pods need on a node beside it: their images and a Redis.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::{Api, Client, Resource};
use serde_json::{Value, json};

use super::{ADDRESS, INGRESS_CLASS, Node};
use crate::Progress;
use crate::images::Images;

/// Redis as the Actualizer's settings have it by default: `eg-identity-redis.default`.
const REDIS: &str = "eg-identity-redis";

/// Images of producers' pods and a Redis, on a node.
pub struct Platform {
    images: Images,
    redis_password: String,
}

impl Platform {
    /// Puts them there.
    ///
    /// # Errors
    /// Where the node does not take an image, or the API server an object.
    pub async fn start(node: &Node, client: &Client, images: Images, progress: &Progress) -> Result<Self> {
        for image in images.all() {
            progress(&format!("importing {}", image.reference()));
            node.import(&image.archive).await?;
        }
        let platform = Self { images, redis_password: crate::unique_secret("redis")? };
        platform.start_redis(client).await?;
        Ok(platform)
    }

    /// Settings of the roles, by which pods find what they run and whom they call.
    #[must_use]
    pub fn settings(&self, git_api: SocketAddr, configstore: SocketAddr) -> BTreeMap<String, String> {
        let mut settings = self.images.settings();
        let more = [
            ("GIT_API_HOST", git_api.to_string()),
            ("CONFIGSTORE_HOST", configstore.to_string()),
            ("CONTROL_PLANE_CIDRS", format!("{ADDRESS}/32")),
            ("INGRESS_CLASS", INGRESS_CLASS.to_owned()),
            // Nothing makes a Redis user for each producer yet.
            ("REDIS_ACL", "off".to_owned()),
            ("REDIS_PASSWORD", self.redis_password.clone()),
        ];
        settings.extend(more.map(|(name, value)| (name.to_owned(), value)));
        settings
    }

    /// Its password stands in a Secret and in no argument.
    async fn start_redis(&self, client: &Client) -> Result<()> {
        let labels = json!({"app": REDIS});
        let metadata = json!({"name": REDIS, "labels": labels});
        let lines = ["bind * -::*", "save \"\"", "appendonly no", "dir /tmp"].join("\n");
        let text = format!("{lines}\nrequirepass {}\n", self.redis_password);
        create::<Secret>(client, json!({"metadata": metadata, "stringData": {"redis.conf": text}})).await?;
        let ports = json!([{"port": 6379, "targetPort": 6379}]);
        create::<Service>(
            client,
            json!({"metadata": metadata, "spec": {"selector": labels, "ports": ports}}),
        )
        .await?;
        let template = json!({"metadata": {"labels": labels}, "spec": self.redis_pod()});
        let spec = json!({"selector": {"matchLabels": labels}, "template": template});
        create::<Deployment>(client, json!({"metadata": metadata, "spec": spec})).await
    }

    fn redis_pod(&self) -> Value {
        json!({
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "redis",
                "image": self.images.redis.reference(),
                "args": ["/etc/lunchbadger/redis.conf"],
                "ports": [{"containerPort": 6379}],
                "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1},
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                    "readOnlyRootFilesystem": true,
                },
                "volumeMounts": [
                    {"name": "configuration", "mountPath": "/etc/lunchbadger", "readOnly": true},
                    {"name": "tmp", "mountPath": "/tmp"},
                ],
            }],
            "volumes": [
                {"name": "configuration", "secret": {"secretName": REDIS}},
                {"name": "tmp", "emptyDir": {}},
            ],
        })
    }
}

async fn create<K>(client: &Client, object: Value) -> Result<()>
where
    K: Resource,
    K::DynamicType: Default,
{
    let kind = ApiResource::erase::<K>(&K::DynamicType::default());
    let what = format!("create {} {REDIS}", kind.kind);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &kind);
    let object = serde_json::from_value(object).with_context(|| what.clone())?;
    api.create(&PostParams::default(), &object).await.map(drop).context(what)
}
