//! Pushes and clones: good, hostile, many.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use bytes::Bytes;
use futures::StreamExt;
use lb_git::{
    At, ByteStream, ChangeKind, GitHost, Globs, HostError, Login, RefName, Rpc, Service, TreeAnswer,
};
use lb_testkit::eventually;
use lb_vocab::CommitId;

use crate::server::{Server, login, repo, user};

fn bare(server: &Server, name: &str) -> PathBuf {
    server.directory.path().join("users/customer-al/repos").join(name).join("git")
}

/// Every push since the start: reference, whether it existed before and exists after, and who.
async fn pushes(server: &Server) -> Vec<(String, bool, bool, Option<Login>)> {
    let start = format!("{}-0", server.host.subscribe().borrow().as_str().rsplit_once('-').unwrap().0);
    let changes = server.host.changes(Some(&start.parse().unwrap())).await.unwrap();
    assert!(!changes.reset);
    let push = |kind| match kind {
        ChangeKind::Push { ref_name, before, after, actor } => {
            Some((ref_name.as_str().to_owned(), before.is_some(), after.is_some(), actor))
        }
        ChangeKind::Created | ChangeKind::Deleted => None,
    };
    changes.changes.into_iter().filter_map(|change| push(change.kind)).collect()
}

pub(crate) async fn read_all(mut stream: ByteStream) -> Result<Vec<u8>, std::io::Error> {
    let mut all = Vec::new();
    while let Some(part) = stream.next().await {
        all.extend_from_slice(&part?);
    }
    Ok(all)
}

pub(crate) fn push_of(body: Vec<u8>) -> Rpc {
    let body = futures::stream::iter([Ok(Bytes::from(body))]).boxed();
    Rpc { service: Service::ReceivePack, actor: None, protocol: None, body, on_received: None }
}

#[tokio::test]
async fn a_push_arrives_is_told_and_can_be_cloned_with_any_protocol() {
    let server =
        Server::with(|_| {}, |moved| vec![format!("{} moved", moved.len()), "bell\u{7}\nforged".to_owned()])
            .await;
    let al = server.al().await;
    al.write("lunchbadger.json", "{}").write("ordner/größe ü.txt", "1");
    let (commit, remote) = al.commit_and_push("first").await;
    assert_eq!(remote, ["1 moved", "bell\u{fffd}\u{fffd}forged"]);
    for protocol in ["0", "1", "2"] {
        let git = server.git("al").await;
        let directory = tempfile::tempdir().unwrap();
        let version = format!("protocol.version={protocol}");
        git.run(directory.path(), &["-c", &version, "clone", "--quiet", &server.url("al", "dev"), "c"]).await;
        let clone = directory.path().join("c");
        assert_eq!(git.run(&clone, &["rev-parse", "HEAD"]).await, commit);
        assert_eq!(git.run(&clone, &["branch", "--show-current"]).await, "master");
        assert_eq!(std::fs::read_to_string(clone.join("ordner/größe ü.txt")).unwrap(), "1");
    }
    assert_eq!(pushes(&server).await, [("refs/heads/master".to_owned(), false, true, Some(login("al")))]);
}

#[tokio::test]
async fn a_push_whose_remarks_fail_is_accepted_all_the_same() {
    let server = Server::with(|_| {}, |_| panic!("remarks are somebody else's code")).await;
    let al = server.al().await;
    assert_eq!(al.commit_and_push("first").await.1, [""; 0]);
}

/// Requests over 1 KiB are what git compresses.
#[tokio::test]
async fn a_fetch_with_many_haves_comes_compressed() {
    let server = Server::start().await;
    let al = server.al().await;
    al.write("a", "0");
    al.commit_and_push("first").await;
    let other = server.git("al").await.clone_of(&server.url("al", "dev")).await;
    for number in 0..40 {
        other.commit(&number.to_string()).await;
    }
    for protocol in ["protocol.version=0", "protocol.version=2"] {
        al.write("a", protocol);
        let (commit, _) = al.commit_and_push("more").await;
        other.run(&["-c", protocol, "fetch", "--quiet", "origin"]).await;
        assert_eq!(other.run(&["rev-parse", "origin/master"]).await, commit);
    }
}

