//! A proxy at the border of a process, which can make what is behind it fail or lie.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// What the proxy does to answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// 503 without a word.
    Down,
    /// A page of some other server, with status 200.
    Html,
    /// The first half of the body.
    Half,
    /// `[]` instead of every body.
    Empty,
    /// Lists lack their last entry.
    OneLess,
    /// Commit statuses are taken and never answered.
    NoStatus,
}

const FAULTS: [Fault; 7] =
    [Fault::None, Fault::Down, Fault::Html, Fault::Half, Fault::Empty, Fault::OneLess, Fault::NoStatus];

/// A running proxy.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) url: String,
    fault: Arc<AtomicU8>,
    seen: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
struct Behind {
    target: String,
    client: reqwest::Client,
    fault: Arc<AtomicU8>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// A proxy of this service, on a runtime of its own: it outlives the test that started it.
    pub(crate) fn start(target: &str) -> Self {
        let fault = Arc::new(AtomicU8::new(Fault::None as u8));
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let behind = Behind {
            target: target.to_owned(),
            client: reqwest::Client::new(),
            fault: fault.clone(),
            seen: seen.clone(),
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a listener for tokio");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                let app = Router::new().fallback(forward).with_state(behind);
                axum::serve(listener, app).await.expect("serve");
            });
        });
        Self { url, fault, seen }
    }

    /// Method and path of every request so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no panic while it was held").clone()
    }

    /// From now on answers are like this.
    pub(crate) fn set(&self, fault: Fault) {
        self.fault.store(fault as u8, Ordering::SeqCst);
    }
}

async fn forward(State(behind): State<Behind>, request: Request) -> Response {
    let line = format!("{} {}", request.method(), request.uri().path());
    behind.seen.lock().expect("no panic while it was held").push(line);
    let fault = FAULTS[usize::from(behind.fault.load(Ordering::SeqCst))];
    match fault {
        Fault::Down => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Fault::Html => {
            return ([(header::CONTENT_TYPE, "text/html")], "<html>It works!</html>").into_response();
        }
        Fault::Empty => return ([(header::CONTENT_TYPE, "application/json")], "[]").into_response(),
        Fault::NoStatus if request.uri().path().contains("/statuses/") => {
            return std::future::pending().await;
        }
        Fault::None | Fault::Half | Fault::OneLess | Fault::NoStatus => {}
    }
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let sent = behind.client.request(parts.method, format!("{}{path}", behind.target)).headers(parts.headers);
    let Ok(answer) = sent.body(reqwest::Body::wrap_stream(body.into_data_stream())).send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    if matches!(fault, Fault::None | Fault::NoStatus) || is_stream(&headers) {
        return (status, headers, Body::from_stream(answer.bytes_stream())).into_response();
    }
    let body = answer.bytes().await.unwrap_or_default();
    headers.remove(header::CONTENT_LENGTH);
    let body = if fault == Fault::Half { body.slice(..body.len() / 2) } else { one_less(&body) };
    (status, headers, body).into_response()
}

fn is_stream(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

fn one_less(body: &Bytes) -> Bytes {
    match serde_json::from_slice(body) {
        Ok(Value::Array(mut list)) => {
            list.pop();
            Value::Array(list).to_string().into()
        }
        _ => body.clone(),
    }
}
