//! Which incarnation of the process under test may pass.

use std::sync::Arc;

use tokio::sync::watch;

/// Lets one incarnation after the other pass. Clones share it.
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<u64>>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(watch::channel(0).0))
    }
}

impl Gate {
    /// The one that may pass.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        *self.0.borrow()
    }

    /// Whether `incarnation` may pass.
    #[must_use]
    pub fn is_open(&self, incarnation: u64) -> bool {
        self.incarnation() == incarnation
    }

    /// Ends `incarnation`: nothing of it passes from now on. The next one may.
    pub fn kill(&self, incarnation: u64) {
        self.0.send_if_modified(|current| {
            let now = *current == incarnation;
            *current += u64::from(now);
            now
        });
    }

    /// Waits until `incarnation` is over.
    pub async fn passed(&self, incarnation: u64) {
        let mut current = self.0.subscribe();
        // The sender lives as long as `self`.
        let _ = current.wait_for(|current| *current > incarnation).await;
    }
}
