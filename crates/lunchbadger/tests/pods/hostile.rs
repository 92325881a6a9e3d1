//! What a producer's own code, and another producer's pod, can reach of a workspace: what they are meant to, and nothing else.
//!
//! Scripts run in the pods' own containers, by the node that is there, as the users that the containers have.

use lb_testkit::{eventually, eventually_within};
use reqwest::Method;
use serde_json::{Value, json};

use crate::host;
use crate::producer::{Producer, START};

/// What scripts begin with: each attempt is answered by what became of it.
const TOOLS: &str = "
const fs = require('fs'), net = require('net'), http = require('http');
const file = (path, work) => { try { return work(path) || 'done'; } catch (error) { return error.code; } };
const ask = (url, token) => new Promise(answer => {
  const headers = token ? {authorization: 'Bearer ' + token} : {};
  http.get(url, {headers, timeout: 5000}, response => { response.resume(); answer(response.statusCode); })
    .on('timeout', () => answer('ETIMEDOUT')).on('error', error => answer(error.code));
});
const listen = (port, host) => new Promise(answer => {
  const server = net.createServer().on('error', error => answer(error.code));
  server.listen(port, host, () => server.close(() => answer('listens')));
});
const say = answers => console.log(JSON.stringify(answers));
";

/// In the app's container.
const APP: &str = "
(async () => say({
  ports: [await ask('http://127.0.0.1:4230/api/Projects/PRODUCER-dev'), await ask('http://127.0.0.1:4231/api/ModelDefinitions')],
  listen: [await listen(4230, '0.0.0.0'), await listen(4231, '127.0.0.1'), await listen(4232, '127.0.0.1')],
  git: await ask('GIT_API/customer-PRODUCER/dev.git/info/refs?service=git-upload-pack'),
  clone: file('/var/lib/lunchbadger', path => fs.readdirSync(path).join()),
  tokens: ['/var/run/secrets/lunchbadger', '/run/secrets'].map(path => file(path, path => fs.readdirSync(path).join())),
  npm: file('/app/node_modules/.cache', path => fs.readdirSync(path).join()),
  image: ['/usr/local/bin/x', '/opt/lunchbadger/dependencies/x'].map(path => file(path, path => fs.writeFileSync(path, ''))),
  processes: fs.readdirSync('/proc').filter(name => /^[0-9]+$/.test(name))
    .map(name => file('/proc/' + name + '/cmdline', path => fs.readFileSync(path, 'utf8')))
    .filter(line => line.includes('lunchbadger-pod\\0workspace')),
  environment: Object.keys(process.env).filter(name => /TOKEN|SECRET|PASSWORD|KEY|CREDENTIAL/.test(name)),
  user: process.getuid(),
}))();
";

#[tokio::test(flavor = "multi_thread")]
async fn a_producers_code_reaches_nothing_of_its_workspaces_own() {
    let Some(world) = crate::shared().await else { return };
    let _turn = crate::together().await;
    let producer = world.producer("code").await;
    producer.app_answers("/").await;
    let answers = run(&producer, "workspace", APP).await;
    let expected = json!({
        "ports": [401, 401],
        "listen": ["EADDRINUSE", "EADDRINUSE", "EADDRINUSE"],
        "git": 401,
        "clone": "ENOENT",
        "tokens": ["ENOENT", "ENOENT"],
        // All that a new app needs is in the image: npm was not run.
        "npm": "ENOENT",
        "image": ["EROFS", "EROFS"],
        "processes": [],
        "environment": [],
        "user": 10_002,
    });
    assert_eq!(answers, expected);
    ports_come_back(&producer).await;
}

/// The app takes the Workspace API's port while that container is away, notes that it did, and goes on trying.
const HOLD: &str = "'use strict';

const fs = require('fs');
const net = require('net');

module.exports = function() {
  const take = () => {
    const server = net.createServer();
    server.on('error', () => setTimeout(take, 5));
    server.listen(4231, '0.0.0.0', () => fs.appendFileSync('/app/held', 'x'));
  };
  take();
};
";

