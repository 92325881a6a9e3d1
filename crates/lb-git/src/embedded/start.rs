//! Opening a data directory, and what a crash may have left to do there.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, Mutex};

use lb_vocab::{Clock, GitUser};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::records::Store;
use super::repository::{Target, repair};
use super::{Gates, Inner, Settings, Shared};
use crate::directory;
use crate::error::HostError;
use crate::files::{self, blocking};
use crate::journal::Journal;
use crate::process::Git;
use crate::trees::Trees;

impl Inner {
    /// Everything that [`super::Embedded::open`] does.
    pub(super) async fn open(settings: Settings, clock: Clock) -> Result<Self, HostError> {
        let directory = settings.directory.clone();
        let lock = blocking(move || directory::take(&directory)).await?;
        // git runs in directories of repositories, from where a relative path leads elsewhere.
        let settings = Settings {
            directory: fs::canonicalize(&settings.directory)
                .map_err(HostError::io("find the data directory"))?,
            ..settings
        };
        let git = Git::new(&settings.git, &settings.directory.join("home"));
        git.check().await?;
        let (directory, keep) = (settings.directory.clone(), settings.keep_changes);
        let (store, journal) = blocking(move || {
            files::empty(&directory.join("tmp"))?;
            Ok((Store::open(&directory)?, Journal::open(&directory.join("journal"), keep)?))
        })
        .await?;
        let inner = Self {
            settings,
            clock,
            git,
            store,
            journal: Arc::new(journal),
            shared: Mutex::new(Shared::default()),
            lagging: Mutex::new(BTreeSet::new()),
            gates: Gates::default(),
            trees: Trees::default(),
            tasks: TaskTracker::new(),
            cancelled: CancellationToken::new(),
            _lock: lock,
        };
        inner.recover().await?;
        Ok(inner)
    }

    /// Brings the journal up to what is on disk: a crash may have come between the two.
    async fn recover(&self) -> Result<(), HostError> {
        let mut users: BTreeSet<GitUser> =
            self.store.read(|owners| owners.values().map(|owner| owner.record.user.clone()).collect());
        users.extend(
            self.journal.known(|known| known.users().map(|known| known.user.clone()).collect::<Vec<_>>()),
        );
        let mut events = Vec::new();
        let mut targets: Vec<Target> = Vec::new();
        for user in &users {
            events.extend(self.unsettled(user));
            let Ok(login) = self.login(user) else { continue };
            for repo in
                self.store.owner(&login, |owner| owner.repositories.keys().cloned().collect::<Vec<_>>())?
            {
                targets.push(self.target(user, &repo)?);
            }
        }
        let (journal, now) = (Arc::clone(&self.journal), self.clock.now());
        blocking(move || {
            journal.note(events, now)?;
            for target in targets {
                let refs =
                    repair(&target.directory).and_then(|()| crate::bare::refs::list(&target.directory));
                match refs {
                    Ok(refs) => drop(journal.observe(&target.user, &target.repo, &refs, None, now)?),
                    // One damaged repository is its owner's affair; what was known of it stays known.
                    Err(error) => {
                        tracing::error!(repository = target.name(), %error, "a repository cannot be read");
                    }
                }
            }
            Ok(())
        })
        .await
    }
}
