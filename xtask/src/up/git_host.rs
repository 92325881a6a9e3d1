//! Where the example's repositories live.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use lb_testkit::gitea::{Gitea, Options};

use crate::say::{progress, say};
use crate::tools;

/// A kind of git host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GitHost {
    /// Bare repositories in a directory.
    Embedded,
    /// A Gitea that we start.
    Gitea,
    /// Somebody's Gitea.
    Named(String),
}

impl FromStr for GitHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "embedded" => Ok(Self::Embedded),
            "gitea" => Ok(Self::Gitea),
            url if url.starts_with("http://") || url.starts_with("https://") => {
                Ok(Self::Named(url.to_owned()))
            }
            _ => Err("`embedded`, `gitea` and an http or https URL are possible".to_owned()),
        }
    }
}

impl GitHost {
    /// Builds what it takes, before anything is started.
    pub(super) fn prepare(&self) -> Result<()> {
        match self {
            Self::Embedded => Ok(()),
            Self::Gitea => tools::gitea(),
            Self::Named(url) => match token()? {
                Some(_) => Ok(()),
                None => bail!(
                    "--git {url} needs the token of an administrator in GITEA_TOKEN_FILE or GITEA_TOKEN"
                ),
            },
        }
    }

    /// Starts it where it is ours; answers the roles' settings. The token stands in a file alone.
    pub(super) async fn start(&self, directory: &Path) -> Result<(Option<Gitea>, BTreeMap<String, String>)> {
        let settings = |url: &str, file: &Path| {
            BTreeMap::from([
                ("GITEA_HOST".to_owned(), url.to_owned()),
                ("GITEA_TOKEN_FILE".to_owned(), file.display().to_string()),
            ])
        };
        match self {
            Self::Embedded => Ok((None, BTreeMap::new())),
            Self::Gitea => {
                say("starting Gitea");
                let options = Options { directory: Some(directory.join("gitea")), progress: progress() };
                let gitea = Gitea::launch(options).await?;
                say(&format!("Gitea serves at {}", gitea.url()));
                let settings = settings(gitea.url(), &gitea.admin_token_file());
                Ok((Some(gitea), settings))
            }
            Self::Named(url) => {
                let file = directory.join("gitea.token");
                write(&file, &token()?.unwrap_or_default())
                    .with_context(|| format!("write {}", file.display()))?;
                Ok((None, settings(url, &file)))
            }
        }
    }
}

fn write(file: &Path, text: &str) -> std::io::Result<()> {
    fs::write(file, "")?;
    fs::set_permissions(file, Permissions::from_mode(0o600))?;
    fs::write(file, text)
}

/// The administrator's token, as the environment has it.
fn token() -> Result<Option<String>> {
    if let Some(file) = lb_testkit::environment("GITEA_TOKEN_FILE") {
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        return Ok(Some(text.trim().to_owned()));
    }
    Ok(lb_testkit::environment("GITEA_TOKEN").map(|token| token.to_string_lossy().into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_word_or_a_url() {
        assert_eq!("embedded".parse(), Ok(GitHost::Embedded));
        assert_eq!("gitea".parse(), Ok(GitHost::Gitea));
        assert_eq!("https://git.example.com".parse(), Ok(GitHost::Named("https://git.example.com".into())));
        for bad in ["", "Gitea", "git.example.com", "ssh://git"] {
            assert!(bad.parse::<GitHost>().is_err(), "{bad}");
        }
    }
}
