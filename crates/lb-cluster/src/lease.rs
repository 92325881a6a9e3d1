//! One leader, and standbys, by a Lease.
//!
//! Guarantees: a leader that cannot renew stops in time. It counts its term from *before* it sent the renewal that
//! succeeded, for less than others wait after they saw that renewal, and [`Leadership::is_leader`] looks at the clock
//! each time, so that a process that was suspended knows at once.
//! Assumes: clocks run at about the same speed (they may show different times).
//! Caveats: a write that was sent in the term may be carried out after it; child writes therefore carry versions.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use lb_vocab::{Clock, Timestamp};
use rand::Rng;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::connect::Cluster;
use crate::error::ApiError;

/// How leadership is settled.
#[derive(Clone, Debug)]
pub struct LeaseSettings {
    /// The Lease's namespace.
    pub namespace: String,
    /// The Lease's name.
    pub name: String,
    /// Who we are: must be another one for each process, also after a restart.
    pub holder: String,
    /// How long others wait after a renewal before they take over, whole seconds. Default: 15 s.
    pub duration: Duration,
    /// How long after a renewal the leader stops. Less than `duration`. Default: 10 s.
    pub renew_deadline: Duration,
    /// How often it is renewed, or looked at. Default: 2 s.
    pub retry: Duration,
}

impl LeaseSettings {
    /// The usual times.
    #[must_use]
    pub fn new(namespace: &str, name: &str, holder: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            holder: holder.to_owned(),
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// Whether we lead.
#[derive(Clone, Debug)]
pub struct Leadership {
    term: watch::Receiver<Option<Timestamp>>,
    clock: Clock,
}

impl Leadership {
    /// Whether we lead at this moment.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.term.borrow().is_some_and(|until| self.clock.now() < until)
    }

    /// Waits until we lead.
    pub async fn acquired(&mut self) {
        self.until(true).await;
    }

    /// Waits until we do not lead.
    pub async fn lost(&mut self) {
        self.until(false).await;
    }

    async fn until(&mut self, leading: bool) {
        while self.is_leader() != leading {
            if self.term.changed().await.is_err() {
                // Nobody settles it any more: we do not lead, and never will.
                if leading {
                    std::future::pending::<()>().await;
                }
                return;
            }
        }
    }
}

/// Settles leadership for ever. [`run`](Self::run) it.
#[derive(Debug)]
pub struct Election {
    cluster: Cluster,
    settings: LeaseSettings,
    clock: Clock,
    term: watch::Sender<Option<Timestamp>>,
    /// Our Lease while we lead, as it was last written.
    ours: Option<Lease>,
    /// The version of another's Lease, and when it was first seen.
    seen: Option<(String, Timestamp)>,
}

impl Election {
    /// Nothing is settled before it [runs](Self::run).
    #[must_use]
    pub fn new(cluster: &Cluster, settings: LeaseSettings, clock: Clock) -> (Self, Leadership) {
        let (term, receiver) = watch::channel(None);
        let leadership = Leadership { term: receiver, clock: clock.clone() };
        (Self { cluster: cluster.clone(), settings, clock, term, ours: None, seen: None }, leadership)
    }

    /// Settles leadership until it is cancelled; then stops leading, and lets the next one lead at once.
    pub async fn run(mut self, cancelled: CancellationToken) {
        loop {
            if let Err(error) = self.step().await {
                tracing::warn!(%error, "leadership is not settled");
            }
            self.expire();
            let jitter = rand::rng().random_range(0.8..1.0);
            tokio::select! {
                () = cancelled.cancelled() => break,
                () = tokio::time::sleep(self.settings.retry.mul_f64(jitter)) => {}
            }
        }
        self.release().await;
    }

    async fn step(&mut self) -> Result<(), ApiError> {
        if let Some(ours) = self.ours.take() {
            match self.renew(ours.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_conflict() || error.is_not_found() => {
                    // A renewal of ours whose answer was lost, or somebody else's doing.
                    if let Some(lease) = self.read().await?.filter(|lease| self.is_ours(lease)) {
                        return self.renew(lease).await;
                    }
                    self.stop("somebody else has the lease");
                }
                Err(error) => {
                    self.ours = Some(ours);
                    return Err(error);
                }
            }
        }
        self.stand().await
    }

    fn is_ours(&self, lease: &Lease) -> bool {
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
        holder == Some(self.settings.holder.as_str())
    }

