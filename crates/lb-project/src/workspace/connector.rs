//! Connectors, and the packages that the app needs for them.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Value, json};

use super::record::Data;

/// Connectors that come with LoopBack itself.
const BUILT_IN: [&str; 5] = ["kv-memory", "mail", "memory", "remote", "transient"];
/// How packages of connectors are called.
const PREFIX: &str = "loopback-connector-";

/// Connectors that are offered, and a version of each that is good for LoopBack 3.
const OFFERED: [(&str, &str); 16] = [
    ("cassandra", "^1.2.0"),
    ("cloudant", "^2.0.5"),
    ("couchdb2", "^1.0.5"),
    ("db2", "^2.1.1"),
    ("elasticsearch", "^1.0.0"),
    ("grpc", "^1.1.2"),
    ("kv-redis", "^3.0.0"),
    ("mongodb", "^3.9.2"),
    ("mssql", "^3.3.1"),
    ("mysql", "^5.3.1"),
    ("openapi", "^1.2.0"),
    ("oracle", "^4.1.1"),
    ("postgresql", "^3.5.0"),
    ("redis", "^0.1.0"),
    ("rest", "^3.4.1"),
    ("soap", "^4.2.1"),
];

/// The name of a package that a data source's connector comes in: what npm takes for a name, and nothing that it would
/// take for an option, an address or a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectorPackage(String);

impl ConnectorPackage {
    /// The package of a connector, `None` where it needs none or is a path in the project.
    #[must_use]
    pub fn of_connector(connector: &str) -> Option<Self> {
        let short = connector.strip_prefix(PREFIX).unwrap_or(connector);
        let allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
        };
        let good = short.len() <= 100
            && short.bytes().all(allowed)
            && short.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
        (good && !BUILT_IN.contains(&connector)).then(|| Self(format!("{PREFIX}{short}")))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The versions that go with LoopBack 3.
    #[must_use]
    pub fn versions(&self) -> &'static str {
        let known = OFFERED.iter().find(|(name, _)| self.0.strip_prefix(PREFIX) == Some(name));
        known.map_or("*", |(_, versions)| versions)
    }
}

impl fmt::Display for ConnectorPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A package that an answer makes needed, or no longer needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PackageChange {
    /// The first data source with its connector was stored.
    Install(ConnectorPackage),
    /// The last data source with its connector was removed.
    Remove(ConnectorPackage),
}

/// What differs between the packages that were needed and those that are.
pub(crate) fn changes(
    before: &BTreeSet<ConnectorPackage>,
    after: &BTreeSet<ConnectorPackage>,
) -> Vec<PackageChange> {
    let installed = after.difference(before).cloned().map(PackageChange::Install);
    let removed = before.difference(after).cloned().map(PackageChange::Remove);
    installed.chain(removed).collect()
}

/// The connectors that are offered, and which the project's package has.
pub(crate) fn offered(package: Option<&Data>) -> Value {
    let dependencies = package.and_then(|package| package.get("dependencies")).and_then(Value::as_object);
    let has = |name: &str| dependencies.is_some_and(|dependencies| dependencies.contains_key(name));
    let built_in = ["memory", "kv-memory", "mail"]
        .into_iter()
        .map(|name| json!({ "name": name, "supportedByStrongLoop": true, "installed": true }));
    let packaged = OFFERED.iter().map(|(name, versions)| {
        let package = format!("{PREFIX}{name}");
        json!({
            "name": name,
            "installed": has(&package),
            "package": { "name": package, "version": versions },
            "supportedByStrongLoop": true,
        })
    });
    built_in.chain(packaged).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connector_names_a_package_and_nothing_else() {
        let package =
            |connector| ConnectorPackage::of_connector(connector).map(|package| package.to_string());
        assert_eq!(package("mysql").unwrap(), "loopback-connector-mysql");
        assert_eq!(package("loopback-connector-mysql").unwrap(), "loopback-connector-mysql");
        for none in [
            "memory",
            "mail",
            "",
            "./own",
            "../x",
            "--global",
            "git+ssh://x",
            "a b",
            "@a/b",
            "Mysql",
            ".x",
            "a@1",
        ] {
            assert_eq!(package(none), None, "{none}");
        }
        assert_eq!(package(&"a".repeat(101)), None);
    }
}
