//! The packets of git's protocol.
//!
//! A packet is four hex digits of its whole length and its content; `0000` is a flush. With the capability
//! `side-band-64k` an answer's packets start with a byte that says whether git's own data (1) or a message for the
//! person (2) follows.

use lb_vocab::CommitId;

use crate::bare::refs::Refs;
use crate::names::RefName;
use crate::types::{RefUpdate, Service};

/// The end of a list of packets.
pub(crate) const FLUSH: &[u8] = b"0000";
/// Between a command and its arguments, and between the sections of an answer.
pub(crate) const DELIMITER: &[u8] = b"0001";
/// Content of a side-band packet at most, bytes.
const MAX_BAND: usize = 65_515;
/// Characters of a message's line at most.
const MAX_LINE: usize = 400;
/// Lines of a message at most.
const MAX_LINES: usize = 200;

/// What is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not git's protocol")]
pub(crate) struct Nonsense;

/// The first packet of some bytes, with what it takes up there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// With this content.
    Data(&'a [u8], usize),
    /// A flush.
    Flush,
    /// A delimiter between sections, or the end of a response.
    Other,
    /// More bytes are needed to tell.
    Incomplete,
}

/// Looks at the first packet.
pub(crate) fn first(bytes: &[u8]) -> Result<Packet<'_>, Nonsense> {
    let Some(digits) = bytes.get(..4) else { return Ok(Packet::Incomplete) };
    let digits = std::str::from_utf8(digits).map_err(|_| Nonsense)?;
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(Nonsense);
    }
    match usize::from_str_radix(digits, 16).map_err(|_| Nonsense)? {
        0 => Ok(Packet::Flush),
        1 | 2 => Ok(Packet::Other),
        3 => Err(Nonsense),
        length => {
            Ok(bytes.get(4..length).map_or(Packet::Incomplete, |content| Packet::Data(content, length)))
        }
    }
}

/// The protocol to be spoken, where it is one of git's words. Pushes know one version only.
pub(crate) fn protocol(service: Service, header: Option<&str>) -> Option<&'static str> {
    match (service, header) {
        (Service::UploadPack, Some(header)) => {
            ["version=2", "version=1"].into_iter().find(|known| header.split(':').any(|part| part == *known))
        }
        (Service::UploadPack, None) | (Service::ReceivePack, _) => None,
    }
}

/// Adds a packet.
pub(crate) fn put(out: &mut Vec<u8>, content: &[&[u8]]) {
    let length = 4 + content.iter().map(|part| part.len()).sum::<usize>();
    out.extend_from_slice(format!("{length:04x}").as_bytes());
    content.iter().for_each(|part| out.extend_from_slice(part));
}

/// The line that stands before an advertisement.
pub(crate) fn service_line(service: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, &[b"# service=", service.as_bytes(), b"\n"]);
    out.extend_from_slice(FLUSH);
    out
}

/// Packets that show these lines to the person who pushes. Control characters cannot reach their terminal.
pub(crate) fn message(lines: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in lines.iter().take(MAX_LINES) {
        let text: String =
            line.chars().take(MAX_LINE).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        put(&mut out, &[&[2], text.trim_end().as_bytes(), b"\n"]);
    }
    if lines.len() > MAX_LINES {
        put(&mut out, &[&[2], format!("... and {} lines more", lines.len() - MAX_LINES).as_bytes(), b"\n"]);
    }
    out
}

/// One wish of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// The reference, as the client wrote it.
    pub(crate) name: String,
    /// The same, where it is one that we can name.
    pub(crate) checked: Option<RefName>,
    /// Where it pointed as the client knows; `None`: it should be new.
    pub(crate) old: Option<CommitId>,
    /// Where it should point; `None`: it should go.
    pub(crate) new: Option<CommitId>,
}

/// The beginning of a push.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Commands {
    /// What is wished.
    pub(crate) list: Vec<Command>,
    capabilities: Vec<String>,
}

impl Commands {
    /// Reads the packets up to the first flush. An empty body has none: git asks so whether it may push.
    pub(crate) fn parse(mut body: &[u8]) -> Result<Self, Nonsense> {
        let mut commands = Self::default();
        while !body.is_empty() {
            let (content, length) = match first(body)? {
                Packet::Flush => return Ok(commands),
                Packet::Data(content, length) => (content, length),
                Packet::Other | Packet::Incomplete => return Err(Nonsense),
            };
            body = &body[length..];
            let text = String::from_utf8_lossy(content);
            let (line, capabilities) = text.split_once('\0').unwrap_or((&text, ""));
            if commands.list.is_empty() {
                commands.capabilities = capabilities.split_whitespace().map(str::to_owned).collect();
            }
            let line = line.strip_suffix('\n').unwrap_or(line);
            if !line.starts_with("shallow ") {
                commands.list.push(Command::parse(line, std::str::from_utf8(content).is_ok())?);
            }
        }
        if commands.list.is_empty() { Ok(commands) } else { Err(Nonsense) }
    }

