//! What a client of the Project API saves is merged losslessly.

use lb_project::ProjectFile;
use lb_project::project::{changes_switch, complete, invalid, nothing};
use serde_json::{Map, Value, json};

use crate::common::{producer, project_file};

fn file(inner: &str) -> ProjectFile {
    ProjectFile::new(String::from_utf8(project_file(inner)).unwrap(), &producer())
}

fn map(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[test]
fn only_what_differs_is_written() {
    let before = "{ \"id\":\"al-dev\",  \"x\\u0041\" : [ 1.50, {\"a\" : 1 , \"b\":2} ],\n\"gateways\":[ {\"id\":\"g\", \"unknown\": {\"k\" : [ ]}, \"name\":\"main\"} ] }";
    let cases = [
        (json!({"id": "al-dev", "xA": [1.5, {"a": 1, "b": 2}]}), "", ""),
        (json!({"gateways": [{"id": "g", "unknown": {"k": []}, "name": "other"}]}), "\"main\"", "\"other\""),
        (json!({"gateways": [{"id": "g", "name": "main"}]}), ", \"unknown\": {\"k\" : [ ]}", ""),
        (json!({"gateways": []}), "[ {\"id\":\"g\", \"unknown\": {\"k\" : [ ]}, \"name\":\"main\"} ]", "[]"),
        (json!({"xA": [1.5, {"b": 2, "a": 1}]}), "{\"a\" : 1 , \"b\":2}", "{\"b\":2,\"a\":1}"),
        (json!({"new": null}), "\"main\"} ]", "\"main\"} ],\"new\":null"),
    ];
    for (given, from, to) in cases {
        let mut edited = file(before);
        edited.merge(&map(&given)).unwrap();
        assert_eq!(edited.project_text().unwrap().unwrap(), before.replacen(from, to, 1), "{given}");
    }
}

#[test]
fn what_a_client_may_not_save_is_named() {
    let places =
        |given: Value| invalid(&map(&given)).into_iter().map(|found| found.place).collect::<Vec<_>>();
    assert_eq!(
        places(json!({"id": "x", "gateways": [{"name": "a", "dnsPrefix": "b"}], "states": null})),
        Vec::<String>::new()
    );
    let wrong = json!({
        "name": " ", "disabled": "yes", "gateways": [{"name": ""}, 7], "apiEndpoints": [{}], "portals": {},
        "apis": [{"apiEndpoints": [{"name": "n"}, {}]}],
    });
    assert_eq!(
        places(wrong),
        [
            "name",
            "disabled",
            "gateways[0].name",
            "gateways[0].dnsPrefix",
            "gateways[1]",
            "apiEndpoints[0].name",
            "portals",
            "apis[0].apiEndpoints[1].name",
        ]
    );
}

#[test]
fn connections_and_states_get_ids_and_keep_those_they_have() {
    let mut given = map(
        &json!({"connections": [{"fromId": "a"}, {"id": "c", "fromId": "b"}], "states": [{"id": null}], "gateways": [{}]}),
    );
    let mut count = 0;
    complete(&mut given, || {
        count += 1;
        format!("new{count}")
    });
    assert_eq!(
        Value::Object(given),
        json!({"connections": [{"fromId": "a", "id": "new1"}, {"id": "c", "fromId": "b"}], "states": [{"id": "new2"}], "gateways": [{}]})
    );
}

#[test]
fn a_switch_that_stays_is_no_change() {
    let change = |before: Value, given: Value| changes_switch(Some(&before), &map(&given));
    assert!(
        change(json!({}), json!({"disabled": true}))
            && change(json!({"disabled": true}), json!({"disabled": null}))
    );
    assert!(
        !change(json!({}), json!({"disabled": false}))
            && !change(json!({"disabled": true}), json!({"disabled": true}))
    );
    assert!(
        !change(json!({"disabled": true}), json!({"name": "x"}))
            && changes_switch(None, &map(&json!({"disabled": true})))
    );
    assert!(nothing().len() == 9 && !nothing().contains_key("disabled"));
}

#[test]
fn instances_of_other_models_stand_beside_the_project() {
    let mut edited = file("{}");
    let before = edited.text().to_owned();
    assert_eq!((edited.records("Forecast").unwrap(), edited.next_record("Forecast").unwrap()), (vec![], 1));
    edited.put_record("Forecast", "1", &json!({"id": 1, "data": "\"x"})).unwrap();
    edited.put_record("Forecast", "7", &json!({"id": 7})).unwrap();
    edited.put_record("Forecast", "1", &json!({"id": 1})).unwrap();
    assert_eq!(
        edited.records("Forecast").unwrap(),
        [("1".to_owned(), json!({"id": 1})), ("7".to_owned(), json!({"id": 7}))]
    );
    assert_eq!((edited.next_record("Forecast").unwrap(), edited.project().unwrap()), (8, Some(json!({}))));
    assert!(
        edited.remove_record("Forecast", "7").unwrap() && !edited.remove_record("Forecast", "7").unwrap()
    );
    assert_eq!(edited.next_record("Forecast").unwrap(), 8, "an id is given once");
    assert_eq!(ProjectFile::new(before, &producer()).project().unwrap(), edited.project().unwrap());
    let mut empty = ProjectFile::new("", &producer());
    empty.put_record("Forecast", "1", &json!({})).unwrap();
    assert_eq!(empty.records("Forecast").unwrap().len(), 1);
}
