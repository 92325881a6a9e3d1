//! Apply: server-side apply of one object with the one field manager, and only where it differs.
//!
//! * Nothing is known of the object: it is *created*. The apply carries a version that no object has, so that one
//!   that exists is not touched (the API server answers with a conflict); it is then looked at. One that was ours
//!   (it lost a label, and with that our watch) is put back, any other is refused: **nothing is adopted**.
//! * It is known and ours: applied with force and its uid, so that it is this object and no later one of its name.
//! * What others put into lists that we own whole stays through a server-side apply, because they own it. It is
//!   removed by a JSON patch that holds for exactly the version that was looked at.

use std::sync::OnceLock;

use lb_desired::build::{Leaf, projection};
use lb_desired::crd::FIELD_MANAGER;
use serde_json::Value;

use crate::collection::{Collection, Manner, NO_OBJECTS, Scope, only_at, patch_of};
use crate::connect::Cluster;
use crate::error::{ApiError, Retry};
use crate::identity::{Owner, Uid, Version};
use crate::records::{Live, Record, Records, State, controller, managers};

/// Writes what belongs to an object's workings; not foreign (settled.md, "Objects").
const CONTROLLER_MANAGER: &str = "kube-controller-manager";

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It stood already. Nothing was sent.
    Unchanged,
    /// It was made.
    Created,
    /// It was changed, or put back.
    Changed,
}

/// Why an object does not stand.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// An object of this name exists and was never ours. It is not adopted.
    #[error("{kind} {name} exists and is not ours{}: remove it first", managed_by(.managers))]
    Foreign {
        /// The object's kind.
        kind: String,
        /// Its name.
        name: String,
        /// Who manages its fields, where it had to be looked at.
        managers: Vec<String>,
        /// The fields that we would set and they have, as paths; empty where none conflicts.
        fields: Vec<String>,
    },
    /// An object of this name has another controller.
    #[error("{kind} {name} belongs to {owner}")]
    OtherOwner {
        /// The object's kind.
        kind: String,
        /// Its name.
        name: String,
        /// Kind and name of the controller, or its uid.
        owner: String,
    },
    /// It is being deleted: it can be made again when it is gone.
    #[error("{kind} {name} is being deleted")]
    Deleting {
        /// The object's kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// The request failed.
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl ApplyError {
    /// When to try again. An object that is in the way is watched: its going is told.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Foreign { .. } | Self::OtherOwner { .. } | Self::Deleting { .. } => Retry::Backoff,
            Self::Api(error) => error.retry(),
        }
    }

    /// The variant's name: metric label and condition reason.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Foreign { .. } => "Foreign",
            Self::OtherOwner { .. } => "OtherOwner",
            Self::Deleting { .. } => "Deleting",
            Self::Api(error) => error.name(),
        }
    }
}

/// What an apply would do.
#[derive(Clone, Debug, PartialEq)]
pub struct DryRun {
    /// What stands.
    pub live: Option<Value>,
    /// What would stand.
    pub would_be: Value,
}

/// One object on its way.
struct Target<'a> {
    leaf: &'a Leaf,
    owner: &'a Owner,
    collection: Collection,
    desired: OnceLock<Value>,
}

/// What the object has to be for an apply to reach it.
enum Only {
    /// It must not exist.
    Absent,
    /// It must have this uid.
    This(Uid),
}

impl<'a> Target<'a> {
    fn new(owner: &'a Owner, leaf: &'a Leaf) -> Self {
        let collection = Collection::of_leaf(leaf.kind, &Scope::Namespace(leaf.namespace.clone()));
        Self { leaf, owner, collection, desired: OnceLock::new() }
    }

    /// The leaf's manifest as a value: read where something has to be sent or compared, which is seldom.
    fn desired(&self) -> &Value {
        self.desired.get_or_init(|| self.leaf.manifest.value())
    }

    fn kind(&self) -> String {
        self.leaf.kind.kind().to_owned()
    }

    fn name(&self) -> String {
        self.leaf.name.clone()
    }

