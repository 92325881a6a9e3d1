//! What passed a proxy, and which call it does something to.

use http::{HeaderMap, Method, Uri, header};

use super::{Dialect, Fault};

/// What kind of call it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Reads.
    Read,
    /// Changes something.
    Write,
    /// A watch, or a stream of events.
    Stream,
    /// Sent whether anything happens or not: leases, sweeps, the roster.
    Routine,
}

impl Class {
    pub(super) fn of(dialect: Dialect, method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let (path, query) = (uri.path(), uri.query().unwrap_or_default());
        let events = headers.get(header::ACCEPT).is_some_and(|accept| accept == "text/event-stream");
        let routine = match dialect {
            Dialect::Kubernetes => path.contains("/leases"),
            Dialect::Services => path == "/changes" || path == "/producers",
        };
        if events || query.split('&').any(|pair| pair == "watch=true") {
            Self::Stream
        } else if routine {
            Self::Routine
        } else if *method == Method::GET || path.starts_with("/trees/") {
            Self::Read
        } else {
            Self::Write
        }
    }
}

/// Which calls have a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counting {
    /// Reads and writes.
    #[default]
    Work,
    /// Those that begin streams and routine ones, too: a process that starts.
    Everything,
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Of which incarnation.
    pub incarnation: u64,
    /// Its kind.
    pub class: Class,
    /// Method, path and query.
    pub line: String,
    /// What was answered.
    pub status: Option<u16>,
    id: u64,
}

/// What passed since the proxy was armed.
#[derive(Debug, Default)]
pub struct Log {
    /// Calls that have ended, in the order in which they ended.
    pub calls: Vec<Call>,
    /// The call that something was done to, and what.
    pub fired: Option<(String, Fault)>,
    under_way: Vec<Call>,
    counting: Counting,
    counted: usize,
    armed: Option<(usize, Fault)>,
    next: u64,
}

impl Log {
    pub(super) fn arm(&mut self, counting: Counting, fault: Option<(usize, Fault)>) {
        self.calls.clear();
        self.fired = None;
        (self.counting, self.counted, self.armed) = (counting, 0, fault);
    }

    pub(super) fn begin(&mut self, incarnation: u64, class: Class, line: String) -> (u64, Option<Fault>) {
        let counts = match class {
            Class::Read | Class::Write => true,
            Class::Stream | Class::Routine => self.counting == Counting::Everything,
        };
        let hit = self.armed.filter(|(index, _)| counts && *index == self.counted);
        self.counted += usize::from(counts);
        if let Some((_, fault)) = hit {
            self.armed = None;
            self.fired = Some((line.clone(), fault));
        }
        self.next += 1;
        self.under_way.push(Call { incarnation, class, line, status: None, id: self.next });
        (self.next, hit.map(|(_, fault)| fault))
    }

    pub(super) fn end(&mut self, id: u64, status: Option<u16>) {
        if let Some(at) = self.under_way.iter().position(|call| call.id == id) {
            let call = self.under_way.swap_remove(at);
            self.calls.push(Call { status, ..call });
        }
    }

    /// How many calls were counted.
    #[must_use]
    pub fn counted(&self) -> usize {
        self.counted
    }

    /// How many of those that ended change something.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.calls.iter().filter(|call| call.class == Class::Write).count()
    }

    /// How many of those were carried out, as far as was answered.
    #[must_use]
    pub fn changes(&self) -> usize {
        let well = |call: &&Call| call.status.is_some_and(|status| status < 300);
        self.calls.iter().filter(|call| call.class == Class::Write).filter(well).count()
    }

    /// Whether `incarnation` has a call that reads or writes and is not answered yet.
    #[must_use]
    pub fn is_busy(&self, incarnation: u64) -> bool {
        let work = |call: &&Call| matches!(call.class, Class::Read | Class::Write);
        self.under_way.iter().filter(work).any(|call| call.incarnation == incarnation)
    }

    /// How many streams `incarnation` has begun.
    #[must_use]
    pub fn streams(&self, incarnation: u64) -> usize {
        let of = |call: &&Call| call.incarnation == incarnation && call.class == Class::Stream;
        self.calls.iter().filter(of).count()
    }

    /// How many calls of `incarnation` that begin so were answered well.
    #[must_use]
    pub fn answered(&self, incarnation: u64, begin: &str) -> usize {
        let well = |call: &&Call| call.status.is_some_and(|status| status < 300);
        let of = |call: &&Call| call.incarnation == incarnation && call.line.starts_with(begin);
        self.calls.iter().filter(well).filter(of).count()
    }
}
