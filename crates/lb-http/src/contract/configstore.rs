//! The configstore: the facade over all producers.

use futures::StreamExt;
use futures::stream::BoxStream;
use http::Method;
use lb_vocab::{CommitId, ProducerName, TextError};
use serde::{Deserialize, Serialize};
use url::Url;

use super::client::Caller;
use super::git_api::{KeptDocument, Repository, User};
use super::{ClientError, Timeouts, TokenSource};
use crate::error::code;

const LISTING_LIMIT: usize = 64 << 20;
const EVENT_LIMIT: usize = 1 << 20;

/// The header of `GET /producers` that says how many there are: a shorter array was cut on its way.
pub const TOTAL_HEADER: &str = "x-total-count";

/// A git user of the prefix, as `GET /producers` lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerEntry {
    /// The git user.
    #[serde(flatten)]
    pub user: User,
    /// What follows the prefix in the user's login.
    pub name: String,
    /// The prefix.
    pub namespace: String,
    /// The user's repositories, complete.
    pub repos: Vec<Repository>,
    /// Why it is no producer and is never deployed, where its name is outside the grammar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
}

impl ProducerEntry {
    /// The producer's name, where it follows the grammar.
    ///
    /// # Errors
    /// Where it does not: such a user is listed and never deployed.
    pub fn producer(&self) -> Result<ProducerName, TextError> {
        self.name.parse()
    }
}

/// One producer, as `GET /producers/:name` answers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Producer {
    /// Its name.
    pub id: String,
    /// Always empty; older clients read it.
    #[serde(default)]
    pub envs: serde_json::Map<String, serde_json::Value>,
    /// The git user.
    pub user: User,
    /// Its repositories, complete.
    pub repos: Vec<Repository>,
}

/// What `POST /producers` answers; the user is nested once more than elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// Its name.
    pub id: String,
    /// The git user, nested.
    pub user: CreatedUser,
    /// Its repositories.
    pub repos: Vec<Repository>,
}

/// The git user inside [`Created`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedUser {
    /// The git user.
    pub user: User,
}

/// A push, as `GET /change-stream/:name` tells it. It is a nudge: decisions are made on commit ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushEvent {
    /// The reference: `refs/heads/master`.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Commit before, all zeros where the reference is new.
    pub before: String,
    /// Commit after, all zeros where the reference was removed.
    pub after: String,
    /// The prefix of git users.
    pub namespace: String,
    /// The producer.
    pub username: String,
    /// Always `push`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The repository.
    pub repo_name: String,
    /// False only where every commit of the push was committed by the system itself.
    pub is_external: bool,
}

/// Something that happened to a repository's webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookEvent {
    /// `<login>/<name>`; of a delivery, as its address has it, which anybody may have written.
    pub repository: String,
    /// When, milliseconds since the epoch.
    pub at: u64,
}

/// What `GET /hooks` answers about deliveries since the configstore's start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deliveries {
    /// Deliveries with the right signature.
    pub accepted: u64,
    /// The last of them.
    pub last_accepted: Option<HookEvent>,
    /// Deliveries without it.
    pub refused: u64,
    /// The last of them.
    pub last_refused: Option<HookEvent>,
}

/// What `GET /hooks` answers about webhooks that were registered anew since the configstore's start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Repairs {
    /// Webhooks that were missing or amiss.
    pub repaired: u64,
    /// The last of them.
    pub last_repaired: Option<HookEvent>,
    /// Webhooks that looked as they should, and did not deliver.
    pub renewed: u64,
    /// The last of them.
    pub last_renewed: Option<HookEvent>,
    /// Attempts that failed.
    pub failed: u64,
    /// The last of them.
    pub last_failed: Option<HookEvent>,
    /// Repositories whose delivery is waited for, or whose repair is to be tried again.
    pub waiting: usize,
}

/// What `GET /hooks` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hooks {
    /// What came.
    #[serde(flatten)]
    pub deliveries: Deliveries,
    /// What did not come, and what was done about it.
    pub repairs: Repairs,
}

/// A client of the configstore.
#[derive(Clone, Debug)]
pub struct Configstore(Caller);

