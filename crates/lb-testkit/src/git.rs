//! The real `git` client, as a producer uses it: no prompts, no configuration of this machine, output in English.
//!
//! Everything is async and runs on the blocking pool, so that a server under test may live in the same runtime.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use tempfile::TempDir;

use crate::files::copy_directory;

/// A user of `git` with a home directory of its own.
#[derive(Clone, Debug)]
pub struct Git {
    home: Arc<TempDir>,
    authorization: Option<String>,
}

/// What a push answered.
#[derive(Clone, Debug)]
pub struct Push {
    /// Whether the server took it.
    pub accepted: bool,
    /// What the server said: the `remote:` lines without that prefix, trailing blanks removed.
    pub remote: Vec<String>,
    /// All that git printed.
    pub output: String,
}

/// A clone with its working tree.
#[derive(Debug)]
pub struct Clone {
    git: Git,
    directory: PathBuf,
    // Removes the directory when this is dropped.
    _temporary: Option<TempDir>,
}

impl Default for Git {
    fn default() -> Self {
        Self::new()
    }
}

impl Git {
    /// A user without credentials.
    ///
    /// # Panics
    /// Where no temporary directory can be made.
    #[must_use]
    pub fn new() -> Self {
        Self { home: Arc::new(tempfile::tempdir().expect("a home for git")), authorization: None }
    }

    /// The same user with credentials for every HTTP request (`Authorization: Basic`). They never stand in arguments.
    #[must_use]
    pub fn with_token(self, user: &str, token: &str) -> Self {
        use base64::Engine;
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{token}"));
        Self { authorization: Some(format!("Authorization: Basic {basic}")), ..self }
    }

    /// Runs `git` in a directory and returns what came out, failed or not.
    ///
    /// # Panics
    /// Where git cannot be started.
    pub async fn try_run(&self, directory: &Path, arguments: &[&str]) -> Output {
        let mut command = self.command(directory);
        command.args(arguments);
        tokio::task::spawn_blocking(move || command.output())
            .await
            .expect("git's thread")
            .expect("start git (apt-get install git)")
    }

    /// Runs `git` and returns its standard output without the last line end.
    ///
    /// # Panics
    /// Where it fails, with all it printed.
    pub async fn run(&self, directory: &Path, arguments: &[&str]) -> String {
        let output = self.try_run(directory, arguments).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {}\n{stderr}", output.status);
        String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
    }

    /// Makes an empty bare repository.
    ///
    /// # Panics
    /// Where git fails.
    pub async fn init_bare(&self, directory: &Path) {
        fs::create_dir_all(directory).expect("a directory for a repository");
        self.run(directory, &["init", "--quiet", "--bare", "."]).await;
    }

    /// A temporary working tree with a new repository whose `origin` is `url`; nothing is fetched.
    ///
    /// # Panics
    /// Where git fails.
    pub async fn init(&self, url: &str) -> Clone {
        let temporary = tempfile::tempdir().expect("a directory for a clone");
        let clone = self.init_at(temporary.path(), url).await;
        Clone { _temporary: Some(temporary), ..clone }
    }

    /// As [`Self::init`], in a directory that stays; it is made where it is missing.
    ///
    /// # Panics
    /// Where git fails.
    pub async fn init_at(&self, directory: &Path, url: &str) -> Clone {
        fs::create_dir_all(directory).expect("a directory for a clone");
        self.run(directory, &["init", "--quiet", "."]).await;
        self.run(directory, &["remote", "add", "origin", url]).await;
        Clone { git: self.clone(), directory: directory.to_owned(), _temporary: None }
    }

    /// Clones a repository into a temporary directory.
    ///
    /// # Panics
    /// Where git fails.
    pub async fn clone_of(&self, url: &str) -> Clone {
        let temporary = tempfile::tempdir().expect("a directory for a clone");
        self.run(temporary.path(), &["clone", "--quiet", url, "."]).await;
        Clone { git: self.clone(), directory: temporary.path().to_owned(), _temporary: Some(temporary) }
    }

