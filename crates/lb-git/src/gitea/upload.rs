//! Reading repositories over smart HTTP, protocol version 2: references, and packs of what is at a commit.
//!
//! Gitea's REST interface answers files one by one and no references of ours; git's own protocol answers all of them
//! in one request. See git's `gitprotocol-v2(5)`; partial packs need `uploadpack.allowFilter`, which Gitea sets unless
//! `[git] DISABLE_PARTIAL_CLONE` says otherwise.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use http::header;
use lb_vocab::CommitId;

use super::api::{Api, Failure};
use crate::bare::refs::Refs;
use crate::error::HostError;
use crate::names::RefName;
use crate::pkt::{self, Packet};
use crate::process::printable;

/// A listing of references at most, bytes.
const MAX_LISTING: usize = 16 << 20;
/// What stands before a pack's first content, bytes: its head of 12, and a size of up to 10.
const HEAD: usize = 22;
/// Content type of requests of `git-upload-pack`.
const REQUEST: &str = "application/x-git-upload-pack-request";
/// What a server says that does not have an object that is wanted.
const NOT_OURS: &str = "not our ref";

/// What is wanted of a repository.
#[derive(Clone, Debug)]
pub(super) struct Want<'a> {
    /// Objects; what leads from them comes, too.
    pub(super) ids: Vec<&'a str>,
    /// History up to so many commits deep; `None`: no limit, as for objects that are no commits.
    pub(super) depth: Option<usize>,
    /// What is left out: `blob:none`, `blob:limit=<bytes>`, `tree:0`.
    pub(super) filter: Option<String>,
    /// The pack at most, bytes.
    pub(super) max_bytes: u64,
}

/// A pack, and where its history ends.
pub(super) struct Pack {
    /// Commits whose parents were left out.
    pub(super) shallow: Vec<CommitId>,
    /// The pack's bytes.
    pub(super) bytes: BoxStream<'static, Result<Bytes, HostError>>,
}

impl Pack {
    /// The size of its first object, bytes, which stands before the content: nothing more is read.
    pub(super) async fn first_size(mut self, doing: &str) -> Result<u64, HostError> {
        let mut head = Vec::new();
        while head.len() < HEAD {
            match self.bytes.next().await {
                Some(piece) => head.extend_from_slice(&piece?),
                None => break,
            }
        }
        first_size(&head).ok_or_else(|| HostError::malformed(doing, "this is not a pack"))
    }
}

/// See `gitformat-pack(5)`: after 12 bytes the first object's type and inflated size, in groups of 4 and then 7 bits,
/// the lowest first.
fn first_size(pack: &[u8]) -> Option<u64> {
    let mut bytes = pack.strip_prefix(b"PACK")?.get(8..)?.iter();
    let first = *bytes.next()?;
    let (mut size, mut shift, mut more) = (u64::from(first & 0x0f), 4_u32, first & 0x80 != 0);
    while more {
        let byte = *bytes.next()?;
        size |= u64::from(byte & 0x7f).checked_shl(shift)?;
        (shift, more) = (shift + 7, byte & 0x80 != 0);
    }
    Some(size)
}

impl Api {
    /// Where every reference of a repository points. An empty listing is a proof: the repository is unborn.
    pub(super) async fn references(&self, doing: &str, path: &[String]) -> Result<Refs, Failure> {
        let mut body = Vec::new();
        pkt::put(&mut body, &[b"command=ls-refs\n"]);
        body.extend_from_slice(pkt::DELIMITER);
        body.extend_from_slice(pkt::FLUSH);
        let mut packets = self.upload_pack(doing, path, body).await?;
        let (mut refs, mut size) = (BTreeMap::new(), 0);
        while let Some(line) = packets.data().await.map_err(Failure::Host)? {
            size += line.len();
            if size > MAX_LISTING {
                return Err(Failure::Host(HostError::malformed(doing, "there are too many references")));
            }
            if let Some((name, id)) = reference(doing, &line).map_err(Failure::Host)? {
                refs.insert(name, id);
            }
        }
        Ok(refs)
    }

