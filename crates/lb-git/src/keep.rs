//! Keeping one file under a reference of its own, where no clone is needed: one push of three objects, the same for every host.

use flate2::Compression;
use flate2::write::ZlibEncoder;
use futures::StreamExt;
use lb_vocab::{Blob, CommitId, GitUser, RepoName, SafePath, Timestamp};
use sha1::{Digest, Sha1};
use std::io::{self, Write};

use crate::answer::whole;
use crate::error::HostError;
use crate::globs::Globs;
use crate::host::GitHost;
use crate::names::RefName;
use crate::pkt::{FLUSH, Packet, first, put};
use crate::types::{At, Rpc, Service, TreeAnswer};
use crate::working::{ObjectId, ObjectKind, Parts, Person};

/// What the host says of a push, bytes.
const MAX_REPORT: usize = 64 << 10;
/// A file, bytes.
const MAX_FILE: u64 = 16 << 20;

/// A file that is to be kept.
#[derive(Clone, Debug)]
pub struct Kept<'a> {
    /// Under which reference.
    pub reference: &'a RefName,
    /// Its name there: the only file.
    pub path: &'a SafePath,
    /// What is in it.
    pub content: &'a [u8],
    /// Who keeps it.
    pub committer: &'a Person,
    /// The commit's message.
    pub message: &'a str,
}

/// Keeps a file: a new commit on top of the last one. Answers the commit, and whether it is new: what is there already makes
/// none.
///
/// # Errors
/// Where the host fails, or refuses the push, also because somebody else's was faster.
pub async fn keep(
    host: &dyn GitHost,
    (user, repo): (&GitUser, &RepoName),
    file: &Kept<'_>,
    now: Timestamp,
) -> Result<(CommitId, bool), HostError> {
    let old = host.refs(user, repo).await?.get(file.reference).cloned();
    if let Some(old) = &old {
        let globs = Globs::new(&[file.path.to_string()])?;
        let tree = host.tree(user, repo, &At::Commit(old.clone()), &globs, MAX_FILE).await?;
        if let TreeAnswer::Known { commit: _, tree } = tree
            && matches!(tree.files.get(file.path), Some(Blob::File(content)) if content == file.content)
        {
            return Ok((old.clone(), false));
        }
    }
    let (new, body) = push(file, old.as_ref(), now).map_err(|source| HostError::Io {
        doing: format!("pack `{}` for {}", file.path, file.reference),
        source,
    })?;
    let rpc = Rpc {
        service: Service::ReceivePack,
        actor: None,
        protocol: None,
        body: whole(body),
        on_received: None,
    };
    let (mut report, mut answer) = (Vec::new(), host.rpc(user, repo, rpc).await?);
    while let Some(piece) = answer.next().await {
        let doing = || format!("keep {} of {user}/{repo}", file.reference);
        report.extend(piece.map_err(|source| HostError::Io { doing: doing(), source })?);
        if report.len() > MAX_REPORT {
            return Err(HostError::Malformed { doing: doing(), why: "the report is too long".into() });
        }
    }
    accepted(&report, file.reference)?;
    Ok((new, true))
}

/// Whether the host's report says that the reference was set.
fn accepted(mut report: &[u8], reference: &RefName) -> Result<(), HostError> {
    let wanted = format!("ok {reference}");
    let mut lines = Vec::new();
    while let Ok(Packet::Data(content, length)) = first(report) {
        lines.push(String::from_utf8_lossy(content).trim_end().to_owned());
        report = &report[length..];
    }
    if lines.contains(&wanted) {
        return Ok(());
    }
    Err(HostError::refused(format!("the git host did not set {reference}: {}", lines.join(", "))))
}

/// The body of the push, and the commit that it makes.
fn push(file: &Kept<'_>, old: Option<&CommitId>, now: Timestamp) -> io::Result<(CommitId, Vec<u8>)> {
    let blob = (ObjectKind::Blob, file.content.to_vec());
    let blob_id = ObjectId::of(blob.0, &blob.1);
    // A name without directories: it is the tree's only entry.
    let tree = [b"100644 ", file.path.file_name().as_bytes(), b"\0", &blob_id.0].concat();
    let tree = (ObjectKind::Tree, tree);
    let parts = Parts {
        tree: ObjectId::of(tree.0, &tree.1),
        parent: old.and_then(ObjectId::of_commit),
        author: file.committer,
        written: now.seconds(),
        committer: file.committer,
        now,
        message: file.message,
    };
    let commit = (ObjectKind::Commit, parts.content().into_bytes());
    let new = ObjectId::of(commit.0, &commit.1).commit().map_err(io::Error::other)?;
    let mut body = Vec::new();
    let none = "0".repeat(40);
    let before = old.map_or(none.as_str(), CommitId::as_str);
    let reference = file.reference.to_string();
    put(&mut body, &[format!("{before} {new} {reference}\0 report-status").as_bytes()]);
    body.extend_from_slice(FLUSH);
    body.extend(pack(&[blob, tree, commit])?);
    Ok((new, body))
}

