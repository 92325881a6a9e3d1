//! Users, repositories, keys, collaborators, webhooks, passwords.

use lb_git::{CommitState, CommitStatus, Found, HookTarget, HostError, Kind, Permission};
use lb_vocab::{GitUser, Secret};

use super::over_every_host;
use super::world::{World, repo};
use crate::people::{key, missing, refused};

over_every_host!(
    users_and_repositories_are_made_once_and_listed,
    what_does_not_exist_is_absent_and_nothing_else_is,
    an_internal_key_replaces_the_older_one_and_nobody_touches_anothers,
    permissions_follow_collaborators_and_end_with_them,
    a_webhook_is_registered_once,
    a_commit_is_told_how_it_fared_where_that_is_kept,
    a_token_opens_its_own_users_door_until_it_is_revoked,
);

async fn users_and_repositories_are_made_once_and_listed(world: World) {
    let host = &world.host;
    let made = host.user(&world.user("al")).await.unwrap().unwrap();
    assert_eq!((&made.login, &*made.email), (&world.login("al"), &*format!("al@{}.com", world.prefix)));
    assert_eq!(host.create_user(&world.user("al")).await.unwrap(), (made.clone(), false), "made before");
    let dev = host.repository(&world.user("al"), &repo("dev")).await.unwrap().unwrap();
    assert_eq!(host.ensure_repository(&world.user("al"), &repo("dev")).await.unwrap(), dev);
    assert_eq!((dev.empty, &*dev.default_branch, &dev.owner), (true, "master", &made.login));
    let functions = host.ensure_repository(&world.user("al"), &repo("functions")).await.unwrap();
    let (bob, now) = host.create_user(&world.user("bob-b")).await.unwrap();
    assert!(now, "it was not there");
    assert_eq!(
        host.repositories(&world.user("al")).await.unwrap(),
        Some(vec![dev.clone(), functions.clone()])
    );
    assert_eq!(host.repositories(&world.user("bob-b")).await.unwrap(), Some(Vec::new()));
    let roster = host.users(&world.prefix).await.unwrap();
    assert_eq!(roster, [(made.clone(), vec![dev, functions]), (bob.clone(), Vec::new())]);
    assert_eq!(host.users(&"nobody".parse().unwrap()).await.unwrap(), []);
    let found = host.search_users(&world.login("b").to_string().to_uppercase()).await.unwrap();
    assert_eq!(found, [bob]);
}

async fn what_does_not_exist_is_absent_and_nothing_else_is(world: World) {
    let (host, zoe, al) = (&world.host, world.user("zoe"), world.user("al"));
    assert_eq!(host.user(&zoe).await.unwrap(), None);
    assert_eq!(host.repositories(&zoe).await.unwrap(), None);
    assert_eq!(host.repository(&zoe, &repo("dev")).await.unwrap(), None);
    assert_eq!(host.repository(&al, &repo("x")).await.unwrap(), None);
    assert_eq!(missing(host.refs(&zoe, &repo("dev")).await), Kind::User);
    assert_eq!(missing(host.refs(&al, &repo("x")).await), Kind::Repository);
    assert_eq!(missing(host.ensure_repository(&zoe, &repo("dev")).await), Kind::User);
    assert_eq!(missing(host.delete_repository(&al, &repo("x")).await), Kind::Repository);
    assert_eq!(missing(host.delete_user(&zoe).await), Kind::User);
    assert_eq!(missing(host.keys(&zoe).await), Kind::User);
    assert_eq!(missing(host.look(&al, &repo("x")).await), Kind::Repository);
    assert_eq!(missing(host.collaborators(&al, &repo("x")).await), Kind::Repository);
    for bad in ["", "..", "../x", "a/b", "%2f", "a%2fb", "a\0b", "ä", "-a", "a--b"] {
        let bad = GitUser { prefix: world.prefix.clone(), name: bad.to_owned() };
        assert!(matches!(host.create_user(&bad).await, Err(HostError::Refused { .. })), "{bad}");
        assert_eq!(host.user(&bad).await.unwrap(), None);
        assert_eq!(host.repositories(&bad).await.unwrap(), None);
        assert_eq!(missing(host.ensure_repository(&bad, &repo("dev")).await), Kind::User);
        assert_eq!(missing(host.refs(&bad, &repo("dev")).await), Kind::User);
    }
    assert_eq!(host.refs(&al, &repo("dev")).await.unwrap().len(), 0, "unborn: a whole listing that is empty");
}

