//! The trait's methods, each a few questions to Gitea.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use http::Method;
use lb_vocab::{Blob, CommitId, GitUser, Prefix, RepoName, SafePath, Secret, Tree};
use serde_json::json;
use tokio::sync::watch;

use super::api::{Api, Ask, Failure};
use super::scratch::Scratch;
use super::upload::Want;
use super::wire::{self, FoundUsersBody, KeyBody, PermissionBody, RepositoryBody, UserBody};
use super::{Gitea, Inner, git_path, proxy};
use crate::bare::objects::Objects;
use crate::bare::{history, tree};
use crate::error::{HostError, Kind};
use crate::globs::Globs;
use crate::host::{GitHost, SignIn};
use crate::journal::What;
use crate::names::{Cursor, Login, RefName};
use crate::types::{
    Advertisement, At, ByteStream, Changes, Collaborator, CommitInfo, CommitStatus, Found, Hook, HookTarget,
    Permission, PublicKey, Repository, Rpc, Service, TokenInfo, TreeAnswer, User,
};
use crate::{keys, secrets};

/// A pack of everything at one commit at most, bytes; of a larger repository only the wanted files are fetched.
const WHOLE_PACK: u64 = 16 << 20;
/// A pack of directories or commits at most, bytes.
const BARE_PACK: u64 = 64 << 20;
/// Collaborators whose permission is asked for at once.
const AT_ONCE: usize = 4;

#[async_trait]
impl GitHost for Gitea {
    async fn users(&self, prefix: &Prefix) -> Result<Vec<(User, Vec<Repository>)>, HostError> {
        if *prefix == self.0.settings.prefix { self.0.roster().await } else { Ok(Vec::new()) }
    }

    async fn search_users(&self, text: &str) -> Result<Vec<User>, HostError> {
        let ask = Ask::get(&["users", "search"]).query("q", text);
        let doing = "search users";
        let found = |answer: &super::api::Answer| {
            let found: FoundUsersBody = answer.object()?;
            found
                .checked()
                .ok_or_else(|| HostError::malformed("search users", "Gitea says that it is not ok"))
        };
        let bodies = self.0.api.pages(&ask, found).await.map_err(|failure| failure.host(doing))?;
        // Gitea also looks at full names.
        let text = text.to_lowercase();
        let mut users: Vec<User> = bodies.into_iter().filter_map(UserBody::user).collect();
        users.retain(|user| user.login.as_str().contains(&text));
        users.sort_by(|a, b| a.login.cmp(&b.login));
        Ok(users)
    }

    async fn user(&self, user: &GitUser) -> Result<Option<User>, HostError> {
        Ok(self.0.user_body(user).await?.and_then(UserBody::user))
    }

    async fn create_user(&self, user: &GitUser) -> Result<(User, bool), HostError> {
        let login = Login::try_from(user).map_err(|error| HostError::refused(error.to_string()))?;
        if let Some(found) = self.user(user).await? {
            return Ok((found, false));
        }
        let body = json!({
            "username": login.as_str(),
            "email": format!("{}@{}.com", user.name, user.prefix),
            // Nobody is told: users sign in with what Gitea's administrator arranges, and git with tokens.
            "password": format!("{}Aa1!", secrets::random_hex::<24>()?),
            "must_change_password": false,
            "send_notify": false,
            "visibility": "private",
        });
        let doing = format!("create git user `{login}`");
        match self.0.api.ask(Ask::new(Method::POST, &["admin", "users"]).json(body)).await {
            Ok(_) => {}
            // Somebody else was quicker, or the mail address or name cannot be had.
            Err(Failure::Refused(why)) => {
                let found = self.user(user).await?.map(|found| (found, false));
                return found.ok_or_else(|| HostError::refused(why));
            }
            Err(failure) => return Err(failure.host(&doing)),
        }
        self.0.track(user, None, What::Created).await?;
        let made = self.user(user).await?.map(|made| (made, true));
        made.ok_or_else(|| HostError::malformed(doing, "it is not there afterwards"))
    }