#[tokio::test]
async fn forced_pushes_tags_and_deletions_are_changes_and_master_stays() {
    let server = Server::start().await;
    let al = server.al().await;
    al.commit_and_push("first").await;
    al.run(&["tag", "v1"]).await;
    assert!(al.push_to("refs/tags/v1").await.accepted);
    assert!(al.push_to("HEAD:refs/lunchbadger/openapi/dev").await.accepted);
    assert!(al.push_to("HEAD:refs/heads/ä/b").await.accepted);
    al.run(&["commit", "--quiet", "--amend", "--allow-empty", "--message", "other"]).await;
    assert!(!al.push().await.accepted);
    assert!(al.push_to("+HEAD:refs/heads/master").await.accepted);
    assert!(al.push_to(":refs/tags/v1").await.accepted);
    let kept = al.push_to(":refs/heads/master").await;
    assert!(!kept.accepted && kept.output.contains("`master` is what is deployed"), "{}", kept.output);
    let seen: Vec<_> =
        pushes(&server).await.into_iter().map(|(name, before, after, _)| (name, before, after)).collect();
    let expected = [
        ("refs/heads/master", false, true),
        ("refs/tags/v1", false, true),
        ("refs/lunchbadger/openapi/dev", false, true),
        ("refs/heads/ä/b", false, true),
        ("refs/heads/master", true, true),
        ("refs/tags/v1", true, false),
    ];
    assert_eq!(seen, expected.map(|(name, before, after)| (name.to_owned(), before, after)));
}

#[tokio::test]
async fn master_can_go_where_the_operator_wants_it() {
    let server = Server::with(|settings| settings.keep_master = false, |_| Vec::new()).await;
    let al = server.al().await;
    al.commit_and_push("first").await;
    let push = al.push_to(":refs/heads/master").await;
    assert!(push.accepted, "{}", push.output);
    assert!(server.host.refs(&user("al"), &repo("dev")).await.unwrap().is_empty());
}

#[tokio::test]
async fn strangers_readers_and_revoked_tokens_stay_out() {
    let server = Server::start().await;
    server.al().await.commit_and_push("first").await;
    server.host.create_user(&user("bob")).await.unwrap();
    let url = server.url("al", "dev");
    let bob = server.git("bob").await;
    let directory = tempfile::tempdir().unwrap();
    let may_read = async || bob.try_run(directory.path(), &["ls-remote", &url]).await.status.success();
    assert!(!may_read().await);
    server
        .host
        .set_collaborator(&user("al"), &repo("dev"), &login("bob"), lb_git::Permission::Read)
        .await
        .unwrap();
    assert!(may_read().await);
    let clone = bob.clone_of(&url).await;
    clone.commit("mine").await;
    assert!(!clone.push().await.accepted);
    server
        .host
        .set_collaborator(&user("al"), &repo("dev"), &login("bob"), lb_git::Permission::Write)
        .await
        .unwrap();
    assert!(clone.push().await.accepted);
    assert_eq!(pushes(&server).await.pop().unwrap().3, Some(login("bob")));
    server.host.remove_collaborator(&user("al"), &repo("dev"), &login("bob")).await.unwrap();
    assert!(!may_read().await);
    let wrong = lb_testkit::git::Git::new().with_token("customer-al", "lbt_0000");
    assert!(!wrong.try_run(directory.path(), &["ls-remote", &url]).await.status.success());
}

#[tokio::test]
async fn a_push_that_is_too_large_moves_nothing_and_says_why() {
    let server = Server::with(|settings| settings.push_bytes = 1 << 20, |_| Vec::new()).await;
    let al = server.al().await;
    al.write("small", "1");
    al.commit_and_push("small").await;
    for size in [1_500_000, 9_000_000] {
        al.write("large", noise(size));
        al.commit("large").await;
        let push = al.push().await;
        assert!(!push.accepted, "{size}");
        if size < 2 << 20 {
            assert!(push.output.contains("the push is larger than 1 MiB"), "{}", push.output);
        }
    }
    assert_eq!(pushes(&server).await.len(), 1);
}

