//! What a deployed pod is given is what the container reads.

use std::collections::BTreeMap;

use lb_desired::build::{CONFIGSTORE_AUDIENCE, GIT_API_AUDIENCE, TOKEN_DIRECTORY, Workspace, workspace};
use lb_pod::workspace::Settings;
use lb_vocab::settings::Reader;
use serde_json::Value;

#[test]
fn a_deployed_pod_is_given_what_its_container_reads() {
    let given = [("AUTH_ISSUER", "https://git.example.com"), ("CORS_ORIGINS", "https://ui.example.com")];
    let given: BTreeMap<String, String> =
        given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut reader = Reader::new(&given);
    let platform = lb_desired::settings::Settings::read(&mut reader);
    let (platform, _) = reader.finish(platform).unwrap();
    let producer: lb_vocab::Producer = "big-corp-dev".parse().unwrap();
    let built = workspace(
        &Workspace { producer: producer.clone(), revision: None, functions_revision: None },
        &platform,
    );
    let deployment = built
        .iter()
        .map(|leaf| leaf.manifest.value())
        .find(|manifest| {
            manifest["kind"] == "Deployment" && manifest["metadata"]["name"] == "workspace-big-corp-dev"
        })
        .unwrap();
    let containers = deployment["spec"]["template"]["spec"]["initContainers"].as_array().unwrap();
    let api = containers.iter().find(|container| container["name"] == "api").unwrap();
    let init = containers.iter().find(|container| container["name"] == "init").unwrap();
    let variables = environment(init);
    let mut reader = Reader::new(&variables);
    let begun = lb_pod::init::Settings::read(&mut reader);
    let begun = reader.finish(begun).unwrap().0.unwrap();
    let environment = environment(api);
    let mut reader = Reader::new(&environment);
    let settings = Settings::read(&mut reader);
    let (settings, warnings) = reader.finish(settings).unwrap();
    let settings = settings.unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!((&settings.producer, settings.repository.name.as_str()), (&producer, "dev"));
    assert!(settings.configstore.is_some());
    assert_eq!(settings.auth.issuer, "https://git.example.com");
    assert_eq!(
        settings.origins,
        lb_http::serve::Origins::parse(&["https://ui.example.com".to_owned()]).unwrap()
    );
    assert_eq!(
        (begun.repository, &begun.identity.clone_dir),
        (settings.repository, &settings.identity.clone_dir)
    );
    assert_eq!(init["args"], serde_json::json!(["init"]));
    let app = &deployment["spec"]["template"]["spec"]["containers"][0];
    let variables = self::environment(app);
    let mut reader = Reader::new(&variables);
    let beside = lb_pod::app::Settings::read(&mut reader);
    let (beside, warnings) = reader.finish(beside).unwrap();
    let beside = beside.unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!((&beside.producer, app["args"].clone()), (&producer, serde_json::json!(["app"])));
    assert_eq!(beside.channel.as_str(), format!("http://{}/", settings.supervisor));
    let ours =
        [settings.project_api, settings.workspace_api, settings.supervisor].map(|address| address.port());
    assert_eq!(beside.reserved, ours);
    assert_eq!(app["ports"][0]["containerPort"], beside.port);
    let writable: Vec<&str> = app["volumeMounts"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|mount| mount["mountPath"].as_str())
        .collect();
    assert_eq!(writable, [beside.directory.to_str().unwrap(), beside.home.to_str().unwrap()]);
    let mounts: Vec<&str> = api["volumeMounts"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|mount| mount["mountPath"].as_str())
        .collect();
    // A volume is root's; the clone in it is the container's own.
    let volume = settings.identity.clone_dir.parent().unwrap();
    assert!(mounts.contains(&volume.to_str().unwrap()), "{mounts:?}");
    assert_eq!(settings.identity.tokens_dir.to_str(), Some(TOKEN_DIRECTORY));
    assert_eq!((GIT_API_AUDIENCE, CONFIGSTORE_AUDIENCE), ("git-api", "configstore"));
    let ports: Vec<&Value> =
        api["ports"].as_array().unwrap().iter().map(|port| &port["containerPort"]).collect();
    assert_eq!(ports, [settings.project_api.port(), settings.workspace_api.port()]);
    assert_eq!(api["args"], serde_json::json!(["workspace"]));
}

/// The variables of a container.
fn environment(container: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let variables = container["env"].as_array().unwrap().iter();
    variables.map(|variable| (text(&variable["name"]), text(&variable["value"]))).collect()
}
