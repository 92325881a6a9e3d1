//! The OpenAPI document of the running app: what the app shows, once it was checked, is kept in git through the configstore.

use std::sync::Arc;
use std::time::Duration;

use lb_http::contract::ClientError;
use lb_http::contract::configstore::Configstore;
use lb_http::contract::supervisor::refused_document;
use lb_http::error::ApiError;
use lb_vocab::{CommitId, Producer, with_causes};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

/// Between two documents: an app that changes its own in a loop fills no repository.
const PAUSE: Duration = Duration::from_secs(10);

/// A document that was checked, and the commit at which the app runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) commit: CommitId,
    pub(super) text: Vec<u8>,
}

/// The last document. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Documents(Arc<watch::Sender<Option<Document>>>);

impl Documents {
    /// Takes a document that the app shows, if it is one.
    pub(super) fn offer(&self, commit: CommitId, text: Vec<u8>) -> Result<(), ApiError> {
        lb_project::check_openapi(&text).map_err(refused_document)?;
        self.0.send_replace(Some(Document { commit, text }));
        Ok(())
    }

    /// Puts documents to the configstore, as long as it is polled: the last one, at most one in 10 s.
    pub(super) async fn keep(&self, configstore: &Configstore, producer: &Producer) {
        let (mut documents, mut kept) = (self.0.subscribe(), None);
        documents.mark_changed();
        while documents.changed().await.is_ok() {
            loop {
                let Some(Document { commit, text }) = documents.borrow_and_update().clone() else { break };
                let digest = Some(Sha256::digest(&text));
                if kept == digest {
                    break;
                }
                let put = configstore.keep_document(producer, &commit, text).await;
                tokio::time::sleep(PAUSE).await;
                match put {
                    Ok(_) => kept = digest,
                    Err(error @ ClientError::Refused { status: 413 | 422, .. }) => {
                        tracing::warn!(error = with_causes(&error), "the app's OpenAPI document is refused");
                        break;
                    }
                    Err(error) => {
                        tracing::warn!(
                            error = with_causes(&error),
                            "the app's OpenAPI document is not kept yet"
                        );
                    }
                }
            }
        }
    }
}
