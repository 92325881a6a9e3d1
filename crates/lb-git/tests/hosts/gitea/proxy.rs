//! A proxy before a real Gitea that does with each request what the test says: it passes it on, answers in Gitea's
//! place, changes the answer, cuts the connection or is silent.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use futures::StreamExt;
use url::Url;

/// What becomes of one request.
pub(crate) enum Act {
    /// Gitea answers.
    Pass,
    /// This is answered: status, a header, body.
    Answer(u16, Option<(&'static str, &'static str)>, &'static str),
    /// Gitea answers, with other headers.
    Edit(Edit),
    /// The connection ends without an answer.
    Cut,
    /// The connection ends in the middle of Gitea's answer.
    Half,
    /// Nothing comes.
    Hang,
}

/// What happens to an answer's headers.
type Edit = Box<dyn FnOnce(&mut HeaderMap) + Send>;

/// Decides by a request's path with its query.
pub(crate) type Rule = Arc<dyn Fn(&str) -> Act + Send + Sync>;

/// A running proxy; it ends with the runtime.
#[derive(Clone)]
pub(crate) struct Proxy(Arc<Shared>);

struct Shared {
    url: Url,
    target: String,
    http: reqwest::Client,
    rule: Mutex<Rule>,
    asked: Mutex<Vec<String>>,
    /// Entries of one page at most, where not as many as are asked for.
    page: Option<fn(&str) -> usize>,
}

impl Proxy {
    /// Passes everything on.
    pub(crate) async fn before(target: &str) -> Self {
        Self::paging(target, None).await
    }

    /// The same with smaller pages: of what is asked for at a path there are only so many entries on each.
    pub(crate) async fn paging(target: &str, page: Option<fn(&str) -> usize>) -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]);
        let http = http.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let (rule, asked) = (Mutex::new(pass()), Mutex::default());
        let proxy = Self(Arc::new(Shared { url, target: target.to_owned(), http, rule, asked, page }));
        let router = Router::new().fallback(serve).with_state(proxy.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        proxy
    }

    pub(crate) fn url(&self) -> Url {
        self.0.url.clone()
    }

    /// From now on.
    pub(crate) fn does(&self, rule: impl Fn(&str) -> Act + Send + Sync + 'static) {
        *self.0.rule.lock().unwrap() = Arc::new(rule);
    }

    /// Passes everything on again.
    pub(crate) fn heal(&self) {
        *self.0.rule.lock().unwrap() = pass();
    }

    /// What was asked since this was called last.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.asked.lock().unwrap())
    }
}

fn pass() -> Rule {
    Arc::new(|_| Act::Pass)
}

async fn serve(State(Proxy(shared)): State<Proxy>, request: Request) -> Response {
    let path = request.uri().path_and_query().unwrap().to_string();
    shared.asked.lock().unwrap().push(path.clone());
    let rule = Arc::clone(&shared.rule.lock().unwrap());
    let broken = || futures::stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut")) });
    match rule(&path) {
        Act::Answer(status, header, body) => {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            if let Some((name, value)) = header {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
        Act::Cut => Response::new(Body::from_stream(broken())),
        Act::Hang => std::future::pending().await,
        Act::Pass => {
            let (head, body) = ask(&shared, &path, request).await;
            Response::from_parts(head, Body::from_stream(body.bytes_stream()))
        }
        Act::Edit(edit) => {
            let (mut head, body) = ask(&shared, &path, request).await;
            edit(&mut head.headers);
            Response::from_parts(head, Body::from_stream(body.bytes_stream()))
        }
        Act::Half => {
            let (head, body) = ask(&shared, &path, request).await;
            let whole = body.bytes().await.unwrap();
            let half = futures::stream::iter([Ok(whole.slice(..whole.len() / 2))]);
            Response::from_parts(head, Body::from_stream(half.chain(broken())))
        }
    }
}

/// Gitea's answer; 502 where it has none.
async fn ask(
    shared: &Shared,
    path: &str,
    request: Request,
) -> (axum::http::response::Parts, reqwest::Response) {
    let path = match shared.page {
        Some(page) => path.replace("limit=50", &format!("limit={}", page(path))),
        None => path.to_owned(),
    };
    let (head, body) = request.into_parts();
    let mut headers = head.headers;
    for name in [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING] {
        headers.remove(name);
    }
    let request = shared.http.request(head.method, format!("{}{path}", shared.target)).headers(headers);
    let answer = request.body(reqwest::Body::wrap_stream(body.into_data_stream())).send().await.unwrap();
    let (mut parts, ()) = Response::new(()).into_parts();
    (parts.status, parts.headers) = (answer.status(), answer.headers().clone());
    parts.headers.remove(header::TRANSFER_ENCODING);
    parts.headers.remove(header::CONNECTION);
    (parts, answer)
}
