//! What happened, in order: the stream of changes.
//!
//! One file: a header with the state at some point, then a line for each change. A change is announced once it is on
//! disk. Cursors are `<epoch>-<sequence>`; the epoch is new whenever the file had to be given up, so that a cursor of
//! before is never taken for one of after.

mod known;

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use lb_vocab::{GitUser, RepoName, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub(crate) use self::known::{Entry, Known, What};
use crate::bare::refs::Refs;
use crate::error::HostError;
use crate::files;
use crate::names::{Cursor, Login};
use crate::secrets::random_hex;
use crate::types::{Change, Changes, RefUpdate};

const FORMAT: u32 = 1;
/// A cursor that no host ever knew.
const NOWHERE: &str = "reset-0";

/// The file's first line.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: u32,
    epoch: String,
    /// The entries that follow begin after this one.
    floor: u64,
    /// `known` is the state after this one; entries up to it are history.
    at: u64,
    known: Known,
}

/// What is in memory: the latest entries and what they lead to.
#[derive(Debug)]
struct Memory {
    epoch: String,
    floor: u64,
    entries: VecDeque<Entry>,
    known: Known,
}

/// The file, ready for the next line.
#[derive(Debug)]
struct Tail {
    file: File,
    length: u64,
}

/// The journal of one data directory.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    keep: usize,
    tail: Mutex<Tail>,
    memory: RwLock<Memory>,
    latest: watch::Sender<Cursor>,
}

impl Journal {
    /// Opens or starts the journal; the `keep` latest changes at least can be asked for. What cannot be read is
    /// given up with a warning: clients start over, and comparing with the repositories does the rest.
    pub(crate) fn open(path: &Path, keep: usize) -> Result<Self, HostError> {
        let doing = || format!("open the journal {}", path.display());
        let (memory, tail) = match read(path).map_err(HostError::io(doing()))? {
            Some((memory, length)) => (memory, reopen(path, length).map_err(HostError::io(doing()))?),
            None => start(path)?,
        };
        let latest = watch::Sender::new(memory.cursor(memory.last())?);
        Ok(Self { path: path.to_owned(), keep, tail: Mutex::new(tail), memory: RwLock::new(memory), latest })
    }

    /// Told the latest cursor.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Cursor> {
        self.latest.subscribe()
    }

    /// Looks at what is known.
    pub(crate) fn known<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.memory.read().unwrap_or_else(PoisonError::into_inner).known)
    }

    /// Notes where a repository's references point now; answers which moved. Blocks for the disk.
    pub(crate) fn observe(
        &self,
        user: &GitUser,
        repo: &RepoName,
        refs: &Refs,
        actor: Option<&Login>,
        now: Timestamp,
    ) -> Result<Vec<RefUpdate>, HostError> {
        let mut tail = self.tail();
        let updates =
            self.known(|known| known.repository(user, repo).map_or_else(Vec::new, |known| known.moved(refs)));
        let events =
            updates.iter().map(|update| What::Push { update: update.clone(), actor: actor.cloned() });
        let entries = events.map(|what| (user.clone(), Some(repo.clone()), what)).collect();
        self.append(&mut tail, entries, now)?;
        Ok(updates)
    }

    /// Notes that users or repositories (`Some`) came or went. Blocks for the disk.
    pub(crate) fn note(
        &self,
        events: Vec<(GitUser, Option<RepoName>, What)>,
        now: Timestamp,
    ) -> Result<(), HostError> {
        let mut tail = self.tail();
        self.append(&mut tail, events, now)
    }

    /// What happened after a cursor.
    pub(crate) fn changes(&self, after: Option<&Cursor>) -> Result<Changes, HostError> {
        let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
        let cursor = memory.cursor(memory.last())?;
        let Some(after) = after.and_then(|after| memory.position(after)) else {
            let nowhere: Cursor =
                NOWHERE.parse().map_err(|error| HostError::malformed("make a cursor", error))?;
            let mut changes = memory.known.as_changes(&nowhere);
            if let Some(last) = changes.last_mut() {
                last.cursor = cursor.clone();
            }
            return Ok(Changes { cursor, reset: true, changes });
        };
        let skip = usize::try_from(after - memory.floor).unwrap_or(usize::MAX);
        let entries = memory.entries.iter().skip(skip);
        let changes =
            entries.map(|entry| Ok::<Change, HostError>(entry.change(memory.cursor(entry.sequence)?)));
        Ok(Changes { cursor, reset: false, changes: changes.collect::<Result<_, _>>()? })
    }

    /// Has it write into another file from now on; answers the one before.
    #[cfg(test)]
    pub(crate) fn swap_file(&self, file: File) -> File {
        std::mem::replace(&mut self.tail().file, file)
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(
        &self,
        tail: &mut Tail,
        events: Vec<(GitUser, Option<RepoName>, What)>,
        now: Timestamp,
    ) -> Result<(), HostError> {
        if events.is_empty() {
            return Ok(());
        }
        let doing = || format!("write the journal {}", self.path.display());
        let first = self.memory.read().unwrap_or_else(PoisonError::into_inner).last() + 1;
        let entries: Vec<Entry> = (first..)
            .zip(events)
            .map(|(sequence, (user, repo, what))| Entry { sequence, time: now, user, repo, what })
            .collect();
        tail.write(&lines(&entries).map_err(HostError::io(doing()))?).map_err(HostError::io(doing()))?;
        let cursor = {
            let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
            for entry in entries {
                memory.known.apply(&entry);
                memory.entries.push_back(entry);
            }
            memory.cursor(memory.last())?
        };
        self.latest.send_replace(cursor);
        if let Err(error) = self.compact(tail) {
            // The journal is only longer than it need be.
            tracing::warn!(%error, "the journal was not shortened");
        }
        Ok(())
    }

    /// Forgets old entries once there are twice as many as are kept.
    fn compact(&self, tail: &mut Tail) -> Result<(), HostError> {
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        if memory.entries.len() <= self.keep * 2 {
            return Ok(());
        }
        let doing = || format!("shorten the journal {}", self.path.display());
        let forget = memory.entries.len() - self.keep;
        memory.entries.drain(..forget);
        memory.floor += forget as u64;
        let text = memory.text().map_err(HostError::io(doing()))?;
        files::replace(&self.path, &text).map_err(HostError::io(doing()))?;
        *tail = reopen(&self.path, text.len() as u64).map_err(HostError::io(doing()))?;
        Ok(())
    }
}