    async fn delete_user(&self, user: &GitUser) -> Result<(), HostError> {
        let login = known(user)?;
        let ask = Ask::new(Method::DELETE, &["admin", "users", login.as_str()]).query("purge", "true");
        match self.0.api.ask(ask).await {
            Ok(_) => {
                self.0.trees.forget(|owner, _| owner == user);
                self.0.track(user, None, What::Deleted).await
            }
            Err(Failure::Absent) => Err(HostError::not_found(Kind::User, user)),
            Err(failure) => Err(failure.host(&format!("delete git user `{login}`"))),
        }
    }

    async fn repositories(&self, user: &GitUser) -> Result<Option<Vec<Repository>>, HostError> {
        let Ok(login) = Login::try_from(user) else { return Ok(None) };
        match self.0.api.list::<RepositoryBody>(&Ask::get(&["users", login.as_str(), "repos"])).await {
            Ok(bodies) => {
                // Gitea lists what the user's organisations own elsewhere; here are the user's own.
                let own = bodies.into_iter().filter_map(RepositoryBody::repository);
                let mut own: Vec<_> = own.filter(|repository| repository.owner == login).collect();
                own.sort_by(|a, b| a.name.cmp(&b.name));
                Ok(Some(own))
            }
            Err(Failure::Absent) => Ok(None),
            Err(failure) => Err(failure.host(&format!("list the repositories of `{login}`"))),
        }
    }

    async fn repository(&self, user: &GitUser, repo: &RepoName) -> Result<Option<Repository>, HostError> {
        Ok(self.0.repository_body(user, repo).await?.and_then(RepositoryBody::repository))
    }

    async fn reachable(&self, login: &Login) -> Result<Vec<(Repository, Permission)>, HostError> {
        let ask = Ask::get(&["user", "repos"]).for_user(login.as_str());
        let bodies: Vec<RepositoryBody> = match self.0.api.list(&ask).await {
            Ok(bodies) => bodies,
            Err(Failure::Absent) => return Err(HostError::not_found(Kind::User, login)),
            Err(failure) => return Err(failure.host(&format!("list what `{login}` may reach"))),
        };
        let with_permission = |body: RepositoryBody| {
            let permission = body.permission()?;
            Some((body.repository()?, permission))
        };
        let mut reachable: Vec<_> = bodies.into_iter().filter_map(with_permission).collect();
        reachable.sort_by(|(a, _), (b, _)| (&a.owner, &a.name).cmp(&(&b.owner, &b.name)));
        Ok(reachable)
    }

    async fn ensure_repository(&self, user: &GitUser, repo: &RepoName) -> Result<Repository, HostError> {
        let login = known(user)?;
        if let Some(found) = self.repository(user, repo).await? {
            return Ok(found);
        }
        let body =
            json!({"name": repo.as_str(), "private": true, "default_branch": "master", "auto_init": false});
        let ask = Ask::new(Method::POST, &["admin", "users", login.as_str(), "repos"]).json(body);
        let doing = format!("create repository `{login}/{repo}`");
        match self.0.api.ask(ask).await {
            Ok(_) | Err(Failure::Exists) => {}
            Err(Failure::Absent) => return Err(HostError::not_found(Kind::User, user)),
            Err(failure) => return Err(failure.host(&doing)),
        }
        self.0.track(user, Some(repo), What::Created).await?;
        let found = self.repository(user, repo).await?;
        found.ok_or_else(|| HostError::malformed(doing, "it is not there afterwards"))
    }

    async fn delete_repository(&self, user: &GitUser, repo: &RepoName) -> Result<(), HostError> {
        let login = known(user)?;
        match self.0.api.ask(Ask::new(Method::DELETE, &["repos", login.as_str(), repo.as_str()])).await {
            Ok(_) => {
                self.0.trees.forget(|owner, name| owner == user && name == repo);
                self.0.track(user, Some(repo), What::Deleted).await
            }
            Err(Failure::Absent) => Err(self.0.missing(user, repo).await),
            Err(failure) => Err(failure.host(&format!("delete repository `{login}/{repo}`"))),
        }
    }

