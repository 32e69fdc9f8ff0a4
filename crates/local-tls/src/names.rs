//! The names and addresses that a certificate can contain. Does not parse certificates and does no I/O.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use rustls::pki_types::DnsName;

/// Maximum number of interface addresses in a leaf. A host with many containers has hundreds, and the certificate is
/// sent in every full handshake.
const MAX_HOST_ADDRESSES: usize = 64;

/// A text is neither a host name nor an IP address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is neither a host name nor an IP address; valid examples are wallpanel.lan and 192.168.1.5"
)]
pub struct NameError(String);

/// A DNS name in lower case, without a trailing dot. Never a wildcard.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

impl HostName {
    /// Parses a name. Accepts any case, a trailing dot and surrounding whitespace.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let name = text.trim().trim_end_matches('.').to_ascii_lowercase();
        match DnsName::try_from(name.as_str()) {
            Ok(_) => Ok(Self(name)),
            Err(_) => Err(NameError(text.to_owned())),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first label: `panel` of `panel.example.org`. `None` if that label alone is not a valid name, such as one
    /// of only digits.
    pub fn bare(&self) -> Option<Self> {
        let (label, _) = self.0.split_once('.').unwrap_or((&self.0, ""));
        Self::parse(label).ok()
    }

    /// Whether this is `parent` or a name below it (RFC 5280, section 4.2.1.10).
    pub fn is_within(&self, parent: &Self) -> bool {
        self.0
            .strip_suffix(parent.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A subject alternative name of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AltName {
    /// A DNS name.
    Dns(HostName),
    /// An IP address. IPv4 addresses are never in their IPv6-mapped form.
    Ip(IpAddr),
}

impl AltName {
    /// Parses a name, an IP address, or an IPv6 address in brackets.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.trim();
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(text);
        match bare.parse::<IpAddr>() {
            Ok(address) => Ok(address.into()),
            Err(_) => HostName::parse(text).map(Self::Dns),
        }
    }
}

impl From<IpAddr> for AltName {
    fn from(address: IpAddr) -> Self {
        Self::Ip(address.to_canonical())
    }
}

impl From<HostName> for AltName {
    fn from(name: HostName) -> Self {
        Self::Dns(name)
    }
}

impl fmt::Display for AltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => name.fmt(f),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

/// What is known about the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// The host's own name, fully qualified if it is configured like this.
    pub host: Option<HostName>,
    /// Other names and addresses under which clients access the host.
    pub access_names: Vec<AltName>,
    /// The addresses of the host's network interfaces.
    pub addresses: Vec<IpAddr>,
}

/// The set of names and addresses of one leaf.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateNames(BTreeSet<AltName>);

impl CertificateNames {
    /// The names that a leaf should contain: `homeassistant.local`, `localhost` and the loopback addresses; the
    /// host's name, its first label and its mDNS name; its other names and up to 64 addresses; and `tls_names`.
    /// The authority's constraints are not applied.
    pub fn collect(facts: &HostFacts, tls_names: &[AltName]) -> Self {
        let mut names: BTreeSet<AltName> = ["homeassistant.local", "localhost", "127.0.0.1", "::1"]
            .into_iter()
            .filter_map(|name| AltName::parse(name).ok())
            .collect();
        if let Some(host) = &facts.host {
            names.insert(host.clone().into());
            if let Some(bare) = host.bare() {
                names.extend(HostName::parse(&format!("{bare}.local")).map(AltName::Dns));
                names.insert(bare.into());
            }
        }
        names.extend(facts.access_names.iter().cloned());
        names.extend(preferred_addresses(&facts.addresses).map(AltName::from));
        names.extend(tls_names.iter().cloned());
        Self(names)
    }

    /// Removes the names for which `permitted` returns false.
    pub fn retain(&mut self, permitted: impl Fn(&AltName) -> bool) {
        self.0.retain(permitted);
    }

    /// Adds names of `other` until there are `max` names.
    pub fn extend_up_to(&mut self, other: &Self, max: usize) {
        for name in &other.0 {
            if self.0.len() >= max {
                break;
            }
            self.0.insert(name.clone());
        }
    }

    /// The names in order, DNS names before addresses.
    pub fn iter(&self) -> impl Iterator<Item = &AltName> {
        self.0.iter()
    }

    /// Whether the set contains `name`.
    pub fn contains(&self, name: &AltName) -> bool {
        self.0.contains(name)
    }
}

impl FromIterator<AltName> for CertificateNames {
    fn from_iter<I: IntoIterator<Item = AltName>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

/// Prefers addresses that a browser can use. IPv6 link-local addresses need a zone id, which URLs cannot contain.
fn preferred_addresses(addresses: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let mut sorted = addresses.to_vec();
    sorted.sort_by_key(|address| {
        let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        (link_local, *address)
    });
    sorted.into_iter().take(MAX_HOST_ADDRESSES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_name_is_normalized() {
        assert_eq!(
            HostName::parse(" Panel.LAN. ").unwrap().as_str(),
            "panel.lan"
        );
        for wrong in [
            "",
            ".",
            "*.lan",
            "a..b",
            "-a.lan",
            "12",
            "kitchen panel",
            "müsli.lan",
        ] {
            assert!(HostName::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn alt_name_parses_names_and_addresses() {
        let address = |text: &str| AltName::Ip(text.parse().unwrap());
        assert_eq!(
            AltName::parse("192.168.1.5").unwrap(),
            address("192.168.1.5")
        );
        assert_eq!(AltName::parse("[fd00::5]").unwrap(), address("fd00::5"));
        assert_eq!(
            AltName::parse("::ffff:10.0.0.1").unwrap(),
            address("10.0.0.1")
        );
        assert_eq!(
            AltName::parse("Panel.lan").unwrap(),
            AltName::Dns(HostName::parse("panel.lan").unwrap())
        );
        assert!(AltName::parse("https://panel.lan").is_err());
        assert!(AltName::parse("192.168.1.300").is_err());
    }

    #[test]
    fn is_within_compares_whole_labels() {
        let within = |name: &str, parent: &str| {
            HostName::parse(name)
                .unwrap()
                .is_within(&HostName::parse(parent).unwrap())
        };
        assert!(within("local", "local"));
        assert!(within("a.b.local", "local"));
        assert!(!within("notlocal", "local"));
        assert!(!within("local", "a.local"));
        assert!(within("x.home.arpa", "home.arpa"));
    }

    #[test]
    fn qualified_host_adds_its_first_label_and_mdns_name() {
        let facts = HostFacts {
            host: Some(HostName::parse("Pi.fritz.box").unwrap()),
            addresses: vec!["192.168.1.5".parse().unwrap()],
            ..HostFacts::default()
        };
        let names = CertificateNames::collect(&facts, &[AltName::parse("wall.lan").unwrap()]);
        let texts: Vec<String> = names.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "homeassistant.local",
                "localhost",
                "pi",
                "pi.fritz.box",
                "pi.local",
                "wall.lan",
                "127.0.0.1",
                "192.168.1.5",
                "::1"
            ]
        );
    }

    #[test]
    fn addresses_over_limit_drop_link_local_ones_first() {
        let mut addresses: Vec<IpAddr> = (0..200)
            .map(|n| format!("fe80::{n:x}").parse().unwrap())
            .collect();
        addresses.push("192.168.1.5".parse().unwrap());
        let facts = HostFacts {
            addresses,
            ..HostFacts::default()
        };
        let names = CertificateNames::collect(&facts, &[]);
        assert!(names.contains(&AltName::parse("192.168.1.5").unwrap()));
        assert_eq!(names.iter().count(), 4 + MAX_HOST_ADDRESSES);
    }
}
