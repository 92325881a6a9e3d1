//! Callers with tokens of service accounts, reviewed by the API server that issued them.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::StreamExt;
use lb_cluster::{Cluster, Options, Target, Verb};
use lb_testkit::clock::ManualClock;
use lb_testkit::cluster::TestCluster;
use lb_testkit::control_plane;
use lb_testkit::eventually;
use lb_testkit::git::Git;
use lb_testkit::pods::AccountPod;
use lb_vocab::Secret;

use crate::roles::{ROLES, ask, first_push, rows};
use crate::watcher::watching;
use crate::world::World;

/// The column of `roles.txt` that each account's pods are in.
const ACCOUNTS: [(&str, &str); 4] = [
    ("workspace-al-dev", "pod-al"),
    ("workspace-bob-dev", "pod-bob"),
    ("sls-api-al-dev", "pod-sls"),
    ("gateway-al-dev-main", "pod-gateway"),
];
/// Each has an audience of its own, its name.
const SERVICES: [&str; 3] = ["git-api", "configstore", "watcher"];
const PERIOD: Duration = Duration::from_secs(20);

/// Services beside a cluster, with a clock that stands until it is moved.
struct Inside<'a> {
    kubernetes: &'a TestCluster,
    cluster: Cluster,
    /// Where producers' objects are.
    namespace: String,
    /// Where the control plane is.
    home: String,
    clock: ManualClock,
    world: World,
}

impl<'a> Inside<'a> {
    async fn start(kubernetes: &'a TestCluster) -> Self {
        let (namespace, home) = (kubernetes.namespace("customer").await, kubernetes.namespace("home").await);
        let target =
            Target::Kubeconfig { path: kubernetes.kubeconfig().to_owned(), context: Some("admin".into()) };
        let cluster = Cluster::connect(&target, &Options::default()).await.unwrap();
        let clock = ManualClock::default();
        clock.set(lb_testkit::clock::system().now());
        let part = format!("{home}/lunchbadger-actualizer=actualizer");
        let variables =
            [("ACTUALIZER_TARGET_NAMESPACE", namespace.as_str()), ("AUTH_SYSTEM_ACCOUNTS", part.as_str())];
        let world = World::over(Some(cluster.clone()), clock.clock(), &variables).await.populate().await;
        watching(&world).await;
        Self { kubernetes, cluster, namespace, home, clock, world }
    }

    async fn pod(&self, account: &str) -> AccountPod {
        AccountPod::create(self.kubernetes, &self.namespace, account).await
    }

    fn reviews(&self) -> u64 {
        self.cluster.requests().count(Verb::Create)
    }

