//! A file's text, the text of a string inside it, and where each of their bytes stands for a reader of the file.

use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

/// Characters are counted from the nearest of these distances, bytes: files are often one line of some megabytes.
const CHECKPOINT: usize = 128;

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A text and where its bytes stand in the file.
#[derive(Debug)]
pub(crate) struct Text<'a> {
    text: Cow<'a, str>,
    positions: Rc<Positions>,
    /// Offsets here and in the file, ascending; between two of them both advance alike.
    moves: Vec<(u32, u32)>,
}

/// Lines and characters of a file.
#[derive(Debug)]
struct Positions {
    /// Where each line starts, bytes.
    lines: Vec<u32>,
    /// Characters before each multiple of [`CHECKPOINT`].
    characters: Vec<u32>,
    file: String,
}

impl Positions {
    fn new(file: &str) -> Self {
        let bytes = file.as_bytes();
        let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let lines = std::iter::once(0).chain(ends.map(|(at, _)| narrow(at + 1))).collect();
        let mut count = 0;
        let mut characters = vec![0];
        for chunk in bytes.chunks(CHECKPOINT) {
            count += count_characters(chunk);
            characters.push(count);
        }
        Self { lines, characters, file: file.to_owned() }
    }

    fn characters_before(&self, offset: usize) -> u32 {
        let offset = offset.min(self.file.len());
        let checkpoint = offset / CHECKPOINT;
        self.characters[checkpoint] + count_characters(&self.file.as_bytes()[checkpoint * CHECKPOINT..offset])
    }

    fn at(&self, offset: usize) -> (u32, u32) {
        let line = self.lines.partition_point(|start| *start as usize <= offset);
        let start = self.lines[line - 1] as usize;
        (narrow(line), self.characters_before(offset) - self.characters_before(start) + 1)
    }
}

fn count_characters(bytes: &[u8]) -> u32 {
    narrow(bytes.iter().filter(|byte| (**byte & 0xc0) != 0x80).count())
}

/// Offsets are kept in 32 bits: what is larger than 4 GiB never gets here.
pub(crate) fn narrow(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

/// The first byte that is not UTF-8.
#[derive(Debug)]
pub(crate) struct NotUtf8 {
    /// Line, from 1.
    pub(crate) line: u32,
    /// Column in characters, from 1.
    pub(crate) column: u32,
}

impl<'a> Text<'a> {
    /// The text of a file. A byte order mark counts as position, and is not part of the text.
    pub(crate) fn of_file(bytes: &'a [u8]) -> Result<Self, NotUtf8> {
        let file = std::str::from_utf8(bytes).map_err(|error| {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let (line, column) = Positions::new(&good).at(good.len());
            NotUtf8 { line, column }
        })?;
        let positions = Rc::new(Positions::new(file));
        let text = file.strip_prefix(BYTE_ORDER_MARK).unwrap_or(file);
        let moves = vec![(0, narrow(file.len() - text.len()))];
        Ok(Self { text: Cow::Borrowed(text), positions, moves })
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the file starts with a byte order mark.
    pub(crate) fn has_byte_order_mark(&self) -> bool {
        self.positions.file.starts_with(BYTE_ORDER_MARK)
    }

    /// Line and column of an offset of this text in the file, both from 1.
    pub(crate) fn position(&self, offset: usize) -> (u32, u32) {
        self.positions.at(self.file_offset(offset))
    }

    /// Where an offset of this text stands in the file.
    pub(crate) fn file_offset(&self, offset: usize) -> usize {
        let next = self.moves.partition_point(|(here, _)| *here as usize <= offset);
        let (here, there) = self.moves[next.max(1) - 1];
        there as usize + (offset - here as usize)
    }

    /// Where a range of this text stands in the file.
    pub(crate) fn file_range(&self, range: &Range<usize>) -> Range<usize> {
        self.file_offset(range.start)..self.file_offset(range.end)
    }

    /// The text that a JSON string literal of this text stands for. `literal` is its place, quotes included; it is
    /// known to be one.
    pub(crate) fn unescaped(&self, literal: Range<usize>) -> Text<'static> {
        let raw = &self.text[literal.start + 1..literal.end - 1];
        let mut text = String::with_capacity(raw.len());
        let mut moves = vec![(0, narrow(self.file_offset(literal.start + 1)))];
        let mut rest = raw;
        while let Some(at) = rest.find('\\') {
            text.push_str(&rest[..at]);
            let (character, length) = escape(&rest.as_bytes()[at..]);
            text.push(character);
            rest = &rest[at + length..];
            let offset = literal.end - 1 - rest.len();
            moves.push((narrow(text.len()), narrow(self.file_offset(offset))));
        }
        text.push_str(rest);
        Text { text: Cow::Owned(text), positions: Rc::clone(&self.positions), moves }
    }
}

/// What the escape at the start of `bytes` stands for, and its length. Half a surrogate pair stands for U+FFFD.
pub(crate) fn escape(bytes: &[u8]) -> (char, usize) {
    let simple = match bytes.get(1) {
        Some(b'u') => return unicode_escape(bytes),
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(other) => char::from(*other),
        None => return (char::REPLACEMENT_CHARACTER, 1),
    };
    (simple, 2)
}

fn unicode_escape(bytes: &[u8]) -> (char, usize) {
    let Some(unit) = hex_unit(bytes) else { return (char::REPLACEMENT_CHARACTER, bytes.len().min(2)) };
    if let Some(character) = char::from_u32(u32::from(unit)) {
        return (character, 6);
    }
    let pair = hex_unit(&bytes[6..]).and_then(|low| char::decode_utf16([unit, low]).next()?.ok());
    pair.map_or((char::REPLACEMENT_CHARACTER, 6), |character| (character, 12))
}

/// The code unit of `\uXXXX` at the start of `bytes`.
fn hex_unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    let digits =
        std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16).ok()
}

