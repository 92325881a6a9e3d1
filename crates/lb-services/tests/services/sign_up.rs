//! Self-service: who asks first gets the producer, up to a limit, and where the operator allows it alone.

use futures::future::join_all;
use lb_http::contract::git_api::Permission;
use serde_json::{Value, json};

use crate::world::{World, answer, repo, token, user};

/// Signs up as a role of the static tokens.
async fn sign_up(world: &World, role: &str, id: &str) -> (u16, Value) {
    let url = format!("http://{}/sign-up", world.configstore);
    answer(world.http.post(url).bearer_auth(token(role).reveal()).json(&json!({"id": id}))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_user_makes_a_producer_and_administers_it() {
    let world = World::with(&[("SIGN_UP", "self"), ("SIGN_UP_LIMIT", "2")]).await.populate().await;
    let (status, made) = sign_up(&world, "reader", "fresh").await;
    assert_eq!((status, &made["user"]["user"]["login"]), (200, &json!("customer-fresh")), "{made}");
    for name in ["dev", "functions"] {
        let members = world.git("system").collaborators(&user("fresh"), &repo(name)).await.unwrap();
        let members: Vec<_> = members.iter().map(|member| (&*member.login, member.permission)).collect();
        assert_eq!(members, [("customer-carl", Permission::Admin)]);
    }
    for (role, id, expected) in [
        // Taken: by a producer of somebody else's, by one's own.
        ("reader", "al", (409, "NAME_TAKEN")),
        ("reader", "fresh", (409, "NAME_TAKEN")),
        ("reader", "sls-x", (400, "BAD_REQUEST")),
        ("reader", "../al", (400, "BAD_REQUEST")),
        ("pod-al", "mine", (403, "FORBIDDEN")),
        ("operator", "mine", (403, "FORBIDDEN")),
    ] {
        let (status, error) = sign_up(&world, role, id).await;
        assert_eq!(
            (status, &*error["error"]["code"].to_string()),
            (expected.0, &*format!("{:?}", expected.1)),
            "{role} {id}"
        );
    }
    assert_eq!(sign_up(&world, "reader", "second").await.0, 200);
    let (status, error) = sign_up(&world, "reader", "third").await;
    assert_eq!((status, &error["error"]["code"]), (403, &json!("TOO_MANY_PRODUCERS")), "{error}");
    assert!(error["error"]["message"].as_str().unwrap().contains("fresh, second"), "{error}");
    assert_eq!(world.git("system").user(&user("third")).await.unwrap(), None, "nothing was made");
    let members = world.git("system").collaborators(&user("al"), &repo("dev")).await.unwrap();
    assert!(
        members.iter().all(|member| member.login != "customer-carl" || member.permission == Permission::Read)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_holds_for_many_sign_ups_at_once() {
    let world = World::with(&[("SIGN_UP", "self"), ("SIGN_UP_LIMIT", "2")]).await.populate().await;
    let names: Vec<String> = (0..6).map(|number| format!("mine{number}")).collect();
    let answers = join_all(names.iter().map(|name| sign_up(&world, "reader", name))).await;
    let got = answers.iter().filter(|(status, _)| *status == 200).count();
    assert!(got == 2 && answers.iter().all(|(status, _)| [200, 403].contains(status)), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_want_one_name_one_gets_it() {
    let world = World::with(&[("SIGN_UP", "self")]).await.populate().await;
    let roles = ["reader", "writer", "other", "admin"];
    let answers = join_all(roles.iter().chain(&roles).map(|role| sign_up(&world, role, "wanted"))).await;
    let got = answers.iter().filter(|(status, _)| *status == 200).count();
    assert!(got == 1 && answers.iter().all(|(status, _)| [200, 409].contains(status)), "{answers:?}");
    let members = world.git("system").collaborators(&user("wanted"), &repo("dev")).await.unwrap();
    assert_eq!(members.len(), 1, "{members:?}");
}
