//! The OpenAPI document of the running app, as its explorer shows it.

use std::time::Duration;

use futures::StreamExt;
use lb_http::contract::supervisor::DOCUMENT_LIMIT;

/// One attempt.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The document; `None` where the app shows none that would do.
pub(super) async fn fetch(http: &reqwest::Client, port: u16) -> Option<Vec<u8>> {
    let url = format!("http://127.0.0.1:{port}/explorer/swagger.json");
    let fetched = async {
        let response = http.get(url).send().await.ok()?;
        if !response.status().is_success() {
            return None;
        }
        let (mut document, mut pieces) = (Vec::new(), response.bytes_stream());
        while let Some(piece) = pieces.next().await {
            document.extend_from_slice(&piece.ok()?);
            if document.len() > DOCUMENT_LIMIT {
                tracing::warn!("the app's OpenAPI document is larger than {DOCUMENT_LIMIT} bytes");
                return None;
            }
        }
        Some(document)
    };
    tokio::time::timeout(TIMEOUT, fetched).await.ok().flatten()
}
