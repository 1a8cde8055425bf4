//! Where a document of an issuer is: its URL, taken apart; and which IP addresses AWS cannot reach. Pure.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;

use crate::doctor::finding::Finding;

/// The path of the discovery document, after the issuer.
pub const DISCOVERY: &str = "/.well-known/openid-configuration";

/// An https URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The whole of it.
    pub url: String,
    /// The host, an IPv6 address without brackets.
    pub host: String,
    /// The host and, where one was written, the port: what the Host header says.
    pub authority: String,
    /// The port; 443 unless the URL says another.
    pub port: u16,
    /// Whether the URL names a port.
    pub has_port: bool,
    /// The path and the query.
    pub path: String,
}

impl Address {
    /// Takes an https URL apart.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that begins with its name.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        if url.chars().any(|char| char.is_whitespace() || char.is_control()) {
            return Err("holds a space or a control character");
        }
        let uri: Uri = url.parse().map_err(|_| "is no URL")?;
        match uri.scheme_str() {
            Some("https") => {}
            Some(_) => return Err("does not begin with https://"),
            None => return Err("has no https:// before the host"),
        }
        let authority = uri.authority().ok_or("has no host")?;
        if authority.as_str().contains('@') {
            return Err("holds a user name");
        }
        if authority.host().is_empty() {
            return Err("has no host");
        }
        Ok(Self {
            url: url.to_owned(),
            host: authority.host().trim_matches(['[', ']']).to_ascii_lowercase(),
            authority: authority.as_str().to_owned(),
            port: authority.port_u16().unwrap_or(443),
            has_port: authority.port_u16().is_some(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }

    /// Returns where an issuer's discovery document is.
    ///
    /// # Errors
    /// The issuer is no URL that AWS takes.
    pub fn of_discovery(issuer: &str) -> Result<Self, Finding> {
        let wrong = |code, reason: &str| {
            Finding::fault(code, format!("the token's issuer {reason}, which AWS does not take"))
                .evidence(format!("iss: {issuer}"))
                .fix("set external_url in /etc/gitlab/gitlab.rb to GitLab's https:// address, and reconfigure")
                .fix("the IAM identity provider's URL must be the same, and is https:// as well")
        };
        let parsed = Self::parse(issuer).and_then(|_| Self::parse(issuer.trim_end_matches('/')));
        let place = parsed.map_err(|reason| {
            let insecure = reason.contains("https://");
            wrong(if insecure { "issuer-not-https" } else { "issuer-not-a-url" }, reason)
        })?;
        if place.path.contains('?') || issuer.contains('#') {
            return Err(wrong("issuer-not-a-url", "holds a query or a fragment"));
        }
        let url = format!("{}{DISCOVERY}", place.url);
        let path = format!("{}{DISCOVERY}", place.path.trim_end_matches('/'));
        Ok(Self { url, path, ..place })
    }
}

/// Returns what kind of address it is that AWS cannot reach, or `None` where it can.
pub fn unreachable_from_aws(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            match () {
                () if v4.is_loopback() => Some("a loopback address"),
                () if v4.is_private() => Some("a private address"),
                () if v4.is_link_local() => Some("a link-local address"),
                () if first == 100 && (64..128).contains(&second) => {
                    Some("an address shared by a provider's customers")
                }
                () if v4.is_documentation() => Some("an address for documentation"),
                () if first == 198 && (18..20).contains(&second) => Some("an address for measurements"),
                () if v4.octets()[..3] == [192, 0, 0] => Some("an address for protocols"),
                () if first == 0 || first >= 224 => Some("no address of a host"),
                () => None,
            }
        }
        IpAddr::V6(v6) => {
            if let Some(v4) = embedded(v6) {
                return unreachable_from_aws(IpAddr::V4(v4));
            }
            match () {
                () if v6.is_loopback() => Some("a loopback address"),
                () if v6.segments()[0] & 0xffc0 == 0xfec0 => Some("a private address"),
                () if v6.segments()[..2] == [0x2001, 0xdb8] => Some("an address for documentation"),
                () if v6.is_unique_local() => Some("a private address"),
                () if v6.is_unicast_link_local() => Some("a link-local address"),
                () if v6.is_unspecified() || v6.is_multicast() => Some("no address of a host"),
                () => None,
            }
        }
    }
}

/// Returns the IPv4 address that an IPv6 address leads to: mapped, compatible, by NAT64 or by 6to4.
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = v6.octets();
    let four = |at: usize| Some(Ipv4Addr::new(octets[at], octets[at + 1], octets[at + 2], octets[at + 3]));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => four(12),
        [0x2002, ..] => four(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_discovery_document_is_below_the_issuer() {
        let place = Address::of_discovery("https://example.com/git/").expect("a URL");
        assert_eq!(place.url, "https://example.com/git/.well-known/openid-configuration");
        assert_eq!((place.host.as_str(), place.port, place.has_port), ("example.com", 443, false));
        assert_eq!(place.path, "/git/.well-known/openid-configuration");
        let place = Address::of_discovery("https://[2001:db8::1]:8443").expect("a URL");
        assert_eq!((place.host.as_str(), place.authority.as_str()), ("2001:db8::1", "[2001:db8::1]:8443"));
    }

    #[test]
    fn what_is_no_https_url_is_refused() {
        for (issuer, code) in [
            ("http://gitlab.example.com", "issuer-not-https"),
            ("gitlab.example.com", "issuer-not-https"),
            ("https://", "issuer-not-a-url"),
            ("https://a b", "issuer-not-a-url"),
            ("https://u:p@gitlab.example.com", "issuer-not-a-url"),
            ("https://gitlab.example.com/?x=1", "issuer-not-a-url"),
            ("https://gitlab.example.com#x", "issuer-not-a-url"),
            ("", "issuer-not-a-url"),
        ] {
            assert_eq!(Address::of_discovery(issuer).expect_err(issuer).code, code, "{issuer}");
        }
    }

    #[test]
    fn addresses_of_inner_networks_are_told_from_those_of_the_internet() {
        for inner in ["10.1.2.3", "172.31.0.1", "192.168.1.1", "127.0.0.1", "169.254.1.1", "100.64.0.1", "0.0.0.0"] {
            assert!(unreachable_from_aws(inner.parse().expect("an address")).is_some(), "{inner}");
        }
        let mapped =
            ["::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "::ffff:169.254.169.254"];
        for inner in ["::", "::1", "fd00:ec2::254", "fe80::1", "fec0::1", "2001:db8::1"].into_iter().chain(mapped) {
            assert!(unreachable_from_aws(inner.parse().expect("an address")).is_some(), "{inner}");
        }
        for outer in ["172.65.251.78", "100.128.0.1", "2606:4700:90::1", "64:ff9b::ac41:fb4e", "172.32.0.1", "11.0.0.1"]
        {
            assert_eq!(unreachable_from_aws(outer.parse().expect("an address")), None, "{outer}");
        }
    }
}
