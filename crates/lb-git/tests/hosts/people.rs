//! Users, repositories, keys, tokens, collaborators, webhooks.

use std::time::{Duration, Instant};

use lb_git::embedded::{Embedded, Settings};
use lb_git::{GitHost, HostError, Kind, Permission};
use lb_testkit::clock::ManualClock;
use lb_vocab::{GitUser, Secret, Timestamp};
use tempfile::TempDir;

use crate::server::{login, repo, user};

async fn host() -> (Embedded, ManualClock, TempDir) {
    let (directory, clock) = (tempfile::tempdir().unwrap(), ManualClock::default());
    let host = Embedded::open(Settings::new(directory.path()), clock.clock()).await.unwrap();
    (host, clock, directory)
}

/// A key that differs from those of other seeds.
pub(crate) fn key(seed: u32) -> String {
    use base64::Engine;
    let blob = [&[0, 0, 0, 11][..], b"ssh-ed25519", &[0, 0, 0, 32], &seed.to_be_bytes(), &[7; 28]].concat();
    format!("ssh-ed25519 {}", base64::engine::general_purpose::STANDARD.encode(blob))
}

pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, HostError>) -> String {
    match result {
        Err(HostError::Refused { why }) => why,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn missing<T: std::fmt::Debug>(result: Result<T, HostError>) -> Kind {
    match result {
        Err(HostError::NotFound { what, .. }) => what,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn users_and_repositories_are_made_once_and_survive_a_restart() {
    let (host, clock, directory) = host().await;
    let (made, now) = host.create_user(&user("al")).await.unwrap();
    assert!(now, "it was not there");
    assert_eq!((made.login.as_str(), &*made.email), ("customer-al", "al@customer.com"));
    clock.advance(Duration::from_secs(5));
    assert_eq!(host.create_user(&user("al")).await.unwrap(), (made.clone(), false));
    let dev = host.ensure_repository(&user("al"), &repo("dev")).await.unwrap();
    assert_eq!(host.ensure_repository(&user("al"), &repo("dev")).await.unwrap(), dev);
    assert_eq!(
        (dev.created, dev.empty, &*dev.default_branch),
        (Timestamp(made.created.0 + 5000), true, "master")
    );
    let (token, secret) = host.create_token(&login("al"), "laptop").await.unwrap();
    host.close().await;
    drop(host);
    let host = Embedded::open(Settings::new(directory.path()), clock.clock()).await.unwrap();
    assert_eq!(host.users(&"customer".parse().unwrap()).await.unwrap(), [(made.clone(), vec![dev.clone()])]);
    assert_eq!(host.repositories(&user("al")).await.unwrap(), Some(vec![dev.clone()]));
    assert_eq!(host.list_tokens(&login("al")).await.unwrap(), [token]);
    assert_eq!(host.authenticate(&login("al"), &secret).await.unwrap(), Some(Permission::Admin));
    let (bob, _) = host.create_user(&user("bob")).await.unwrap();
    assert!(bob.id > dev.id, "a number is never used again");
}

#[tokio::test]
async fn names_that_would_leave_the_directory_are_refused() {
    let (host, _, directory) = host().await;
    for bad in ["", "..", "../x", "a/b", "%2f", "a%2fb", "A", "a\0b", "ä", ".git", "-a", "a--b"] {
        assert!(matches!(host.create_user(&user(bad)).await, Err(HostError::Refused { .. })), "{bad:?}");
        assert_eq!(host.user(&user(bad)).await.unwrap(), None);
        assert_eq!(host.repositories(&user(bad)).await.unwrap(), None);
        assert_eq!(missing(host.ensure_repository(&user(bad), &repo("dev")).await), Kind::User);
        assert_eq!(missing(host.delete_user(&user(bad)).await), Kind::User);
    }
    assert_eq!(std::fs::read_dir(directory.path().join("users")).unwrap().count(), 0);
}

/// `a-b` and `c`, and `a` and `b-c`, have one login.
#[tokio::test]
async fn a_login_belongs_to_one_prefix() {
    let (host, _, _directory) = host().await;
    let user = |prefix: &str, name: &str| GitUser { prefix: prefix.parse().unwrap(), name: name.to_owned() };
    host.create_user(&user("a", "b-c")).await.unwrap();
    assert!(refused(host.create_user(&user("a-b", "c")).await).contains("another prefix"));
    assert_eq!(host.user(&user("a-b", "c")).await.unwrap(), None);
    assert_eq!(missing(host.ensure_repository(&user("a-b", "c"), &repo("dev")).await), Kind::User);
    assert!(host.users(&"a-b".parse().unwrap()).await.unwrap().is_empty());
    assert_eq!(host.search_users("B-C").await.unwrap().len(), 1);
}

#[tokio::test]
async fn repository_names_that_differ_in_case_alone_are_refused() {
    let (host, _, _directory) = host().await;
    host.create_user(&user("al")).await.unwrap();
    host.ensure_repository(&user("al"), &repo("dev")).await.unwrap();
    assert!(refused(host.ensure_repository(&user("al"), &repo("Dev")).await).contains("differ in case"));
    assert_eq!(missing(host.ensure_repository(&user("bob"), &repo("dev")).await), Kind::User);
}

#[tokio::test]
async fn a_token_is_stored_as_a_hash_and_ends_when_revoked() {
    let (host, _, directory) = host().await;
    for name in ["al", "bob"] {
        host.create_user(&user(name)).await.unwrap();
    }
    let (info, secret) = host.create_token(&login("al"), "laptop").await.unwrap();
    let stored = std::fs::read_to_string(directory.path().join("users/customer-al/user.json")).unwrap();
    assert!(
        stored.contains("laptop")
            && !stored.contains(secret.reveal())
            && !stored.contains(&secret.reveal()[4..])
    );
    assert_eq!(host.authenticate(&login("al"), &secret).await.unwrap(), Some(Permission::Admin));
    for (login, password) in
        [("bob", secret.reveal().as_str()), ("al", ""), ("al", "x"), ("eve", secret.reveal())]
    {
        let password = Secret::new(password.to_owned());
        assert_eq!(host.authenticate(&crate::server::login(login), &password).await.unwrap(), None);
    }
    assert_eq!(missing(host.revoke_token(&login("bob"), info.id).await), Kind::Token);
    host.revoke_token(&login("al"), info.id).await.unwrap();
    assert_eq!(host.authenticate(&login("al"), &secret).await.unwrap(), None);
    refused(host.create_token(&login("al"), "a\nb").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_changes_of_one_record_are_all_kept() {
    let (host, _, _directory) = host().await;
    let all = (0..20_u8).map(|number| {
        let host = host.clone();
        async move {
            host.create_user(&user("al")).await.unwrap();
            host.add_key(&user("al"), &format!("k{number}"), &key(u32::from(number))).await.unwrap().id
        }
    });
    let ids: std::collections::BTreeSet<u64> = futures::future::join_all(all).await.into_iter().collect();
    assert_eq!((ids.len(), host.keys(&user("al")).await.unwrap().len()), (20, 20));
    assert_eq!(host.users(&"customer".parse().unwrap()).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_users_are_listed_at_once_and_opened_in_seconds() {
    let (host, clock, directory) = host().await;
    for number in 0..1000 {
        host.create_user(&user(&format!("p{number}"))).await.unwrap();
    }
    host.ensure_repository(&user("p7"), &repo("dev")).await.unwrap();
    let start = Instant::now();
    assert_eq!(host.users(&"customer".parse().unwrap()).await.unwrap().len(), 1000);
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    host.close().await;
    drop(host);
    let start = Instant::now();
    let host = Embedded::open(Settings::new(directory.path()), clock.clock()).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert_eq!(host.search_users("p99").await.unwrap().len(), 11);
}
