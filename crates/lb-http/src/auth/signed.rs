//! Signed short-lived tokens: JWTs with EdDSA (Ed25519), which whoever has the public key can check.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header, Validation};
use lb_vocab::{Clock, Secret};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Identity;
use super::keys::{self, KeyError, KeySet};
use crate::contract::TokenSource;
use crate::contract::git_api::Permission;

/// The longest time for which a token that says who somebody is holds.
pub const MAX_LIFETIME: Duration = Duration::from_mins(10);
/// How far clocks of two machines may be apart.
const LEEWAY_SECONDS: u64 = 30;

/// What a token says beside its content.
#[derive(Debug, Serialize, Deserialize)]
struct Claims<T> {
    iss: String,
    aud: String,
    iat: u64,
    exp: u64,
    #[serde(flatten)]
    content: T,
}

/// An identity as a token's content.
#[derive(Debug, Serialize, Deserialize)]
struct Who {
    sub: String,
    role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    producer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reach: Option<Permission>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    Operator,
    System,
    Pod,
    User,
}

impl Who {
    fn of(who: &Identity) -> Option<Self> {
        let (role, sub, producer, reach) = match who {
            Identity::Anonymous => return None,
            Identity::User { login, reach } => (Role::User, login.clone(), None, Some(*reach)),
            Identity::Pod { producer, component } => {
                (Role::Pod, component.clone(), Some(producer.to_string()), None)
            }
            Identity::System { component } => (Role::System, component.clone(), None, None),
            Identity::Operator => (Role::Operator, "operator".to_owned(), None, None),
        };
        Some(Self { sub, role, producer, reach })
    }

    fn identity(self) -> Option<Identity> {
        match (self.role, self.producer, self.reach) {
            (Role::Operator, None, None) => Some(Identity::Operator),
            (Role::System, None, None) => Some(Identity::System { component: self.sub }),
            (Role::User, None, Some(reach)) => Some(Identity::User { login: self.sub, reach }),
            (Role::Pod, Some(producer), None) => {
                Some(Identity::Pod { producer: producer.parse().ok()?, component: self.sub })
            }
            (Role::Operator | Role::System | Role::Pod | Role::User, _, _) => None,
        }
    }
}

/// Whether this is a token that somebody signed, for whomever.
pub(super) fn is_token(text: &Secret) -> bool {
    jsonwebtoken::decode_header(text.reveal()).is_ok()
}

/// Issues tokens.
#[derive(Clone)]
pub struct Signer(Arc<Inner>);

struct Inner {
    key: SigningKey,
    encoding: EncodingKey,
    kid: String,
    issuer: String,
    clock: Clock,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.0.kid)
    }
}

impl Signer {
    /// The key in a PEM file. Where the file does not exist it is made, readable by its owner alone.
    ///
    /// # Errors
    /// Where the file cannot be read or made, or holds something else.
    pub fn load_or_create(path: &Path, issuer: &str, clock: Clock) -> Result<Self, KeyError> {
        let key = keys::load_or_create(path)?;
        let der = key.to_pkcs8_der().map_err(|error| KeyError::Make(error.to_string()))?;
        let encoding = EncodingKey::from_ed_der(der.as_bytes());
        let kid = keys::kid(&key.verifying_key());
        Ok(Self(Arc::new(Inner { key, encoding, kid, issuer: issuer.to_owned(), clock })))
    }

    /// A token for this identity and audience, which holds for ten minutes at most. `None` for
    /// [`Identity::Anonymous`], and where signing fails.
    #[must_use]
    pub fn issue(&self, who: &Identity, audience: &str, lifetime: Duration) -> Option<Secret> {
        self.seal(&Who::of(who)?, audience, lifetime.min(MAX_LIFETIME))
    }

    /// Signs something that comes back to us through hands that we do not trust: it can be read there. `None` where
    /// signing fails.
    #[must_use]
    pub fn seal(&self, content: &impl Serialize, audience: &str, lifetime: Duration) -> Option<Secret> {
        let iat = self.0.clock.now().seconds();
        let exp = iat + lifetime.as_secs();
        let claims = Claims { iss: self.0.issuer.clone(), aud: audience.to_owned(), iat, exp, content };
        let header = Header { kid: Some(self.0.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, &claims, &self.0.encoding)
            .inspect_err(|error| tracing::error!(%error, "cannot sign a token"))
            .ok()
            .map(Secret::new)
    }

    /// A source of fresh tokens for a client that calls `audience` as `who`.
    #[must_use]
    pub fn source(&self, who: Identity, audience: &str) -> TokenSource {
        let (signer, audience) = (self.clone(), audience.to_owned());
        TokenSource::new(move || signer.issue(&who, &audience, Duration::from_mins(2)))
    }

    /// What checks those of our tokens that are for one audience.
    #[must_use]
    pub fn verifier(&self, audience: &str) -> Verifier {
        Verifier::new(&self.0.issuer, audience, self.0.clock.clone()).trust(self.public_keys())
    }

    /// What others need to check our tokens.
    #[must_use]
    pub fn public_keys(&self) -> KeySet {
        KeySet::default().with(&self.0.key.verifying_key())
    }
}

/// Checks tokens that were issued for one audience.
#[derive(Clone)]
pub struct Verifier {
    keys: KeySet,
    issuer: String,
    audience: String,
    longest: Duration,
    clock: Clock,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verifier({:?} for {})", self.keys, self.audience)
    }
}

