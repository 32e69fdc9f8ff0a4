//! Names and addresses a certificate can carry; knows no certificate, no network and no option file.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use rustls::pki_types::DnsName;

/// Interface addresses taken into one leaf: a host full of containers has hundreds, and the
/// certificate travels in every full handshake.
const MAX_HOST_ADDRESSES: usize = 64;

/// What a text must be to become a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is neither a host name nor an IP address; write it like wallpanel.lan or 192.168.1.5"
)]
pub struct NameError(String);

/// A DNS name: lower case, without a trailing dot, no wildcard.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

impl HostName {
    /// Reads a name in any case, with or without the trailing dot.
    pub fn parse(said: &str) -> Result<Self, NameError> {
        let name = said.trim().trim_end_matches('.').to_ascii_lowercase();
        match DnsName::try_from(name.as_str()) {
            Ok(_) => Ok(Self(name)),
            Err(_) => Err(NameError(said.to_owned())),
        }
    }

    /// The name as it stands in a certificate.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bare host name: `panel` of `panel.example.org`. None where that label alone is no name
    /// (all digits).
    pub fn bare(&self) -> Option<Self> {
        let (label, _) = self.0.split_once('.').unwrap_or((&self.0, ""));
        Self::parse(label).ok()
    }

    /// Whether this is `parent` itself or a name below it (RFC 5280, 4.2.1.10).
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

/// One subject alternative name of a leaf.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AltName {
    /// A DNS name.
    Dns(HostName),
    /// An address; an IPv4 address is never in its IPv6-mapped form.
    Ip(IpAddr),
}

impl AltName {
    /// Reads one entry of the option `tls_names`: a name, an address, or an IPv6 address in brackets.
    pub fn parse(said: &str) -> Result<Self, NameError> {
        let text = said.trim();
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

/// What is known about the host that tablets reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// The host's own name, in full as it calls itself.
    pub host: Option<HostName>,
    /// Names and addresses under which people are known to open it.
    pub reached_at: Vec<AltName>,
    /// The addresses of its interfaces.
    pub addresses: Vec<IpAddr>,
}

/// The names and addresses of one leaf, sorted, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateNames(BTreeSet<AltName>);

impl CertificateNames {
    /// Everything the leaf should carry, before the authority's constraints are applied:
    /// the names every house has, the host's own and `tls_names`.
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
        names.extend(facts.reached_at.iter().cloned());
        names.extend(useful(&facts.addresses).map(AltName::from));
        names.extend(tls_names.iter().cloned());
        Self(names)
    }

    /// Keeps only what `permitted` says yes to.
    pub fn retain(&mut self, permitted: impl Fn(&AltName) -> bool) {
        self.0.retain(permitted);
    }

    /// Adds the names of `other`, as long as there are fewer than `most`.
    pub fn extend_up_to(&mut self, other: &Self, most: usize) {
        for name in &other.0 {
            if self.0.len() >= most {
                break;
            }
            self.0.insert(name.clone());
        }
    }

    /// Every name, DNS names first.
    pub fn iter(&self) -> impl Iterator<Item = &AltName> {
        self.0.iter()
    }

    /// Whether `name` is among them.
    pub fn contains(&self, name: &AltName) -> bool {
        self.0.contains(name)
    }
}

impl FromIterator<AltName> for CertificateNames {
    fn from_iter<I: IntoIterator<Item = AltName>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

/// The addresses a browser can use come first: IPv6 link-local ones need a zone that no URL carries.
fn useful(addresses: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
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
    fn names_are_lower_case_without_the_trailing_dot() {
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
    fn an_entry_is_a_name_or_an_address() {
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
    fn within_means_whole_labels() {
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
    fn a_full_host_name_gives_itself_its_bare_name_and_its_mdns_name() {
        let facts = HostFacts {
            host: Some(HostName::parse("Pi.fritz.box").unwrap()),
            addresses: vec!["192.168.1.5".parse().unwrap()],
            ..HostFacts::default()
        };
        let names = CertificateNames::collect(&facts, &[AltName::parse("wall.lan").unwrap()]);
        let said: Vec<String> = names.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
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
    fn a_host_full_of_containers_keeps_its_usable_addresses() {
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
