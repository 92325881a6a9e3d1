//! The trait's methods, each a few lines over the parts.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use lb_vocab::{CommitId, GitUser, Prefix, RepoName, SafePath, Secret, Timestamp};
use tokio::sync::watch;

use super::records::{Edit, HookRecord, KeyRecord, Owner, RepositoryRecord, TokenRecord, UserRecord};
use super::repository::Target;
use super::{Embedded, Inner, list, receive, smart};
use crate::bare::objects::Objects;
use crate::bare::{history, refs, tree};
use crate::error::{HostError, Kind};
use crate::files::blocking;
use crate::globs::Globs;
use crate::host::{GitHost, SignIn};
use crate::names::{Cursor, Login, RefName};
use crate::process::run;
use crate::types::{
    Advertisement, At, ByteStream, Changes, Collaborator, CommitInfo, CommitStatus, Found, Hook, HookTarget,
    Permission, PublicKey, Repository, Rpc, Service, TokenInfo, TreeAnswer, User,
};
use crate::{keys, secrets};

/// Tokens and keys of one user at most.
const MAX_OF_A_KIND: usize = 200;
/// Repositories of one user at most.
const MAX_REPOSITORIES: usize = 100;

#[async_trait]
impl GitHost for Embedded {
    async fn users(&self, prefix: &Prefix) -> Result<Vec<(User, Vec<Repository>)>, HostError> {
        Ok(self.0.roster(prefix))
    }

    async fn search_users(&self, text: &str) -> Result<Vec<User>, HostError> {
        let text = text.to_lowercase();
        Ok(self.0.users(|owner| owner.record.user.to_string().contains(&text)))
    }

    async fn user(&self, user: &GitUser) -> Result<Option<User>, HostError> {
        let Ok(login) = self.0.login(user) else { return Ok(None) };
        Ok(self.0.store.owner(&login, |owner| describe_user(&login, owner)).ok())
    }

    async fn create_user(&self, user: &GitUser) -> Result<(User, bool), HostError> {
        let login = Login::try_from(user).map_err(|error| HostError::refused(error.to_string()))?;
        let mut made = false;
        if self.0.store.owner(&login, |_| ()).is_err() {
            let record = UserRecord {
                id: self.0.store.number().await?,
                user: user.clone(),
                email: format!("{}@{}.com", user.name, user.prefix),
                created: self.0.clock.now(),
                tokens: Vec::new(),
                keys: Vec::new(),
            };
            made = self.0.store.add_user(&login, record).await?;
        }
        self.0.settle(user).await?;
        let found = self.user(user).await?;
        found.map(|found| (found, made)).ok_or_else(|| {
            HostError::refused(format!("the login `{login}` belongs to a user of another prefix"))
        })
    }

    async fn delete_user(&self, user: &GitUser) -> Result<(), HostError> {
        let login = self.0.login(user)?;
        for (repository, _) in self.0.reachable(&login) {
            let forget =
                |record: &mut RepositoryRecord| Ok(edited(record.collaborators.remove(&login).is_some()));
            self.0.store.edit_repository(&repository.owner, &repository.name, forget).await?;
        }
        self.0.store.remove_user(&login).await?;
        self.0.forget(|owner, _| *owner == login);
        self.0.settle(user).await
    }

    async fn repositories(&self, user: &GitUser) -> Result<Option<Vec<Repository>>, HostError> {
        let Ok(login) = self.0.login(user) else { return Ok(None) };
        let owned = self.0.store.owner(&login, |owner| {
            owner.repositories.values().map(|record| self.0.describe(&login, user, record)).collect()
        });
        Ok(owned.ok())
    }

    async fn repository(&self, user: &GitUser, repo: &RepoName) -> Result<Option<Repository>, HostError> {
        let Ok(login) = self.0.login(user) else { return Ok(None) };
        let found = self.0.store.owner(&login, |owner| {
            owner.repositories.get(repo).map(|record| self.0.describe(&login, user, record))
        });
        Ok(found.ok().flatten())
    }

    async fn reachable(&self, login: &Login) -> Result<Vec<(Repository, Permission)>, HostError> {
        self.0.store.owner(login, |_| ())?;
        Ok(self.0.reachable(login))
    }