async fn an_internal_key_replaces_the_older_one_and_nobody_touches_anothers(world: World) {
    let (host, al, bob) = (&world.host, world.user("al"), world.user("bob"));
    host.create_user(&bob).await.unwrap();
    // Gitea's keys are unique over all users, and tests share it.
    let id = host.user(&al).await.unwrap().unwrap().id;
    let key = |number: u8| key(u32::try_from(id).unwrap() * 100 + u32::from(number));
    let first = host.add_key(&al, "lunchbadger-internal-workspace", &key(0)).await.unwrap();
    let second = host.add_key(&al, "lunchbadger-internal-workspace", &key(1)).await.unwrap();
    assert_ne!(first.id, second.id);
    let again = host.add_key(&al, "lunchbadger-internal-workspace", &key(1)).await.unwrap();
    let other = host.add_key(&al, "lunchbadger-internal-sls-api", &key(2)).await.unwrap();
    let mine = host.add_key(&al, "laptop", &key(3)).await.unwrap();
    assert_eq!(host.keys(&al).await.unwrap(), [again, other, mine.clone()]);
    assert!(mine.fingerprint.starts_with("SHA256:") && mine.fingerprint.len() == 50);
    let used = "Key content has been used as non-deploy key";
    assert_eq!(refused(host.add_key(&bob, "x", &key(3)).await), used);
    assert_eq!(refused(host.add_key(&bob, "lunchbadger-internal-workspace", &key(1)).await), used);
    assert!(refused(host.add_key(&al, "x", "ssh-dss AAAA").await).starts_with("Invalid key content"));
    assert!(
        refused(host.add_key(&al, "lunchbadger-internal-workspace", "nonsense").await).starts_with("Inv")
    );
    assert_eq!(host.keys(&al).await.unwrap().len(), 3, "a key that is refused replaces none");
    assert_eq!(missing(host.delete_key(&bob, mine.id).await), Kind::Key);
    host.delete_key(&al, mine.id).await.unwrap();
    assert_eq!(missing(host.delete_key(&al, mine.id).await), Kind::Key);
    assert_eq!(host.keys(&al).await.unwrap().len(), 2);
}

async fn permissions_follow_collaborators_and_end_with_them(world: World) {
    let (host, al, bob, dev) = (&world.host, world.user("al"), world.user("bob"), repo("dev"));
    host.create_user(&bob).await.unwrap();
    host.ensure_repository(&bob, &dev).await.unwrap();
    let (al_login, bob_login) = (world.login("al"), world.login("bob"));
    let bobs = async || host.permission(&bob_login, &al, &dev).await.unwrap();
    assert_eq!(bobs().await, None);
    for permission in [Permission::Read, Permission::Admin, Permission::Write] {
        host.set_collaborator(&al, &dev, &bob_login, permission).await.unwrap();
        assert_eq!(bobs().await, Some(permission));
    }
    let listed = host.collaborators(&al, &dev).await.unwrap();
    assert_eq!(
        listed.iter().map(|c| (&c.login, c.permission)).collect::<Vec<_>>(),
        [(&bob_login, Permission::Write)]
    );
    assert_eq!(host.permission(&al_login, &al, &dev).await.unwrap(), Some(Permission::Admin));
    assert_eq!(host.permission(&world.login("eve"), &al, &dev).await.unwrap(), None);
    assert_eq!(host.permission(&bob_login, &al, &repo("x")).await.unwrap(), None);
    let reach = host.reachable(&bob_login).await.unwrap();
    let reach: Vec<_> = reach.iter().map(|(r, p)| (&r.owner, r.name.as_str(), *p)).collect();
    assert_eq!(reach, [(&al_login, "dev", Permission::Write), (&bob_login, "dev", Permission::Admin)]);
    let grant = async |repository: &str, name: &str| {
        host.set_collaborator(&al, &repo(repository), &world.login(name), Permission::Read).await
    };
    assert_eq!(missing(grant("dev", "eve").await), Kind::User);
    assert_eq!(missing(grant("x", "bob").await), Kind::Repository);
    refused(grant("dev", "al").await);
    host.remove_collaborator(&al, &dev, &bob_login).await.unwrap();
    host.remove_collaborator(&al, &dev, &bob_login).await.unwrap();
    host.remove_collaborator(&al, &dev, &world.login("eve")).await.unwrap();
    assert_eq!(bobs().await, None);
    host.set_collaborator(&al, &dev, &bob_login, Permission::Read).await.unwrap();
    host.delete_user(&bob).await.unwrap();
    assert!(host.collaborators(&al, &dev).await.unwrap().is_empty());
    host.create_user(&bob).await.unwrap();
    assert_eq!(bobs().await, None, "a later user of the same login inherits nothing");
    assert_eq!(host.repositories(&bob).await.unwrap(), Some(Vec::new()));
}