async fn ports_come_back(producer: &Producer) {
    let clone = producer.clone_of_dev().await;
    clone.write("server/boot/hold.js", HOLD);
    let (commit, _) = clone.commit_and_push("Hold the Workspace API's port").await;
    let hold = "say({holds: file('/app/server/boot/hold.js', path => fs.readFileSync(path, 'utf8').length)})";
    eventually("the app has its new code", || async {
        let there = try_run(producer, "workspace", hold).await?;
        if there["holds"].is_u64() { Ok(()) } else { Err(format!("{commit}: {there}")) }
    })
    .await;
    producer.app_answers("/").await;
    assert_eq!(host::kill(&producer.pod().await, "lunchbadger-pod\0workspace"), 1);
    let held = "say({held: file('/app/held', path => fs.readFileSync(path, 'utf8').length)})";
    eventually_within("the app took the port", START, || async {
        let held = try_run(producer, "workspace", held).await?;
        if held["held"].is_u64() { Ok(()) } else { Err(held.to_string()) }
    })
    .await;
    eventually_within("the Workspace API has its port again", START, || async {
        match producer.api(Method::GET, "/workspace-api/api/ModelDefinitions", None).await? {
            (200, models) if models.is_array() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    producer.app_answers("/").await;
}

/// In another producer's app: the first two by the pod's address, then by its Service.
const OTHERS_APP: &str = "
(async () => say({
  pod: [await ask('http://POD:4230/api/Projects/VICTIM-dev'), await ask('http://POD:4231/api/ModelDefinitions')],
  supervisor: await ask('http://POD:4232/orders'),
  service: [await ask('http://workspace-VICTIM-dev/api/Projects/VICTIM-dev'), await ask('http://workspace-VICTIM-dev:81/api/ModelDefinitions')],
}))();
";

/// In another producer's API container, with the tokens that are there.
const OTHERS_API: &str = "
const token = name => fs.readFileSync('/var/run/secrets/lunchbadger/' + name, 'utf8').trim();
const refs = name => 'GIT_API/customer-' + name + '/dev.git/info/refs?service=git-upload-pack';
(async () => say({
  own: [await ask(refs('PRODUCER'), token('git-api')), await ask('CONFIGSTORE/producers/PRODUCER', token('configstore'))],
  others: [await ask(refs('VICTIM'), token('git-api')), await ask('CONFIGSTORE/producers/VICTIM', token('configstore'))],
  crossed: await ask(refs('PRODUCER'), token('configstore')),
  pod: await ask('http://POD:4230/api/Projects/VICTIM-dev', token('git-api')),
}))();
";

#[tokio::test(flavor = "multi_thread")]
async fn another_producers_pod_reaches_neither_files_nor_git_nor_apis() {
    let Some(world) = crate::shared().await else { return };
    let _turn = crate::together().await;
    let (victim, other) = tokio::join!(world.producer("vic"), world.producer("oth"));
    tokio::join!(victim.app_answers("/"), other.app_answers("/"));
    let address = victim.pod().await.status.and_then(|status| status.pod_ip).expect("the pod's address");
    let script = |text: &str| text.replace("VICTIM", &victim.name).replace("POD", &address);
    let answers = run(&other, "workspace", &script(OTHERS_APP)).await;
    let expected = json!({"pod": [401, 401], "supervisor": "ECONNREFUSED", "service": [401, 401]});
    assert_eq!(answers, expected);
    let answers = run(&other, "api", &script(OTHERS_API)).await;
    let expected = json!({"own": [200, 200], "others": [403, 403], "crossed": 401, "pod": 401});
    assert_eq!(answers, expected);
}

/// Runs a script in a container of the producer's workspace, and answers what it says.
async fn run(producer: &Producer, container: &str, script: &str) -> Value {
    eventually(&format!("a script runs in {container}"), || try_run(producer, container, script)).await
}

/// The same once: where the app is ended meanwhile, so is whatever else runs in its container.
async fn try_run(producer: &Producer, container: &str, script: &str) -> Result<Value, String> {
    let world = &producer.world;
    let script = format!("{TOOLS}{script}")
        .replace("PRODUCER", &producer.name)
        .replace("GIT_API", &format!("http://{}", world.git_api))
        .replace("CONFIGSTORE", &format!("http://{}", world.configstore));
    let name = producer.pod().await.metadata.name.expect("a name");
    let container = format!("--container={container}");
    let exec = ["exec", "--namespace=customer", &name, &container, "--", "node", "-e", &script];
    let output = world.try_kubectl(&exec).await;
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&said)
        .map_err(|error| format!("{error}: {said}{}", String::from_utf8_lossy(&output.stderr)))
}
