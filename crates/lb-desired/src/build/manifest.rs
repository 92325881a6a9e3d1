//! An object as it is sent: its JSON text.
//!
//! Text, because most manifests are made to be compared: a reconcile builds every object of a child and finds, by one digest
//! each, that they stand. Trees of values would be most of what that costs.

use std::fmt;

use lb_vocab::Digest;
use serde::Serialize;
use serde_json::Value;

/// One object's manifest: `apiVersion`, `kind`, `metadata{name,namespace,labels,annotations}`, and all that we set. The same
/// specification and settings give the same text.
#[derive(Clone, PartialEq, Eq)]
pub struct Manifest(String);

impl Manifest {
    /// The manifest of one of Kubernetes' own objects, or of a value of one.
    #[must_use]
    pub fn of<T: Serialize>(object: &T) -> Self {
        match serde_json::to_string(object) {
            Ok(text) => Self(text),
            Err(error) => unreachable!("Kubernetes' own types are JSON: {error}"),
        }
    }

    /// The text that is sent.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The manifest as a value: for comparing it field by field, and for showing it.
    #[must_use]
    pub fn value(&self) -> Value {
        match serde_json::from_str(&self.0) {
            Ok(value) => value,
            Err(error) => unreachable!("a manifest was written as JSON: {error}"),
        }
    }

    /// Changes it.
    pub fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        let mut value = self.value();
        change(&mut value);
        *self = Self::of(&value);
    }

    /// What stands in for it in records of what was compared already.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl fmt::Debug for Manifest {
    /// Its size alone: it may hold a Secret's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of a manifest", self.0.len())
    }
}
