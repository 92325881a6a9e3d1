//! The channel to the API container, kept open: what it wants goes to the desk, what is on the desk goes to it.

use std::time::Duration;

use futures::StreamExt;
use lb_http::contract::ClientError;
use lb_http::contract::supervisor::{Channel, Files, Order, Report};
use lb_vocab::{CommitId, with_causes};
use tokio::sync::{mpsc, watch};

/// From one attempt to the next.
const PAUSE: Duration = Duration::from_millis(500);
/// Between two reports.
const REPORTS: Duration = Duration::from_millis(100);

/// Keeps the channel open.
pub(super) struct Link {
    channel: Channel,
    orders: mpsc::Sender<Order>,
    session: watch::Sender<Option<String>>,
    reports: watch::Receiver<Option<Report>>,
}

/// What the runner sees of the channel.
pub(super) struct Desk {
    channel: Channel,
    orders: mpsc::Receiver<Order>,
    session: watch::Receiver<Option<String>>,
    reports: watch::Sender<Option<Report>>,
}

/// Somebody else supervises, or the API container is away.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("the API container does not answer")]
    Away,
    #[error(transparent)]
    Client(#[from] ClientError),
}

pub(super) fn link(channel: Channel) -> (Link, Desk) {
    let (order, orders) = mpsc::channel(64);
    let (opened, session) = watch::channel(None);
    let (report, reports) = watch::channel(None);
    let desk = Desk { channel: channel.clone(), orders, session, reports: report };
    (Link { channel, orders: order, session: opened, reports }, desk)
}

impl Link {
    /// Keeps the channel open as long as it is polled.
    pub(super) async fn run(mut self) {
        loop {
            if let Err(error) = self.open().await {
                tracing::debug!(error = with_causes(&error), "the API container is waited for");
            }
            self.session.send_replace(None);
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn open(&mut self) -> Result<(), ClientError> {
        let mut orders = self.channel.orders().await?;
        let mut id = None;
        loop {
            tokio::select! {
                order = orders.next() => match order {
                    None => return Ok(()),
                    Some(order) => match order? {
                        Order::Session { id: given } => {
                            tracing::info!("connected to the API container");
                            self.session.send_replace(Some(given.clone()));
                            self.reports.mark_changed();
                            id = Some(given);
                        }
                        order @ (Order::Files { .. } | Order::Restart | Order::Reinstall) => {
                            // The runner takes all that waits at once.
                            let _ending = self.orders.send(order).await;
                        }
                    }
                },
                Ok(()) = self.reports.changed(), if id.is_some() => {
                    let report = self.reports.borrow_and_update().clone();
                    if let (Some(id), Some(report)) = (&id, report) {
                        self.channel.report(id, &report).await?;
                        tokio::time::sleep(REPORTS).await;
                    }
                }
            }
        }
    }
}

impl Desk {
    /// The next order.
    pub(super) async fn order(&mut self) -> Option<Order> {
        self.orders.recv().await
    }

    /// Says how the app is.
    pub(super) fn report(&self, report: Report) {
        self.reports.send_if_modified(|now| {
            let changes = now.as_ref() != Some(&report);
            *now = Some(report);
            changes
        });
    }

    fn session(&self) -> Result<String, LinkError> {
        self.session.borrow().clone().ok_or(LinkError::Away)
    }

    /// The files as they are now.
    pub(super) async fn files(&self) -> Result<Files, LinkError> {
        Ok(self.channel.files(&self.session()?).await?)
    }

    /// Hands over the app's OpenAPI document.
    pub(super) async fn document(&self, commit: &CommitId, document: Vec<u8>) -> Result<(), LinkError> {
        Ok(self.channel.document(&self.session()?, commit, document).await?)
    }
}
