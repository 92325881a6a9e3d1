//! What holds for every answer: CORS, limits, envelopes, shutdown.

use futures::StreamExt;
use lb_testkit::eventually;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{World, answer};

const ORIGIN: &str = "https://ui.example.com";

#[tokio::test(flavor = "multi_thread")]
async fn cors_holds_for_preflights_answers_errors_and_streams() {
    let world = World::populated().await;
    for (address, path) in [
        (world.git_api, "/changes"),
        (world.configstore, "/change-stream/al"),
        (world.configstore, "/producers/al"),
    ] {
        let preflight = world
            .http
            .request("OPTIONS".parse().unwrap(), format!("http://{address}{path}"))
            .header("origin", ORIGIN)
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization,content-type")
            .send()
            .await
            .unwrap();
        assert_eq!(preflight.status(), 200, "{path}");
        assert_eq!(preflight.headers()["access-control-allow-origin"], ORIGIN);
        assert_eq!(preflight.headers()["access-control-allow-credentials"], "true");
        let headers = preflight.headers()["access-control-allow-headers"].to_str().unwrap();
        assert!(headers.contains("authorization") && headers.contains("content-type"), "{headers}");
    }
    let with_origin =
        |path: &str, origin: &str| world.request("system", "GET", path).header("origin", origin).send();
    for (path, status) in [("/changes", 200), ("/users/customer/none", 404), ("/no/route/has/this/path", 404)]
    {
        let response = with_origin(path, ORIGIN).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers()["access-control-allow-origin"], ORIGIN, "{path}");
    }
    let refused = world
        .http
        .get(format!("http://{}/changes", world.git_api))
        .header("origin", ORIGIN)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (refused.status().as_u16(), refused.headers()["access-control-allow-origin"].to_str().unwrap()),
        (401, ORIGIN)
    );
    let foreign = with_origin("/changes", "https://evil.example.com").await.unwrap();
    assert!(!foreign.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_is_in_the_envelope() {
    let world = World::populated().await;
    let post = |path: &str, body: Vec<u8>| world.request("operator", "POST", path).body(body);
    for (request, status, code) in [
        (world.request("operator", "GET", "/nothing"), 404, "ROUTE_NOT_FOUND"),
        (world.request("operator", "PATCH", "/users"), 405, "METHOD_NOT_ALLOWED"),
        (post("/users", b"not json".to_vec()), 400, "BAD_REQUEST"),
        (post("/users", b"[]".to_vec()), 400, "BAD_REQUEST"),
        (post("/users", br#"{"name":"x","prefix":"../x"}"#.to_vec()), 400, "BAD_REQUEST"),
        (post("/users", vec![b' '; (1 << 20) + 1]), 413, "BODY_TOO_LARGE"),
        (world.request("operator", "GET", "/history/customer/al/dev?limit=x"), 400, "BAD_REQUEST"),
        (world.request("operator", "GET", "/history/customer/al/dev"), 404, "COMMIT_NOT_FOUND"),
        (world.http.get(format!("http://{}/users", world.git_api)), 405, "METHOD_NOT_ALLOWED"),
    ] {
        let (got, body) = answer(request).await;
        assert_eq!((got, body["error"]["code"].as_str()), (status, Some(code)), "{body}");
        assert_eq!(body["error"]["statusCode"], json!(status));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics() {
    let world = World::populated().await;
    let text = world.request("operator", "GET", "/ping").send().await.unwrap().text().await.unwrap();
    assert_eq!(text, "pong");
    for method in ["AAAA1", "AAAA2"] {
        let request = world.http.request(method.parse().unwrap(), format!("http://{}/ping", world.git_api));
        assert_eq!(request.send().await.unwrap().status(), 405);
    }
    let response = world.request("operator", "GET", "/metrics").send().await.unwrap();
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    let text = response.text().await.unwrap();
    assert!(
        text.contains(r#"lunchbadger_http_requests_total{method="GET",route="/ping",status="200"} 1"#),
        "{text}"
    );
    assert!(!text.contains("customer-al"), "paths with names would be endless: {text}");
    assert!(
        text.contains(r#"lunchbadger_http_requests_total{method="other",route="/ping",status="405"} 2"#)
            && !text.contains("AAAA"),
        "methods that anybody invents would be endless: {text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn at_shutdown_streams_end_and_nothing_new_is_accepted() {
    let world = World::populated().await;
    let mut stream = world.git("system").change_stream(None).await.unwrap();
    stream.next().await.unwrap().unwrap();
    world.shutdown.cancel();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), async {
        while stream.next().await.is_some() {}
    });
    ended.await.expect("the stream ends");
    eventually("nothing is accepted any more", || async {
        match TcpStream::connect(world.git_api).await {
            Err(_) => Ok(()),
            Ok(_) => Err("accepted"),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_is_cut_off_without_a_thread_waiting_for_it() {
    let world = World::populated().await;
    // Half a request head on many connections: others are answered meanwhile.
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(world.git_api).await.unwrap();
        stream.write_all(b"GET /ping HTTP/1.1\r\nhost: x\r\n").await.unwrap();
        slow.push(stream);
    }
    assert_eq!(world.get("/ping").await.0, 200);
    // And it is answered when the rest comes.
    let mut stream = slow.pop().unwrap();
    stream.write_all(b"connection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("pong"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_authentication_everybody_is_the_operator() {
    let world = World::with(&[("AUTH_MODE", "none")]).await;
    let response = world.http.get(format!("http://{}/changes", world.git_api)).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(world.configstore().producers().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_too_many_requests_is_sent_away_and_the_platform_is_not() {
    let world = World::with(&[("GIT_API_USER_RATE_LIMIT", "1")]).await;
    for name in ["al", "bob"] {
        world.configstore().create(&name.parse().unwrap()).await.unwrap();
    }
    // A push whose body does not end holds al's only place.
    let (body, held) = tokio::io::duplex(64);
    let push = world
        .request("owner", "POST", "/customer-al/dev.git/git-receive-pack")
        .header("content-type", "application/x-git-receive-pack-request")
        .body(reqwest::Body::wrap_stream(tokio_util::io::ReaderStream::new(body)));
    let push = tokio::spawn(push.send());
    eventually("the push is being received", || async {
        // The place is taken as soon as another request has to wait for it.
        let request = world
            .request("owner", "GET", "/users/customer/al")
            .timeout(std::time::Duration::from_millis(200));
        match request.send().await {
            Err(error) if error.is_timeout() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let waiting = world.request("owner", "GET", "/users/customer/al").send();
    let (waiting, others, platform) = tokio::join!(
        waiting,
        world.request("other", "GET", "/users/customer/bob").send(),
        world.request("system", "GET", "/users/customer/al").send(),
    );
    let waiting = waiting.unwrap();
    assert_eq!(waiting.status(), 503);
    assert_eq!(waiting.headers()["retry-after"], "5");
    assert_eq!(
        (others.unwrap().status(), platform.unwrap().status()),
        (reqwest::StatusCode::OK, reqwest::StatusCode::OK)
    );
    drop(held);
    let _ = push.await;
    eventually("the place is free again", || async {
        let status = world.request("owner", "GET", "/users/customer/al").send().await.unwrap().status();
        if status == 200 { Ok(()) } else { Err(format!("{status}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_answered_at_shutdown_is_finished() {
    let world = World::populated().await;
    let mut stream = TcpStream::connect(world.git_api).await.unwrap();
    let token = crate::world::token("owner");
    let head = format!(
        "POST /customer-al/dev.git/git-receive-pack HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/x-git-receive-pack-request\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n",
        token.reveal()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut hundred = [0; 25];
    stream.read_exact(&mut hundred).await.unwrap();
    assert!(hundred.starts_with(b"HTTP/1.1 100 Continue"), "the body is being read");
    world.shutdown.cancel();
    eventually("nothing new is accepted", || async {
        TcpStream::connect(world.git_api).await.map_or(Ok(()), |_| Err("accepted"))
    })
    .await;
    stream.write_all(b"4\r\n0000\r\n0\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
}
