//! What a token says of itself, before anybody has checked it: good enough to refuse it, never to admit it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lb_vocab::Timestamp;
use serde::Deserialize;

/// Longer tokens are nobody's: service-account tokens have about 1,500 characters.
const MAX_TOKEN: usize = 16 * 1024;

/// The claims of a JWT that decide whom to ask about it.
pub(super) struct Claims {
    pub(super) issuer: Option<String>,
    pub(super) audiences: Vec<String>,
    pub(super) expires: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Wire {
    iss: Option<String>,
    #[serde(default)]
    aud: Audiences,
    exp: Option<u64>,
}

/// One audience may stand without its list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Many(Vec<String>),
}

impl Default for Audiences {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Claims {
    /// Reads them; `None` where it is no JWT.
    pub(super) fn read(token: &str) -> Option<Self> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let mut parts = token.split('.');
        let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        let Wire { iss, aud, exp } = serde_json::from_slice(&claims).ok()?;
        let audiences = match aud {
            Audiences::One(audience) => vec![audience],
            Audiences::Many(audiences) => audiences,
        };
        let expires = exp.and_then(|seconds| seconds.checked_mul(1000)).map(Timestamp);
        Some(Self { issuer: iss, audiences, expires })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(claims: &str) -> Option<Claims> {
        Claims::read(&format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims)))
    }

    #[test]
    fn one_audience_or_many() {
        let one = read(r#"{"iss":"k","aud":"git-api","exp":7,"sub":"x"}"#).unwrap();
        assert_eq!((one.issuer.as_deref(), one.expires), (Some("k"), Some(Timestamp(7000))));
        assert_eq!(one.audiences, ["git-api"]);
        assert_eq!(read(r#"{"aud":["a","b"]}"#).unwrap().audiences, ["a", "b"]);
        let none = read("{}").unwrap();
        assert!(none.issuer.is_none() && none.audiences.is_empty() && none.expires.is_none());
        assert!(read(r#"{"exp":18446744073709551615}"#).unwrap().expires.is_none());
    }

    #[test]
    fn what_is_no_jwt_says_nothing() {
        let good = URL_SAFE_NO_PAD.encode("{}");
        for bad in [
            "",
            "..",
            "a.b",
            "a.b.c",
            &good,
            &format!("a.{good}"),
            &format!("a.{good}.c.d"),
            &format!("a.{good}.{}", "c".repeat(MAX_TOKEN)),
        ] {
            assert!(Claims::read(bad).is_none(), "{}", &bad[..bad.len().min(40)]);
        }
        assert!(read("[]").is_none() && read(r#"{"aud":7}"#).is_none() && read(r#"{"exp":-1}"#).is_none());
    }
}
