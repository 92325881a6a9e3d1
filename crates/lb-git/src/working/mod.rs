//! A working copy: a clone whose files are edited here, commit by commit, and exchanged with a git host.
//!
//! There is no working tree on disk: files are what the head commit says, their contents are kept in memory, and a save
//! writes objects. So no name, link, attribute or hook of a repository reaches the file system, and a save costs no process.
//!
//! Guarantees: what [`WorkingCopy::flush`] wrote survives a crash of the machine; a failed one changes nothing. Nothing that
//! is not at the host is given up before it is on a branch there. What is ours is told from what is not by commit ids.
//! Assumptions: the directory is this process's alone (a lock file sees to it), on a local file system.
//! Caveats: contents over 4 MiB, or beyond 64 MiB together, are not kept: they are listed and cannot be read here.

mod commit;
mod error;
mod integrate;
mod journal;
mod listing;
mod object;
mod remote;
mod stage;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lb_vocab::{Blob, CommitId, SafePath, Timestamp, Tree};
use url::Url;

pub(crate) use commit::Parts;
pub use commit::{NewCommit, Person};
pub use error::{StageError, WorkingError};
pub use integrate::Integrated;
pub(crate) use object::{ObjectId, ObjectKind};
pub use remote::{Fetched, Pushed, Remote, Token};

use self::commit::Local;
use self::journal::Journal;
use self::listing::{Directory, Listing};
use self::object::Object;
use self::stage::{Next, write_directories};
use crate::bare::objects::Objects;
use crate::bare::refs;
use crate::directory::{self, Lock};
use crate::files;
use crate::names::RefName;
use crate::process::{Git, run};

/// Contents that are kept, bytes each.
pub const MAX_FILE: u64 = 4 << 20;
/// Contents that are kept, bytes together.
const MAX_FILES: u64 = 64 << 20;
/// What a listing of a commit may have, bytes: some hundred thousand files.
const MAX_LISTING: usize = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(60);
const MAINTENANCE: Duration = Duration::from_secs(15 * 60);
/// Objects that were written as files of their own, beyond which the clone is packed.
const LOOSE: usize = 5000;
/// Where we believe that the host's branch stands.
const UPSTREAM: &str = "refs/remotes/origin/master";
/// The clone itself, beside git's home and the journal.
const REPOSITORY: &str = "repository.git";
/// The configuration, beside `gitconfig`, that shows a token.
const SHOWN: &str = "shown";

/// What git is configured with beside what it always is ([`directory::take_with`]): nothing is unpacked into a working
/// tree or asked of anybody but the host.
const CONFIGURATION: &str = "\
[include]
	path = shown
[fetch]
	recurseSubmodules = no
[push]
	recurseSubmodules = no
[http]
	followRedirects = false
	lowSpeedLimit = 1000
	lowSpeedTime = 30
[gc]
	packRefs = false
[pack]
	windowMemory = 32m
