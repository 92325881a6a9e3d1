//! Users and repositories: a small JSON file for each, all of them in memory.
//!
//! ```text
//! host.json                                   format, next number
//! users/<login>/user.json                     user, tokens' hashes, keys
//! users/<login>/repos/<repo>/repository.json  repository, collaborators, hooks
//! users/<login>/repos/<repo>/git/             the bare repository
//! tmp/                                        what is being made or removed; emptied at each start
//! ```
//! A user or repository comes and goes by one rename from or to `tmp`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use lb_vocab::{GitUser, RepoName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::{HostError, Kind};
use crate::files::{self, blocking, move_to, read_json, remove_all, write_json};
use crate::names::Login;
use crate::secrets::random_hex;
use crate::types::Permission;

const FORMAT: u32 = 1;
/// Numbers that are taken from `host.json` at a time.
const NUMBERS: u64 = 1000;

/// `host.json`.
#[derive(Debug, Serialize, Deserialize)]
struct HostRecord {
    format: u32,
    next_number: u64,
}

/// `user.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct UserRecord {
    pub(super) id: u64,
    pub(super) user: GitUser,
    pub(super) email: String,
    pub(super) created: Timestamp,
    #[serde(default)]
    pub(super) tokens: Vec<TokenRecord>,
    #[serde(default)]
    pub(super) keys: Vec<KeyRecord>,
}

/// A token of a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct TokenRecord {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) created: Timestamp,
    /// SHA-256, hex.
    pub(super) hash: String,
}

/// A public key of a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeyRecord {
    pub(super) id: u64,
    pub(super) title: String,
    pub(super) fingerprint: String,
    pub(super) key: String,
    pub(super) created: Timestamp,
}

/// `repository.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RepositoryRecord {
    pub(super) id: u64,
    pub(super) name: RepoName,
    pub(super) created: Timestamp,
    #[serde(default)]
    pub(super) collaborators: BTreeMap<Login, Permission>,
    #[serde(default)]
    pub(super) hooks: Vec<HookRecord>,
}

/// A registered webhook.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct HookRecord {
    pub(super) id: u64,
    pub(super) url: String,
    pub(super) created: Timestamp,
}

/// A user with what they own.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) record: UserRecord,
    pub(super) repositories: BTreeMap<RepoName, RepositoryRecord>,
}

/// Every user.
pub(super) type Owners = BTreeMap<Login, Owner>;

/// All records of a data directory.
#[derive(Debug)]
pub(super) struct Store {
    root: PathBuf,
    owners: RwLock<Owners>,
    /// Numbers not given away yet, and whose `host.json` says so.
    numbers: Arc<Mutex<std::ops::Range<u64>>>,
    /// One change at a time: what is in memory is what is on disk.
    writing: tokio::sync::Mutex<()>,
}

/// What a change of a record came to.
pub(super) enum Edit<T> {
    /// It is to be written.
    Write(T),
    /// Nothing changed.
    Same(T),
}

impl Store {
    /// Reads all records. A damaged one stops the start: taking it for absent would mean removing what it stands for.
    pub(super) fn open(root: &Path) -> Result<Self, HostError> {
        let path = root.join("host.json");
        let host: HostRecord = read_json(&path)?.unwrap_or(HostRecord { format: FORMAT, next_number: 1 });
        if host.format != FORMAT {
            let why = format!("its format is {}, this version knows {FORMAT}", host.format);
            return Err(HostError::malformed(format!("open {}", root.display()), why));
        }
        for directory in ["users", "tmp"] {
            let directory = root.join(directory);
            fs::create_dir_all(&directory).map_err(HostError::io(format!("make {}", directory.display())))?;
        }
        let store = Self {
            root: root.to_owned(),
            owners: RwLock::new(read_owners(&root.join("users"))?),
            numbers: Arc::new(Mutex::new(host.next_number..host.next_number)),
            writing: tokio::sync::Mutex::new(()),
        };
        write_json(&path, &host)?;
        Ok(store)
    }

