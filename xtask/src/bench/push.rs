//! Pushes that cost their client next to nothing: packs are made before, and a push is one request.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use lb_testkit::process::bare;
use lb_testkit::producer::Files;
use reqwest::{Client, RequestBuilder};

/// A repository in which commits are made, for as many producers as there are.
pub(super) struct Forge {
    directory: PathBuf,
}

/// A commit to make: the files of a branch, upon what stands there.
pub(super) struct Commit {
    /// The branch, without `refs/heads/`.
    pub(super) branch: String,
    /// The branch's files; with `parent` those that are not named stay, unless they are `all`.
    pub(super) files: Files,
    /// Whether nothing else is to be there.
    pub(super) all: bool,
    /// The branch whose head is the parent.
    pub(super) parent: Option<String>,
}

/// A push that only has to be sent.
#[derive(Clone)]
pub(super) struct Prepared {
    /// The commit that `master` points to afterwards.
    pub(super) commit: String,
    body: Vec<u8>,
}

impl Forge {
    /// An empty one.
    pub(super) fn new(directory: &Path) -> Result<Self> {
        std::fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
        let forge = Self { directory: directory.to_owned() };
        forge.git(&["init", "--quiet", "--bare", "--template=", "--object-format=sha1", "."], &[])?;
        Ok(forge)
    }

    /// Where it is.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes commits, all in one run of git and one pack.
    pub(super) fn commit(&self, commits: impl IntoIterator<Item = Commit>) -> Result<()> {
        let (mut stream, mut made) = (Vec::new(), BTreeSet::new());
        for Commit { branch, files, all, parent } in commits {
            write!(stream, "commit refs/heads/{branch}\ncommitter Al <al@example.com> 1767225600 +0000\n")?;
            write!(stream, "data 7\nProduce\n")?;
            if let Some(parent) = parent {
                // A branch of this run has its bare name, one of an earlier run must be looked up.
                let earlier = if made.contains(&parent) { "" } else { "^0" };
                writeln!(stream, "from refs/heads/{parent}{earlier}")?;
            }
            if all {
                stream.extend_from_slice(b"deleteall\n");
            }
            for (path, text) in files {
                write!(stream, "M 100644 inline {path}\ndata {}\n{text}\n", text.len())?;
            }
            made.insert(branch);
        }
        stream.extend_from_slice(b"done\n");
        self.git(&["-c", "fastimport.unpackLimit=0", "fast-import", "--quiet", "--done"], &stream).map(drop)
    }

    /// Where branches point.
    pub(super) fn heads(&self) -> Result<Vec<(String, String)>> {
        let text =
            self.git(&["for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads"], &[])?;
        let text = String::from_utf8(text).context("git named references that are not UTF-8")?;
        let heads = text.lines().filter_map(|line| line.split_once(' '));
        Ok(heads.map(|(commit, branch)| (branch.to_owned(), commit.to_owned())).collect())
    }

    /// The push that moves `master` from one branch's head (or from nothing) to another one's.
    pub(super) fn prepare(&self, before: Option<&str>, after: &str) -> Result<Prepared> {
        let head = |branch: &str| {
            let text = self.git(&["rev-parse", "--verify", &format!("refs/heads/{branch}")], &[])?;
            Ok::<_, anyhow::Error>(String::from_utf8_lossy(&text).trim().to_owned())
        };
        let (old, new) = (before.map(head).transpose()?, head(after)?);
        self.packed(old, new)
    }

    /// Many such pushes, each from one branch's head to another one's.
    pub(super) fn prepare_all(&self, moves: &[(String, String)]) -> Result<Vec<Prepared>> {
        let heads: HashMap<_, _> = self.heads()?.into_iter().collect();
        let head =
            |branch: &String| heads.get(branch).cloned().with_context(|| format!("{branch} was not made"));
        moves.iter().map(|(before, after)| self.packed(Some(head(before)?), head(after)?)).collect()
    }