    async fn tree(
        &self,
        user: &GitUser,
        repo: &RepoName,
        at: &At,
        globs: &Globs,
        max_bytes: u64,
    ) -> Result<TreeAnswer, HostError> {
        let id = match self.0.resolve(user, repo, at).await? {
            Ok(id) => id,
            Err(refs) => return Ok(TreeAnswer::NoSuchRef { refs }),
        };
        let read = self.0.tree_at(user, repo, &id, globs, max_bytes);
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
        let doing = format!("read the history of {user}/{repo}");
        let id = self.0.resolve(user, repo, at).await?.map_err(|_| match at {
            At::Ref(name) => HostError::not_found(Kind::Commit, name),
            At::Commit(id) => HostError::not_found(Kind::Commit, id),
        })?;
        let limit = limit.min(history::MAX_COMMITS);
        // One more than is told: at the end of what was fetched a commit seems to have made every file.
        let depth = if path.is_some() { history::MAX_COMMITS } else { limit } + 1;
        let filter = if path.is_some() { "blob:none" } else { "tree:0" };
        let want = Want {
            ids: vec![id.as_str()],
            depth: Some(depth),
            filter: Some(filter.to_owned()),
            max_bytes: BARE_PACK,
        };
        let scratch = self.0.fetch(user, repo, &doing, &want).await?;
        let mut objects = Objects::open(&self.0.git, scratch.path()).map_err(|error| error.host(&doing))?;
        let commit = tree::commit_id(&mut objects, &doing, &id).await?;
        let ends = scratch.ends();
        let mut commits = history::read(&self.0.git, scratch.path(), &doing, &commit, path, limit).await?;
        commits.retain(|commit| !ends.contains(&commit.id));
        Ok(commits)
    }

    async fn ensure_hook(
        &self,
        user: &GitUser,
        repo: &RepoName,
        target: &HookTarget,
    ) -> Result<(Hook, Found), HostError> {
        self.0.ensure_hook(user, repo, target).await
    }

    async fn set_commit_status(
        &self,
        user: &GitUser,
        repo: &RepoName,
        commit: &CommitId,
        status: &CommitStatus,
    ) -> Result<bool, HostError> {
        self.0.set_commit_status(user, repo, commit, status).await.map(|()| true)
    }

    async fn keys(&self, user: &GitUser) -> Result<Vec<PublicKey>, HostError> {
        let mut keys: Vec<_> = self.0.key_bodies(user).await?.into_iter().map(KeyBody::key).collect();
        keys.sort_by_key(|key| key.id);
        Ok(keys)
    }

    async fn add_key(&self, user: &GitUser, title: &str, key: &str) -> Result<PublicKey, HostError> {
        let login = known(user)?;
        keys::check_title(title)?;
        // Checked here, too, before an older one is removed for it.
        let keys::Accepted { line, fingerprint } = keys::check(key)?;
        if title.starts_with(keys::INTERNAL) {
            let older = self.keys(user).await?.into_iter().filter(|known| known.title == title);
            for known in older {
                if known.fingerprint == fingerprint {
                    return Ok(known);
                }
                self.delete_key(user, known.id).await?;
            }
        }
        let body = json!({"title": title, "key": line, "read_only": false});
        let ask = Ask::new(Method::POST, &["admin", "users", login.as_str(), "keys"]).json(body);
        match self.0.api.ask(ask).await {
            Ok(answer) => Ok(answer.object::<KeyBody>()?.key()),
            Err(Failure::Absent) => Err(HostError::not_found(Kind::User, user)),
            Err(failure) => Err(failure.host(&format!("add a key of `{login}`"))),
        }
    }

    async fn delete_key(&self, user: &GitUser, id: u64) -> Result<(), HostError> {
        let login = known(user)?;
        let path = ["admin", "users", login.as_str(), "keys", &id.to_string()];
        match self.0.api.ask(Ask::new(Method::DELETE, &path)).await {
            Ok(_) => Ok(()),
            // 403: it is somebody else's.
            Err(Failure::Absent | Failure::Denied(_)) => match self.user(user).await? {
                Some(_) => Err(HostError::not_found(Kind::Key, id)),
                None => Err(HostError::not_found(Kind::User, user)),
            },
            Err(failure) => Err(failure.host(&format!("delete a key of `{login}`"))),
        }
    }

