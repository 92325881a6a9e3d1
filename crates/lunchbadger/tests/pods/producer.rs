//! A producer, and what is asked of its workspace: through the Ingress, as its owner.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use lb_testkit::eventually_within;
use lb_testkit::git::{Clone, Git};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{NAMESPACE, World};

/// Hosts are names in this domain.
const DOMAIN: &str = "lunchbadger.io";
/// A pod takes seconds to start, and longer on a busy machine.
pub(crate) const START: Duration = Duration::from_secs(120);

/// A producer in environment `dev`.
pub(crate) struct Producer {
    pub(crate) world: Arc<World>,
    pub(crate) name: String,
    git: Git,
    /// Login and personal token of its git user.
    owner: (String, String),
}

impl Producer {
    /// Makes it.
    pub(crate) async fn create(world: Arc<World>, name: String) -> Self {
        world.run(&["producers", "create", &name]).await;
        let token = world.run(&["producers", "token", &name]).await;
        let token = token.split_whitespace().last().expect("a token").to_owned();
        let login = format!("customer-{name}");
        let git = Git::new().with_token(&login, &token);
        Self { world, name, git, owner: (login, token) }
    }

    /// A clone of `dev` by its owner.
    pub(crate) async fn clone_of_dev(&self) -> Clone {
        self.git.clone_of(&self.url("dev")).await
    }

    fn url(&self, repository: &str) -> String {
        format!("http://{}/{}/{repository}.git", self.world.git_api, self.owner.0)
    }

    /// A token for the producer's own APIs, as its owner signs in for one.
    pub(crate) async fn token(&self) -> String {
        let url = format!("http://{}/login/token", self.world.git_api);
        let request = self.world.http.post(url).basic_auth(&self.owner.0, Some(&self.owner.1));
        let answer = request.json(&json!({"audience": format!("{}-dev", self.name)})).send().await;
        let body: Value = answer.expect("ask for a token").json().await.expect("JSON");
        body["token"].as_str().unwrap_or_else(|| panic!("no token: {body}")).to_owned()
    }

    /// The host of the app.
    pub(crate) fn host(&self) -> String {
        format!("{}-dev.{DOMAIN}", self.name)
    }

    /// A request to the app, at its public host.
    pub(crate) async fn app(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(u16, Value), String> {
        self.ask(self.request(method, &self.host(), path), body).await
    }

    /// A request to one of the workspace's APIs, at its internal host and with the owner's token.
    pub(crate) async fn api(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(u16, Value), String> {
        let host = format!("internal-{}", self.host());
        self.ask(self.request(method, &host, path).bearer_auth(self.token().await), body).await
    }

    /// As [`Self::api`], for what must succeed.
    pub(crate) async fn done(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.api(method, path, body).await.expect("reach the workspace");
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    /// A request to this host through the Ingress.
    pub(crate) fn request(&self, method: Method, host: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("http://{}{path}", self.world.ingress);
        self.world.http.request(method, url).header("host", host).timeout(Duration::from_secs(10))
    }

    async fn ask(
        &self,
        request: reqwest::RequestBuilder,
        body: Option<Value>,
    ) -> Result<(u16, Value), String> {
        let request = match &body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// Waits until the app answers `GET path` at its public host with 200, and returns what.
    pub(crate) async fn app_answers(&self, path: &str) -> Value {
        eventually_within(&format!("{} answers {path}", self.host()), START, || async {
            match self.app(Method::GET, path, None).await? {
                (200, body) => Ok(body),
                other => Err(format!("{other:?}; its status: {:?}", self.status().await)),
            }
        })
        .await
    }

    /// The workspace's status.
    pub(crate) async fn status(&self) -> Result<Value, String> {
        let (status, body) = self.api(Method::GET, "/project-api/api/WorkspaceStatus/1", None).await?;
        if status == 200 { Ok(body) } else { Err(format!("{status} {body}")) }
    }

    /// The workspace's pod, where there is one that serves.
    pub(crate) async fn pod(&self) -> Pod {
        eventually_within(&format!("{} has one ready workspace", self.name), START, || async {
            let pods = self.pods("workspace").await;
            let count = pods.len();
            let staying = pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
            let mut ready = staying.filter(|pod| is(pod, "Ready"));
            ready.next().ok_or_else(|| format!("none of {count} is"))
        })
        .await
    }

    /// The pods of a component of it.
    pub(crate) async fn pods(&self, app: &str) -> Vec<Pod> {
        let pods: Api<Pod> = Api::namespaced(self.world.client().await, NAMESPACE);
        let of = ListParams::default().labels(&format!("producer={},app={app}", self.name));
        pods.list(&of).await.expect("list pods").items
    }
}

/// Whether a condition of a pod is true.
pub(crate) fn is(pod: &Pod, condition: &str) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|is| is.type_ == condition && is.status == "True")
}
