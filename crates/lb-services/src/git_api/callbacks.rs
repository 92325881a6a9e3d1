//! Where webhooks may lead: to public addresses, and to what an operator named. A git server stands inside the
//! platform's network, and what it calls may answer nobody else.
//!
//! Guarantees: a name is accepted where every address that it has now is public. Caveats: a name may lead elsewhere
//! later, and an answer may redirect; Gitea follows redirects and checks each connection against its own
//! `ALLOWED_HOST_LIST`, which is what holds then.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use lb_http::error::ApiError;
use lb_vocab::TextError;
use url::{Host, Url};

/// The setting that lets other addresses in.
const SETTING: &str = "HOOK_ALLOWED_HOSTS";
/// How long the addresses of a name may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// IPv4 addresses that are not public, of IANA's registry of special-purpose addresses.
const SPECIAL_V4: [(&str, &str); 16] = [
    ("0.0.0.0/8", "unspecified"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved"),
    ("192.0.2.0/24", "for documentation"),
    ("192.88.99.0/24", "reserved"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "for benchmarks"),
    ("198.51.100.0/24", "for documentation"),
    ("203.0.113.0/24", "for documentation"),
    ("224.0.0.0/4", "multicast"),
    ("255.255.255.255/32", "broadcast"),
    ("240.0.0.0/4", "reserved"),
];
/// The same of IPv6. What is outside `2000::/3` is not public whether it stands here or not.
const SPECIAL_V6: [(&str, &str); 9] = [
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "private"),
    ("ff00::/8", "multicast"),
    ("2001::/23", "reserved"),
    ("2001:db8::/32", "for documentation"),
    ("3fff::/20", "for documentation"),
];
/// IPv6 addresses that mean an IPv4 address, and at which of their bytes that stands.
const EMBEDDED: [(&str, usize); 4] =
    [("::ffff:0:0/96", 12), ("::/96", 12), ("64:ff9b::/96", 12), ("2002::/16", 2)];

/// What an operator allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// A host of this name.
    Name(String),
    /// Hosts whose names end so; it begins with a dot.
    Under(String),
    /// Addresses, also where a name leads to them.
    Net(IpNet),
}

impl FromStr for Allowed {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let wrong = || {
            TextError::new(
                text,
                "a host",
                "a host's name, `*.` and the end of one, an address, or a range like `10.0.0.0/8` are",
            )
        };
        if let Ok(net) = text.parse() {
            return Ok(Self::Net(net));
        }
        if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(Self::Net(address.into()));
        }
        let (name, under) = text.strip_prefix("*.").map_or((text, false), |name| (name, true));
        match Host::parse(name) {
            Ok(Host::Domain(name)) if !name.contains('*') && !name.trim_end_matches('.').is_empty() => {
                let name = name.trim_end_matches('.');
                Ok(if under { Self::Under(format!(".{name}")) } else { Self::Name(name.to_owned()) })
            }
            Ok(_) | Err(_) => Err(wrong()),
        }
    }
}

/// Where webhooks may lead.
#[derive(Clone, Debug)]
pub(super) struct Callbacks {
    default: Url,
    allowed: Vec<Allowed>,
}

/// What is known of an address by looking at it.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    /// That depends on where the name leads.
    Resolve(String, u16),
    /// What it is.
    Refused(String),
}

impl Callbacks {
    pub(super) fn new(default: Url, allowed: Vec<Allowed>) -> Self {
        Self { default, allowed }
    }

    /// The address of a webhook: the one that is asked for, where it may be one, or the default.
    pub(super) async fn choose(&self, asked: Option<&str>) -> Result<Url, ApiError> {
        let Some(asked) = asked else { return Ok(self.default.clone()) };
        let url: Url = asked
            .parse()
            .ok()
            .filter(|url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| ApiError::bad_request("`callbackUrl` must be an http or https URL"))?;
        let refused = |why: String| {
            // Without what may be a password.
            let host = url.host_str().unwrap_or_default();
            ApiError::bad_request(format!(
                "`callbackUrl` with the host `{host}` is refused: {why}; hosts that are meant to be called are named in {SETTING} of git-api"
            ))
        };
        match self.judge(&url) {
            Verdict::Allowed => {}
            Verdict::Refused(why) => return Err(refused(why)),
            Verdict::Resolve(name, port) => {
                let addresses = resolve(&name, port).await.map_err(refused)?;
                for address in addresses {
                    self.address(address)
                        .map_err(|why| refused(format!("it leads to {address}, which is {why}")))?;
                }
            }
        }
        Ok(url)
    }

