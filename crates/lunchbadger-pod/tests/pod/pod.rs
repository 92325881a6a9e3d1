//! al's workspace as a pod runs it: the API container and the app's container, each a process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lb_testkit::process::Supervised;
use lb_testkit::{eventually_within, free_port, skip};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use crate::world::{OPERATOR, World, program};

/// LoopBack takes seconds to start, and more of them beside other tests.
pub(crate) const SLOW: Duration = Duration::from_secs(180);

/// A workspace, until it is dropped.
pub(crate) struct Pod {
    pub(crate) world: World,
    pub(crate) http: reqwest::Client,
    pub(crate) directory: PathBuf,
    /// Ports of the Project API, the Workspace API, the supervisor's channel and the app.
    pub(crate) ports: [u16; 4],
    variables: [BTreeMap<String, String>; 2],
    pub(crate) api: Option<Supervised>,
    pub(crate) app: Option<Supervised>,
}

impl Drop for Pod {
    fn drop(&mut self) {
        // In a container everything ends with the supervisor; here it has to do that itself.
        if let Some(app) = &mut self.app {
            block_in_place(|| Handle::current().block_on(app.end()));
        }
    }
}

impl Pod {
    /// Starts both containers; `None` where LoopBack is not installed.
    pub(crate) async fn start() -> Option<Self> {
        let dependencies = skip::needs_loopback()?;
        let world = World::new().await;
        Some(Self::of(world, &dependencies).await)
    }

    async fn of(world: World, dependencies: &Path) -> Self {
        let ports = [free_port(), free_port(), free_port(), free_port()];
        let [project, workspace, supervisor, app] = ports;
        let mut api = world.variables(project);
        api.insert("LB_PUSH_INTERVAL".into(), "50".into());
        api.insert("WORKSPACE_API_LISTEN".into(), format!("127.0.0.1:{workspace}"));
        api.insert("SUPERVISOR_LISTEN".into(), format!("127.0.0.1:{supervisor}"));
        api.insert("APP_ADDRESS".into(), format!("127.0.0.1:{app}"));
        let directory = world.directory.path().join("app");
        let home = world.directory.path().join("home");
        for made in [&directory, &home] {
            std::fs::create_dir(made).unwrap();
        }
        let beside = [
            ("LB_PRODUCER", "al".to_owned()),
            ("LB_ENV", "dev".to_owned()),
            ("PORT", app.to_string()),
            ("SUPERVISOR_URL", format!("http://127.0.0.1:{supervisor}")),
            ("APP_DIR", directory.display().to_string()),
            ("APP_HOME", home.display().to_string()),
            ("APP_DEPENDENCIES", dependencies.display().to_string()),
            ("APP_RESERVED_PORTS", format!("{project},{workspace},{supervisor}")),
        ];
        let beside = beside.map(|(name, value)| (name.to_owned(), value)).into();
        let http = lb_testkit::http_client().unwrap();
        let variables = [api, beside];
        let mut pod = Self { world, http, directory, ports, variables, api: None, app: None };
        pod.start_api();
        pod.start_app();
        pod
    }

    pub(crate) fn start_api(&mut self) {
        let log = self.log("api");
        self.api = Some(Supervised::start(program(), ["workspace"], &self.variables[0], &log).unwrap());
    }

    pub(crate) fn start_app(&mut self) {
        let log = self.log("app");
        self.app = Some(Supervised::start(program(), ["app"], &self.variables[1], &log).unwrap());
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.world.directory.path().join(format!("{name}.log"))
    }

    fn request(&self, method: &str, port: u16, path: &str) -> reqwest::RequestBuilder {
        let url = format!("http://127.0.0.1:{port}{path}");
        self.http.request(method.parse().unwrap(), url).bearer_auth(OPERATOR)
    }

    /// A request to the Project API.
    pub(crate) fn project(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.request(method, self.ports[0], &format!("/project-api/api/{path}"))
    }

    /// A request to the Workspace API.
    pub(crate) fn workspace(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.request(method, self.ports[1], &format!("/workspace-api/{path}"))
    }

    /// The status, once it is good.
    pub(crate) async fn status(&self, what: &str, good: impl Fn(&Value) -> bool) -> Value {
        eventually_within(what, SLOW, || async {
            let answer = self.project("GET", "WorkspaceStatus/1").send().await.map_err(|e| e.to_string())?;
            let status: Value = answer.json().await.map_err(|e| e.to_string())?;
            if good(&status) { Ok(status) } else { Err(format!("{status}\n{}", self.tails())) }
        })
        .await
    }

    fn tails(&self) -> String {
        let tail = |pod: &Option<Supervised>| pod.as_ref().map(Supervised::log_tail).unwrap_or_default();
        format!("api: {}\napp: {}", tail(&self.api), tail(&self.app))
    }

    /// The status, once the app crashed with a text in its output.
    pub(crate) async fn crashed(&self, text: &str) -> String {
        let crashed = |status: &Value| {
            status["status"] == "crashed" && status["output"].as_str().unwrap_or_default().contains(text)
        };
        let status = self.status(&format!("it crashed with {text:?}"), crashed).await;
        status["output"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn running(&self) {
        self.status("it runs", |status| status["status"] == "running").await;
    }

    /// Writes files through the Project API.
    pub(crate) async fn write(&self, files: Value) {
        let put = self.project("PUT", "WorkspaceFiles/files").json(&serde_json::json!({"files": files}));
        let answer = put.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }

    /// What the app answers, once it is good.
    pub(crate) async fn app(&self, path: &str, good: impl Fn(u16, &str) -> bool) -> String {
        let url = format!("http://127.0.0.1:{}{path}", self.ports[3]);
        eventually_within(&format!("the app answers {path}"), SLOW, || async {
            let answer = self.http.get(&url).send().await.map_err(|error| error.to_string())?;
            let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap_or_default());
            if good(status, &text) { Ok(text) } else { Err(format!("{status} {text}\n{}", self.tails())) }
        })
        .await
    }
}
