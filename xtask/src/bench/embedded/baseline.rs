//! The least that the same end can take: a minimal client that knows all objects beforehand, creates each of them, and
//! writes each status once, while as many watches are open as the Actualizer has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt};
use http::{Method, Request};
use k8s_openapi::serde::de::IgnoredAny;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::bench::Bench;
use crate::bench::measure::Usage;
use crate::bench::system::Cluster;
use crate::say::say;

/// What producers have objects of, in the order of dependence: collection and whether it has a status of ours.
const KINDS: [(&str, bool); 11] = [
    ("apis/lunchbadger.io/v1alpha1/lbproducers", true),
    ("apis/lunchbadger.io/v1alpha1/namespaces/customer/lbworkspaces", true),
    ("apis/lunchbadger.io/v1alpha1/namespaces/customer/lbgateways", true),
    ("apis/lunchbadger.io/v1alpha1/namespaces/customer/lbfunctions", true),
    ("api/v1/namespaces/customer/serviceaccounts", false),
    ("api/v1/namespaces/customer/secrets", false),
    ("api/v1/namespaces/customer/services", false),
    ("api/v1/namespaces/customer/persistentvolumeclaims", false),
    ("apis/apps/v1/namespaces/customer/deployments", false),
    ("apis/networking.k8s.io/v1/namespaces/customer/ingresses", false),
    ("apis/networking.k8s.io/v1/namespaces/customer/networkpolicies", false),
];
/// Requests at once that are tried, to find which is best.
const CONCURRENCIES: [usize; 4] = [8, 16, 32, 64];

/// One object to create.
struct Recorded {
    collection: &'static str,
    name: String,
    /// The uid that it had.
    uid: String,
    /// Those of its owners.
    owners: BTreeSet<String>,
    body: String,
    status: Option<String>,
}

/// What stood at the end, by producer.
pub(super) struct Recording {
    producers: Vec<Vec<Recorded>>,
    watches: BTreeSet<String>,
}

/// How one run of the client went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) seconds: f64,
    pub(super) concurrency: usize,
    pub(super) api_server: f64,
}

impl Recording {
    /// Reads what stands.
    pub(super) async fn of(cluster: &Cluster, producers: usize) -> Result<Self> {
        let mut by_producer: BTreeMap<String, Vec<Recorded>> = BTreeMap::new();
        for (collection, ours) in KINDS {
            for mut object in list(&cluster.client, collection).await? {
                let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                let producer = match object["metadata"]["labels"]["producer"].as_str() {
                    Some(producer) => producer.to_owned(),
                    None if collection.ends_with("/lbproducers") => name.clone(),
                    None => continue,
                };
                by_producer.entry(producer).or_default().push(Recorded::of(
                    collection,
                    ours,
                    name,
                    &mut object,
                ));
            }
        }
        if by_producer.len() != producers {
            bail!("objects of {} producers stand, not of {producers}", by_producer.len());
        }
        let asked = cluster.audit("")?.into_iter().filter(|asked| asked.verb == "watch");
        let watches = asked.map(|asked| without_version(&asked.uri)).collect();
        Ok(Self { producers: by_producer.into_values().collect(), watches })
    }

    /// Finds with how many requests at once it goes fastest, with some of the producers each.
    pub(super) async fn best_concurrency(&self, bench: &Bench) -> Result<usize> {
        let some = self.producers.len().div_ceil(10).clamp(10, 50);
        let cluster = Cluster::start(&bench.place("trial"), &bench.program).await?;
        let _watches = watch(&cluster.client, &self.watches)?;
        let mut best = (0.0, 0);
        for (round, concurrency) in
            CONCURRENCIES.into_iter().enumerate().skip(if bench.quick { 2 } else { 0 })
        {
            let part = self.producers.iter().skip(round * some).take(some);
            let part: Vec<&[Recorded]> = part.map(Vec::as_slice).collect();
            let objects: usize = part.iter().map(|producer| producer.len()).sum();
            if objects == 0 {
                break;
            }
            let rate = objects as f64 / replay(&cluster, &part, concurrency).await?.seconds;
            say(&format!("a minimal client with {concurrency} requests at once: {rate:.0} objects/s"));
            if rate > best.0 {
                best = (rate, concurrency);
            }
        }
        Ok(best.1)
    }

