//! What the journal's readers were told: the state to which its entries lead.

use std::collections::BTreeMap;

use lb_vocab::{GitUser, RepoName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bare::refs::Refs;
use crate::names::{Cursor, Login};
use crate::types::{Change, ChangeKind, RefUpdate};

/// References of one repository that are told after a reset: `master` comes first, and its owner can push thousands of
/// others, which must not crowd out what other repositories have.
const DEPLOYED: usize = 32;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Its number; the next one's is one more.
    pub(crate) sequence: u64,
    /// When it was noted.
    pub(crate) time: Timestamp,
    /// Whose.
    pub(crate) user: GitUser,
    /// Which repository, or the user as such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) repo: Option<RepoName>,
    /// What happened.
    #[serde(flatten)]
    pub(crate) what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub(crate) enum What {
    /// A reference moved.
    Push {
        /// From where to where.
        #[serde(flatten)]
        update: RefUpdate,
        /// Who did it, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        actor: Option<Login>,
    },
    /// It exists.
    Created,
    /// It is gone.
    Deleted,
}

/// All users, by login, with their repositories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known(BTreeMap<String, KnownUser>);

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownUser {
    /// Who.
    pub(crate) user: GitUser,
    /// What they own.
    pub(crate) repos: BTreeMap<RepoName, KnownRepo>,
}

/// A repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownRepo {
    /// When it last changed.
    pub(crate) updated: Timestamp,
    /// Where its references point.
    pub(crate) refs: Refs,
}

impl KnownRepo {
    /// What leads from what is known to these references.
    pub(crate) fn moved(&self, refs: &Refs) -> Vec<RefUpdate> {
        let gone = self.refs.keys().filter(|name| !refs.contains_key(*name));
        let names = refs.keys().chain(gone);
        let updates = names.map(|name| RefUpdate {
            ref_name: name.clone(),
            before: self.refs.get(name).cloned(),
            after: refs.get(name).cloned(),
        });
        updates.filter(|update| update.before != update.after).collect()
    }
}

impl Known {
    /// Every user.
    pub(crate) fn users(&self) -> impl Iterator<Item = &KnownUser> {
        self.0.values()
    }

    /// One user.
    pub(crate) fn user(&self, user: &GitUser) -> Option<&KnownUser> {
        self.0.get(&user.to_string()).filter(|known| known.user == *user)
    }

    /// One repository.
    pub(crate) fn repository(&self, user: &GitUser, repo: &RepoName) -> Option<&KnownRepo> {
        self.user(user)?.repos.get(repo)
    }

    /// Follows an entry. One that does not fit (a push to an unknown repository) makes what it needs: entries
    /// tell of what is on disk.
    pub(crate) fn apply(&mut self, entry: &Entry) {
        let login = entry.user.to_string();
        let Some(repo) = &entry.repo else {
            match entry.what {
                What::Deleted => drop(self.0.remove(&login)),
                What::Created | What::Push { .. } => drop(self.enter(&entry.user)),
            }
            return;
        };
        if entry.what == What::Deleted {
            if let Some(user) = self.0.get_mut(&login) {
                user.repos.remove(repo);
            }
            return;
        }
        let new = || KnownRepo { updated: entry.time, refs: Refs::new() };
        let known = self.enter(&entry.user).repos.entry(repo.clone()).or_insert_with(new);
        known.updated = entry.time;
        if let What::Push { update, .. } = &entry.what {
            match &update.after {
                Some(after) => drop(known.refs.insert(update.ref_name.clone(), after.clone())),
                None => drop(known.refs.remove(&update.ref_name)),
            }
        }
    }

    fn enter(&mut self, user: &GitUser) -> &mut KnownUser {
        self.0
            .entry(user.to_string())
            .or_insert_with(|| KnownUser { user: user.clone(), repos: BTreeMap::new() })
    }

    /// All of it as if it had just happened.
    pub(crate) fn as_changes(&self, cursor: &Cursor) -> Vec<Change> {
        let mut changes = Vec::new();
        for user in self.users() {
            let mut add = |repo: Option<&RepoName>, kind| {
                changes.push(Change {
                    cursor: cursor.clone(),
                    user: user.user.clone(),
                    repo: repo.cloned(),
                    kind,
                });
            };
            add(None, ChangeKind::Created);
            for (repo, known) in &user.repos {
                let mut deployed = known.refs.iter().filter(|(name, _)| name.is_deployed()).peekable();
                if deployed.peek().is_none() {
                    add(Some(repo), ChangeKind::Created);
                }
                for (name, id) in deployed.take(DEPLOYED) {
                    let (ref_name, after) = (name.clone(), Some(id.clone()));
                    add(Some(repo), ChangeKind::Push { ref_name, before: None, after, actor: None });
                }
            }
        }
        changes
    }
}

impl Entry {
    /// The entry as the host's callers see it.
    pub(crate) fn change(&self, cursor: Cursor) -> Change {
        let kind = match &self.what {
            What::Push { update: RefUpdate { ref_name, before, after }, actor } => ChangeKind::Push {
                ref_name: ref_name.clone(),
                before: before.clone(),
                after: after.clone(),
                actor: actor.clone(),
            },
            What::Created => ChangeKind::Created,
            What::Deleted => ChangeKind::Deleted,
        };
        Change { cursor, user: self.user.clone(), repo: self.repo.clone(), kind }
    }
}