async fn a_webhook_is_registered_once(world: World) {
    let ensure = async |url: &str| {
        let target = HookTarget { url: url.to_owned(), secret: Secret::new("s".to_owned()), anew: false };
        world.host.ensure_hook(&world.user("al"), &repo("dev"), &target).await.map(|(hook, _)| hook)
    };
    let first = ensure("http://configstore.default/hook").await.unwrap();
    assert_eq!(ensure("http://configstore.default/hook").await.unwrap(), first);
    let keyed = ensure("http://configstore.default/hook?key=1").await.unwrap();
    assert_eq!(keyed.url, "http://configstore.default/hook?key=1", "an older form is replaced");
    assert_eq!(ensure("http://configstore.default/hook?key=1").await.unwrap(), keyed);
    assert_ne!(ensure("https://other/hook").await.unwrap().id, keyed.id);
    for bad in ["", "ftp://x", "file:///etc/passwd", "http://a\nb"] {
        refused(ensure(bad).await);
    }
    let ensure = async |name: &str, anew| {
        let url = format!("http://configstore.default/hook?key={name}");
        let target = HookTarget { url, secret: Secret::new(name.to_owned()), anew };
        let (hook, found) = world.host.ensure_hook(&world.user("al"), &repo("dev"), &target).await.unwrap();
        // The embedded host says so however it is.
        let standing = (found != Found::Undelivered).then_some(found == Found::Standing);
        (hook.id, standing)
    };
    let (old, standing) = ensure("2", false).await;
    assert!(standing.is_none_or(|standing| !standing), "one with an older key is amiss");
    let (same, standing) = ensure("2", false).await;
    assert!(same == old && standing.is_none_or(|standing| standing));
    let (anew, standing) = ensure("2", true).await;
    assert!(standing.is_none_or(|standing| standing && anew != old), "its secret cannot be seen");
    assert_eq!(ensure("2", false).await.0, anew);
}

async fn a_commit_is_told_how_it_fared_where_that_is_kept(world: World) {
    let (commit, _) = world.al().await.write("a", "1").commit_and_push("first").await;
    let status = CommitStatus {
        context: "lunchbadger/dev".into(),
        state: CommitState::Failure,
        description: "1 finding".into(),
        place: Some(("a".parse().unwrap(), 1)),
    };
    let tell = async |repository: &str, commit: &str| {
        let commit = commit.parse().unwrap();
        world.host.set_commit_status(&world.user("al"), &repo(repository), &commit, &status).await
    };
    assert_eq!(missing(tell("x", &commit).await), Kind::Repository);
    for _ in 0..2 {
        let kept = tell("dev", &commit).await.unwrap();
        let of_nothing = tell("dev", &"1".repeat(40)).await;
        // Where nothing is kept, commits are not looked at.
        assert!(if kept { missing(of_nothing) == Kind::Commit } else { !of_nothing.unwrap() });
    }
}

async fn a_token_opens_its_own_users_door_until_it_is_revoked(world: World) {
    let (host, al) = (&world.host, world.login("al"));
    host.create_user(&world.user("bob")).await.unwrap();
    let (info, secret) = host.create_token(&al, "laptop").await.unwrap();
    let (again, _) = host.create_token(&al, "laptop").await.unwrap();
    assert_ne!(info.id, again.id, "its name is a remark");
    let listed: Vec<_> = host.list_tokens(&al).await.unwrap().into_iter().map(|token| token.id).collect();
    assert_eq!(listed, [info.id, again.id]);
    assert_eq!(missing(host.create_token(&world.login("eve"), "x").await.map(|(info, _)| info)), Kind::User);
    refused(host.create_token(&al, "a\nb").await.map(|(info, _)| info));
    let opens = async |name: &str, password: &str| {
        host.authenticate(&world.login(name), &Secret::new(password.to_owned())).await.unwrap()
            == Some(Permission::Admin)
    };
    assert!(opens("al", secret.reveal()).await);
    for (name, password) in [("al", ""), ("al", "x"), ("bob", secret.reveal()), ("eve", secret.reveal())] {
        assert!(!opens(name, password).await, "{name}");
    }
    assert_eq!(missing(host.revoke_token(&world.login("bob"), info.id).await), Kind::Token);
    host.revoke_token(&al, info.id).await.unwrap();
    assert!(!opens("al", secret.reveal()).await);
}