    /// The pack of what is wanted. `Absent` where the repository has no such object.
    pub(super) async fn pack(&self, doing: &str, path: &[String], want: &Want<'_>) -> Result<Pack, Failure> {
        let mut packets = self.upload_pack(doing, path, want.request()).await?;
        let mut shallow = Vec::new();
        loop {
            let section = packets.next().await.map_err(Failure::Host)?;
            match section {
                Section::Data(line) if line.starts_with(b"ERR ") => {
                    let why = String::from_utf8_lossy(&line[4..]).into_owned();
                    return Err(match why.contains(NOT_OURS) {
                        true => Failure::Absent,
                        false => {
                            Failure::Host(HostError::Git { doing: doing.to_owned(), why: printable(&why) })
                        }
                    });
                }
                Section::Data(line) if line.as_ref() == b"packfile" => break,
                Section::Data(line) => {
                    if let Some(id) = line.strip_prefix(b"shallow ") {
                        let id = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok());
                        shallow.push(id.ok_or_else(|| nonsense(doing)).map_err(Failure::Host)?);
                    }
                }
                Section::Delimiter => {}
                Section::Flush => return Err(Failure::Host(nonsense(doing))),
            }
        }
        Ok(Pack { shallow, bytes: packets.side_band(want.max_bytes).boxed() })
    }

    async fn upload_pack(&self, doing: &str, path: &[String], body: Vec<u8>) -> Result<Packets, Failure> {
        let mut path = path.to_vec();
        path.push("git-upload-pack".to_owned());
        let response = self
            .smart(doing, &path, |http, url| {
                let request = http.post(url).header(header::CONTENT_TYPE, REQUEST);
                request.header("git-protocol", "version=2").body(body)
            })
            .await?;
        let bytes = response.bytes_stream().boxed();
        Ok(Packets { doing: doing.to_owned(), bytes, pending: BytesMut::new() })
    }
}

impl Want<'_> {
    fn request(&self) -> Vec<u8> {
        let mut lines = vec!["no-progress".to_owned(), "ofs-delta".to_owned()];
        lines.extend(self.depth.map(|depth| format!("deepen {depth}")));
        lines.extend(self.filter.as_ref().map(|filter| format!("filter {filter}")));
        lines.extend(self.ids.iter().map(|id| format!("want {id}")));
        lines.push("done".to_owned());
        let mut body = Vec::new();
        pkt::put(&mut body, &[b"command=fetch\n"]);
        body.extend_from_slice(pkt::DELIMITER);
        lines.iter().for_each(|line| pkt::put(&mut body, &[line.as_bytes(), b"\n"]));
        body.extend_from_slice(pkt::FLUSH);
        body
    }
}

/// An answer, packet by packet.
struct Packets {
    doing: String,
    bytes: BoxStream<'static, Result<Bytes, reqwest::Error>>,
    pending: BytesMut,
}

enum Section {
    /// A packet's content, without its line's end.
    Data(Bytes),
    Delimiter,
    Flush,
}

impl Packets {
    /// The next packet. An answer that ends before its flush is broken off.
    async fn next(&mut self) -> Result<Section, HostError> {
        let mut content = self.raw().await?;
        if let Section::Data(line) = &mut content
            && line.ends_with(b"\n")
        {
            line.truncate(line.len() - 1);
        }
        Ok(content)
    }

    /// The next packet of a listing; `None` at its end.
    async fn data(&mut self) -> Result<Option<Bytes>, HostError> {
        match self.next().await? {
            Section::Data(line) => Ok(Some(line)),
            Section::Flush => Ok(None),
            Section::Delimiter => Err(nonsense(&self.doing)),
        }
    }

    async fn raw(&mut self) -> Result<Section, HostError> {
        loop {
            match pkt::first(&self.pending).map_err(|_| nonsense(&self.doing))? {
                Packet::Data(_, length) => {
                    let mut packet = self.pending.split_to(length);
                    packet.advance(pkt::FLUSH.len());
                    return Ok(Section::Data(packet.freeze()));
                }
                Packet::Flush => {
                    self.pending.advance(pkt::FLUSH.len());
                    return Ok(Section::Flush);
                }
                Packet::Other => {
                    self.pending.advance(pkt::FLUSH.len());
                    return Ok(Section::Delimiter);
                }
                Packet::Incomplete => match self.bytes.next().await {
                    Some(Ok(bytes)) => self.pending.extend_from_slice(&bytes),
                    Some(Err(error)) => return Err(super::api::unreachable(&self.doing, &error)),
                    None => return Err(HostError::malformed(&self.doing, "the answer broke off")),
                },
            }
        }
    }

    /// The pack within the side band, up to its flush.
    fn side_band(self, max_bytes: u64) -> BoxStream<'static, Result<Bytes, HostError>> {
        let state = Some((self, 0_u64));
        futures::stream::unfold(state, move |state| async move {
            let (mut packets, mut size) = state?;
            loop {
                let mut content = match packets.raw().await {
                    Ok(Section::Data(content)) if !content.is_empty() => content,
                    Ok(Section::Flush) => return None,
                    Ok(Section::Data(_) | Section::Delimiter) => {
                        return Some((Err(nonsense(&packets.doing)), None));
                    }
                    Err(error) => return Some((Err(error), None)),
                };
                match content.get_u8() {
                    1 => {
                        size += content.len() as u64;
                        if size > max_bytes {
                            let what = format!("{}: the pack", packets.doing);
                            return Some((Err(HostError::TooLarge { what, limit: max_bytes }), None));
                        }
                        return Some((Ok(content), Some((packets, size))));
                    }
                    // Progress, which was not asked for.
                    2 => {}
                    _ => {
                        let why = printable(&String::from_utf8_lossy(&content));
                        return Some((Err(HostError::Git { doing: packets.doing, why }), None));
                    }
                }
            }
        })
        .boxed()
    }
}

