//! What tests share: a real control plane, a real Gitea, the real `git` client, waiting for conditions, and noting what
//! was skipped, and a proxy that does something to one call of all.
//!
//! A development crate: it panics where a test could not go on anyway, with a message that says what to do.
#![expect(clippy::expect_used, clippy::panic, reason = "a helper of tests reports by failing the test")]

pub mod browser;
pub mod clock;
pub mod cluster;
pub mod control_plane;
mod eventually;
pub mod faults;
pub mod files;
pub mod git;
pub mod gitea;
pub mod images;
mod kubeconfig;
pub mod matrix;
pub mod node;
pub mod pods;
pub mod process;
pub mod producer;
pub mod project;
pub mod skip;
pub mod tools;

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub use eventually::{eventually, eventually_within};

/// Told what a long step does and waits for, a line at a time. Callers decide where it goes.
pub type Progress = Arc<dyn Fn(&str) + Send + Sync>;

/// A [`Progress`] that nobody listens to.
#[must_use]
pub fn quiet() -> Progress {
    Arc::new(|_| {})
}

/// A name that no other test of this run uses: `prefix`, then at most 12 lower-case letters and digits. Fits every
/// grammar in which `prefix` is a valid beginning (namespaces, producers).
#[must_use]
pub fn unique(prefix: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}{}x{}", base36(u64::from(std::process::id())), base36(count))
}

/// A TCP port of the loopback address that was free a moment ago, and that this process was not given before. It is none
/// that outgoing connections get (32768 and up), so that none of them takes it before its server does.
///
/// # Panics
/// Where no port can be bound at all.
#[must_use]
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 32_768 - FIRST;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Processes begin far from each other.
    let begin = std::process::id().wrapping_mul(7_919) % COUNT;
    (0..COUNT)
        .map(|_| FIRST + (begin + GIVEN.fetch_add(1, Ordering::Relaxed)) % COUNT)
        .map(|port| u16::try_from(port).expect("below 32768"))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok() && reserve(*port))
        .expect("bind a loopback port")
}

/// Whether no other process was given this port: it may take seconds until whoever was given it listens there. A name
/// in Linux's abstract namespace says so, which ends with the process.
fn reserve(port: u16) -> bool {
    static RESERVED: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    let name = format!("lunchbadger-test-port-{port}");
    let bound = SocketAddr::from_abstract_name(name).and_then(|name| UnixListener::bind_addr(&name));
    let Ok(bound) = bound else { return false };
    RESERVED.lock().unwrap_or_else(PoisonError::into_inner).push(bound);
    true
}

/// A variable of the environment that development tools are steered by (`KUBEBUILDER_ASSETS`, `XDG_CACHE_HOME`,
/// `LUNCHBADGER_TEST_*`). Set and empty counts as not set.
#[must_use]
pub fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// 256 random bits, from the key generator that is here anyway.
fn random_key() -> anyhow::Result<[u8; 32]> {
    use anyhow::Context;
    use sha2::{Digest, Sha256};
    let key = rcgen::KeyPair::generate().context("generate a random key")?;
    Ok(Sha256::digest(key.serialize_der()).into())
}

/// A text that nobody guesses, for use as a token: `prefix`, a dash and 64 hex digits.
///
/// # Errors
/// Where the system has no random bytes.
pub fn unique_secret(prefix: &str) -> anyhow::Result<String> {
    Ok(format!("{prefix}-{}", hex::encode(random_key()?)))
}

/// A client of services on this machine: no proxy, no certificates, kept connections.
///
/// # Errors
/// Where it cannot be made.
pub fn http_client() -> anyhow::Result<reqwest::Client> {
    use anyhow::Context;
    // Another part of the process may have chosen the provider already; then its choice holds.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]);
    http.build().context("prepare calls to services")
}

fn base36(mut number: u64) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut digits = Vec::new();
    loop {
        digits.push(char::from(DIGITS[usize::try_from(number % 36).expect("below 36")]));
        number /= 36;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ports_are_given_once_and_outgoing_connections_get_others() {
        let ports: BTreeSet<u16> = (0..50).map(|_| free_port()).collect();
        assert_eq!(ports.len(), 50);
        assert!(ports.iter().all(|port| (10_000..32_768).contains(port)), "{ports:?}");
    }
}
