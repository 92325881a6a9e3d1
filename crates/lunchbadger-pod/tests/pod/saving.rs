//! The API container: what was saved is pushed at its end.

use std::process::Command;

use lb_testkit::process::Supervised;
use lb_testkit::{eventually, free_port};
use serde_json::json;

use crate::world::{OPERATOR, POD, World, program};

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_pushes_what_was_saved() {
    let world = World::new().await;
    let (port, log) = (free_port(), world.directory.path().join("log"));
    let variables = world.variables(port);
    let init = Command::new(program()).arg("init").env_clear().envs(&variables).output().unwrap();
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    let mut pod = Supervised::start(program(), ["workspace"], &variables, &log).unwrap();
    let http = lb_testkit::http_client().unwrap();
    let base = format!("http://127.0.0.1:{port}");
    eventually("it is ready", || async {
        let answer = http.get(format!("{base}/")).send().await.map_err(|error| error.to_string())?;
        if answer.status().is_success() { Ok(()) } else { Err(answer.status().to_string()) }
    })
    .await;
    for number in 0..5 {
        let save = http.patch(format!("{base}/project-api/api/Projects")).bearer_auth(OPERATOR);
        let save = save.json(&json!({"id": "al-dev", "name": format!("save {number}")}));
        assert_eq!(save.send().await.unwrap().status(), 200);
    }
    pod.signal("TERM").unwrap();
    let status = eventually("it ends", || {
        let ended = pod.ended();
        async move { ended.ok_or("it runs") }
    })
    .await;
    let log = std::fs::read_to_string(log).unwrap();
    assert!(status.success(), "{status}: {log}");
    assert!(!log.contains(POD) && !log.contains(OPERATOR), "no token is logged");
    let clone = world.clone().await;
    assert!(clone.read("lunchbadger.json").contains("save 4"));
    assert_eq!(clone.run(&["rev-list", "--count", "HEAD"]).await, "6");
}

#[test]
fn what_is_missing_is_named_at_once() {
    let none = Command::new(program()).arg("workspace").env_clear().output().unwrap();
    let text = String::from_utf8_lossy(&none.stderr);
    assert!(!none.status.success() && text.contains("LB_PRODUCER") && text.contains("GIT_URL"), "{text}");
}