    async fn ensure_repository(&self, user: &GitUser, repo: &RepoName) -> Result<Repository, HostError> {
        let login = self.0.login(user)?;
        if self.repository(user, repo).await?.is_none() {
            self.0.new_repository(&login, repo).await?;
        }
        self.0.settle(user).await?;
        let found = self.repository(user, repo).await?;
        found.ok_or_else(|| HostError::not_found(Kind::Repository, format!("{login}/{repo}")))
    }

    async fn delete_repository(&self, user: &GitUser, repo: &RepoName) -> Result<(), HostError> {
        let target = self.0.target(user, repo)?;
        let _pushing = target.live.pushing.lock().await;
        self.0.store.remove_repository(&target.login, repo).await?;
        self.0.forget(|owner, name| *owner == target.login && name == repo);
        self.0.settle(user).await
    }

    async fn tree(
        &self,
        user: &GitUser,
        repo: &RepoName,
        at: &At,
        globs: &Globs,
        max_bytes: u64,
    ) -> Result<TreeAnswer, HostError> {
        let target = self.0.target(user, repo)?;
        let doing = format!("read {}", target.name());
        let id = match self.0.resolve(&target, at).await? {
            Ok(id) => id,
            Err(refs) => return Ok(TreeAnswer::NoSuchRef { refs }),
        };
        let read = async {
            let _turn = smart::turn(&self.0.gates.requests).await?;
            let mut objects =
                Objects::open(&self.0.git, &target.directory).map_err(|error| error.host(&doing))?;
            let (commit, root) = tree::commit(&mut objects, &doing, &id).await?;
            let wanted =
                tree::Wanted { doing: &doing, globs, max_bytes, max_total: self.0.settings.tree_bytes };
            Ok((commit, tree::read(&mut objects, root, &wanted).await?.whole(&doing)?))
        };
        self.0.trees.at((user, repo), &id, globs, max_bytes, read).await
    }

    async fn history(
        &self,
        user: &GitUser,
        repo: &RepoName,
        at: &At,
        path: Option<&SafePath>,
        limit: usize,
    ) -> Result<Vec<CommitInfo>, HostError> {
        let target = self.0.target(user, repo)?;
        let doing = format!("read the history of {}", target.name());
        let not_found = || match at {
            At::Ref(name) => HostError::not_found(Kind::Commit, name),
            At::Commit(id) => HostError::not_found(Kind::Commit, id),
        };
        let id = self.0.resolve(&target, at).await?.map_err(|_| not_found())?;
        let _turn = smart::turn(&self.0.gates.requests).await?;
        // git log takes a missing commit for a mistake of ours.
        let mut objects =
            Objects::open(&self.0.git, &target.directory).map_err(|error| error.host(&doing))?;
        let (commit, _) = tree::commit(&mut objects, &doing, &id).await?;
        history::read(&self.0.git, &target.directory, &doing, &commit, path, limit).await
    }

    async fn ensure_hook(
        &self,
        user: &GitUser,
        repo: &RepoName,
        hook_target: &HookTarget,
    ) -> Result<(Hook, Found), HostError> {
        let target = self.0.target(user, repo)?;
        let url = hook_target.url.as_str();
        if !(url.starts_with("http://") || url.starts_with("https://"))
            || url.len() > 2000
            || url.chars().any(char::is_control)
        {
            return Err(HostError::refused(
                "a webhook's address starts with `http://` or `https://` and has at most 2000 characters",
            ));
        }
        let new =
            HookRecord { id: self.0.store.number().await?, url: url.to_owned(), created: self.0.clock.now() };
        let hook = |hook: &HookRecord| Hook { id: hook.id, url: hook.url.clone(), created: hook.created };
        let ensure = |record: &mut RepositoryRecord| {
            if let Some(known) = record.hooks.iter().find(|known| known.url == new.url) {
                return Ok(Edit::Same(hook(known)));
            }
            record.hooks.retain(|known| !hook_target.replaces(&known.url));
            if record.hooks.len() >= MAX_OF_A_KIND {
                return Err(HostError::refused(format!("a repository has at most {MAX_OF_A_KIND} webhooks")));
            }
            let made = hook(&new);
            record.hooks.push(new);
            Ok(Edit::Write(made))
        };
        Ok((self.0.store.edit_repository(&target.login, repo, ensure).await?, Found::Undelivered))
    }

