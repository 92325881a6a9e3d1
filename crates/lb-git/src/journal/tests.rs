//! Tests of the journal: restarts, crashes at every byte, damage, forgetting.

use std::fs;

use lb_vocab::CommitId;

use super::*;
use crate::types::ChangeKind;

fn user(name: &str) -> GitUser {
    GitUser { prefix: "customer".parse().unwrap(), name: name.to_owned() }
}

fn repo() -> RepoName {
    "dev".parse().unwrap()
}

fn commit(number: u32) -> CommitId {
    format!("{number:040x}").parse().unwrap()
}

fn refs(pairs: &[(&str, u32)]) -> Refs {
    pairs.iter().map(|(name, number)| (name.parse().unwrap(), commit(*number))).collect()
}

fn with_al(path: &Path, keep: usize) -> Journal {
    let journal = Journal::open(path, keep).unwrap();
    journal
        .note(
            vec![(user("al"), None, What::Created), (user("al"), Some(repo()), What::Created)],
            Timestamp(1),
        )
        .unwrap();
    journal
}

fn push(journal: &Journal, number: u32) -> Cursor {
    let moved = journal
        .observe(&user("al"), &repo(), &refs(&[("refs/heads/master", number)]), None, Timestamp(2))
        .unwrap();
    assert_eq!(moved.len(), 1);
    journal.subscribe().borrow().clone()
}

fn afters(changes: &Changes) -> Vec<String> {
    let after = |change: &Change| match &change.kind {
        ChangeKind::Push { after, .. } => {
            after.as_ref().map_or_else(|| "gone".into(), |id| id.to_string()[36..].to_owned())
        }
        ChangeKind::Created => "created".into(),
        ChangeKind::Deleted => "deleted".into(),
    };
    changes.changes.iter().map(after).collect()
}

#[test]
fn a_cursor_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let journal = with_al(&path, 10);
    let first = push(&journal, 1);
    drop(journal);
    let journal = Journal::open(&path, 10).unwrap();
    push(&journal, 2);
    let changes = journal.changes(Some(&first)).unwrap();
    assert!(!changes.reset);
    assert_eq!(afters(&changes), ["0002"]);
    let ChangeKind::Push { before, .. } = &changes.changes[0].kind else { panic!("{changes:?}") };
    assert_eq!(*before, Some(commit(1)));
    assert_eq!(changes.changes[0].cursor, changes.cursor);
    assert_eq!(afters(&journal.changes(Some(&changes.cursor)).unwrap()), [""; 0]);
}

#[test]
fn an_unknown_cursor_gets_all_that_is_deployed_and_only_the_last_of_them_counts_as_read() {
    let directory = tempfile::tempdir().unwrap();
    let journal = with_al(&directory.path().join("journal"), 10);
    journal
        .observe(
            &user("al"),
            &repo(),
            &refs(&[("refs/heads/master", 1), ("refs/lunchbadger/openapi/dev", 2), ("refs/tags/v", 3)]),
            None,
            Timestamp(2),
        )
        .unwrap();
    let last = journal.subscribe().borrow().clone();
    let future: Cursor = format!("{}9", last.as_str()).parse().unwrap();
    let foreign: Cursor = "0123456789ab-1".parse().unwrap();
    for cursor in [None, Some(&future), Some(&foreign), Some(&"x".parse().unwrap())] {
        let changes = journal.changes(cursor).unwrap();
        assert!(changes.reset, "{cursor:?}");
        assert_eq!(afters(&changes), ["created", "0001", "0002"]);
        assert!(
            journal.changes(Some(&changes.changes[0].cursor)).unwrap().reset,
            "half of a reset is nothing"
        );
        assert!(!journal.changes(Some(&changes.changes[2].cursor)).unwrap().reset);
    }
}

/// Its owner may push thousands of references: what a reset says of others must still fit.
#[test]
fn a_reset_tells_a_bounded_number_of_references_master_first() {
    let directory = tempfile::tempdir().unwrap();
    let journal = with_al(&directory.path().join("journal"), 10);
    let names: Vec<String> = (0..100).map(|number| format!("refs/lunchbadger/openapi/e{number}")).collect();
    let many: Vec<_> =
        names.iter().map(|name| (name.as_str(), 2)).chain([("refs/heads/master", 1)]).collect();
    journal.observe(&user("al"), &repo(), &refs(&many), None, Timestamp(2)).unwrap();
    let told = afters(&journal.changes(None).unwrap());
    assert_eq!((told.len(), &*told[1]), (1 + 32, "0001"));
}

