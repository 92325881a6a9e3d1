//! How long it takes from a producer's creation to its app's first answer, and where the time goes.

use std::fmt::Write;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ContainerState, Pod};
use reqwest::Method;
use tokio::time::sleep;

use crate::producer::{Producer, START, is};
use crate::world::World;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// From a producer's creation to its Workspace API, with images present, on a machine that does nothing else.
const API: Duration = Duration::from_secs(6);
/// From a producer's creation to its app, likewise.
const APP: Duration = Duration::from_secs(20);
/// How much longer it may take here: other builds and tests may run, and a test is no measurement. What it took is printed.
const BUSY: u32 = 4;

/// What was seen for the first time, and when.
#[derive(Default)]
struct Seen(Vec<(&'static str, Duration)>);

impl Seen {
    fn note(&mut self, what: &'static str, at: Duration, seen: bool) {
        if seen && self.of(what).is_none() {
            self.0.push((what, at));
        }
    }

    fn of(&self, what: &str) -> Option<Duration> {
        self.0.iter().find(|(name, _)| *name == what).map(|(_, at)| *at)
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut before = Duration::ZERO;
        for (what, at) in &self.0 {
            writeln!(f, "| {what} | {} | {} |", at.as_millis(), (*at - before).as_millis())?;
            before = *at;
        }
        Ok(())
    }
}

const READY: &str = "Workspace API ready";
const ANSWERS: &str = "the app answers at its public host";

#[tokio::test(flavor = "multi_thread")]
async fn a_new_producers_workspace_becomes_ready_and_its_app_answers() {
    let Some(world) = crate::shared().await else { return };
    let _turn = crate::alone().await;
    let begin = Instant::now();
    let producer = world.producer("start").await;
    let mut seen = Seen::default();
    seen.note("producer created, its owner's token there", begin.elapsed(), true);
    while seen.of(ANSWERS).is_none() {
        look(&producer, &mut seen, begin).await;
        assert!(begin.elapsed() < START, "\n{seen}{}", why(&producer, &world).await);
        sleep(LOOK).await;
    }
    println!("| first seen | ms | since the line above |\n|---|---|---|\n{seen}");
    let (api, app) = (seen.of(READY).expect("a ready API"), seen.of(ANSWERS).expect("an answer"));
    assert!(api < API * BUSY && app < APP * BUSY, "\n{seen}");
    let (status, _) = producer.app(Method::GET, "/api/nothing", None).await.expect("an answer");
    assert_eq!(status, 404, "the app has no models yet");
}

async fn look(producer: &Producer, seen: &mut Seen, begin: Instant) {
    let pods = producer.pods("workspace").await;
    let at = begin.elapsed();
    let Some(pod) = pods.first() else { return };
    seen.note("pod made", at, true);
    seen.note("scheduled", at, is(pod, "PodScheduled"));
    seen.note("sandbox (network) made", at, is(pod, "PodReadyToStartContainers"));
    let runs = |name: &str| state(pod, name).is_some_and(|state| state.running.is_some());
    let ended = |name: &str| state(pod, name).is_some_and(|state| state.terminated.is_some());
    seen.note("init begun", at, runs("init") || ended("init"));
    seen.note("init ended (cloned)", at, ended("init"));
    seen.note("API container begun", at, runs("api"));
    seen.note("app container begun", at, runs("workspace"));
    seen.note(READY, at, is(pod, "Ready"));
    if let Ok(status) = producer.status().await {
        let at = begin.elapsed();
        seen.note("Workspace status answers through the Ingress", at, true);
        seen.note("app listens", at, status["status"] == "running");
    }
    let answer = producer.app(Method::GET, "/", None).await;
    seen.note(ANSWERS, begin.elapsed(), answer.is_ok_and(|(status, _)| status == 200));
}

fn state<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerState> {
    let status = pod.status.as_ref()?;
    let all = [&status.init_container_statuses, &status.container_statuses];
    let mut all = all.into_iter().flatten().flatten();
    all.find(|status| status.name == container)?.state.as_ref()
}

/// What the pod says of itself.
async fn why(producer: &Producer, world: &World) -> String {
    let mut said = String::new();
    for pod in producer.pods("workspace").await {
        let name = pod.metadata.name.unwrap_or_default();
        for container in ["init", "api", "workspace"] {
            let logs = ["logs", "--namespace=customer", &name, "--container", container, "--tail=10"];
            let logs = world.try_kubectl(&logs).await;
            let _ = writeln!(said, "{container}: {}", String::from_utf8_lossy(&logs.stdout));
        }
        let _ = writeln!(said, "{:#?}", pod.status);
    }
    let _ = writeln!(said, "status: {:?}\n{}", producer.status().await, world.log());
    said
}