    async fn set_commit_status(
        &self,
        user: &GitUser,
        repo: &RepoName,
        _commit: &CommitId,
        _status: &CommitStatus,
    ) -> Result<bool, HostError> {
        // Nobody looks at commits here.
        self.0.target(user, repo).map(|_| false)
    }

    async fn keys(&self, user: &GitUser) -> Result<Vec<PublicKey>, HostError> {
        let login = self.0.login(user)?;
        self.0.store.owner(&login, |owner| owner.record.keys.iter().map(public_key).collect())
    }

    async fn add_key(&self, user: &GitUser, title: &str, key: &str) -> Result<PublicKey, HostError> {
        let login = self.0.login(user)?;
        keys::check_title(title)?;
        let keys::Accepted { line, fingerprint } = keys::check(key)?;
        let (id, created) = (self.0.store.number().await?, self.0.clock.now());
        let new = KeyRecord { id, title: title.to_owned(), fingerprint, key: line, created };
        let add = |record: &mut UserRecord, owners: &super::records::Owners| {
            let replaces = |known: &KeyRecord| title.starts_with(keys::INTERNAL) && known.title == title;
            let mut known =
                owners.values().flat_map(|owner| owner.record.keys.iter().map(move |key| (owner, key)));
            if known.any(|(owner, key)| {
                key.fingerprint == new.fingerprint && (owner.record.id != record.id || !replaces(key))
            }) {
                return Err(HostError::refused("Key content has been used as non-deploy key"));
            }
            record.keys.retain(|known| !replaces(known));
            if record.keys.iter().any(|known| known.title == title) {
                return Err(HostError::refused("Key title has been used"));
            }
            if record.keys.len() >= MAX_OF_A_KIND {
                return Err(HostError::refused(format!("a user has at most {MAX_OF_A_KIND} keys")));
            }
            record.keys.push(new.clone());
            Ok(Edit::Write(public_key(&new)))
        };
        self.0.store.edit_user(&login, add).await
    }

    async fn delete_key(&self, user: &GitUser, id: u64) -> Result<(), HostError> {
        let login = self.0.login(user)?;
        let delete = |record: &mut UserRecord, _: &super::records::Owners| {
            remove(&mut record.keys, Kind::Key, id, |key| key.id)
        };
        self.0.store.edit_user(&login, delete).await
    }

    async fn collaborators(&self, user: &GitUser, repo: &RepoName) -> Result<Vec<Collaborator>, HostError> {
        let login = self.0.login(user)?;
        let list = |record: &RepositoryRecord| {
            let of = |(login, permission): (&Login, &Permission)| Collaborator {
                login: login.clone(),
                permission: *permission,
            };
            record.collaborators.iter().map(of).collect()
        };
        self.0.store.repository(&login, repo, list)
    }

    async fn set_collaborator(
        &self,
        user: &GitUser,
        repo: &RepoName,
        login: &Login,
        permission: Permission,
    ) -> Result<(), HostError> {
        let owner = self.0.login(user)?;
        self.0.store.owner(login, |_| ())?;
        if owner == *login {
            return Err(HostError::refused(format!("`{login}` owns the repository and needs no permission")));
        }
        let set = |record: &mut RepositoryRecord| {
            Ok(edited(record.collaborators.insert(login.clone(), permission) != Some(permission)))
        };
        self.0.store.edit_repository(&owner, repo, set).await
    }

    async fn remove_collaborator(
        &self,
        user: &GitUser,
        repo: &RepoName,
        login: &Login,
    ) -> Result<(), HostError> {
        let owner = self.0.login(user)?;
        let remove = |record: &mut RepositoryRecord| Ok(edited(record.collaborators.remove(login).is_some()));
        self.0.store.edit_repository(&owner, repo, remove).await
    }

    async fn permission(
        &self,
        login: &Login,
        user: &GitUser,
        repo: &RepoName,
    ) -> Result<Option<Permission>, HostError> {
        let Ok(owner) = self.0.login(user) else { return Ok(None) };
        if self.0.store.owner(login, |_| ()).is_err() {
            return Ok(None);
        }
        let granted = self.0.store.repository(&owner, repo, |record| {
            if owner == *login { Some(Permission::Admin) } else { record.collaborators.get(login).copied() }
        });
        Ok(granted.ok().flatten())
    }

