//! What tells objects and their versions apart.

use std::fmt;

use kube::Resource;
use sha2::{Digest as _, Sha256};

/// The uid of an object, in 16 bytes. The API server's uids are UUIDs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid([u8; 16]);

impl Uid {
    /// A uid from its text. An owner reference may hold any text: what is not a UUID becomes the beginning of its
    /// SHA-256, which equals no UUID that a server gave.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut bytes = [0; 16];
        let dashes = [8, 13, 18, 23].iter().all(|&at| text.as_bytes().get(at) == Some(&b'-'));
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        let canonical = text.len() == 36 && dashes && !text.bytes().any(|b| b.is_ascii_uppercase());
        if !canonical || hex::decode_to_slice(&digits, &mut bytes).is_err() {
            bytes.copy_from_slice(&Sha256::digest(text.as_bytes())[..16]);
        }
        Self(bytes)
    }

    /// The uid of an object that came from the API server.
    pub fn of<K: Resource>(object: &K) -> Option<Self> {
        object.meta().uid.as_deref().map(Self::parse)
    }
}

impl fmt::Display for Uid {
    /// As the API server writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = hex::encode(self.0);
        write!(f, "{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A `metadata.resourceVersion`. Versions of objects of one kind can be compared: Kubernetes says so since 1.35
/// (KEP-5504), and what it writes are etcd's revisions.
///
/// Zero is older than everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// A version from its text; `None` where it is no whole number, as an API server that does not follow the rule
    /// above might write.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    /// The version of an object that came from the API server.
    pub fn of<K: Resource>(object: &K) -> Option<Self> {
        object.meta().resource_version.as_deref().and_then(Self::parse)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The object that controls others: what their owner reference says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// `lunchbadger.io/v1alpha1`.
    pub api_version: String,
    /// `LBGateway`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: Uid,
}

impl Owner {
    /// What an object would be as an owner; `None` where it did not come from the API server.
    pub fn of<K: Resource<DynamicType = ()>>(object: &K) -> Option<Self> {
        Some(Self {
            api_version: K::api_version(&()).into_owned(),
            kind: K::kind(&()).into_owned(),
            name: object.meta().name.clone()?,
            uid: Uid::of(object)?,
        })
    }

    /// The owner reference. `controller: true`, so that an object of another owner cannot be taken over: the API
    /// server allows one controller.
    pub(crate) fn reference(&self) -> serde_json::Value {
        serde_json::json!({
            "apiVersion": self.api_version,
            "kind": self.kind,
            "name": self.name,
            "uid": self.uid.to_string(),
            "controller": true,
            "blockOwnerDeletion": true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Uid, Version};

    #[test]
    fn a_uuid_is_written_as_it_was_read_and_other_text_equals_no_uuid() {
        let text = "0ca50968-f2a5-4f2f-a008-a9b982411813";
        assert_eq!(Uid::parse(text).to_string(), text);
        for other in
            ["", "1", "0CA50968-F2A5-4F2F-A008-A9B982411813", "0ca50968f2a54f2fa008a9b982411813", "é"]
        {
            assert_ne!(Uid::parse(other), Uid::parse(text), "{other}");
            assert_ne!(Uid::parse(other).to_string(), other);
        }
        assert_ne!(Uid::parse("1"), Uid::parse("2"));
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(Version::parse("99").unwrap() < Version::parse("100").unwrap());
        assert_eq!(Version::parse("a"), None);
        assert_eq!(Version::parse(""), None);
    }
}
