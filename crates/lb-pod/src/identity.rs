//! What containers of ours in a pod have in common: whose repository they work on, the pod's own tokens, the clone.

use std::path::PathBuf;
use std::sync::Arc;

use lb_git::working::{self, Person, Token, WorkingCopy, WorkingError};
use lb_http::contract::TokenSource;
use lb_vocab::settings::{AuthMode, Reader, Variable};
use lb_vocab::{GitUser, Prefix, ProducerName, RepoName, Secret, with_causes};
use url::Url;

const GIT_URL: Variable = Variable {
    name: "GIT_URL",
    default: None,
    meaning: "the producer's repository at git-api: `http://git-api.default/customer-al/dev.git`",
};
const LB_CLONE_DIR: Variable = Variable {
    name: "LB_CLONE_DIR",
    default: Some("/var/lib/lunchbadger/clone"),
    meaning: "the directory of the clone, our containers' alone",
};
const LB_TOKENS_DIR: Variable = Variable {
    name: "LB_TOKENS_DIR",
    default: Some("/var/run/secrets/lunchbadger"),
    meaning: "the directory of the pod's own tokens, a file for each audience (`git-api`, `configstore`), read again for every call",
};

/// Variables of what is here.
pub(crate) const VARIABLES: [Variable; 3] = [GIT_URL, LB_CLONE_DIR, LB_TOKENS_DIR];

/// The audience of the token for git-api, and its file.
pub(crate) const GIT_API: &str = "git-api";
/// The audience of the token for the configstore, and its file.
pub(crate) const CONFIGSTORE: &str = "configstore";

/// A producer's repository at git-api.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Its address for git.
    pub url: Url,
    /// git-api itself.
    pub git_api: Url,
    /// Whose it is.
    pub owner: GitUser,
    /// Its name.
    pub name: RepoName,
}

impl Repository {
    /// Reads the settings; without a producer it cannot be known whether the repository is its own.
    pub(crate) fn read(reader: &mut Reader<'_>, producer: Option<&ProducerName>) -> Option<Self> {
        let url: Url = required(reader, &GIT_URL)?;
        let producer = producer?;
        let found = Self::parse(&url, producer);
        if found.is_none() {
            let problem = format!("`{url}` is no repository of `{producer}`; it is {}", GIT_URL.meaning);
            reader.fail(&GIT_URL, problem);
        }
        found
    }

    /// Reads `http://git-api/customer-al/dev.git`; `None` where it is something else than a repository of this producer.
    fn parse(url: &Url, producer: &ProducerName) -> Option<Self> {
        let plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let parts: Vec<&str> = url.path_segments().filter(|_| plain)?.collect();
        let [base @ .., login, repo] = parts.as_slice() else { return None };
        let prefix: Prefix = login.strip_suffix(producer.as_str())?.strip_suffix('-')?.parse().ok()?;
        let name = repo.strip_suffix(".git")?.parse().ok()?;
        let mut git_api = url.clone();
        git_api.set_path(&base.join("/"));
        Some(Self { url: url.clone(), git_api, owner: GitUser::of(prefix, producer), name })
    }
}

/// Where a pod has its clone, and the tokens that say who it is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Where the clone is.
    pub clone_dir: PathBuf,
    /// Where the tokens are.
    pub tokens_dir: PathBuf,
    /// Whether the control plane asks for them.
    pub mode: AuthMode,
}

impl Identity {
    /// Reads the settings.
    pub(crate) fn read(reader: &mut Reader<'_>, mode: AuthMode) -> Self {
        let clone_dir = PathBuf::from(reader.required(&LB_CLONE_DIR));
        let tokens_dir = PathBuf::from(reader.required(&LB_TOKENS_DIR));
        Self { clone_dir, tokens_dir, mode }
    }

    /// The clone that is there, or an empty one. One that is damaged is made anew.
    pub(crate) async fn clone_of(&self, repository: &Repository) -> Result<WorkingCopy, WorkingError> {
        let working = working::Settings {
            directory: self.clone_dir.clone(),
            git: PathBuf::from("git"),
            url: repository.url.clone(),
            token: self.shown(),
            committer: Person::system(),
        };
        let error = match WorkingCopy::open(&working).await {
            Ok(copy) => return Ok(copy),
            Err(error @ WorkingError::Broken { .. }) => error,
            Err(error) => return Err(error),
        };
        tracing::error!(
            error = with_causes(&error),
            "the clone is made anew; what was there is kept beside it"
        );
        WorkingCopy::open_anew(&working).await
    }

    /// What is shown to a part of the control plane by its client.
    pub(crate) fn token(&self, audience: &str) -> TokenSource {
        match self.mode {
            AuthMode::Tokens => TokenSource::file(self.tokens_dir.join(audience)),
            AuthMode::None => TokenSource::none(),
        }
    }

    /// What git shows to git-api.
    fn shown(&self) -> Token {
        let (mode, path) = (self.mode, self.tokens_dir.join(GIT_API));
        Arc::new(move || match mode {
            AuthMode::None => Ok(None),
            AuthMode::Tokens => {
                let text = std::fs::read_to_string(&path)?;
                Ok(Some(Secret::new(text.lines().next().unwrap_or_default().trim().to_owned())))
            }
        })
    }
}

/// A variable that needs a value of a type that parses; what is wrong is noted.
pub(crate) fn required<T: std::str::FromStr<Err: std::fmt::Display>>(
    reader: &mut Reader<'_>,
    variable: &Variable,
) -> Option<T> {
    if reader.text(variable).is_none() {
        reader.required(variable);
        return None;
    }
    reader.optional(variable)
}