#[tokio::test]
async fn a_full_repository_takes_deletions_only() {
    let server = Server::with(|settings| settings.repository_bytes = 400_000, |_| Vec::new()).await;
    let al = server.al().await;
    al.write("large", noise(600_000));
    al.commit_and_push("large").await;
    assert!(al.push_to("HEAD:refs/heads/b").await.output.contains("the repository is larger than 390 KiB"));
    assert!(al.push_to("HEAD:refs/heads/c").await.output.contains("the repository is larger"));
    assert_eq!(pushes(&server).await.len(), 1);
}

/// Bytes that do not compress.
pub(crate) fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..size).map(|_| next()).collect()
}

/// What `git fsck` calls an error must not get in, whoever made it.
#[tokio::test]
async fn hostile_objects_are_refused() {
    let server = Server::start().await;
    let al = server.al().await;
    al.commit_and_push("good").await;
    let blob = al.run(&["hash-object", "-w", "--stdin"]).await;
    let raw: Vec<u8> = (0..20).map(|at| u8::from_str_radix(&blob[at * 2..at * 2 + 2], 16).unwrap()).collect();
    let entry = |mode: &str, name: &str| [mode.as_bytes(), b" ", name.as_bytes(), b"\0", &raw[..]].concat();
    let evil = [
        (".git in a tree", entry("100644", ".git")),
        (".. in a tree", entry("100644", "..")),
        ("a slash in a name", entry("100644", "a/b")),
        ("one name twice", [entry("100644", "a"), entry("100644", "a")].concat()),
        ("wrong order", [entry("100644", "b"), entry("100644", "a")].concat()),
        (".gitmodules as a link", entry("120000", ".gitmodules")),
    ];
    for (what, tree) in evil {
        al.write(".git/evil", &tree);
        let tree = al.run(&["hash-object", "-t", "tree", "-w", "--literally", ".git/evil"]).await;
        let commit = al.run(&["commit-tree", "-m", what, &tree]).await;
        let push = al.push_to(&format!("{commit}:refs/heads/evil")).await;
        assert!(!push.accepted, "{what}: {}", push.output);
    }
    assert_eq!(pushes(&server).await.len(), 1);
    let left = std::fs::read_dir(bare(&server, "dev").join("objects")).unwrap();
    assert!(left.flatten().all(|entry| !entry.file_name().to_str().unwrap().contains("incoming")));
}

/// 150 MB of zeros are a small pack. They are taken in although no process may ask for so much memory at once: nothing
/// holds them whole.
#[tokio::test]
async fn a_pack_that_unfolds_is_never_held_in_memory() {
    let server = Server::start().await;
    let al = server.al().await;
    al.write("zeros", vec![0; 150 << 20]);
    al.run(&["-c", "core.bigFileThreshold=1m", "add", "zeros"]).await;
    al.run(&["commit", "--quiet", "--message", "bomb"]).await;
    let push = al.push().await;
    assert!(push.accepted, "{}", push.output);
    let globs = lb_git::Globs::new(&["*"]).unwrap();
    let at = lb_git::At::Ref(lb_git::RefName::master());
    let tree = server.host.tree(&user("al"), &repo("dev"), &at, &globs, 4 << 20).await.unwrap();
    let lb_git::TreeAnswer::Known { tree, .. } = tree else { panic!("{tree:?}") };
    assert_eq!(tree.get("zeros"), Some(&lb_vocab::Blob::TooLarge { size: 150 << 20 }));
}

/// A commit is never streamed: git would ask for all of its memory at once.
#[tokio::test]
async fn a_commit_that_unfolds_is_refused() {
    let server = Server::start().await;
    let al = server.al().await;
    let tree = al.run(&["hash-object", "-t", "tree", "-w", "/dev/null"]).await;
    let text = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(text.path(), vec![b'a'; 150 << 20]).unwrap();
    let commit = al.run(&["commit-tree", "-F", text.path().to_str().unwrap(), &tree]).await;
    let push = al.push_to(&format!("{commit}:refs/heads/master")).await;
    assert!(!push.accepted);
    assert!(server.host.refs(&user("al"), &repo("dev")).await.unwrap().is_empty());
    assert_eq!(pushes(&server).await, []);
}

