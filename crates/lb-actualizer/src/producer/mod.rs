//! The producer driver: one producer -> its children and their configuration.
//!
//! observe -> decode -> plan -> (brake) -> mint -> apply children -> prune children -> report. To follow a push through
//! the code, read [`environment`] from top to bottom.

mod children;
mod inputs;
mod mint;
mod outcome;
mod purge;
mod report;

use std::collections::{BTreeMap, BTreeSet};

use lb_cluster::{ApiError, ApplyError, Retry};
use lb_desired::crd::{Access, EnvironmentStatus, LBProducer, in_default_environment};
use lb_desired::plan::{Input, Plan, Presence, plan};
use lb_http::contract::ClientError;
use lb_project::Observed;
use lb_vocab::{
    Digest, Environment, GitUser, Limits, Producer, ProducerName, Revision, Source, UnknownReason,
};

pub(crate) use inputs::{Children, created};
use mint::MintError;
pub(crate) use outcome::Outcome;
pub use purge::PURGE;
pub(crate) use report::Noted;

use crate::context::{Context, Next};
use crate::jobs::JobError;
use crate::namespace::NamespaceError;
use crate::roster::Standing;
use crate::{namespace, observe, removal, roster};

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
    let mut outcomes = BTreeMap::new();
    let mut failures = Vec::new();
    let mut next = Next::Settled;
    for who in producers(context, name, &resource) {
        let mut outcome = Outcome::before(noted(&resource, &who));
        match environment(context, &resource, &who, &standing, &mut outcome).await {
            Ok(then) => next = next.sooner(then),
            Err(errors) => {
                outcome.failed(&errors);
                failures.extend(errors);
            }
        }
        outcomes.insert(who, outcome);
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

/// What the operator says of one environment.
fn access(resource: &LBProducer, who: &Producer) -> Access {
    let listed = resource.spec.environments.iter().any(|text| text == who.environment().as_str());
    if listed && !purge::wanted(resource) { resource.spec.access } else { Access::Disabled }
}

fn noted<'a>(resource: &'a LBProducer, who: &Producer) -> Option<&'a EnvironmentStatus> {
    resource.status.as_ref()?.environments.get(who.environment().as_str())
}

/// One environment, from git to children. `outcome` is what was known before, and becomes what is known now.
async fn environment(
    context: &Context,
    resource: &LBProducer,
    who: &Producer,
    standing: &Standing,
    outcome: &mut Outcome,
) -> Result<Next, Vec<ProducerError>> {
    let children = context.stores.children_of(resource).of(who);
    let case = Case::new(context, resource, who, standing);
    if let Some(settled) = case.settled(context, &children) {
        *outcome = settled;
        return Ok(Next::Settled);
    }
    // Before it is read: what is told meanwhile is news.
    let heads = context.heads_of(who);
    let observed = case.observe(context).await;
    let (revision, readable) = case.revision(&observed, heads.as_ref());
    let mut plan = case.plan(context, observed, &children).await?;
    let braked = case.brake(context, &mut plan, &children, &revision).await?;
    // Until what goes by the will of a new commit is gone, the commit is new.
    *outcome = Outcome { revision: case.noted.clone(), ..Outcome::default() }.planned(&plan);
    if outcome.removed.is_none() && !prepare(context, &case, outcome).await? {
        outcome.revision = revision;
        return Ok(Next::Retry);
    }
    let mut failures = children::apply(context, resource, who, &plan).await;
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

/// What one run is about, read once.
struct Case<'a> {
    who: &'a Producer,
    status: Option<&'a EnvironmentStatus>,
    access: Access,
    presence: Presence,
    limits: Limits,
    noted: Revision,
    credentials_made: bool,
    /// Names that functions of other producers have.
    taken: BTreeSet<String>,
}

impl<'a> Case<'a> {
    fn new(context: &Context, resource: &'a LBProducer, who: &'a Producer, standing: &Standing) -> Self {
        let status = noted(resource, who);
        let presence = match standing {
            Standing::Gone { .. } => Presence::Withdrawn,
            Standing::Unconfirmed(_) if report::is_withdrawn(resource) => Presence::Withdrawn,
            Standing::Present | Standing::Missing { .. } | Standing::Unconfirmed(_) => Presence::Present,
        };
        Self {
            who,
            status,
            access: access(resource, who),
            presence,
            limits: resource.spec.limits.over(&context.settings.limits),
            noted: status
                .and_then(|status| status.attempted.as_ref())
                .map(Revision::from)
                .unwrap_or_default(),
            credentials_made: status.is_some_and(|status| status.credentials_made),
            taken: context.stores.taken(resource, who, &context.settings.desired),
        }
    }

    fn inputs(&self, context: &Context, revision: &Revision) -> Digest {
        let settings = &context.settings_digest;
        inputs::digest(revision, self.access, self.presence, &self.limits, &self.taken, settings)
    }

    /// Nothing to do: what the plan would be made from is as it was, and so are the children and their
    /// configuration. Known from memory, or after a start from the status.
    fn settled(&self, context: &Context, children: &Children) -> Option<Outcome> {
        let remembered = context.remembered(self.who, self.status)?;
        let heads = context.heads_of(self.who).filter(|_| self.needs_git());
        let revision = heads.unwrap_or_else(|| remembered.revision.clone());
        let same = remembered.is_of(&self.inputs(context, &revision), &children.digest());
        (same && context.configs_stand(children)).then_some(remembered)
    }

    /// Whether git has a say: an operator's disable and a withdrawal need none.
    fn needs_git(&self) -> bool {
        self.access == Access::Enabled && self.presence == Presence::Present
    }

    async fn observe(&self, context: &Context) -> Observed {
        if !self.needs_git() {
            let unknown =
                || Source::Unknown(UnknownReason::Unreachable("not read: nothing is to run".into()));
            return Observed { dev: unknown(), functions: unknown(), openapi: unknown() };
        }
        let user = GitUser::of(context.settings.desired.prefix.clone(), self.who.name());
        observe::observe(&context.git, &user, self.who, &self.noted, &self.limits).await
    }

    /// What was read, and whether that is all there is to read; where git has no say, what was read last.
    fn revision(&self, observed: &Observed, heads: Option<&Revision>) -> (Revision, bool) {
        if self.needs_git() {
            observe::revision(observed, heads, &self.noted)
        } else {
            (self.noted.clone(), true)
        }
    }

    async fn plan(
        &self,
        context: &Context,
        observed: Observed,
        children: &Children,
    ) -> Result<Plan, ProducerError> {
        let (who, access, presence, limits) = (self.who.clone(), self.access, self.presence, self.limits);
        let (existing, settings) = (children.existing(self.taken.clone()), context.settings.clone());
        let job = move || {
            let decoded = lb_project::decode(observed, &who, &limits);
            plan(&Input {
                producer: &who,
                decoded: &decoded,
                access,
                presence,
                existing: &existing,
                settings: &settings.desired,
            })
        };
        context.jobs.run(job).await.map_err(|error| ProducerError::Plan(self.who.clone(), error))
    }

    /// Lets the plan's removals pass the brake; answers whether it holds them.
    async fn brake(
        &self,
        context: &Context,
        plan: &mut Plan,
        children: &Children,
        revision: &Revision,
    ) -> Result<bool, ProducerError> {
        let objects = context.stores.removals(&context.records, children, plan);
        let own_commit = self.noted != *revision;
        let passed = removal::pass(context, self.who, plan, objects, own_commit).await;
        passed.map_err(|error| ProducerError::Brake(self.who.clone(), error))
    }
}
