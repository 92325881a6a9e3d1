//! What is asked about, and the children behind it.

use anyhow::{Result, bail};
use kube::Resource;
use lb_desired::crd::{LBFunction, LBGateway, LBWorkspace};
use serde_json::Value;

use crate::commands::status::Child;

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// A public host.
    Host(String),
    /// An object: its kind in lower case, and its name.
    Object(String, String),
}

impl Subject {
    /// Reads a host (also as a URL, or with a port) or `kind/name`.
    pub(super) fn read(text: &str) -> Result<Self> {
        let text = text.trim();
        if let Some((_, rest)) = text.split_once("://") {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            return Self::host(host, text);
        }
        match text.split_once('/') {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self::Object(kind.split('.').next().unwrap_or(kind).to_ascii_lowercase(), name.to_owned()))
            }
            Some(_) => bail!("`{text}` is neither a host nor KIND/NAME"),
            None => Self::host(text, text),
        }
    }

    fn host(host: &str, text: &str) -> Result<Self> {
        let host = host
            .rsplit_once(':')
            .map_or(host, |(host, port)| if port.bytes().all(|b| b.is_ascii_digit()) { host } else { text });
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
            bail!("`{text}` is neither a host nor KIND/NAME");
        }
        Ok(Self::Host(host))
    }

    /// The children behind it: of several that claim a host the oldest has it.
    pub(super) fn children(&self, all: Vec<Child>) -> Vec<Child> {
        let mut found: Vec<(usize, Child)> =
            all.into_iter().filter_map(|child| Some((self.closeness(&child)?, child))).collect();
        let best = found.iter().map(|(closeness, _)| *closeness).max();
        found.retain(|(closeness, _)| Some(*closeness) == best);
        let mut found: Vec<Child> = found.into_iter().map(|(_, child)| child).collect();
        found.sort_by(|a, b| (&a.created, &a.uid).cmp(&(&b.created, &b.uid)));
        found
    }

    /// How well a child fits, `None` where it does not: an exact host before a wildcard, a longer name before one
    /// that it starts with.
    fn closeness(&self, child: &Child) -> Option<usize> {
        match self {
            Self::Host(host) => hosts(child).iter().filter_map(|pattern| fits(host, pattern)).max(),
            Self::Object(kind, name) => {
                if is_kind(kind, &child.kind) {
                    return (*name == child.name).then_some(name.len());
                }
                // Pods, ReplicaSets and configurations carry their component's name and a suffix.
                let belongs = |base: &String| {
                    name == base || name.strip_prefix(base.as_str()).is_some_and(|rest| rest.starts_with('-'))
                };
                bases(child).iter().filter(|base| belongs(base)).map(String::len).max()
            }
        }
    }
}

/// Whether `kubectl` would read `kind` as this one.
fn is_kind(kind: &str, child: &str) -> bool {
    let child = child.to_ascii_lowercase();
    let short = match child.as_str() {
        "lbworkspace" => "lbw",
        "lbgateway" => "lbg",
        "lbfunction" => "lbfn",
        _ => "",
    };
    kind == child || kind.strip_suffix('s') == Some(&child) || kind == short
}

/// Hosts of a child, as far as its spec says them: the domain is the platform's, so a component's own hosts are
/// known by their first label.
fn hosts(child: &Child) -> Vec<String> {
    if child.kind == LBGateway::kind(&()) {
        let hosts =
            child.spec.get("hosts").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let mut hosts: Vec<String> = hosts.map(str::to_owned).collect();
        if let Some(own) = hosts.first() {
            hosts.push(format!("admin-{own}"));
        }
        hosts
    } else if child.kind == LBWorkspace::kind(&()) {
        ["", "internal-", "sls-"].iter().map(|prefix| format!("{prefix}{}.", child.name)).collect()
    } else {
        Vec::new()
    }
}