    /// Tokens here are good for everything.
    async fn authenticate(&self, login: &Login, password: &Secret) -> Result<Option<Permission>, HostError> {
        let matches =
            |owner: &Owner| secrets::matches(password, owner.record.tokens.iter().map(|token| &*token.hash));
        // A login that does not exist takes as long as one that does.
        let known = self.0.store.owner(login, matches);
        let right = known.unwrap_or_else(|_| secrets::matches(password, std::iter::once("")));
        Ok(right.then_some(Permission::Admin))
    }

    async fn person(&self, login: &Login) -> Result<Option<User>, HostError> {
        Ok(self.0.store.owner(login, |owner| describe_user(login, owner)).ok())
    }

    fn sign_in(&self) -> Option<&dyn SignIn> {
        None
    }

    async fn refs(&self, user: &GitUser, repo: &RepoName) -> Result<BTreeMap<RefName, CommitId>, HostError> {
        list(&self.0.target(user, repo)?).await
    }

    async fn changes(&self, after: Option<&Cursor>) -> Result<Changes, HostError> {
        self.0.catch_up().await?;
        self.0.journal.changes(after)
    }

    /// Nothing happens here unseen.
    async fn look(&self, user: &GitUser, repo: &RepoName) -> Result<(), HostError> {
        self.0.target(user, repo).map(drop)
    }

    fn subscribe(&self) -> watch::Receiver<Cursor> {
        self.0.journal.subscribe()
    }

    async fn advertise(
        &self,
        user: &GitUser,
        repo: &RepoName,
        request: Advertisement,
    ) -> Result<ByteStream, HostError> {
        smart::advertise(&self.0, &self.0.target(user, repo)?, &request).await
    }

    async fn rpc(&self, user: &GitUser, repo: &RepoName, request: Rpc) -> Result<ByteStream, HostError> {
        let target = self.0.target(user, repo)?;
        match request.service {
            Service::UploadPack => smart::upload(&self.0, target, request).await,
            Service::ReceivePack => receive::receive(&self.0, target, request).await,
        }
    }

    async fn close(&self) {
        self.0.cancelled.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    async fn create_token(&self, login: &Login, name: &str) -> Result<(TokenInfo, Secret), HostError> {
        secrets::check_name(name)?;
        self.0.store.owner(login, |_| ())?;
        let secret = secrets::token()?;
        let (id, created) = (self.0.store.number().await?, self.0.clock.now());
        let new = TokenRecord { id, name: name.to_owned(), created, hash: secrets::hash(&secret) };
        let add = |record: &mut UserRecord, _: &super::records::Owners| {
            if record.tokens.len() >= MAX_OF_A_KIND {
                return Err(HostError::refused(format!(
                    "a user has at most {MAX_OF_A_KIND} tokens: revoke one"
                )));
            }
            let made = token_info(&new);
            record.tokens.push(new);
            Ok(Edit::Write(made))
        };
        Ok((self.0.store.edit_user(login, add).await?, secret))
    }

    async fn list_tokens(&self, login: &Login) -> Result<Vec<TokenInfo>, HostError> {
        self.0.store.owner(login, |owner| owner.record.tokens.iter().map(token_info).collect())
    }

    async fn revoke_token(&self, login: &Login, id: u64) -> Result<(), HostError> {
        let revoke = |record: &mut UserRecord, _: &super::records::Owners| {
            remove(&mut record.tokens, Kind::Token, id, |token| token.id)
        };
        self.0.store.edit_user(login, revoke).await
    }
}

impl Inner {
    fn users(&self, wanted: impl Fn(&Owner) -> bool) -> Vec<User> {
        let describe = |(login, owner): (&Login, &Owner)| wanted(owner).then(|| describe_user(login, owner));
        self.store.read(|owners| owners.iter().filter_map(describe).collect())
    }

    fn roster(&self, prefix: &Prefix) -> Vec<(User, Vec<Repository>)> {
        let of = |(login, owner): (&Login, &Owner)| {
            let user = &owner.record.user;
            let owned = owner.repositories.values().map(|record| self.describe(login, user, record));
            (user.prefix == *prefix).then(|| (describe_user(login, owner), owned.collect()))
        };
        self.store.read(|owners| owners.iter().filter_map(of).collect())
    }

