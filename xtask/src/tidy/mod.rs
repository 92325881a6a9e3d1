//! `cargo xtask tidy`: the rules that no compiler knows.

mod documented;
mod modules;
mod repository;
mod rings;
mod snapshots;
mod sources;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::command::{output, root};
use crate::generate;
use crate::say::say;

pub(crate) use snapshots::unreferenced as unreferenced_snapshots;

/// A rule that a file breaks.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Breach {
    file: PathBuf,
    /// 1-based; 0 where it is about the whole file.
    line: usize,
    rule: String,
}

impl Breach {
    fn new(file: impl Into<PathBuf>, line: usize, rule: impl Into<String>) -> Self {
        Self { file: file.into(), line, rule: rule.into() }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        if self.line == 0 {
            write!(f, "{file}: {}", self.rule)
        } else {
            write!(f, "{file}:{}: {}", self.line, self.rule)
        }
    }
}

/// A text file of the checkout, its path relative to it.
struct TextFile {
    path: PathBuf,
    text: String,
}

impl TextFile {
    fn is_rust(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "rs")
    }
}

/// Runs every check and says each breach.
pub(crate) fn run() -> Result<()> {
    let breaches = check(&root())?;
    for breach in &breaches {
        eprintln!("{breach}");
    }
    if breaches.is_empty() {
        say("tidy: nothing to mend");
        return Ok(());
    }
    bail!("{} places to mend", breaches.len())
}

fn check(root: &Path) -> Result<Vec<Breach>> {
    let files = text_files(root)?;
    let mut breaches = Vec::new();
    for file in &files {
        breaches.extend(repository::check(file));
        if file.is_rust() {
            breaches.extend(sources::check(file));
        }
    }
    breaches.extend(repository::dead_links(root, &files));
    breaches.extend(documented::check(&files));
    breaches.extend(modules::orphans(&files));
    breaches.extend(rings::check(root, &files)?);
    match generate::all() {
        Ok(files) => {
            for file in generate::stale(root, &files) {
                breaches.push(Breach::new(
                    &file.path,
                    0,
                    "is not what the code says: run `cargo xtask generate`",
                ));
            }
        }
        // The other breaches are worth knowing all the same.
        Err(error) => breaches.push(Breach::new("docs", 0, format!("cannot be generated: {error:#}"))),
    }
    breaches.sort();
    Ok(breaches)
}

/// What git tracks or would track, as far as it is text.
fn text_files(root: &Path) -> Result<Vec<TextFile>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let names = output(Command::new("git").current_dir(root).args(arguments))?;
    let files = names.split('\0').filter(|name| !name.is_empty()).filter_map(|name| {
        // Removed and not yet committed, or not text.
        let text = std::fs::read_to_string(root.join(name)).ok()?;
        Some(TextFile { path: name.into(), text })
    });
    Ok(files.collect())
}

#[cfg(test)]
fn rust(path: &str, text: &str) -> TextFile {
    TextFile { path: path.into(), text: text.into() }
}