    /// Renews, or takes over: a replace that holds for the version that was read.
    async fn renew(&mut self, mut lease: Lease) -> Result<(), ApiError> {
        let sent = self.clock.now();
        let spec = lease.spec.get_or_insert_default();
        spec.renew_time = Some(micro(sent));
        let written = self.write(&lease).await?;
        self.lead(written, sent);
        Ok(())
    }

    fn lead(&mut self, lease: Lease, sent: Timestamp) {
        if self.ours.is_none() && self.term.borrow().is_none() {
            tracing::info!(holder = self.settings.holder, "leading");
        }
        self.ours = Some(lease);
        self.seen = None;
        self.term.send_replace(Some(sent.plus(self.settings.renew_deadline)));
    }

    /// Looks whether the lease is free, and takes it.
    async fn stand(&mut self) -> Result<(), ApiError> {
        let Some(lease) = self.read().await? else { return self.create().await };
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let now = self.clock.now();
        let since = match &self.seen {
            Some((seen, since)) if *seen == version => *since,
            _ => {
                self.seen = Some((version, now));
                now
            }
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let free = spec.holder_identity.as_deref().unwrap_or_default().is_empty();
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let duration = seconds.map_or(self.settings.duration, Duration::from_secs);
        if !free && now.since(since) < duration {
            return Ok(());
        }
        let transitions = spec.lease_transitions.unwrap_or(0).saturating_add(1);
        let taken = Lease { spec: Some(self.spec(now, transitions)), ..lease };
        match self.renew(taken).await {
            Err(error) if error.is_conflict() => Ok(()),
            result => result,
        }
    }

    async fn create(&mut self) -> Result<(), ApiError> {
        let sent = self.clock.now();
        let metadata = ObjectMeta { name: Some(self.settings.name.clone()), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(self.spec(sent, 0)) };
        let leases = self.leases();
        match self.call("create", leases.create(&PostParams::default(), &lease)).await {
            Ok(created) => {
                self.lead(created, sent);
                Ok(())
            }
            Err(error) if error.is_conflict() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn spec(&self, now: Timestamp, transitions: i32) -> LeaseSpec {
        let seconds = i32::try_from(self.settings.duration.as_secs().max(1)).unwrap_or(i32::MAX);
        LeaseSpec {
            holder_identity: Some(self.settings.holder.clone()),
            lease_duration_seconds: Some(seconds),
            acquire_time: Some(micro(now)),
            renew_time: Some(micro(now)),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }

    /// Stops where the term is over.
    fn expire(&mut self) {
        let over = self.term.borrow().is_some_and(|until| self.clock.now() >= until);
        if over {
            self.ours = None;
            self.stop("it could not be renewed in time");
        }
    }

    fn stop(&mut self, why: &str) {
        if self.term.send_replace(None).is_some() {
            tracing::warn!(holder = self.settings.holder, why, "not leading any more");
        }
    }

    async fn release(mut self) {
        // Writes stop before anybody else can lead.
        self.term.send_replace(None);
        let Some(mut lease) = self.ours.take() else { return };
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
            spec.renew_time = Some(micro(self.clock.now()));
        }
        match self.write(&lease).await {
            Ok(_) => tracing::info!(holder = self.settings.holder, "leadership released"),
            Err(error) => tracing::warn!(%error, "leadership was not released; it will run out"),
        }
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.cluster.client().clone(), &self.settings.namespace)
    }

    async fn read(&self) -> Result<Option<Lease>, ApiError> {
        let leases = self.leases();
        self.call("read", leases.get_opt(&self.settings.name)).await
    }

    async fn write(&self, lease: &Lease) -> Result<Lease, ApiError> {
        let leases = self.leases();
        self.call("write", leases.replace(&self.settings.name, &PostParams::default(), lease)).await
    }

    /// A request that hangs must leave time for another before the term is over.
    async fn call<T>(
        &self,
        what: &str,
        answer: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, ApiError> {
        let attempt = format!("{what} Lease {}", self.settings.name);
        let after = self.settings.renew_deadline / 2;
        match tokio::time::timeout(after, self.cluster.call(&attempt, answer)).await {
            Ok(result) => result,
            Err(_) => Err(ApiError::TimedOut { attempt, after }),
        }
    }
}

fn micro(timestamp: Timestamp) -> MicroTime {
    let millis = i64::try_from(timestamp.0).unwrap_or(i64::MAX);
    MicroTime(jiff::Timestamp::from_millisecond(millis).unwrap_or_default())
}