impl Configstore {
    /// A client of the configstore at this URL.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new(base: Url, token: TokenSource, timeouts: Timeouts) -> Result<Self, ClientError> {
        Caller::new(base, token, timeouts).map(Self)
    }

    /// Every git user of the prefix with its repositories.
    ///
    /// # Errors
    /// Also where fewer came than the answer's header announces.
    pub async fn producers(&self) -> Result<Vec<ProducerEntry>, ClientError> {
        let answer = self.0.send(self.0.call(Method::GET, &["producers"])?, LISTING_LIMIT).await?;
        let producers: Vec<ProducerEntry> = answer.list()?;
        let total =
            answer.headers.get(TOTAL_HEADER).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        match total {
            Some(total) if total == producers.len() => Ok(producers),
            Some(total) => {
                Err(answer.malformed(format!("{} producers came, {total} were announced", producers.len())))
            }
            None => Err(answer.malformed(format!("the header {TOTAL_HEADER} is missing"))),
        }
    }

    /// One producer, `None` where the configstore itself says that there is none.
    ///
    /// # Errors
    /// Everything else, a 404 of anybody else included.
    pub async fn producer(&self, name: &ProducerName) -> Result<Option<Producer>, ClientError> {
        let sent = self.0.send(self.0.call(Method::GET, &["producers", name.as_str()])?, LISTING_LIMIT).await;
        let answer = match sent {
            Err(error) if error.not_found_code() == Some(code::PRODUCER_NOT_FOUND) => return Ok(None),
            other => other?,
        };
        let producer: Producer = answer.object()?;
        if producer.id == name.as_str() {
            Ok(Some(producer))
        } else {
            Err(answer.malformed(format!("it is about `{}`", producer.id)))
        }
    }

    /// Makes sure that the producer exists with its repositories and hooks.
    ///
    /// # Errors
    /// Where the call fails.
    pub async fn create(&self, name: &ProducerName) -> Result<Created, ClientError> {
        let call = self.0.call(Method::POST, &["producers"])?.json(&serde_json::json!({"id": name}));
        self.0.send(call, LISTING_LIMIT).await?.object()
    }

    /// Makes a producer that whoever calls administers: for git users, where the operator allows it.
    ///
    /// # Errors
    /// Where the call fails or is refused; a name that is taken is refused.
    pub async fn sign_up(&self, name: &ProducerName) -> Result<Created, ClientError> {
        let call = self.0.call(Method::POST, &["sign-up"])?.json(&serde_json::json!({"id": name}));
        self.0.send(call, LISTING_LIMIT).await?.object()
    }

    /// What became of webhooks since its start.
    ///
    /// # Errors
    /// Where the call fails.
    pub async fn hooks(&self) -> Result<Hooks, ClientError> {
        self.0.send(self.0.call(Method::GET, &["hooks"])?, EVENT_LIMIT).await?.object()
    }

    /// Keeps the OpenAPI document of a producer's app, as it is at a commit: for the pod in which it runs.
    ///
    /// # Errors
    /// Where the call fails, or the document is refused.
    pub async fn keep_document(
        &self,
        whose: &lb_vocab::Producer,
        commit: &CommitId,
        document: Vec<u8>,
    ) -> Result<KeptDocument, ClientError> {
        let (name, environment) = (whose.name().as_str(), whose.environment().as_str());
        let segments = ["producers", name, "openapi", environment, commit.as_str()];
        self.0.send(self.0.call(Method::PUT, &segments)?.body(document), EVENT_LIMIT).await?.object()
    }

    /// Pushes to a producer's repositories, from now on.
    ///
    /// # Errors
    /// Where the stream cannot be opened. It ends with an error where it breaks, and does not reconnect.
    pub async fn change_stream(
        &self,
        name: &ProducerName,
    ) -> Result<BoxStream<'static, Result<PushEvent, ClientError>>, ClientError> {
        let call = self.0.call(Method::GET, &["change-stream", name.as_str()])?;
        let what = format!("change stream of {name}");
        let events = self.0.events(call, EVENT_LIMIT).await?;
        Ok(events
            .map(move |event| {
                serde_json::from_str(&event?.data)
                    .map_err(|error| ClientError::Malformed { what: what.clone(), why: error.to_string() })
            })
            .boxed())
    }
}
