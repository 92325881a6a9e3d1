//! Many producers in the embedded git host's directory, without a process for each repository: all commits are made in
//! one run of git, and every repository has a link to its pack.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lb_testkit::producer::{Shape, dev, functions};
use serde_json::json;

use crate::bench::push::{Commit, Forge, Prepared};

/// Git users of producers begin with this.
const PREFIX: &str = "customer";
/// The moment at which everything was made, milliseconds.
const MADE: u64 = 1_767_225_600_000;

/// Producers that were made.
pub(super) struct Population {
    forge: Forge,
    /// The embedded host's data directory.
    host: PathBuf,
    /// Packs with what they begin with.
    packs: BTreeSet<PathBuf>,
    /// How many.
    pub(super) count: usize,
}

/// The name of one of them.
pub(super) fn name(index: usize) -> String {
    format!("p{index:05}")
}

impl Population {
    /// Nobody yet.
    pub(super) fn new(directory: &Path, host: &Path) -> Result<Self> {
        Ok(Self {
            forge: Forge::new(&directory.join("forge"))?,
            host: host.to_owned(),
            packs: BTreeSet::new(),
            count: 0,
        })
    }

    /// Makes more producers. The host must not run.
    pub(super) fn add(&mut self, more: usize) -> Result<()> {
        let shape = Shape::standard();
        let new = self.count..self.count + more;
        let before = self.packs()?;
        self.forge.commit(new.clone().flat_map(|index| {
            let name = name(index);
            let functions = functions(&name, shape);
            [
                Commit { branch: format!("{name}/0"), files: dev(&name, shape, 0), parent: None },
                Commit { branch: format!("{name}/functions"), files: functions, parent: None },
            ]
        }))?;
        // What earlier ones have as well is in the earlier packs alone.
        let packs: Vec<PathBuf> = self.packs()?.difference(&before).cloned().collect();
        self.packs.extend(packs);
        let heads: std::collections::HashMap<_, _> = self.forge.heads()?.into_iter().collect();
        for index in new {
            let name = name(index);
            let user = self.host.join("users").join(format!("{PREFIX}-{name}"));
            let number = index as u64 * 3 + 1;
            for (offset, repository, branch) in [(1, "dev", "0"), (2, "functions", "functions")] {
                let commit = heads.get(&format!("{name}/{branch}")).context("a branch was not made")?;
                let directory = user.join("repos").join(repository);
                self.repository(&directory.join("git"), commit)?;
                let record = json!({"id": number + offset, "name": repository, "created": MADE});
                write(&directory.join("repository.json"), &record.to_string())?;
            }
            let record = json!({
                "id": number, "user": {"prefix": PREFIX, "name": name}, "email": format!("{name}@{PREFIX}.com"), "created": MADE,
            });
            write(&user.join("user.json"), &record.to_string())?;
        }
        self.count += more;
        let record = json!({"format": 1, "next_number": self.count * 3 + 1});
        write(&self.host.join("host.json"), &record.to_string())
    }

    /// Makes the commits of so many pushes to each of the first producers.
    pub(super) fn rounds(&self, producers: usize, rounds: std::ops::RangeInclusive<usize>) -> Result<()> {
        let shape = Shape::standard();
        self.forge.commit((0..producers).map(name).flat_map(|name| {
            rounds.clone().map(move |round| Commit {
                branch: format!("{name}/{round}"),
                files: dev(&name, shape, round).into_iter().take(1).collect(),
                parent: Some(format!("{name}/{}", round - 1)),
            })
        }))
    }

    /// The push of one round.
    pub(super) fn push(&self, index: usize, round: usize) -> Result<Prepared> {
        let name = name(index);
        self.forge.prepare(Some(&format!("{name}/{}", round - 1)), &format!("{name}/{round}"))
    }

    /// The file of `master` in a producer's `dev`.
    pub(super) fn master(&self, index: usize) -> PathBuf {
        let user = self.host.join("users").join(format!("{PREFIX}-{}", name(index)));
        user.join("repos/dev/git/refs/heads/master")
    }

    fn packs(&self) -> Result<BTreeSet<PathBuf>> {
        let directory = self.forge.directory().join("objects/pack");
        let files = fs::read_dir(&directory).with_context(|| format!("list {}", directory.display()))?;
        Ok(files.flatten().map(|file| file.path()).collect())
    }

    fn repository(&self, git: &Path, commit: &str) -> Result<()> {
        let pack = git.join("objects/pack");
        for directory in [&pack, &git.join("objects/info"), &git.join("refs/tags")] {
            fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
        }
        for file in &self.packs {
            let to = pack.join(file.file_name().unwrap_or_default());
            fs::hard_link(file, &to).with_context(|| format!("link {}", to.display()))?;
        }
        write(&git.join("HEAD"), "ref: refs/heads/master\n")?;
        write(&git.join("refs/heads/master"), &format!("{commit}\n"))?;
        let config = self.forge.directory().join("config");
        fs::copy(&config, git.join("config")).with_context(|| format!("copy {}", config.display())).map(drop)
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    }
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