    fn judge(&self, url: &Url) -> Verdict {
        if same(url, &self.default) {
            return Verdict::Allowed;
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Verdict::Refused("a name or password stands before its host".to_owned());
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(name)) => return self.name(name, url.port_or_known_default().unwrap_or(80)),
            None => return Verdict::Refused("it has no host".to_owned()),
        };
        match self.address(address) {
            Ok(()) => Verdict::Allowed,
            Err(why) => Verdict::Refused(format!("that address is {why}")),
        }
    }

    fn name(&self, name: &str, port: u16) -> Verdict {
        // A name's last dot only says that it is whole.
        let bare = name.trim_end_matches('.').to_ascii_lowercase();
        let named = self.allowed.iter().any(|allowed| match allowed {
            Allowed::Name(allowed) => *allowed == bare,
            Allowed::Under(end) => bare.ends_with(end.as_str()),
            Allowed::Net(_) => false,
        });
        if named {
            Verdict::Allowed
        } else if bare == "localhost" || bare.ends_with(".localhost") {
            Verdict::Refused("that name is the git server's own machine".to_owned())
        } else {
            Verdict::Resolve(name.to_owned(), port)
        }
    }

    /// `Err` is what the address is.
    fn address(&self, address: IpAddr) -> Result<(), &'static str> {
        let meant = meant(address);
        let listed = self.allowed.iter().any(|allowed| match allowed {
            Allowed::Net(net) => net.contains(&address) || net.contains(&meant),
            Allowed::Name(_) | Allowed::Under(_) => false,
        });
        match special(meant) {
            Some(what) if !listed => Err(what),
            Some(_) | None => Ok(()),
        }
    }
}

/// Whether two addresses differ in nothing but their queries, which are replaced.
fn same(a: &Url, b: &Url) -> bool {
    let bare = |url: &Url| {
        let mut url = url.clone();
        url.set_query(None);
        url.set_fragment(None);
        url
    };
    bare(a) == bare(b)
}

async fn resolve(name: &str, port: u16) -> Result<Vec<IpAddr>, String> {
    let looked = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((name, port))).await;
    let found: Vec<IpAddr> = match looked {
        Ok(Ok(found)) => found.map(|address| address.ip()).collect(),
        Ok(Err(error)) => return Err(format!("its addresses cannot be found: {error}")),
        Err(_) => return Err(format!("its addresses were not found within {} s", PATIENCE.as_secs())),
    };
    if found.is_empty() { Err("it has no address".to_owned()) } else { Ok(found) }
}

/// The IPv4 address that an IPv6 address means, or itself.
fn meant(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if v6 == Ipv6Addr::UNSPECIFIED || v6 == Ipv6Addr::LOCALHOST {
        return address;
    }
    let embedded = EMBEDDED.iter().find(|(net, _)| within(net, address));
    embedded.map_or(address, |(_, at)| {
        let bytes = v6.octets();
        Ipv4Addr::new(bytes[*at], bytes[at + 1], bytes[at + 2], bytes[at + 3]).into()
    })
}