    fn packed(&self, old: Option<String>, commit: String) -> Result<Prepared> {
        let not = old.as_ref().map_or_else(String::new, |old| format!("^{old}\n"));
        let pack = self.git(
            &["pack-objects", "--revs", "--stdout", "--thin", "--quiet"],
            format!("{commit}\n{not}").as_bytes(),
        )?;
        let old = old.unwrap_or_else(|| "0".repeat(40));
        let command = format!("{old} {commit} refs/heads/master\0report-status side-band-64k agent=bench");
        let mut body = format!("{:04x}{command}0000", command.len() + 4).into_bytes();
        body.extend_from_slice(&pack);
        Ok(Prepared { commit, body })
    }

    fn git(&self, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>> {
        let mut command = git(&self.directory);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let what = format!("git {}", arguments.join(" "));
        let mut child = command.spawn().with_context(|| format!("start `{what}`"))?;
        let mut stdin = child.stdin.take().with_context(|| format!("write to `{what}`"))?;
        let output = std::thread::scope(|scope| {
            // One that has ended has said why.
            scope.spawn(move || stdin.write_all(input).and_then(|()| stdin.flush()));
            child.wait_with_output()
        })
        .with_context(|| format!("wait for `{what}`"))?;
        if !output.status.success() {
            bail!("`{what}` failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(output.stdout)
    }
}

/// `git` in a directory, without this machine's configuration.
fn git(directory: &Path) -> Command {
    let mut command = bare(Path::new("git"));
    command.current_dir(directory).env("HOME", directory).env("GIT_CONFIG_NOSYSTEM", "1").env("LC_ALL", "C");
    command
}

impl Prepared {
    /// The same with as many bytes as this behind it, at least.
    pub(super) fn padded(&self, bytes: u64) -> Self {
        let size = usize::try_from(bytes).unwrap_or(usize::MAX).max(self.body.len());
        let (commit, mut body) = (self.commit.clone(), self.body.clone());
        body.resize(size, 0);
        Self { commit, body }
    }

    /// Sends it to the repository with this address. `authorize` adds who pushes.
    pub(super) async fn send(
        &self,
        http: &Client,
        repository: &str,
        authorize: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<()> {
        let request = http
            .post(format!("{repository}/git-receive-pack"))
            .header("content-type", "application/x-git-receive-pack-request")
            .body(self.body.clone());
        let pushing = || format!("push {} to {repository}", self.commit);
        let answer = authorize(request).send().await.with_context(pushing)?;
        let status = answer.status();
        let text = answer.bytes().await.with_context(pushing)?;
        let text = String::from_utf8_lossy(&text);
        if !status.is_success() || !text.contains("ok refs/heads/master") {
            bail!("{repository} refused a push ({status}): {text}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prepared_push_is_a_command_and_a_pack() {
        let directory = tempfile::tempdir().unwrap();
        let forge = Forge::new(directory.path()).unwrap();
        let commit = |branch: &str, text: &str, parent: Option<&str>| Commit {
            branch: branch.to_owned(),
            files: vec![("a/b".to_owned(), text.to_owned())],
            all: false,
            parent: parent.map(str::to_owned),
        };
        forge.commit([commit("one", "1", None), commit("two", "2", Some("one"))]).unwrap();
        forge.commit([commit("three", "3", Some("two"))]).unwrap();
        assert_eq!(forge.heads().unwrap().len(), 3);
        let push = forge.prepare(Some("one"), "two").unwrap();
        let text = String::from_utf8_lossy(&push.body);
        assert!(text.contains(&format!("{} refs/heads/master\0", push.commit)) && text.contains("0000PACK"));
        assert!(forge.prepare(None, "four").is_err());
        let moves = [("one".to_owned(), "two".to_owned())];
        assert_eq!(forge.prepare_all(&moves).unwrap()[0].commit, push.commit);
    }
}
