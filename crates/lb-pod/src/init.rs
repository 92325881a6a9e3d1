//! The init container: the clone is made before anything else starts, so that the containers behind it begin with files.

use std::time::Duration;

use lb_http::auth::{self, AuthSettings};
use lb_vocab::ProducerName;
use lb_vocab::settings::{Reader, Variable};
use lb_vocab::with_causes;
use tokio_util::sync::CancellationToken;

use crate::PodError;
use crate::identity::{self, Identity, Repository, required};

const USERNAME: Variable =
    Variable { name: "USERNAME", default: None, meaning: "the producer whose repository is cloned" };

/// From one attempt to the next, up to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// Every variable that the init container reads.
pub const VARIABLES: &[Variable] =
    &[identity::VARIABLES[0], USERNAME, identity::VARIABLES[1], identity::VARIABLES[2], auth::VARIABLES[0]];

/// Settings of the init container.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The repository at git-api.
    pub repository: Repository,
    /// Where clone and tokens are.
    pub identity: Identity,
}

impl Settings {
    /// Reads the settings. What cannot be had is `None`, and noted as an error.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let producer: Option<ProducerName> = required(reader, &USERNAME);
        let repository = Repository::read(reader, producer.as_ref());
        let mode = AuthSettings::read(reader).mode;
        let identity = Identity::read(reader, mode);
        Some(Self { repository: repository?, identity })
    }
}

/// Clones, or fetches into the clone that is there; while the git host is silent it waits. What an empty repository begins
/// with is made by who edits it.
///
/// # Errors
/// Where the clone does not do, or `shutdown` came first.
pub async fn run(settings: &Settings, shutdown: &CancellationToken) -> Result<(), PodError> {
    let copy = settings.identity.clone_of(&settings.repository).await?;
    let mut pause = BACKOFF.0;
    loop {
        let fetched = tokio::select! {
            fetched = copy.remote().fetch() => fetched,
            () = shutdown.cancelled() => return Err(PodError::Ended),
        };
        match fetched {
            Ok(found) => {
                tracing::info!(?found, "the clone is here");
                return Ok(());
            }
            Err(error) => tracing::warn!(error = with_causes(&error), "the git host is waited for"),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(BACKOFF.1),
            () = shutdown.cancelled() => return Err(PodError::Ended),
        }
    }
}
