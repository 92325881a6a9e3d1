//! Tokens of users. Gitea gives them to whoever authenticates with HTTP Basic as the user or as an administrator, and takes
//! a token in place of the password.

use http::Method;
use lb_vocab::Secret;
use serde_json::json;

use super::Inner;
use super::api::{Ask, Failure};
use super::wire::TokenBody;
use crate::error::{HostError, Kind};
use crate::names::Login;
use crate::secrets;
use crate::types::TokenInfo;

/// What a token is good for: cloning and pushing, and showing whose it is.
const SCOPES: [&str; 2] = ["write:repository", "read:user"];

impl Inner {
    pub(super) async fn create_token(
        &self,
        login: &Login,
        name: &str,
    ) -> Result<(TokenInfo, Secret), HostError> {
        secrets::check_name(name)?;
        // A user's tokens have different names at Gitea; here the name is a remark.
        let name = format!("{name} {}", secrets::random_hex::<4>()?);
        let body = json!({"name": name, "scopes": SCOPES});
        let ask = Ask::new(Method::POST, &["users", login.as_str(), "tokens"]).with_password().json(body);
        match self.api.ask(ask).await {
            Ok(answer) => {
                let TokenBody { id, name, sha1, created_at: _ } = answer.object()?;
                Ok((TokenInfo { id, name, created: self.api.now() }, sha1))
            }
            Err(Failure::Absent) => Err(HostError::not_found(Kind::User, login)),
            Err(failure) => Err(failure.host(&format!("make a token for `{login}`"))),
        }
    }

    pub(super) async fn list_tokens(&self, login: &Login) -> Result<Vec<TokenInfo>, HostError> {
        let ask = Ask::get(&["users", login.as_str(), "tokens"]).with_password();
        match self.api.list::<TokenBody>(&ask).await {
            Ok(bodies) => {
                let mut tokens: Vec<_> = bodies.into_iter().map(TokenBody::info).collect();
                tokens.sort_by_key(|token| token.id);
                Ok(tokens)
            }
            Err(Failure::Absent) => Err(HostError::not_found(Kind::User, login)),
            Err(failure) => Err(failure.host(&format!("list the tokens of `{login}`"))),
        }
    }

    pub(super) async fn revoke_token(&self, login: &Login, id: u64) -> Result<(), HostError> {
        // A number in the path could also be another token's name.
        if !self.list_tokens(login).await?.iter().any(|token| token.id == id) {
            return Err(HostError::not_found(Kind::Token, id));
        }
        let path = ["users", login.as_str(), "tokens", &id.to_string()];
        match self.api.ask(Ask::new(Method::DELETE, &path).with_password()).await {
            Ok(_) => Ok(()),
            Err(Failure::Absent) => Err(HostError::not_found(Kind::Token, id)),
            Err(failure) => Err(failure.host(&format!("revoke a token of `{login}`"))),
        }
    }
}