/// A pack (`gitformat-pack`, version 2) of whole objects.
fn pack(objects: &[(ObjectKind, Vec<u8>)]) -> io::Result<Vec<u8>> {
    let mut pack = b"PACK\0\0\0\x02".to_vec();
    pack.extend_from_slice(&u32::try_from(objects.len()).map_err(io::Error::other)?.to_be_bytes());
    for (kind, content) in objects {
        let number: u8 = match kind {
            ObjectKind::Commit => 1,
            ObjectKind::Tree => 2,
            ObjectKind::Blob => 3,
        };
        // Four bits of the size beside the kind, then seven in each byte as long as its highest bit says so.
        let mut size = content.len();
        let mut byte = number << 4 | (size & 0x0f) as u8;
        size >>= 4;
        while size > 0 {
            pack.push(byte | 0x80);
            byte = (size & 0x7f) as u8;
            size >>= 7;
        }
        pack.push(byte);
        let mut encoder = ZlibEncoder::new(pack, Compression::fast());
        encoder.write_all(content)?;
        pack = encoder.finish()?;
    }
    let sum = Sha1::digest(&pack);
    pack.extend_from_slice(&sum);
    Ok(pack)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::embedded::{Embedded, Settings};

    #[tokio::test]
    async fn a_file_is_kept_on_top_of_the_last_one_and_git_finds_nothing_wrong_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let clock = lb_testkit::clock::system();
        let host = Embedded::open(Settings::new(directory.path().to_owned()), clock.clone()).await.unwrap();
        let host: Arc<dyn GitHost> = Arc::new(host);
        let al = GitUser { prefix: "customer".parse().unwrap(), name: "al".into() };
        host.create_user(&al).await.unwrap();
        host.ensure_repository(&al, &RepoName::dev()).await.unwrap();
        let reference: RefName = "refs/lunchbadger/openapi/dev".parse().unwrap();
        let path: SafePath = "openapi.json".parse().unwrap();
        let committer = Person::system();
        let keep = async |content: &[u8]| {
            let file =
                Kept { reference: &reference, path: &path, content, committer: &committer, message: "m" };
            super::keep(&*host, (&al, &RepoName::dev()), &file, clock.now()).await.unwrap()
        };
        let large = "0123456789".repeat(50_000);
        let (first, new) = keep(large.as_bytes()).await;
        assert!(new);
        assert_eq!(keep(large.as_bytes()).await, (first.clone(), false));
        let (second, new) = keep(b"{}").await;
        assert!(new);
        let refs = host.refs(&al, &RepoName::dev()).await.unwrap();
        assert_eq!(refs.get(&reference), Some(&second));
        let globs = Globs::new(&["*".to_owned()]).unwrap();
        let tree =
            host.tree(&al, &RepoName::dev(), &At::Ref(reference.clone()), &globs, 1 << 20).await.unwrap();
        let TreeAnswer::Known { commit, tree } = tree else { panic!("{tree:?}") };
        assert_eq!((commit, tree.get("openapi.json")), (second.clone(), Some(&Blob::File(b"{}".to_vec()))));
        let history =
            host.history(&al, &RepoName::dev(), &At::Ref(reference.clone()), None, 9).await.unwrap();
        assert_eq!(history.len(), 2);
        let changes = host.changes(None).await.unwrap();
        assert!(format!("{changes:?}").contains("refs/lunchbadger/openapi/dev"), "{changes:?}");
    }

    #[test]
    fn only_a_report_that_says_so_is_good() {
        let reference: RefName = "refs/lunchbadger/openapi/dev".parse().unwrap();
        let report = |line: &str| {
            let mut out = Vec::new();
            put(&mut out, &[b"unpack ok\n"]);
            put(&mut out, &[line.as_bytes()]);
            accepted(&out, &reference)
        };
        report("ok refs/lunchbadger/openapi/dev\n").unwrap();
        for bad in ["ok refs/lunchbadger/openapi/devil\n", "ng refs/lunchbadger/openapi/dev fetch first\n"] {
            assert!(report(bad).is_err(), "{bad}");
        }
        assert!(accepted(b"", &reference).is_err());
    }
}
