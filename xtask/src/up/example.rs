//! The example: a producer comes to be by a real `git push`, and a second push arrives.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::api::ListParams;
use lb_testkit::git::{Clone, Git};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::system::{PRODUCER, System};
use crate::command::{output, root, run_as};
use crate::say::say;

/// How long a push may take to be applied. It takes a moment.
const PATIENCE: Duration = Duration::from_secs(60);
/// The list of paths in the project file that the second push makes longer, as it stands in the JSON inside the JSON.
const PATHS: &str = r#"[\"/cars\",\"/cars/*\",\"/hello\"]"#;
/// What it becomes.
const MORE_PATHS: &str = r#"[\"/cars\",\"/cars/*\",\"/hello\",\"/vans\"]"#;

/// The producer's repositories on this machine.
pub(super) struct Example {
    dev: Clone,
}

impl Example {
    /// Creates the producer, pushes, shows what stands, pushes again, shows what changed.
    pub(super) async fn show(system: &mut System) -> Result<()> {
        title("A producer");
        lunchbadger(system, &["producers", "create", PRODUCER])?;
        let token = output(&mut system.lunchbadger(&["producers", "token", PRODUCER]))?;
        let git = Git::new();
        let credentials = write_credentials(system, token.trim())?;

        title("The first push");
        push(&git, system, &credentials, "functions", "master").await?;
        push(&git, system, &credentials, "openapi", "refs/lunchbadger/openapi/dev").await?;
        let dev = push(&git, system, &credentials, "dev", "master").await?;
        let example = Self { dev };
        example.until_applied(system).await?;
        show_objects(system)?;
        let before = configuration(system).await?;

        title("The second push: the API endpoint `cars` gets the path /vans");
        example.change()?;
        commit_and_push(&example.dev, "Sell vans, too", "master").await?;
        example.until_applied(system).await?;
        say(&format!("the gateway's configuration was {before}, is {}", configuration(system).await?));
        lunchbadger(system, &["status", PRODUCER])
    }

    /// Edits the project file as a person would: that text and nothing else.
    fn change(&self) -> Result<()> {
        let text = self.dev.read("lunchbadger.json");
        if !text.contains(PATHS) {
            bail!(
                "examples/al/dev/lunchbadger.json has no {PATHS} any more: change xtask/src/up/example.rs with it"
            );
        }
        self.dev.write("lunchbadger.json", text.replace(PATHS, MORE_PATHS));
        Ok(())
    }