    /// Creates all of them in a new cluster.
    pub(super) async fn replay(&self, bench: &Bench, concurrency: usize) -> Result<Outcome> {
        let cluster = Cluster::start(&bench.place("baseline"), &bench.program).await?;
        let _watches = watch(&cluster.client, &self.watches)?;
        let all: Vec<&[Recorded]> = self.producers.iter().map(Vec::as_slice).collect();
        let outcome = replay(&cluster, &all, concurrency).await?;
        say(&format!("a minimal client took {:.1} s", outcome.seconds));
        Ok(outcome)
    }

    /// A create for each object, and a status for each of ours.
    pub(super) fn necessary(&self) -> usize {
        self.producers.iter().flatten().map(|recorded| 1 + usize::from(recorded.status.is_some())).sum()
    }
}

impl Recorded {
    /// Takes away what the server writes.
    fn of(collection: &'static str, ours: bool, name: String, object: &mut Value) -> Self {
        let status = object.as_object_mut().and_then(|object| object.remove("status"));
        let metadata = &mut object["metadata"];
        let uid = metadata.get("uid").and_then(Value::as_str).unwrap_or_default().to_owned();
        let owners = metadata.get("ownerReferences").and_then(Value::as_array).into_iter().flatten();
        let owners = owners.filter_map(|owner| owner["uid"].as_str().map(str::to_owned)).collect();
        if let Some(metadata) = metadata.as_object_mut() {
            for field in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"] {
                metadata.remove(field);
            }
        }
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("deployment.kubernetes.io/revision");
        }
        if collection.ends_with("/services")
            && let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut)
        {
            spec.retain(|field, _| !field.starts_with("clusterIP"));
        }
        let status = status.filter(|_| ours).map(|status| json!({"status": status}).to_string());
        Self { collection, name, uid, owners, body: object.to_string(), status }
    }
}

/// A watch that begins now.
fn without_version(uri: &str) -> String {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let kept = query.split('&').filter(|pair| !pair.starts_with("resourceVersion"));
    format!("{path}?{}", kept.collect::<Vec<_>>().join("&"))
}

/// All objects of a collection, page by page.
async fn list(client: &Client, collection: &str) -> Result<Vec<Value>> {
    let (mut all, mut next) = (Vec::new(), String::new());
    loop {
        let uri = format!("/{collection}?limit=500&continue={next}");
        let request = Request::get(&uri).body(Vec::new()).context("make a request")?;
        let mut page: Value = client.request(request).await.with_context(|| format!("list {collection}"))?;
        let (kind, version) = (page["kind"].clone(), page["apiVersion"].clone());
        let kind = kind.as_str().unwrap_or_default().trim_end_matches("List").to_owned();
        if let Some(items) = page["items"].as_array_mut() {
            for mut item in items.drain(..) {
                item["kind"] = kind.clone().into();
                item["apiVersion"] = version.clone();
                all.push(item);
            }
        }
        match page["metadata"]["continue"].as_str() {
            Some(token) if !token.is_empty() => token.clone_into(&mut next),
            _ => return Ok(all),
        }
    }
}

