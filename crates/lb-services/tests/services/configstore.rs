//! The configstore over a real git-api.

use hmac::{Hmac, Mac};
use lb_http::contract::configstore::Configstore;
use lb_http::contract::{ClientError, Timeouts, TokenSource};
use serde_json::json;
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use lb_vocab::Secret;

use crate::world::{HOOK_SECRET, World, answer, hook_secret, token, user};

async fn get(world: &World, path: &str) -> (u16, serde_json::Value) {
    answer(
        world.http.get(format!("http://{}{path}", world.configstore)).bearer_auth(token("operator").reveal()),
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn producers_are_made_once_listed_and_found() {
    let world = World::new().await;
    let configstore = world.configstore();
    let name = "big-corp".parse().unwrap();
    assert_eq!(configstore.producer(&name).await.unwrap(), None);
    for _ in 0..2 {
        let made = configstore.create(&name).await.unwrap();
        assert_eq!((made.id.as_str(), made.user.user.login.as_str()), ("big-corp", "customer-big-corp"));
        let repos: Vec<_> = made.repos.iter().map(|repo| repo.name.as_str()).collect();
        assert_eq!(repos, ["dev", "functions"]);
    }
    let found = configstore.producer(&name).await.unwrap().unwrap();
    assert_eq!((found.id.as_str(), found.repos.len(), found.envs.len()), ("big-corp", 2, 0));
    world.git("operator").create_user(&user("sls-x")).await.unwrap();
    let long = "x".repeat(36);
    world.git("operator").create_user(&user(&long)).await.unwrap();
    let all = configstore.producers().await.unwrap();
    let names: Vec<_> = all.iter().map(|entry| (entry.name.as_str(), entry.finding.is_some())).collect();
    assert_eq!(
        names,
        [("big-corp", false), ("sls-x", true), (&*long, true)],
        "a name with a dash is whole; one outside the grammar, or too long for an environment, is a finding"
    );
    assert_eq!(all[0].namespace, "customer");
    for prefix in ["", "/api"] {
        let (status, body) = get(&world, &format!("{prefix}/producers")).await;
        assert_eq!((status, body.as_array().unwrap().len()), (200, 3));
        let (status, body) = get(&world, &format!("{prefix}/producers/nobody")).await;
        assert_eq!((status, body["error"]["code"].as_str()), (404, Some("PRODUCER_NOT_FOUND")));
        let (status, body) = get(&world, &format!("{prefix}/producers/big-corp/accesskey")).await;
        assert_eq!((status, &body["key"]), (200, &json!(null)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_outside_the_grammar_are_not_made() {
    let world = World::new().await;
    for bad in [
        json!({"id": "sls-x"}),
        json!({"id": "a--b"}),
        json!({"id": "A"}),
        json!({"id": "../x"}),
        json!({"id": "a".repeat(36)}),
        json!({"id": "a".repeat(37)}),
        json!({"id": 7}),
        json!({}),
        json!([]),
    ] {
        let request = world
            .http
            .post(format!("http://{}/producers", world.configstore))
            .bearer_auth(token("system").reveal());
        let (status, body) = answer(request.json(&bad)).await;
        assert_eq!(status, 400, "{bad}: {body}");
    }
    assert_eq!(world.configstore().producers().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_git_api_is_an_error_and_never_an_empty_list() {
    let nobody = format!("http://127.0.0.1:{}", lb_testkit::free_port());
    let world = World::with(&[("GIT_API_URL", &nobody)]).await;
    let error = world.configstore().producers().await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 503, .. }), "{error}");
    let error = world.configstore().producer(&"al".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 503, .. }), "{error}");
    let (status, body) = get(&world, "/ready").await;
    assert_eq!((status, body["error"]["message"].as_str()), (503, Some("waiting for git-api")));
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_need_their_signature() {
    let world = World::new().await;
    world.configstore().create(&"al".parse().unwrap()).await.unwrap();
    let (als, bobs) = (hook_secret("customer-al/dev"), hook_secret("customer-bob/dev"));
    let to = async |path: &str, headers: &[(&str, &[u8])], body: &str| {
        let mut request = world.http.post(format!("http://{}{path}", world.configstore));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request.body(body.to_owned())).await.0
    };
    let post = async |headers: &[(&str, &[u8])], body: &str| {
        to("/api/hook?repository=customer-al/dev&key=x", headers, body).await
    };
    let signed_with = |secret: &Secret, body: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()).unwrap();
        mac.update(body.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    };
    let signed = |body: &str| signed_with(&als, body);
    let (gitea, shared) = ("x-gitea-signature", "x-hub-signature-256");
    let (good, forged) = (signed("{}"), signed("{ }"));
    let prefixed = format!("sha256={good}");
    for (headers, status) in [
        (&[][..], 401),
        (&[(gitea, good.as_bytes())], 200),
        (&[(shared, prefixed.as_bytes())], 200),
        (&[(gitea, good.as_bytes()), (shared, prefixed.as_bytes())], 200),
        (&[(gitea, forged.as_bytes())], 401),
        (&[(gitea, good.as_bytes()), (shared, forged.as_bytes())], 401),
        (&[(gitea, forged.as_bytes()), (shared, prefixed.as_bytes())], 401),
        (&[(gitea, good.as_bytes()), (gitea, forged.as_bytes())], 401),
        (&[(gitea, "ä".as_bytes())], 401),
        (&[(gitea, "ä".as_bytes()), (shared, prefixed.as_bytes())], 401),
        (&[(gitea, b"00")], 401),
        (&[(gitea, b"")], 401),
    ] {
        assert_eq!(post(headers, "{}").await, status, "{headers:?}");
    }
    let largest = "x".repeat(1 << 20);
    assert_eq!(post(&[(gitea, signed(&largest).as_bytes())], &largest).await, 200);
    let larger = "x".repeat((1 << 20) + 1);
    assert_eq!(post(&[(gitea, signed(&larger).as_bytes())], &larger).await, 413);
    for (path, secret, status) in [
        ("/hook?repository=customer-al%2Fdev", &als, 200),
        ("/hook?repository=customer-al/dev", &bobs, 401),
        ("/hook?repository=customer-bob/dev", &als, 401),
        ("/hook?repository=customer-al/functions", &als, 401),
        ("/hook?repository=other-al/dev", &hook_secret("other-al/dev"), 401),
        ("/hook?repository=customer-al/../dev", &hook_secret("customer-al/../dev"), 401),
        ("/hook?repository=customer-al", &hook_secret("customer-al"), 401),
        ("/hook?repository=", &hook_secret(""), 401),
        ("/hook", &Secret::new(HOOK_SECRET.to_owned()), 401),
        ("/hook?repository=customer-al/dev", &Secret::new(HOOK_SECRET.to_owned()), 401),
    ] {
        assert_eq!(to(path, &[(gitea, signed_with(secret, "{}").as_bytes())], "{}").await, status, "{path}");
    }
    let (status, counted) = get(&world, "/hooks").await;
    assert_eq!((status, counted["lastAccepted"]["repository"].as_str()), (200, Some("customer-al/dev")));
    assert_eq!(counted["lastRefused"]["repository"], "customer-al/dev");
    assert!(counted["accepted"].as_u64() > Some(4) && counted["refused"].as_u64() > Some(15), "{counted}");
    let without = World::with(&[("HOOK_SECRET", "")]).await;
    let request =
        without.http.post(format!("http://{}/hook", without.configstore)).header("x-gitea-signature", "00");
    assert_eq!(answer(request.body("{}")).await.0, 403, "without a secret nothing is believed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_too_large_is_refused_before_it_ends() {
    let world = World::new().await;
    let head = format!(
        "POST /hook?repository=customer-al/dev HTTP/1.1\r\nhost: x\r\nx-gitea-signature: {}\r\n",
        "00".repeat(32)
    );
    let chunk = format!("100001\r\n{}\r\n", "x".repeat(0x10_0001));
    for body in
        ["content-length: 1048577\r\n\r\n".to_owned(), format!("transfer-encoding: chunked\r\n\r\n{chunk}")]
    {
        let mut stream = TcpStream::connect(world.configstore).await.unwrap();
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 413", "what is still to come is not waited for");
        let mut head = String::new();
        while !head.contains("\r\n\r\n") {
            head.push(char::from(stream.read_u8().await.unwrap().to_ascii_lowercase()));
        }
        assert!(head.contains("\r\nconnection: close\r\n"), "nobody sends another request here: {head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_for_one_audience() {
    let world = World::populated().await;
    let signer = lb_http::auth::Signer::load_or_create(
        &world.directory.path().join("key.pem"),
        "lunchbadger",
        world.clock.clone(),
    )
    .unwrap();
    let me = lb_http::auth::Identity::System { component: "actualizer".into() };
    let client = |audience: &str| {
        let base = format!("http://{}", world.configstore).parse().unwrap();
        Configstore::new(base, signer.source(me.clone(), audience), Timeouts::default()).unwrap()
    };
    assert_eq!(client("configstore").producers().await.unwrap().len(), 5);
    assert!(matches!(client("git-api").producers().await, Err(ClientError::Refused { status: 401, .. })));
    let base = format!("http://{}", world.configstore).parse().unwrap();
    let nobody = Configstore::new(base, TokenSource::none(), Timeouts::default()).unwrap();
    assert!(matches!(nobody.producers().await, Err(ClientError::Refused { status: 401, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_users_own_token_does_here_too() {
    let world = World::populated().await;
    let token = world.git("system").create_token(&user("al"), "ui").await.unwrap();
    let ask = async |login: &str, password: &str, path: &str| {
        let request = world.http.get(format!("http://{}{path}", world.configstore));
        answer(request.basic_auth(login, Some(password))).await.0
    };
    assert_eq!(ask("customer-al", token.reveal(), "/producers/al").await, 200);
    assert_eq!(ask("customer-al", token.reveal(), "/producers/bob").await, 403);
    assert_eq!(ask("customer-al", token.reveal(), "/producers").await, 403);
    assert_eq!(ask("customer-al", "wrong", "/producers/al").await, 401);
    assert_eq!(ask("customer-bob", token.reveal(), "/producers/al").await, 401);
    assert_eq!(ask("other-al", token.reveal(), "/producers/al").await, 401);
    assert_eq!(ask("customer-../al", token.reveal(), "/producers/al").await, 401);
    let path = world.directory.path().join("key.pem");
    let signer = lb_http::auth::Signer::load_or_create(&path, "lunchbadger", world.clock.clone()).unwrap();
    let pod =
        lb_http::auth::Identity::Pod { producer: "al-dev".parse().unwrap(), component: "gateway".into() };
    let pods = signer.issue(&pod, "git-api", std::time::Duration::from_secs(60)).unwrap();
    assert_eq!(ask("customer-al", pods.reveal(), "/producers/al").await, 401, "a pod is not its user");
    let al = lb_http::auth::Identity::user("customer-al");
    let elsewhere = signer.issue(&al, "git-api", std::time::Duration::from_secs(60)).unwrap();
    assert_eq!(
        ask("customer-al", elsewhere.reveal(), "/producers/al").await,
        401,
        "a token for git-api is no password here"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owners_token_that_reads_alone_reads_alone() {
    let world = World::populated().await;
    let path = world.directory.path().join("key.pem");
    let signer = lb_http::auth::Signer::load_or_create(&path, "lunchbadger", world.clock.clone()).unwrap();
    let al = lb_http::auth::Identity::User {
        login: "customer-al".into(),
        reach: lb_http::contract::git_api::Permission::Read,
    };
    let token = signer.issue(&al, "configstore", std::time::Duration::from_secs(60)).unwrap();
    let ask = async |method: &str, path: &str| {
        let url = format!("http://{}{path}", world.configstore);
        answer(world.http.request(method.parse().unwrap(), url).bearer_auth(token.reveal())).await.0
    };
    assert_eq!(ask("GET", "/producers/al").await, 200);
    assert_eq!(ask("POST", "/producers/al/accesskey").await, 403);
}