/// What an address is that is not public.
fn special(address: IpAddr) -> Option<&'static str> {
    let (table, public): (&[(&str, &'static str)], &str) = match address {
        IpAddr::V4(_) => (&SPECIAL_V4, "0.0.0.0/0"),
        IpAddr::V6(_) => (&SPECIAL_V6, "2000::/3"),
    };
    let listed = table.iter().find(|(net, _)| within(net, address)).map(|(_, what)| *what);
    listed.or_else(|| (!within(public, address)).then_some("reserved"))
}

fn within(net: &str, address: IpAddr) -> bool {
    net.parse::<IpNet>().is_ok_and(|net| net.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn callbacks(allowed: &[&str]) -> Callbacks {
        let default = "http://configstore.default/hook".parse().unwrap();
        Callbacks::new(default, allowed.iter().map(|text| text.parse().unwrap()).collect())
    }

    /// What a URL is by itself: `allowed`, `resolve`, or what it is.
    fn verdict(callbacks: &Callbacks, url: &str) -> String {
        match callbacks.judge(&url.parse().unwrap()) {
            Verdict::Allowed => "allowed".to_owned(),
            Verdict::Resolve(name, port) => format!("resolve {name}:{port}"),
            Verdict::Refused(why) => why.strip_prefix("that address is ").unwrap_or(&why).to_owned(),
        }
    }

    #[test]
    fn addresses_are_public_or_refused() {
        let callbacks = callbacks(&[]);
        for (host, expected) in [
            ("8.8.8.8", "allowed"),
            ("[2606:4700::1111]", "allowed"),
            ("127.0.0.1", "loopback"),
            ("127.1", "loopback"),
            ("2130706433", "loopback"),
            ("0x7f000001", "loopback"),
            ("0177.0.0.1", "loopback"),
            ("127.0.0.1.", "loopback"),
            ("10.0.0.1", "private"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("172.32.0.1", "allowed"),
            ("192.168.1.1", "private"),
            ("169.254.169.254", "link-local"),
            ("100.64.0.1", "shared"),
            ("0.0.0.0", "unspecified"),
            ("0", "unspecified"),
            ("224.0.0.1", "multicast"),
            ("255.255.255.255", "broadcast"),
            ("240.0.0.1", "reserved"),
            ("198.18.0.1", "for benchmarks"),
            ("192.0.2.1", "for documentation"),
            ("[::]", "unspecified"),
            ("[::1]", "loopback"),
            ("[fc00::1]", "private"),
            ("[fd12:3456::1]", "private"),
            ("[fe80::1]", "link-local"),
            ("[fec0::1]", "private"),
            ("[ff02::1]", "multicast"),
            ("[100::1]", "reserved"),
            ("[2001:db8::1]", "for documentation"),
            ("[2001:0:4136:e378:8000:63bf:3fff:fdd2]", "reserved"),
            ("[::ffff:127.0.0.1]", "loopback"),
            ("[::ffff:a9fe:a9fe]", "link-local"),
            ("[::10.0.0.1]", "private"),
            ("[64:ff9b::10.0.0.1]", "private"),
            ("[64:ff9b:1::10.0.0.1]", "reserved"),
            ("[2002:7f00:1::]", "loopback"),
            ("[2002:808:808::]", "allowed"),
            ("[::ffff:8.8.8.8]", "allowed"),
            ("[::ffff:0:127.0.0.1]", "reserved"),
            ("１２７.0.0.1", "loopback"),
        ] {
            assert_eq!(verdict(&callbacks, &format!("http://{host}:81/hook")), expected, "{host}");
        }
    }

    #[test]
    fn names_are_resolved_unless_they_are_named() {
        let own = "that name is the git server's own machine";
        let before = "a name or password stands before its host";
        let none = callbacks(&[]);
        let some =
            callbacks(&["Hooks.Example.com", "*.svc.cluster.local", "10.1.0.0/16", "::1", "localhost"]);
        for (callbacks, url, expected) in [
            (&none, "http://configstore.default/hook", "allowed"),
            (&none, "http://configstore.default/hook?repository=x", "allowed"),
            (&none, "http://configstore.default/other", "resolve configstore.default:80"),
            (&none, "https://configstore.default/hook", "resolve configstore.default:443"),
            (&none, "http://configstore.default:81/hook", "resolve configstore.default:81"),
            (&none, "http://user@configstore.default/hook", before),
            (&none, "http://:pw@8.8.8.8/", before),
            (&none, "http://localhost/", own),
            (&none, "http://LOCALHOST./", own),
            (&none, "http://a.localhost:8080/", own),
            (&some, "http://hooks.example.com./x", "allowed"),
            (&some, "http://x.hooks.example.com/x", "resolve x.hooks.example.com:80"),
            (&some, "http://a.b.svc.cluster.local/x", "allowed"),
            (&some, "http://svc.cluster.local/x", "resolve svc.cluster.local:80"),
            (&some, "http://evilsvc.cluster.local/x", "resolve evilsvc.cluster.local:80"),
            (&some, "http://10.1.2.3/x", "allowed"),
            (&some, "http://[::ffff:10.1.2.3]/x", "allowed"),
            (&some, "http://10.2.0.1/x", "private"),
            (&some, "http://[::1]/x", "allowed"),
            (&some, "http://127.0.0.1/x", "loopback"),
            (&some, "http://localhost/x", "allowed"),
            (&some, "http://a@localhost/x", before),
        ] {
            assert_eq!(verdict(callbacks, url), expected, "{url}");
        }
    }

    #[test]
    fn what_can_be_no_host_cannot_be_allowed() {
        for text in ["", "*", "*.", "a/b", "10.0.0.0/99", "http://x", "a*b", "*.*.x", "x:80"] {
            assert!(text.parse::<Allowed>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_range_can_be_read() {
        let nets = SPECIAL_V4.iter().chain(&SPECIAL_V6).map(|(net, _)| *net);
        for net in nets.chain(EMBEDDED.iter().map(|(net, _)| *net)).chain(["2000::/3"]) {
            assert!(net.parse::<IpNet>().is_ok_and(|parsed| parsed.trunc() == parsed), "{net}");
        }
    }
}
