//! Signing in with a browser, with Gitea as the OAuth 2 provider. Of the access token nothing is kept: it says once
//! who signed in.

use async_trait::async_trait;
use http::Method;
use lb_vocab::Secret;
use serde_json::json;
use url::Url;

use super::api::{Ask, Failure};
use super::wire::{AccessBody, UserBody};
use super::{Gitea, OAuth};
use crate::error::HostError;
use crate::host::SignIn;
use crate::names::Login;

/// All that the access token is good for. Without a scope of Gitea's own it would be good for everything.
const SCOPE: &str = "read:user";
const DOING: &str = "sign somebody in at Gitea";

impl Gitea {
    fn oauth(&self) -> Result<&OAuth, HostError> {
        let oauth = self.0.settings.oauth.as_ref();
        oauth.ok_or_else(|| HostError::refused("there is no OAuth 2 application of Gitea's to sign in with"))
    }
}

#[async_trait]
impl SignIn for Gitea {
    fn address(&self, callback: &Url, state: &str, challenge: &str) -> Result<Url, HostError> {
        let OAuth { client_id, client_secret: _ } = self.oauth()?;
        let mut url = self.0.settings.for_people();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["login", "oauth", "authorize"]);
        }
        url.query_pairs_mut()
            .append_pair("client_id", client_id)
            .append_pair("redirect_uri", callback.as_str())
            .append_pair("response_type", "code")
            .append_pair("scope", SCOPE)
            .append_pair("state", state)
            .append_pair("code_challenge", challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url)
    }

    async fn signed_in(&self, callback: &Url, code: &Secret, verifier: &Secret) -> Result<Login, HostError> {
        let OAuth { client_id, client_secret } = self.oauth()?;
        let grant = json!({
            "grant_type": "authorization_code",
            "client_id": client_id,
            "client_secret": client_secret.read()?.reveal(),
            "redirect_uri": callback,
            "code": code.reveal(),
            "code_verifier": verifier.reveal(),
        });
        let ask = Ask::new(Method::POST, &["login", "oauth", "access_token"]).outside_the_api().json(grant);
        let refused = |why: &str| HostError::refused(format!("Gitea does not accept the sign-in: {why}"));
        let AccessBody { access_token } = match self.0.api.ask(ask).await {
            Ok(answer) => answer.object()?,
            Err(Failure::Refused(why) | Failure::Denied(why)) => return Err(refused(&why)),
            Err(failure) => return Err(failure.host(DOING)),
        };
        match self.0.api.ask(Ask::get(&["user"]).with_bearer(access_token)).await {
            Ok(answer) => {
                let user = answer.object::<UserBody>()?.user();
                user.map(|user| user.login).ok_or_else(|| refused("the user has a name that is none here"))
            }
            Err(Failure::Denied(why)) => Err(refused(&why)),
            Err(failure) => Err(failure.host(DOING)),
        }
    }
}
