//! Settings of the authorisation seam, the same for every role that serves.

use std::path::PathBuf;

use lb_vocab::Clock;
use lb_vocab::settings::{AuthMode, Reader, Variable};

use super::{Authenticator, KeyError, KeySet, Signer, StaticTokens, TokenFileError, Verifier};

const AUTH_MODE: Variable = Variable {
    name: "AUTH_MODE",
    default: Some("tokens"),
    meaning: "how callers are identified: `tokens`, or `none` (everybody is the operator; closed development set-ups only)",
};
const AUTH_TOKENS_FILE: Variable = Variable {
    name: "AUTH_TOKENS_FILE",
    default: None,
    meaning: "the file of static tokens, a line each: `token,name,role[,producer-env]`; roles: operator, system, pod, user",
};
const AUTH_SIGNING_KEY_FILE: Variable = Variable {
    name: "AUTH_SIGNING_KEY_FILE",
    default: None,
    meaning: "the Ed25519 private key (PEM) that signs short-lived tokens; made with mode 0600 where it is missing",
};
const AUTH_PUBLIC_KEYS_FILE: Variable = Variable {
    name: "AUTH_PUBLIC_KEYS_FILE",
    default: None,
    meaning: "Ed25519 public keys (PEM, one after the other) whose holders' short-lived tokens are accepted",
};
const AUTH_ISSUER: Variable = Variable {
    name: "AUTH_ISSUER",
    default: Some("lunchbadger"),
    meaning: "the issuer that short-lived tokens name",
};

/// Variables of [`AuthSettings`].
pub const VARIABLES: &[Variable] =
    &[AUTH_MODE, AUTH_TOKENS_FILE, AUTH_SIGNING_KEY_FILE, AUTH_PUBLIC_KEYS_FILE, AUTH_ISSUER];

/// How a role identifies its callers.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// By tokens, or not at all.
    pub mode: AuthMode,
    /// File of static tokens.
    pub tokens_file: Option<PathBuf>,
    /// Private key for tokens of our own.
    pub signing_key_file: Option<PathBuf>,
    /// Public keys of others.
    pub public_keys_file: Option<PathBuf>,
    /// Issuer of signed tokens.
    pub issuer: String,
}

/// Authentication that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The static tokens.
    #[error(transparent)]
    Tokens(#[from] TokenFileError),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl AuthSettings {
    /// Reads the settings.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let mut path = |variable| reader.text(variable).map(PathBuf::from);
        let tokens_file = path(&AUTH_TOKENS_FILE);
        let signing_key_file = path(&AUTH_SIGNING_KEY_FILE);
        let public_keys_file = path(&AUTH_PUBLIC_KEYS_FILE);
        let mode = reader.parsed(&AUTH_MODE);
        Self { mode, tokens_file, signing_key_file, public_keys_file, issuer: reader.required(&AUTH_ISSUER) }
    }

    /// What issues tokens of our own, where there is a key.
    ///
    /// # Errors
    /// Where the key cannot be had.
    pub fn signer(&self, clock: &Clock) -> Result<Option<Signer>, AuthError> {
        let load = |path: &PathBuf| Signer::load_or_create(path, &self.issuer, clock.clone());
        Ok(self.signing_key_file.as_ref().map(load).transpose()?)
    }

    /// What identifies people by static tokens, and by what is added: no token that was signed.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn people(&self) -> Result<Authenticator, AuthError> {
        let tokens = self.tokens_file.as_deref().map(StaticTokens::read).transpose()?.unwrap_or_default();
        Ok(Authenticator::new(self.mode, tokens))
    }

    /// What identifies callers of the role that is the audience of their tokens.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn authenticator(&self, audience: &str, clock: &Clock) -> Result<Authenticator, AuthError> {
        let mut verifier = Verifier::new(&self.issuer, audience, clock.clone());
        if let Some(signer) = self.signer(clock)? {
            verifier = verifier.trust(signer.public_keys());
        }
        if let Some(path) = &self.public_keys_file {
            verifier = verifier.trust(KeySet::read(path)?);
        }
        Ok(self.people()?.verifier(verifier))
    }
}
