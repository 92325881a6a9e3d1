//! Keys that Gitea takes and those that it refuses.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lb_git::GitHost;
use lb_testkit::gitea::Gitea as RealGitea;

use super::proxy::Proxy;
use super::world::Behind;
use crate::people::refused;

/// A public key of this type with these numbers, in OpenSSH's one-line form.
fn key(algorithm: &str, numbers: &[&[u8]]) -> String {
    let mut blob = Vec::new();
    for part in std::iter::once(algorithm.as_bytes()).chain(numbers.iter().copied()) {
        blob.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
        blob.extend(part);
    }
    format!("{algorithm} {}", STANDARD.encode(blob))
}

/// A number of so many bits, not that of another test's key.
fn number(bits: usize, behind: &Behind) -> Vec<u8> {
    let mut number: Vec<u8> = behind.prefix.as_str().bytes().cycle().take(bits / 8).collect();
    number[0] = 0xc5;
    number[bits / 8 - 1] |= 1;
    [&[0], &number[..]].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_refused_is_refused_with_words() {
    if lb_testkit::skip::needs_gitea().is_none() {
        return;
    }
    let real = RealGitea::shared().await;
    let behind = Behind::new(real, Proxy::before(real.url()).await, |_| {}).await;
    let (host, al) = (&behind.host, behind.user("al"));
    let rsa = |bits| key("ssh-rsa", &[&[1, 0, 1], &number(bits, &behind)]);
    let dss = key("ssh-dss", &[&number(1024, &behind), &number(160, &behind), &[2], &[3]]);
    for (what, refusable) in [("dss", dss), ("rsa 1024", rsa(1024)), ("rsa 512", rsa(512))] {
        let why = refused(host.add_key(&al, what, &refusable).await);
        assert!(why.starts_with("Invalid key content"), "{what}: {why}");
    }
    assert_eq!(host.keys(&al).await.unwrap(), []);
    let long = host.add_key(&al, "rsa 3072", &rsa(3072)).await.unwrap();
    assert_eq!(host.keys(&al).await.unwrap(), [long]);
}