    fn command(&self, directory: &Path) -> Command {
        let mut command = crate::process::bare(Path::new("git"));
        command
            .current_dir(directory)
            .env("HOME", self.home.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C");
        let mut settings = vec![
            ("user.name", "Al"),
            ("user.email", "al@example.com"),
            ("init.defaultBranch", "master"),
            ("advice.detachedHead", "false"),
            ("gc.auto", "0"),
        ];
        if let Some(authorization) = &self.authorization {
            settings.push(("http.extraHeader", authorization));
        }
        command.env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (index, (key, value)) in settings.into_iter().enumerate() {
            command
                .env(format!("GIT_CONFIG_KEY_{index}"), key)
                .env(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        command
    }
}

impl Clone {
    /// The working tree.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Writes a file, with its directories.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap_or_else(|| self.path())).expect("directories of a file");
        fs::write(&path, content).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
        self
    }

    /// Removes a file.
    ///
    /// # Panics
    /// Where it is not there.
    pub fn remove(&self, path: &str) -> &Self {
        fs::remove_file(self.path().join(path)).unwrap_or_else(|error| panic!("remove {path}: {error}"));
        self
    }

    /// Reads a file.
    ///
    /// # Panics
    /// Where it is not there or not UTF-8.
    #[must_use]
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path().join(path)).unwrap_or_else(|error| panic!("read {path}: {error}"))
    }

    /// Copies a directory's files into the working tree, over what is there.
    ///
    /// # Panics
    /// Where a file cannot be copied.
    pub fn copy_from(&self, source: &Path) -> &Self {
        copy_directory(source, self.path())
            .unwrap_or_else(|error| panic!("copy {}: {error}", source.display()));
        self
    }

    /// Commits everything in the working tree (also nothing) and returns the commit's id.
    ///
    /// # Panics
    /// Where git fails.
    pub async fn commit(&self, message: &str) -> String {
        self.run(&["add", "--all"]).await;
        self.run(&["commit", "--quiet", "--allow-empty", "--message", message]).await;
        self.run(&["rev-parse", "HEAD"]).await
    }

    /// Pushes `HEAD` to `master` of `origin`.
    pub async fn push(&self) -> Push {
        self.push_to("HEAD:refs/heads/master").await
    }

    /// Pushes a refspec to `origin`.
    pub async fn push_to(&self, refspec: &str) -> Push {
        let output = self.try_run(&["push", "origin", refspec]).await;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let remote = text
            .lines()
            .filter_map(|line| line.strip_prefix("remote:"))
            .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned())
            .collect();
        Push { accepted: output.status.success(), remote, output: text }
    }

    /// Commits everything and pushes it to `master`; returns the commit's id and what the server said.
    ///
    /// # Panics
    /// Where git fails or the server refuses.
    pub async fn commit_and_push(&self, message: &str) -> (String, Vec<String>) {
        let commit = self.commit(message).await;
        let push = self.push().await;
        assert!(push.accepted, "push refused:\n{}", push.output);
        (commit, push.remote)
    }

    /// Runs `git` here; see [`Git::run`].
    pub async fn run(&self, arguments: &[&str]) -> String {
        self.git.run(self.path(), arguments).await
    }

    /// Runs `git` here; see [`Git::try_run`].
    pub async fn try_run(&self, arguments: &[&str]) -> Output {
        self.git.try_run(self.path(), arguments).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_push_brings_back_what_the_server_said() {
        let git = Git::new();
        let server = tempfile::tempdir().unwrap();
        git.init_bare(server.path()).await;
        let hook = server.path().join("hooks/pre-receive");
        fs::write(
            &hook,
            "#!/bin/sh\nread -r _ new _\necho 'hello  '\ngit cat-file -e \"$new:bad\" && exit 1\nexit 0\n",
        )
        .unwrap();
        fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();

        let clone = git.init(&server.path().display().to_string()).await;
        clone.write("dir/good", "1");
        let (commit, remote) = clone.commit_and_push("first").await;
        assert_eq!(remote[0], "hello");
        assert_eq!(git.run(server.path(), &["rev-parse", "master"]).await, commit);

        clone.write("bad", "1");
        clone.commit("second").await;
        assert!(!clone.push().await.accepted);
        let again = git.clone_of(&server.path().display().to_string()).await;
        assert_eq!(again.read("dir/good"), "1");
    }
}
