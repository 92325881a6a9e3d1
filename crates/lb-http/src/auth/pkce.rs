//! Proof that whoever comes back with a code is whoever began (RFC 7636, method S256).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lb_vocab::Secret;
use sha2::{Digest, Sha256};

/// Random bytes of a verifier.
const BYTES: usize = 32;

/// A new verifier: 43 characters that nobody guesses.
///
/// # Errors
/// Where the system has no random bytes.
pub fn verifier() -> Result<Secret, getrandom::Error> {
    let mut bytes = [0_u8; BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(bytes)))
}

/// The challenge of a verifier.
#[must_use]
pub fn challenge(verifier: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.reveal()))
}

/// Whether a text can be the challenge of a verifier.
#[must_use]
pub fn is_challenge(text: &str) -> bool {
    URL_SAFE_NO_PAD.decode(text).is_ok_and(|digest| digest.len() == Sha256::output_size())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_that_of_the_rfc() {
        // RFC 7636, appendix B.
        let known = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned());
        assert_eq!(challenge(&known), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        let (one, other) = (verifier().unwrap(), verifier().unwrap());
        assert!(one.reveal() != other.reveal() && one.reveal().len() == 43);
        assert!(is_challenge(&challenge(&one)));
        for bad in ["", "short", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM=", "\u{e9}"] {
            assert!(!is_challenge(bad), "{bad}");
        }
    }
}