    /// The manifest to send.
    fn manifest(&self, only: &Only, autoscaled: bool) -> Value {
        let manifest = self.desired();
        let mut manifest = if autoscaled { projection::without_replicas(manifest) } else { manifest.clone() };
        if let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("ownerReferences".into(), Value::Array(vec![self.owner.reference()]));
            match only {
                Only::Absent => metadata.insert("resourceVersion".into(), NO_OBJECTS.into()),
                Only::This(uid) => metadata.insert("uid".into(), uid.to_string().into()),
            };
        }
        manifest
    }

    fn other_owner(&self, owner: String) -> ApplyError {
        ApplyError::OtherOwner { kind: self.kind(), name: self.name(), owner }
    }

    /// Whether an object that is known may be applied to.
    fn check(&self, record: &Record) -> Result<(), ApplyError> {
        if record.deleting {
            return Err(ApplyError::Deleting { kind: self.kind(), name: self.name() });
        }
        match record.owner {
            Some(owner) if owner == self.owner.uid => Ok(()),
            Some(owner) => Err(self.other_owner(format!("the owner with uid {owner}"))),
            None if record.ours => Ok(()),
            None => Err(self.foreign(Vec::new(), Vec::new())),
        }
    }

    fn foreign(&self, managers: Vec<String>, fields: Vec<String>) -> ApplyError {
        ApplyError::Foreign { kind: self.kind(), name: self.name(), managers, fields }
    }

    /// How what the server answered compares with the leaf.
    fn state(&self, live: &Value) -> State {
        if projection::matches(self.desired(), live) {
            State::matching(&self.leaf.manifest.digest())
        } else {
            State::Drifted
        }
    }
}

impl Cluster {
    /// Makes an object stand as it should, owned by `owner`. Sends nothing where its record says that it does.
    ///
    /// # Errors
    /// Where it cannot stand, or is not known to: see [`ApplyError`].
    pub async fn apply(&self, records: &Records, owner: &Owner, leaf: &Leaf) -> Result<Applied, ApplyError> {
        let target = Target::new(owner, leaf);
        let Some(record) = records.get(leaf.kind, &leaf.namespace, &leaf.name) else {
            return self.create(records, &target).await;
        };
        target.check(&record)?;
        if record.owner == Some(owner.uid) && record.matches(&leaf.manifest.digest()) {
            return Ok(Applied::Unchanged);
        }
        self.put_back(records, &target, record.uid, record.autoscaled).await
    }

