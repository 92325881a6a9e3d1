//! Manifests against a real API server.

use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams, TypeMeta};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::Value;

/// The API of a manifest's kind, in its namespace where it has one.
pub(crate) fn api(client: &Client, manifest: &Value) -> Api<DynamicObject> {
    let types: TypeMeta = serde_json::from_value(manifest.clone()).unwrap();
    let kind = GroupVersionKind::try_from(&types).unwrap();
    let plural = match kind.kind.as_str() {
        "NetworkPolicy" => "networkpolicies".to_owned(),
        "Ingress" => "ingresses".to_owned(),
        "ValidatingAdmissionPolicy" => "validatingadmissionpolicies".to_owned(),
        other => format!("{}s", other.to_lowercase()),
    };
    let resource = ApiResource::from_gvk_with_plural(&kind, &plural);
    match manifest.pointer("/metadata/namespace").and_then(Value::as_str) {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

pub(crate) fn name(manifest: &Value) -> &str {
    manifest.pointer("/metadata/name").and_then(Value::as_str).unwrap()
}

/// Applies a manifest as the actualizer does, with strict validation.
pub(crate) async fn apply(client: &Client, manifest: &Value) -> Result<Value, kube::Error> {
    let parameters = PatchParams::apply("lunchbadger-actualizer").force().validation_strict();
    let answer = api(client, manifest).patch(name(manifest), &parameters, &Patch::Apply(manifest)).await?;
    Ok(serde_json::to_value(answer).unwrap())
}

/// Changes an object as somebody else does.
pub(crate) async fn meddle(client: &Client, manifest: &Value, patch: &Value) -> Value {
    change(client, manifest, patch).await.unwrap_or_else(|error| panic!("{patch}: {error}"))
}

/// Sends a patch: a JSON patch where it is a list.
pub(crate) async fn change(client: &Client, manifest: &Value, patch: &Value) -> Result<Value, kube::Error> {
    let parameters = PatchParams { field_manager: Some("mallory".to_owned()), ..PatchParams::default() };
    let api = api(client, manifest);
    let answer = if patch.is_array() {
        let patch = Patch::Json::<()>(serde_json::from_value(patch.clone()).unwrap());
        api.patch(name(manifest), &parameters, &patch).await
    } else {
        api.patch(name(manifest), &parameters, &Patch::Strategic(patch)).await
    };
    Ok(serde_json::to_value(answer?).unwrap())
}

/// Creates a manifest without creating it.
pub(crate) async fn dry_run(client: &Client, manifest: &Value) -> Result<Value, kube::Error> {
    let object: DynamicObject = serde_json::from_value(manifest.clone()).unwrap();
    let parameters = PostParams { dry_run: true, field_manager: None };
    Ok(serde_json::to_value(api(client, manifest).create(&parameters, &object).await?).unwrap())
}