impl Verifier {
    /// A verifier without keys, which accepts nothing yet.
    #[must_use]
    pub fn new(issuer: &str, audience: &str, clock: Clock) -> Self {
        let (issuer, audience) = (issuer.to_owned(), audience.to_owned());
        Self { keys: KeySet::default(), issuer, audience, longest: MAX_LIFETIME, clock }
    }

    /// Accepts what the holders of these keys issue, too.
    #[must_use]
    pub fn trust(self, keys: KeySet) -> Self {
        Self { keys: self.keys.and(keys), ..self }
    }

    /// Accepts what holds for longer than ten minutes.
    #[must_use]
    pub fn up_to(self, longest: Duration) -> Self {
        Self { longest, ..self }
    }

    /// Whose tokens it accepts.
    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The content of a token; `None` for anything that is not exactly right.
    #[must_use]
    pub fn open<T: DeserializeOwned>(&self, token: &str) -> Option<T> {
        let key = self.keys.of(token)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[&self.audience]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_required_spec_claims(&["exp", "aud", "iss"]);
        // Time is checked below, on the injected clock.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims<T>>(token, key, &validation).ok()?.claims;
        let now = self.clock.now().seconds();
        let young = claims.iat <= now + LEEWAY_SECONDS;
        let short = claims.exp.checked_sub(claims.iat)? <= self.longest.as_secs();
        let valid = now < claims.exp;
        (young && short && valid).then_some(claims.content)
    }

    /// Whose token this is; `None` for anything that is not exactly right.
    #[must_use]
    pub fn identify(&self, token: &str) -> Option<Identity> {
        self.open::<Who>(token)?.identity()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use lb_testkit::clock::ManualClock;

    use super::*;

    struct Case {
        _directory: tempfile::TempDir,
        clock: ManualClock,
        signer: Signer,
        verifier: Verifier,
    }

    fn case() -> Case {
        let directory = tempfile::tempdir().unwrap();
        let clock = ManualClock::default();
        let signer = Signer::load_or_create(&directory.path().join("key.pem"), "lb", clock.clock()).unwrap();
        let verifier = Verifier::new("lb", "git-api", clock.clock()).trust(signer.public_keys());
        Case { _directory: directory, clock, signer, verifier }
    }

    fn system() -> Identity {
        Identity::System { component: "actualizer".into() }
    }

    #[test]
    fn every_identity_round_trips() {
        let case = case();
        let pod = Identity::Pod { producer: "big-corp-dev".parse().unwrap(), component: "workspace".into() };
        for who in [Identity::Operator, system(), pod, Identity::user("customer-al")] {
            let token = case.signer.issue(&who, "git-api", MAX_LIFETIME).unwrap();
            assert_eq!(case.verifier.identify(token.reveal()), Some(who));
        }
        assert!(case.signer.issue(&Identity::Anonymous, "git-api", MAX_LIFETIME).is_none());
    }

    #[test]
    fn what_is_not_exactly_right_is_nobody() {
        let case = case();
        let issue = |audience| {
            case.signer.issue(&system(), audience, Duration::from_hours(9)).unwrap().reveal().clone()
        };
        assert!(case.verifier.identify(&issue("configstore")).is_none(), "audience");
        let good = issue("git-api");
        let (rest, _) = good.rsplit_once('.').unwrap();
        assert!(case.verifier.identify(rest).is_none(), "no signature");
        assert!(case.verifier.identify(&format!("{rest}.")).is_none(), "empty signature");
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        let (_, claims) = rest.split_once('.').unwrap();
        assert!(case.verifier.identify(&format!("{none}.{claims}.")).is_none(), "alg none");
        let other = self::case();
        assert!(other.verifier.identify(&good).is_none(), "another key");
        let issuer = Verifier::new("else", "git-api", case.clock.clock()).trust(case.signer.public_keys());
        assert!(issuer.identify(&good).is_none(), "issuer");
        assert!(case.verifier.identify(&good).is_some());
        case.clock.advance(MAX_LIFETIME - Duration::from_secs(1));
        assert!(case.verifier.identify(&good).is_some());
        case.clock.advance(Duration::from_secs(1));
        assert!(case.verifier.identify(&good).is_none(), "expired after ten minutes, whatever was asked for");
    }

    #[test]
    fn a_long_or_future_token_of_the_right_key_is_refused() {
        let case = case();
        let now = case.clock.clock().now().seconds();
        let header = Header { kid: Some(case.signer.0.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        for (iat, exp) in [(now, now + 601), (now + 60, now + 120), (now, now), (now + 5, now)] {
            let content = Who::of(&system()).unwrap();
            let claims = Claims { iss: "lb".into(), aud: "git-api".into(), iat, exp, content };
            let token = jsonwebtoken::encode(&header, &claims, &case.signer.0.encoding).unwrap();
            assert!(case.verifier.identify(&token).is_none(), "{iat} {exp}");
        }
    }

    #[test]
    fn what_is_sealed_for_something_else_is_no_identity() {
        let case = case();
        let session = case.signer.seal(&"al", "session", Duration::from_hours(1));
        assert!(session.is_none(), "a content has names");
        let content = std::collections::BTreeMap::from([("sub", "customer-al")]);
        let session = case.signer.seal(&content, "git-api", Duration::from_hours(1)).unwrap();
        assert!(case.verifier.identify(session.reveal()).is_none(), "it has no role");
        let open = |verifier: &Verifier| verifier.open::<serde_json::Value>(session.reveal());
        assert!(open(&case.verifier).is_none(), "it holds for too long");
        assert_eq!(open(&case.verifier.up_to(Duration::from_hours(1))).unwrap()["sub"], "customer-al");
    }
}