impl Memory {
    fn last(&self) -> u64 {
        self.floor + self.entries.len() as u64
    }

    fn cursor(&self, sequence: u64) -> Result<Cursor, HostError> {
        format!("{}-{sequence}", self.epoch)
            .parse()
            .map_err(|error| HostError::malformed("make a cursor", error))
    }

    /// The sequence of a cursor whose following entries are all here.
    fn position(&self, cursor: &Cursor) -> Option<u64> {
        let (epoch, sequence) = cursor.parts()?;
        (epoch == self.epoch && (self.floor..=self.last()).contains(&sequence)).then_some(sequence)
    }

    fn text(&self) -> io::Result<Vec<u8>> {
        let header = Header {
            format: FORMAT,
            epoch: self.epoch.clone(),
            floor: self.floor,
            at: self.last(),
            known: self.known.clone(),
        };
        let mut text = serde_json::to_vec(&header)?;
        text.push(b'\n');
        text.extend(lines(self.entries.iter())?);
        Ok(text)
    }
}

impl Tail {
    /// Adds these lines, on disk when it returns; none of them where it fails.
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(lines).and_then(|()| self.file.sync_data());
        if written.is_err() {
            self.file.set_len(self.length)?;
            self.file.seek(SeekFrom::Start(self.length))?;
        } else {
            self.length += lines.len() as u64;
        }
        written
    }
}

fn lines<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for entry in entries {
        serde_json::to_writer(&mut text, entry)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// A journal of nothing.
fn start(path: &Path) -> Result<(Memory, Tail), HostError> {
    let doing = || format!("start the journal {}", path.display());
    let memory =
        Memory { epoch: random_hex::<6>()?, floor: 0, entries: VecDeque::new(), known: Known::default() };
    let text = memory.text().map_err(HostError::io(doing()))?;
    files::replace(path, &text).map_err(HostError::io(doing()))?;
    Ok((memory, reopen(path, text.len() as u64).map_err(HostError::io(doing()))?))
}

/// Opens the file for writing after its first `length` bytes; what follows them is cut off.
fn reopen(path: &Path, length: u64) -> io::Result<Tail> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.set_len(length)?;
    file.seek(SeekFrom::Start(length))?;
    Ok(Tail { file, length })
}

/// Reads a journal and how much of its file is whole lines; `None` where there is none, or none to be used.
fn read(path: &Path) -> io::Result<Option<(Memory, u64)>> {
    let mut text = Vec::new();
    match File::open(path) {
        Ok(mut file) => file.read_to_end(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let parsed = parse(&text);
    if parsed.is_none() {
        tracing::warn!(journal = %path.display(), "the journal is damaged: its readers start over");
    }
    Ok(parsed)
}

/// A last line that is not whole was never announced and is left out; any other damage is `None`.
fn parse(text: &[u8]) -> Option<(Memory, u64)> {
    let mut lines = text.split_inclusive(|byte| *byte == b'\n');
    let first = lines.next()?;
    let header: Header = serde_json::from_slice(first).ok()?;
    if header.format != FORMAT || !first.ends_with(b"\n") {
        return None;
    }
    let mut length = first.len();
    let mut memory =
        Memory { epoch: header.epoch, floor: header.floor, entries: VecDeque::new(), known: header.known };
    while let Some(line) = lines.next() {
        let entry: Option<Entry> =
            line.strip_suffix(b"\n").and_then(|line| serde_json::from_slice(line).ok());
        let Some(entry) = entry else {
            return (lines.next().is_none() && memory.last() >= header.at).then_some((memory, length as u64));
        };
        if entry.sequence != memory.last() + 1 {
            return None;
        }
        if entry.sequence > header.at {
            memory.known.apply(&entry);
        }
        memory.entries.push_back(entry);
        length += line.len();
    }
    (memory.last() >= header.at).then_some((memory, length as u64))
}

#[cfg(test)]
mod tests;
