//! Streams that can be kept back and ended.

use std::collections::VecDeque;

use axum::body::Bytes;
use futures::stream::{BoxStream, Stream, StreamExt};
use tokio::sync::watch;

use super::Dialect;

/// How streams are at the moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flow {
    /// They tell nothing.
    pub(super) held: bool,
    /// How often all of them were ended.
    pub(super) ended: u64,
}

/// The last words of a watch whose place the server has forgotten.
const EXPIRED: &str = concat!(
    r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
    r#""message":"a fault of the tests","reason":"Expired","code":410}}"#,
    "\n"
);

struct Relay {
    source: BoxStream<'static, reqwest::Result<Bytes>>,
    flow: watch::Receiver<Flow>,
    dialect: Dialect,
    began: u64,
    /// Of a line that has not ended.
    rest: Vec<u8>,
    ready: VecDeque<Bytes>,
    over: bool,
}

/// What `source` tells, line by line, as `flow` lets it.
pub(super) fn relay(
    source: impl Stream<Item = reqwest::Result<Bytes>> + Send + 'static,
    flow: watch::Receiver<Flow>,
    dialect: Dialect,
) -> impl Stream<Item = reqwest::Result<Bytes>> + Send + 'static {
    let began = flow.borrow().ended;
    let relay = Relay {
        source: source.boxed(),
        flow,
        dialect,
        began,
        rest: Vec::new(),
        ready: VecDeque::new(),
        over: false,
    };
    futures::stream::unfold(relay, |mut relay| async move {
        let item = relay.next().await?;
        Some((item, relay))
    })
}

impl Relay {
    async fn next(&mut self) -> Option<reqwest::Result<Bytes>> {
        loop {
            if self.over {
                return None;
            }
            let flow = *self.flow.borrow_and_update();
            if flow.ended != self.began {
                self.over = true;
                return match self.dialect {
                    Dialect::Kubernetes => Some(Ok(Bytes::from_static(EXPIRED.as_bytes()))),
                    Dialect::Services => None,
                };
            }
            if !flow.held
                && let Some(line) = self.ready.pop_front()
            {
                return Some(Ok(line));
            }
            tokio::select! {
                changed = self.flow.changed() => if changed.is_err() { return None },
                chunk = self.source.next(), if !flow.held => match chunk? {
                    Ok(chunk) => self.take(&chunk),
                    Err(error) => return Some(Err(error)),
                },
            }
        }
    }

    fn take(&mut self, chunk: &[u8]) {
        self.rest.extend_from_slice(chunk);
        if let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') {
            let rest = self.rest.split_off(end + 1);
            self.ready.push_back(Bytes::from(std::mem::replace(&mut self.rest, rest)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_kept_back_is_told_later_and_an_end_is_said() {
        let (flow, receiver) = watch::channel(Flow { held: true, ended: 0 });
        let source = futures::stream::iter([Ok(Bytes::from("one\ntw")), Ok(Bytes::from("o\n"))]);
        let source = source.chain(futures::stream::pending());
        let mut told = std::pin::pin!(relay(source, receiver, Dialect::Kubernetes));
        assert!(futures::poll!(told.next()).is_pending(), "it is held");
        flow.send_modify(|flow| flow.held = false);
        assert_eq!(told.next().await.unwrap().unwrap(), "one\n");
        assert_eq!(told.next().await.unwrap().unwrap(), "two\n");
        flow.send_modify(|flow| flow.ended = 1);
        assert!(told.next().await.unwrap().unwrap().ends_with(b"\"code\":410}}\n"));
        assert!(told.next().await.is_none());
    }
}
