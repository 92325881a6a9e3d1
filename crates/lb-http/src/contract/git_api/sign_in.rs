//! Signing in, and who may do what.

use http::Method;
use lb_vocab::{GitUser, Secret};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::types::{Access, Caller as Who, Repository};
use super::{GitApi, LISTING_LIMIT, SMALL_LIMIT};
use crate::auth::KeySet;
use crate::contract::ClientError;
use crate::contract::client::{Call, Caller};
use crate::contract::{Timeouts, TokenSource};
use crate::error::code;

/// What somebody signed in with.
#[derive(Clone, Debug)]
pub enum Login {
    /// A session, which the sign-in in a browser began.
    Session(Secret),
    /// A login at the git host with a personal access token of it.
    Token {
        /// The login.
        login: String,
        /// Its token.
        token: Secret,
    },
}

/// A token or a session.
#[derive(Clone, Debug, Deserialize)]
pub struct Issued {
    /// What to send as bearer.
    pub token: Secret,
    /// Whose it is.
    pub login: String,
    /// Seconds for which it holds.
    #[serde(rename = "expiresIn")]
    pub expires_in: u64,
}

/// git-api's doors for people who have no token yet.
#[derive(Clone, Debug)]
pub struct SignIn(Caller);

impl SignIn {
    /// The doors of the git-api at this URL.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new(base: Url, timeouts: Timeouts) -> Result<Self, ClientError> {
        Caller::new(base, TokenSource::none(), timeouts).map(Self)
    }

    /// The session that belongs to the code with which a browser came back.
    ///
    /// # Errors
    /// Where the call fails or is refused.
    pub async fn session(&self, code: &Secret, verifier: &Secret) -> Result<Issued, ClientError> {
        let body = json!({"code": code.reveal(), "codeVerifier": verifier.reveal()});
        let call = self.0.call(Method::POST, &["login", "session"])?.json(&body);
        self.0.send(call, SMALL_LIMIT).await?.object()
    }

    /// A token for `audience`: `git-api`, `configstore`, or `<producer>-<env>`. It holds for ten minutes.
    ///
    /// # Errors
    /// Where the call fails or is refused.
    pub async fn token(&self, with: &Login, audience: &str) -> Result<Issued, ClientError> {
        let path = ["login", "token"];
        let call = match with {
            Login::Session(session) => self.0.call(Method::POST, &path)?.bearer(session),
            Login::Token { login, token } => self.0.call_as(login, token, Method::POST, &path)?,
        };
        self.0.send(call.json(&json!({"audience": audience})), SMALL_LIMIT).await?.object()
    }
}

impl GitApi {
    /// Keys with which tokens that git-api issued to users can be checked.
    ///
    /// # Errors
    /// Where the call fails, or what came are no keys.
    pub async fn public_keys(&self) -> Result<KeySet, ClientError> {
        #[derive(Deserialize)]
        struct Body {
            keys: String,
        }
        let answer = self.0.send(self.0.call(Method::GET, &["keys"])?, SMALL_LIMIT).await?;
        let Body { keys } = answer.object()?;
        KeySet::from_pem(&keys, "what git-api answered").map_err(|error| answer.malformed(error.to_string()))
    }

    /// Who a login is, and what it may do with a user's repositories; `None`: nobody who may do anything.
    ///
    /// # Errors
    /// Where the call fails.
    pub async fn access(&self, user: &GitUser, login: &str) -> Result<Option<Access>, ClientError> {
        let call = self.0.call(Method::GET, &["access", user.prefix.as_str(), &user.name, login])?;
        super::optional(self.ask(call, SMALL_LIMIT).await, code::USER_NOT_FOUND)
    }

    /// Who we are.
    ///
    /// # Errors
    /// Where the call fails.
    pub async fn who_am_i(&self) -> Result<Who, ClientError> {
        self.ask(self.0.call(Method::GET, &["whoami"])?, SMALL_LIMIT).await
    }

    /// Who somebody is who has this login and password or token; `None` where they do not belong together.
    ///
    /// # Errors
    /// Where the call fails otherwise than by a refusal.
    pub async fn authenticate(&self, login: &str, password: &Secret) -> Result<Option<Who>, ClientError> {
        let call = self.0.call_as(login, password, Method::GET, &["whoami"])?;
        match self.ask(call, SMALL_LIMIT).await {
            Ok(who) => Ok(Some(who)),
            Err(ClientError::Refused { status: 401 | 403, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every repository that a login may use, with what it may do.
    ///
    /// # Errors
    /// Where the call fails.
    pub async fn reachable(&self, login: &str) -> Result<Vec<Repository>, ClientError> {
        self.repositories_of(self.0.call(Method::GET, &["people", login, "repos"])?).await
    }

    /// Every repository that we may use, with what we may do.
    ///
    /// # Errors
    /// Where the call fails.
    pub async fn my_repositories(&self) -> Result<Vec<Repository>, ClientError> {
        self.repositories_of(self.0.call(Method::GET, &["whoami", "repos"])?).await
    }

    async fn repositories_of(&self, call: Call) -> Result<Vec<Repository>, ClientError> {
        #[derive(Deserialize)]
        struct Body {
            repos: Vec<Repository>,
        }
        Ok(self.ask::<Body>(call, LISTING_LIMIT).await?.repos)
    }
}
