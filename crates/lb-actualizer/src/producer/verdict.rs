//! Verdict: how a commit fared, told to its producer beside the commit at the git host.
//!
//! Made of the status alone, and told after that was written, so that a git host that is silent keeps nobody from
//! applying and reporting. What was told is noted in the status: the same is told once, whoever leads; twice where a
//! leader ended between the two, and never not at all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lb_desired::crd::{ConditionType, EnvironmentStatus, LBProducer, LBProducerStatus};
use lb_desired::plan::Why;
use lb_http::contract::ClientError;
use lb_http::contract::git_api::{CommitState, CommitStatus};
use lb_project::OPENAPI_FILE;
use lb_vocab::{
    CommitId, Digest, Finding, GitUser, ProducerName, RepoName, SafePath, TextError, shortened, with_causes,
};
use serde_json::json;
use tokio::sync::Semaphore;

use super::outcome::HELD;
use super::report::write;
use super::{Children, ProducerError};
use crate::context::{Context, Next};

/// Of so many workers one may wait for the git host.
const SHARE: usize = 4;
/// How long a worker waits for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Hex digits of a digest that a status notes.
const DIGITS: usize = 16;
/// Length of a description, bytes.
const DESCRIPTION_BYTES: usize = 255;

/// Telling verdicts, for all producers.
#[derive(Debug)]
pub(crate) struct Telling {
    places: Semaphore,
    /// The git host said that it keeps none.
    unkept: AtomicBool,
}

impl Telling {
    /// Done by some of these workers.
    pub(crate) fn new(workers: usize) -> Self {
        Self { places: Semaphore::new((workers / SHARE).max(1)), unkept: AtomicBool::new(false) }
    }

    /// The stream of changes starts over: perhaps over another git host.
    pub(crate) fn reset(&self) {
        self.unkept.store(false, Ordering::Relaxed);
    }
}

/// How one repository's commit fared.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Verdict {
    repo: &'static str,
    commit: CommitId,
    status: CommitStatus,
}

impl Verdict {
    fn digest(&self) -> String {
        let Self { repo, commit, status } = self;
        Digest::of_parts([json!([repo, commit, status]).to_string().as_bytes()]).first(DIGITS).to_owned()
    }
}

/// Tells what is not told yet. A failure is for the log, and for later.
pub(super) async fn tell(
    context: &Context,
    name: &ProducerName,
    resource: &LBProducer,
    status: &LBProducerStatus,
    children: &Children,
) -> Result<Next, ProducerError> {
    let (mut told, mut next) = (status.clone(), Next::Settled);
    let user = GitUser::of(context.settings.desired.prefix.clone(), name);
    for (environment, state) in &mut told.environments {
        let functions = children.functions.iter().filter(|child| child.spec.environment == *environment);
        for verdict in verdicts(environment, state, functions.count()) {
            let digest = verdict.digest();
            if state.told.get(verdict.repo) == Some(&digest) {
                continue;
            }
            match say(context, &user, &verdict).await {
                Said::Told => drop(state.told.insert(verdict.repo.to_owned(), digest)),
                Said::Unkept => {}
                Said::Later(then) => next = next.sooner(then),
            }
        }
    }
    if told != *status {
        write(context, name, resource, &told).await?;
    }
    Ok(next)
}

enum Said {
    Told,
    Unkept,
    Later(Next),
}

async fn say(context: &Context, user: &GitUser, verdict: &Verdict) -> Said {
    let telling = &context.telling;
    if telling.unkept.load(Ordering::Relaxed) {
        return Said::Unkept;
    }
    let Ok(_place) = telling.places.try_acquire() else { return Said::Later(Next::Retry) };
    let Ok(repo): Result<RepoName, TextError> = verdict.repo.parse() else { return Said::Unkept };
    let call = context.git.set_commit_status(user, &repo, &verdict.commit, &verdict.status);
    let said = match tokio::time::timeout(PATIENCE, call).await {
        Ok(Ok(true)) => Said::Told,
        Ok(Ok(false)) => {
            telling.unkept.store(true, Ordering::Relaxed);
            Said::Unkept
        }
        // A commit that was pushed over: there is nobody to tell.
        Ok(Err(ClientError::NotFound { .. })) => Said::Told,
        Ok(Err(error)) => {
            tracing::warn!(%user, error = with_causes(&error), "how its commit fared could not be told");
            Said::Later(if lasting(&error) { Next::Settled } else { Next::Retry })
        }
        Err(_) => {
            tracing::warn!(%user, seconds = PATIENCE.as_secs(), "how its commit fared was not taken in time");
            Said::Later(Next::Retry)
        }
    };
    context.metrics.told(match said {
        Said::Told => "told",
        Said::Unkept => "unkept",
        Said::Later(_) => "failed",
    });
    said
}

