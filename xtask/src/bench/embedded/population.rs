//! Many producers in the embedded git host's directory, without a process for each repository: all commits are made in
//! one run of git, and every repository has a link to its pack.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lb_testkit::producer::{Files, Shape, dev, functions};
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
    /// Commits of each repository of a producer, beyond the first.
    commits: HashMap<(usize, Repository), usize>,
    /// How many.
    pub(super) count: usize,
}

/// One of a producer's repositories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Repository {
    /// The project.
    Dev,
    /// The functions.
    Functions,
}

impl Repository {
    /// Both, with the distance of their number to the producer's own.
    const ALL: [(u64, Self); 2] = [(1, Self::Dev), (2, Self::Functions)];

    /// Its name at the git host.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Functions => "functions",
        }
    }

    /// What it has in a given round.
    fn files(self, producer: &str, round: usize) -> Files {
        match self {
            Self::Dev => dev(producer, Shape::standard(), round),
            Self::Functions => functions(producer, Shape::standard()),
        }
    }
}

/// What a push is to bring.
pub(super) struct Change {
    /// Whose.
    pub(super) index: usize,
    /// Where.
    pub(super) repository: Repository,
    /// The files; those that are not named stay, unless these are `all`.
    pub(super) files: Files,
    /// Whether nothing else is to be there.
    pub(super) all: bool,
}

/// A push that only has to be sent. Those to one repository follow upon each other.
pub(super) struct Push {
    /// Whose.
    pub(super) index: usize,
    /// Where.
    pub(super) repository: Repository,
    /// Which of that repository's.
    pub(super) round: usize,
    /// What is sent.
    pub(super) prepared: Prepared,
}

/// The name of one of them.
pub(super) fn name(index: usize) -> String {
    format!("p{index:05}")
}