/// Opens the watches and drops what they say.
fn watch(client: &Client, watches: &BTreeSet<String>) -> Result<JoinSet<()>> {
    let mut open = JoinSet::new();
    for uri in watches {
        let (client, uri) = (client.clone(), uri.clone());
        open.spawn(async move {
            loop {
                let Ok(request) = Request::get(&uri).body(Vec::new()) else { return };
                match client.request_events::<IgnoredAny>(request).await {
                    Ok(events) => events.for_each(|_| std::future::ready(())).await,
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        });
    }
    if open.is_empty() {
        bail!("the audit log has no watch of ours");
    }
    Ok(open)
}

async fn replay(cluster: &Cluster, producers: &[&[Recorded]], concurrency: usize) -> Result<Outcome> {
    let server = cluster.api_server()?;
    let (before, begin) = (Usage::of(server)?.cpu, std::time::Instant::now());
    let player = Player { client: cluster.client.clone(), turns: Semaphore::new(concurrency) };
    let all = producers.iter().map(|producer| player.producer(producer));
    futures::stream::iter(all).buffer_unordered(concurrency).try_collect::<()>().await?;
    let seconds = begin.elapsed().as_secs_f64();
    Ok(Outcome { seconds, concurrency, api_server: Usage::of(server)?.cpu - before })
}

struct Player {
    client: Client,
    turns: Semaphore,
}

impl Player {
    /// Creates what has no owner, then what these own, and so on; each status at once.
    async fn producer(&self, recorded: &[Recorded]) -> Result<()> {
        let mut uids: BTreeMap<&str, String> = BTreeMap::new();
        let mut left: Vec<&Recorded> = recorded.iter().collect();
        let known: BTreeSet<&str> = recorded.iter().map(|one| one.uid.as_str()).collect();
        while !left.is_empty() {
            let waits = |one: &&Recorded| {
                one.owners
                    .iter()
                    .any(|owner| known.contains(owner.as_str()) && !uids.contains_key(owner.as_str()))
            };
            let (later, now): (Vec<&Recorded>, Vec<&Recorded>) = left.into_iter().partition(waits);
            if now.is_empty() {
                bail!("objects own each other: {:?}", later.iter().map(|one| &one.name).collect::<Vec<_>>());
            }
            let made = futures::future::try_join_all(now.iter().map(|one| self.create(one, &uids))).await?;
            uids.extend(now.iter().map(|one| one.uid.as_str()).zip(made));
            left = later;
        }
        Ok(())
    }

    async fn create(&self, one: &Recorded, uids: &BTreeMap<&str, String>) -> Result<String> {
        let mut body = one.body.clone();
        for owner in &one.owners {
            if let Some(uid) = uids.get(owner.as_str()) {
                body = body.replace(owner, uid);
            }
        }
        let uri = format!("/{}", one.collection);
        let made = self.send(Method::POST, &uri, "application/json", body).await?;
        let made: Value = serde_json::from_str(&made).context("read what was created")?;
        if let Some(status) = &one.status {
            let uri = format!("{uri}/{}/status", one.name);
            self.send(Method::PATCH, &uri, "application/merge-patch+json", status.clone()).await?;
        }
        made["metadata"]["uid"].as_str().map(str::to_owned).context("what was created has no uid")
    }

    async fn send(&self, method: Method, uri: &str, kind: &str, body: String) -> Result<String> {
        let _turn = self.turns.acquire().await.context("wait for a turn")?;
        let request = Request::builder().method(method).uri(uri).header("content-type", kind);
        let request = request.body(body.into_bytes()).context("make a request")?;
        self.client.request_text(request).await.with_context(|| format!("write {uri}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::system::NAMESPACE;

    #[test]
    fn what_the_server_writes_is_not_replayed() {
        let mut object = json!({
            "metadata": {"name": "a", "uid": "1", "resourceVersion": "2", "ownerReferences": [{"uid": "3"}]},
            "spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": []}, "status": {},
        });
        let recorded =
            Recorded::of("api/v1/namespaces/customer/services", false, "a".to_owned(), &mut object);
        assert_eq!(
            recorded.body,
            r#"{"metadata":{"name":"a","ownerReferences":[{"uid":"3"}]},"spec":{"ports":[]}}"#
        );
        assert_eq!((recorded.uid.as_str(), recorded.status), ("1", None));
    }

    #[test]
    fn watches_begin_now_and_kinds_are_in_our_namespace() {
        assert_eq!(
            without_version("/api/v1/x?watch=true&resourceVersion=7&labelSelector=a"),
            "/api/v1/x?watch=true&labelSelector=a"
        );
        let elsewhere = |(kind, _): &(&str, bool)| {
            kind.contains("/namespaces/") && !kind.contains(&format!("/namespaces/{NAMESPACE}/"))
        };
        assert!(!KINDS.iter().any(elsewhere));
    }
}
