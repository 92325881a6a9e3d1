//! `producers members`, `invite` and `revoke`: collaborators of both repositories.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use lb_http::contract::git_api::Permission;
use lb_vocab::{ProducerName, RepoName};
use serde_json::json;

use crate::cli::MemberPermission;
use crate::connect::Connect;
use crate::exit::Exit;
use crate::screen::{Screen, Table, printable};

impl From<MemberPermission> for Permission {
    fn from(permission: MemberPermission) -> Self {
        match permission {
            MemberPermission::Read => Self::Read,
            MemberPermission::Write => Self::Write,
            MemberPermission::Admin => Self::Admin,
        }
    }
}

/// Who may do what.
pub(super) async fn list(name: &ProducerName, connect: &Connect<'_>, screen: &mut Screen) -> Result<Exit> {
    let (user, git) = (connect.git_user(name)?, connect.git_api().await?);
    let mut members: BTreeMap<String, BTreeMap<String, Permission>> = BTreeMap::new();
    for repository in RepoName::of_every_producer() {
        let collaborators = git.collaborators(&user, &repository).await;
        for member in collaborators.with_context(|| format!("read the members of {name}"))? {
            members.entry(member.login).or_default().insert(repository.to_string(), member.permission);
        }
    }
    if screen.json() {
        screen.document(&json!({"producer": name, "members": members}))?;
        return Ok(Exit::Clean);
    }
    let mut table = Table::new(&["LOGIN", "DEV", "FUNCTIONS"]);
    for (login, may) in &members {
        let of =
            |repository: RepoName| may.get(repository.as_str()).map(ToString::to_string).unwrap_or_default();
        table.row([login, &of(RepoName::dev()), &of(RepoName::functions())]);
    }
    screen.text(&table.render())?;
    Ok(Exit::Clean)
}

/// Lets somebody in, or changes what they may do.
pub(super) async fn invite(
    name: &ProducerName,
    login: &str,
    permission: MemberPermission,
    connect: &Connect<'_>,
    screen: &mut Screen,
) -> Result<Exit> {
    let (user, git) = (connect.git_user(name)?, connect.git_api().await?);
    let permission = Permission::from(permission);
    for repository in RepoName::of_every_producer() {
        let set = git.set_collaborator(&user, &repository, login, permission).await;
        set.with_context(|| format!("let {login} reach {user}/{repository}"))?;
    }
    screen.line(format!("{} may {permission} what is {name}'s", printable(login)))?;
    Ok(Exit::Clean)
}

/// Ends that.
pub(super) async fn revoke(
    name: &ProducerName,
    login: &str,
    connect: &Connect<'_>,
    screen: &mut Screen,
) -> Result<Exit> {
    let (user, git) = (connect.git_user(name)?, connect.git_api().await?);
    for repository in RepoName::of_every_producer() {
        let removed = git.remove_collaborator(&user, &repository, login).await;
        removed.with_context(|| format!("shut {login} out of {user}/{repository}"))?;
    }
    screen.line(format!("{} may do nothing more with what is {name}'s, within 30 s", printable(login)))?;
    Ok(Exit::Clean)
}