/// The text with every lone half of a surrogate pair, as JavaScript may write it, replaced by `\uFFFD`: the same
/// length, so that places stay.
pub(crate) fn without_lone_surrogates(text: &str) -> Cow<'_, str> {
    let mut clean = Cow::Borrowed(text);
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = bytes[at..].iter().position(|byte| *byte == b'\\') {
        at += found;
        let lone = hex_unit(&bytes[at..]).is_some_and(|unit| (0xd800..0xe000).contains(&unit));
        let (_, length) = escape(&bytes[at..]);
        if lone && length == 6 {
            clean.to_mut().replace_range(at..at + 6, "\\uFFFD");
        }
        at = (at + length).min(bytes.len());
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters() {
        let file = format!("a\r\n\"é😀b\"\n{}x", "ü".repeat(3000));
        let text = Text::of_file(file.as_bytes()).unwrap();
        assert_eq!(text.position(0), (1, 1));
        assert_eq!(text.position(file.find('b').unwrap()), (2, 4));
        assert_eq!(text.position(file.find('x').unwrap()), (3, 3001));
        assert_eq!(text.position(file.len()), (3, 3002));
    }

    #[test]
    fn offsets_inside_a_string_are_found_in_the_file() {
        let file = r#"["a\"\u00e9\ud83d\ude00\n\\z", 1]"#;
        let text = Text::of_file(file.as_bytes()).unwrap();
        let inner = text.unescaped(1..file.rfind('"').unwrap() + 1);
        assert_eq!(inner.as_str(), "a\"é😀\n\\z");
        for (within, outside) in
            [("a", "a"), ("\"", "\\\""), ("é", "\\u00e9"), ("😀", "\\ud83d"), ("\\z", "\\\\z"), ("z", "z")]
        {
            let offset = inner.as_str().find(within).unwrap();
            assert_eq!(inner.file_offset(offset), file.find(outside).unwrap(), "{within}");
        }
        assert_eq!(inner.file_offset(inner.as_str().len()), file.rfind('"').unwrap());
    }

    #[test]
    fn a_byte_order_mark_is_not_text_and_lone_surrogates_are_replaced() {
        let text = Text::of_file("\u{feff}{}".as_bytes()).unwrap();
        assert!(text.has_byte_order_mark() && text.as_str() == "{}" && text.position(0) == (1, 2));
        assert_eq!(
            without_lone_surrogates(r"\ud800 \udc00\\ud800 \ud83d\ude00"),
            r"\uFFFD \uFFFD\\ud800 \ud83d\ude00"
        );
        assert!(matches!(without_lone_surrogates(r"\n\u00e9\"), Cow::Borrowed(_)));
        let error = Text::of_file(b"a\n\xc3\xa9\xff").unwrap_err();
        assert_eq!((error.line, error.column), (2, 2));
    }
}
