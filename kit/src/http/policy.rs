//! Which addresses may be called: https on ports 443 and 8443, no credentials in the address, and only machines on
//! the public internet. Exceptions are named one by one as `host:port`. The rules are checked against the parsed
//! address, so every spelling of a number (decimal, octal, hex, IPv4 in IPv6) meets the same rule.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// What outbound calls may reach besides the public internet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutboundConfig {
    /// `host:port` entries that are exempt from the rules on private addresses, ports and https: servers on a
    /// private network, and the sandbox. Empty by default.
    pub allow: Vec<String>,
}

impl OutboundConfig {
    /// Every entry that cannot be understood, as a sentence.
    pub fn validate(&self) -> Vec<String> {
        let entries = self.allow.iter().filter(|entry| parse_entry(entry).is_none());
        entries.map(|entry| format!("outbound.allow: `{entry}` is not of the form host:port")).collect()
    }
}

/// The rule that an address broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not an absolute URL with a host.
    #[error("the address cannot be read")]
    Unreadable,
    /// Neither https nor an allowed exception.
    #[error("only https addresses are called")]
    Scheme,
    /// A user name or a password stands in the address.
    #[error("the address contains a user name or a password")]
    Credentials,
    /// Neither 443 nor 8443.
    #[error("only the ports 443 and 8443 are called")]
    Port,
    /// A name that can only mean a machine nearby.
    #[error("the name belongs to a private network")]
    PrivateName,
    /// An address that is not on the public internet.
    #[error("the address is not on the public internet")]
    PrivateAddress,
}

/// The rules with their exceptions.
#[derive(Debug, Clone, Default)]
pub(super) struct Policy {
    allow: HashSet<(String, u16)>,
}

/// An address that kept the rules.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// Host to resolve, or the literal address.
    pub(super) host: Host<String>,
    /// Port to connect to.
    pub(super) port: u16,
    /// Whether to speak TLS.
    pub(super) tls: bool,
    /// True for the exceptions, whose resolved addresses are not filtered.
    pub(super) exempt: bool,
}

impl Policy {
    pub(super) fn new(config: &OutboundConfig) -> Self {
        Self { allow: config.allow.iter().filter_map(|entry| parse_entry(entry)).collect() }
    }

    /// Checks all that can be checked without resolving a name.
    pub(super) fn check(&self, url: &Url) -> Result<Target, Refusal> {
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(Refusal::Scheme),
        };
        let host = url.host().ok_or(Refusal::Unreadable)?.to_owned();
        let port = url.port_or_known_default().ok_or(Refusal::Unreadable)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Credentials);
        }
        let exempt = self.allow.contains(&(plain(&host.to_string()), port));
        if exempt {
            return Ok(Target { host, port, tls, exempt });
        }
        if !tls {
            return Err(Refusal::Scheme);
        }
        if !matches!(port, 443 | 8443) {
            return Err(Refusal::Port);
        }
        let refused = match &host {
            Host::Domain(name) => is_private_name(name).then_some(Refusal::PrivateName),
            Host::Ipv4(ip) => (!is_public(IpAddr::V4(*ip))).then_some(Refusal::PrivateAddress),
            Host::Ipv6(ip) => (!is_public(IpAddr::V6(*ip))).then_some(Refusal::PrivateAddress),
        };
        refused.map_or(Ok(Target { host, port, tls, exempt }), Err)
    }
}

/// Keeps the public addresses of an answer; none left is a refusal.
pub(super) fn public_only(found: Vec<IpAddr>) -> Result<Vec<IpAddr>, Refusal> {
    let kept: Vec<_> = found.into_iter().filter(|ip| is_public(*ip)).collect();
    if kept.is_empty() { Err(Refusal::PrivateAddress) } else { Ok(kept) }
}

/// Whether an address is reachable for anyone: an allow list of the global ranges, less their special parts.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

/// See <https://www.iana.org/assignments/iana-ipv4-special-registry>.
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

/// Only 2000::/3 is global; mapped IPv4, NAT64, unique local, link local and multicast lie outside of it.
/// See <https://www.iana.org/assignments/iana-ipv6-special-registry>.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    let global = (0x2000..=0x3fff).contains(&a);
    let special = (a == 0x2001 && (b <= 0x01ff || b == 0x0db8)) // protocol assignments, Teredo, documentation
        || a == 0x2002 // 6to4 carries an IPv4 address
        || (a == 0x3fff && b <= 0x0fff); // documentation
    global && !special
}

