//! Values of settings that have rules of their own, each checked where it is read.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use lb_vocab::{ProducerName, checked_text, dns_label};

/// A value that does not do; it says what would.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(&'static str);

pub(crate) fn is_label(text: &str) -> bool {
    dns_label(text, 63).is_ok()
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

fn demand(holds: bool, why: &'static str) -> Result<(), ValueError> {
    holds.then_some(()).ok_or(ValueError(why))
}

checked_text!(
    /// A namespace: a DNS label.
    Namespace: ValueError,
    |text| demand(is_label(text), "a namespace is 1 to 63 characters of a-z, 0-9 and `-`")
);
checked_text!(
    /// The name of a Kubernetes object: a DNS subdomain.
    ObjectName: ValueError,
    |text| demand(is_subdomain(text), "a name is dot-separated labels of a-z, 0-9 and `-`")
);
checked_text!(
    /// A DNS domain without a trailing dot. At most 180 characters, so that every host below it is a DNS name.
    Domain: ValueError,
    |text| demand(
        text.len() <= 180 && is_subdomain(text),
        "a domain is dot-separated labels of a-z, 0-9 and `-`, at most 180 characters"
    )
);
checked_text!(
    /// A tag (`1.2.3`) or digest (`sha256:...`) of an image.
    ImageVersion: ValueError,
    |text| {
        let digest = text.strip_prefix("sha256:").is_some_and(|hex| {
            hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        });
        let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        let tag =
            !text.is_empty() && text.len() <= 128 && text.bytes().all(inner) && !text.starts_with(['.', '-']);
        demand(digest || tag, "a version is a tag of at most 128 characters, or `sha256:` and 64 hex digits")
    }
);
checked_text!(
    /// An image without its version: `registry.example:5000/lunchbadger/workspace`.
    Repository: ValueError,
    |text| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'/' | b':');
        let last = text.rsplit('/').next().unwrap_or_default();
        let good = !last.is_empty() && text.len() <= 255 && text.bytes().all(inner) && !last.contains(':');
        demand(good, "an image is named without its version, which has its own variable")
    }
);
checked_text!(
    /// A Kubernetes quantity: `100m`, `0.5`, `2Gi`.
    Quantity: ValueError,
    |text| demand(
        crate::build::quantity::is_quantity(text),
        "a quantity is a number with an optional suffix: `100m`, `0.5`, `512Mi`"
    )
);

/// The namespaces of producers' objects: one for all (`customer`), or one for each (`customer-$PRODUCER`), because
/// Kubernetes' own envelope is about 2,000 to 3,000 Deployments a namespace. A template has text of its own: a
/// producer called like any other namespace must not lead there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceTemplate(String);

const PRODUCER_VARIABLE: &str = "$PRODUCER";

impl NamespaceTemplate {
    /// The namespace of one producer.
    #[must_use]
    pub fn namespace(&self, producer: &ProducerName) -> String {
        self.0.replace(PRODUCER_VARIABLE, producer.as_str())
    }

    /// The one namespace of all producers, where it is one.
    #[must_use]
    pub fn single(&self) -> Option<&str> {
        (!self.0.contains(PRODUCER_VARIABLE)).then_some(self.0.as_str())
    }
}

impl FromStr for NamespaceTemplate {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        // The longest producer name, and the shortest: both must give a namespace.
        let good = |name: &str| is_label(&text.replace(PRODUCER_VARIABLE, name));
        let once = text.matches('$').count() <= 1 && text != PRODUCER_VARIABLE;
        if once && good("a") && good(&"a".repeat(37)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ValueError(
                "a namespace has at most 63 characters of a-z, 0-9 and `-`, and `$PRODUCER` at most once and not alone",
            ))
        }
    }
}

/// Where a service is reached: `git-api.default`, `10.0.0.5:8080`, `[fd00::1]:6379`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A DNS name, or an address without brackets.
    pub host: String,
    /// The port, where one is given.
    pub port: Option<u16>,
}