/// Whether it is such a name.
pub(super) fn is_name(text: &str) -> bool {
    text.strip_prefix('p')
        .is_some_and(|digits| digits.len() == 5 && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// The forge's branch of a repository's commit.
fn branch(index: usize, repository: Repository, round: usize) -> String {
    format!("{}/{}/{round}", name(index), repository.name())
}

impl Population {
    /// Nobody yet.
    pub(super) fn new(directory: &Path, host: &Path) -> Result<Self> {
        Ok(Self {
            forge: Forge::new(&directory.join("forge"))?,
            host: host.to_owned(),
            packs: BTreeSet::new(),
            commits: HashMap::new(),
            count: 0,
        })
    }

    /// Makes more producers. The host must not run.
    pub(super) fn add(&mut self, more: usize) -> Result<()> {
        let new = self.count..self.count + more;
        let before = self.packs()?;
        self.forge.commit(new.clone().flat_map(|index| {
            Repository::ALL.map(|(_, repository)| Commit {
                branch: branch(index, repository, 0),
                files: repository.files(&name(index), 0),
                all: true,
                parent: None,
            })
        }))?;
        // What earlier ones have as well is in the earlier packs alone.
        let packs: Vec<PathBuf> = self.packs()?.difference(&before).cloned().collect();
        self.packs.extend(packs);
        let heads: HashMap<_, _> = self.forge.heads()?.into_iter().collect();
        for index in new {
            let (name, user) = (name(index), self.user(index));
            let number = index as u64 * 3 + 1;
            for (offset, repository) in Repository::ALL {
                let commit = heads.get(&branch(index, repository, 0)).context("a branch was not made")?;
                self.repository(&self.git(index, repository), commit)?;
                let record = json!({"id": number + offset, "name": repository.name(), "created": MADE});
                let path = user.join("repos").join(repository.name()).join("repository.json");
                write(&path, &record.to_string())?;
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

    /// Makes ordinary pushes: each is the next round of that producer's project. A producer may be named often.
    pub(super) fn pushes(&mut self, producers: impl IntoIterator<Item = usize>) -> Result<Vec<Push>> {
        let mut ahead: HashMap<usize, usize> = HashMap::new();
        let changes = producers.into_iter().map(|index| {
            let ahead = ahead.entry(index).or_default();
            *ahead += 1;
            let files = Repository::Dev.files(&name(index), self.rounds(index, Repository::Dev) + *ahead);
            let files = files.into_iter().take(1).collect();
            Change { index, repository: Repository::Dev, files, all: false }
        });
        let changes = changes.collect();
        self.changes(changes)
    }

    /// Makes the push after which a repository has again what an ordinary one has.
    pub(super) fn restored(&self, index: usize, repository: Repository, ahead: usize) -> Change {
        let files = repository.files(&name(index), self.rounds(index, repository) + ahead);
        Change { index, repository, files, all: true }
    }

    /// Makes the commits of pushes, and what is sent.
    pub(super) fn changes(&mut self, changes: Vec<Change>) -> Result<Vec<Push>> {
        let (mut commits, mut moves, mut pushes) = (Vec::new(), Vec::new(), Vec::new());
        for Change { index, repository, files, all } in changes {
            let round = self.commits.entry((index, repository)).or_default();
            let before = branch(index, repository, *round);
            *round += 1;
            let after = branch(index, repository, *round);
            pushes.push((index, repository, *round));
            commits.push(Commit { branch: after.clone(), files, all, parent: Some(before.clone()) });
            moves.push((before, after));
        }
        self.forge.commit(commits)?;
        let prepared = self.forge.prepare_all(&moves)?;
        let push = |((index, repository, round), prepared)| Push { index, repository, round, prepared };
        Ok(pushes.into_iter().zip(prepared).map(push).collect())
    }

    /// A push to `master` of `dev` that is not to be taken: nothing follows upon it.
    pub(super) fn refused(&self, index: usize) -> Result<Push> {
        let round = self.rounds(index, Repository::Dev);
        let (before, after) =
            (branch(index, Repository::Dev, round), format!("{}/refused/{round}", name(index)));
        let files = vec![("refused".to_owned(), "refused\n".to_owned())];
        self.forge.commit([Commit {
            branch: after.clone(),
            files,
            all: false,
            parent: Some(before.clone()),
        }])?;
        let prepared = self.forge.prepare(Some(&before), &after)?;
        Ok(Push { index, repository: Repository::Dev, round: round + 1, prepared })
    }

    fn rounds(&self, index: usize, repository: Repository) -> usize {
        self.commits.get(&(index, repository)).copied().unwrap_or_default()
    }

    /// A repository's directory.
    pub(super) fn git(&self, index: usize, repository: Repository) -> PathBuf {
        self.user(index).join("repos").join(repository.name()).join("git")
    }

    /// The directories of all repositories.
    pub(super) fn repositories(&self) -> impl Iterator<Item = PathBuf> + '_ {
        (0..self.count).flat_map(|index| Repository::ALL.map(|(_, repository)| self.git(index, repository)))
    }

    fn user(&self, index: usize) -> PathBuf {
        self.host.join("users").join(format!("{PREFIX}-{}", name(index)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushes_to_a_repository_follow_upon_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let mut population = Population::new(directory.path(), &directory.path().join("git")).unwrap();
        population.add(2).unwrap();
        let written = |population: &Population, index| {
            let head = population.git(index, Repository::Dev).join("refs/heads/master");
            fs::read_to_string(head).unwrap().trim().to_owned()
        };
        let rounds = |pushes: &[Push]| pushes.iter().map(|push| (push.index, push.round)).collect::<Vec<_>>();
        let first = population.pushes([0, 1, 0]).unwrap();
        assert_eq!(rounds(&first), [(0, 1), (1, 1), (0, 2)]);
        assert!(first.iter().all(|push| push.prepared.commit != written(&population, push.index)));
        let refused = population.refused(0).unwrap();
        let cure = population.restored(0, Repository::Dev, 1);
        let later = population.changes(vec![cure]).unwrap();
        assert_eq!(rounds(&later), [(0, 3)]);
        assert_ne!(later[0].prepared.commit, refused.prepared.commit);
        population.add(1).unwrap();
        assert_eq!((population.count, population.repositories().count()), (3, 6));
    }

    #[test]
    fn names_are_told_from_other_words() {
        assert!(is_name(&name(7)) && !is_name("p7") && !is_name("gateway") && !is_name("dev"));
    }
}