    async fn collaborators(&self, user: &GitUser, repo: &RepoName) -> Result<Vec<Collaborator>, HostError> {
        let login = known(user)?;
        let doing = format!("list the collaborators of {login}/{repo}");
        let path = ["repos", login.as_str(), repo.as_str(), "collaborators"];
        let bodies: Vec<UserBody> = match self.0.api.list(&Ask::get(&path)).await {
            Ok(bodies) => bodies,
            Err(Failure::Absent) => return Err(self.0.missing(user, repo).await),
            Err(failure) => return Err(failure.host(&doing)),
        };
        let (api, path, doing) = (&self.0.api, &path, &doing);
        let with_permission = |body: UserBody| async move {
            let permission = permission(api, &[&path[..], &[&body.login]].concat(), doing).await?;
            Ok::<_, HostError>(permission.and_then(|permission| wire::collaborator(&body, &permission)))
        };
        let found: Vec<Option<Collaborator>> =
            futures::stream::iter(bodies).map(with_permission).buffered(AT_ONCE).try_collect().await?;
        let mut collaborators: Vec<Collaborator> = found.into_iter().flatten().collect();
        collaborators.sort_by(|a, b| a.login.cmp(&b.login));
        Ok(collaborators)
    }

    async fn set_collaborator(
        &self,
        user: &GitUser,
        repo: &RepoName,
        login: &Login,
        permission: Permission,
    ) -> Result<(), HostError> {
        let owner = known(user)?;
        if owner == *login {
            return Err(HostError::refused(format!("`{login}` owns the repository and needs no permission")));
        }
        let doing = format!("let `{login}` use {owner}/{repo}");
        match self.0.api.ask(Ask::get(&["users", login.as_str()])).await {
            Ok(_) => {}
            Err(Failure::Absent) => return Err(HostError::not_found(Kind::User, login)),
            Err(failure) => return Err(failure.host(&doing)),
        }
        let path = ["repos", owner.as_str(), repo.as_str(), "collaborators", login.as_str()];
        let body = json!({"permission": permission.to_string()});
        match self.0.api.ask(Ask::new(Method::PUT, &path).json(body)).await {
            Ok(_) => Ok(()),
            Err(Failure::Absent) => Err(self.0.missing(user, repo).await),
            Err(failure) => Err(failure.host(&doing)),
        }
    }

    async fn remove_collaborator(
        &self,
        user: &GitUser,
        repo: &RepoName,
        login: &Login,
    ) -> Result<(), HostError> {
        let owner = known(user)?;
        let path = ["repos", owner.as_str(), repo.as_str(), "collaborators", login.as_str()];
        match self.0.api.ask(Ask::new(Method::DELETE, &path)).await {
            Ok(_) => Ok(()),
            // No such repository, or no such user, who then is no collaborator.
            Err(Failure::Absent | Failure::Refused(_)) => match self.repository(user, repo).await? {
                Some(_) => Ok(()),
                None => Err(self.0.missing(user, repo).await),
            },
            Err(failure) => Err(failure.host(&format!("end the access of `{login}` to {owner}/{repo}"))),
        }
    }

    async fn permission(
        &self,
        login: &Login,
        user: &GitUser,
        repo: &RepoName,
    ) -> Result<Option<Permission>, HostError> {
        let Ok(owner) = Login::try_from(user) else { return Ok(None) };
        let path = ["repos", owner.as_str(), repo.as_str(), "collaborators", login.as_str()];
        let doing = format!("ask what `{login}` may do with {owner}/{repo}");
        Ok(permission(&self.0.api, &path, &doing).await?.and_then(|body| body.permission()))
    }

    async fn authenticate(&self, login: &Login, password: &Secret) -> Result<Option<Permission>, HostError> {
        self.0.authenticate(login, password).await
    }

