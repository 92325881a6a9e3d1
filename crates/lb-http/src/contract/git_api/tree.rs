//! Reading an answer of `POST /trees`: what it proves, and what contradicts itself.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lb_vocab::{Blob, CommitId, SafePath, Source, Tree, UnknownReason};

use super::types::{FileBody, NoContent, TreeBody, TreeRequest};

/// What git says about many files at one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeAnswer {
    /// The files that match. A path that is not listed is proven absent at this commit.
    At(CommitId, Tree),
    /// The repository has no such reference. It has these; none at all: it is unborn.
    ReferenceMissing {
        /// The complete listing.
        references: Vec<String>,
    },
    /// There is no such repository.
    RepositoryMissing,
    /// There is no such user.
    UserMissing,
}

impl TreeAnswer {
    /// The answer as a source. `unborn_is_absent`: no revision of it was ever noted, so that an empty listing of
    /// references proves absence; `optional`: the reference need not exist, so that any complete listing without
    /// it does.
    #[must_use]
    pub fn into_source(self, reference: &str, unborn_is_absent: bool, optional: bool) -> Source<Tree> {
        match self {
            Self::At(commit, tree) => Source::Known(tree, commit),
            Self::ReferenceMissing { references }
                if optional || (unborn_is_absent && references.is_empty()) =>
            {
                Source::Absent(None)
            }
            Self::ReferenceMissing { references } => {
                let what = format!(
                    "`{reference}` does not exist; the repository has {} references",
                    references.len()
                );
                Source::Unknown(UnknownReason::BranchMissing(what))
            }
            Self::RepositoryMissing => {
                Source::Unknown(UnknownReason::RepositoryMissing("the repository does not exist".into()))
            }
            Self::UserMissing => {
                Source::Unknown(UnknownReason::RepositoryMissing("the git user does not exist".into()))
            }
        }
    }
}

pub(super) fn decode(base64: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(base64).map_err(|error| format!("content is not base64: {error}"))
}

pub(super) fn read(body: &TreeBody, request: &TreeRequest) -> Result<TreeAnswer, String> {
    match (&body.commit, &body.refs) {
        (Some(_), Some(_)) => Err("it has a commit and a listing of references".into()),
        (None, None) => Err("it has neither a commit nor a listing of references".into()),
        (None, Some(_)) if !body.files.is_empty() => Err("it has files of no commit".into()),
        (None, Some(refs)) if refs.contains(&request.reference) => {
            Err("the missing reference is in the listing".into())
        }
        (None, Some(refs)) => Ok(TreeAnswer::ReferenceMissing { references: refs.clone() }),
        (Some(commit), None) if commit.as_str() != request.reference && is_commit(&request.reference) => {
            Err(format!("it is about commit {commit}"))
        }
        (Some(commit), None) => Ok(TreeAnswer::At(commit.clone(), files(&body.files)?)),
    }
}

fn is_commit(reference: &str) -> bool {
    reference.parse::<CommitId>().is_ok()
}

fn files(bodies: &[FileBody]) -> Result<Tree, String> {
    let mut files = BTreeMap::new();
    for body in bodies {
        let path: SafePath = body.path.parse().map_err(|error| format!("{error}"))?;
        let blob = blob(body).map_err(|why| format!("{path}: {why}"))?;
        if files.insert(path, blob).is_some() {
            return Err(format!("`{}` is there twice", body.path));
        }
    }
    Ok(Tree { files })
}

fn blob(body: &FileBody) -> Result<Blob, String> {
    match (body.kind, &body.content, body.size) {
        (None, Some(content), Some(size)) => {
            let content = decode(content)?;
            if content.len() as u64 == size {
                Ok(Blob::File(content))
            } else {
                Err(format!("{} of {size} bytes came", content.len()))
            }
        }
        (Some(NoContent::Symlink), None, _) => Ok(Blob::Symlink),
        (Some(NoContent::Submodule), None, _) => Ok(Blob::Submodule),
        (Some(NoContent::TooLarge), None, Some(size)) => Ok(Blob::TooLarge { size }),
        _ => Err("content, size and type do not fit together".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn answer(json: &str) -> Result<TreeAnswer, String> {
        let request = TreeRequest { reference: "refs/heads/master".into(), globs: vec![], max_bytes: 9 };
        let body: TreeBody = serde_json::from_str(&json.replace("COMMIT", &format!("\"{COMMIT}\"")))
            .map_err(|e| e.to_string())?;
        read(&body, &request)
    }

    #[test]
    fn a_tree_that_contradicts_itself_is_no_tree() {
        for broken in [
            r#"{"commit":COMMIT,"refs":[],"files":[]}"#,
            r#"{"commit":null,"files":[]}"#,
            r#"{"commit":null,"refs":["refs/heads/master"],"files":[]}"#,
            r#"{"commit":null,"refs":[],"files":[{"path":"a","type":"symlink"}]}"#,
            r#"{"commit":COMMIT,"files":[{"path":"a","size":2,"content":"YQ=="}]}"#,
            r#"{"commit":COMMIT,"files":[{"path":"a","content":"YQ=="}]}"#,
            r#"{"commit":COMMIT,"files":[{"path":"a","size":1}]}"#,
            r#"{"commit":COMMIT,"files":[{"path":"a","size":1,"content":"?"}]}"#,
            r#"{"commit":COMMIT,"files":[{"path":"../a","size":1,"content":"YQ=="}]}"#,
            r#"{"commit":COMMIT,"files":[{"path":"a","type":"symlink"},{"path":"a","type":"symlink"}]}"#,
            r#"{"commit":COMMIT,"files":[{"path":"a","type":"fifo"}]}"#,
            r#"{"commit":"master","files":[]}"#,
            r#"{"commit":COMMIT}"#,
        ] {
            assert!(answer(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn what_an_answer_proves() {
        let known = answer(r#"{"commit":COMMIT,"files":[{"path":"a","size":1,"content":"YQ=="},{"path":"b","type":"tooLarge","size":10}]}"#).unwrap();
        let TreeAnswer::At(commit, tree) = &known else { panic!("{known:?}") };
        assert_eq!(commit.as_str(), COMMIT);
        assert_eq!(tree.get("a"), Some(&Blob::File(b"a".to_vec())));
        assert_eq!(tree.get("b"), Some(&Blob::TooLarge { size: 10 }));
        let unborn = answer(r#"{"commit":null,"refs":[],"files":[]}"#).unwrap();
        assert_eq!(unborn.clone().into_source("r", true, false), Source::Absent(None));
        assert!(unborn.clone().into_source("r", false, false).unknown().is_some());
        assert_eq!(unborn.into_source("r", false, true), Source::Absent(None));
        let renamed = answer(r#"{"commit":null,"refs":["refs/heads/main"],"files":[]}"#).unwrap();
        assert!(renamed.into_source("r", true, false).unknown().is_some());
        assert!(TreeAnswer::RepositoryMissing.into_source("r", true, true).unknown().is_some());
    }
}