/// Names from which the names of a child's objects are made.
fn bases(child: &Child) -> Vec<String> {
    let prefixes: &[&str] = if child.kind == LBGateway::kind(&()) {
        &["gateway-"]
    } else if child.kind == LBWorkspace::kind(&()) {
        &["workspace-", "sls-api-", "credentials-"]
    } else if child.kind == LBFunction::kind(&()) {
        &["fn-"]
    } else {
        &[]
    };
    prefixes.iter().map(|prefix| format!("{prefix}{}", child.name)).collect()
}

fn fits(host: &str, pattern: &str) -> Option<usize> {
    let fits = match pattern.strip_prefix('*') {
        Some(below) => {
            host.strip_suffix(below).is_some_and(|label| !label.is_empty() && !label.contains('.'))
        }
        None if pattern.ends_with('.') => host.starts_with(pattern),
        None => host == pattern,
    };
    // An exact name wins over a wildcard of any length.
    fits.then_some(if pattern.starts_with('*') { pattern.len() } else { 1000 + pattern.len() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn child(kind: &str, name: &str, hosts: &[&str], created: &str) -> Child {
        Child {
            kind: kind.to_owned(),
            namespace: "customer".to_owned(),
            name: name.to_owned(),
            uid: name.to_owned(),
            created: created.to_owned(),
            spec: json!({"hosts": hosts}),
            status: lb_desired::crd::ChildStatus::default(),
        }
    }

    fn all() -> Vec<Child> {
        vec![
            child("LBWorkspace", "al-dev", &[], "1"),
            child("LBGateway", "al-dev-main", &["main-al-dev.example.com", "shop.example.com"], "3"),
            child("LBGateway", "al-dev-main2", &["main2-al-dev.example.com", "*.example.com"], "2"),
            child("LBGateway", "bob-dev-main", &["main-bob-dev.example.com", "shop.example.com"], "1"),
            child("LBFunction", "al-dev-hello", &[], "1"),
        ]
    }

    fn names(text: &str) -> Vec<String> {
        Subject::read(text).unwrap().children(all()).iter().map(|child| child.name.clone()).collect()
    }

    #[test]
    fn hosts_and_objects_lead_to_their_children() {
        for (text, name) in [
            ("main-al-dev.example.com", "al-dev-main"),
            ("https://MAIN-al-dev.example.com:443/cars?x=1", "al-dev-main"),
            ("admin-main-al-dev.example.com", "al-dev-main"),
            ("anything.example.com", "al-dev-main2"),
            ("al-dev.example.com", "al-dev"),
            ("internal-al-dev.example.com", "al-dev"),
            ("sls-al-dev.example.com", "al-dev"),
            ("deployment/gateway-al-dev-main", "al-dev-main"),
            ("pod/gateway-al-dev-main2-6d4cf56db6-x2x7v", "al-dev-main2"),
            ("secret/gateway-al-dev-main-0123456789", "al-dev-main"),
            ("svc/sls-api-al-dev", "al-dev"),
            ("lbgateways.lunchbadger.io/al-dev-main", "al-dev-main"),
            ("lbg/al-dev-main", "al-dev-main"),
            ("function/fn-al-dev-hello", "al-dev-hello"),
        ] {
            assert_eq!(names(text), [name], "{text}");
        }
    }

    #[test]
    fn of_two_that_claim_a_host_the_oldest_has_it() {
        assert_eq!(names("shop.example.com"), ["bob-dev-main", "al-dev-main"]);
    }

    #[test]
    fn others_things_are_not_ours() {
        for text in [
            "example.com",
            "a.b.example.com",
            "deployment/gateway-al-dev-mai",
            "lbgateway/al-dev",
            "pod/nginx",
        ] {
            assert_eq!(names(text), Vec::<String>::new(), "{text}");
        }
        for text in ["", "/", "a/b/c", "deployment/", "a b"] {
            assert!(Subject::read(text).is_err(), "{text}");
        }
    }
}
