//! Apps that take what there is: their own container's limits end them, and the APIs beside them go on.

use lb_testkit::eventually_within;
use reqwest::Method;

use crate::producer::{Producer, START};

const EATS_MEMORY: &str = "'use strict';

module.exports = function() {
  const eaten = [];
  setInterval(() => eaten.push(Buffer.alloc(64 * 1024 * 1024, 1)), 20);
};
";

const FORKS: &str = "'use strict';

const spawn = require('child_process').spawn;

module.exports = function() {
  setInterval(() => spawn('sleep', ['1000'], {detached: true}).on('error', () => {}), 5);
};
";

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_eats_memory_or_forks_without_end_harms_itself_alone() {
    let Some(world) = crate::shared().await else { return };
    let _turn = crate::together().await;
    let producer = world.producer("greed").await;
    producer.app_answers("/").await;
    let clone = producer.clone_of_dev().await;
    for (script, says) in [(EATS_MEMORY, "signal: 9"), (FORKS, "256 are allowed")] {
        clone.write("server/boot/greed.js", script);
        clone.commit_and_push("Take what there is").await;
        is_told(&producer, says).await;
    }
    clone.remove("server/boot/greed.js");
    clone.commit_and_push("Be modest").await;
    eventually_within("the app runs again", START, || async {
        let status = producer.status().await?;
        if status["status"] == "running" { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    producer.app_answers("/").await;
    let status = producer.pod().await.status.expect("a status");
    let containers = status.init_container_statuses.into_iter().flatten();
    let restarts: Vec<i32> = containers.map(|container| container.restart_count).collect();
    assert_eq!(restarts, [0, 0], "init and API containers went on");
}

/// Waits until the status says so, while both APIs answer whenever they are asked.
async fn is_told(producer: &Producer, says: &str) {
    eventually_within(&format!("the status says {says}"), START, || async {
        let (status, models) =
            producer.api(Method::GET, "/workspace-api/api/ModelDefinitions", None).await.expect("an answer");
        assert_eq!(status, 200, "{models}");
        let status = producer.status().await.expect("a status");
        let output = status["output"].as_str().unwrap_or_default();
        if status["status"] == "crashed" && output.contains(says) { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}
