//! What several roles' settings have in common.

use lb_http::serve::Origins;
use lb_vocab::settings::{Reader, Variable};
use url::Url;

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
