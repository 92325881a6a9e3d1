//! Mint: credentials are made once. A resync, a restart or a second replica never changes a key that is in use.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lb_cluster::{ApiError, Applied, Retry};
use lb_desired::build::{self, Credentials, LeafKind};
use lb_vocab::{Producer, Secret};

use crate::context::Context;

/// Bytes of a made secret, before base64.
const SECRET_BYTES: usize = 32;

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MintError {
    /// The status says that they were made, and they are gone. They are never made anew: what was encrypted with them
    /// would be lost silently.
    #[error(
        "Secret {0} was made and is gone; restore it, or give the producer up with `lunchbadger producers purge`"
    )]
    Lost(String),
    /// The API server did not do it.
    #[error("make Secret {0}")]
    Api(String, #[source] ApiError),
    /// The system gave no random bytes.
    #[error("make Secret {0}: the system gives no random bytes ({1})")]
    Random(String, String),
}

impl MintError {
    /// When to try again.
    pub(crate) fn retry(&self) -> Retry {
        match self {
            Self::Lost(_) => Retry::Never,
            Self::Api(_, error) => error.retry(),
            Self::Random(..) => Retry::Backoff,
        }
    }
}

/// Makes sure that the credentials of one environment stand. `noted`: the status says that they were made.
///
/// # Errors
/// Where they do not stand and may not or cannot be made.
pub(crate) async fn credentials(context: &Context, who: &Producer, noted: bool) -> Result<(), MintError> {
    let settings = &context.settings.desired;
    let name = build::credentials_name(who);
    let namespace = settings.namespace(who.name());
    if context.records.get(LeafKind::Secret, &namespace, &name).is_some() {
        return Ok(());
    }
    if noted {
        // The watch may not have told yet, and a label may have been removed: only an explicit answer counts.
        let standing = context.cluster.read_secret(&namespace, &name).await;
        return match standing.map_err(|error| MintError::Api(name.clone(), error))? {
            Some(_) => Ok(()),
            None => Err(MintError::Lost(name)),
        };
    }
    let random = || random().map_err(|error| MintError::Random(name.clone(), error));
    let made = Credentials { cipher_key: random()?, session_secret: random()?, redis_password: random()? };
    let leaf = build::credentials(who, &made, settings);
    let (applied, _) = context
        .cluster
        .create_secret_if_absent(&context.records, &leaf)
        .await
        .map_err(|error| MintError::Api(name.clone(), error))?;
    if applied == Applied::Created {
        tracing::info!(producer = %who, secret = name, "credentials made");
    }
    Ok(())
}

fn random() -> Result<Secret, String> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(bytes)))
}
