//! Commits, revisions, digests.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::checked_text;

checked_text!(
    /// A full git object id of a commit: 40 (SHA-1) or 64 (SHA-256) lower-case hex digits.
    CommitId,
    "a commit id",
    |text| {
        let hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let good = hex && matches!(text.len(), 40 | 64) && text.bytes().any(|b| b != b'0');
        good.then_some(()).ok_or("40 or 64 lower-case hex digits, not all zero")
    }
);

impl CommitId {
    /// The first 10 digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..10]
    }
}

/// Everything that one environment's desired state is computed from. `None` is a source that is proven absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// Commit of `dev`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dev: Option<CommitId>,
    /// Commit of `functions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub functions: Option<CommitId>,
    /// Commit of `refs/lunchbadger/openapi/<env>` in `dev`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openapi: Option<CommitId>,
}

/// SHA-256 of some bytes, as lower-case hex.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(Sha256::digest(bytes)))
    }

    /// The digest of several parts; each part's length goes in, so that moving a boundary changes the digest.
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self(hex::encode(hasher.finalize()))
    }

    /// All 64 hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first `n` hex digits (at most 64).
    #[must_use]
    pub fn first(&self, n: usize) -> &str {
        &self.0[..n.min(self.0.len())]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.first(10))
    }
}

#[cfg(test)]
mod tests {
    use super::{CommitId, Digest};

    #[test]
    fn a_commit_id_is_full_lower_case_and_not_the_null_id() {
        for good in ["0123456789abcdef0123456789abcdef01234567", &"a1".repeat(32)] {
            assert_eq!(good.parse::<CommitId>().unwrap().as_str(), good);
        }
        for bad in ["", "abc", &"0".repeat(40), &"A".repeat(40), &"g".repeat(40), &"é".repeat(20)] {
            assert!(bad.parse::<CommitId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn moving_a_boundary_changes_the_digest() {
        let parts = |a: &'static str, b: &'static str| Digest::of_parts([a.as_bytes(), b.as_bytes()]);
        assert_ne!(parts("ab", "c"), parts("a", "bc"));
        assert_eq!(Digest::of(b"").first(8), "e3b0c442");
    }
}
