//! Tokens of users. Gitea gives them to whoever authenticates with HTTP Basic as the user or as an administrator, and takes
//! a token in place of the password.

use http::Method;
use lb_vocab::Secret;
use serde_json::json;

use super::Inner;
use super::api::{Ask, Failure};
use super::wire::{TokenBody, UserBody};
use crate::error::{HostError, Kind};
use crate::names::Login;
use crate::secrets;
use crate::types::{Permission, TokenInfo};

/// What a token is good for: cloning and pushing, and showing whose it is.
const SCOPES: [&str; 2] = ["write:repository", "read:user"];

/// The most that a token with these scopes lets its user do with private repositories.
fn reach(scopes: &[String]) -> Option<Permission> {
    let has = |scope: &str| scopes.iter().any(|given| given == scope);
    if has("public-only") {
        None
    } else if has("all") || has("write:repository") {
        Some(Permission::Admin)
    } else if has("read:repository") {
        Some(Permission::Read)
    } else {
        None
    }
}

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
                let TokenBody { id, name, sha1, .. } = answer.object()?;
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

    /// The most that a token lets its user do. Gitea checks scopes of tokens at its own doors only, and what comes through
    /// ours comes with the administrator's token: so they are looked up among the user's tokens. Gitea takes other things in
    /// a token's place, too, among them what OAuth 2 applications got, with scopes that it tells nobody: here they open nothing.
    pub(super) async fn authenticate(
        &self,
        login: &Login,
        password: &Secret,
    ) -> Result<Option<Permission>, HostError> {
        let doing = format!("check the password of `{login}`");
        let ask = Ask::get(&["user"]).signed_in(login.as_str(), password);
        let user = match self.api.ask(ask).await {
            Ok(answer) => answer.object::<UserBody>()?,
            Err(Failure::Denied(_)) => return Ok(None),
            Err(failure) => return Err(failure.host(&doing)),
        };
        // A token opens the door whatever name stands beside it: it must be this user's.
        if user.user().is_none_or(|user| user.login != *login) {
            return Ok(None);
        }
        let ask = Ask::get(&["users", login.as_str(), "tokens"]).with_password();
        let tokens = self.api.list::<TokenBody>(&ask).await.map_err(|failure| failure.host(&doing))?;
        let this = tokens.iter().filter(|token| password.reveal().ends_with(&token.token_last_eight));
        // Where two of a user's tokens end alike, it is the weaker one.
        Ok(this.map(|token| reach(&token.scopes)).min().flatten())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reaches_as_far_as_its_scopes() {
        for (scopes, expected) in [
            (&["all"][..], Some(Permission::Admin)),
            (&["write:repository", "read:user"], Some(Permission::Admin)),
            (&["read:repository", "read:user"], Some(Permission::Read)),
            (&["read:user", "write:issue", "write:admin"], None),
            (&["public-only", "all"], None),
            (&["write:repository", "public-only"], None),
            (&[], None),
        ] {
            let scopes: Vec<String> = scopes.iter().map(|&scope| scope.to_owned()).collect();
            assert_eq!(reach(&scopes), expected, "{scopes:?}");
        }
        assert_eq!(reach(&SCOPES.map(str::to_owned)), Some(Permission::Admin), "those that we make");
    }
}