/// Histories of years ago have what git would not write today.
#[tokio::test]
async fn harmless_mistakes_of_old_tools_are_let_through_and_read() {
    let server = Server::start().await;
    let al = server.al().await;
    let blob = al.run(&["hash-object", "-w", "/dev/null"]).await;
    let raw: Vec<u8> = (0..20).map(|at| u8::from_str_radix(&blob[at * 2..at * 2 + 2], 16).unwrap()).collect();
    al.write(".git/old", [&b"0100644 a\0"[..], &raw].concat());
    let tree = al.run(&["hash-object", "-t", "tree", "-w", "--literally", ".git/old"]).await;
    al.write(".git/old-commit", format!("tree {tree}\nauthor A <> 1 +05\ncommitter A <> 1 +00000\n\nold\n"));
    let commit = al.run(&["hash-object", "-t", "commit", "-w", "--literally", ".git/old-commit"]).await;
    let push = al.push_to(&format!("{commit}:refs/heads/master")).await;
    assert!(push.accepted, "{}", push.output);
    let globs = lb_git::Globs::new(&["a"]).unwrap();
    let at = lb_git::At::Ref(lb_git::RefName::master());
    let answer = server.host.tree(&user("al"), &repo("dev"), &at, &globs, 9).await.unwrap();
    let lb_git::TreeAnswer::Known { tree, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(tree.get("a"), Some(&lb_vocab::Blob::File(Vec::new())));
    let history = server.host.history(&user("al"), &repo("dev"), &at, None, 9).await.unwrap();
    assert_eq!(history[0].subject, "old");
}

#[tokio::test]
async fn what_is_no_push_is_refused_and_moves_nothing() {
    let server = Server::start().await;
    let (al, dev) = (user("al"), repo("dev"));
    let one = "1".repeat(40);
    let null = "0".repeat(40);
    let line = |text: String| format!("{:04x}{text}", text.len() + 4);
    let create = |name: &str| line(format!("{null} {one} {name}\0report-status side-band-64k"));
    for nonsense in ["GET / HTTP/1.1", "0003", "ffff", "0008ab", &line("x".into())] {
        let answer = server.host.rpc(&al, &dev, push_of(nonsense.into())).await;
        assert!(matches!(answer, Err(HostError::Refused { .. })), "{nonsense}");
    }
    for empty in ["", "0000"] {
        let answer = server.host.rpc(&al, &dev, push_of(empty.into())).await.unwrap();
        assert_eq!(read_all(answer).await.unwrap(), b"");
    }
    // No pack, a pack that lacks the object, half a pack, names that git refuses, too many of them.
    let many: String =
        (0..2001).map(|n| line(format!("{null} {one} refs/tags/{n}\0report-status"))).collect();
    for (body, answered) in [
        (format!("{}0000", create("refs/heads/a")), true),
        (format!("{}0000PACK\0\0\0\u{2}\0\0\0\0", create("refs/heads/a")), true),
        (format!("{}0000PACK\0\0\0\u{2}\0\0", create("refs/heads/a")), true),
        (format!("{}0000", create("refs/../../x")), true),
        (format!("{}0000", create("refs/heads/a b")), true),
        (format!("{}0000", create("HEAD")), true),
        (format!("{many}0000"), true),
    ] {
        let answer = read_all(server.host.rpc(&al, &dev, push_of(body.clone().into())).await.unwrap()).await;
        let text = answer.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        assert_eq!(text.contains("ng ") || text.is_empty(), answered, "{body:.60}: {text}");
    }
    assert!(server.host.refs(&al, &dev).await.unwrap().is_empty());
    assert_eq!(pushes(&server).await, []);
}

#[tokio::test]
async fn a_body_that_breaks_off_moves_nothing() {
    let server = Server::start().await;
    let parts = [Ok(Bytes::from_static(b"00")), Err(std::io::Error::other("gone"))];
    let rpc = Rpc { body: futures::stream::iter(parts).boxed(), ..push_of(Vec::new()) };
    let answer = server.host.rpc(&user("al"), &repo("dev"), rpc).await;
    assert!(matches!(answer, Err(HostError::Refused { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_pushes_to_one_repository_all_arrive_once() {
    let server = Server::start().await;
    let git = server.git("al").await;
    let url = server.url("al", "dev");
    let one = async |number: usize| {
        let clone = git.init(&url).await;
        clone.commit(&number.to_string()).await;
        clone.push_to(&format!("HEAD:refs/heads/b{number}")).await.accepted
    };
    let accepted = futures::future::join_all((0..12).map(one)).await;
    assert!(accepted.into_iter().all(|accepted| accepted));
    let mut seen = BTreeMap::new();
    for (name, before, after, _) in pushes(&server).await {
        *seen.entry((name, before, after)).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 12);
    assert!(seen.into_iter().all(|((_, before, after), count)| !before && after && count == 1));
}

/// Both push to one branch; git decides, and the journal tells what it decided.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_pushes_that_race_one_is_told() {
    let server = Server::start().await;
    let (one, two) = (server.al().await, server.al().await);
    one.commit("one").await;
    two.commit("two").await;
    let (first, second) = tokio::join!(one.push(), two.push());
    assert!(first.accepted != second.accepted, "{first:?} {second:?}");
    assert_eq!(pushes(&server).await.len(), 1);
}

/// Eight of an owner's pushes arrive at a time; the rest of that owner's wait, nobody else's.
#[tokio::test]
async fn slow_pushes_of_one_owner_do_not_keep_others_out() {
    let server = Server::start().await;
    server.host.create_user(&user("bob")).await.unwrap();
    server.host.ensure_repository(&user("bob"), &repo("dev")).await.unwrap();
    let slow = futures::future::join_all((0..200).map(|_| {
        let host = server.host.clone();
        async move {
            let body = futures::stream::pending().boxed();
            host.rpc(&user("al"), &repo("dev"), Rpc { body, ..push_of(Vec::new()) }).await
        }
    }));
    let bob = async {
        let clone = server.git("bob").await.init(&server.url("bob", "dev")).await;
        clone.commit_and_push("first").await
    };
    tokio::select! {
        _ = slow => panic!("a body that never ends has ended"),
        _ = bob => {}
    }
}

/// More readers go away than may fetch at a time.
#[tokio::test]
async fn a_fetch_whose_reader_is_gone_gives_its_turn_back() {
    let server = Server::start().await;
    let al = server.al().await;
    al.write("large", noise(6 << 20));
    let (commit, _) = al.commit_and_push("large").await;
    for _ in 0..20 {
        let body = format!("0032want {commit}\n00000009done\n");
        let rpc = Rpc { service: Service::UploadPack, ..push_of(body.into_bytes()) };
        let mut answer = server.host.rpc(&user("al"), &repo("dev"), rpc).await.unwrap();
        assert_eq!(answer.next().await.unwrap().unwrap().slice(..8), "0008NAK\n");
    }
    let clone = server.git("al").await.clone_of(&server.url("al", "dev")).await;
    assert_eq!(clone.run(&["rev-parse", "HEAD"]).await, commit);
}

#[tokio::test]
async fn a_fetch_of_what_is_not_there_is_an_error_for_the_client() {
    let server = Server::start().await;
    server.al().await.commit_and_push("first").await;
    for body in
        [format!("0032want {}\n00000009done\n", "1".repeat(40)), "0003".to_owned(), "hello".to_owned()]
    {
        let rpc = Rpc { service: Service::UploadPack, ..push_of(body.into_bytes()) };
        let answer = server.host.rpc(&user("al"), &repo("dev"), rpc).await.unwrap();
        assert!(read_all(answer).await.is_err());
    }
}

/// A client that goes away after it has sent everything has pushed.
#[tokio::test]
async fn a_push_goes_on_without_its_client() {
    let server = Server::start().await;
    let al = server.al().await;
    let commit: CommitId = al.commit("first").await.parse().unwrap();
    let pack = pack(&al, commit.as_str()).await;
    let line = format!("{} {commit} refs/heads/master\0report-status", "0".repeat(40));
    let body = [format!("{:04x}{line}0000", line.len() + 4).into_bytes(), pack].concat();
    let mut changed = server.host.subscribe();
    changed.mark_unchanged();
    drop(server.host.rpc(&user("al"), &repo("dev"), push_of(body)).await.unwrap());
    tokio::time::timeout(std::time::Duration::from_secs(30), changed.changed()).await.unwrap().unwrap();
    let refs = server.host.refs(&user("al"), &repo("dev")).await.unwrap();
    assert_eq!(refs.into_values().collect::<Vec<_>>(), [commit]);
}

async fn pack(clone: &lb_testkit::git::Clone, commit: &str) -> Vec<u8> {
    let mut command = lb_testkit::process::bare(std::path::Path::new("git"));
    command.current_dir(clone.path()).args(["pack-objects", "--revs", "--stdout", "--quiet"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), format!("{commit}\n").as_bytes()).unwrap();
    child.wait_with_output().unwrap().stdout
}

#[tokio::test]
async fn a_repository_with_many_loose_objects_is_packed_after_a_push() {
    let server = Server::with(|settings| settings.loose_objects = 20, |_| Vec::new()).await;
    let al = server.al().await;
    for number in 0..30 {
        al.write(&format!("f{number}"), number.to_string());
    }
    al.commit_and_push("many").await;
    let packs = bare(&server, "dev").join("objects/pack");
    eventually("it is packed", || {
        let packed = std::fs::read_dir(&packs)
            .unwrap()
            .flatten()
            .any(|entry| entry.path().extension().is_some_and(|e| e == "pack"));
        async move { packed.then_some(()).ok_or("no pack") }
    })
    .await;
    assert_eq!(server.git("al").await.clone_of(&server.url("al", "dev")).await.read("f7"), "7");
}

#[tokio::test]
async fn maintenance_packs_and_loses_nothing() {
    let server = Server::start().await;
    let al = server.al().await;
    for number in 0..3 {
        al.write(&format!("f{number}"), number.to_string());
        al.commit_and_push("more").await;
    }
    server.host.maintain(&user("al"), &repo("dev")).await.unwrap();
    let packs = std::fs::read_dir(bare(&server, "dev").join("objects/pack")).unwrap().count();
    assert!(packs >= 2);
    assert!(bare(&server, "dev").join("packed-refs").exists());
    al.write("f9", "9");
    let (commit, _) = al.commit_and_push("after").await;
    assert_eq!(
        server.git("al").await.clone_of(&server.url("al", "dev")).await.run(&["rev-parse", "HEAD"]).await,
        commit
    );
    assert_eq!(pushes(&server).await.len(), 4);
}

/// Not a test of speed, but of nothing having become absurd: the design wants a push to be applied in 60 ms, and this to
/// be a few of them.
#[tokio::test(flavor = "multi_thread")]
async fn reading_many_files_takes_milliseconds() {
    let server = Server::start().await;
    let al = server.al().await;
    al.copy_from(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src"));
    al.commit_and_push("first").await;
    let globs = lb_git::Globs::new(&["lib.rs", "embedded/*.rs"]).unwrap();
    let at = lb_git::At::Ref(lb_git::RefName::master());
    let mut times = Vec::new();
    for _ in 0..20 {
        let start = Instant::now();
        server.host.tree(&user("al"), &repo("dev"), &at, &globs, 1 << 20).await.unwrap();
        times.push(start.elapsed());
    }
    times.sort_unstable();
    assert!(times[10].as_millis() < 200, "{times:?}");
}

#[tokio::test]
async fn all_files_together_have_a_limit() {
    let server = Server::with(|settings| settings.tree_bytes = 1000, |_| Vec::new()).await;
    let al = server.al().await;
    al.write("a", vec![b'a'; 600]).write("b", vec![b'b'; 600]);
    al.commit_and_push("first").await;
    let read = async |globs: &[&str]| {
        let (globs, master) = (Globs::new(globs).unwrap(), At::Ref(RefName::master()));
        server.host.tree(&user("al"), &repo("dev"), &master, &globs, 600).await
    };
    assert!(matches!(read(&["a"]).await.unwrap(), TreeAnswer::Known { .. }));
    let error = read(&["*"]).await.unwrap_err();
    assert!(matches!(error, HostError::TooLarge { limit: 1000, .. }), "{error}");
}
