//! A small HTTP server before a host: what git-api will be, without its rules.

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::{FutureExt, StreamExt};
use lb_git::embedded::{Embedded, Settings};
use lb_git::{Advertisement, GitHost, HostError, Login, RefUpdate, Rpc, Service};
use lb_testkit::clock::ManualClock;
use lb_testkit::git::{Clone, Git};
use lb_vocab::{GitUser, Prefix, RepoName, Secret};
use tempfile::TempDir;
use tower_http::decompression::RequestDecompressionLayer;

/// What a push is told.
pub(crate) type Remarks = Arc<dyn Fn(&[RefUpdate]) -> Vec<String> + Send + Sync>;

/// A host, its server, and its directory.
pub(crate) struct Server {
    pub(crate) host: Embedded,
    pub(crate) clock: ManualClock,
    pub(crate) directory: TempDir,
    base: String,
}

#[derive(Clone)]
struct Shared {
    host: Arc<dyn GitHost>,
    prefix: Prefix,
    remarks: Remarks,
}

/// Serves a host on a port of its own; answers the base URL.
pub(crate) async fn listen(host: Arc<dyn GitHost>, prefix: Prefix, remarks: Remarks) -> String {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(serve).layer(RequestDecompressionLayer::new()).with_state(Shared {
        host,
        prefix,
        remarks,
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    base
}

pub(crate) fn user(name: &str) -> GitUser {
    GitUser { prefix: "customer".parse().unwrap(), name: name.to_owned() }
}

pub(crate) fn login(name: &str) -> Login {
    format!("customer-{name}").parse().unwrap()
}

pub(crate) fn repo(name: &str) -> RepoName {
    name.parse().unwrap()
}

impl Server {
    /// With `customer-al` and its repository `dev`.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}, |_| Vec::new()).await
    }

    /// The same with other settings and remarks.
    pub(crate) async fn with(
        change: impl FnOnce(&mut Settings),
        remarks: impl Fn(&[RefUpdate]) -> Vec<String> + Send + Sync + 'static,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(directory.path());
        change(&mut settings);
        let clock = ManualClock::default();
        let host = Embedded::open(settings, clock.clock()).await.unwrap();
        host.create_user(&user("al")).await.unwrap();
        host.ensure_repository(&user("al"), &repo("dev")).await.unwrap();
        let base = listen(Arc::new(host.clone()), "customer".parse().unwrap(), Arc::new(remarks)).await;
        Self { host, clock, directory, base }
    }

    /// Address of a repository.
    pub(crate) fn url(&self, user: &str, repo: &str) -> String {
        format!("{}/customer-{user}/{repo}.git", self.base)
    }

    /// A client that is this user.
    pub(crate) async fn git(&self, name: &str) -> Git {
        let (_, token) = self.host.create_token(&login(name), "test").await.unwrap();
        Git::new().with_token(&format!("customer-{name}"), token.reveal())
    }

    /// A working tree of a new history whose origin is al's `dev`.
    pub(crate) async fn al(&self) -> Clone {
        self.git("al").await.init(&self.url("al", "dev")).await
    }

    /// The same host in a process of tomorrow.
    pub(crate) async fn reopen(self) -> (Embedded, TempDir) {
        let Self { host, clock, directory, .. } = self;
        host.close().await;
        // The server's task ends with its runtime; its clone of the host is still there, so copy the directory.
        let copy = tempfile::tempdir().unwrap();
        copy_all(directory.path(), copy.path());
        (Embedded::open(Settings::new(copy.path()), clock.clock()).await.unwrap(), copy)
    }
}

pub(crate) fn copy_all(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[derive(serde::Deserialize)]
struct Asked {
    service: Option<String>,
}

async fn serve(State(shared): State<Shared>, Query(asked): Query<Asked>, request: Request) -> Response {
    answer(shared, asked, request).await.unwrap_or_else(|status| {
        (status, [("www-authenticate", "Basic realm=\"git\"")], status.to_string()).into_response()
    })
}

async fn answer(shared: Shared, asked: Asked, request: Request) -> Result<Response, StatusCode> {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let (owner, rest) = path.split_once('/').ok_or(StatusCode::NOT_FOUND)?;
    let (name, action) = rest.split_once(".git/").ok_or(StatusCode::NOT_FOUND)?;
    let user = GitUser::from_login(&shared.prefix, owner).ok_or(StatusCode::NOT_FOUND)?;
    let name: RepoName = name.parse().map_err(|_| StatusCode::NOT_FOUND)?;
    let service = asked.service.as_deref().unwrap_or(action);
    let service: Service = service.parse().map_err(|_| StatusCode::FORBIDDEN)?;
    let actor = who(&*shared.host, request.headers()).await.ok_or(StatusCode::UNAUTHORIZED)?;
    let granted = shared.host.permission(&actor, &user, &name).await.unwrap();
    if granted < Some(service.needs()) {
        return Err(StatusCode::FORBIDDEN);
    }
    let protocol =
        request.headers().get("git-protocol").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = if action == "info/refs" {
        shared.host.advertise(&user, &name, Advertisement { service, protocol }).await
    } else {
        let remarks = Arc::clone(&shared.remarks);
        let body =
            request.into_body().into_data_stream().map(|part| part.map_err(std::io::Error::other)).boxed();
        let on_received = Box::new(move |moved: Vec<RefUpdate>| async move { remarks(&moved) }.boxed());
        shared
            .host
            .rpc(
                &user,
                &name,
                Rpc { service, actor: Some(actor), protocol, body, on_received: Some(on_received) },
            )
            .await
    };
    let kind = if action == "info/refs" { "advertisement" } else { "result" };
    let kind = format!("application/x-{}-{kind}", service.as_str());
    match body {
        Ok(body) => Ok(([("content-type", kind)], Body::from_stream(body)).into_response()),
        Err(HostError::TooLarge { .. }) => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(HostError::Refused { .. }) => Err(StatusCode::UNPROCESSABLE_ENTITY),
        Err(HostError::NotFound { .. }) => Err(StatusCode::NOT_FOUND),
        Err(other) => panic!("{other}"),
    }
}

async fn who(host: &dyn GitHost, headers: &HeaderMap) -> Option<Login> {
    use base64::Engine;
    let shown = headers.get("authorization")?.to_str().ok()?;
    // A working copy shows a token alone: here its user's name stands before it.
    let text = match shown.strip_prefix("Bearer ") {
        Some(token) => token.to_owned(),
        None => {
            let basic = shown.strip_prefix("Basic ")?;
            String::from_utf8(base64::engine::general_purpose::STANDARD.decode(basic).ok()?).ok()?
        }
    };
    let (login, password) = text.split_once(':')?;
    let login: Login = login.parse().ok()?;
    let known = host.authenticate(&login, &Secret::new(password.to_owned())).await.ok()?.is_some();
    known.then_some(login)
}
