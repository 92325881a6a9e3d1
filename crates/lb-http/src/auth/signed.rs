//! Signed short-lived tokens: JWTs with EdDSA (Ed25519), which whoever has the public key can check.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use ed25519_dalek::{SigningKey, VerifyingKey};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use lb_vocab::{Clock, Digest, Secret};
use serde::{Deserialize, Serialize};

use super::Identity;
use crate::contract::TokenSource;

/// The longest time for which a signed token holds.
pub const MAX_LIFETIME: Duration = Duration::from_mins(10);
/// How far clocks of two machines may be apart.
const LEEWAY_SECONDS: u64 = 30;

/// A key that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Its file cannot be read or written.
    #[error("{doing} the key file {path}", path = .path.display())]
    File {
        /// `read` or `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// It is not an Ed25519 key in PEM.
    #[error("{path} is not an Ed25519 {kind} key in PEM (PKCS #8): {why}", path = .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// `private` or `public`.
        kind: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The key cannot be made or encoded.
    #[error("make a key: {0}")]
    Make(String),
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    iat: u64,
    exp: u64,
    role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    producer: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    Operator,
    System,
    Pod,
    User,
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
        let file = |doing, source| KeyError::File { doing, path: path.to_owned(), source };
        match std::fs::read_to_string(path) {
            Ok(pem) => Self::from_pem(path, &pem, issuer, clock),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                create(path)?;
                let pem = std::fs::read_to_string(path).map_err(|source| file("read", source))?;
                Self::from_pem(path, &pem, issuer, clock)
            }
            Err(error) => Err(file("read", error)),
        }
    }

    fn from_pem(path: &Path, pem: &str, issuer: &str, clock: Clock) -> Result<Self, KeyError> {
        let key = SigningKey::from_pkcs8_pem(pem).map_err(|error| KeyError::Format {
            path: path.to_owned(),
            kind: "private",
            why: error.to_string(),
        })?;
        let der = key.to_pkcs8_der().map_err(|error| KeyError::Make(error.to_string()))?;
        let encoding = EncodingKey::from_ed_der(der.as_bytes());
        let kid = kid(&key.verifying_key());
        Ok(Self(Arc::new(Inner { key, encoding, kid, issuer: issuer.to_owned(), clock })))
    }

    /// A token for this identity and audience. `None` for [`Identity::Anonymous`], and where signing fails.
    #[must_use]
    pub fn issue(&self, who: &Identity, audience: &str, lifetime: Duration) -> Option<Secret> {
        let (role, sub, producer) = match who {
            Identity::Anonymous => return None,
            Identity::User { login } => (Role::User, login.clone(), None),
            Identity::Pod { producer, component } => {
                (Role::Pod, component.clone(), Some(producer.to_string()))
            }
            Identity::System { component } => (Role::System, component.clone(), None),
            Identity::Operator => (Role::Operator, "operator".to_owned(), None),
        };
        let iat = self.0.clock.now().seconds();
        let exp = iat + lifetime.min(MAX_LIFETIME).as_secs();
        let claims =
            Claims { iss: self.0.issuer.clone(), sub, aud: audience.to_owned(), iat, exp, role, producer };
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

    /// The public key in PEM: what others need to check our tokens.
    ///
    /// # Errors
    /// Where it cannot be encoded.
    pub fn public_pem(&self) -> Result<String, KeyError> {
        let key = self.0.key.verifying_key();
        key.to_public_key_pem(LineEnding::LF).map_err(|error| KeyError::Make(error.to_string()))
    }
}

fn create(path: &Path) -> Result<(), KeyError> {
    let mut seed = [0_u8; 32];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut seed)
        .map_err(|_| KeyError::Make("no randomness is to be had".into()))?;
    let pem = SigningKey::from_bytes(&seed)
        .to_pkcs8_pem(LineEnding::LF)
        .map_err(|error| KeyError::Make(error.to_string()))?;
    let file = |source| KeyError::File { doing: "write", path: path.to_owned(), source };
    // Written beside and linked, so that two processes that start at once end up with one whole key.
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut new| new.write_all(pem.as_bytes()).and_then(|()| new.sync_all()))
        .and_then(|()| std::fs::hard_link(&beside, path));
    let _ = std::fs::remove_file(&beside);
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && path.exists() => Ok(()),
        other => other.map_err(file),
    }
}

fn kid(key: &VerifyingKey) -> String {
    Digest::of(key.as_bytes()).first(16).to_owned()
}

/// Checks tokens that were issued for one audience.
#[derive(Clone)]
pub struct Verifier {
    keys: BTreeMap<String, DecodingKey>,
    issuer: String,
    audience: String,
    clock: Clock,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verifier({:?} for {})", self.keys.keys(), self.audience)
    }
}

impl Verifier {
    /// A verifier without keys, which accepts nothing yet.
    #[must_use]
    pub fn new(issuer: &str, audience: &str, clock: Clock) -> Self {
        Self { keys: BTreeMap::new(), issuer: issuer.to_owned(), audience: audience.to_owned(), clock }
    }

