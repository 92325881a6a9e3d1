//! The producer driver: one producer -> its children and their configuration.
//!
//! observe -> decode -> plan -> (brake) -> mint -> apply children -> prune children -> report (-> tell). To follow a push through
//! the code, read [`environment`] from top to bottom.

mod case;
mod children;
mod inputs;
mod mint;
mod outcome;
mod preview;
mod purge;
mod report;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use lb_cluster::{ApiError, ApplyError, Retry};
use lb_desired::crd::{LBProducer, in_default_environment};
use lb_http::contract::ClientError;
use lb_vocab::{Environment, Producer, ProducerName};

use case::Case;
pub use inputs::Children;
pub(crate) use inputs::created;
use mint::MintError;
pub(crate) use outcome::Outcome;
pub use preview::{Unreadable, preview};
pub use purge::PURGE;
pub(crate) use report::Noted;
pub(crate) use verdict::Telling;

use crate::context::{Context, Key, Next};
use crate::jobs::JobError;
use crate::namespace::NamespaceError;
use crate::queue::Class;
use crate::roster::Standing;
use crate::{namespace, requests, roster};

/// Why a producer's environment is not as git says.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProducerError {
    /// The configstore does not say whether it is a producer.
    #[error("ask whether `{0}` is a producer")]
    Discover(ProducerName, #[source] ClientError),
    /// Its `LBProducer` could not be made.
    #[error("make LBProducer `{0}`")]
    Create(ProducerName, #[source] ApiError),
    /// Its namespace could not be made ready.
    #[error("open the namespace of `{0}`")]
    Namespace(Producer, #[source] ApiError),
    /// The plan could not be computed.
    #[error("plan `{0}`")]
    Plan(Producer, #[source] JobError),
    /// The brake's state could not be read or written.
    #[error("ask the brake about `{0}`")]
    Brake(Producer, #[source] ApiError),
    /// Credentials could not be made.
    #[error("credentials of `{0}`")]
    Mint(Producer, #[source] MintError),
    /// A child or a configuration could not be applied.
    #[error("apply {1} of `{0}`")]
    Apply(Producer, String, #[source] ApplyError),
    /// A child could not be removed.
    #[error("remove {1} of `{0}`")]
    Prune(Producer, String, #[source] ApiError),
    /// The status could not be written.
    #[error("report on `{0}`")]
    Report(ProducerName, #[source] ApiError),
    /// A purge did not end.
    #[error("purge `{0}`")]
    Purge(ProducerName, #[source] ApiError),
}

impl ProducerError {
    /// The variant's name: metric label.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Discover(..) => "Discover",
            Self::Create(..) => "Create",
            Self::Namespace(..) => "Namespace",
            Self::Plan(..) => "Plan",
            Self::Brake(..) => "Brake",
            Self::Mint(..) => "Mint",
            Self::Apply(..) => "Apply",
            Self::Prune(..) => "Prune",
            Self::Report(..) => "Report",
            Self::Purge(..) => "Purge",
        }
    }

    /// When to try again.
    pub(crate) fn retry(&self) -> Retry {
        match self {
            // What is in the way in a namespace is not watched.
            Self::Discover(..) | Self::Plan(..) | Self::Namespace(..) => Retry::Backoff,
            Self::Create(_, error)
            | Self::Brake(_, error)
            | Self::Prune(_, _, error)
            | Self::Report(_, error)
            | Self::Purge(_, error) => error.retry(),
            Self::Mint(_, error) => error.retry(),
            Self::Apply(_, _, error) => error.retry(),
        }
    }
}

/// A failure that ends a run is its only one.
impl From<ProducerError> for Vec<ProducerError> {
    fn from(error: ProducerError) -> Self {
        vec![error]
    }
}

/// Makes one producer's children match git, in each of its environments.
///
/// # Errors
/// Of what failed that which is to be tried again first; all else was still worked on, and the status was written.
pub(crate) async fn reconcile(context: &Context, name: &ProducerName) -> Result<Next, ProducerError> {
    let Some(resource) = context.stores.producer(name) else { return discover(context, name).await };
    if resource.metadata.deletion_timestamp.is_some() {
        return Ok(Next::Settled);
    }
    if resource.spec.suspend {
        return report::suspended(context, name, &resource).await;
    }
    let standing = roster::standing(context, name, &resource).await;
    let request = requests::of(&resource);
    let anew = request.filter(|request| !context.requests.is_open(name, request));
    let mut outcomes = BTreeMap::new();
    let mut failures = Vec::new();
    let mut next = Next::Settled;
    for who in producers(context, name, &resource) {
        let mut outcome = Outcome::before(case::noted(&resource, &who));
        match environment(context, &resource, &who, &standing, anew.is_some(), &mut outcome).await {
            Ok(then) => next = next.sooner(then),
            Err(errors) => {
                outcome.failed(&errors);
                failures.extend(errors);
            }
        }
        outcomes.insert(who, outcome);
    }
    let moved = failures.iter().any(|error| error.retry() == Retry::Soon);
    if let Some(request) = anew.filter(|_| !moved) {
        open(context, name, &resource, request);
    }
    let then = report::report(context, name, &resource, &standing, &outcomes).await?;
    if let Some(error) = failures.into_iter().min_by_key(ProducerError::retry) {
        return Err(error);
    }
    if purge::wanted(&resource) {
        purge::finish(context, name, &resource).await?;
    }
    Ok(next.sooner(then))
}

/// Wants each child to be worked on before the request counts as handled.
fn open(context: &Context, name: &ProducerName, resource: &LBProducer, request: &str) {
    let children: Vec<_> = context.stores.children_of(resource).keys().collect();
    context.requests.open(name, request, children.iter().cloned());
    for child in children {
        context.dispatch.queue.nudge(Key::Child(child), Class::Interactive);
    }
}

/// A name that no `LBProducer` stands for: a new producer, or nobody.
async fn discover(context: &Context, name: &ProducerName) -> Result<Next, ProducerError> {
    if in_default_environment(name.clone()).is_err() {
        // The API server would refuse it again and again; the configstore lists it with a finding.
        return Ok(Next::Settled);
    }
    let known = roster::is_producer(context, name).await;
    if known.map_err(|error| ProducerError::Discover(name.clone(), error))? {
        let created = context.cluster.create_producer(&context.stores.producers, name).await;
        if created.map_err(|error| ProducerError::Create(name.clone(), error))? {
            tracing::info!(producer = %name, "a new producer");
        }
    }
    Ok(Next::Settled)
}

/// The producer in each environment that it has or had: what it has no more is switched off, not forgotten. Names
/// that do not fit are left out (the API server refuses them).
fn producers(context: &Context, name: &ProducerName, resource: &LBProducer) -> Vec<Producer> {
    let had = resource.status.iter().flat_map(|status| status.environments.keys().cloned());
    let standing = context.stores.children_of(resource).environments();
    let all: BTreeSet<String> =
        resource.spec.environments.iter().cloned().chain(had).chain(standing).collect();
    let environments = all.iter().filter_map(|text| text.parse::<Environment>().ok());
    environments.filter_map(|environment| Producer::new(name.clone(), environment).ok()).collect()
}

/// One environment, from git to children. `requested`: somebody asked to look, so that nothing is taken as settled.
/// `outcome` is what was known before, and becomes what is known now.
async fn environment(
    context: &Context,
    resource: &LBProducer,
    who: &Producer,
    standing: &Standing,
    requested: bool,
    outcome: &mut Outcome,
) -> Result<Next, Vec<ProducerError>> {
    let children = context.stores.children_of(resource).of(who);
    let taken = context.stores.taken(resource, who, &context.settings.desired);
    let case = Case::new(&context.settings.limits, resource, who, standing, taken);
    if !requested && let Some(settled) = case.settled(context, &children) {
        *outcome = settled;
        return Ok(Next::Settled);
    }
    if !requested
        && let Some(outdated) = case.outdated(context, &children)
        && let Err(wait) = context.pace.follow(who)
    {
        *outcome = outdated;
        return Ok(Next::After(wait));
    }
    // Before it is read: what is told meanwhile is news.
    let heads = context.heads_of(who);
    let observed = case.observe(&context.git, &context.settings.desired.prefix).await;
    let (revision, readable) = case.revision(&observed, heads.as_ref());
    let mut plan = case.plan(context, observed, &children).await?;
    let braked = case.brake(context, &mut plan, &children, &revision).await?;
    // Until what goes by the will of a new commit is gone, the commit is new.
    *outcome = Outcome { revision: case.noted.clone(), ..Outcome::default() }.planned(&plan);
    if outcome.removed.is_none() && !prepare(context, &case, outcome).await? {
        outcome.revision = revision;
        return Ok(Next::Retry);
    }
    let mut failures = children::apply(context, resource, who, &plan, requested).await;
    let unpruned = children::prune(context, resource, who, &plan).await;
    if unpruned.is_empty() {
        outcome.revision = revision.clone();
    }
    failures.extend(unpruned);
    let done = readable && !braked && failures.is_empty();
    let inputs = case.inputs(context, &revision);
    outcome.digests(done.then_some(&inputs), &inputs::planned(&plan, &children));
    context.remember(who, outcome);
    match (failures.is_empty(), done) {
        (false, _) => Err(failures),
        (true, true) => Ok(Next::Settled),
        (true, false) => Ok(Next::Retry),
    }
}

/// What everything else needs: a namespace, and credentials in it. `false`: `outcome` says what an operator has to do
/// first.
async fn prepare(context: &Context, case: &Case<'_>, outcome: &mut Outcome) -> Result<bool, ProducerError> {
    match namespace::open(context, case.who.name()).await {
        Ok(()) => {}
        Err(error @ NamespaceError::Foreign { .. }) => {
            outcome.stalled = Some(("ForeignNamespace", error.to_string()));
            return Ok(false);
        }
        Err(NamespaceError::Api(error)) => return Err(ProducerError::Namespace(case.who.clone(), error)),
    }
    match mint::credentials(context, case.who, case.credentials_made).await {
        Ok(()) => outcome.credentials = true,
        Err(error @ MintError::Lost(_)) => {
            outcome.stalled = Some(("CredentialsLost", error.to_string()));
            return Ok(false);
        }
        Err(error) => return Err(ProducerError::Mint(case.who.clone(), error)),
    }
    Ok(true)
}
