//! Whose token it is: real tokens, reviewed by the API server that issued them.

use lb_cluster::{ApiError, Cluster, Options, ServiceAccount, Target};
use lb_testkit::cluster::TestCluster;
use lb_testkit::eventually;
use lb_testkit::pods::AccountPod;
use lb_vocab::Secret;

use crate::support::connect;

const NAME: &str = "workspace-al-dev";

#[tokio::test]
async fn a_token_is_its_accounts_for_its_audience_while_its_pod_stands() {
    let shared = TestCluster::shared().await;
    let cluster = connect(shared.kubeconfig()).await;
    let namespace = shared.namespace("tokens").await;
    let pod = AccountPod::create(shared, &namespace, NAME).await;
    let review = async |token: &Secret| cluster.review_token(token, "git-api").await.unwrap();
    let account = |pod: Option<&str>| ServiceAccount {
        namespace: namespace.clone(),
        name: NAME.to_owned(),
        pod: pod.map(str::to_owned),
    };
    let token = pod.token("git-api").await;
    assert_eq!(review(&token).await, Some(account(Some(NAME))));
    assert_eq!(review(&pod.unbound_token("git-api").await).await, Some(account(None)));
    assert_eq!(review(&pod.token("configstore").await).await, None, "another audience");
    assert_eq!(
        review(&pod.token("https://kubernetes.default.svc").await).await,
        None,
        "the API server's own"
    );
    for forged in forgeries(&token) {
        assert_eq!(review(&forged).await, None);
    }
    pod.delete().await;
    // The API server repeats a good answer for 10 s.
    eventually("the token ends with its pod", || async {
        match cluster.review_token(&token, "git-api").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// Garbage; the token with another signature, with none, and with an algorithm that needs none.
fn forgeries(token: &Secret) -> Vec<Secret> {
    let (head, signature) = token.reveal().rsplit_once('.').unwrap();
    let (_, claims) = head.split_once('.').unwrap();
    let reversed: String = signature.chars().rev().collect();
    // {"alg":"none","typ":"JWT"}
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    [
        "garbage".to_owned(),
        head.to_owned(),
        format!("{head}."),
        format!("{head}.{reversed}"),
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
    ]
    .map(Secret::new)
    .to_vec()
}

#[tokio::test]
async fn without_the_right_or_the_api_server_nothing_is_said() {
    let own = TestCluster::start(lb_testkit::control_plane::Options::default()).await.unwrap();
    let target =
        Target::Kubeconfig { path: own.kubeconfig().to_owned(), context: Some("lunchbadger".into()) };
    let cluster = Cluster::connect(&target, &Options::default()).await.unwrap();
    let token = Secret::new("a token that nobody issued".to_owned());
    let refused = cluster.review_token(&token, "git-api").await.unwrap_err();
    assert_eq!(refused.code(), Some(403), "{refused}");
    own.stop_api_server().await;
    let unreachable = cluster.review_token(&token, "git-api").await.unwrap_err();
    assert!(matches!(unreachable, ApiError::Unreachable { .. }), "{unreachable}");
    assert!(!format!("{refused}{refused:?}{unreachable}{unreachable:?}").contains(token.reveal()));
}
