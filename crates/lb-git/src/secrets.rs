//! Tokens: made here, shown once, kept as hashes.

use lb_vocab::Secret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::HostError;

/// What every token starts with, so that scanners for leaked secrets know it.
const START: &str = "lbt_";

/// A new token: 160 random bits.
pub(crate) fn token() -> Result<Secret, HostError> {
    Ok(Secret::new(format!("{START}{}", random_hex::<20>()?)))
}

/// So many random bytes, as hex.
pub(crate) fn random_hex<const N: usize>() -> Result<String, HostError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| HostError::io("get random bytes")(std::io::Error::other(error.to_string())))?;
    Ok(hex::encode(bytes))
}

/// Checks what a user wants to call a token.
pub(crate) fn check_name(name: &str) -> Result<(), HostError> {
    if name.trim().is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(HostError::refused(
            "a token's name has 1 to 100 characters, none of them control characters",
        ));
    }
    Ok(())
}

/// What is kept of a token. It has 160 random bits, so that no salt and no slow hash is needed.
pub(crate) fn hash(token: &Secret) -> String {
    hex::encode(Sha256::digest(token.reveal().as_bytes()))
}

/// Whether a token belongs to one of these hashes. All are compared, each in constant time.
pub(crate) fn matches<'a>(token: &Secret, hashes: impl Iterator<Item = &'a str>) -> bool {
    let wanted = hash(token);
    hashes
        .fold(subtle::Choice::from(0), |found, known| found | known.as_bytes().ct_eq(wanted.as_bytes()))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_matches_its_own_hash_alone() {
        let (one, other) = (token().unwrap(), token().unwrap());
        let known = hash(&one);
        assert!(!known.contains(one.reveal()));
        assert!(matches(&one, ["x", &*known].into_iter()));
        assert!(!matches(&other, [&*known].into_iter()));
        assert!(!matches(&one, std::iter::empty()));
        // The hash itself opens nothing.
        assert!(!matches(&Secret::new(known.clone()), [&*known].into_iter()));
    }
}
