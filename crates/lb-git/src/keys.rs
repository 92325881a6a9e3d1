//! Which public SSH keys are accepted: those that Gitea accepts by default, so that a key moves with its user.

use ssh_key::public::KeyData;
use ssh_key::{HashAlg, PublicKey};

use crate::error::HostError;

/// Gitea's `[ssh.minimum_key_sizes] RSA`, bits.
const MIN_RSA_BITS: usize = 3071;
/// Gitea's title column, characters.
const MAX_TITLE: usize = 255;
/// A key's line at most, bytes: an RSA key of 16,384 bits with a comment.
const MAX_KEY: usize = 8192;
/// Keys with such a title are the system's own; a newer one replaces an older one.
pub(crate) const INTERNAL: &str = "lunchbadger-internal-";

/// A key that is accepted.
pub(crate) struct Accepted {
    /// `ssh-ed25519 AAAA... comment`, as it is kept.
    pub(crate) line: String,
    /// `SHA256:...`
    pub(crate) fingerprint: String,
}

/// Checks a key. The error's text is for the user.
pub(crate) fn check(text: &str) -> Result<Accepted, HostError> {
    let text = text.trim();
    let refuse = |why: String| HostError::refused(format!("Invalid key content: {why}"));
    if text.contains("PRIVATE KEY") {
        return Err(refuse(
            "this is a private key: keep it, make a new one, and send the file that ends in `.pub`".into(),
        ));
    }
    if text.len() > MAX_KEY || text.chars().any(char::is_control) {
        return Err(refuse(format!("a key is one line of at most {MAX_KEY} bytes")));
    }
    let key = PublicKey::from_openssh(text)
        .map_err(|_| refuse("it is not an OpenSSH public key (`ssh-ed25519 AAAA... comment`)".into()))?;
    if let Some(why) = unacceptable(key.key_data()) {
        return Err(refuse(why));
    }
    let line = key.to_openssh().map_err(|error| refuse(error.to_string()))?;
    Ok(Accepted { line, fingerprint: key.fingerprint(HashAlg::Sha256).to_string() })
}

/// Checks what a user wants to call a key.
pub(crate) fn check_title(title: &str) -> Result<(), HostError> {
    if title.trim().is_empty() || title.chars().count() > MAX_TITLE || title.chars().any(char::is_control) {
        return Err(HostError::refused(format!(
            "a key's title has 1 to {MAX_TITLE} characters, none of them control characters"
        )));
    }
    Ok(())
}

fn unacceptable(key: &KeyData) -> Option<String> {
    if key.is_ed25519() || key.is_ecdsa() || key.is_sk_ed25519() || key.is_sk_ecdsa_p256() {
        return None;
    }
    let Some(rsa) = key.rsa() else {
        return Some(format!("keys of the type {} are not accepted; use ssh-ed25519", key.algorithm()));
    };
    let bits = rsa.n.as_positive_bytes().map_or(0, bits);
    (bits < MIN_RSA_BITS).then(|| {
        format!("RSA keys have at least {MIN_RSA_BITS} bits, this one has {bits}; ssh-ed25519 is better")
    })
}

/// Length of a number in bits, without leading zeros.
fn bits(bytes: &[u8]) -> usize {
    let used = bytes.iter().skip_while(|byte| **byte == 0);
    let first = used.clone().next().map_or(0, |byte| byte.leading_zeros() as usize);
    (used.count() * 8).saturating_sub(first)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;

    fn refused(text: &str) -> String {
        match check(text) {
            Err(HostError::Refused { why }) => why,
            Err(other) => panic!("{other}"),
            Ok(accepted) => panic!("accepted {}", accepted.line),
        }
    }

    /// Keys and fingerprints of the real `ssh-keygen`.
    #[test]
    fn types_and_fingerprints_are_those_of_openssh() {
        let Some(keygen) = lb_testkit::skip::needs("ssh-keygen", "apt-get install openssh-client") else {
            return;
        };
        let directory = tempfile::tempdir().unwrap();
        for (kind, bits, good) in [
            ("ed25519", "256", true),
            ("ecdsa", "384", true),
            ("rsa", "3072", true),
            ("rsa", "2048", false),
            ("dsa", "1024", false),
        ] {
            let file = directory.path().join(format!("{kind}{bits}"));
            let make = run(
                &keygen,
                &["-q", "-t", kind, "-b", bits, "-N", "", "-C", "al@home", "-f", file.to_str().unwrap()],
            );
            if make.is_none() && kind == "dsa" {
                continue;
            }
            let public = std::fs::read_to_string(file.with_extension("pub")).unwrap();
            if !good {
                assert!(refused(&public).starts_with("Invalid key content: "), "{kind} {bits}");
                continue;
            }
            let accepted = check(&public).unwrap_or_else(|error| panic!("{kind} {bits}: {error}"));
            assert_eq!(accepted.line, public.trim());
            let listed = run(&keygen, &["-l", "-f", file.to_str().unwrap()]).unwrap();
            assert_eq!(listed.split(' ').nth(1), Some(&*accepted.fingerprint), "{kind}");
            assert!(refused(&std::fs::read_to_string(&file).unwrap()).contains("private key"));
        }
    }

    fn run(program: &Path, arguments: &[&str]) -> Option<String> {
        let output = Command::new(program).args(arguments).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn what_is_no_key_is_refused_with_a_text() {
        for bad in [
            "",
            "hello",
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ",
            "command=\"sh\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE5D",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== a\nssh-ed25519 AAAA b",
            &"a".repeat(10_000),
        ] {
            assert!(refused(bad).starts_with("Invalid key content: "), "{bad}");
        }
        assert!(check_title("").is_err() && check_title("a\nb").is_err() && check_title("laptop").is_ok());
    }

    #[test]
    fn bits_are_counted_without_leading_zeros() {
        assert_eq!(bits(&[]), 0);
        assert_eq!(bits(&[0, 1]), 1);
        assert_eq!(bits(&[0x80, 0]), 16);
    }
}
