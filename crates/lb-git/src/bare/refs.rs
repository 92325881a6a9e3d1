//! References, read from git's own files.
//!
//! The format of a repository that we made is known (`files`), git's documentation describes it, and reading it takes
//! microseconds where a process takes milliseconds. Only git writes references. Loose files are read before
//! `packed-refs`, in the order in which `git pack-refs` moves a reference, so that none is missed on its way.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use lb_vocab::CommitId;

use crate::names::RefName;

/// All references of a bare repository.
pub(crate) type Refs = BTreeMap<RefName, CommitId>;

/// Reads every reference. A symbolic one is left out: it is another's alias, and no push can make one.
pub(crate) fn list(repository: &Path) -> io::Result<Refs> {
    // A repository that is not there has no empty listing: that would prove it unborn.
    fs::metadata(repository.join("refs"))?;
    let mut loose = Refs::new();
    walk(&repository.join("refs"), "refs", &mut loose)?;
    let mut all = packed(repository)?;
    all.append(&mut loose);
    Ok(all)
}

/// Where one reference points.
pub(crate) fn resolve(repository: &Path, name: &RefName) -> io::Result<Option<CommitId>> {
    match fs::read_to_string(repository.join(name.as_str())) {
        Ok(text) => parse(name.as_str(), &text),
        Err(error) if absent(&error) => Ok(packed(repository)?.remove(name)),
        Err(error) => Err(error),
    }
}

/// No such file: there is none, a directory stands there, or a file where one of its directories would be.
fn absent(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | IsADirectory | NotADirectory)
}

fn walk(directory: &Path, prefix: &str, found: &mut Refs) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        // Git removes directories that deleted references leave empty.
        Err(error) if absent(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry
            .file_name()
            .into_string()
            .map_err(|name| damaged(prefix, &format!("{name:?} is not UTF-8")))?;
        let full = format!("{prefix}/{name}");
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), &full, found)?;
        } else if !name.ends_with(".lock") {
            let text = match fs::read_to_string(entry.path()) {
                Ok(text) => text,
                Err(error) if absent(&error) => continue,
                Err(error) => return Err(error),
            };
            if let Some(id) = parse(&full, &text)? {
                found.insert(full.parse().map_err(|error| damaged(&full, &error))?, id);
            }
        }
    }
    Ok(())
}

fn parse(name: &str, text: &str) -> io::Result<Option<CommitId>> {
    if text.starts_with("ref:") {
        return Ok(None);
    }
    text.trim_end().parse().map(Some).map_err(|error| damaged(name, &error))
}

fn packed(repository: &Path) -> io::Result<Refs> {
    let text = match fs::read_to_string(repository.join("packed-refs")) {
        Ok(text) => text,
        Err(error) if absent(&error) => return Ok(Refs::new()),
        Err(error) => return Err(error),
    };
    let mut found = Refs::new();
    for line in text.lines().filter(|line| !line.starts_with(['#', '^'])) {
        let (id, name) =
            line.split_once(' ').ok_or_else(|| damaged("packed-refs", &"a line has no blank"))?;
        let name = name.parse().map_err(|error| damaged("packed-refs", &error))?;
        found.insert(name, id.parse().map_err(|error| damaged("packed-refs", &error))?);
    }
    Ok(found)
}

fn damaged(what: &str, why: &impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn loose_packed_and_deleted_references_are_those_of_git() {
        let git = lb_testkit::git::Git::new();
        let directory = tempfile::tempdir().unwrap();
        let repository = directory.path();
        git.init_bare(repository).await;
        assert_eq!(list(repository).unwrap(), Refs::new());
        let tree = git.run(repository, &["hash-object", "-t", "tree", "-w", "/dev/null"]).await;
        let mut commits = Vec::new();
        for message in ["a", "b"] {
            commits.push(git.run(repository, &["commit-tree", "-m", message, &tree]).await);
        }
        for name in ["refs/heads/master", "refs/heads/ä/ö", "refs/lunchbadger/openapi/dev", "refs/tags/v1"]
        {
            git.run(repository, &["update-ref", name, &commits[0]]).await;
        }
        git.run(repository, &["tag", "--annotate", "--message", "x", "v2", &commits[0]]).await;
        for arguments in [
            &["pack-refs", "--all"][..],
            &["update-ref", "refs/heads/master", &commits[1]],
            &["update-ref", "-d", "refs/tags/v1"],
        ] {
            git.run(repository, arguments).await;
            let expected = git.run(repository, &["for-each-ref", "--format=%(refname) %(objectname)"]).await;
            let ours: Vec<String> =
                list(repository).unwrap().iter().map(|(name, id)| format!("{name} {id}")).collect();
            assert_eq!(ours.join("\n"), expected);
        }
        let at = |name: &str| resolve(repository, &name.parse().unwrap()).unwrap().map(String::from);
        assert_eq!(at("refs/heads/master"), Some(commits[1].clone()));
        assert_eq!(at("refs/lunchbadger/openapi/dev"), Some(commits[0].clone()));
        for none in ["refs/tags/v1", "refs/heads", "refs/heads/master/x", "refs/x"] {
            assert_eq!(at(none), None, "{none}");
        }
    }

    #[test]
    fn damage_is_an_error_and_never_an_empty_listing() {
        let directory = tempfile::tempdir().unwrap();
        assert!(list(directory.path()).is_err());
        let heads = directory.path().join("refs/heads");
        fs::create_dir_all(&heads).unwrap();
        fs::write(heads.join("master"), "").unwrap();
        assert!(list(directory.path()).is_err());
        assert!(resolve(directory.path(), &RefName::master()).is_err());
        fs::remove_file(heads.join("master")).unwrap();
        fs::write(directory.path().join("packed-refs"), "# pack-refs\nxyz refs/heads/master\n").unwrap();
        assert!(list(directory.path()).is_err());
    }
}
