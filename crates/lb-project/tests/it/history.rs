//! The value by which the commit is found in which an entity last changed.

use lb_project::entity_value;
use lb_vocab::EntityKind;

use crate::common::{producer, project_file};

fn value(inner: &str, kind: EntityKind, id: &str) -> Option<String> {
    entity_value(&String::from_utf8(project_file(inner)).unwrap(), &producer(), kind, id)
}

const PROJECT: &str = r#"{"disabled":true,
 "gateways":[{"id":"g1","name":"one","pipelines":{"p1":{"name":"x"}}},{"id":"g2","pipelines":[{"id":"p2"}]},{"name":"nameless"}],
 "serviceEndpoints":[{"id":"s","urls":["u"]}], "connections":[{"id":"c","fromId":"p1","toId":"e2"}],
 "apiEndpoints":[{"id":"e1"}], "apis":[{"id":"a","apiEndpoints":[{"id":"e2","paths":["/x"]}]}], "portals":[{"id":"o","name":"e1"}]}"#;

#[test]
fn each_kind_is_found_where_it_may_stand() {
    for (kind, id, expected) in [
        (EntityKind::Project, "al-dev", "true"),
        (EntityKind::Gateway, "g2", r#"{"id":"g2","pipelines":[{"id":"p2"}]}"#),
        (EntityKind::Gateway, "nameless", r#"{"name":"nameless"}"#),
        (EntityKind::Pipeline, "p1", r#"{"name":"x"}"#),
        (EntityKind::Policy, "p2", r#"{"id":"p2"}"#),
        (EntityKind::ServiceEndpoint, "s", r#"{"id":"s","urls":["u"]}"#),
        (EntityKind::ApiEndpoint, "e2", r#"{"id":"e2","paths":["/x"]}"#),
        (EntityKind::Connection, "c", r#"{"id":"c","fromId":"p1","toId":"e2"}"#),
        (EntityKind::Connection, "p1 -> e2", r#"{"id":"c","fromId":"p1","toId":"e2"}"#),
        (EntityKind::Api, "o", r#"{"id":"o","name":"e1"}"#),
    ] {
        assert_eq!(value(PROJECT, kind, id).as_deref(), Some(expected), "{kind:?} {id}");
    }
    for (kind, id) in
        [(EntityKind::Gateway, "p1"), (EntityKind::ApiEndpoint, "s"), (EntityKind::Connection, "")]
    {
        assert_eq!(value(PROJECT, kind, id), None, "{kind:?} {id}");
    }
}

#[test]
fn blanks_and_other_entities_do_not_count() {
    let gateway = |inner: &str| value(inner, EntityKind::Gateway, "g");
    let one = gateway(r#"{"gateways":[{"id":"g","name":"é"}]}"#);
    assert_eq!(
        one,
        gateway("{\"x\":1,\"gateways\":[{\"id\":\"other\"},\n{ \"id\" : \"g\", \"name\":\"\\u00e9\" }]}")
    );
    assert_ne!(one, gateway(r#"{"gateways":[{"id":"g","name":"e"}]}"#));
    assert_ne!(one, gateway(r#"{"gateways":[{"name":"é","id":"g"}]}"#));
}

#[test]
fn other_files_hold_other_kinds() {
    let of = |text: &str, kind, id| entity_value(text, &producer(), kind, id);
    let model = "{\"name\": \"Car\", \"lunchbadgerId\": \"m\"}";
    assert_eq!(of(model, EntityKind::Model, "Car"), of(model, EntityKind::Model, "m"));
    assert_eq!(of(model, EntityKind::Model, "x"), None);
    assert_eq!(
        of("{\"db\": {\"connector\": \"memory\"}}", EntityKind::DataSource, "db").unwrap(),
        "{\"connector\":\"memory\"}"
    );
    let function = "service: f\nfunctions: {fn-al-dev-f: {handler: a.b}}\nlunchbadger: {id: i}\n";
    assert_eq!(of(function, EntityKind::Function, "i"), of(function, EntityKind::Function, "fn-al-dev-f"));
    assert!(
        of(function, EntityKind::Function, "i").is_some()
            && of(function, EntityKind::Function, "j").is_none()
    );
    assert_eq!(of("\u{feff}[1 ]", EntityKind::File, "").unwrap(), "[1]");
    assert_eq!(of("{", EntityKind::OpenApi, ""), None);
}