    /// Accepts what this signer issues.
    #[must_use]
    pub fn trust(self, signer: &Signer) -> Self {
        self.with_key(&signer.0.key.verifying_key())
    }

    /// Accepts what the holders of the private keys to a PEM file's public keys issue; several may follow each
    /// other, so that keys can be changed without a gap.
    ///
    /// # Errors
    /// Where the file cannot be read or holds something else.
    pub fn trust_file(mut self, path: &Path) -> Result<Self, KeyError> {
        const END: &str = "-----END PUBLIC KEY-----";
        let format = |why: String| KeyError::Format { path: path.to_owned(), kind: "public", why };
        let text = std::fs::read_to_string(path).map_err(|source| KeyError::File {
            doing: "read",
            path: path.to_owned(),
            source,
        })?;
        for pem in text.split_inclusive(END).map(str::trim).filter(|pem| !pem.is_empty()) {
            let key = VerifyingKey::from_public_key_pem(pem).map_err(|error| format(error.to_string()))?;
            self = self.with_key(&key);
        }
        if self.keys.is_empty() { Err(format("it is empty".into())) } else { Ok(self) }
    }

    /// Whose tokens it accepts.
    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    fn with_key(mut self, key: &VerifyingKey) -> Self {
        self.keys.insert(kid(key), DecodingKey::from_ed_der(key.as_bytes()));
        self
    }

    /// Whose token this is; `None` for anything that is not exactly right.
    #[must_use]
    pub fn identify(&self, token: &str) -> Option<Identity> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let key = self.keys.get(header.kid.as_deref()?)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[&self.audience]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        // Time is checked below, on the injected clock.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &validation).ok()?.claims;
        let now = self.clock.now().seconds();
        let young = claims.iat <= now + LEEWAY_SECONDS;
        let short = claims.exp.checked_sub(claims.iat)? <= MAX_LIFETIME.as_secs();
        let valid = now < claims.exp;
        if young && short && valid { identity(claims) } else { None }
    }
}

fn identity(claims: Claims) -> Option<Identity> {
    match (claims.role, claims.producer) {
        (Role::Operator, None) => Some(Identity::Operator),
        (Role::System, None) => Some(Identity::System { component: claims.sub }),
        (Role::User, None) => Some(Identity::User { login: claims.sub }),
        (Role::Pod, Some(producer)) => {
            Some(Identity::Pod { producer: producer.parse().ok()?, component: claims.sub })
        }
        (Role::Pod, None) | (Role::Operator | Role::System | Role::User, Some(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

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
        let verifier = Verifier::new("lb", "git-api", clock.clock()).trust(&signer);
        Case { _directory: directory, clock, signer, verifier }
    }

    fn system() -> Identity {
        Identity::System { component: "actualizer".into() }
    }

    #[test]
    fn every_identity_round_trips() {
        let case = case();
        let pod = Identity::Pod { producer: "big-corp-dev".parse().unwrap(), component: "workspace".into() };
        for who in [Identity::Operator, system(), pod, Identity::User { login: "customer-al".into() }] {
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
        let issuer = Verifier::new("else", "git-api", case.clock.clock()).trust(&case.signer);
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
            let claims = Claims {
                iss: "lb".into(),
                sub: "x".into(),
                aud: "git-api".into(),
                iat,
                exp,
                role: Role::System,
                producer: None,
            };
            let token = jsonwebtoken::encode(&header, &claims, &case.signer.0.encoding).unwrap();
            assert!(case.verifier.identify(&token).is_none(), "{iat} {exp}");
        }
    }

    #[test]
    fn the_key_is_made_once_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        let clock = ManualClock::default();
        let first = Signer::load_or_create(&path, "lb", clock.clock()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        let again = Signer::load_or_create(&path, "lb", clock.clock()).unwrap();
        assert_eq!(first.0.kid, again.0.kid);
        std::fs::write(&path, "nonsense").unwrap();
        assert!(matches!(Signer::load_or_create(&path, "lb", clock.clock()), Err(KeyError::Format { .. })));
    }

    #[test]
    fn public_keys_come_from_a_file_several_at_once() {
        let (a, b) = (case(), case());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            format!("{}{}", a.signer.public_pem().unwrap(), b.signer.public_pem().unwrap()),
        )
        .unwrap();
        let verifier = Verifier::new("lb", "git-api", a.clock.clock()).trust_file(file.path()).unwrap();
        for case in [&a, &b] {
            let token = case.signer.issue(&system(), "git-api", MAX_LIFETIME).unwrap();
            assert_eq!(verifier.identify(token.reveal()), Some(system()));
        }
        std::fs::write(file.path(), "").unwrap();
        assert!(Verifier::new("lb", "git-api", a.clock.clock()).trust_file(file.path()).is_err());
    }
}
