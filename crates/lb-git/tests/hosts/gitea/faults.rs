//! Whatever Gitea answers in place of an answer is an error: nothing is told as absent, empty or deleted, and once it
//! is over everything works again.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use futures::future::join_all;
use lb_git::{At, Cursor, GitHost, Globs, HostError, RefName};
use lb_testkit::eventually;
use lb_testkit::gitea::{Gitea as RealGitea, Options};

use super::proxy::{Act, Proxy};
use super::world::{Behind, PAUSE};
use crate::contract::changes::lines;
use crate::contract::world::repo;
use crate::people::key;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Question {
    User,
    Repository,
    Permission,
    Users,
    Repositories,
    Keys,
    Refs,
    Tree,
    Sweep,
    Walk,
}

use Question::{Keys, Permission, Refs, Repositories, Repository, Sweep, Tree, User, Users, Walk};

const QUESTIONS: [Question; 10] =
    [User, Repository, Permission, Users, Repositories, Keys, Refs, Tree, Sweep, Walk];

/// Longer than between two walks.
const WALK: std::time::Duration = std::time::Duration::from_secs(601);

/// A fault, and the errors that it leads to: of single things, listings, git's interface, changes.
struct Fault {
    name: &'static str,
    act: fn(&str) -> Act,
    errors: [&'static str; 4],
}

/// What works although something is broken that it does not need.
const FINE: &str = "";

const FAULTS: [Fault; 15] = [
    fault("token rotated", |_| Act::Answer(401, None, OWN), "Denied"),
    fault("forbidden", |_| Act::Answer(403, None, OWN), "Denied"),
    fault("a page in place of an answer", |_| Act::Answer(200, None, HTML), "Malformed"),
    fault("a proxy knows no Gitea", |_| Act::Answer(404, None, HTML), "Malformed"),
    fault("a bad gateway", |_| Act::Answer(502, None, HTML), "Unreachable"),
    fault("an empty array", |_| Act::Answer(200, None, "[]"), "Malformed"),
    fault("an empty object", |_| Act::Answer(200, None, "{}"), "Malformed"),
    fault("nothing at all", |_| Act::Answer(200, None, ""), "Malformed"),
    fault("half an answer", |_| Act::Half, "Unreachable"),
    fault("the connection is cut", |_| Act::Cut, "Unreachable"),
    fault("moved for now", |_| Act::Answer(307, ELSEWHERE, ""), "Moved"),
    fault("moved to a sign-in page", |_| Act::Answer(302, ELSEWHERE, ""), "Moved"),
    Fault {
        name: "page 2 fails",
        act: |path| if path.contains("page=2") { Act::Answer(502, None, HTML) } else { Act::Pass },
        errors: [FINE, "Unreachable", FINE, "Unreachable"],
    },
    Fault {
        name: "page 2 counts otherwise each time",
        act: |path| if path.contains("page=2") { other_total() } else { Act::Pass },
        errors: [FINE, "Malformed", FINE, "Malformed"],
    },
    Fault { name: "nothing is counted", act: |_| no_total(), errors: [FINE, "Malformed", FINE, "Malformed"] },
];

const OWN: &str = r#"{"message":"token does not have the required scope","url":"http://gitea/api/swagger"}"#;
const HTML: &str = "<!DOCTYPE html><title>Gitea</title>";
const ELSEWHERE: Option<(&str, &str)> = Some(("location", "http://127.0.0.1:9/elsewhere"));

const fn fault(name: &'static str, act: fn(&str) -> Act, error: &'static str) -> Fault {
    Fault { name, act, errors: [error; 4] }
}

fn other_total() -> Act {
    static TOTAL: AtomicUsize = AtomicUsize::new(1000);
    let total = TOTAL.fetch_add(1, Ordering::SeqCst);
    Act::Edit(Box::new(move |headers| drop(headers.insert("x-total-count", total.into()))))
}

fn no_total() -> Act {
    Act::Edit(Box::new(|headers| drop(headers.remove("x-total-count"))))
}

impl Question {
    /// The error that is due.
    fn error(self, fault: &Fault) -> &'static str {
        let [single, listing, git, changes] = fault.errors;
        match self {
            User | Repository | Permission => single,
            Users | Repositories | Keys => listing,
            Refs | Tree => git,
            Sweep | Walk => changes,
        }
    }