/// Whether the same would be answered again: a user that was renamed.
fn lasting(error: &ClientError) -> bool {
    match error {
        ClientError::Refused { status, .. } => {
            (400..500).contains(status) && !matches!(status, 401 | 403 | 408 | 429)
        }
        ClientError::NotFound { .. }
        | ClientError::Unreachable { .. }
        | ClientError::Malformed { .. }
        | ClientError::TooLarge { .. } => false,
    }
}

/// How the commits of an environment's attempted revision fared; none while that is not decided.
fn verdicts(environment: &str, status: &EnvironmentStatus, functions: usize) -> Vec<Verdict> {
    let Some(attempted) = &status.attempted else { return Vec::new() };
    let gateways = status.gateways.split('/').next().and_then(|count| count.parse().ok()).unwrap_or(0);
    let sources = [
        ("dev", &attempted.dev, counted(gateways, "gateway")),
        ("functions", &attempted.functions, counted(functions, "function")),
    ];
    let verdict = |(repo, commit, stands): (&'static str, &Option<String>, String)| {
        let commit: CommitId = commit.as_deref()?.parse().ok()?;
        let (state, description, place) = outlook(status, repo, &stands)?;
        let (file, line) = place.unzip();
        let context = format!("lunchbadger/{environment}");
        let description = shortened(description, DESCRIPTION_BYTES);
        let status = CommitStatus { context, state, description, file, line };
        Some(Verdict { repo, commit, status })
    };
    sources.into_iter().filter_map(verdict).collect()
}

type Outlook = (CommitState, String, Option<(SafePath, u32)>);

/// How the commit of one repository fared.
fn outlook(status: &EnvironmentStatus, repo: &str, stands: &str) -> Option<Outlook> {
    let conditions = &status.conditions;
    let applied = ConditionType::Applied.holds(conditions);
    let stalled = ConditionType::Stalled.of(conditions).filter(|_| ConditionType::Stalled.holds(conditions));
    let held = ConditionType::Applied.of(conditions).is_some_and(|condition| condition.reason == HELD);
    let off = ConditionType::Disabled.of(conditions).filter(|_| ConditionType::Disabled.holds(conditions));
    let off = off.map(|condition| condition.reason.as_str());
    if off.is_some_and(|reason| reason != Why::DisabledByProject.name()) {
        // An operator's, or the producer is gone: that says nothing of a commit.
        return None;
    }
    if !applied && stalled.is_none() && !held {
        return None;
    }
    let own: Vec<_> = status.findings.iter().filter_map(|line| of(repo, line)).collect();
    if let Some((path, line, text)) = own.first() {
        let more = if status.finding_count as usize > status.findings.len() { "+" } else { "" };
        let plural = if own.len() == 1 && more.is_empty() { "" } else { "s" };
        let description = format!("{}{more} finding{plural}: {text}", own.len());
        // The OpenAPI document is no file of the commit that findings are told at.
        let path = path.filter(|path| *line > 0 && *path != OPENAPI_FILE).and_then(|path| path.parse().ok());
        return Some((CommitState::Failure, description, path.map(|path| (path, *line))));
    }
    if applied {
        let what = if off.is_some() { "switched off by the project" } else { stands };
        return Some((CommitState::Success, format!("applied: {what}"), None));
    }
    // One that stood and is disturbed since is not the commit's.
    if status.attempted == status.applied {
        return None;
    }
    // In general: what stands in the way is the operator's to know.
    let description = match stalled {
        Some(stalled) => format!("it does not go on before an operator acts ({})", stalled.reason),
        None if status.finding_count > 0 => "held: there are findings in another repository".to_owned(),
        None => "held: it cannot be applied as a whole now, and is tried again".to_owned(),
    };
    Some((CommitState::Error, description, None))
}

