//! Images, built without a container engine: `buildah` in a chroot, each kept as an OCI archive in the cache and keyed by
//! everything that it is made of, so that what did not change is not built again.

mod bases;
mod build;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use lb_testkit::images::{self as kept, Built, Images};
use lb_testkit::tools::{express_gateway_dir, loopback_dir};

use crate::command::{cargo, run as run_command, target_directory, watched};
use crate::say::say;
use crate::tools;
pub(crate) use bases::Given;
use bases::{Base, Bases};
use build::{Image, copy};

/// What runs in producers' pods beside their own code.
const POD: &str = "lunchbadger-pod";

/// Builds every image and says where it is.
pub(crate) fn build(given: &Given) -> Result<()> {
    tools::install("building images", &lb_testkit::node::missing_packages())?;
    of_the_node()?;
    let bases = Bases::find(given)?;
    let control_plane = program("control-plane", "lunchbadger", &stripped("lunchbadger")?, &bases.base)?;
    let images = of_producers(given)?;
    for Built { repository, tag, archive } in images.all().into_iter().chain([&control_plane]) {
        println!("{repository}:{tag} {}", archive.display());
    }
    Ok(())
}

/// Those that a producer's pods take.
pub(crate) fn of_producers(given: &Given) -> Result<Images> {
    let bases = Bases::find(given)?;
    let stripped = stripped(POD)?;
    Ok(Images {
        pod: program("pod", POD, &stripped, &bases.base)?,
        workspace: workspace(&stripped, &bases.node)?,
        gateway: gateway(&bases.node)?,
        redis: redis(&bases.base)?,
    })
}

/// An image of one of our programs.
fn program(name: &str, program: &str, stripped: &Stripped, base: &Base) -> Result<Built> {
    let arguments = [("BASE", base.name.as_str())];
    let contents = vec![base.id.clone().into_bytes(), stripped.bytes()?];
    Image { name, arguments: &arguments, contents }.ensure(|context| stripped.copy_to(&context.join(program)))
}

fn workspace(program: &Stripped, base: &Base) -> Result<Built> {
    tools::loopback()?;
    let dependencies = loopback_dir()?;
    let arguments = [("NODE_BASE", base.name.as_str())];
    let contents = vec![base.id.clone().into_bytes(), program.bytes()?, lock_file(&dependencies)?];
    Image { name: "workspace", arguments: &arguments, contents }.ensure(|context| {
        copy(&dependencies, &context.join("dependencies"))?;
        program.copy_to(&context.join(POD))
    })
}

fn gateway(base: &Base) -> Result<Built> {
    tools::express_gateway()?;
    let installed = express_gateway_dir()?;
    let arguments = [("NODE_BASE", base.name.as_str())];
    let contents = vec![base.id.clone().into_bytes(), lock_file(&installed)?];
    Image { name: "gateway", arguments: &arguments, contents }
        .ensure(|context| copy(&installed, &context.join("express-gateway")))
}

fn redis(base: &Base) -> Result<Built> {
    let arguments = [("BASE", base.name.as_str())];
    Image { name: "redis", arguments: &arguments, contents: vec![base.id.clone().into_bytes()] }
        .ensure(|_| Ok(()))
}

fn lock_file(directory: &Path) -> Result<Vec<u8>> {
    let path = directory.join("package-lock.json");
    if !directory.join("node_modules").is_dir() {
        bail!("{} is not installed: apt-get install npm, then cargo xtask tools", directory.display());
    }
    fs::read(&path).with_context(|| format!("read {}", path.display()))
}

/// A program of ours without its symbols.
struct Stripped(tempfile::NamedTempFile);

impl Stripped {
    fn bytes(&self) -> Result<Vec<u8>> {
        fs::read(self.0.path()).context("read a program of ours")
    }

    fn copy_to(&self, path: &Path) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        fs::copy(self.0.path(), path).with_context(|| format!("write {}", path.display()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).context("make a program executable")
    }
}

fn stripped(program: &str) -> Result<Stripped> {
    say(&format!("building {program}"));
    run_command(&mut cargo(&["build", "--locked", "--package", program]))?;
    let built: PathBuf = target_directory()?.join("debug").join(program);
    let file = tempfile::NamedTempFile::new().context("make a file for a program")?;
    run_command(Command::new("strip").arg("-o").arg(file.path()).arg(built))?;
    Ok(Stripped(file))
}

/// Those that a node needs by itself and that its tests run.
pub(crate) fn of_the_node() -> Result<()> {
    pause()?;
    busybox()
}

/// Static, and so without a base image.
fn pause() -> Result<()> {
    let source = crate::command::root().join("images/pause/pause.c");
    let text = fs::read(&source).with_context(|| format!("read {}", source.display()))?;
    Image { name: "pause", arguments: &[], contents: vec![text] }.ensure_as(kept::PAUSE, |context| {
        let mut compiler = Command::new("cc");
        compiler
            .args(["-static", "-Os", "-s", "-Wall", "-Werror", "-o"])
            .arg(context.join("pause"))
            .arg(&source);
        run_command(&mut compiler)
    })
}

/// Taken out of its package, because that cannot be installed beside Debian's ordinary `busybox`.
fn busybox() -> Result<()> {
    Image { name: "busybox", arguments: &[], contents: Vec::new() }.ensure_as(kept::BUSYBOX, |context| {
        let unpacked = tempfile::tempdir().context("make a directory for a package")?;
        let mut download = Command::new("apt-get");
        download.current_dir(unpacked.path()).args(["--quiet", "download", "busybox-static"]);
        watched(&mut download, |line| format!("busybox: {line}"))?;
        let package = only_file(unpacked.path())?;
        run_command(Command::new("dpkg-deb").arg("--extract").arg(package).arg(unpacked.path()))?;
        fs::copy(unpacked.path().join("bin/busybox"), context.join("busybox")).context("copy busybox")?;
        Ok(())
    })
}

fn only_file(directory: &Path) -> Result<PathBuf> {
    let first = fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))?.next();
    Ok(first.with_context(|| format!("{} is empty", directory.display()))??.path())
}