    /// Looks at all users.
    pub(super) fn read<T>(&self, look: impl FnOnce(&Owners) -> T) -> T {
        look(&self.owners.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at one user.
    pub(super) fn owner<T>(&self, login: &Login, look: impl FnOnce(&Owner) -> T) -> Result<T, HostError> {
        self.read(|owners| owners.get(login).map(look)).ok_or_else(|| HostError::not_found(Kind::User, login))
    }

    /// Looks at one repository.
    pub(super) fn repository<T>(
        &self,
        login: &Login,
        repo: &RepoName,
        look: impl FnOnce(&RepositoryRecord) -> T,
    ) -> Result<T, HostError> {
        self.owner(login, |owner| owner.repositories.get(repo).map(look))?
            .ok_or_else(|| HostError::not_found(Kind::Repository, format!("{login}/{repo}")))
    }

    /// Where the bare repository is.
    pub(super) fn git_directory(&self, login: &Login, repo: &RepoName) -> PathBuf {
        self.repository_directory(login, repo).join("git")
    }

    /// A directory for what is being made; nobody else knows its name.
    pub(super) fn scratch(&self) -> Result<PathBuf, HostError> {
        Ok(self.root.join("tmp").join(random_hex::<12>()?))
    }

    /// A number that was never given away.
    pub(super) async fn number(&self) -> Result<u64, HostError> {
        let (numbers, path) = (Arc::clone(&self.numbers), self.root.join("host.json"));
        blocking(move || {
            let mut numbers = numbers.lock().unwrap_or_else(PoisonError::into_inner);
            if numbers.is_empty() {
                let next_number = numbers.end + NUMBERS;
                write_json(&path, &HostRecord { format: FORMAT, next_number })?;
                numbers.end = next_number;
            }
            numbers.next().ok_or_else(|| HostError::refused("there are no numbers left"))
        })
        .await
    }

    /// Adds a user, where there is none of that login.
    pub(super) async fn add_user(&self, login: &Login, record: UserRecord) -> Result<bool, HostError> {
        let _one = self.writing.lock().await;
        if self.read(|owners| owners.contains_key(login)) {
            return Ok(false);
        }
        let (scratch, place, written) = (self.scratch()?, self.user_directory(login), record.clone());
        blocking(move || {
            let doing = || format!("make {}", place.display());
            fs::create_dir_all(scratch.join("repos")).map_err(HostError::io(doing()))?;
            write_json(&scratch.join("user.json"), &written)?;
            move_to(&scratch, &place).map_err(HostError::io(doing()))
        })
        .await?;
        self.change(|owners| owners.insert(login.clone(), Owner { record, repositories: BTreeMap::new() }));
        Ok(true)
    }

    /// Adds a repository whose `git` directory lies in `scratch`, where there is none of that name.
    pub(super) async fn add_repository(
        &self,
        login: &Login,
        record: RepositoryRecord,
        scratch: PathBuf,
    ) -> Result<(), HostError> {
        let _one = self.writing.lock().await;
        let repo = record.name.clone();
        let exists = self.owner(login, |owner| owner.repositories.contains_key(&repo))?;
        let (place, written) = (self.repository_directory(login, &repo), record.clone());
        blocking(move || {
            let doing = || format!("make {}", place.display());
            if exists {
                return remove_all(&scratch).map_err(HostError::io(doing()));
            }
            write_json(&scratch.join("repository.json"), &written)?;
            move_to(&scratch, &place).map_err(HostError::io(doing()))
        })
        .await?;
        if !exists {
            self.change(|owners| owners.get_mut(login).map(|owner| owner.repositories.insert(repo, record)));
        }
        Ok(())
    }

    /// Removes a user with everything.
    pub(super) async fn remove_user(&self, login: &Login) -> Result<(), HostError> {
        let _one = self.writing.lock().await;
        self.owner(login, |_| ())?;
        self.discard(self.user_directory(login)).await?;
        self.change(|owners| owners.remove(login));
        Ok(())
    }

    /// Removes a repository.
    pub(super) async fn remove_repository(&self, login: &Login, repo: &RepoName) -> Result<(), HostError> {
        let _one = self.writing.lock().await;
        self.repository(login, repo, |_| ())?;
        self.discard(self.repository_directory(login, repo)).await?;
        self.change(|owners| owners.get_mut(login).map(|owner| owner.repositories.remove(repo)));
        Ok(())
    }

    /// Changes a user's record, on disk and then in memory. `edit` sees all users, for what must be unique.
    pub(super) async fn edit_user<T>(
        &self,
        login: &Login,
        edit: impl FnOnce(&mut UserRecord, &Owners) -> Result<Edit<T>, HostError>,
    ) -> Result<T, HostError> {
        let _one = self.writing.lock().await;
        let mut record = self.owner(login, |owner| owner.record.clone())?;
        let result = match self.read(|owners| edit(&mut record, owners))? {
            Edit::Same(result) => return Ok(result),
            Edit::Write(result) => result,
        };
        let (path, written) = (self.user_directory(login).join("user.json"), record.clone());
        blocking(move || write_json(&path, &written)).await?;
        self.change(|owners| owners.get_mut(login).map(|owner| owner.record = record));
        Ok(result)
    }

    /// Changes a repository's record, on disk and then in memory.
    pub(super) async fn edit_repository<T>(
        &self,
        login: &Login,
        repo: &RepoName,
        edit: impl FnOnce(&mut RepositoryRecord) -> Result<Edit<T>, HostError>,
    ) -> Result<T, HostError> {
        let _one = self.writing.lock().await;
        let mut record = self.repository(login, repo, Clone::clone)?;
        let result = match edit(&mut record)? {
            Edit::Same(result) => return Ok(result),
            Edit::Write(result) => result,
        };
        let (path, written) =
            (self.repository_directory(login, repo).join("repository.json"), record.clone());
        blocking(move || write_json(&path, &written)).await?;
        self.change(|owners| {
            owners.get_mut(login).map(|owner| owner.repositories.insert(record.name.clone(), record))
        });
        Ok(result)
    }

    /// Moves a directory out of the way and removes it.
    async fn discard(&self, directory: PathBuf) -> Result<(), HostError> {
        let scratch = self.scratch()?;
        blocking(move || {
            let doing = || format!("remove {}", directory.display());
            files::move_to(&directory, &scratch).map_err(HostError::io(doing()))?;
            if let Err(error) = remove_all(&scratch) {
                // It is out of the way; the next start removes it.
                tracing::warn!(directory = %scratch.display(), %error, "a removed directory stays for now");
            }
            Ok(())
        })
        .await
    }

    fn change<T>(&self, change: impl FnOnce(&mut Owners) -> T) -> T {
        change(&mut self.owners.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn user_directory(&self, login: &Login) -> PathBuf {
        self.root.join("users").join(login.as_str())
    }

    fn repository_directory(&self, login: &Login, repo: &RepoName) -> PathBuf {
        self.user_directory(login).join("repos").join(repo.as_str())
    }
}

fn read_owners(users: &Path) -> Result<Owners, HostError> {
    let mut owners = Owners::new();
    for (name, directory) in subdirectories(users)? {
        let login: Login =
            name.parse().map_err(|error| HostError::malformed(format!("read {}", users.display()), error))?;
        let record: UserRecord = must(&directory.join("user.json"))?;
        if record.user.to_string() != name {
            return Err(HostError::malformed(
                format!("read {}", directory.display()),
                "it is another user's record",
            ));
        }
        let mut repositories = BTreeMap::new();
        for (name, directory) in subdirectories(&directory.join("repos"))? {
            let record: RepositoryRecord = must(&directory.join("repository.json"))?;
            if record.name.as_str() != name {
                return Err(HostError::malformed(
                    format!("read {}", directory.display()),
                    "it is another repository's record",
                ));
            }
            repositories.insert(record.name.clone(), record);
        }
        owners.insert(login, Owner { record, repositories });
    }
    Ok(owners)
}

fn must<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, HostError> {
    read_json(path)?.ok_or_else(|| HostError::malformed(format!("read {}", path.display()), "it is missing"))
}

fn subdirectories(directory: &Path) -> Result<Vec<(String, PathBuf)>, HostError> {
    let doing = || format!("list {}", directory.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(HostError::io(doing()))? {
        let entry = entry.map_err(HostError::io(doing()))?;
        let name = entry
            .file_name()
            .into_string()
            .map_err(|name| HostError::malformed(doing(), format!("{name:?}")))?;
        found.push((name, entry.path()));
    }
    Ok(found)
}
