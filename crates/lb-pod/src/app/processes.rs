//! The processes of the app, and everything that they start: known, counted, and ended together.
//!
//! In its container the supervisor is process 1: whatever else there is belongs to the app. Elsewhere it is the one to whom
//! processes fall that lose their parent, so that all of them are its descendants.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions};
use tokio::process::{Child, Command};

/// Between two looks at what is left.
const PAUSE: Duration = Duration::from_millis(10);
/// Looks at most: what is left then hangs in the kernel.
const LOOKS: usize = 500;

/// The processes. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Processes {
    own: Pid,
    /// Whether we are process 1.
    first: bool,
    /// Children that somebody waits for.
    awaited: Arc<Mutex<HashSet<u32>>>,
}

impl Processes {
    /// Becomes the parent of what loses its own.
    pub(super) fn take_charge() -> io::Result<Self> {
        let own = rustix::process::getpid();
        rustix::process::set_child_subreaper(Some(own))?;
        Ok(Self { own, first: own == Pid::INIT, awaited: Arc::default() })
    }

    /// Starts a command as a process group of its own.
    pub(super) fn start(&self, command: &mut Command) -> io::Result<Child> {
        // Held, so that nobody reaps it before it is known.
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        let child = command.process_group(0).spawn()?;
        awaited.extend(child.id());
        Ok(child)
    }

    /// A child that was started was waited for.
    pub(super) fn ended(&self, id: u32) {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Reaps those that nobody waits for.
    pub(super) fn reap(&self) {
        let awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, parent, zombie) in everybody() {
            let ours = zombie && parent == self.own();
            let Some(pid) = pid(id) else { continue };
            if ours && !awaited.contains(&id) {
                let _reaped = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
            }
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.all().len()
    }

    /// Asks a process group to end.
    pub(super) fn ask(&self, leader: u32) {
        if let Some(pid) = pid(leader) {
            let _gone = rustix::process::kill_process_group(pid, Signal::TERM);
        }
    }

    /// Ends all of them, also those that left their group.
    pub(super) async fn end_all(&self) {
        for _ in 0..LOOKS {
            let left = self.all();
            if left.is_empty() {
                return;
            }
            if self.first {
                // All at once, so that none can start another one meanwhile.
                let _gone = rustix::process::kill_process_group(Pid::INIT, Signal::KILL);
            } else {
                for pid in left.into_iter().filter_map(pid) {
                    let _gone = rustix::process::kill_process(pid, Signal::KILL);
                }
            }
            self.reap();
            tokio::time::sleep(PAUSE).await;
        }
        tracing::error!(left = self.count(), "processes of the app cannot be ended");
    }

    /// A port of these on which the app listens.
    pub(super) fn listens_on(&self, ports: &[u16]) -> Option<u16> {
        let listeners: Vec<Listener> =
            listeners().into_iter().filter(|it| ports.contains(&it.port)).collect();
        let user = rustix::process::geteuid().as_raw();
        // Containers of one pod have different users.
        if let Some(found) = listeners.iter().find(|it| self.first && it.user == user) {
            return Some(found.port);
        }
        let names: HashMap<String, u16> =
            listeners.into_iter().map(|it| (format!("socket:[{}]", it.inode), it.port)).collect();
        if names.is_empty() {
            return None;
        }
        self.all().into_iter().find_map(|id| {
            let open = fs::read_dir(format!("/proc/{id}/fd")).ok()?;
            open.flatten().find_map(|file| names.get(fs::read_link(file.path()).ok()?.to_str()?).copied())
        })
    }

    /// Our own number.
    fn own(&self) -> u32 {
        self.own.as_raw_nonzero().get().unsigned_abs()
    }

    /// Those that live.
    fn all(&self) -> HashSet<u32> {
        let own = self.own();
        let living: Vec<(u32, u32, bool)> =
            everybody().into_iter().filter(|(_, _, zombie)| !zombie).collect();
        if self.first {
            return living.into_iter().map(|(id, _, _)| id).filter(|id| *id != own).collect();
        }
        let mut below: HashMap<u32, Vec<u32>> = HashMap::new();
        for (id, parent, _) in living {
            below.entry(parent).or_default().push(id);
        }
        let (mut found, mut open) = (HashSet::new(), vec![own]);
        while let Some(children) = open.pop().map(|parent| below.remove(&parent).unwrap_or_default()) {
            found.extend(&children);
            open.extend(children);
        }
        found
    }
}

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

/// Every process: its number, its parent's, and whether it has ended and waits to be reaped.
fn everybody() -> Vec<(u32, u32, bool)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let process = |id: u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name, in parentheses, may hold anything.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let zombie = matches!(fields.next()?, "Z" | "X");
        Some((id, fields.next()?.parse().ok()?, zombie))
    };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(process).collect()
}

/// A TCP socket that listens.
struct Listener {
    port: u16,
    user: u32,
    inode: String,
}

fn listeners() -> Vec<Listener> {
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
    let text: String = tables.into_iter().filter_map(|table| fs::read_to_string(table).ok()).collect();
    text.lines().filter_map(listener).collect()
}

/// Reads a line of `/proc/net/tcp`: `0: 0100007F:1088 00000000:0000 0A 00000000:00000000 00:00000000 00000000 1000 0 12345 ...`.
fn listener(line: &str) -> Option<Listener> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, local, _, "0A", _, _, _, user, _, inode, ..] = fields.as_slice() else { return None };
    let port = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
    Some(Listener { port, user: user.parse().ok()?, inode: (*inode).to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_that_listen_are_read_with_port_and_owner() {
        let line = "   0: 0100007F:1086 00000000:0000 0A 00000000:00000000 00:00000000 00000000 10002        0 4711 1";
        let found = listener(line).unwrap();
        assert_eq!((found.port, found.user, found.inode.as_str()), (4230, 10002, "4711"));
        assert!(listener(&line.replace(" 0A ", " 01 ")).is_none(), "a connection does not listen");
        assert!(listener("  sl  local_address rem_address   st").is_none());
    }
}