#[test]
fn old_entries_are_forgotten_and_the_state_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let journal = with_al(&path, 4);
    let cursors: Vec<Cursor> = (1..=20).map(|number| push(&journal, number)).collect();
    for journal in [journal, Journal::open(&path, 4).unwrap()] {
        assert!(journal.changes(Some(&cursors[0])).unwrap().reset);
        assert_eq!(afters(&journal.changes(Some(&cursors[16])).unwrap()), ["0012", "0013", "0014"]);
        let known = journal.known(|known| known.repository(&user("al"), &repo()).unwrap().refs.clone());
        assert_eq!(known, refs(&[("refs/heads/master", 20)]));
    }
    assert!(fs::read_to_string(&path).unwrap().lines().count() <= 9);
}

/// A crash may leave the file at any length beyond what was synced last.
#[test]
fn a_journal_cut_off_anywhere_opens_with_what_was_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let journal = with_al(&path, 10);
    let first = push(&journal, 1);
    let whole = fs::read(&path).unwrap().len();
    push(&journal, 2);
    drop(journal);
    let text = fs::read(&path).unwrap();
    for length in whole..text.len() {
        fs::write(&path, &text[..length]).unwrap();
        let journal = Journal::open(&path, 10).unwrap();
        assert_eq!(afters(&journal.changes(Some(&first)).unwrap()), [""; 0], "{length}");
        push(&journal, 3);
        drop(journal);
        let journal = Journal::open(&path, 10).unwrap();
        assert_eq!(afters(&journal.changes(Some(&first)).unwrap()), ["0003"], "{length}");
    }
    let mut zeros = text[..whole].to_vec();
    zeros.extend([0; 300]);
    fs::write(&path, zeros).unwrap();
    assert!(!Journal::open(&path, 10).unwrap().changes(Some(&first)).unwrap().reset);
}

#[test]
fn a_damaged_journal_starts_a_new_epoch() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let journal = with_al(&path, 10);
    let cursor = push(&journal, 1);
    drop(journal);
    let text = fs::read_to_string(&path).unwrap();
    let without_second =
        text.lines().enumerate().filter(|(line, _)| *line != 1).map(|(_, text)| format!("{text}\n"));
    for bad in [
        String::new(),
        "{".into(),
        text.replacen("\"sequence\":1,", "\"sequence\":x,", 1),
        without_second.collect(),
        text.replace("\"format\":1", "\"format\":2"),
    ] {
        fs::write(&path, &bad).unwrap();
        let changes = Journal::open(&path, 10).unwrap().changes(Some(&cursor)).unwrap();
        assert!(changes.reset && changes.changes.is_empty(), "{bad}");
    }
}

#[test]
fn nothing_is_noted_where_nothing_moved_and_deletions_are() {
    let directory = tempfile::tempdir().unwrap();
    let journal = with_al(&directory.path().join("journal"), 10);
    let start = push(&journal, 1);
    let same = refs(&[("refs/heads/master", 1)]);
    assert_eq!(journal.observe(&user("al"), &repo(), &same, None, Timestamp(3)).unwrap(), []);
    assert_eq!(journal.subscribe().borrow().clone(), start);
    journal
        .observe(&user("al"), &repo(), &refs(&[]), Some(&"customer-bob".parse().unwrap()), Timestamp(3))
        .unwrap();
    journal
        .note(
            vec![(user("al"), Some(repo()), What::Deleted), (user("al"), None, What::Deleted)],
            Timestamp(3),
        )
        .unwrap();
    let changes = journal.changes(Some(&start)).unwrap();
    assert_eq!(afters(&changes), ["gone", "deleted", "deleted"]);
    let ChangeKind::Push { actor, .. } = &changes.changes[0].kind else { panic!("{changes:?}") };
    assert_eq!(actor.as_ref().map(Login::as_str), Some("customer-bob"));
    assert!(journal.known(|known| known.users().next().is_none()));
}

/// As with a full disk.
#[test]
fn what_cannot_be_written_is_not_told_and_is_told_later() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let journal = with_al(&path, 10);
    let start = push(&journal, 1);
    let good = journal.swap_file(File::open(&path).unwrap());
    let two = refs(&[("refs/heads/master", 2)]);
    assert!(journal.observe(&user("al"), &repo(), &two, None, Timestamp(3)).is_err());
    assert_eq!(afters(&journal.changes(Some(&start)).unwrap()), [""; 0]);
    journal.swap_file(good);
    assert_eq!(journal.observe(&user("al"), &repo(), &two, None, Timestamp(3)).unwrap().len(), 1);
    assert_eq!(afters(&journal.changes(Some(&start)).unwrap()), ["0002"]);
    assert_eq!(afters(&Journal::open(&path, 10).unwrap().changes(Some(&start)).unwrap()), ["0002"]);
}
