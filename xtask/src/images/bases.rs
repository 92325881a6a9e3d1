//! What images are based on: an ordinary registry's images where one can be reached, else one that is made here.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use lb_testkit::tools::in_path;

use super::build::{Image, buildah, copy, key};
use crate::command::{output, watched};
use crate::say::say;
use crate::tools::install;

/// Which images others are based on. By default Debian and Node of the release that this machine runs, because what is
/// built here runs there; from docker.io, or where that cannot be reached, made here.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Given {
    /// The image that others are based on [default: docker.io/library/debian:bookworm-slim or what this machine is].
    #[arg(long, value_name = "IMAGE")]
    base: Option<String>,
    /// The same with Node [default: docker.io/library/node:22-bookworm-slim or what this machine is].
    #[arg(long, value_name = "IMAGE")]
    node_base: Option<String>,
}

/// The two base images: names and identities in buildah's storage.
#[derive(Debug)]
pub(super) struct Bases {
    pub(super) base: Base,
    pub(super) node: Base,
}

#[derive(Debug)]
pub(super) struct Base {
    pub(super) name: String,
    /// A digest of what it is.
    pub(super) id: String,
}

impl Bases {
    pub(super) fn find(given: &Given) -> Result<Self> {
        let codename = codename()?;
        let base = match &given.base {
            Some(name) => pull(name)?,
            None => match pull(&format!("docker.io/library/debian:{codename}-slim")) {
                Ok(base) => base,
                Err(error) => {
                    say(&format!("images are based on a Debian that is made here: {error:#}"));
                    debian(&codename)?
                }
            },
        };
        let node = match &given.node_base {
            Some(name) => pull(name)?,
            None if base.name.starts_with("localhost/") => with_node(&base)?,
            None => pull(&format!("docker.io/library/node:22-{codename}-slim"))?,
        };
        Ok(Self { base, node })
    }
}

/// The release of Debian that this machine runs.
fn codename() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("read /etc/os-release")?;
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(|value| value.trim_matches('"'))
    };
    match (field("ID"), field("VERSION_CODENAME")) {
        (Some("debian"), Some(codename)) => Ok(codename.to_owned()),
        (id, _) => bail!(
            "this machine runs {}, and images are based on Debian: name images whose C library is this machine's with \
             --base and --node-base",
            id.unwrap_or("something unknown")
        ),
    }
}

fn pull(name: &str) -> Result<Base> {
    if let Ok(base) = find(name) {
        return Ok(base);
    }
    // A registry that is cut off by a firewall does not answer at all.
    let mut pull = Command::new("timeout");
    let buildah = buildah()?;
    pull.arg("120").arg(buildah.get_program()).args(buildah.get_args());
    pull.envs(buildah.get_envs().filter_map(|(name, value)| Some((name, value?))));
    output(pull.args(["pull", "--quiet", "--retry", "0", name]))?;
    find(name)
}

/// An image in buildah's storage.
fn find(name: &str) -> Result<Base> {
    let id = output(buildah()?.args(["inspect", "--type", "image", "--format", "{{.FromImageID}}", name]))?;
    Ok(Base { name: name.to_owned(), id: id.trim().to_owned() })
}

/// A minimal Debian.
fn debian(codename: &str) -> Result<Base> {
    let image = Image { name: "base", arguments: &[], contents: vec![codename.into()] };
    let name = format!("localhost/lunchbadger-base:{}", key("base", &image.contents)?);
    if let Ok(base) = find(&name) {
        return Ok(base);
    }
    install("a base image", &lb_testkit::node::missing_packages())?;
    say("making a base image with debootstrap (one minute)");
    let directory = tempfile::tempdir().context("make a directory for a base image")?;
    let root = directory.path().join("root");
    let mut debootstrap = Command::new("debootstrap");
    watched(debootstrap.args(["--variant=minbase", codename]).arg(&root), |line| {
        format!("debootstrap: {line}")
    })?;
    // What nobody reads in a container is a third of it.
    for unread in
        ["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/cache/apt", "var/log"]
    {
        let unread = root.join(unread);
        fs::remove_dir_all(&unread)
            .and_then(|()| fs::create_dir(&unread))
            .context("make the base smaller")?;
    }
    let context = directory.path().join("context");
    fs::create_dir(&context).context("make a directory for a base image")?;
    let mut tar = Command::new("tar");
    tar.arg("--create").arg("--file").arg(context.join("rootfs.tar")).arg("--directory").arg(&root);
    output(tar.args(["--exclude=./dev/*", "--exclude=./var/lib/apt/lists/*", "."]))?;
    image.build_to_storage(&name, &context)?;
    find(&name)
}

/// With the machine's own Node.
fn with_node(base: &Base) -> Result<Base> {
    let node = in_path("node")
        .context("node is not installed: apt-get install nodejs npm, or name a --node-base")?;
    let version = output(Command::new(&node).arg("--version"))?;
    let arguments = [("BASE", base.name.as_str())];
    let contents = vec![base.id.clone().into_bytes(), version.into_bytes()];
    let image = Image { name: "node-base", arguments: &arguments, contents };
    let name = format!("localhost/lunchbadger-node-base:{}", key("node-base", &image.contents)?);
    if let Ok(base) = find(&name) {
        return Ok(base);
    }
    let context = tempfile::tempdir().context("make a directory for a base image")?;
    fs::copy(&node, context.path().join("node")).context("copy node")?;
    copy(&npm()?, &context.path().join("npm"))?;
    image.build_to_storage(&name, context.path())?;
    find(&name)
}

/// The directory of npm's package.
fn npm() -> Result<std::path::PathBuf> {
    let npm = in_path("npm").context("npm is not installed: apt-get install npm, or name a --node-base")?;
    let cli = npm.canonicalize().with_context(|| format!("resolve {}", npm.display()))?;
    let package =
        cli.parent().and_then(Path::parent).filter(|package| package.join("package.json").is_file());
    package.map(Path::to_owned).with_context(|| format!("{} is not in npm's package", cli.display()))
}

#[cfg(test)]
mod tests {
    use super::super::build::containerfile;

    #[test]
    fn default_bases_stand_in_the_containerfiles() {
        for (image, argument) in [("pod", "BASE=docker.io/"), ("workspace", "NODE_BASE=docker.io/")] {
            let text = String::from_utf8(containerfile(image).unwrap()).unwrap();
            assert!(text.contains(argument), "{image}");
        }
    }
}
