//! Where a browser may be sent with a code: to our own clients alone.

use lb_http::serve::Origins;
use url::{Host, Url};

/// The address, where it is on this machine (a command line waits there, RFC 8252) or of a configured origin.
///
/// # Errors
/// A sentence about what is wrong with it. `CORS_ORIGINS=*` allows no origin here: a code is not for anybody.
pub(super) fn checked(text: &str, origins: &Origins) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("`redirect_uri` is no URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.fragment().is_some() {
        return Err("`redirect_uri` is an http or https URL without a fragment".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("`redirect_uri` has a user name in it".to_owned());
    }
    let here = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let origin = url.origin().ascii_serialization();
    let ours = match origins {
        Origins::Listed(list) => list.iter().any(|listed| listed.as_bytes() == origin.as_bytes()),
        Origins::Any => false,
    };
    if here || ours {
        Ok(url)
    } else {
        Err(format!(
            "`redirect_uri` leads to {origin}, which is neither this machine nor one of CORS_ORIGINS"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_goes_to_our_own_clients_alone() {
        let origins = Origins::parse(&["https://ui.example.com".to_owned()]).unwrap();
        for good in [
            "https://ui.example.com/signed-in?x=1",
            "http://127.0.0.1:4711/",
            "http://[::1]:4711/back",
            "http://localhost/",
        ] {
            assert!(checked(good, &origins).is_ok(), "{good}");
        }
        for bad in [
            "https://evil.example.com/",
            "http://ui.example.com/",
            "https://ui.example.com:8443/",
            "https://ui.example.com.evil.com/",
            "https://ui.example.com@evil.com/",
            "http://user@127.0.0.1/",
            "http://127.0.0.1.evil.com/",
            "http://localhost.evil.com/",
            "javascript:alert(1)",
            "data:text/html,x",
            "//ui.example.com/",
            "/relative",
            "https://ui.example.com/#x",
            "",
        ] {
            assert!(checked(bad, &origins).is_err(), "{bad}");
        }
        assert!(checked("https://ui.example.com/", &Origins::Any).is_err(), "any origin is none");
    }
}
