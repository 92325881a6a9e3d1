//! Push webhooks between a git server and the configstore: where each is delivered, and with which secret.
//!
//! git-api registers them and the configstore checks them; both have the one key from which a secret for each
//! repository is made, so that none of these has to be kept anywhere. What a delivery says in its body is not used: the
//! repository stands in the address, and only its secret signs for it.

use hmac::{Hmac, Mac};
use http::HeaderMap;
use lb_vocab::Secret;
use sha2::{Digest, Sha256};
use url::Url;

/// Headers that carry the body's HMAC-SHA256 as hex digits: Gitea's, and the one that several servers share.
const SIGNATURES: [&str; 2] = ["x-gitea-signature", "x-hub-signature-256"];
/// The parameter that names the repository: `<login>/<name>`.
const REPOSITORY: &str = "repository";
/// The parameter that shows which key made the secret, so that a webhook with an older one is seen and replaced.
const KEY: &str = "key";
/// Hex digits of it.
const KEY_DIGITS: usize = 8;

/// The key of all webhooks.
#[derive(Clone, Debug)]
pub struct HookKey(Secret);

impl HookKey {
    /// The key, as `HOOK_SECRET` has it.
    #[must_use]
    pub fn new(key: Secret) -> Self {
        Self(key)
    }

    /// What deliveries about a repository (`<login>/<name>`) are signed with.
    #[must_use]
    pub fn secret(&self, repository: &str) -> Secret {
        Secret::new(hex::encode(self.mac(repository).finalize().into_bytes()))
    }

    /// Where deliveries about a repository go.
    #[must_use]
    pub fn address(&self, target: &Url, repository: &str) -> Url {
        let mut address = target.clone();
        let fingerprint = hex::encode(Sha256::digest(self.mac("fingerprint").finalize().into_bytes()));
        address
            .query_pairs_mut()
            .clear()
            .append_pair(REPOSITORY, repository)
            .append_pair(KEY, &fingerprint[..KEY_DIGITS]);
        address
    }

    fn mac(&self, text: &str) -> Hmac<Sha256> {
        let mut mac = keyed(&self.0);
        mac.update(text.as_bytes());
        mac
    }
}

/// An HMAC-SHA256 with this secret, as git servers sign bodies.
#[must_use]
pub fn keyed(secret: &Secret) -> Hmac<Sha256> {
    match Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes keys of any length"),
    }
}

/// The repository that an address names: its query's `repository`.
#[must_use]
pub fn repository(query: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == REPOSITORY)
        .map(|(_, value)| value.into_owned())
}

/// The signature that the headers carry. `None` where there is none, one is none, or two disagree.
#[must_use]
pub fn signature(headers: &HeaderMap) -> Option<Vec<u8>> {
    let values = SIGNATURES.iter().flat_map(|name| headers.get_all(*name));
    let mut signatures = values.map(|value| {
        let text = value.to_str().ok()?;
        hex::decode(text.strip_prefix("sha256=").unwrap_or(text)).ok()
    });
    let first = signatures.next()??;
    signatures.all(|other| other.as_ref() == Some(&first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_repository_has_a_secret_of_its_own_that_the_key_alone_leads_to() {
        let key = |text: &str| HookKey::new(Secret::new(text.to_owned()));
        let secret = |k: &str, repository| key(k).secret(repository).reveal().clone();
        assert_eq!(secret("k", "customer-al/dev"), secret("k", "customer-al/dev"));
        assert_ne!(secret("k", "customer-al/dev"), secret("k", "customer-bob/dev"));
        assert_ne!(secret("k", "customer-al/dev"), secret("other", "customer-al/dev"));
    }

    #[test]
    fn an_address_names_its_repository_and_shows_a_changed_key_but_not_the_key() {
        let target: Url = "http://configstore.default/hook?x=1".parse().unwrap();
        let address = |key: &str| HookKey::new(Secret::new(key.into())).address(&target, "customer-al/dev");
        assert_eq!(repository(address("hunter2").query().unwrap()).as_deref(), Some("customer-al/dev"));
        assert_eq!(address("hunter2").path(), "/hook");
        assert_ne!(address("hunter2"), address("hunter3"));
        assert!(!address("hunter2").as_str().contains("hunter2"));
        assert_eq!(repository("x=1"), None);
    }

    #[test]
    fn every_signature_that_is_given_must_be_the_same_one() {
        let of = |values: &[(&'static str, &[u8])]| {
            let value = |bytes| http::HeaderValue::from_bytes(bytes).unwrap();
            let mut headers = HeaderMap::new();
            for (name, bytes) in values {
                headers.append(*name, value(bytes));
            }
            signature(&headers)
        };
        let [gitea, shared] = SIGNATURES;
        assert_eq!(of(&[(gitea, b"00ff")]), Some(vec![0, 255]));
        assert_eq!(of(&[(shared, b"sha256=00ff"), (gitea, b"00FF")]), Some(vec![0, 255]));
        assert_eq!(of(&[(shared, b"sha256=00ff"), (gitea, b"00fe")]), None);
        assert_eq!(of(&[(gitea, b"00ff"), (gitea, b"00fe")]), None);
        for bad in [&b"0"[..], b"sha1=00ff", b"nonsense", &[0xe4]] {
            assert_eq!(of(&[(gitea, bad)]), None);
            assert_eq!(of(&[(gitea, b"00ff"), (shared, bad)]), None);
        }
        assert_eq!(of(&[]), None);
    }
}