    /// Which of the wishes came true, where these references stand afterwards.
    pub(crate) fn fulfilled(&self, refs: &Refs) -> Vec<RefUpdate> {
        let update = |command: &Command| {
            let ref_name = command.checked.clone()?;
            let (before, after) = (command.old.clone(), command.new.clone());
            (refs.get(&ref_name) == after.as_ref()).then_some(RefUpdate { ref_name, before, after })
        };
        self.list.iter().filter_map(update).collect()
    }

    /// Whether the client can be shown messages.
    pub(crate) fn side_band(&self) -> bool {
        self.capabilities.iter().any(|capability| capability == "side-band-64k")
    }

    /// An answer that refuses all of it, as git itself would.
    pub(crate) fn refusal(&self, reason: &str) -> Vec<u8> {
        let mut report = Vec::new();
        put(&mut report, &[b"unpack ok\n"]);
        for command in &self.list {
            put(&mut report, &[b"ng ", command.name.as_bytes(), b" ", reason.as_bytes(), b"\n"]);
        }
        report.extend_from_slice(FLUSH);
        if !self.capabilities.iter().any(|capability| capability.starts_with("report-status")) {
            report.clear();
        }
        if !self.side_band() {
            return report;
        }
        let mut out = message(&[reason.to_owned()]);
        for part in report.chunks(MAX_BAND) {
            put(&mut out, &[&[1], part]);
        }
        out.extend_from_slice(FLUSH);
        out
    }
}

impl Command {
    fn parse(line: &str, utf8: bool) -> Result<Self, Nonsense> {
        let mut words = line.splitn(3, ' ');
        let (Some(old), Some(new), Some(name)) = (words.next(), words.next(), words.next()) else {
            return Err(Nonsense);
        };
        let id = |text: &str| match text.parse::<CommitId>() {
            Ok(id) => Ok(Some(id)),
            Err(_) if matches!(text.len(), 40 | 64) && text.bytes().all(|b| b == b'0') => Ok(None),
            Err(_) => Err(Nonsense),
        };
        let old = id(old)?;
        let checked = name.parse().ok().filter(|_| utf8);
        let name = name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        Ok(Self { name, checked, old, new: id(new)? })
    }
}

/// Passes an answer on packet by packet and keeps its last flush, so that a message fits before it.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    pending: Vec<u8>,
    flush: bool,
    raw: bool,
}

