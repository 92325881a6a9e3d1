//! `whoami`: who the control plane takes us for, and what that reaches.

use anyhow::Result;
use lb_http::contract::git_api::{Permission, Permissions};
use serde_json::json;

use crate::connect::Connect;
use crate::exit::Exit;
use crate::screen::{Screen, Table, printable};

/// Asks git-api.
pub(crate) async fn run(connect: &Connect<'_>, screen: &mut Screen) -> Result<Exit> {
    let git = connect.git_api().await?;
    let who = git.who_am_i().await?;
    let repositories = if who.kind == "user" { git.my_repositories().await? } else { Vec::new() };
    if screen.json() {
        screen.document(&json!({"who": who, "repos": repositories}))?;
        return Ok(Exit::Clean);
    }
    let people = who.user.as_ref().map(|user| format!(" ({}, {})", user.full_name, user.email));
    let reading = if who.reach == Permission::Read { "; the token is good for reading alone" } else { "" };
    let line = format!("{} {}{}{reading}", who.kind, who.name, people.unwrap_or_default());
    screen.line(printable(&line))?;
    if !repositories.is_empty() {
        let mut table = Table::new(&["REPOSITORY", "PERMISSION"]);
        for repository in &repositories {
            let may = repository.permissions.and_then(Permissions::most);
            table.row([&repository.full_name, &may.map(|may| may.to_string()).unwrap_or_default()]);
        }
        screen.text(&table.render())?;
    }
    Ok(Exit::Clean)
}
