//! Secrets that are made once: credentials.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret as SecretObject;
use lb_desired::build::{Leaf, LeafKind};
use lb_vocab::Secret;
use serde::Deserialize;
use serde_json::Value;

use crate::apply::Applied;
use crate::collection::{Collection, Scope};
use crate::connect::Cluster;
use crate::error::ApiError;
use crate::identity::Uid;
use crate::records::{Records, State};

/// Keys and values of a Secret.
pub type SecretData = BTreeMap<String, Secret>;

impl Cluster {
    /// Creates a Secret where there is none of its name, without owner. Answers whether it was made now, and what it
    /// holds: one that was there is never overwritten.
    ///
    /// # Errors
    /// Where it can neither be made nor read.
    pub async fn create_secret_if_absent(
        &self,
        records: &Records,
        leaf: &Leaf,
    ) -> Result<(Applied, SecretData), ApiError> {
        let (applied, object) = self.create_if_absent(leaf).await?;
        records.enter(leaf.kind, &object, State::Kept);
        Ok((applied, contents(&leaf.name, &object)?))
    }

    /// What a Secret holds; `None` where there is none.
    ///
    /// # Errors
    /// Where it cannot be read. That it is not there is not an error, and only the API server's explicit answer.
    pub async fn read_secret(&self, namespace: &str, name: &str) -> Result<Option<SecretData>, ApiError> {
        let object = self.get(&secrets(namespace), name).await?;
        object.map(|object| contents(name, &object)).transpose()
    }

    /// Deletes a Secret for good: purge, by an operator's command. `false`: there is none.
    ///
    /// # Errors
    /// Where it cannot be deleted.
    pub async fn delete_secret(&self, namespace: &str, name: &str) -> Result<bool, ApiError> {
        let Some(object) = self.get(&secrets(namespace), name).await? else { return Ok(false) };
        let uid = object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
        self.delete(&secrets(namespace), name, Uid::parse(uid), None).await
    }
}

fn secrets(namespace: &str) -> Collection {
    Collection::of_leaf(LeafKind::Secret, &Scope::Namespace(namespace.to_owned()))
}

fn contents(name: &str, object: &Value) -> Result<SecretData, ApiError> {
    secret_data(object).ok_or_else(|| ApiError::Malformed {
        attempt: format!("read Secret {name}"),
        what: "it is no Secret of text".to_owned(),
    })
}

/// What an object holds; `None` where it is no Secret, or a value is not UTF-8.
#[must_use]
pub fn secret_data(object: &Value) -> Option<SecretData> {
    let secret = SecretObject::deserialize(object).ok()?;
    let data = secret.data.unwrap_or_default().into_iter();
    data.map(|(key, value)| Some((key, Secret::new(String::from_utf8(value.0).ok()?)))).collect()
}
