//! `why`: from a public host or an object to the line of the project, the commit and its author.

mod entity;
mod history;
mod subject;

use anyhow::{Context, Result, bail};
use lb_cluster::Cluster;
use lb_desired::crd::{Condition, RevisionStatus};
use lb_http::contract::git_api::CommitInfo;
use lb_vocab::{Producer, Timestamp, with_causes};
use serde_json::{Value, json};

use super::status::{Child, all_children, short};

use crate::cli::WhyArgs;
use crate::connect::Connect;
use crate::exit::Exit;
use crate::screen::{Screen, printable};
use entity::Entity;
use subject::Subject;

/// Everything that is known about a subject.
struct Answer {
    child: Child,
    others: Vec<String>,
    entity: Option<Entity>,
    commit: Option<CommitInfo>,
    /// Why the last parts are missing.
    gap: Option<String>,
}

/// Answers where a host or an object comes from.
pub(crate) async fn run(arguments: &WhyArgs, connect: &Connect<'_>, screen: &mut Screen) -> Result<Exit> {
    let cluster = connect.cluster().await?;
    let subject = Subject::read(&arguments.subject)?;
    let mut found = subject.children(all_children(cluster.client()).await?);
    if found.is_empty() {
        bail!(
            "nothing of ours is behind `{}`: `lunchbadger status PRODUCER` lists what a producer has; hosts and \
             objects of others are not known here",
            printable(&arguments.subject)
        );
    }
    let child = found.remove(0);
    let others = found.iter().map(Child::title).collect();
    let mut answer = Answer { child, others, entity: None, commit: None, gap: None };
    if let Err(error) = trace(&mut answer, &cluster, connect).await {
        // What the cluster knows is worth showing where git cannot be asked.
        answer.gap = Some(with_causes(error.as_ref()));
    }
    if screen.json() {
        screen.document(&document(&arguments.subject, &answer))?;
    } else {
        show(&arguments.subject, &answer, screen)?;
    }
    Ok(Exit::report_if(answer.gap.is_some()))
}

/// Follows the child to its entity and the entity to its commit.
async fn trace(answer: &mut Answer, cluster: &Cluster, connect: &Connect<'_>) -> Result<()> {
    let child = &answer.child;
    let who: Producer = format!("{}-{}", child.text("producer"), child.text("environment"))
        .parse()
        .with_context(|| format!("read whose {} is", child.title()))?;
    let revision = revision(cluster, &who).await?;
    let git = connect.git_api().await?;
    let user = connect.git_user(who.name())?;
    let repositories = history::Repositories { git: &git, user: &user, who: &who };
    let entity = entity::find(&repositories, child, &revision).await?;
    answer.commit = history::last_change(&repositories, &entity).await?;
    answer.entity = Some(entity);
    Ok(())
}

/// The revision that stands, else the one that was worked on.
async fn revision(cluster: &Cluster, who: &Producer) -> Result<RevisionStatus> {
    let producer = super::producers::resource(cluster, who.name()).await?;
    let environment =
        producer.status.and_then(|mut status| status.environments.remove(who.environment().as_str()));
    let environment = environment.unwrap_or_default();
    Ok(environment.applied.or(environment.attempted).unwrap_or_default())
}

fn show(subject: &str, answer: &Answer, screen: &mut Screen) -> Result<()> {
    let Answer { child, others, entity, commit, gap } = answer;
    screen.line(printable(subject))?;
    screen.line(printable(&format!("  child   {} in {}", child.title(), child.namespace)))?;
    for condition in &child.status.conditions {
        let Condition { type_, status, reason, message, .. } = condition;
        screen.line(printable(&format!("          {type_} {status} ({reason}) {message}")))?;
    }
    for other in others {
        screen.line(printable(&format!("          also claimed by {other}, which is younger")))?;
    }
    if let Some(entity) = entity {
        let place = &entity.place;
        screen.line(printable(&format!("  entity  {} \"{}\" at {place}", place.kind.words(), place.name)))?;
        if let Some(note) = &entity.note {
            screen.line(printable(&format!("          {note}")))?;
        }
    }
    if let Some(commit) = commit {
        let CommitInfo { id, author_name, author_email, time, subject, .. } = commit;
        screen.line(printable(&format!("  commit  {} {subject}", short(Some(id.as_str())))))?;
        screen.line(printable(&format!("  author  {author_name} <{author_email}>, {}", date(*time))))?;
    }
    if let Some(gap) = gap {
        screen.note(printable(&format!("the rest is not known: {gap}")))?;
    }
    Ok(())
}

fn document(subject: &str, answer: &Answer) -> Value {
    let Answer { child, others, entity, commit, gap } = answer;
    let entity = entity.as_ref().map(|entity| json!({"place": entity.place, "note": entity.note}));
    json!({
        "subject": subject,
        "child": child.document(),
        "others": others,
        "entity": entity,
        "commit": commit,
        "gap": gap,
    })
}

/// A moment for people, UTC.
fn date(time: Timestamp) -> String {
    let seconds = i64::try_from(time.seconds()).unwrap_or(i64::MAX);
    k8s_openapi::jiff::Timestamp::from_second(seconds).map(|moment| moment.to_string()).unwrap_or_default()
}