    async fn person(&self, login: &Login) -> Result<Option<User>, HostError> {
        let body = self.0.body_of_user(login).await?;
        Ok(body.filter(UserBody::may_sign_in).and_then(UserBody::user).filter(|user| user.login == *login))
    }

    fn sign_in(&self) -> Option<&dyn SignIn> {
        self.0.settings.oauth.is_some().then_some(self)
    }

    async fn refs(&self, user: &GitUser, repo: &RepoName) -> Result<BTreeMap<RefName, CommitId>, HostError> {
        self.0.references(user, repo).await
    }

    async fn changes(&self, after: Option<&Cursor>) -> Result<Changes, HostError> {
        self.0.catch_up().await?;
        self.0.journal.changes(after)
    }

    fn subscribe(&self) -> watch::Receiver<Cursor> {
        self.0.journal.subscribe()
    }

    async fn look(&self, user: &GitUser, repo: &RepoName) -> Result<(), HostError> {
        self.0.look(user, repo, None).await
    }

    async fn advertise(
        &self,
        user: &GitUser,
        repo: &RepoName,
        request: Advertisement,
    ) -> Result<ByteStream, HostError> {
        proxy::advertise(&self.0, user, repo, &request).await
    }

    async fn close(&self) {
        self.0.cancelled.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    async fn create_token(&self, login: &Login, name: &str) -> Result<(TokenInfo, Secret), HostError> {
        self.0.create_token(login, name).await
    }

    async fn list_tokens(&self, login: &Login) -> Result<Vec<TokenInfo>, HostError> {
        self.0.list_tokens(login).await
    }

    async fn revoke_token(&self, login: &Login, id: u64) -> Result<(), HostError> {
        self.0.revoke_token(login, id).await
    }

    async fn rpc(&self, user: &GitUser, repo: &RepoName, request: Rpc) -> Result<ByteStream, HostError> {
        match request.service {
            Service::UploadPack => proxy::upload(&self.0, user, repo, request).await,
            Service::ReceivePack => proxy::receive(&self.0, user, repo, request).await,
        }
    }
}

impl Inner {
    /// Notes that a user or a repository came or went, where its changes are told at all.
    async fn track(&self, user: &GitUser, repo: Option<&RepoName>, what: What) -> Result<(), HostError> {
        if user.prefix != self.settings.prefix {
            return Ok(());
        }
        let stands = self.journal.known(|known| match repo {
            Some(repo) => known.repository(user, repo).is_some(),
            None => known.user(user).is_some(),
        });
        if stands == (what == What::Created) {
            return Ok(());
        }
        self.note(vec![(user.clone(), repo.cloned(), what)]).await
    }

    /// The commit or tag to which a place leads, or every reference that there is.
    async fn resolve(
        &self,
        user: &GitUser,
        repo: &RepoName,
        at: &At,
    ) -> Result<Result<CommitId, Vec<RefName>>, HostError> {
        match at {
            At::Commit(id) => Ok(Ok(id.clone())),
            At::Ref(name) => {
                let refs = self.references(user, repo).await?;
                Ok(refs.get(name).cloned().ok_or_else(|| refs.into_keys().collect()))
            }
        }
    }

    /// A scratch repository with what is wanted.
    async fn fetch(
        &self,
        user: &GitUser,
        repo: &RepoName,
        doing: &str,
        want: &Want<'_>,
    ) -> Result<Scratch, HostError> {
        let mut scratch = Scratch::new(&self.settings.directory.join("tmp")).await?;
        self.fetch_into(&mut scratch, user, repo, doing, want).await?;
        Ok(scratch)
    }

    async fn fetch_into(
        &self,
        scratch: &mut Scratch,
        user: &GitUser,
        repo: &RepoName,
        doing: &str,
        want: &Want<'_>,
    ) -> Result<(), HostError> {
        let pack = match self.api.pack(doing, &git_path(user, repo)?, want).await {
            Ok(pack) => pack,
            Err(Failure::Absent) => {
                return Err(match self.references(user, repo).await {
                    Ok(_) => HostError::not_found(Kind::Commit, want.ids.join(", ")),
                    Err(error) => error,
                });
            }
            Err(failure) => return Err(failure.host(doing)),
        };
        scratch.take(&self.git, doing, pack).await
    }

