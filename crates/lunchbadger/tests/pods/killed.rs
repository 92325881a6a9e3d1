//! Pods that end in the middle of saves: what was answered is in git in the end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lb_testkit::eventually_within;
use reqwest::Method;
use serde_json::json;

use crate::host;
use crate::producer::{Producer, START};

/// Saves of each stretch that have to be answered before the next thing happens.
const SOME: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn saves_that_were_answered_survive_a_killed_container_and_a_deleted_pod() {
    let Some(world) = crate::shared().await else { return };
    let _turn = crate::together().await;
    let producer = Arc::new(world.producer("kill").await);
    producer.app_answers("/").await;
    let saver = Saver::start(&producer);
    saver.until(SOME).await;

    // At once, as the kernel would for want of memory: nothing is told to anybody.
    let pod = producer.pod().await;
    let killed = host::kill(&pod, "lunchbadger-pod\0workspace");
    assert_eq!(killed, 1, "the API container's process");
    saver.until(SOME).await;

    // As a drain of the node does it: a new pod comes.
    let name = pod.metadata.name.clone().expect("a name");
    world.kubectl(&["delete", "pod", "--namespace=customer", "--wait=false", &name]).await;
    saver.until(SOME).await;

    // As a roll-out does it: the new pod is there before the old one goes.
    let deployment = format!("deployment/workspace-{}-dev", producer.name);
    world.kubectl(&["rollout", "restart", "--namespace=customer", &deployment]).await;
    world.kubectl(&["rollout", "status", "--namespace=customer", "--timeout=120s", &deployment]).await;
    saver.until(SOME).await;

    let saved = saver.end().await;
    let clone = producer.clone_of_dev().await;
    eventually_within("every save that was answered is in git", START, || async {
        clone.run(&["fetch", "--quiet", "origin", "master"]).await;
        let files = clone.run(&["ls-tree", "--name-only", "origin/master", "notes/"]).await;
        let there: BTreeSet<&str> = files.lines().collect();
        let lost: Vec<&String> = saved.iter().filter(|path| !there.contains(path.as_str())).collect();
        if lost.is_empty() { Ok(()) } else { Err(format!("of {} saves are missing: {lost:?}", saved.len())) }
    })
    .await;
    let branches = clone.run(&["ls-remote", "origin", "lunchbadger/displaced/*"]).await;
    assert_eq!(branches, "", "nobody else saved, so nothing was displaced");
    producer.app_answers("/").await;
}

/// Saves one file after the other, and notes those that were answered.
struct Saver {
    producer: Arc<Producer>,
    saved: Arc<tokio::sync::Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Saver {
    fn start(producer: &Arc<Producer>) -> Self {
        let (saved, stop) = (Arc::default(), Arc::default());
        let task = tokio::spawn(save(Arc::clone(producer), Arc::clone(&saved), Arc::clone(&stop)));
        Self { producer: Arc::clone(producer), saved, stop, task }
    }

    /// Waits until that many more were answered.
    async fn until(&self, more: usize) {
        let goal = self.saved.lock().await.len() + more;
        eventually_within("saves are answered", START, || async {
            let count = self.saved.lock().await.len();
            if count >= goal {
                Ok(())
            } else {
                Err(format!("{count} of {goal}: {:?}", self.producer.status().await))
            }
        })
        .await;
    }

    async fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("the saver ends");
        self.saved.lock().await.clone()
    }
}

async fn save(producer: Arc<Producer>, saved: Arc<tokio::sync::Mutex<Vec<String>>>, stop: Arc<AtomicBool>) {
    let token = producer.token().await;
    let host = format!("internal-{}", producer.host());
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let name = format!("{number:04}.txt");
        let body = json!({"files": {"notes": {(name.as_str()): format!("note {number}\n")}}});
        let request = producer.request(Method::PUT, &host, "/project-api/api/WorkspaceFiles/files");
        let answer = request.timeout(Duration::from_secs(3)).bearer_auth(&token).json(&body).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            saved.lock().await.push(format!("notes/{name}"));
        }
    }
}