    /// Reads an object, so that its record says what stands now: [`apply`](Self::apply) then does not depend on how far
    /// the watch is.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub async fn look(&self, records: &Records, owner: &Owner, leaf: &Leaf) -> Result<(), ApiError> {
        let target = Target::new(owner, leaf);
        let known = records.get(leaf.kind, &leaf.namespace, &leaf.name);
        match (self.get(&target.collection, &leaf.name).await?, known) {
            (Some(live), _) => records.enter(leaf.kind, &live, target.state(&live)),
            (None, Some(known)) => records.missed(leaf.kind, &leaf.namespace, &leaf.name, known.version),
            (None, None) => {}
        }
        Ok(())
    }

    /// What [`apply`](Self::apply) would do, by a server-side dry run: admission and defaults included.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub async fn dry_run(&self, owner: &Owner, leaf: &Leaf) -> Result<DryRun, ApplyError> {
        let target = Target::new(owner, leaf);
        let live = self.get(&target.collection, &leaf.name).await?;
        let (only, autoscaled) = match &live {
            None => (Only::Absent, false),
            Some(object) => {
                let record = self.standing(&target, object)?;
                target.check(&record).map_err(|error| named(error, object))?;
                (Only::This(record.uid), record.autoscaled)
            }
        };
        let manner = Manner { force: live.is_some(), dry_run: true };
        let manifest = target.manifest(&only, autoscaled);
        let mut would_be = self.server_side_apply(&target.collection, &leaf.name, &manifest, manner).await?;
        // What a JSON patch would remove afterwards.
        let extras = removals(&projection::foreign_extras(target.desired(), &would_be));
        if !extras.is_empty() {
            let patch = patch_of("dry run", extras)?;
            json_patch::patch(&mut would_be, &patch).map_err(|error| ApiError::Malformed {
                attempt: format!("compare {} {}", target.kind(), leaf.name),
                what: error.to_string(),
            })?;
        }
        Ok(DryRun { live, would_be })
    }

    async fn create(&self, records: &Records, target: &Target<'_>) -> Result<Applied, ApplyError> {
        let manifest = target.manifest(&Only::Absent, false);
        let name = &target.leaf.name;
        match self.server_side_apply(&target.collection, name, &manifest, Manner::default()).await {
            Ok(live) => {
                records.enter(target.leaf.kind, &live, target.state(&live));
                Ok(Applied::Created)
            }
            Err(error) if error.is_conflict() || error.code() == Some(422) => {
                self.exists(records, target, error).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Something of this name exists that our watch does not see.
    async fn exists(
        &self,
        records: &Records,
        target: &Target<'_>,
        refusal: ApiError,
    ) -> Result<Applied, ApplyError> {
        let Some(object) = self.get(&target.collection, &target.leaf.name).await? else {
            // It is gone again, or the refusal was about something else.
            return Err(refusal.into());
        };
        let record = self.standing(target, &object)?;
        match target.check(&record) {
            Ok(()) => self.put_back(records, target, record.uid, record.autoscaled).await,
            Err(ApplyError::Foreign { .. }) => {
                let fields = refusal.conflicts().into_iter().map(|(_, field)| field.to_owned()).collect();
                Err(target.foreign(foreign_managers(&object), fields))
            }
            Err(error) => Err(named(error, &object)),
        }
    }

    fn standing(&self, target: &Target<'_>, object: &Value) -> Result<Record, ApiError> {
        Live::read(target.leaf.kind, object).and_then(|live| live.record(State::Drifted)).ok_or_else(|| {
            ApiError::Malformed {
                attempt: format!("read {} {}", target.kind(), target.leaf.name),
                what: "it is no object with name, uid and version".to_owned(),
            }
        })
    }

    async fn put_back(
        &self,
        records: &Records,
        target: &Target<'_>,
        uid: Uid,
        autoscaled: bool,
    ) -> Result<Applied, ApplyError> {
        let manifest = target.manifest(&Only::This(uid), autoscaled);
        let manner = Manner { force: true, dry_run: false };
        let name = &target.leaf.name;
        let applied = match self.server_side_apply(&target.collection, name, &manifest, manner).await {
            Err(refusal) if refusal.code() == Some(422) => {
                self.overwrite(target, uid, refusal).await?;
                self.server_side_apply(&target.collection, name, &manifest, manner).await
            }
            applied => applied,
        };
        let mut live = applied?;
        records.enter(target.leaf.kind, &live, target.state(&live));
        if has_extras(target, &live) {
            live = self.without_extras(target, live).await?;
            records.enter(target.leaf.kind, &live, target.state(&live));
        }
        if target.state(&live) == State::Drifted {
            tracing::warn!(
                kind = target.leaf.kind.kind(),
                name,
                "the API server does not keep what was applied: does an admission webhook change it?"
            );
        }
        Ok(Applied::Changed)
    }

    /// Removes what is foreign from lists that we own whole. A Deployment's controller answers every apply with a
    /// new status, so that the version moves under us: what it is then is looked at once more.
    async fn without_extras(&self, target: &Target<'_>, live: Value) -> Result<Value, ApiError> {
        match self.remove_extras(target, &live).await {
            Err(error) if error.is_conflict() => {}
            result => return result,
        }
        let attempt = format!("read {} {}", target.kind(), target.leaf.name);
        let live = self.get(&target.collection, &target.leaf.name).await?;
        let live = live.ok_or_else(|| ApiError::Malformed { attempt, what: "it is gone".to_owned() })?;
        if has_extras(target, &live) { self.remove_extras(target, &live).await } else { Ok(live) }
    }

    async fn remove_extras(&self, target: &Target<'_>, live: &Value) -> Result<Value, ApiError> {
        self.patch(target, live, removals(&projection::foreign_extras(target.desired(), live))).await
    }

    /// Writes lists over in which somebody's item and ours cannot stand together: a port of our port's name. Nothing is
    /// written where somebody else put it back meanwhile.
    async fn overwrite(&self, target: &Target<'_>, uid: Uid, refusal: ApiError) -> Result<(), ApiError> {
        let Some(live) = self.get(&target.collection, &target.leaf.name).await? else { return Err(refusal) };
        let same = live.pointer("/metadata/uid").and_then(Value::as_str).map(Uid::parse) == Some(uid);
        if !same {
            return Err(refusal);
        }
        let overwrites = projection::overwrites(target.desired(), &live);
        if overwrites.is_empty() {
            return if target.state(&live) == State::Drifted { Err(refusal) } else { Ok(()) };
        }
        self.patch(target, &live, overwrites).await.map(|_| ())
    }

    /// Changes exactly the version that was looked at.
    async fn patch(&self, target: &Target<'_>, live: &Value, changes: Vec<Value>) -> Result<Value, ApiError> {
        let attempt = format!("take what is foreign out of {} {}", target.kind(), target.leaf.name);
        let version =
            live.pointer("/metadata/resourceVersion").and_then(Value::as_str).and_then(Version::parse);
        let version = version.ok_or_else(|| ApiError::Malformed {
            attempt: attempt.clone(),
            what: "an object without a version".to_owned(),
        })?;
        let operations = std::iter::once(only_at(version)).chain(changes).collect();
        self.json_patch(&target.collection, &target.leaf.name, None, patch_of(&attempt, operations)?).await
    }
}

fn has_extras(target: &Target<'_>, live: &Value) -> bool {
    !projection::foreign_extras(target.desired(), live).is_empty()
}

fn managed_by(managers: &[String]) -> String {
    if managers.is_empty() { String::new() } else { format!(" (managed by {})", managers.join(", ")) }
}

fn removals(pointers: &[String]) -> Vec<Value> {
    pointers.iter().map(|pointer| serde_json::json!({"op": "remove", "path": pointer})).collect()
}

/// Everybody but us and the controller-manager who has a field of this object.
fn foreign_managers(object: &Value) -> Vec<String> {
    let mut foreign: Vec<String> = managers(object)
        .filter(|(manager, _)| *manager != FIELD_MANAGER && *manager != CONTROLLER_MANAGER)
        .map(|(manager, _)| manager.to_owned())
        .collect();
    foreign.sort();
    foreign.dedup();
    foreign
}

/// The error with the owner's kind and name instead of its uid.
fn named(error: ApplyError, object: &Value) -> ApplyError {
    let owner = object.get("metadata").and_then(controller);
    let text = |field: &str| owner.and_then(|owner| owner.get(field)?.as_str()).unwrap_or("?");
    match error {
        ApplyError::OtherOwner { kind, name, .. } => {
            ApplyError::OtherOwner { kind, name, owner: format!("{} {}", text("kind"), text("name")) }
        }
        error @ (ApplyError::Foreign { .. } | ApplyError::Deleting { .. } | ApplyError::Api(_)) => error,
    }
}

/// Creating what is made once and never changed: credentials.
impl Cluster {
    /// Creates an object where there is none of its name, without owner. Answers what stands: the new one, or the one
    /// that was there, which is not touched.
    pub(crate) async fn create_if_absent(&self, leaf: &Leaf) -> Result<(Applied, Value), ApiError> {
        let collection = Collection::of_leaf(leaf.kind, &Scope::Namespace(leaf.namespace.clone()));
        let attempt = format!("create {} {}", leaf.kind.kind(), leaf.name);
        let parameters =
            kube::api::PostParams { dry_run: false, field_manager: Some(FIELD_MANAGER.to_owned()) };
        let request = collection.request().create(&parameters, leaf.manifest.text().to_owned().into_bytes());
        match self.send(&attempt, request).await {
            Ok(object) => Ok((Applied::Created, object)),
            Err(error) if error.is_conflict() => match self.get(&collection, &leaf.name).await? {
                Some(object) => Ok((Applied::Unchanged, object)),
                None => Err(error),
            },
            Err(error) => Err(error),
        }
    }
}
