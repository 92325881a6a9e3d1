//! Users that are renamed and repositories that are transferred: the old name leads nowhere.

use std::sync::Arc;

use lb_git::{At, GitHost, Globs, HostError, RefName};
use lb_testkit::git::Git;
use lb_testkit::gitea::Gitea as RealGitea;
use reqwest::Method;
use serde_json::json;

use super::proxy::Proxy;
use super::world::{Behind, PAUSE};
use crate::contract::world::repo;
use crate::server::listen;

fn moved<T>(result: Result<T, HostError>) {
    let said = result.err().map(|error| error.name());
    assert_eq!(said, Some("Moved"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_another_name_now_is_never_followed() {
    if lb_testkit::skip::needs_gitea().is_none() {
        return;
    }
    let real = RealGitea::shared().await;
    let behind = Behind::new(real, Proxy::before(real.url()).await, |_| {}).await;
    let (host, dev) = (&behind.host, repo("dev"));
    for name in ["bob", "carl"] {
        host.create_user(&behind.user(name)).await.unwrap();
    }
    host.ensure_repository(&behind.user("bob"), &dev).await.unwrap();
    let base = listen(Arc::new(host.clone()), behind.prefix.clone(), Arc::new(|_| Vec::new())).await;
    let mut clones = Vec::new();
    for name in ["al", "bob"] {
        let (_, token) = host.create_token(&behind.login(name), "laptop").await.unwrap();
        let login = behind.login(name);
        let git = Git::new().with_token(login.as_str(), token.reveal());
        let clone = git.init(&format!("{base}/{login}/dev.git")).await;
        clone.commit_and_push("first").await;
        clones.push((name, clone));
    }
    let cursor = host.changes(None).await.unwrap().cursor;
    let (al, ann, bob) = (behind.login("al"), behind.login("ann"), behind.login("bob"));
    let carl = behind.login("carl");
    let rename = json!({"new_username": ann.as_str()});
    behind.api(Method::POST, &format!("admin/users/{al}/rename"), rename).await;
    let transfer = json!({"new_owner": carl.as_str()});
    behind.api(Method::POST, &format!("repos/{bob}/dev/transfer"), transfer).await;

    moved(host.user(&behind.user("al")).await);
    moved(host.repositories(&behind.user("al")).await);
    assert!(host.user(&behind.user("bob")).await.unwrap().is_some());
    for (name, clone) in &clones {
        let user = behind.user(name);
        moved(host.repository(&user, &dev).await);
        moved(host.refs(&user, &dev).await);
        moved(host.look(&user, &dev).await);
        moved(host.permission(&behind.login("carl"), &user, &dev).await);
        let globs = Globs::new(&["*"]).unwrap();
        moved(host.tree(&user, &dev, &At::Ref(RefName::master()), &globs, 100).await);
        clone.commit("second").await;
        let push = clone.push().await;
        assert!(!push.accepted, "{}", push.output);
        assert!(!clone.try_run(&["fetch", "origin"]).await.status.success());
    }
    behind.clock.advance(PAUSE * 60);
    let changes = behind.after(&cursor).await;
    let mut told = crate::contract::changes::lines(&changes.changes);
    told.sort();
    let expected = [
        "al - deleted",
        "al dev deleted",
        "ann - created",
        "ann dev created",
        "ann dev refs/heads/master",
        "bob dev deleted",
        "carl dev created",
        "carl dev refs/heads/master",
    ];
    assert_eq!(told, expected, "a nudge: whoever asks for the old name hears that it moved");
    moved(host.repository(&behind.user("bob"), &dev).await);
}
