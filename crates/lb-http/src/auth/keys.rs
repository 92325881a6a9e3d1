//! Ed25519 keys: a private one in a file of its own, public ones in PEM, several at once.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use ed25519_dalek::{SigningKey, VerifyingKey};
use jsonwebtoken::DecodingKey;
use lb_vocab::Digest;

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
    #[error("{from} is not an Ed25519 {kind} key in PEM (PKCS #8): {why}")]
    Format {
        /// The file, or who answered it.
        from: String,
        /// `private` or `public`.
        kind: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The key cannot be made or encoded.
    #[error("make a key: {0}")]
    Make(String),
}

/// Public keys by their ids; several, so that keys can be changed without a gap.
#[derive(Clone, Default)]
pub struct KeySet(BTreeMap<String, (DecodingKey, VerifyingKey)>);

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl KeySet {
    /// The keys of a PEM file, one after the other.
    ///
    /// # Errors
    /// Where the file cannot be read, is empty or holds something else.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let text = std::fs::read_to_string(path).map_err(|source| KeyError::File {
            doing: "read",
            path: path.to_owned(),
            source,
        })?;
        Self::from_pem(&text, &path.display().to_string())
    }

    /// The keys of a text in PEM; `from` is where it is from, for errors.
    ///
    /// # Errors
    /// Where it is empty or holds something else.
    pub fn from_pem(text: &str, from: &str) -> Result<Self, KeyError> {
        const END: &str = "-----END PUBLIC KEY-----";
        let format = |why: String| KeyError::Format { from: from.to_owned(), kind: "public", why };
        let mut keys = Self::default();
        for pem in text.split_inclusive(END).map(str::trim).filter(|pem| !pem.is_empty()) {
            let key = VerifyingKey::from_public_key_pem(pem).map_err(|error| format(error.to_string()))?;
            keys = keys.with(&key);
        }
        if keys.0.is_empty() { Err(format("it is empty".into())) } else { Ok(keys) }
    }

    /// The keys in PEM.
    ///
    /// # Errors
    /// Where one cannot be encoded.
    pub fn pem(&self) -> Result<String, KeyError> {
        let pem = |(_, key): &(DecodingKey, VerifyingKey)| key.to_public_key_pem(LineEnding::LF);
        self.0.values().map(pem).collect::<Result<_, _>>().map_err(|error| KeyError::Make(error.to_string()))
    }

    pub(super) fn with(mut self, key: &VerifyingKey) -> Self {
        self.0.insert(kid(key), (DecodingKey::from_ed_der(key.as_bytes()), *key));
        self
    }

    pub(super) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// The key that a token says it was signed with.
    pub(super) fn of(&self, token: &str) -> Option<&DecodingKey> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        self.0.get(header.kid.as_deref()?).map(|(key, _)| key)
    }
}

/// The id of a key.
pub(super) fn kid(key: &VerifyingKey) -> String {
    Digest::of(key.as_bytes()).first(16).to_owned()
}

/// The private key in a PEM file, made where the file does not exist, readable by its owner alone.
pub(super) fn load_or_create(path: &Path) -> Result<SigningKey, KeyError> {
    let file = |doing, source| KeyError::File { doing, path: path.to_owned(), source };
    let pem = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            create(path)?;
            std::fs::read_to_string(path)
        }
        read => read,
    };
    let pem = pem.map_err(|source| file("read", source))?;
    SigningKey::from_pkcs8_pem(&pem).map_err(|error| KeyError::Format {
        from: path.display().to_string(),
        kind: "private",
        why: error.to_string(),
    })
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_is_made_once_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        let first = load_or_create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        assert_eq!(first.verifying_key(), load_or_create(&path).unwrap().verifying_key());
        std::fs::write(&path, "nonsense").unwrap();
        assert!(matches!(load_or_create(&path), Err(KeyError::Format { .. })));
    }

    #[test]
    fn public_keys_come_several_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let key = |name| load_or_create(&directory.path().join(name)).unwrap().verifying_key();
        let both = KeySet::default().with(&key("a")).with(&key("b"));
        let file = directory.path().join("public.pem");
        std::fs::write(&file, both.pem().unwrap()).unwrap();
        let read = KeySet::read(&file).unwrap();
        assert_eq!(format!("{read:?}"), format!("{both:?}"));
        assert_eq!(read.0.len(), 2);
        for bad in ["", "nonsense", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"] {
            assert!(KeySet::from_pem(bad, "git-api").is_err(), "{bad}");
        }
    }
}