/// Names of RFC 6761/6762/8375 and the like, and names without a dot, never belong to a public server.
fn is_private_name(name: &str) -> bool {
    const SUFFIXES: [&str; 8] =
        [".localhost", ".local", ".internal", ".localdomain", ".home.arpa", ".onion", ".test", ".invalid"];
    let name = plain(name);
    !name.contains('.') || SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

fn plain(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// `host:port` with the host spelled as the URL parser spells it.
fn parse_entry(entry: &str) -> Option<(String, u16)> {
    let (host, port) = entry.trim().rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let url = Url::parse(&format!("https://{host}/")).ok()?;
    let bare =
        url.username().is_empty() && url.password().is_none() && url.path() == "/" && url.port().is_none();
    let host = url.host().filter(|_| bare && url.query().is_none() && url.fragment().is_none())?;
    Some((plain(&host.to_string()), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(url: &str) -> Result<(), Refusal> {
        let url = Url::parse(url).map_err(|_| Refusal::Unreadable)?;
        Policy::default().check(&url).map(|_| ())
    }

    /// Every hostile spelling with the rule that stops it.
    const HOSTILE: &[(&str, Refusal)] = &[
        ("http://example.com/", Refusal::Scheme),
        ("ftp://example.com/", Refusal::Scheme),
        ("file:///etc/passwd", Refusal::Scheme),
        ("gopher://example.com/_x", Refusal::Scheme),
        ("ws://example.com/", Refusal::Scheme),
        ("data:text/plain,hi", Refusal::Scheme),
        ("javascript:alert(1)", Refusal::Scheme),
        ("HTTP://127.0.0.1/", Refusal::Scheme),
        ("https://", Refusal::Unreadable),
        ("//example.com/", Refusal::Unreadable),
        ("example.com", Refusal::Unreadable),
        ("https://exa mple.com/", Refusal::Unreadable),
        ("https://256.256.256.256/", Refusal::Unreadable),
        ("https://1.2.3.4.5/", Refusal::Unreadable),
        ("https://[::1/", Refusal::Unreadable),
        ("https://example.com:99999/", Refusal::Unreadable),
        ("https://user@example.com/", Refusal::Credentials),
        ("https://user:pass@example.com/", Refusal::Credentials),
        ("https://:pass@example.com/", Refusal::Credentials),
        ("https://example.com@127.0.0.1/", Refusal::Credentials),
        ("https://example.com%40evil@example.org/", Refusal::Credentials),
        ("https://example.com:80/", Refusal::Port),
        ("https://example.com:22/", Refusal::Port),
        ("https://example.com:6379/", Refusal::Port),
        ("https://example.com:8080/", Refusal::Port),
        ("https://example.com:9090/", Refusal::Port),
        ("https://localhost/", Refusal::PrivateName),
        ("https://LOCALHOST/", Refusal::PrivateName),
        ("https://localhost./", Refusal::PrivateName),
        ("https://a.localhost/", Refusal::PrivateName),
        ("https://printer.local/", Refusal::PrivateName),
        ("https://metadata.google.internal/", Refusal::PrivateName),
        ("https://metadata/", Refusal::PrivateName),
        ("https://router.home.arpa/", Refusal::PrivateName),
        ("https://host.localdomain/", Refusal::PrivateName),
        ("https://127.0.0.1/", Refusal::PrivateAddress),
        ("https://127.0.0.1./", Refusal::PrivateAddress),
        ("https://127.255.255.254/", Refusal::PrivateAddress),
        ("https://127.1/", Refusal::PrivateAddress),
        ("https://127.0.1/", Refusal::PrivateAddress),
        ("https://2130706433/", Refusal::PrivateAddress),
        ("https://0x7f000001/", Refusal::PrivateAddress),
        ("https://0x7f.0.0.1/", Refusal::PrivateAddress),
        ("https://0177.0.0.1/", Refusal::PrivateAddress),
        ("https://017700000001/", Refusal::PrivateAddress),
        ("https://0/", Refusal::PrivateAddress),
        ("https://0.0.0.0/", Refusal::PrivateAddress),
        ("https://0.1.2.3/", Refusal::PrivateAddress),
        ("https://10.0.0.1/", Refusal::PrivateAddress),
        ("https://100.64.0.1/", Refusal::PrivateAddress),
        ("https://100.127.255.255/", Refusal::PrivateAddress),
        ("https://169.254.169.254/latest/meta-data/", Refusal::PrivateAddress),
        ("https://0xa9fea9fe/", Refusal::PrivateAddress),
        ("https://172.16.0.1/", Refusal::PrivateAddress),
        ("https://172.31.255.255:8443/", Refusal::PrivateAddress),
        ("https://192.0.0.8/", Refusal::PrivateAddress),
        ("https://192.0.2.1/", Refusal::PrivateAddress),
        ("https://192.88.99.1/", Refusal::PrivateAddress),
        ("https://192.168.1.1/", Refusal::PrivateAddress),
        ("https://198.18.0.1/", Refusal::PrivateAddress),
        ("https://198.51.100.7/", Refusal::PrivateAddress),
        ("https://203.0.113.9/", Refusal::PrivateAddress),
        ("https://224.0.0.1/", Refusal::PrivateAddress),
        ("https://240.0.0.1/", Refusal::PrivateAddress),
        ("https://255.255.255.255/", Refusal::PrivateAddress),
        ("https://１２７.0.0.1/", Refusal::PrivateAddress),
        ("https://127。0。0。1/", Refusal::PrivateAddress),
        ("https://①②⑦.0.0.1/", Refusal::PrivateAddress),
        ("https://%31%32%37.0.0.1/", Refusal::PrivateAddress),
        ("https://[::]/", Refusal::PrivateAddress),
        ("https://[::1]/", Refusal::PrivateAddress),
        ("https://[0:0:0:0:0:0:0:1]/", Refusal::PrivateAddress),
        ("https://[::ffff:127.0.0.1]/", Refusal::PrivateAddress),
        ("https://[::ffff:7f00:1]/", Refusal::PrivateAddress),
        ("https://[::ffff:8.8.8.8]/", Refusal::PrivateAddress),
        ("https://[::127.0.0.1]/", Refusal::PrivateAddress),
        ("https://[64:ff9b::7f00:1]/", Refusal::PrivateAddress),
        ("https://[64:ff9b:1::a9fe:a9fe]/", Refusal::PrivateAddress),
        ("https://[100::1]/", Refusal::PrivateAddress),
        ("https://[2001::1]/", Refusal::PrivateAddress),
        ("https://[2001:0:7f00:1::]/", Refusal::PrivateAddress),
        ("https://[2001:db8::1]/", Refusal::PrivateAddress),
        ("https://[2002:7f00:1::]/", Refusal::PrivateAddress),
        ("https://[3fff::1]/", Refusal::PrivateAddress),
        ("https://[fc00::1]/", Refusal::PrivateAddress),
        ("https://[fd00::1]/", Refusal::PrivateAddress),
        ("https://[fe80::1]/", Refusal::PrivateAddress),
        ("https://[fec0::1]/", Refusal::PrivateAddress),
        ("https://[ff02::1]/", Refusal::PrivateAddress),
    ];

    #[test]
    fn refuses_every_hostile_address_by_the_right_rule() {
        for (url, rule) in HOSTILE {
            assert_eq!(verdict(url), Err(*rule), "{url}");
        }
    }

    #[test]
    fn lets_public_addresses_through() {
        for url in [
            "https://mastodon.social/",
            "https://mastodon.social:8443/x?y",
            "https://xn--mller-kva.example/",
            "https://müller.example/",
            "https://8.8.8.8/",
            "https://172.32.0.1/",
            "https://100.128.0.1/",
            "https://[2606:4700::1111]/",
            "https://[2a00:1450:4001::200e]/",
        ] {
            assert_eq!(verdict(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn an_exception_is_one_host_and_one_port() {
        let config = OutboundConfig {
            allow: vec!["127.0.0.1:8090".into(), "[::1]:9000".into(), "Box.Local:443".into()],
        };
        assert!(config.validate().is_empty());
        let policy = Policy::new(&config);
        let verdict = |url: &str| policy.check(&Url::parse(url).unwrap()).map(|target| target.exempt);
        assert_eq!(verdict("http://127.0.0.1:8090/mastodon"), Ok(true));
        assert_eq!(verdict("http://2130706433:8090/"), Ok(true));
        assert_eq!(verdict("http://[::1]:9000/"), Ok(true));
        assert_eq!(verdict("https://box.local/"), Ok(true));
        assert_eq!(verdict("http://127.0.0.1:8091/"), Err(Refusal::Scheme));
        assert_eq!(verdict("https://127.0.0.2:8443/"), Err(Refusal::PrivateAddress));
        assert_eq!(verdict("http://u@127.0.0.1:8090/"), Err(Refusal::Credentials));
        assert_eq!(verdict("https://mastodon.social/"), Ok(false));
    }

    #[test]
    fn names_every_entry_that_cannot_be_understood() {
        let allow = [
            "sandbox",
            "host:port",
            "host:0",
            "http://host:80",
            "u@host:80",
            "host/x:80",
            ":80",
            "ok.example:80",
        ];
        let config = OutboundConfig { allow: allow.map(String::from).to_vec() };
        assert_eq!(config.validate().len(), 7, "{:?}", config.validate());
    }
}