    /// How large a file is, without reading it.
    async fn blob_size(
        &self,
        user: &GitUser,
        repo: &RepoName,
        doing: &str,
        id: &str,
    ) -> Result<u64, HostError> {
        let want = Want { ids: vec![id], depth: None, filter: None, max_bytes: u64::MAX };
        let pack = self.api.pack(doing, &git_path(user, repo)?, &want).await;
        pack.map_err(|failure| failure.host(doing))?.first_size(doing).await
    }

    /// All matching files at a commit: in one pack with everything else there, or, of a large repository, directories
    /// first and then what matches.
    async fn tree_at(
        &self,
        user: &GitUser,
        repo: &RepoName,
        id: &CommitId,
        globs: &Globs,
        max_bytes: u64,
    ) -> Result<(CommitId, Tree), HostError> {
        let doing = format!("read {user}/{repo}");
        let want = |filter: String, max_bytes| Want {
            ids: vec![id.as_str()],
            depth: Some(1),
            filter: Some(filter),
            max_bytes,
        };
        // One byte more than is read: a file of exactly the limit is wanted, too.
        let whole = want(format!("blob:limit={}", max_bytes.saturating_add(1)), WHOLE_PACK);
        let (mut scratch, complete) = match self.fetch(user, repo, &doing, &whole).await {
            Ok(scratch) => (scratch, true),
            Err(HostError::TooLarge { .. }) => {
                let bare = want("blob:none".to_owned(), BARE_PACK);
                (self.fetch(user, repo, &doing, &bare).await?, false)
            }
            Err(error) => return Err(error),
        };
        let open =
            |scratch: &Scratch| Objects::open(&self.git, scratch.path()).map_err(|error| error.host(&doing));
        let mut objects = open(&scratch)?;
        let (commit, root) = tree::commit(&mut objects, &doing, id).await?;
        let wanted = tree::Wanted { doing: &doing, globs, max_bytes, max_total: self.settings.tree_bytes };
        if !complete {
            let blobs = tree::blobs(&mut objects, root.clone(), &wanted).await?;
            if !blobs.is_empty() {
                let ids = blobs.iter().map(String::as_str).collect();
                let want = Want { ids, depth: None, filter: None, max_bytes: self.settings.tree_bytes };
                self.fetch_into(&mut scratch, user, repo, &doing, &want).await?;
                objects = open(&scratch)?;
            }
        }
        let tree::Found { mut tree, missing } = tree::read(&mut objects, root, &wanted).await?;
        for (path, id) in missing {
            let size = self.blob_size(user, repo, &doing, &id).await?;
            tree.files.insert(path, Blob::TooLarge { size });
        }
        Ok((commit, tree))
    }

    async fn key_bodies(&self, user: &GitUser) -> Result<Vec<KeyBody>, HostError> {
        let login = known(user)?;
        match self.api.list(&Ask::get(&["users", login.as_str(), "keys"])).await {
            Ok(bodies) => Ok(bodies),
            Err(Failure::Absent) => Err(HostError::not_found(Kind::User, user)),
            Err(failure) => Err(failure.host(&format!("list the keys of `{login}`"))),
        }
    }
}

/// The login of a user that may exist.
pub(super) fn known(user: &GitUser) -> Result<Login, HostError> {
    Login::try_from(user).map_err(|_| HostError::not_found(Kind::User, user))
}

/// What the last part of this path may do with the repository before it; `None`: no such user or repository.
async fn permission(api: &Api, path: &[&str], doing: &str) -> Result<Option<PermissionBody>, HostError> {
    match api.ask(Ask::get(&[path, &["permission"]].concat())).await {
        Ok(answer) => answer.object().map(Some),
        Err(Failure::Absent) => Ok(None),
        Err(failure) => Err(failure.host(doing)),
    }
}
