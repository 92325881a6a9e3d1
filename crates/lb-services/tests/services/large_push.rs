//! A push over the default limit, against services in a process of their own: what it is told, and what it costs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use axum::body::Bytes;
use lb_testkit::eventually;
use lb_testkit::git::{Clone, Git};
use lb_testkit::gitea::{Gitea, Options, SHARED_GITEA};
use lb_testkit::process::Supervised;
use lb_vocab::Limits;

use crate::world::{World, user};

/// Variable that makes [`child`] the services' process: it names the file to which it writes where it is.
const CHILD: &str = "LUNCHBADGER_TEST_SERVICES";
/// What is pushed, bytes: less than twice the limit, beyond which git is cut off instead of answered.
const PUSHED: usize = 200_000_000;
/// What the services may need beside what they keep of the push, bytes.
const SLACK: u64 = 32 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_push_of_200_mb_is_refused_in_words_and_leaves_nothing() {
    let services = Services::start(None).await;
    let large = services.clone_with_a_large_commit().await;
    let limit = Limits::default().push_bytes;
    let files = services.files();
    let (memory, written) = (services.number("status", "VmRSS:") << 10, services.number("io", "wchar:"));

    let push = large.push().await;
    assert!(!push.accepted && push.output.contains("the push is larger than 100 MiB"), "{}", push.output);

    let grown = (services.number("status", "VmHWM:") << 10).saturating_sub(memory);
    assert!(grown < SLACK, "the services needed {} MiB of memory", grown >> 20);
    let kept = services.number("io", "wchar:") - written;
    assert!(kept < limit + SLACK, "the services wrote {} MiB", kept >> 20);
    eventually("the spool is given back", async || services.spooled()).await;
    assert_eq!(services.files(), files, "something is left");

    let small = services.git.init(&services.url).await;
    small.write("small", "1").commit_and_push("small").await;
}

/// A client that goes on sending whatever it is answered: it is cut off.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_of_1_gib_is_cut_off_before_gitea() {
    if lb_testkit::skip::needs_gitea().is_none() {
        return;
    }
    let gitea = Gitea::launch(Options::default()).await.unwrap();
    let services = Services::start(Some(&gitea)).await;
    let files = services.files();
    let (memory, written) = (services.number("status", "VmRSS:") << 10, services.number("io", "wchar:"));
    let head = "0000000000000000000000000000000000000000 1111111111111111111111111111111111111111 refs/heads/master\0 report-status";
    let command = format!("{:04x}{head}0000PACK", head.len() + 4);
    let piece = Bytes::from(vec![7; 1 << 20]);
    let pieces = std::iter::once(Bytes::from(command)).chain(std::iter::repeat_n(piece, 1024));
    let body = reqwest::Body::wrap_stream(futures::stream::iter(pieces.map(Ok::<_, std::io::Error>)));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http
        .post(format!("{}/git-receive-pack", services.url))
        .basic_auth("customer-al", Some(&services.token));
    let answer =
        request.header("content-type", "application/x-git-receive-pack-request").body(body).send().await;
    if let Ok(answer) = answer {
        let (status, told) = (answer.status(), answer.bytes().await.unwrap_or_default());
        let told = String::from_utf8_lossy(&told);
        assert!(!status.is_success() || told.contains("larger than"), "{status} {told}");
    }
    let grown = (services.number("status", "VmHWM:") << 10).saturating_sub(memory);
    assert!(grown < SLACK, "the services needed {} MiB of memory", grown >> 20);
    let kept = services.number("io", "wchar:") - written;
    assert!(kept < Limits::default().push_bytes + SLACK, "the services wrote {} MiB", kept >> 20);
    eventually("the spool is given back", async || services.spooled()).await;
    assert_eq!(services.files(), files, "something is left");
    let small = services.git.init(&services.url).await;
    small.write("small", "1").commit_and_push("small").await;
}

/// git-api, configstore and host in a process of their own, with one producer.
struct Services {
    directory: tempfile::TempDir,
    pid: String,
    url: String,
    token: String,
    git: Git,
    _process: Supervised,
}

impl Services {
    async fn start(gitea: Option<&Gitea>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let told = directory.path().join("told");
        let data = directory.path().join("data");
        fs::create_dir(&data).unwrap();
        let mut environment = BTreeMap::from([
            (CHILD.to_owned(), told.display().to_string()),
            // What it keeps is removed with our directory although it is killed.
            ("TMPDIR".to_owned(), data.display().to_string()),
        ]);
        if let Some(gitea) = gitea {
            environment.insert(SHARED_GITEA.to_owned(), gitea.directory().display().to_string());
        }
        let program = std::env::current_exe().unwrap();
        let arguments = ["--exact", "large_push::child"];
        let process =
            Supervised::start(&program, arguments, &environment, &directory.path().join("log")).unwrap();
        let text = eventually("the services run", async || match fs::read_to_string(&told) {
            Ok(text) if text.ends_with('\n') => Ok(text),
            Ok(_) | Err(_) => Err(process.log_tail()),
        })
        .await;
        let told: Vec<&str> = text.split_whitespace().collect();
        let git = Git::new().with_token("customer-al", told[2]);
        let [pid, url, token] = [0, 1, 2].map(|word: usize| told[word].to_owned());
        Self { directory, pid, url, token, git, _process: process }
    }

    /// A clone whose newest commit holds a file that does not compress. git is told so: trying takes long.
    async fn clone_with_a_large_commit(&self) -> Clone {
        let clone = self.git.init(&self.url).await;
        clone.run(&["config", "core.compression", "0"]).await;
        clone.run(&["config", "core.bigFileThreshold", "1m"]).await;
        write_noise(&clone.path().join("large"), PUSHED);
        clone.commit("large").await;
        clone
    }

    /// The number after a word of a file of the process.
    fn number(&self, file: &str, word: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/{file}", self.pid)).unwrap();
        let rest = text.lines().find_map(|line| line.strip_prefix(word)).unwrap();
        rest.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Whether no unnamed file is open: they are spooled bodies.
    fn spooled(&self) -> Result<(), String> {
        for entry in fs::read_dir(format!("/proc/{}/fd", self.pid)).unwrap().flatten() {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            if target.starts_with(self.data()) && target.to_string_lossy().ends_with(" (deleted)") {
                return Err(format!("{} is open", target.display()));
            }
        }
        Ok(())
    }

    /// All that is on disk, with sizes.
    fn files(&self) -> BTreeMap<PathBuf, u64> {
        let mut found = BTreeMap::new();
        collect(&self.data(), &mut found);
        found
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }
}

fn collect(directory: &Path, found: &mut BTreeMap<PathBuf, u64>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            collect(&entry.path(), found);
        } else {
            found.insert(entry.path(), metadata.len());
        }
    }
}

/// Writes bytes that do not compress.
fn write_noise(path: &Path, size: usize) {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..size / 8 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        file.write_all(&state.to_le_bytes()).unwrap();
    }
    file.flush().unwrap();
}

/// Does nothing, but in the process that [`Services::start`] starts: serves until it is killed.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let Some(told) = lb_testkit::environment(CHILD).map(PathBuf::from) else { return };
    let world = match lb_testkit::environment(SHARED_GITEA) {
        Some(_) => World::over_gitea(Gitea::shared().await).await.populate().await,
        None => World::populated().await,
    };
    let token = world.git("system").create_token(&user("al"), "test").await.unwrap();
    let (pid, url) = (std::process::id(), world.url("al", "dev"));
    fs::write(&told, format!("{pid} {url} {}\n", token.reveal())).unwrap();
    std::future::pending::<()>().await;
}
