//! git-api: the git data plane. The rest of the system knows no other way to git.

mod sign_in;
mod tree;
mod types;

use futures::StreamExt;
use futures::stream::BoxStream;
use http::Method;
use lb_vocab::{CommitId, Environment, GitUser, Prefix, RepoName, SafePath, Secret};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use url::Url;

pub use sign_in::{Issued, Login, SignIn};
pub use tree::TreeAnswer;
pub use types::{
    Access, Caller as Who, Change, ChangeEvent, ChangeKind, Changes, Collaborator, CommitInfo, CommitState,
    CommitStatus, FileBody, HookState, KeptDocument, NoContent, Owner, Permission, Permissions, PublicKey,
    Repository, TreeBody, TreeRequest, User, UserWithRepos,
};

use super::client::{Call, Caller};
use super::{ClientError, Timeouts, TokenSource};
use crate::error::code;

const LISTING_LIMIT: usize = 64 << 20;
const TREE_LIMIT: usize = 256 << 20;
const SMALL_LIMIT: usize = 1 << 20;

/// A client of git-api.
#[derive(Clone, Debug)]
pub struct GitApi(Caller);

impl GitApi {
    /// A client of the git-api at this URL.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new(base: Url, token: TokenSource, timeouts: Timeouts) -> Result<Self, ClientError> {
        Caller::new(base, token, timeouts).map(Self)
    }

    async fn ask<T: DeserializeOwned>(&self, call: Call, limit: usize) -> Result<T, ClientError> {
        self.0.send(call, limit).await?.object()
    }

    /// Every user of the prefix, each with all its repositories, in one call.
    ///
    /// # Errors
    /// Also where fewer came than the answer says there are.
    pub async fn users(&self, prefix: &Prefix) -> Result<Vec<UserWithRepos>, ClientError> {
        #[derive(Deserialize)]
        struct Body {
            users: Vec<UserWithRepos>,
            total: usize,
        }
        let answer =
            self.0.send(self.0.call(Method::GET, &["users", prefix.as_str()])?, LISTING_LIMIT).await?;
        let body: Body = answer.object()?;
        if body.users.len() == body.total {
            Ok(body.users)
        } else {
            Err(answer.malformed(format!("{} users came, {} were announced", body.users.len(), body.total)))
        }
    }

    /// One user.
    ///
    /// # Errors
    /// Where the call fails; a user that does not exist is `None`.
    pub async fn user(&self, user: &GitUser) -> Result<Option<User>, ClientError> {
        #[derive(Deserialize)]
        struct Body {
            user: User,
        }
        let call = self.0.call(Method::GET, &["users", user.prefix.as_str(), &user.name])?;
        optional(self.ask::<Body>(call, SMALL_LIMIT).await, code::USER_NOT_FOUND)
            .map(|body| body.map(|body| body.user))
    }

    /// Makes sure that the user exists, and says whether it was made now: of several callers at once one is told so.
    ///
    /// # Errors
    /// Where the call fails.
    pub async fn create_user(&self, user: &GitUser) -> Result<(User, bool), ClientError> {
        #[derive(Deserialize)]
        struct Body {
            user: User,
            created: bool,
        }
        let body = json!({"prefix": user.prefix, "name": user.name});
        let call = self.0.call(Method::POST, &["users"])?.json(&body);
        let Body { user, created } = self.ask(call, SMALL_LIMIT).await?;
        Ok((user, created))
    }

    /// All repositories of a user.
    ///
    /// # Errors
    /// Where the call fails; a user that does not exist is `None`.
    pub async fn repositories(&self, user: &GitUser) -> Result<Option<Vec<Repository>>, ClientError> {
        #[derive(Deserialize)]
        struct Body {
            repos: Vec<Repository>,
        }
        let call = self.0.call(Method::GET, &["users", user.prefix.as_str(), &user.name, "repos"])?;
        let body = optional(self.ask::<Body>(call, LISTING_LIMIT).await, code::USER_NOT_FOUND)?;
        Ok(body.map(|body| body.repos))
    }

    /// Makes sure that the repository exists, private.
    ///
    /// # Errors
    /// Where the call fails.
    pub async fn ensure_repository(
        &self,
        user: &GitUser,
        repo: &RepoName,
    ) -> Result<Repository, ClientError> {
        #[derive(Deserialize)]
        struct Body {
            repo: Repository,
        }
        let call = self.repo_call(Method::PUT, user, repo, &[])?;
        Ok(self.ask::<Body>(call, SMALL_LIMIT).await?.repo)
    }

    /// A file on `master`, `None` where it is missing.
    ///
    /// # Errors
    /// Where the call fails.
    pub async fn file(
        &self,
        user: &GitUser,
        repo: &RepoName,
        path: &SafePath,
    ) -> Result<Option<Vec<u8>>, ClientError> {
        #[derive(Deserialize)]
        struct Body {
            data: Option<String>,
        }
        let segments: Vec<&str> = path.as_str().split('/').collect();
        let answer = self.0.send(self.repo_call(Method::GET, user, repo, &segments)?, TREE_LIMIT).await?;
        let data = answer.object::<Body>()?.data.filter(|data| !data.is_empty());
        data.map(|data| tree::decode(&data).map_err(|why| answer.malformed(why))).transpose()
    }

    /// Makes sure that pushes are told to this URL, once; says how that was found. `anew`: pushes are not told, so that
    /// it is registered anew even where it looks as it should.
    ///
    /// # Errors
    /// Where the call fails.
    pub async fn ensure_hook(
        &self,
        user: &GitUser,
        repo: &RepoName,
        callback: &Url,
        anew: bool,
    ) -> Result<HookState, ClientError> {
        #[derive(Deserialize)]
        struct Body {
            found: HookState,
        }
        let body = json!({"callbackUrl": callback, "anew": anew});
        let call = self.repo_call(Method::PUT, user, repo, &["hook"])?.json(&body);
        Ok(self.ask::<Body>(call, SMALL_LIMIT).await?.found)
    }

    /// Has the git host looked at: something may have happened to this repository.
    ///
    /// # Errors
    /// Where the call fails.
    pub async fn look(&self, user: &GitUser, repo: &RepoName) -> Result<(), ClientError> {
        let call = self.repo_call(Method::POST, user, repo, &["look"])?;
        self.0.send(call, SMALL_LIMIT).await.map(drop)
    }

    /// Many files at one commit.
    ///
    /// # Errors
    /// Where the call fails, or what came contradicts itself.
    pub async fn tree(
        &self,
        user: &GitUser,
        repo: &RepoName,
        request: &TreeRequest,
    ) -> Result<TreeAnswer, ClientError> {
        let body = json!(request);
        let segments = ["trees", user.prefix.as_str(), &user.name, repo.as_str()];
        let call = self.0.call(Method::POST, &segments)?.json(&body);
        match self.0.send(call, TREE_LIMIT).await {
            Ok(answer) => tree::read(&answer.object()?, request).map_err(|why| answer.malformed(why)),
            Err(ClientError::NotFound { code, .. }) if code == code::USER_NOT_FOUND => {
                Ok(TreeAnswer::UserMissing)
            }
            Err(ClientError::NotFound { code, .. }) if code == code::REPOSITORY_NOT_FOUND => {
                Ok(TreeAnswer::RepositoryMissing)
            }
            Err(error) => Err(error),
        }
    }

    /// Commits of a reference that touch a path (any where it is empty), newest first, along first parents.
    ///
    /// # Errors
    /// Where the call fails.
    pub async fn history(
        &self,
        user: &GitUser,
        repo: &RepoName,
        reference: &str,
        path: &str,
        limit: usize,
    ) -> Result<Vec<CommitInfo>, ClientError> {
        #[derive(Deserialize)]
        struct Body {
            commits: Vec<CommitInfo>,
        }
        let segments = ["history", user.prefix.as_str(), &user.name, repo.as_str()];
        let limit = limit.to_string();
        let query = [("ref", reference), ("path", path), ("limit", &limit)];
        let call = self.0.call(Method::GET, &segments)?.query(&query);
        Ok(self.ask::<Body>(call, LISTING_LIMIT).await?.commits)
    }

    /// Says of a commit how it fared. `false`: the git host keeps no such thing.
    ///
    /// # Errors
    /// Where the call fails.
    pub async fn set_commit_status(
        &self,
        user: &GitUser,
        repo: &RepoName,
        commit: &CommitId,
        status: &CommitStatus,
    ) -> Result<bool, ClientError> {
        #[derive(Deserialize)]
        struct Body {
            kept: bool,
        }
        let segments = ["statuses", user.prefix.as_str(), &user.name, repo.as_str(), commit.as_str()];
        let call = self.0.call(Method::PUT, &segments)?.json(&json!(status));
        Ok(self.ask::<Body>(call, SMALL_LIMIT).await?.kept)
    }

    /// Keeps the OpenAPI document of an environment's app, as it is at a commit.
    ///
    /// # Errors
    /// Where the call fails, or the document is refused.
    pub async fn keep_document(
        &self,
        (user, repo): (&GitUser, &RepoName),
        environment: &Environment,
        commit: &CommitId,
        document: Vec<u8>,
    ) -> Result<KeptDocument, ClientError> {
        let at = [user.prefix.as_str(), &user.name, repo.as_str(), environment.as_str(), commit.as_str()];
        let segments: Vec<&str> = ["openapi"].into_iter().chain(at).collect();
        self.ask(self.0.call(Method::PUT, &segments)?.body(document), SMALL_LIMIT).await
    }

    /// Public keys of a user, without the system's own.
    ///
    /// # Errors
    /// Where the call fails.
    pub async fn keys(&self, user: &GitUser) -> Result<Vec<PublicKey>, ClientError> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(rename = "publicKeys")]
            public_keys: Vec<PublicKey>,
        }
        let call = self.0.call(Method::GET, &["users", user.prefix.as_str(), &user.name, "ssh"])?;
        Ok(self.ask::<Body>(call, LISTING_LIMIT).await?.public_keys)
    }

    /// Lets a user reach a repository.
    ///
    /// # Errors
    /// Where the call fails.
    pub async fn set_collaborator(
        &self,
        user: &GitUser,
        repo: &RepoName,
        login: &str,
        permission: Permission,
    ) -> Result<(), ClientError> {
        let call = self.repo_call(Method::PUT, user, repo, &["collaborators", login])?;
        self.0.send(call.json(&json!({"permission": permission})), SMALL_LIMIT).await.map(drop)
    }

    /// Takes a collaborator's permission away.
    ///
    /// # Errors
    /// Where the call fails.
    pub async fn remove_collaborator(
        &self,
        user: &GitUser,
        repo: &RepoName,
        login: &str,
    ) -> Result<(), ClientError> {
        let call = self.repo_call(Method::DELETE, user, repo, &["collaborators", login])?;
        self.0.send(call, SMALL_LIMIT).await.map(drop)
    }

    /// Who may reach a repository, beside its owner.
    ///
    /// # Errors
    /// Where the call fails.
    pub async fn collaborators(
        &self,
        user: &GitUser,
        repo: &RepoName,
    ) -> Result<Vec<Collaborator>, ClientError> {
        #[derive(Deserialize)]
        struct Body {
            collaborators: Vec<Collaborator>,
        }
        let call = self.repo_call(Method::GET, user, repo, &["collaborators"])?;
        Ok(self.ask::<Body>(call, LISTING_LIMIT).await?.collaborators)
    }

    /// Makes a token with which the user's git client authenticates. It is shown this once.
    ///
    /// # Errors
    /// Where the call fails.
    pub async fn create_token(&self, user: &GitUser, name: &str) -> Result<Secret, ClientError> {
        #[derive(Deserialize)]
        struct Body {
            token: Secret,
        }
        let call = self.0.call(Method::POST, &["users", user.prefix.as_str(), &user.name, "tokens"])?;
        Ok(self.ask::<Body>(call.json(&json!({"name": name})), SMALL_LIMIT).await?.token)
    }

    /// What changed after a cursor; with none, or one that the host no longer knows, the heads of everything.
    ///
    /// # Errors
    /// Where the call fails.
    pub async fn changes(&self, after: Option<&str>) -> Result<Changes, ClientError> {
        let call = self.0.call(Method::GET, &["changes"])?;
        let call = match after {
            Some(cursor) => call.query(&[("after", cursor)]),
            None => call,
        };
        self.ask(call, LISTING_LIMIT).await
    }

    /// Changes as they happen, from a cursor on. Keep the cursor of what you have handled, and open the stream anew
    /// with it when it ends: it repeats at worst, and misses nothing.
    ///
    /// # Errors
    /// Where the stream cannot be opened. An `Err` inside is its last item.
    pub async fn change_stream(
        &self,
        after: Option<&str>,
    ) -> Result<BoxStream<'static, Result<ChangeEvent, ClientError>>, ClientError> {
        let call = self.0.call(Method::GET, &["changes"])?;
        let call = match after {
            Some(cursor) => call.header("last-event-id", cursor),
            None => call,
        };
        let events = self.0.events(call, LISTING_LIMIT).await?;
        Ok(events
            .filter_map(|event| std::future::ready(event.and_then(|event| change_event(&event)).transpose()))
            .boxed())
    }

    fn repo_call(
        &self,
        method: Method,
        user: &GitUser,
        repo: &RepoName,
        rest: &[&str],
    ) -> Result<Call, ClientError> {
        let mut segments = vec!["users", user.prefix.as_str(), &user.name, "repos", repo.as_str()];
        segments.extend(rest);
        self.0.call(method, &segments)
    }
}

fn change_event(event: &super::SseEvent) -> Result<Option<ChangeEvent>, ClientError> {
    let malformed = |error: serde_json::Error| ClientError::Malformed {
        what: "stream of changes".into(),
        why: error.to_string(),
    };
    match event.event.as_str() {
        "change" => Ok(Some(ChangeEvent::Change(serde_json::from_str(&event.data).map_err(malformed)?))),
        "reset" => Ok(Some(ChangeEvent::Reset(serde_json::from_str(&event.data).map_err(malformed)?))),
        _ => Ok(None),
    }
}

fn optional<T>(result: Result<T, ClientError>, missing: &str) -> Result<Option<T>, ClientError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.not_found_code() == Some(missing) => Ok(None),
        Err(error) => Err(error),
    }
}
