//! One producer's environment as a run sees it: read once, then asked.

use std::collections::BTreeSet;

use lb_desired::crd::{Access, EnvironmentStatus, LBProducer};
use lb_desired::plan::{Input, Plan, Presence, plan};
use lb_desired::settings::Settings;
use lb_http::contract::git_api::GitApi;
use lb_project::Observed;
use lb_vocab::{Digest, GitUser, Limits, Prefix, Producer, Revision, Source, UnknownReason};

use super::inputs::{self, Children};
use super::{Outcome, ProducerError, purge, report};
use crate::context::Context;
use crate::roster::Standing;
use crate::{observe, removal};

/// What one run is about.
pub(super) struct Case<'a> {
    pub(super) who: &'a Producer,
    status: Option<&'a EnvironmentStatus>,
    access: Access,
    presence: Presence,
    limits: Limits,
    pub(super) noted: Revision,
    pub(super) credentials_made: bool,
    /// Names that functions of other producers have.
    taken: BTreeSet<String>,
}

/// What the status says of an environment.
pub(super) fn noted<'a>(resource: &'a LBProducer, who: &Producer) -> Option<&'a EnvironmentStatus> {
    resource.status.as_ref()?.environments.get(who.environment().as_str())
}

/// What the operator says of one environment.
fn access(resource: &LBProducer, who: &Producer) -> Access {
    let listed = resource.spec.environments.iter().any(|text| text == who.environment().as_str());
    if listed && !purge::wanted(resource) { resource.spec.access } else { Access::Disabled }
}

impl<'a> Case<'a> {
    /// `limits` are the platform's, `taken` the names that functions of other producers have.
    pub(super) fn new(
        limits: &Limits,
        resource: &'a LBProducer,
        who: &'a Producer,
        standing: &Standing,
        taken: BTreeSet<String>,
    ) -> Self {
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
            limits: resource.spec.limits.over(limits),
            noted: status
                .and_then(|status| status.attempted.as_ref())
                .map(Revision::from)
                .unwrap_or_default(),
            credentials_made: status.is_some_and(|status| status.credentials_made),
            taken,
        }
    }

    /// The digest of what the plan is made from.
    pub(super) fn inputs(&self, context: &Context, revision: &Revision) -> Digest {
        let settings = &context.settings_digest;
        inputs::digest(revision, self.access, self.presence, &self.limits, &self.taken, settings)
    }

    /// Nothing to do: what the plan would be made from is as it was, and so are the children and their
    /// configuration. Known from memory, or after a start from the status.
    pub(super) fn settled(&self, context: &Context, children: &Children) -> Option<Outcome> {
        let heads = context.heads_of(self.who).filter(|_| self.needs_git());
        self.as_it_was(context, children, heads)
    }

    /// Nothing to do but to follow git, which has moved on.
    pub(super) fn outdated(&self, context: &Context, children: &Children) -> Option<Outcome> {
        self.as_it_was(context, children, None)
    }

    /// What is remembered, where that would be planned again of this revision, or of the one that it was planned of.
    fn as_it_was(
        &self,
        context: &Context,
        children: &Children,
        revision: Option<Revision>,
    ) -> Option<Outcome> {
        let remembered = context.remembered(self.who, self.status)?;
        let revision = revision.unwrap_or_else(|| remembered.revision.clone());
        let same = remembered.is_of(&self.inputs(context, &revision), &children.digest());
        (same && context.configs_stand(children)).then_some(remembered)
    }

    /// Whether git has a say: an operator's disable and a withdrawal need none.
    fn needs_git(&self) -> bool {
        self.access == Access::Enabled && self.presence == Presence::Present
    }

    /// What git says. `prefix` is that of git users.
    pub(super) async fn observe(&self, git: &GitApi, prefix: &Prefix) -> Observed {
        if !self.needs_git() {
            let unknown =
                || Source::Unknown(UnknownReason::Unreachable("not read: nothing is to run".into()));
            return Observed { dev: unknown(), functions: unknown(), openapi: unknown() };
        }
        let user = GitUser::of(prefix.clone(), self.who.name());
        observe::observe(git, &user, self.who, &self.noted, &self.limits).await
    }

    /// What was read, and whether that is all there is to read; where git has no say, what was read last.
    pub(super) fn revision(&self, observed: &Observed, heads: Option<&Revision>) -> (Revision, bool) {
        if self.needs_git() {
            observe::revision(observed, heads, &self.noted)
        } else {
            (self.noted.clone(), true)
        }
    }

    /// The first source that has a say and could not be read, and why.
    pub(super) fn unreadable<'o>(&self, observed: &'o Observed) -> Option<(&'static str, &'o UnknownReason)> {
        let Observed { dev, functions, openapi } = observed;
        let sources = [("dev", dev), ("functions", functions), ("the OpenAPI document", openapi)];
        let unknown = sources.into_iter().find_map(|(name, source)| Some((name, source.unknown()?)));
        unknown.filter(|_| self.needs_git())
    }

    /// The pure part of a run, as a job that needs nothing but the settings.
    pub(super) fn planning(
        &self,
        observed: Observed,
        children: &Children,
    ) -> impl FnOnce(&Settings) -> Plan + Send + use<> {
        let (who, access, presence, limits) = (self.who.clone(), self.access, self.presence, self.limits);
        let existing = children.existing(self.taken.clone());
        move |settings| {
            let decoded = lb_project::decode(observed, &who, &limits);
            plan(&Input {
                producer: &who,
                decoded: &decoded,
                access,
                presence,
                existing: &existing,
                settings,
            })
        }
    }

    /// Plans on the blocking pool.
    pub(super) async fn plan(
        &self,
        context: &Context,
        observed: Observed,
        children: &Children,
    ) -> Result<Plan, ProducerError> {
        let (planning, settings) = (self.planning(observed, children), context.settings.clone());
        let planned = context.jobs.run(move || planning(&settings.desired)).await;
        planned.map_err(|error| ProducerError::Plan(self.who.clone(), error))
    }

    /// Lets the plan's removals pass the brake; answers whether it holds them.
    pub(super) async fn brake(
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
