//! From a request's `Authorization` header to an identity.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use http::{HeaderMap, header};
use lb_vocab::Secret;
use lb_vocab::settings::AuthMode;

use super::{Identity, Reviews, StaticTokens, Verifier, signed};
use crate::contract::git_api::Permission;
use crate::error::ApiError;

/// Names and passwords (or personal tokens) of git users.
pub trait Passwords: Send + Sync {
    /// The most that this password or token lets the user do with any repository; `None`: it is not the user's.
    fn check<'a>(
        &'a self,
        login: &'a str,
        password: &'a Secret,
    ) -> BoxFuture<'a, Result<Option<Permission>, ApiError>>;
}

/// Says who calls.
#[derive(Clone)]
pub struct Authenticator {
    mode: AuthMode,
    tokens: StaticTokens,
    verifier: Option<Verifier>,
    reviews: Option<Reviews>,
    passwords: Option<Arc<dyn Passwords>>,
}

impl Authenticator {
    /// An authenticator that knows these static tokens. `AuthMode::None` is said loudly.
    #[must_use]
    pub fn new(mode: AuthMode, tokens: StaticTokens) -> Self {
        if mode == AuthMode::None {
            tracing::warn!(
                "AUTH_MODE=none: EVERY CALLER IS THE OPERATOR. For closed development set-ups only."
            );
        }
        Self { mode, tokens, verifier: None, reviews: None, passwords: None }
    }

    /// Accepts signed tokens, too.
    #[must_use]
    pub fn verifier(self, verifier: Verifier) -> Self {
        Self { verifier: Some(verifier), ..self }
    }

    /// Accepts tokens of another issuer, too, which it reviews.
    #[must_use]
    pub fn reviews(self, reviews: Reviews) -> Self {
        Self { reviews: Some(reviews), ..self }
    }

    /// Accepts names and passwords of git users, too.
    #[must_use]
    pub fn passwords(self, passwords: Arc<dyn Passwords>) -> Self {
        Self { passwords: Some(passwords), ..self }
    }

    /// Who sends these headers. Without credentials: anonymous.
    ///
    /// # Errors
    /// 401 for credentials that are wrong; 503 where a token cannot be reviewed now; whatever the check of a password
    /// answers.
    pub async fn identify(&self, headers: &HeaderMap) -> Result<Identity, ApiError> {
        if self.mode == AuthMode::None {
            return Ok(Identity::Operator);
        }
        if !headers.contains_key(header::AUTHORIZATION) {
            return Ok(Identity::Anonymous);
        }
        if let Some(token) = bearer(headers) {
            return self.token(&token).await?.ok_or_else(ApiError::unauthenticated);
        }
        let basic = credentials(headers, "basic").and_then(basic);
        let (login, password) = basic.ok_or_else(ApiError::unauthenticated)?;
        self.password(login, &password).await
    }

    /// Whose token this is; `None`: it is none that could be checked here. One that is reviewed and nobody's is an
    /// error, so that nothing else is tried with it.
    async fn token(&self, token: &Secret) -> Result<Option<Identity>, ApiError> {
        let own = self.tokens.identify(token.reveal());
        let own = own.or_else(|| self.verifier.as_ref()?.identify(token.reveal()));
        if own.is_some() {
            return Ok(own);
        }
        let Some(reviews) = &self.reviews else { return Ok(None) };
        let ours = self.verifier.as_ref().map(Verifier::issuer);
        let Some(concerned) = reviews.concerns(token, ours) else { return Ok(None) };
        let who = reviews.identify(token, &concerned).await?;
        who.map(Some).ok_or_else(ApiError::unauthenticated)
    }

    /// The `git` client speaks Basic alone: where the password is a token that says whose it is, the name is not
    /// looked at.
    async fn password(&self, login: String, password: &Secret) -> Result<Identity, ApiError> {
        if let Some(identity) = self.token(password).await? {
            return Ok(identity);
        }
        // Whoever is asked about passwords may be the one whom a signed token is for, and would take it for its user's.
        if signed::is_token(password) {
            return Err(ApiError::unauthenticated());
        }
        let Some(passwords) = &self.passwords else { return Err(ApiError::unauthenticated()) };
        let reach = passwords.check(&login, password).await?.ok_or_else(ApiError::unauthenticated)?;
        Ok(Identity::User { login, reach })
    }
}

/// The token that these headers show as bearer.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<Secret> {
    credentials(headers, "bearer").map(|token| Secret::new(token.to_owned()))
}

/// What stands behind this scheme in `Authorization`.
fn credentials<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let (scheme, credentials) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case(wanted).then(|| credentials.trim())
}

fn basic(credentials: &str) -> Option<(String, Secret)> {
    let decoded = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    let (login, password) = decoded.split_once(':')?;
    Some((login.to_owned(), Secret::new(password.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Passwords for Fixed {
        fn check<'a>(
            &'a self,
            login: &'a str,
            password: &'a Secret,
        ) -> BoxFuture<'a, Result<Option<Permission>, ApiError>> {
            let right = login == "customer-al" && password.reveal() == "pa:ss";
            Box::pin(async move { Ok(right.then_some(Permission::Read)) })
        }
    }

    async fn identify(header: Option<&str>) -> Result<Identity, u16> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "0123456789abcdef,root,operator\n").unwrap();
        let tokens = StaticTokens::read(file.path()).unwrap();
        let authenticator = Authenticator::new(AuthMode::Tokens, tokens).passwords(Arc::new(Fixed));
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(header::AUTHORIZATION, header.parse().unwrap());
        }
        authenticator.identify(&headers).await.map_err(|error| error.status().as_u16())
    }

    #[tokio::test]
    async fn credentials_are_right_missing_or_wrong() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(identify(None).await, Ok(Identity::Anonymous));
        assert_eq!(identify(Some("Bearer 0123456789abcdef")).await, Ok(Identity::Operator));
        assert_eq!(identify(Some("bearer  0123456789abcdef")).await, Ok(Identity::Operator));
        assert_eq!(identify(Some(&basic("x:0123456789abcdef"))).await, Ok(Identity::Operator));
        let al = Identity::User { login: "customer-al".into(), reach: Permission::Read };
        assert_eq!(identify(Some(&basic("customer-al:pa:ss"))).await, Ok(al));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer x",
            "Basic x",
            "Digest x",
            "Basic",
            &basic("customer-al"),
            &basic("customer-al:"),
            &basic("customer-bob:pa:ss"),
        ] {
            assert_eq!(identify(Some(wrong)).await, Err(401), "{wrong}");
        }
    }

    #[tokio::test]
    async fn without_authentication_everybody_is_the_operator() {
        let authenticator = Authenticator::new(AuthMode::None, StaticTokens::default());
        assert_eq!(authenticator.identify(&HeaderMap::new()).await, Ok(Identity::Operator));
    }
}
