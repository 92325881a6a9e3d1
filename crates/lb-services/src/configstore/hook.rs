//! The git server's push webhook. What it says is not believed: it makes us look at git-api's changes at once.

use axum::Json;
use axum::extract::{Request, State};
use hmac::{Hmac, Mac};
use http::HeaderMap;
use lb_http::error::ApiError;
use lb_http::extract::read;
use lb_vocab::Secret;
use serde_json::{Value, json};
use sha2::Sha256;

use super::Shared;

/// The largest webhook that is read, bytes; a push of many commits makes a large one.
const LIMIT: usize = 8 << 20;
/// Headers that carry the body's HMAC-SHA256 as hex digits: Gitea's, and the one that several servers share.
const SIGNATURES: [&str; 2] = ["x-gitea-signature", "x-hub-signature-256"];

pub(super) async fn hook(
    State(app): State<Shared>,
    headers: HeaderMap,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let secret = app.hook_secret.as_ref().ok_or_else(ApiError::forbidden)?;
    let signature = SIGNATURES.iter().find_map(|name| headers.get(*name)?.to_str().ok());
    let signature = signature.ok_or_else(ApiError::unauthenticated)?;
    let body = read(request.into_body(), LIMIT).await?;
    if !signed(secret, &body, signature) {
        return Err(ApiError::unauthenticated());
    }
    app.followers.look.notify_one();
    Ok(Json(json!({"ok": true})))
}

/// Compared in constant time.
fn signed(secret: &Secret, body: &[u8], signature: &str) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()) else { return false };
    mac.update(body);
    let signature = signature.strip_prefix("sha256=").unwrap_or(signature);
    hex::decode(signature).is_ok_and(|signature| mac.verify_slice(&signature).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_signature_of_this_body_does() {
        // RFC 4231, test case 2.
        let secret = Secret::new("Jefe".to_owned());
        let body = b"what do ya want for nothing?";
        let good = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert!(signed(&secret, body, good));
        assert!(signed(&secret, body, &format!("sha256={good}")));
        assert!(!signed(&secret, b"what", good));
        assert!(!signed(&Secret::new("else".to_owned()), body, good));
        for bad in ["", "sha256=", &good[..62], "nonsense"] {
            assert!(!signed(&secret, body, bad), "{bad}");
        }
    }
}
