//! Gitea, with the files that it reads at run time.

use std::path::Path;

use anyhow::{Context, Result, bail};
use lb_testkit::files::copy_directory;
use lb_testkit::tools::{self as kept, GITEA};

use super::{go, whole};
use crate::command::output;
use crate::say::say;

/// What Gitea reads from `STATIC_ROOT_PATH`. Copied, because Go's module cache may be emptied at any time. What is
/// embedded in released binaries would need their front-end build.
const READ_AT_RUN_TIME: [&str; 3] = ["options", "templates", "public"];

/// Builds it where it is missing.
pub(crate) fn ensure() -> Result<()> {
    let directory = GITEA.dir()?;
    let version = GITEA.version()?;
    if kept::find_gitea()?.is_some() {
        say(&format!("Gitea {version}: built, nothing to do"));
        return Ok(());
    }
    go::needed()?;
    needs_c_compiler()?;
    whole(&directory, |building| {
        say(&format!(
            "building Gitea {version} into {} (5 to 10 minutes on two cores where nothing is cached)",
            directory.display()
        ));
        let flags = format!("-s -w -X main.Version={version}");
        // SQLite is C. `unlock_notify` makes concurrent requests wait for each other instead of failing.
        go::Install {
            module: &GITEA,
            package: GITEA.requires,
            tags: "sqlite sqlite_unlock_notify",
            flags: &flags,
        }
        .run(building, "gitea")?;
        let source = output(go::go(&GITEA).args(["list", "-m", "-f", "{{.Dir}}", GITEA.requires]))?;
        for name in READ_AT_RUN_TIME {
            let source = Path::new(source.trim()).join(name);
            copy_directory(&source, &building.join(name))
                .with_context(|| format!("copy {}", source.display()))?;
        }
        say("gitea: done");
        Ok(())
    })
}

/// SQLite is compiled from C. The Rust toolchain links with a C compiler, too, but not necessarily with Go's choice.
fn needs_c_compiler() -> Result<()> {
    let command = output(go::go(&GITEA).args(["env", "CC"]))?;
    let compiler = command.split_whitespace().next().unwrap_or_default();
    if !Path::new(compiler).is_file() && kept::in_path(compiler).is_none() {
        bail!(
            "Gitea is built with SQLite, which takes a C compiler, and `{compiler}` is not in PATH: apt-get install \
             gcc libc6-dev (or name another one in the variable CC)"
        );
    }
    Ok(())
}