/// A line of a listing, `<id> <name>[ <attributes>]`. `HEAD` and names that git itself would not make are left out.
fn reference(doing: &str, line: &[u8]) -> Result<Option<(RefName, CommitId)>, HostError> {
    if line.starts_with(b"ERR ") {
        let why = printable(&String::from_utf8_lossy(&line[4..]));
        return Err(HostError::Git { doing: doing.to_owned(), why });
    }
    let text = std::str::from_utf8(line).map_err(|_| nonsense(doing))?;
    let (id, rest) = text.split_once(' ').ok_or_else(|| nonsense(doing))?;
    let name = rest.split(' ').next().unwrap_or_default();
    let id = id.parse().map_err(|_| nonsense(doing))?;
    Ok(name.parse().ok().map(|name| (name, id)))
}

fn nonsense(doing: &str) -> HostError {
    HostError::malformed(doing, "this is not git's protocol, version 2")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "1111111111111111111111111111111111111111";

    fn packets(pieces: Vec<Vec<u8>>) -> Packets {
        let bytes = futures::stream::iter(pieces.into_iter().map(|piece| Ok(Bytes::from(piece)))).boxed();
        Packets { doing: "read".into(), bytes, pending: BytesMut::new() }
    }

    async fn pack(body: Vec<u8>, cut: usize, max: u64) -> Result<Vec<u8>, String> {
        let mut stream = packets(body.chunks(cut).map(<[u8]>::to_vec).collect()).side_band(max);
        let mut out = Vec::new();
        while let Some(piece) = stream.next().await {
            out.extend_from_slice(&piece.map_err(|error| error.name().to_owned())?);
        }
        Ok(out)
    }

    fn band(band: u8, content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        pkt::put(&mut out, &[&[band], content]);
        out
    }

    #[tokio::test]
    async fn a_pack_is_whole_or_an_error() {
        let good = [band(1, b"PACK"), band(2, b"progress"), band(1, b"more"), pkt::FLUSH.to_vec()].concat();
        for cut in [1, 3, 7, 1000] {
            assert_eq!(pack(good.clone(), cut, 8).await, Ok(b"PACKmore".to_vec()));
        }
        assert_eq!(pack(good.clone(), 5, 7).await, Err("TooLarge".into()));
        assert_eq!(pack(good[..good.len() - 4].to_vec(), 5, 99).await, Err("Malformed".into()), "broken off");
        assert_eq!(pack([band(1, b"PACK"), band(3, b"fatal")].concat(), 5, 99).await, Err("Git".into()));
        assert_eq!(pack(b"<html>".to_vec(), 5, 99).await, Err("Malformed".into()));
        assert_eq!(pack(b"0004".to_vec(), 5, 99).await, Err("Malformed".into()));
    }

    #[test]
    fn the_first_size_of_a_pack_stands_in_groups_of_bits() {
        let pack = |object: &[u8]| [b"PACK\0\0\0\x02\0\0\0\x01".as_slice(), object].concat();
        assert_eq!(first_size(&pack(&[0x33, 0x78])), Some(3));
        assert_eq!(first_size(&pack(&[0xb8, 0x3e])), Some(1000));
        for bad in [&b""[..], b"PACK", b"JUNK0000000000", &pack(&[]), &pack(&[0x80]), &pack(&[0xff; 12])] {
            assert_eq!(first_size(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn lines_of_a_listing_name_references() {
        let read = |line: &str| reference("read", line.as_bytes()).map(|found| found.map(|(name, _)| name));
        assert_eq!(read(&format!("{ID} refs/heads/master")).unwrap(), Some(RefName::master()));
        assert_eq!(
            read(&format!("{ID} refs/heads/master symref-target:x")).unwrap(),
            Some(RefName::master())
        );
        assert_eq!(read(&format!("{ID} HEAD")).unwrap(), None);
        for bad in ["", "x", "x refs/heads/master", "ERR access denied", "unborn HEAD"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_reading_panic(body in proptest::collection::vec(any::<u8>(), 0..300), cut in 1_usize..50) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(pack(body, cut, 1000));
        }
    }
}
