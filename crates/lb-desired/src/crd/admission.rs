//! What the API server itself refuses: deleting our CRDs, or an `LBProducer` without saying its name again.
//!
//! Deleting a CRD deletes every object of its kind, and with an `LBProducer` go all of its children. Neither is ever
//! done by the control plane: `purge` annotates the producer first.

use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, NamedRuleWithOperations, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingAdmissionPolicyBindingSpec, ValidatingAdmissionPolicySpec, Validation,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::GROUP;

/// The annotation that allows an `LBProducer`, or one of our CRDs, to be deleted: its value is the object's name.
pub const CONFIRM_DELETE: &str = "lunchbadger.io/confirm-delete";

const NAME: &str = "lunchbadger-confirm-delete";

/// The policy that denies both, with its binding. To delete a CRD on purpose annotate it, as a producer.
#[must_use]
pub fn admission() -> (ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding) {
    let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
    let policy = ValidatingAdmissionPolicy {
        metadata: metadata.clone(),
        spec: Some(ValidatingAdmissionPolicySpec {
            failure_policy: Some("Fail".to_owned()),
            match_constraints: Some(MatchResources {
                resource_rules: Some(vec![
                    deletes(GROUP, "lbproducers"),
                    deletes("apiextensions.k8s.io", "customresourcedefinitions"),
                ]),
                ..MatchResources::default()
            }),
            validations: Some(vec![confirmed()]),
            ..ValidatingAdmissionPolicySpec::default()
        }),
        status: None,
    };
    let binding = ValidatingAdmissionPolicyBinding {
        metadata,
        spec: ValidatingAdmissionPolicyBindingSpec {
            policy_name: NAME.to_owned(),
            validation_actions: vec!["Deny".to_owned()],
            ..ValidatingAdmissionPolicyBindingSpec::default()
        },
    };
    (policy, binding)
}

fn deletes(group: &str, resource: &str) -> NamedRuleWithOperations {
    NamedRuleWithOperations {
        api_groups: Some(vec![group.to_owned()]),
        api_versions: Some(vec!["*".to_owned()]),
        operations: Some(vec!["DELETE".to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        ..NamedRuleWithOperations::default()
    }
}

/// CRDs of other groups pass: their names end otherwise.
fn confirmed() -> Validation {
    let expression = format!(
        "(request.resource.resource == 'customresourcedefinitions' && !request.name.endsWith('.{GROUP}')) \
         || (has(oldObject.metadata.annotations) && '{CONFIRM_DELETE}' in oldObject.metadata.annotations \
         && oldObject.metadata.annotations['{CONFIRM_DELETE}'] == oldObject.metadata.name)"
    );
    let message_expression = format!(
        "'deleting ' + oldObject.metadata.name + ' removes what producers run; to do it all the same: \
         kubectl annotate ' + request.resource.resource + ' ' + oldObject.metadata.name + ' \
         {CONFIRM_DELETE}=' + oldObject.metadata.name"
    );
    Validation {
        expression,
        message: Some(format!("annotation {CONFIRM_DELETE} with the object's name is missing")),
        message_expression: Some(message_expression),
        reason: Some("Forbidden".to_owned()),
    }
}
