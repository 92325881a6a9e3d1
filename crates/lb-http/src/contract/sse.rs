//! Reading server-sent events, as the HTML standard defines the format (section "Server-sent events").

use super::ClientError;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// The last event id that the stream named so far.
    pub id: Option<String>,
    /// The event's type; empty means `message`.
    pub event: String,
    /// The data, lines joined by `\n`.
    pub data: String,
}

/// Takes bytes as they come and gives events. Text after the last blank line is never given: an event that was cut
/// off is no event.
#[derive(Debug)]
pub struct SseDecoder {
    buffer: Vec<u8>,
    pending: SseEvent,
    has_data: bool,
    id: Option<String>,
    begun: bool,
    limit: usize,
    what: String,
}

impl SseDecoder {
    /// A decoder of the stream called `what` in errors, for events of at most `limit` bytes.
    pub fn new(what: impl Into<String>, limit: usize) -> Self {
        let pending = SseEvent::default();
        Self {
            buffer: Vec::new(),
            pending,
            has_data: false,
            id: None,
            begun: false,
            limit,
            what: what.into(),
        }
    }

    /// The events that these bytes complete.
    ///
    /// # Errors
    /// `TooLarge` where a line or an event exceeds the limit, `Malformed` where a line is not UTF-8.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<SseEvent>, ClientError> {
        self.buffer.extend_from_slice(bytes);
        let mut events = Vec::new();
        let mut start = 0;
        while let Some((end, next)) = next_line(&self.buffer[start..]) {
            let line = self.buffer[start..start + end].to_vec();
            start += next;
            events.extend(self.line(&line)?);
        }
        self.buffer.drain(..start);
        if self.buffer.len() + self.pending.data.len() > self.limit {
            return Err(ClientError::TooLarge { what: self.what.clone(), limit: self.limit });
        }
        Ok(events)
    }

    fn line(&mut self, line: &[u8]) -> Result<Option<SseEvent>, ClientError> {
        let line = std::str::from_utf8(line).map_err(|_| ClientError::Malformed {
            what: self.what.clone(),
            why: "a line of the event stream is not UTF-8".into(),
        })?;
        let line = if self.begun { line } else { line.strip_prefix('\u{feff}').unwrap_or(line) };
        self.begun = true;
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.has_data {
                    self.pending.data.push('\n');
                }
                self.has_data = true;
                self.pending.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.pending.event),
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            _ => {}
        }
        if self.pending.data.len() > self.limit {
            return Err(ClientError::TooLarge { what: self.what.clone(), limit: self.limit });
        }
        Ok(None)
    }

    fn dispatch(&mut self) -> Option<SseEvent> {
        let event = std::mem::take(&mut self.pending);
        let has_data = std::mem::take(&mut self.has_data);
        has_data.then(|| SseEvent { id: self.id.clone(), ..event })
    }
}

/// Where the first line ends, and where the next begins. A `\r` at the very end waits for what follows it.
fn next_line(bytes: &[u8]) -> Option<(usize, usize)> {
    let end = bytes.iter().position(|b| matches!(b, b'\n' | b'\r'))?;
    match (bytes[end], bytes.get(end + 1)) {
        (b'\r', Some(b'\n')) => Some((end, end + 2)),
        (b'\r', None) => None,
        _ => Some((end, end + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(parts: &[&[u8]]) -> Vec<SseEvent> {
        let mut decoder = SseDecoder::new("test", 1000);
        parts.iter().flat_map(|part| decoder.push(part).unwrap()).collect()
    }

    fn event(id: Option<&str>, event: &str, data: &str) -> SseEvent {
        SseEvent { id: id.map(Into::into), event: event.into(), data: data.into() }
    }

    #[test]
    fn events_are_the_same_wherever_the_bytes_are_cut() {
        let text = "\u{feff}: comment\r\nid: 7\r\nevent: change\ndata: a\ndata:b\n\ndata\r\r\nignored: x\nid\n\ndata: cut off\n";
        let whole = decode(&[text.as_bytes()]);
        assert_eq!(whole, [event(Some("7"), "change", "a\nb"), event(Some("7"), "", "")]);
        for cut in 0..text.len() {
            let (a, b) = text.as_bytes().split_at(cut);
            assert_eq!(decode(&[a, b]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn heartbeats_are_no_events_and_ids_stay() {
        assert_eq!(decode(&[b":\n\n:\n\nid: 1\n\ndata: x\n\n"]), [event(Some("1"), "", "x")]);
    }

    #[test]
    fn endless_lines_and_events_are_refused() {
        let mut decoder = SseDecoder::new("test", 10);
        assert!(matches!(decoder.push(b"data: 123456"), Err(ClientError::TooLarge { .. })));
        let mut decoder = SseDecoder::new("test", 10);
        decoder.push(b"data: 12345\n").unwrap();
        assert!(matches!(decoder.push(b"data: 12345\n"), Err(ClientError::TooLarge { .. })));
        assert!(matches!(SseDecoder::new("t", 99).push(b"data: \xff\n"), Err(ClientError::Malformed { .. })));
    }
}