    /// Asks; what is answered, in a form that does not change with time.
    async fn ask(self, behind: &Behind, cursor: &Cursor) -> Result<String, HostError> {
        let (host, al, dev) = (&behind.host, behind.user("al"), repo("dev"));
        Ok(match self {
            User => format!("{:?}", host.user(&al).await?.map(|user| user.id)),
            Repository => format!("{:?}", host.repository(&al, &dev).await?.map(|repository| repository.id)),
            Permission => format!("{:?}", host.permission(&behind.login("al"), &al, &dev).await?),
            Users => {
                let users = host.users(&behind.prefix).await?;
                let ids = users.iter().map(|(user, owned)| (user.id, owned.iter().map(|one| one.id)));
                format!(
                    "{:?}",
                    ids.map(|(user, owned)| (user, owned.collect::<Vec<_>>())).collect::<Vec<_>>()
                )
            }
            Repositories => {
                let owned = host.repositories(&al).await?;
                format!("{:?}", owned.map(|owned| owned.iter().map(|one| one.id).collect::<Vec<_>>()))
            }
            Keys => format!("{:?}", host.keys(&al).await?),
            Refs => format!("{:?}", host.refs(&al, &dev).await?),
            Tree => {
                // Another question each time: an answer that is remembered would hide what happens on the way.
                static ASKED: AtomicU64 = AtomicU64::new(100);
                let max_bytes = ASKED.fetch_add(1, Ordering::SeqCst);
                let globs = Globs::new(&["*"]).unwrap();
                format!("{:?}", host.tree(&al, &dev, &At::Ref(RefName::master()), &globs, max_bytes).await?)
            }
            Sweep | Walk => {
                if self == Walk {
                    behind.clock.advance(WALK);
                }
                let changes = host.changes(Some(cursor)).await?;
                assert!(!changes.reset, "{self:?}");
                format!("{:?}", lines(&changes.changes))
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_no_answer_passes_for_one() {
    if lb_testkit::skip::needs_gitea().is_none() {
        return;
    }
    // Listings are whole only while nothing else is made, so this Gitea is nobody else's.
    let real = RealGitea::launch(Options::default()).await.unwrap();
    let mut worlds = Vec::new();
    for (number, fault) in FAULTS.iter().enumerate() {
        // Whatever has pages has several.
        let page = |path: &str| if path.contains("/v1/users/") { 1 } else { 10 };
        let proxy = Proxy::paging(real.url(), Some(page)).await;
        let behind = Behind::new(&real, proxy, |_| {}).await;
        let al = behind.user("al");
        behind.host.ensure_repository(&al, &repo("functions")).await.unwrap();
        for seed in 0..2 {
            let key = key(u32::try_from(7000 + 10 * number + seed).unwrap());
            behind.host.add_key(&al, &format!("laptop {seed}"), &key).await.unwrap();
        }
        let clone = behind.directly("al", "dev").await;
        clone.write("a", fault.name).commit_and_push("first").await;
        worlds.push((fault, behind, clone));
    }
    let failed: Vec<String> = join_all(worlds.iter().map(|(fault, behind, clone)| async move {
        let mut failed = endures(fault, behind, clone).await;
        failed.iter_mut().for_each(|line| line.insert_str(0, &format!("{}: ", fault.name)));
        failed
    }))
    .await
    .concat();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Asks everything before, during and after a fault; answers what was wrong.
async fn endures(fault: &Fault, behind: &Behind, clone: &lb_testkit::git::Clone) -> Vec<String> {
    let cursor = eventually("the first push is told", || async {
        let changes = behind.host.changes(None).await.map_err(|error| error.to_string())?;
        let told = lines(&changes.changes).join(", ");
        if told.contains("refs/heads/master") { Ok(changes.cursor) } else { Err(told) }
    })
    .await;
    let mut before = Vec::new();
    for question in QUESTIONS {
        before.push(question.ask(behind, &cursor).await.unwrap());
    }
    let mut wrong = Vec::new();
    behind.proxy.does(fault.act);
    for (question, before) in QUESTIONS.iter().zip(&before) {
        behind.clock.advance(PAUSE);
        let answered = question.ask(behind, &cursor).await;
        let right = match (&answered, question.error(fault)) {
            (Ok(answer), FINE) => answer == before,
            (Ok(_), _) => false,
            // Of several requests for one answer the first failures may have opened the circuit breaker.
            (Err(error), due) => error.name() == due || error.to_string().contains("several times in a row"),
        };
        if !right {
            wrong.push(format!("{question:?}: {answered:?}"));
        }
    }
    clone.commit_and_push("second").await;
    behind.proxy.heal();
    behind.clock.advance(PAUSE);
    behind.told(&cursor, &["al dev refs/heads/master"]).await;
    for (question, before) in QUESTIONS.iter().zip(&before) {
        let answered = question.ask(behind, &cursor).await;
        let moved = matches!(question, Refs | Tree | Sweep | Walk);
        if !answered.as_ref().is_ok_and(|answer| (answer != before) == moved) {
            wrong.push(format!("afterwards {question:?}: {answered:?}"));
        }
    }
    wrong
}
