//! What was saved and is not at the git host yet, in one file that is synced once for many saves.
//!
//! Objects and references of the clone are written without waiting for the disk; what a crash of the machine took from them
//! is put back from here. A record is its length and a checksum (4 bytes each), a letter, an object id, and of an object its
//! content on disk. A batch ends with the record of where the branch stands; what follows the last whole batch never was.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};

use super::object::{Object, ObjectId};

/// Beyond this, bytes, what is at the git host is cut off while other saves wait for their push.
const WORTH_CUTTING: u64 = 4 << 20;
const HEADER: usize = 8;
const OBJECT: u8 = b'O';
const HEAD: u8 = b'H';

/// The file.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    length: u64,
}

/// What the last whole batches say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Replay {
    /// Every object.
    pub(crate) objects: Vec<Object>,
    /// Where the branch stands; `None`: nothing was saved.
    pub(crate) head: Option<ObjectId>,
}

impl Journal {
    /// Opens it, and reads what is in it.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Replay)> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        let (replay, good) = read(&content);
        let journal = Self { file, path: path.to_owned(), length: good as u64 };
        Ok((journal, replay))
    }

    /// Appends a batch; on disk when this returns. Answers where it ends. A failed one leaves nothing.
    pub(crate) fn append(&mut self, objects: &[Object], head: ObjectId) -> io::Result<u64> {
        let mut batch = Vec::with_capacity(objects.iter().map(|object| object.compressed.len() + 64).sum());
        for object in objects {
            record(&mut batch, OBJECT, object.id, &object.compressed);
        }
        record(&mut batch, HEAD, head, &[]);
        let end = self.length + batch.len() as u64;
        let written = self.file.write_all_at(&batch, self.length).and_then(|()| self.file.set_len(end));
        match written.and_then(|()| self.file.sync_data()) {
            Ok(()) => {
                self.length = end;
                Ok(end)
            }
            Err(error) => {
                // Where this fails, too, what was not whole is not read.
                let _ = self.file.set_len(self.length);
                Err(error)
            }
        }
    }

    /// Forgets everything: it is at the git host.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.length = 0;
        Ok(())
    }

    /// Forgets what stands before an offset, where that is worth it. Answers how far everything else moved.
    pub(crate) fn cut(&mut self, before: u64) -> io::Result<u64> {
        if before < WORTH_CUTTING {
            return Ok(0);
        }
        let mut rest = Vec::new();
        self.file.seek(SeekFrom::Start(before))?;
        (&self.file).take(self.length.saturating_sub(before)).read_to_end(&mut rest)?;
        let new = self.path.with_extension("new");
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&new)?;
        file.write_all(&rest)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        (self.file, self.length) = (file, rest.len() as u64);
        Ok(before)
    }
}

fn record(batch: &mut Vec<u8>, letter: u8, id: ObjectId, content: &[u8]) {
    let mut body = Vec::with_capacity(21 + content.len());
    body.push(letter);
    body.extend_from_slice(&id.0);
    body.extend_from_slice(content);
    batch.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    batch.extend_from_slice(&checksum(&body));
    batch.extend_from_slice(&body);
}

fn checksum(body: &[u8]) -> [u8; 4] {
    let digest = Sha1::digest(body);
    [digest[0], digest[1], digest[2], digest[3]]
}

/// The whole batches at the beginning, and how long they are.
fn read(content: &[u8]) -> (Replay, usize) {
    let (mut replay, mut good) = (Replay::default(), 0);
    let (mut open, mut at) = (Vec::new(), 0);
    while let Some((length, body)) = next(&content[at..]) {
        at += length;
        let Some(id) = body.get(1..21).and_then(|id| id.try_into().ok()).map(ObjectId) else { break };
        match body[0] {
            OBJECT => open.push(Object { id, compressed: body[21..].to_vec() }),
            HEAD => {
                replay.objects.append(&mut open);
                (replay.head, good) = (Some(id), at);
            }
            _ => break,
        }
    }
    (replay, good)
}

/// The first record's length and body.
fn next(content: &[u8]) -> Option<(usize, &[u8])> {
    let header = content.get(..HEADER)?;
    let (length, sum) = header.split_at(4);
    let length = u32::from_be_bytes(length.try_into().ok()?) as usize;
    let body = content.get(HEADER..HEADER.checked_add(length)?)?;
    (checksum(body) == sum).then_some((HEADER + length, body))
}

#[cfg(test)]
mod tests {
    use super::super::object::ObjectKind;
    use super::*;

    fn object(content: &str) -> Object {
        Object::new(ObjectKind::Blob, content.as_bytes()).unwrap()
    }

    #[test]
    fn whatever_is_cut_off_the_whole_batches_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (mut journal, replay) = Journal::open(&path).unwrap();
        assert_eq!(replay, Replay::default());
        let first = journal.append(&[object("a"), object("b")], ObjectId([1; 20])).unwrap();
        journal.append(&[object("c")], ObjectId([2; 20])).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            let (replay, good) = read(&whole[..length]);
            let expected = if length < usize::try_from(first).unwrap() {
                (None, 0)
            } else {
                (Some(ObjectId([1; 20])), 2)
            };
            assert_eq!((replay.head, replay.objects.len()), expected, "{length}");
            assert!(good <= length);
        }
        let mut damaged = whole;
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        assert_eq!(read(&damaged).0.head, Some(ObjectId([1; 20])));
        fs::write(&path, &damaged).unwrap();
        let (mut journal, _) = Journal::open(&path).unwrap();
        journal.append(&[], ObjectId([3; 20])).unwrap();
        assert_eq!(
            Journal::open(&path).unwrap().1.head,
            Some(ObjectId([3; 20])),
            "what was damaged is written over"
        );
        journal.clear().unwrap();
        assert_eq!(Journal::open(&path).unwrap().1, Replay::default());
    }

    #[test]
    fn what_is_at_the_host_is_cut_off_when_it_is_large() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (mut journal, _) = Journal::open(&path).unwrap();
        let noise = Object { id: ObjectId([9; 20]), compressed: vec![7; 5 << 20] };
        let first = journal.append(&[noise], ObjectId([1; 20])).unwrap();
        journal.append(&[object("c")], ObjectId([2; 20])).unwrap();
        assert_eq!(journal.cut(10).unwrap(), 0, "not worth it");
        assert_eq!(journal.cut(first).unwrap(), first);
        let replay = Journal::open(&path).unwrap().1;
        assert_eq!((replay.objects.len(), replay.head), (1, Some(ObjectId([2; 20]))));
    }
}