    fn describe(&self, login: &Login, user: &GitUser, record: &RepositoryRecord) -> Repository {
        let known = self.journal.known(|known| {
            known.repository(user, &record.name).map(|known| (known.refs.is_empty(), known.updated))
        });
        let (empty, updated): (bool, Timestamp) = known.unwrap_or((true, record.created));
        let (id, owner, default_branch) = (record.id, login.clone(), "master".to_owned());
        Repository {
            id,
            owner,
            name: record.name.clone(),
            default_branch,
            empty,
            created: record.created,
            updated,
        }
    }

    fn reachable(&self, login: &Login) -> Vec<(Repository, Permission)> {
        self.store.read(|owners| {
            let all = owners.iter().flat_map(|(name, owner)| {
                owner.repositories.values().map(move |record| {
                    let granted = if name == login {
                        Some(Permission::Admin)
                    } else {
                        record.collaborators.get(login).copied()
                    };
                    (name, &owner.record.user, record, granted)
                })
            });
            all.filter_map(|(name, user, record, granted)| {
                Some((self.describe(name, user, record), granted?))
            })
            .collect()
        })
    }

    /// Where a question's place is now; where it is none, every reference that there is.
    async fn resolve(&self, target: &Target, at: &At) -> Result<Result<CommitId, Vec<RefName>>, HostError> {
        let name = match at {
            At::Commit(id) => return Ok(Ok(id.clone())),
            At::Ref(name) => name.clone(),
        };
        let directory = target.directory.clone();
        let doing = format!("read {name} of {}", target.name());
        let look = move || {
            if let Some(id) = refs::resolve(&directory, &name)? {
                return Ok(Ok(id));
            }
            // It may have come meanwhile: the listing must not contradict the answer.
            let mut refs = refs::list(&directory)?;
            Ok(refs.remove(&name).ok_or_else(|| refs.into_keys().collect()))
        };
        blocking(move || look().map_err(HostError::io(doing))).await
    }

    async fn new_repository(&self, login: &Login, repo: &RepoName) -> Result<(), HostError> {
        let names: Vec<RepoName> =
            self.store.owner(login, |owner| owner.repositories.keys().cloned().collect())?;
        if names.len() >= MAX_REPOSITORIES {
            return Err(HostError::refused(format!("a user has at most {MAX_REPOSITORIES} repositories")));
        }
        if let Some(other) =
            names.iter().find(|other| *other != repo && other.as_str().eq_ignore_ascii_case(repo.as_str()))
        {
            return Err(HostError::refused(format!(
                "`{repo}` and `{other}` differ in case alone, which other git hosts do not tell apart"
            )));
        }
        let scratch = self.store.scratch()?;
        let mut command = self.git.command(&self.scratch());
        command
            .args(["init", "--quiet", "--bare", "--template=", "--object-format=sha1"])
            .arg(scratch.join("git"));
        run(command, 4096, Duration::from_secs(30))
            .await
            .map_err(|error| error.host(format!("make {login}/{repo}")))?;
        let record = RepositoryRecord {
            id: self.store.number().await?,
            name: repo.clone(),
            created: self.clock.now(),
            collaborators: BTreeMap::new(),
            hooks: Vec::new(),
        };
        self.store.add_repository(login, record, scratch).await
    }
}

/// An edit of a map's entry.
fn edited(changed: bool) -> Edit<()> {
    if changed { Edit::Write(()) } else { Edit::Same(()) }
}

/// Removes the one with this number from a record's list.
fn remove<T>(
    all: &mut Vec<T>,
    kind: Kind,
    id: u64,
    number: impl Fn(&T) -> u64,
) -> Result<Edit<()>, HostError> {
    let before = all.len();
    all.retain(|one| number(one) != id);
    if all.len() == before { Err(HostError::not_found(kind, id)) } else { Ok(Edit::Write(())) }
}

fn describe_user(login: &Login, owner: &Owner) -> User {
    let UserRecord { id, email, created, .. } = &owner.record;
    User {
        id: *id,
        full_name: login.to_string(),
        login: login.clone(),
        email: email.clone(),
        created: *created,
    }
}

fn public_key(key: &KeyRecord) -> PublicKey {
    let KeyRecord { id, title, fingerprint, key, created } = key.clone();
    PublicKey { id, title, fingerprint, key, created }
}

fn token_info(token: &TokenRecord) -> TokenInfo {
    TokenInfo { id: token.id, name: token.name.clone(), created: token.created }
}