[protocol \"http\"]
	allow = always
[protocol \"https\"]
	allow = always
";

/// How a working copy is set up.
#[derive(Clone)]
pub struct Settings {
    /// Where it is kept. Made if it does not exist.
    pub directory: PathBuf,
    /// The `git` program: a path, or a name that is looked for in the usual directories.
    pub git: PathBuf,
    /// The repository at the git host: `http://git-api/customer-al/dev.git`. It holds no credentials.
    pub url: Url,
    /// What is shown there.
    pub token: Token,
    /// Who commits.
    pub committer: Person,
}

/// What a clone is at one moment. Clones share contents.
#[derive(Clone, Debug, Default)]
struct State {
    head: Option<ObjectId>,
    upstream: Option<ObjectId>,
    root: Directory,
    tree: Arc<Tree>,
    /// What is not at the host yet, the oldest first.
    local: Vec<Arc<Local>>,
}

/// A clone that is edited. Whoever owns it is the only one who does.
#[derive(Debug)]
pub struct WorkingCopy {
    git: Git,
    repository: PathBuf,
    remote: Remote,
    committer: Person,
    journal: Journal,
    state: State,
    /// What stands on disk, where something is staged.
    flushed: Option<State>,
    staged: Vec<Object>,
    /// Objects that were written since the clone was packed.
    loose: usize,
    _lock: Lock,
}

impl WorkingCopy {
    /// Opens the clone in a directory, or makes an empty one; puts back what a crash took. Nobody is asked for anything.
    ///
    /// # Errors
    /// `Broken` where the clone cannot be mended from what is here: [`Self::open_anew`] asks the host, too.
    pub async fn open(settings: &Settings) -> Result<Self, WorkingError> {
        let mut copy = Self::begin(settings).await?;
        copy.restore().await?;
        Ok(copy)
    }

    /// Makes a clone anew from what the host and the journal have. The one that was there is kept beside it, until the next
    /// time.
    ///
    /// # Errors
    /// Where the host does not answer, or the disk does not take it.
    pub async fn open_anew(settings: &Settings) -> Result<Self, WorkingError> {
        let directory = &settings.directory;
        let doing = || format!("move the clone in {} aside", directory.display());
        let (repository, aside) = (directory.join(REPOSITORY), directory.join("broken.git"));
        files::remove_all(&aside).map_err(WorkingError::io(doing()))?;
        fs::rename(repository, aside).map_err(WorkingError::io(doing()))?;
        let mut copy = Self::begin(settings).await?;
        if let Fetched::At(commit) = copy.remote.fetch().await? {
            copy.state.upstream = ObjectId::of_commit(&commit);
            copy.write_refs();
        }
        copy.restore().await?;
        Ok(copy)
    }

    /// The clone with what the journal has, before anything is read.
    async fn begin(settings: &Settings) -> Result<Self, WorkingError> {
        let Settings { directory, git, url, token, committer } = settings;
        let doing = || format!("open the clone in {}", directory.display());
        let lock = directory::take_with(directory, CONFIGURATION)?;
        let home = directory.join("home");
        let git = Git::new(git, &home);
        git.check().await?;
        let repository = directory.join(REPOSITORY);
        fs::create_dir_all(&repository).map_err(WorkingError::io(doing()))?;
        let mut command = git.command(&repository);
        command.args(["init", "--quiet", "--bare", "--initial-branch=master", "."]);
        run(command, 4096, PATIENCE).await.map_err(WorkingError::local(doing()))?;
        let (journal, replay) =
            Journal::open(&directory.join("journal")).map_err(WorkingError::io(doing()))?;
        for object in &replay.objects {
            object.repair(&repository).map_err(WorkingError::io(doing()))?;
        }
        if let Some(head) = replay.head {
            write_ref(&repository, RefName::master().as_str(), head).map_err(WorkingError::io(doing()))?;
        }
        let remote = Remote::new(git.clone(), &repository, &home, url.clone(), Arc::clone(token));
        Ok(Self {
            git,
            repository,
            remote,
            committer: committer.clone(),
            journal,
            state: State::default(),
            flushed: None,
            staged: Vec::new(),
            loose: replay.objects.len(),
            _lock: lock,
        })
    }

    /// Reads where the branch and the remote's stood.
    async fn restore(&mut self) -> Result<(), WorkingError> {
        let doing = "read the clone's references";
        let read = |name: &str| {
            let name: RefName = name.parse().map_err(|error| WorkingError::broken(doing, error))?;
            refs::resolve(&self.repository, &name).map_err(|error| WorkingError::broken(doing, error))
        };
        let (head, upstream) = (read(RefName::master().as_str())?, read(UPSTREAM)?);
        let Some(head) = head else { return Ok(()) };
        let local = commit::unpushed(&self.git, &self.repository, upstream.as_ref(), &head).await?;
        self.state = State {
            upstream: upstream.as_ref().and_then(ObjectId::of_commit),
            local: local.into_iter().map(Arc::new).collect(),
            ..self.load(&head, None).await?
        };
        Ok(())
    }

    /// The commit that the files are those of; `None`: nothing was ever saved.
    ///
    /// # Errors
    /// Never, with ids that we made.
    pub fn head(&self) -> Result<Option<CommitId>, WorkingError> {
        self.state.head.map(ObjectId::commit).transpose()
    }

    /// Where we believe that the branch stands at the host.
    ///
    /// # Errors
    /// Never, with ids that we made.
    pub fn upstream(&self) -> Result<Option<CommitId>, WorkingError> {
        self.state.upstream.map(ObjectId::commit).transpose()
    }

    /// The files at the head, with what is staged.
    #[must_use]
    pub fn tree(&self) -> &Arc<Tree> {
        &self.state.tree
    }

    /// How many commits are not at the host.
    #[must_use]
    pub fn unpushed(&self) -> usize {
        self.state.local.len()
    }

    /// What is at the host.
    #[must_use]
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Makes a commit that the next [`Self::flush`] writes. `None`: it would change nothing.
    ///
    /// # Errors
    /// Where a file cannot stand where it should; nothing is staged then.
    pub fn stage(&mut self, commit: NewCommit, now: Timestamp) -> Result<Option<CommitId>, StageError> {
        let NewCommit { message, author, changes } = commit;
        let mut next = Next::on(&self.state.root);
        for (path, content) in changes {
            next.change(path, content)?;
        }
        next.moved.retain(|moved| moved.before != moved.after);
        if next.moved.is_empty() {
            return Ok(None);
        }
        let Next { mut root, moved, contents, mut objects } = next;
        let tree = write_directories(&mut root, &mut objects)?;
        let author = author.unwrap_or_else(|| self.committer.clone());
        let parts = Parts {
            tree,
            parent: self.state.head,
            author: &author,
            written: now.seconds(),
            committer: &self.committer,
            now,
            message: &message,
        };
        let object = parts.object()?;
        let id = object.id;
        objects.push(object);
        let commit = id.commit()?;
        self.flushed.get_or_insert_with(|| self.state.clone());
        self.staged.append(&mut objects);
        let local = Local { id, message, author, written: now.seconds(), changes: moved, journaled: 0 };
        (self.state.head, self.state.root) = (Some(id), root);
        self.state.local.push(Arc::new(local));
        let files = &mut Arc::make_mut(&mut self.state.tree).files;
        for (path, content) in contents {
            match content {
                Some(blob) => files.insert(path, blob),
                None => files.remove(&path),
            };
        }
        Ok(Some(commit))
    }

    /// Writes what is staged: on disk when this returns. It blocks.
    ///
    /// # Errors
    /// Where the disk does not take it (it is full, mostly): then nothing of it was saved.
    pub fn flush(&mut self) -> Result<(), WorkingError> {
        let Some(before) = self.flushed.take() else { return Ok(()) };
        let objects = std::mem::take(&mut self.staged);
        let written = self.write(&objects);
        match written {
            Ok(end) => {
                self.journaled(end);
                self.loose += objects.len();
                Ok(())
            }
            Err(error) => {
                self.state = before;
                Err(error)
            }
        }
    }

    fn write(&mut self, objects: &[Object]) -> Result<u64, WorkingError> {
        let Some(head) = self.state.head else { return Ok(0) };
        for object in objects {
            object.write(&self.repository).map_err(WorkingError::io("write an object"))?;
        }
        let end = self.journal.append(objects, head).map_err(WorkingError::io("write the journal"))?;
        self.write_refs();
        Ok(end)
    }

    /// Notes where commits that were just written end in the journal.
    fn journaled(&mut self, end: u64) {
        for local in self.state.local.iter_mut().rev().take_while(|local| local.journaled == 0) {
            Arc::make_mut(local).journaled = end;
        }
    }

    /// Writes the references. Where it fails the journal knows better, and the next write tries again.
    fn write_refs(&self) {
        let refs =
            [(RefName::master().to_string(), self.state.head), (UPSTREAM.to_owned(), self.state.upstream)];
        for (name, id) in refs {
            let Some(id) = id else { continue };
            if let Err(error) = write_ref(&self.repository, &name, id) {
                tracing::warn!(name, %error, "a reference of the clone cannot be written; the journal has it");
            }
        }
    }

    /// Takes note that everything up to a commit of ours is at the host.
    ///
    /// # Errors
    /// Where the journal cannot be written.
    pub fn pushed(&mut self, commit: &CommitId) -> Result<(), WorkingError> {
        let id = ObjectId::of_commit(commit);
        let Some(at) = self.state.local.iter().position(|local| Some(local.id) == id) else { return Ok(()) };
        let last = self.state.local.drain(..=at).next_back();
        self.state.upstream = id;
        self.write_refs();
        let doing = WorkingError::io("shorten the journal");
        if self.state.local.is_empty() && self.flushed.is_none() {
            return self.journal.clear().map_err(doing);
        }
        let moved = self.journal.cut(last.map_or(0, |local| local.journaled)).map_err(doing)?;
        for local in &mut self.state.local {
            let local = Arc::make_mut(local);
            local.journaled = local.journaled.saturating_sub(moved);
        }
        Ok(())
    }

    /// Takes over what was fetched, with our unpushed saves on top. Where the remote wins over one of them, all of them are
    /// pushed to `displaced` first. Nothing may be staged.
    ///
    /// # Errors
    /// Where the clone or the host fails: nothing changed then.
    pub async fn integrate(
        &mut self,
        fetched: &CommitId,
        displaced: &RefName,
        limit: Duration,
        now: Timestamp,
    ) -> Result<Integrated, WorkingError> {
        let id = ObjectId::of_commit(fetched);
        if id == self.state.upstream {
            return Ok(Integrated::Ours);
        }
        if self.state.local.iter().any(|local| Some(local.id) == id) {
            self.pushed(fetched)?;
            return Ok(Integrated::Ours);
        }
        let rebased = self.rebase(fetched, now).await?;
        if !rebased.lost.is_empty()
            && let Some(head) = self.head()?
        {
            self.remote.push_branch(&head, displaced, limit).await?;
        }
        let lost = rebased.lost.clone();
        self.take_over(rebased)?;
        Ok(Integrated::Theirs { lost })
    }

    /// Gives up every unpushed save, after pushing them to `displaced`. Answers how many there were.
    ///
    /// # Errors
    /// Where the host fails: nothing changed then.
    pub async fn reset(
        &mut self,
        fetched: &CommitId,
        displaced: &RefName,
        limit: Duration,
    ) -> Result<usize, WorkingError> {
        let given_up = self.state.local.len();
        if given_up > 0
            && let Some(head) = self.head()?
        {
            self.remote.push_branch(&head, displaced, limit).await?;
        }
        let state = self.load(fetched, Some(&self.state)).await?;
        self.take_over(integrate::Rebased { state, objects: Vec::new(), lost: Vec::new() })?;
        Ok(given_up)
    }

    fn take_over(&mut self, rebased: integrate::Rebased) -> Result<(), WorkingError> {
        let integrate::Rebased { state, objects, lost: _ } = rebased;
        self.flushed = Some(std::mem::replace(&mut self.state, state));
        self.staged = objects;
        self.flush()?;
        if self.state.local.is_empty() {
            self.journal.clear().map_err(WorkingError::io("shorten the journal"))?;
        }
        Ok(())
    }

    /// The files of a commit, with nothing on top. Contents that `known` has are not read again.
    async fn load(&self, commit: &CommitId, known: Option<&State>) -> Result<State, WorkingError> {
        let doing = format!("list the files of {}", commit.short());
        let broken = |why: &str| WorkingError::broken(&doing, why);
        let mut objects = Objects::open(&self.git, &self.repository).map_err(WorkingError::local(&doing))?;
        let names = [format!("{commit}^{{commit}}"), format!("{commit}^{{tree}}")];
        let infos = objects.info(&names).await.map_err(WorkingError::local(&doing))?;
        let root = infos.last().and_then(Option::as_ref).and_then(|info| ObjectId::parse(&info.id));
        let root = root.ok_or_else(|| broken("its directory is missing"))?;
        let mut command = self.git.in_repository(&self.repository);
        command.args(["ls-tree", "-r", "-t", "-z", "-l", "--full-tree", commit.as_str()]);
        let output = run(command, MAX_LISTING, PATIENCE).await.map_err(WorkingError::local(&doing))?;
        let listing = Listing::parse(&output, root)
            .ok_or_else(|| broken("git ls-tree printed what was not asked for"))?;
        let tree = contents(&mut objects, &listing, known).await.map_err(WorkingError::local(&doing))?;
        let id = ObjectId::of_commit(commit);
        Ok(State { head: id, upstream: id, root: listing.root, tree: Arc::new(tree), local: Vec::new() })
    }

    /// What is to be done where the clone has become many files; saves may go on meanwhile.
    pub fn tidying(&mut self) -> Option<Tidying> {
        if self.loose < LOOSE {
            return None;
        }
        self.loose = 0;
        Some(Tidying { git: self.git.clone(), repository: self.repository.clone() })
    }
}

/// Packs a clone. It is never necessary: where it fails the next one does it.
#[derive(Debug)]
pub struct Tidying {
    git: Git,
    repository: PathBuf,
}

impl Tidying {
    /// Does it. What nothing leads to stays for two weeks, because a save may be about to need it.
    pub async fn run(self) {
        let mut command = self.git.in_repository(&self.repository);
        command.args(["gc", "--quiet", "--prune=2.weeks.ago"]);
        if let Err(error) = run(command, 4096, MAINTENANCE).await {
            tracing::warn!(%error, "the clone cannot be packed; it works all the same");
        }
    }
}

/// The contents that are kept of what a listing has.
async fn contents(
    objects: &mut Objects,
    listing: &Listing,
    known: Option<&State>,
) -> Result<Tree, crate::process::ProcessError> {
    let mut tree = Tree::default();
    let (mut total, mut wanted, mut reused) = (0_u64, Vec::new(), HashMap::new());
    for (path, leaf, size) in &listing.leaves {
        let Some(path) = std::str::from_utf8(path).ok().and_then(|path| path.parse::<SafePath>().ok()) else {
            continue;
        };
        let blob = match leaf {
            leaf if leaf.is_symlink() => Blob::Symlink,
            leaf if !leaf.is_file() => Blob::Submodule,
            _ if *size > MAX_FILE || total + size > MAX_FILES => Blob::TooLarge { size: *size },
            leaf => {
                total += size;
                let same = known.filter(|known| known.root.leaf(path.as_str().as_bytes()) == Some(*leaf));
                match same.and_then(|known| known.tree.files.get(&path)) {
                    Some(Blob::File(content)) => {
                        reused.insert(path, Blob::File(content.clone()));
                    }
                    Some(Blob::Symlink | Blob::Submodule | Blob::TooLarge { .. }) | None => {
                        wanted.push((path, leaf.id.to_string()));
                    }
                }
                continue;
            }
        };
        tree.files.insert(path, blob);
    }
    let ids: Vec<&str> = wanted.iter().map(|(_, id)| id.as_str()).collect();
    // Whoever asks for contents has to know that they are there.
    let infos = objects.info(&ids).await?;
    if infos.iter().any(Option::is_none) {
        let missing = std::io::Error::new(std::io::ErrorKind::InvalidData, "a file's content is missing");
        return Err(crate::process::ProcessError::Io(missing));
    }
    let found = objects.contents(&ids).await?;
    tree.files.extend(reused);
    tree.files.extend(wanted.into_iter().map(|(path, _)| path).zip(found.into_iter().map(Blob::File)));
    Ok(tree)
}

/// Writes a reference at once, without waiting for the disk.
fn write_ref(repository: &Path, name: &str, id: ObjectId) -> std::io::Result<()> {
    let path = repository.join(name);
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    // Not beside it: git takes every file there for a reference.
    let new = repository.join("tmp_ref");
    fs::write(&new, format!("{id}\n"))?;
    fs::rename(new, path)
}