    /// The status of a request about al, and whether it says when to come back.
    async fn about_al(&self, token: &Secret) -> (u16, bool) {
        let url = format!("http://{}/users/customer/al", self.world.git_api);
        let answer = self.world.http.get(url).bearer_auth(token.reveal()).send().await.unwrap();
        (answer.status().as_u16(), answer.headers().contains_key("retry-after"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_get_what_the_matrix_says() {
    let inside = Inside::start(TestCluster::shared().await).await;
    first_push(&inside.world).await;
    let mut wrong = Vec::new();
    for (account, role) in ACCOUNTS {
        let pod = inside.pod(account).await;
        let mut tokens = Vec::new();
        for service in SERVICES {
            tokens.push((service, pod.token(service).await));
        }
        for row in rows() {
            let (_, token) = tokens.iter().find(|(audience, _)| *audience == row.service).unwrap();
            let (got, expected) = (ask(&inside.world, &row, Some(token)).await, row.expects(&ROLES, role));
            if got != expected {
                let (method, path) = (&row.method, &row.path);
                wrong.push(format!("{account}: {} {method} {path}: {got}, not {expected}", row.service));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(inside.reviews(), (SERVICES.len() * ACCOUNTS.len()) as u64, "each token is reviewed once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_pushes_with_its_token_as_git_s_password() {
    let inside = Inside::start(TestCluster::shared().await).await;
    let world = &inside.world;
    for (account, accepted) in
        [("workspace-al-dev", true), ("workspace-bob-dev", false), ("sls-api-al-dev", false)]
    {
        let token = inside.pod(account).await.token("git-api").await;
        let clone = Git::new().with_token("pod", token.reveal()).init(&world.url("al", "dev")).await;
        clone.write("a", account);
        clone.commit("from a pod").await;
        assert_eq!(clone.push().await.accepted, accepted, "{account}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_the_control_plane_are_those_that_the_operator_lists() {
    let inside = Inside::start(TestCluster::shared().await).await;
    for (account, expected) in [("lunchbadger-actualizer", 200), ("default-of-ours", 401)] {
        let pod = AccountPod::create(inside.kubernetes, &inside.home, account).await;
        let url = format!("http://{}/changes", inside.world.git_api);
        let token = pod.token("git-api").await;
        let answer = inside.world.http.get(url).bearer_auth(token.reveal()).send().await.unwrap();
        assert_eq!(answer.status(), expected, "{account}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_exactly_a_pods_token_is_nobody_s() {
    let inside = Inside::start(TestCluster::shared().await).await;
    let al = inside.pod("workspace-al-dev").await;
    let good = al.token("git-api").await;
    let mut refused = vec![
        ("another service's", al.token("configstore").await),
        ("the API server's", al.token("https://kubernetes.default.svc").await),
        ("bound to no pod", al.unbound_token("git-api").await),
        ("garbage", Secret::new("garbage".to_owned())),
    ];
    refused.extend(forgeries(&good).into_iter().map(|forged| ("forged", forged)));
    let elsewhere = AccountPod::create(inside.kubernetes, &inside.home, "workspace-al-dev").await;
    refused.push(("of another namespace", elsewhere.token("git-api").await));
    for hostile in [
        "default-x",
        "workspace-al",
        "workspace-al-dev.x",
        "workspace--al-dev",
        "workspace-al-1dev",
        "sls-api",
        "fn-al-dev-hello",
        "gateway-al-dev-averylongnamethatis",
        "operator",
    ] {
        refused.push((hostile, inside.pod(hostile).await.token("git-api").await));
    }
    let url = format!("http://{}/users/customer/al", inside.world.git_api);
    for (what, token) in refused {
        assert_eq!(inside.about_al(&token).await, (401, false), "{what}");
        // As the password of al's own git user.
        let request = inside.world.http.get(&url).basic_auth("customer-al", Some(token.reveal()));
        assert_eq!(request.send().await.unwrap().status(), 401, "{what} as a password");
        let producer = format!("http://{}/producers/al", inside.world.configstore);
        if what != "another service's" {
            let request = inside.world.http.get(&producer).basic_auth("customer-al", Some(token.reveal()));
            assert_eq!(request.send().await.unwrap().status(), 401, "{what} at the configstore");
        }
    }
    // The configstore asks git-api about passwords: a pod's token for git-api makes nobody a user there.
    let producer = format!("http://{}/producers/al", inside.world.configstore);
    let request = inside.world.http.get(&producer).basic_auth("customer-al", Some(good.reveal()));
    assert_eq!(request.send().await.unwrap().status(), 401);
    assert_eq!(inside.about_al(&Secret::new("x".repeat(1 << 20))).await.0, 431);
    assert_eq!(inside.about_al(&good).await.0, 200);
    // Its ten minutes, and what the test took until it was issued.
    inside.clock.advance(Duration::from_mins(20));
    assert_eq!(inside.about_al(&good).await.0, 401, "expired");
}

/// The token with another signature, with none, with an algorithm that needs none, and with another claim.
fn forgeries(token: &Secret) -> Vec<Secret> {
    let (head, signature) = token.reveal().rsplit_once('.').unwrap();
    let (header, claims) = head.split_once('.').unwrap();
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let decoded = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let bobs = URL_SAFE_NO_PAD.encode(decoded.replace("workspace-al-dev", "workspace-bob-dev"));
    let reversed: String = signature.chars().rev().collect();
    [
        format!("{head}."),
        format!("{head}.{reversed}"),
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{header}.{bobs}.{signature}"),
    ]
    .map(Secret::new)
    .to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_gone_is_nobody_within_thirty_seconds() {
    let inside = Inside::start(TestCluster::shared().await).await;
    let pod = inside.pod("workspace-al-dev").await;
    let token = pod.token("git-api").await;
    assert_eq!(inside.about_al(&token).await.0, 200);
    pod.delete().await;
    // The API server repeats a good answer for the other ten seconds.
    eventually("the API server knows", || async {
        match inside.cluster.review_token(&token, "git-api").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(inside.about_al(&token).await.0, 200, "the verdict before holds");
    inside.clock.advance(PERIOD);
    assert_eq!(inside.about_al(&token).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_forged_tokens_is_no_flood_at_the_api_server() {
    const RATE: u64 = 50;
    let inside = Inside::start(TestCluster::shared().await).await;
    let good = inside.pod("workspace-al-dev").await.token("git-api").await;
    assert_eq!(inside.about_al(&good).await.0, 200);
    inside.clock.advance(PERIOD);
    let before = inside.reviews();
    let (_, claims) = good.reveal().split_once('.').unwrap();
    let (claims, _) = claims.split_once('.').unwrap();
    let forged = (0..2_000).map(|n| Secret::new(format!("e30.{claims}.{n:08}")));
    let inside = &inside;
    let answers: Vec<_> = futures::stream::iter(forged)
        .map(|token| async move { inside.about_al(&token).await })
        .buffer_unordered(16)
        .collect()
        .await;
    assert!(answers.iter().all(|answer| matches!(answer, (401, false) | (503, true))), "{answers:?}");
    assert_eq!(inside.reviews() - before, RATE);
    assert_eq!(inside.about_al(&good).await.0, 200, "who was known before is let in meanwhile");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_api_server_is_silent_nobody_new_is_let_in() {
    let own = TestCluster::start(control_plane::Options::default()).await.unwrap();
    let inside = Inside::start(&own).await;
    let pod = inside.pod("workspace-al-dev").await;
    let (known, new) = (pod.token("git-api").await, pod.token("git-api").await);
    assert_eq!(inside.about_al(&known).await.0, 200);
    own.stop_api_server().await;
    assert_eq!(inside.about_al(&known).await.0, 200, "for the time that its verdict holds");
    assert_eq!(inside.about_al(&new).await, (503, true));
    inside.clock.advance(PERIOD);
    assert_eq!(inside.about_al(&known).await, (503, true));
    own.start_api_server().await;
    for token in [&known, &new] {
        assert_eq!(inside.about_al(token).await.0, 200);
    }
}