/// Path, line and text of a finding, where it is one of this repository.
fn of<'a>(repo: &str, line: &'a str) -> Option<(Option<&'a str>, u32, &'a str)> {
    let (file, number) = Finding::place_of(line)?;
    let (in_repo, path) = file.split_once('/').unwrap_or((file, ""));
    (in_repo == repo).then_some((Some(path).filter(|path| !path.is_empty()), number, line))
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use lb_desired::crd::{ConditionStatus, RevisionStatus, condition, set_condition};
    use lb_vocab::{EntityKind, Place, Timestamp};

    use super::*;

    fn revision(digit: u8) -> RevisionStatus {
        let commit = |digit: u8| Some(format!("{digit:040x}"));
        RevisionStatus { dev: commit(digit), functions: commit(digit + 100), openapi: None }
    }

    fn status(conditions: &[(ConditionType, bool, &str)], findings: &[Finding]) -> EnvironmentStatus {
        let mut status = EnvironmentStatus {
            attempted: Some(revision(2)),
            applied: Some(revision(1)),
            gateways: "2/2".into(),
            findings: findings.iter().map(Finding::line).collect(),
            finding_count: u32::try_from(findings.len()).unwrap(),
            ..EnvironmentStatus::default()
        };
        for (kind, holds, reason) in conditions {
            let holds = if *holds { ConditionStatus::True } else { ConditionStatus::False };
            set_condition(&mut status.conditions, condition(*kind, holds, reason, "hunter2"), Timestamp(0));
        }
        status
    }

    fn finding(file: &str, line: u32) -> Finding {
        let place = Place { line, kind: EntityKind::Gateway, name: "main".into(), ..Place::file(file) };
        Finding::error("X", place, "it has no name")
    }

    /// `state description file:line`, for dev and functions.
    fn told(status: &EnvironmentStatus) -> Vec<String> {
        let words = |verdict: Verdict| {
            let CommitStatus { context, state, description, file, line } = verdict.status;
            assert_eq!(context, "lunchbadger/dev");
            assert!(!description.contains("hunter2"), "{description}");
            let place = file.map(|file| format!(" {file}#{}", line.unwrap())).unwrap_or_default();
            format!("{}: {state:?} {description}{place}", verdict.repo)
        };
        verdicts("dev", status, 1).into_iter().map(words).collect()
    }

    const APPLIED: &[(ConditionType, bool, &str)] = &[(ConditionType::Applied, true, "Applied")];
    const HELD_: &[(ConditionType, bool, &str)] = &[(ConditionType::Applied, false, HELD)];

    #[test]
    fn a_commit_is_told_how_it_fared_and_each_repository_its_own_findings() {
        let (dev, functions) = (finding("dev/lunchbadger.json", 7), finding("functions/f/serverless.yml", 3));
        let line = "error: gateway \"main\": it has no name";
        let stalled =
            [(ConditionType::Applied, false, "Lost"), (ConditionType::Stalled, true, "CredentialsLost")];
        let off = |why: Why| [APPLIED[0], (ConditionType::Disabled, true, why.name())];
        let (applied_dev, applied_functions) =
            ("dev: Success applied: 2 gateways", "functions: Success applied: 1 function");
        let held = "Error held: it cannot be applied as a whole now, and is tried again";
        let elsewhere = "Error held: there are findings in another repository";
        let act = "Error it does not go on before an operator acts (CredentialsLost)";
        let in_dev = format!("dev: Failure 1 finding: dev/lunchbadger.json:7: {line} lunchbadger.json#7");
        let in_functions =
            format!("functions: Failure 1 finding: functions/f/serverless.yml:3: {line} f/serverless.yml#3");
        for (status, expected) in [
            (status(APPLIED, &[]), vec![applied_dev.to_owned(), applied_functions.to_owned()]),
            (status(APPLIED, std::slice::from_ref(&dev)), vec![in_dev.clone(), applied_functions.to_owned()]),
            (status(HELD_, &[dev.clone(), functions.clone()]), vec![in_dev.clone(), in_functions]),
            (status(HELD_, &[dev]), vec![in_dev, format!("functions: {elsewhere}")]),
            (status(HELD_, &[]), vec![format!("dev: {held}"), format!("functions: {held}")]),
            (status(&stalled, &[]), vec![format!("dev: {act}"), format!("functions: {act}")]),
            (
                status(APPLIED, &[finding("dev/openapi.json", 1), finding("dev/package.json", 0)]),
                vec![
                    format!("dev: Failure 2 findings: dev/openapi.json:1: {line}"),
                    applied_functions.to_owned(),
                ],
            ),
            (
                status(&off(Why::DisabledByProject), &[]),
                vec![
                    "dev: Success applied: switched off by the project".to_owned(),
                    "functions: Success applied: switched off by the project".to_owned(),
                ],
            ),
            (status(&off(Why::DisabledByOperator), &[]), vec![]),
            (status(&off(Why::Withdrawn), &[]), vec![]),
            (status(&[(ConditionType::Applied, false, "InProgress")], &[functions]), vec![]),
            (EnvironmentStatus { applied: Some(revision(2)), ..status(HELD_, &[]) }, vec![]),
            (EnvironmentStatus { attempted: None, ..status(APPLIED, &[]) }, vec![]),
        ] {
            assert_eq!(told(&status), expected, "{status:?}");
        }
    }

    #[test]
    fn of_many_findings_the_first_is_told_and_that_there_are_more() {
        let mut many = status(APPLIED, &[finding("dev/lunchbadger.json", 7)]);
        many.finding_count = 40;
        many.findings[0].push_str(&"é".repeat(200));
        let told = verdicts("dev", &many, 0);
        let description = &told[0].status.description;
        assert!(description.starts_with("1+ findings: dev/") && description.len() <= DESCRIPTION_BYTES);
        let digest = told[0].digest();
        many.attempted = Some(revision(3));
        assert_ne!(verdicts("dev", &many, 0)[0].digest(), digest, "another commit is told anew");
    }
}
