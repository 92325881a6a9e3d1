//! `producers create`, `token`, `disable`, `enable`, `suspend` and `resume`.

use anyhow::Result;
use lb_vocab::{ProducerName, RepoName};
use serde_json::{Value, json};

use crate::connect::Connect;
use crate::exit::Exit;
use crate::screen::{Screen, printable};

/// Makes sure that the producer exists, and says how to push to it.
pub(super) async fn create(name: &ProducerName, connect: &Connect<'_>, screen: &mut Screen) -> Result<Exit> {
    let (store, own) = (connect.configstore().await?, connect.signed_in()?);
    let created = if own { store.sign_up(name).await? } else { store.create(name).await? };
    let base = connect.git_api_url()?;
    let login = &created.user.user.login;
    let urls = RepoName::of_every_producer()
        .map(|repo| format!("{}/{login}/{repo}.git", base.as_str().trim_end_matches('/')));
    if screen.json() {
        screen.document(&json!({"producer": created, "cloneUrls": urls}))?;
        return Ok(Exit::Clean);
    }
    screen.line(format!("producer {name} is git user {}", printable(login)))?;
    for url in &urls {
        screen.line(format!("  git clone {}", printable(url)))?;
    }
    screen.line(match own {
        true => {
            "user name and password: your login at the git host, and a personal access token of it".to_owned()
        }
        false => format!(
            "user name: {}; password: a token from `lunchbadger producers token {name}`",
            printable(login)
        ),
    })?;
    Ok(Exit::Clean)
}

/// Makes a token. It goes to standard output alone, so that it can be piped to where it is kept.
pub(super) async fn token(
    name: &ProducerName,
    title: &str,
    connect: &Connect<'_>,
    screen: &mut Screen,
) -> Result<Exit> {
    let user = connect.git_user(name)?;
    let token = connect.git_api().await?.create_token(&user, title).await?;
    if screen.json() {
        screen.document(&json!({"login": user.to_string(), "title": title, "token": token.reveal()}))?;
    } else {
        screen.line(token.reveal())?;
        screen.note(format!("this is the password of user {user}; it is not shown again"))?;
    }
    Ok(Exit::Clean)
}

/// What an operator switches.
#[derive(Clone, Copy, Debug)]
pub(super) enum Switch {
    /// Remove its objects.
    Disable,
    /// Let it run.
    Enable,
    /// Touch nothing.
    Suspend,
    /// Go on.
    Resume,
}

impl Switch {
    fn spec(self) -> Value {
        match self {
            Self::Disable => json!({"access": "Disabled"}),
            Self::Enable => json!({"access": "Enabled"}),
            Self::Suspend => json!({"suspend": true}),
            Self::Resume => json!({"suspend": false}),
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Disable => "disabled: its objects go, its credentials and repositories stay",
            Self::Enable => "enabled: what its project says runs again",
            Self::Suspend => "suspended: nothing of it is touched",
            Self::Resume => "resumed",
        }
    }
}

/// Switches a producer.
pub(super) async fn switch(
    name: &ProducerName,
    switch: Switch,
    connect: &Connect<'_>,
    screen: &mut Screen,
) -> Result<Exit> {
    let cluster = connect.cluster().await?;
    let resource = super::resource(&cluster, name).await?;
    let patched = cluster.edit(&resource, &json!({"spec": switch.spec()})).await?;
    if screen.json() {
        screen.document(&patched)?;
    } else {
        screen.line(format!("producer {name} is {}", switch.done()))?;
        screen.line(format!("`lunchbadger status {name}` shows when it is done"))?;
    }
    Ok(Exit::Clean)
}