    /// Waits until the status says that the newest commit of `dev` is applied, and says what it waits for.
    async fn until_applied(&self, system: &mut System) -> Result<()> {
        let producers = system.cluster.all("LBProducer");
        let commit = self.dev.run(&["rev-parse", "HEAD"]).await;
        let short = &commit[..10];
        say(&format!("waiting for {short} to be applied"));
        let begin = Instant::now();
        let mut said = begin;
        loop {
            system.still_runs()?;
            let state = match producers.get_opt(PRODUCER).await.context("read the LBProducer")? {
                Some(producer) => State::of(&producer.data["status"]),
                None => State { applied: None, message: "no LBProducer yet".to_owned() },
            };
            if state.applied.as_deref() == Some(&commit) {
                say(&format!("{short} is applied, {} ms after its push", begin.elapsed().as_millis()));
                return Ok(());
            }
            if begin.elapsed() > PATIENCE {
                bail!("{short} is not applied after {PATIENCE:?}: {}", state.message);
            }
            if said.elapsed() > Duration::from_secs(3) {
                say(&format!("still waiting: {}", state.message));
                said = Instant::now();
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What a status says about environment `dev`.
#[derive(Debug, PartialEq)]
struct State {
    /// The commit whose objects all stand.
    applied: Option<String>,
    /// Its conditions in a line.
    message: String,
}

impl State {
    fn of(status: &Value) -> Self {
        let environment = &status["environments"]["dev"];
        let conditions =
            [status, environment].into_iter().filter_map(|of| of["conditions"].as_array()).flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut stands = false;
        let mut lines = Vec::new();
        for condition in conditions {
            let (kind, state) = (text(&condition["type"]), text(&condition["status"]));
            stands |= kind == "Applied" && state == "True";
            lines.push(format!("{kind}={state} {}", text(&condition["message"])).trim().to_owned());
        }
        let commit = environment["applied"]["dev"].as_str().map(str::to_owned);
        let message = if lines.is_empty() { "no status yet".to_owned() } else { lines.join("; ") };
        Self { applied: commit.filter(|_| stands), message }
    }
}

fn title(text: &str) {
    println!("\n== {text} ==");
}

/// Runs `lunchbadger`, shown without the options that say where this system is.
fn lunchbadger(system: &System, arguments: &[&str]) -> Result<()> {
    run_as(&format!("lunchbadger {}", arguments.join(" ")), &mut system.lunchbadger(arguments))
}

fn show_objects(system: &System) -> Result<()> {
    const KINDS: &str = "lbworkspaces,lbgateways,lbfunctions,deployments,services,ingresses,networkpolicies,serviceaccounts,secrets";
    title("What stands");
    lunchbadger(system, &["status", PRODUCER])?;
    let selector = format!("producer={PRODUCER}");
    let arguments = ["get", KINDS, "--namespace", system.namespace, "--selector", &selector, "--output=name"];
    run_as(&format!("kubectl {}", arguments.join(" ")), &mut system.kubectl(&arguments))
}

/// The name of the Secret that the first gateway is configured by; it ends in a digest of what is in it.
async fn configuration(system: &System) -> Result<String> {
    let all = system.cluster.all("LBGateway");
    let gateways = all.list(&ListParams::default()).await.context("list LBGateways")?;
    let name = gateways.items.iter().find_map(|gateway| gateway.data["spec"]["config"]["name"].as_str());
    name.map(str::to_owned).context("no LBGateway names its configuration")
}

/// Copies a directory of the example into a new repository and pushes it.
async fn push(git: &Git, system: &System, credentials: &str, name: &str, target: &str) -> Result<Clone> {
    let example = root().join("examples").join(PRODUCER);
    let repository = if name == "openapi" { "dev" } else { name };
    let url = format!("{}/customer-{PRODUCER}/{repository}.git", system.git_api_url());
    let clone = git.init_at(&system.directory.join("repositories").join(name), &url).await;
    // For the person who tries it afterwards, whose git has settings of its own: no proxy leads here, and no keyring
    // but ours (an empty helper forgets those before it) is asked or told.
    for (key, value) in [
        ("user.name", "Al"),
        ("user.email", "al@example.com"),
        ("http.proxy", ""),
        ("credential.helper", ""),
        ("credential.helper", credentials),
    ] {
        clone.run(&["config", "--add", key, value]).await;
    }
    if name == "openapi" {
        let document = fs::read(example.join("openapi.json")).context("read examples/al/openapi.json")?;
        clone.write("openapi.json", document);
    } else {
        clone.copy_from(&example.join(name));
    }
    let message = match name {
        "functions" => "Say hello",
        "openapi" => "The API of the workspace",
        _ => "Sell cars",
    };
    commit_and_push(&clone, message, target).await?;
    Ok(clone)
}

/// Commits everything and pushes it, showing what a producer sees.
async fn commit_and_push(clone: &Clone, message: &str, target: &str) -> Result<()> {
    clone.commit(message).await;
    let target = if target.starts_with("refs/") { target.to_owned() } else { format!("refs/heads/{target}") };
    say(&format!("git push origin HEAD:{target}   # {message}"));
    let push = clone.push_to(&format!("HEAD:{target}")).await;
    for line in push.output.lines() {
        println!("    {}", line.trim_end());
    }
    if push.accepted { Ok(()) } else { bail!("the push was refused") }
}

/// A credential store in the system's directory; answers the helper that reads it. The token never is an argument.
fn write_credentials(system: &System, token: &str) -> Result<String> {
    let path: PathBuf = system.directory.join("git-credentials");
    let write = || {
        fs::write(&path, "")?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        fs::write(&path, format!("http://customer-{PRODUCER}:{token}@{}\n", system.git_api_host()))
    };
    write().with_context(|| format!("write {}", path.display()))?;
    Ok(format!("store --file='{}'", path.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_second_push_has_something_to_change() {
        let project = fs::read_to_string(root().join("examples/al/dev/lunchbadger.json")).unwrap();
        assert_eq!(project.matches(PATHS).count(), 1);
    }

    #[test]
    fn applied_is_the_commit_whose_objects_stand() {
        let mut status = json!({
            "conditions": [{"type": "Applied", "status": "False", "message": "2 of 3 gateways"}],
            "environments": {"dev": {"applied": {"dev": "abc"}}},
        });
        assert_eq!(
            State::of(&status),
            State { applied: None, message: "Applied=False 2 of 3 gateways".into() }
        );
        status["conditions"][0] = json!({"type": "Applied", "status": "True"});
        assert_eq!(State::of(&status).applied.as_deref(), Some("abc"));
        assert_eq!(State::of(&json!(null)).message, "no status yet");
    }
}
