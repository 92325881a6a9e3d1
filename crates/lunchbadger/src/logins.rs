//! What `lunchbadger login` keeps: one login for each git-api, in a file that its owner alone can read.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use lb_http::contract::git_api::Login;
use lb_process::environment::Variables;
use lb_vocab::Secret;
use serde_json::{Value, json};
use url::Url;

use crate::private;

/// The file of logins.
pub(crate) struct Logins {
    path: PathBuf,
    by_url: BTreeMap<String, Value>,
}

impl Logins {
    /// Reads the file of whoever runs this; one that is not there yet is empty.
    ///
    /// # Errors
    /// Where there is no home directory, or the file cannot be read.
    pub(crate) fn read(variables: &Variables) -> Result<Self> {
        let set = |name: &str| variables.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let configuration = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
        let directory = configuration.context("find your configuration directory: HOME is not set")?;
        let path = directory.join("lunchbadger/logins.json");
        let by_url = match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map_err(|_| {
                anyhow!("{} is not what `lunchbadger login` writes: remove it, and sign in", path.display())
            })?,
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        };
        Ok(Self { path, by_url })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The login for a git-api.
    pub(crate) fn of(&self, git_api: &Url) -> Option<Login> {
        let entry = self.by_url.get(git_api.as_str())?;
        let text = |name: &str| entry[name].as_str().map(str::to_owned);
        match text("session") {
            Some(session) => Some(Login::Session(Secret::new(session))),
            None => Some(Login::Token { login: text("login")?, token: Secret::new(text("token")?) }),
        }
    }

    /// Keeps a login for a git-api, instead of one that was there.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(crate) fn keep(mut self, git_api: &Url, login: &Login) -> Result<()> {
        let entry = match login {
            Login::Session(session) => json!({"session": session.reveal()}),
            Login::Token { login, token } => json!({"login": login, "token": token.reveal()}),
        };
        self.by_url.insert(git_api.as_str().to_owned(), entry);
        self.write()
    }

    /// Forgets the login for a git-api; whether there was one.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(crate) fn forget(mut self, git_api: &Url) -> Result<bool> {
        if self.by_url.remove(git_api.as_str()).is_none() {
            return Ok(false);
        }
        self.write()?;
        Ok(true)
    }

    fn write(&self) -> Result<()> {
        if let Some(directory) = self.path.parent() {
            private::directory(directory)?;
        }
        let text = serde_json::to_string_pretty(&self.by_url).context("write logins as JSON")?;
        private::write(&self.path, &text)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn logins_are_kept_by_git_api_for_their_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let variables: Variables =
            [("XDG_CONFIG_HOME".to_owned(), directory.path().display().to_string())].into();
        let read = || Logins::read(&variables).unwrap();
        let url = |text: &str| text.parse::<Url>().unwrap();
        let (one, other) = (url("https://git-api.example.com"), url("http://localhost:8080"));
        assert!(read().of(&one).is_none());
        let token = Login::Token { login: "alice".into(), token: Secret::new("hunter2".into()) };
        read().keep(&one, &token).unwrap();
        read().keep(&other, &Login::Session(Secret::new("s".into()))).unwrap();
        assert!(
            matches!(read().of(&one), Some(Login::Token { login, token }) if login == "alice" && token.reveal() == "hunter2")
        );
        assert!(matches!(read().of(&other), Some(Login::Session(session)) if session.reveal() == "s"));
        let path = read().path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert!(read().forget(&one).unwrap() && !read().forget(&one).unwrap());
        assert!(read().of(&one).is_none() && read().of(&other).is_some());
        fs::write(&path, "hunter2").unwrap();
        let error = Logins::read(&variables).err().unwrap().to_string();
        assert!(error.contains("sign in") && !error.contains("hunter2"), "{error}");
    }
}