impl Endpoint {
    /// The namespace of `service.namespace[.svc...]`; `None` for an address, a bare name, or another DNS name.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        if self.address().is_some() {
            return None;
        }
        let mut labels = self.host.split('.');
        let (_, namespace) = (labels.next()?, labels.next()?);
        match labels.next() {
            None | Some("svc") => Some(namespace),
            Some(_) => None,
        }
    }

    /// The address, where the host is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl FromStr for Endpoint {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let error = ValueError("it is `host`, `host:port` or `[address]:port`, without a scheme or a path");
        if let Ok(address) = text.trim_matches(['[', ']']).parse::<Ipv6Addr>() {
            return Ok(Self { host: address.to_string(), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => {
                let port = port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(|| error.clone())?;
                (host, Some(port))
            }
            None => (text, None),
        };
        let host = host.trim_matches(['[', ']']);
        if host.parse::<IpAddr>().is_ok() || is_subdomain(host) {
            Ok(Self { host: host.to_owned(), port })
        } else {
            Err(error)
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// A block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// The block of one address.
    #[must_use]
    pub fn single(address: IpAddr) -> Self {
        Self { address, prefix: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// Whether `other` lies in this block and is smaller, as `except` of a NetworkPolicy demands.
    #[must_use]
    pub fn strictly_contains(&self, other: &Self) -> bool {
        self.address.is_ipv4() == other.address.is_ipv4()
            && self.prefix < other.prefix
            && masked(other.address, self.prefix) == self.address
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(v4) & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
        }
    }
}

impl FromStr for Cidr {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let error = ValueError("a block is `address/prefix`, as 10.0.0.0/8, without bits behind the prefix");
        let (address, prefix) = text.split_once('/').ok_or_else(|| error.clone())?;
        let address: IpAddr = address.parse().map_err(|_| error.clone())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix =
            prefix.parse::<u8>().ok().filter(|prefix| *prefix <= longest).ok_or_else(|| error.clone())?;
        if masked(address, prefix) == address { Ok(Self { address, prefix }) } else { Err(error) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// What a container asks for and may use: `cpu=50m/1,memory=64Mi/256Mi`, each request before its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    /// Requested and greatest processor time.
    pub cpu: (Quantity, Quantity),
    /// Requested and greatest memory.
    pub memory: (Quantity, Quantity),
}

impl FromStr for Resources {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let error = ValueError("it is written `cpu=50m/1,memory=64Mi/256Mi`, request and limit of both");
        let (mut cpu, mut memory) = (None, None);
        for item in text.split(',') {
            let (name, pair) = item.split_once('=').ok_or_else(|| error.clone())?;
            let (request, limit) = pair.split_once('/').ok_or_else(|| error.clone())?;
            if !crate::build::quantity::at_most(request.trim(), limit.trim()) {
                return Err(error);
            }
            let pair = Some((request.trim().parse()?, limit.trim().parse()?));
            match name.trim() {
                "cpu" => cpu = pair,
                "memory" => memory = pair,
                _ => return Err(error),
            }
        }
        let (Some(cpu), Some(memory)) = (cpu, memory) else { return Err(error) };
        Ok(Self { cpu, memory })
    }
}

/// Whether every producer and environment has a Redis user of its own, or all share one password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedisAcl {
    /// A user of its own.
    #[default]
    On,
    /// The shared password; the status says so.
    Off,
}

impl FromStr for RedisAcl {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err(ValueError("it is `on` or `off`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good<T: FromStr>(text: &str) -> bool {
        text.parse::<T>().is_ok()
    }

    #[test]
    fn a_template_gives_a_namespace_for_every_producer() {
        let template: NamespaceTemplate = "customer-$PRODUCER".parse().unwrap();
        assert_eq!(template.namespace(&"big-corp".parse().unwrap()), "customer-big-corp");
        assert_eq!(template.single(), None);
        assert_eq!("customer".parse::<NamespaceTemplate>().unwrap().single(), Some("customer"));
        let long = format!("{}-$PRODUCER", "a".repeat(26));
        for bad in
            ["", "$ENV", "$PRODUCER", "a-$PRODUCER-$PRODUCER", "-$PRODUCER", "a_$PRODUCER", "A", &long, "a.b"]
        {
            assert!(!good::<NamespaceTemplate>(bad), "{bad}");
        }
    }

    #[test]
    fn endpoints_know_their_namespace() {
        let cases = [
            ("git-api.default", Some("default"), None),
            ("git-api.ns.svc.cluster.local:81", Some("ns"), Some(81)),
            ("redis.example.com", None, None),
            ("localhost", None, None),
            ("10.1.2.3:6379", None, Some(6379)),
            ("[fd00::1]:6379", None, Some(6379)),
            ("fd00::1", None, None),
        ];
        for (text, namespace, port) in cases {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.namespace(), endpoint.port), (namespace, port), "{text}");
        }
        assert_eq!("[fd00::1]:1".parse::<Endpoint>().unwrap().to_string(), "[fd00::1]:1");
        for bad in ["", "http://a", "a/b", "a:0", "a:99999", "a:b", "a b", "$X"] {
            assert!(!good::<Endpoint>(bad), "{bad}");
        }
    }

    #[test]
    fn blocks_have_no_bits_behind_the_prefix() {
        for text in ["0.0.0.0/0", "10.0.0.0/8", "1.2.3.4/32", "::/0", "fd00::/8", "2000::/3"] {
            assert_eq!(text.parse::<Cidr>().unwrap().to_string(), text);
        }
        for bad in ["", "10.0.0.0", "10.0.0.1/8", "10.0.0.0/33", "::/129", "x/8", "10.0.0.0/-1"] {
            assert!(!good::<Cidr>(bad), "{bad}");
        }
        let contains = |a: &str, b: &str| a.parse::<Cidr>().unwrap().strictly_contains(&b.parse().unwrap());
        assert!(contains("0.0.0.0/0", "10.0.0.0/8") && contains("::/0", "fd00::/8"));
        assert!(!contains("10.0.0.0/8", "10.0.0.0/8") && !contains("10.0.0.0/8", "11.0.0.0/16"));
        assert!(!contains("0.0.0.0/0", "::/0") && !contains("10.1.0.0/16", "10.0.0.0/8"));
    }

    #[test]
    fn resources_are_requests_and_limits_of_both() {
        let resources: Resources = "memory=64Mi/0.25Gi, cpu=50m/1".parse().unwrap();
        assert_eq!(resources.cpu.1.as_str(), "1");
        assert_eq!(resources.memory.1.as_str(), "0.25Gi");
        for bad in [
            "",
            "cpu=1/1",
            "cpu=1,memory=1/1",
            "cpu=2/1,memory=1/1",
            "cpu=1/1,memory=1/x",
            "cpu=1/1,disk=1/1",
        ] {
            assert!(!good::<Resources>(bad), "{bad}");
        }
    }

    #[test]
    fn images_and_versions_are_apart() {
        for text in ["expressgateway/express-gateway", "localhost:5000/a/b", "a"] {
            assert!(good::<Repository>(text), "{text}");
        }
        for bad in ["", "a:1", "a/", "a b", "a@sha256"] {
            assert!(!good::<Repository>(bad), "{bad}");
        }
        let digest = format!("sha256:{}", "0a".repeat(32));
        for text in ["latest", "1.16.11", "v1_2-3", &digest] {
            assert!(good::<ImageVersion>(text), "{text}");
        }
        for bad in ["", ".1", "a b", "sha256:12", "a/b", &"a".repeat(129)] {
            assert!(!good::<ImageVersion>(bad), "{bad}");
        }
    }
}
