//! What several roles' settings have in common.

use std::path::PathBuf;

use lb_http::auth::{AuthError, AuthSettings, Identity};
use lb_http::contract::TokenSource;
use lb_http::serve::Origins;
use lb_vocab::settings::{Reader, Variable};
use lb_vocab::{Clock, Secret};
use url::Url;

use crate::git_api;

/// Where git-api is.
pub(crate) const GIT_API_URL: Variable =
    Variable { name: "GIT_API_URL", default: Some("http://localhost:8080"), meaning: "git-api's base URL" };

/// How a role proves to git-api who it is.
pub(crate) const SYSTEM_TOKEN: Variable = Variable {
    name: "SYSTEM_TOKEN",
    default: None,
    meaning: "token with which git-api is called; better given as SYSTEM_TOKEN_FILE",
};

/// The same, in a file.
pub(crate) const SYSTEM_TOKEN_FILE: Variable = Variable {
    name: "SYSTEM_TOKEN_FILE",
    default: None,
    meaning: "path of a file with that token, read again for every call; without both, AUTH_SIGNING_KEY_FILE signs one",
};

/// Origins of browsers.
pub(crate) const CORS_ORIGINS: Variable = Variable {
    name: "CORS_ORIGINS",
    default: None,
    meaning: "comma-separated origins (https://ui.example.com) from which browsers may call with credentials; `*` is any",
};

/// The key of webhooks.
pub(crate) const HOOK_SECRET: Variable = Variable {
    name: "HOOK_SECRET",
    default: None,
    meaning: "the key from which the secrets are made that the git server signs its webhooks with, the same at git-api and configstore; without it /hook refuses everything",
};

pub(crate) fn origins(reader: &mut Reader<'_>) -> Origins {
    let list = reader.list(&CORS_ORIGINS);
    Origins::parse(&list).unwrap_or_else(|problem| {
        reader.fail(&CORS_ORIGINS, problem);
        Origins::Listed(Vec::new())
    })
}

/// A URL of a service, `http` or `https`, with a default.
pub(crate) fn url(reader: &mut Reader<'_>, variable: &Variable) -> Url {
    let url: Url = reader.parsed(variable);
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        reader.fail(variable, format!("`{url}` is no http or https URL; it is {}", variable.meaning));
    }
    url
}

/// A number from 1 to 100,000, with a default.
pub(crate) fn count(reader: &mut Reader<'_>, variable: &Variable) -> usize {
    let count: usize = reader.parsed(variable);
    if !(1..=100_000).contains(&count) {
        reader.fail(variable, format!("{count} does not do: 1 to 100000 are possible"));
    }
    count.clamp(1, 100_000)
}

/// How a component of the platform proves to git-api who it is: with the file's token, the given one, or one that it signs.
pub(crate) fn own_token(
    component: &str,
    token: Option<&Secret>,
    file: Option<&PathBuf>,
    auth: &AuthSettings,
    clock: &Clock,
) -> Result<TokenSource, AuthError> {
    if let Some(path) = file {
        return Ok(TokenSource::file(path.clone()));
    }
    if let Some(token) = token {
        return Ok(TokenSource::fixed(token.clone()));
    }
    let me = Identity::System { component: component.to_owned() };
    let signer = auth.signer(clock)?;
    Ok(signer.map_or_else(TokenSource::none, |signer| signer.source(me, git_api::AUDIENCE)))
}
