//! Hosts have one owner: of the children that claim a host the oldest one has it, then the one with the smaller uid.
//! Every replica computes the same winner, because it depends on nothing but the children.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::Hash;

use lb_desired::build::{Leaf, LeafKind};
use lb_vocab::Timestamp;
use serde_json::Value;

/// Who claims a host: ordered by who gets it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim<K> {
    /// When the child was created.
    pub(crate) created: Timestamp,
    /// The child's uid.
    pub(crate) uid: String,
    /// The child.
    pub(crate) child: K,
}

/// Claims by host.
#[derive(Debug)]
pub(crate) struct Hosts<K> {
    claims: HashMap<String, BTreeSet<Claim<K>>>,
    claimed: HashMap<K, (Claim<K>, BTreeSet<String>)>,
}

impl<K> Default for Hosts<K> {
    fn default() -> Self {
        Self { claims: HashMap::new(), claimed: HashMap::new() }
    }
}

impl<K: Clone + Eq + Ord + Hash> Hosts<K> {
    /// Notes the hosts that a child claims now (none: it is gone). Answers the other children that now own a host
    /// that they did not, or lost one.
    pub(crate) fn claim(&mut self, claim: Claim<K>, hosts: BTreeSet<String>) -> HashSet<K> {
        let before = self.claimed.remove(&claim.child);
        let old_hosts = before.as_ref().map(|(_, hosts)| hosts.clone()).unwrap_or_default();
        let touched: BTreeSet<&String> = hosts.union(&old_hosts).collect();
        let mut affected = HashSet::new();
        for host in touched {
            let owner_before = self.owner(host).cloned();
            let claims = self.claims.entry(host.clone()).or_default();
            if let Some((old, _)) = &before {
                claims.remove(old);
            }
            if hosts.contains(host) {
                claims.insert(claim.clone());
            }
            if claims.is_empty() {
                self.claims.remove(host);
            }
            let owner_now = self.owner(host).cloned();
            if owner_before != owner_now {
                affected.extend(
                    [owner_before, owner_now].into_iter().flatten().filter(|owner| *owner != claim.child),
                );
            }
        }
        if !hosts.is_empty() {
            self.claimed.insert(claim.child.clone(), (claim, hosts));
        }
        affected
    }

    /// Who has this host.
    #[must_use]
    pub(crate) fn owner(&self, host: &str) -> Option<&K> {
        self.claims.get(host)?.first().map(|claim| &claim.child)
    }
}

/// Hosts in the rules of these Ingresses.
#[must_use]
pub(crate) fn of(leaves: &[Leaf]) -> BTreeSet<String> {
    leaves.iter().filter(|leaf| leaf.kind == LeafKind::Ingress).flat_map(hosts).collect()
}

/// Takes the rules of hosts that `keep` refuses out of the Ingresses; an Ingress without rules is left out. Answers
/// what was refused.
pub(crate) fn withhold(leaves: &mut Vec<Leaf>, keep: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let refused: BTreeSet<String> = of(leaves).into_iter().filter(|host| !keep(host)).collect();
    if refused.is_empty() {
        return refused;
    }
    leaves.retain_mut(|leaf| {
        if leaf.kind != LeafKind::Ingress {
            return true;
        }
        leaf.manifest.edit(|ingress| without(ingress, &refused));
        !hosts(leaf).is_empty()
    });
    refused
}

/// Takes hosts out of the rules and certificates of an Ingress.
fn without(ingress: &mut Value, refused: &BTreeSet<String>) {
    let keeps =
        |host: Option<&Value>| host.and_then(Value::as_str).is_none_or(|host| !refused.contains(host));
    if let Some(rules) = ingress.pointer_mut("/spec/rules").and_then(Value::as_array_mut) {
        rules.retain(|rule| keeps(rule.get("host")));
    }
    for entry in ingress.pointer_mut("/spec/tls").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(hosts) = entry.get_mut("hosts").and_then(Value::as_array_mut) {
            hosts.retain(|host| keeps(Some(host)));
        }
    }
}

/// Hosts in the rules of an Ingress.
fn hosts(ingress: &Leaf) -> BTreeSet<String> {
    let ingress = ingress.manifest.value();
    let rules = ingress.pointer("/spec/rules").and_then(Value::as_array).into_iter().flatten();
    rules.filter_map(|rule| rule.get("host")?.as_str().map(str::to_owned)).collect()
}

/// The findings of a child that lost hosts.
#[must_use]
pub(crate) fn findings(refused: &BTreeSet<String>, owner: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut lines: BTreeMap<&String, String> = BTreeMap::new();
    for name in refused {
        let who = owner(name).unwrap_or_else(|| "another one".to_owned());
        lines.insert(
            name,
            format!("host {name} is not served here: {who} claimed it first; rename one of the two"),
        );
    }
    lines.into_values().collect()
}

#[cfg(test)]
mod tests {
    use lb_desired::build::Manifest;
    use serde_json::json;

    use super::*;

    fn claim(child: &'static str, created: u64, uid: &str) -> Claim<&'static str> {
        Claim { created: Timestamp(created), uid: uid.to_owned(), child }
    }

    fn hosts(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_oldest_has_it_and_the_next_inherits_it() {
        let mut all = Hosts::default();
        assert!(all.claim(claim("young", 9, "b"), hosts(&["x", "y"])).is_empty());
        assert_eq!(all.claim(claim("old", 1, "c"), hosts(&["x"])), HashSet::from(["young"]));
        assert_eq!((all.owner("x"), all.owner("y")), (Some(&"old"), Some(&"young")));
        assert!(all.claim(claim("twin", 1, "d"), hosts(&["x"])).is_empty(), "same age, larger uid");
        assert_eq!(all.claim(claim("old", 1, "c"), hosts(&[])), HashSet::from(["twin"]));
        assert_eq!(all.claim(claim("twin", 1, "d"), hosts(&[])), HashSet::from(["young"]));
        assert_eq!(all.owner("x"), Some(&"young"));
        all.claim(claim("young", 9, "b"), hosts(&[]));
        assert!(all.claims.is_empty() && all.claimed.is_empty());
    }

    #[test]
    fn an_ingress_keeps_the_rules_that_are_its_own() {
        let ingress = |hosts: &[&str]| Leaf {
            kind: LeafKind::Ingress,
            name: "i".into(),
            namespace: "n".into(),
            manifest: Manifest::of(
                &json!({"spec": {"rules": hosts.iter().map(|h| json!({"host": h})).collect::<Vec<_>>(), "tls": [{"hosts": hosts}]}}),
            ),
        };
        let mut leaves = vec![ingress(&["x", "y"])];
        assert_eq!(withhold(&mut leaves, |host| host != "x"), hosts(&["x"]));
        assert_eq!(leaves, [ingress(&["y"])]);
        assert_eq!(withhold(&mut leaves, |_| false), hosts(&["y"]));
        assert!(leaves.is_empty());
    }
}
