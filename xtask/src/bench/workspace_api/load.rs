//! Four requests in flight, for some time, while every now and then a model is changed.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use futures::future::try_join_all;
use serde_json::Value;
use tokio::time::Instant;

use super::connection::{Connection, Request};
use super::project;

/// Requests at once.
const IN_FLIGHT: usize = 4;
/// Reads between two changes.
const READS: usize = 100;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// All models with their parts.
    Everything,
    /// One model after the other, without its parts.
    One,
    /// A model is changed.
    Save,
    /// The configuration of a model is changed, which stands in one file with those of all others.
    Configure,
    /// Those before in turn.
    Mixed,
}

impl Kind {
    /// As figures call it.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Everything => "reads with includes",
            Self::One => "reads of one model",
            Self::Save => "saves",
            Self::Configure => "saves of configurations",
            Self::Mixed => "all of these in turn",
        }
    }

    /// Whether models are changed between its requests.
    fn reads(self) -> bool {
        matches!(self, Self::Everything | Self::One)
    }

    /// What the request with this number is.
    fn of(self, number: usize) -> Self {
        match self {
            Self::Mixed => [Self::Everything, Self::One, Self::Save, Self::Configure][number % 4],
            Self::Everything | Self::One | Self::Save | Self::Configure => self,
        }
    }
}

/// One of the two that are compared.
pub(super) struct Side {
    address: SocketAddr,
    /// Whose requests these are.
    pub(super) token: Option<String>,
    /// Models of the project.
    pub(super) models: usize,
    saved: AtomicUsize,
}

impl Side {
    /// What listens there.
    pub(super) fn new(address: SocketAddr, token: Option<String>, models: usize) -> Self {
        Self { address, token, models, saved: AtomicUsize::new(0) }
    }

    /// Connects to it.
    pub(super) async fn connect(&self) -> Result<Connection> {
        Connection::open(self.address).await
    }

    /// A request that reads.
    pub(super) fn read(&self, path: &str) -> Request {
        Request::new("GET", path, self.token.as_deref(), None)
    }

    /// A request that changes a model. It has to be another change than the one before.
    pub(super) fn save(&self, index: usize, plural: &str) -> Request {
        self.post("/api/ModelDefinitions", &project::save(index, plural))
    }

    fn post(&self, path: &str, body: &Value) -> Request {
        self.saved.fetch_add(1, Ordering::Relaxed);
        Request::new("POST", path, self.token.as_deref(), Some(body))
    }

    /// A change of a configuration that nobody has made yet.
    fn configure(&self) -> Request {
        let number = self.saves();
        let public = (number / self.models) % 2 == 1;
        self.post("/api/ModelConfigs", &project::configuration(number % self.models, public))
    }

    /// How many changes were asked for.
    pub(super) fn saves(&self) -> usize {
        self.saved.load(Ordering::Relaxed)
    }

    /// A change that nobody has made yet.
    fn change(&self) -> Request {
        let number = self.saves();
        self.save(number % self.models, &format!("Changed{number}"))
    }
}

/// Asks until the time is over; how long each took, milliseconds. The changes between reads are not among them.
pub(super) async fn run(side: &Side, kind: Kind, duration: Duration) -> Result<Vec<f64>> {
    let (next, end) = (AtomicUsize::new(0), Instant::now() + duration);
    let workers = try_join_all((0..IN_FLIGHT).map(|_| worker(side, kind, &next, end))).await?;
    Ok(workers.into_iter().flatten().collect())
}

async fn worker(side: &Side, kind: Kind, next: &AtomicUsize, end: Instant) -> Result<Vec<f64>> {
    let (mut connection, mut took) = (side.connect().await?, Vec::new());
    let everything = side.read(project::EVERYTHING);
    let ones: Vec<Request> = (0..side.models).map(|index| side.read(&project::one(index))).collect();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let asked = kind.of(number);
        if kind.reads() && number % READS == READS - 1 {
            connection.ask(&side.change()).await?;
        }
        let change;
        let request = match asked {
            Kind::One => &ones[number % ones.len()],
            Kind::Save => {
                change = side.change();
                &change
            }
            Kind::Configure => {
                change = side.configure();
                &change
            }
            Kind::Everything | Kind::Mixed => &everything,
        };
        let begin = Instant::now();
        connection.ask(request).await?;
        if Instant::now() > end {
            return Ok(took);
        }
        took.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
}
