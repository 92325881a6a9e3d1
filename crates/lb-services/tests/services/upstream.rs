//! Clients and the configstore before servers that answer nonsense: a fake at the process border.

use std::sync::Arc;

use lb_http::contract::configstore::Configstore;
use lb_http::contract::git_api::{GitApi, TreeRequest};
use lb_http::contract::{ClientError, Timeouts, TokenSource};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::world::{World, repo, user};

/// A server that answers these bytes to everything, and closes.
async fn server(answer: impl Into<Vec<u8>>) -> url::Url {
    let answer = Arc::new(answer.into());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(&answer).await;
            });
        }
    });
    url
}

fn http(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len())
}

fn git(url: &url::Url) -> GitApi {
    GitApi::new(url.clone(), TokenSource::none(), Timeouts::default()).unwrap()
}

fn configstore(url: &url::Url) -> Configstore {
    Configstore::new(url.clone(), TokenSource::none(), Timeouts::default()).unwrap()
}

const ENVELOPE: &str =
    r#"{"error":{"statusCode":404,"name":"NotFound","code":"ROUTE_NOT_FOUND","message":"m"}}"#;

/// Answers none of which says anything about users, repositories or files.
fn nonsense() -> Vec<(&'static str, String)> {
    let half = r#"{"users":[{"login":"customer-al","repos":["#;
    vec![
        ("html", http("200 OK", "content-type: text/html\r\n", "<html>It works!</html>")),
        ("an empty array", http("200 OK", "", "[]")),
        ("an empty object", http("200 OK", "", "{}")),
        ("null", http("200 OK", "", "null")),
        ("nothing", http("200 OK", "", "")),
        ("no content", "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".into()),
        ("half a body", format!("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{half}")),
        ("half a chunk", format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\n{half}")),
        ("half, but whole in HTTP", http("200 OK", "", half)),
        (
            "wrong types",
            http("200 OK", "", r#"{"users":{},"repos":{},"user":[],"commit":7,"files":{},"total":"0"}"#),
        ),
        ("a proxy's 404", http("404 Not Found", "content-type: text/html\r\n", "<html>nginx</html>")),
        ("another route's 404", http("404 Not Found", "", ENVELOPE)),
        (
            "a 404 that says 500",
            http("404 Not Found", "", &ENVELOPE.replace("404", "500").replace("ROUTE", "USER")),
        ),
        ("a redirect", http("302 Found", "location: http://127.0.0.1:1/\r\n", "")),
        ("a 500", http("500 Internal Server Error", "", "oops")),
        ("not HTTP", "SSH-2.0-OpenSSH_9.2\r\n".into()),
        ("a closed connection", String::new()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_never_an_empty_good_answer() {
    let tree = TreeRequest { reference: "refs/heads/master".into(), globs: vec!["*".into()], max_bytes: 1 };
    for (what, bytes) in nonsense() {
        let url = server(bytes).await;
        let (git, configstore) = (git(&url), configstore(&url));
        let (al, dev) = (user("al"), repo("dev"));
        assert!(git.users(&"customer".parse().unwrap()).await.is_err(), "users: {what}");
        assert!(git.user(&al).await.is_err(), "user: {what}");
        assert!(git.repositories(&al).await.is_err(), "repositories: {what}");
        assert!(git.tree(&al, &dev, &tree).await.is_err(), "tree: {what}");
        assert!(git.history(&al, &dev, "refs/heads/master", "", 1).await.is_err(), "history: {what}");
        assert!(git.changes(None).await.is_err(), "changes: {what}");
        assert!(git.change_stream(None).await.is_err(), "stream: {what}");
        assert!(git.keys(&al).await.is_err(), "keys: {what}");
        assert!(configstore.producers().await.is_err(), "producers: {what}");
        assert!(configstore.producer(&"al".parse().unwrap()).await.is_err(), "producer: {what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_lost_entries_on_their_way_are_noticed() {
    let one = r#"{"id":1,"login":"customer-al","name":"al","namespace":"customer","repos":[]}"#;
    let url = server(http("200 OK", "x-total-count: 2\r\n", &format!("[{one}]"))).await;
    assert!(matches!(configstore(&url).producers().await, Err(ClientError::Malformed { .. })));
    let url = server(http("200 OK", "x-total-count: 1\r\n", &format!("[{one}]"))).await;
    assert_eq!(configstore(&url).producers().await.unwrap()[0].name, "al");
    let url = server(http("200 OK", "", &format!("[{one}]"))).await;
    assert!(matches!(configstore(&url).producers().await, Err(ClientError::Malformed { .. })));
    let url = server(http("200 OK", "", &format!(r#"{{"users":[{one}],"total":2}}"#))).await;
    assert!(matches!(
        git(&url).users(&"customer".parse().unwrap()).await,
        Err(ClientError::Malformed { .. })
    ));
    let bob = r#"{"id":"bob","envs":{},"user":{"login":"customer-bob"},"repos":[]}"#;
    let url = server(http("200 OK", "", bob)).await;
    assert!(matches!(
        configstore(&url).producer(&"al".parse().unwrap()).await,
        Err(ClientError::Malformed { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_an_end_are_cut_off() {
    let url = server("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n{".to_owned()).await;
    assert!(matches!(git(&url).users(&"customer".parse().unwrap()).await, Err(ClientError::TooLarge { .. })));
    let body = format!(r#"{{"user":{{"login":"{}"}}}}"#, "x".repeat(2 << 20));
    let url = server(http("200 OK", "", &body)).await;
    assert!(matches!(git(&url).user(&user("al")).await, Err(ClientError::TooLarge { limit: 1_048_576, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configstore_before_nonsense_answers_502_or_503() {
    for (what, bytes) in nonsense() {
        let url = server(bytes).await;
        let world = World::with(&[("GIT_API_URL", url.as_str())]).await;
        let al = "al".parse().unwrap();
        let errors = [
            world.configstore().producers().await.err(),
            world.configstore().producer(&al).await.err(),
            world.configstore().create(&al).await.err(),
        ];
        for error in errors {
            assert!(
                matches!(error, Some(ClientError::Refused { status: 502 | 503, .. })),
                "{what}: {error:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_cannot_lead_to_another_path() {
    let url = server(http("200 OK", "", r#"{"user":{"login":"customer-al"}}"#)).await;
    for name in ["..", ".", ""] {
        assert!(git(&url).user(&user(name)).await.is_err(), "{name:?}");
    }
}