impl Tail {
    /// What may be passed on after these bytes have come.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.pending.extend_from_slice(bytes);
        let mut out = Vec::new();
        while !self.pending.is_empty() && !self.raw {
            if self.flush {
                out.extend_from_slice(FLUSH);
                self.flush = false;
            }
            let length = match first(&self.pending) {
                Ok(Packet::Data(_, length)) => length,
                Ok(Packet::Other) => FLUSH.len(),
                Ok(Packet::Flush) => {
                    self.flush = true;
                    self.pending.drain(..FLUSH.len());
                    continue;
                }
                Ok(Packet::Incomplete) => return out,
                // Not ours to judge: the client will.
                Err(Nonsense) => {
                    self.raw = true;
                    break;
                }
            };
            out.extend(self.pending.drain(..length));
        }
        if self.raw {
            out.append(&mut self.pending);
        }
        out
    }

    /// What is left at the end, with the message before the flush.
    pub(crate) fn finish(mut self, lines: &[String]) -> Vec<u8> {
        let mut out = Vec::new();
        if self.flush {
            out = message(lines);
            out.extend_from_slice(FLUSH);
        }
        out.append(&mut self.pending);
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const NULL: &str = "0000000000000000000000000000000000000000";

    fn push(lines: &[String]) -> Vec<u8> {
        let mut body = Vec::new();
        lines.iter().for_each(|line| put(&mut body, &[line.as_bytes()]));
        body.extend_from_slice(b"0000PACK....");
        body
    }

    #[test]
    fn only_versions_that_git_knows_are_passed_on() {
        let upload = |header| protocol(Service::UploadPack, header);
        assert_eq!(upload(Some("version=2")), Some("version=2"));
        assert_eq!(upload(Some("x:version=1")), Some("version=1"));
        for nonsense in [None, Some(""), Some("version=9"), Some("version=2\nx"), Some("--help")] {
            assert_eq!(upload(nonsense), None);
        }
        assert_eq!(protocol(Service::ReceivePack, Some("version=2")), None);
    }

    #[test]
    fn commands_and_capabilities_are_read() {
        let body = push(&[
            format!("shallow {ONE}"),
            format!("{NULL} {ONE} refs/heads/master\0 report-status side-band-64k agent=git/2"),
            format!("{ONE} {NULL} refs/heads/a b\n"),
        ]);
        let commands = Commands::parse(&body).unwrap();
        assert!(commands.side_band());
        let names: Vec<_> =
            commands.list.iter().map(|c| (&*c.name, c.checked.is_some(), c.new.is_some())).collect();
        assert_eq!(names, [("refs/heads/master", true, true), ("refs/heads/a b", false, false)]);
        for empty in [&b""[..], b"0000"] {
            assert_eq!(Commands::parse(empty).unwrap(), Commands::default());
        }
    }

    #[test]
    fn wishes_came_true_where_the_references_stand_so() {
        let body = push(&[
            format!("{NULL} {ONE} refs/heads/new"),
            format!("{ONE} {NULL} refs/heads/gone"),
            format!("{NULL} {ONE} refs/heads/refused"),
            format!("{ONE} {NULL} refs/heads/kept"),
        ]);
        let one: CommitId = ONE.parse().unwrap();
        let refs = ["refs/heads/new", "refs/heads/kept"].map(|name| (name.parse().unwrap(), one.clone()));
        let fulfilled = Commands::parse(&body).unwrap().fulfilled(&refs.into());
        let names: Vec<_> =
            fulfilled.iter().map(|u| (u.ref_name.as_str(), u.before.is_some(), u.after.is_some())).collect();
        assert_eq!(names, [("refs/heads/new", false, true), ("refs/heads/gone", true, false)]);
    }

    #[test]
    fn what_is_no_push_is_refused() {
        let lines =
            [format!("{ONE} {ONE}"), format!("{ONE} xyz refs/heads/a"), "push-cert\0x".into(), String::new()];
        for line in lines {
            assert_eq!(Commands::parse(&push(&[line])), Err(Nonsense));
        }
        for body in [&b"0003"[..], b"zzzz", b"+001", b"ffff", b"0001", b"00", "\u{e9}0000".as_bytes()] {
            assert_eq!(Commands::parse(body), Err(Nonsense), "{body:?}");
        }
    }

    #[test]
    fn a_message_goes_before_the_last_flush_and_carries_no_control_characters() {
        let lines = ["a\u{1b}[31m\nb".to_owned()];
        let mut tail = Tail::default();
        let mut out = tail.feed(b"0009\x01ab");
        assert!(out.is_empty());
        out.extend(tail.feed(b"cd0000"));
        assert_eq!(out, b"0009\x01abcd");
        out.extend(tail.finish(&lines));
        assert_eq!(String::from_utf8(out).unwrap(), "0009\u{1}abcd0012\u{2}a\u{fffd}[31m\u{fffd}b\n0000");
    }

    #[test]
    fn an_answer_that_is_not_git_or_breaks_off_is_passed_on_as_it_is() {
        for text in [&b"fatal: no"[..], b"0009\x01ab", b"0009\x01abcd"] {
            let mut tail = Tail::default();
            let mut out = tail.feed(text);
            out.extend(tail.finish(&["x".to_owned()]));
            assert_eq!(out, text);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parsers_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Commands::parse(&body);
            let mut tail = Tail::default();
            let mut out = tail.feed(&body);
            out.extend(tail.finish(&[]));
            prop_assert_eq!(out, body);
        }

        #[test]
        fn packets_pass_however_they_are_cut(
            contents in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..6),
            cut in 1_usize..40,
        ) {
            let mut body = Vec::new();
            for content in &contents { put(&mut body, &[content]); }
            body.extend_from_slice(FLUSH);
            let mut tail = Tail::default();
            let mut out = Vec::new();
            for part in body.chunks(cut) { out.extend(tail.feed(part)); }
            prop_assert_eq!(&out[..], &body[..body.len() - 4]);
            out.extend(tail.finish(&[]));
            prop_assert_eq!(out, body);
        }

        #[test]
        fn commands_are_read_or_refused_wherever_they_end(cut in 0_usize..120) {
            let body = push(&[format!("{NULL} {ONE} refs/heads/master\0report-status")]);
            let end = body.len() - "PACK....".len();
            let parsed = Commands::parse(&body[..cut.min(body.len())]);
            prop_assert_eq!(parsed.is_ok(), cut == 0 || cut >= end);
        }
    }
}
