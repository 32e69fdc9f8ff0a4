//! The names and addresses that a local authority may certify (RFC 5280, section 4.2.1.10). The same list defines the
//! authority's name constraints and filters the names of its leaves, so the two cannot diverge.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rcgen::{CidrSubnet, GeneralSubtree, NameConstraints};

use super::names::{AltName, HostName};

/// Names that the public DNS does not use.
const DNS: [&str; 5] = ["local", "localhost", "home.arpa", "internal", "lan"];

/// Private, link-local and loopback addresses. fc00::/7 are IPv6 unique local addresses (RFC 4193).
const SUBNETS: [Subnet; 8] = [
    Subnet::V4(Ipv4Addr::new(10, 0, 0, 0), 8),
    Subnet::V4(Ipv4Addr::new(172, 16, 0, 0), 12),
    Subnet::V4(Ipv4Addr::new(192, 168, 0, 0), 16),
    Subnet::V4(Ipv4Addr::new(169, 254, 0, 0), 16),
    Subnet::V4(Ipv4Addr::new(127, 0, 0, 0), 8),
    Subnet::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    Subnet::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    Subnet::V6(Ipv6Addr::LOCALHOST, 128),
];

/// The permitted names and addresses of one authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraints {
    pub(super) dns: Vec<HostName>,
    pub(super) subnets: Vec<Subnet>,
}

impl Constraints {
    /// The constraints of a new authority on `host` (a bare host name): names for local use such as `.local` and
    /// `.lan`, the host's own name, and private, link-local and loopback addresses.
    pub fn for_local_network(host: &HostName) -> Self {
        let mut dns: Vec<HostName> = DNS
            .into_iter()
            .filter_map(|name| HostName::parse(name).ok())
            .collect();
        if !dns.iter().any(|parent| host.is_within(parent)) {
            dns.push(host.clone());
        }
        Self {
            dns,
            subnets: SUBNETS.to_vec(),
        }
    }

    /// Whether a leaf of this authority may contain `name`.
    pub fn permits(&self, name: &AltName) -> bool {
        match name {
            AltName::Dns(name) => self.dns.iter().any(|parent| name.is_within(parent)),
            AltName::Ip(address) => self.subnets.iter().any(|subnet| subnet.contains(*address)),
        }
    }

    /// The permitted DNS names. Names below them are permitted as well.
    pub fn names(&self) -> impl Iterator<Item = &HostName> {
        self.dns.iter()
    }

    /// The certificate extension.
    pub(super) fn to_extension(&self) -> NameConstraints {
        let dns = self
            .dns
            .iter()
            .map(|name| GeneralSubtree::DnsName(name.to_string()));
        let addresses = self
            .subnets
            .iter()
            .map(|subnet| GeneralSubtree::IpAddress(subnet.to_cidr()));
        NameConstraints {
            permitted_subtrees: dns.chain(addresses).collect(),
            excluded_subtrees: Vec::new(),
        }
    }
}

/// A range of addresses: the first address and the prefix length in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subnet {
    V4(Ipv4Addr, u8),
    V6(Ipv6Addr, u8),
}

impl Subnet {
    /// Parses the encoding of the extension: an address followed by a mask of the same length. `None` if the
    /// length is wrong or the mask is not a prefix.
    pub(super) fn from_octets(octets: &[u8]) -> Option<Self> {
        if let Some((address, mask)) = split::<4>(octets) {
            let (mask, prefix) = (
                u32::from_be_bytes(mask),
                u32::from_be_bytes(mask).leading_ones(),
            );
            return (mask.count_ones() == prefix).then(|| Self::V4(address.into(), prefix as u8));
        }
        let (address, mask) = split::<16>(octets)?;
        let (mask, prefix) = (
            u128::from_be_bytes(mask),
            u128::from_be_bytes(mask).leading_ones(),
        );
        (mask.count_ones() == prefix).then(|| Self::V6(address.into(), prefix as u8))
    }

    fn contains(self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::V4(first, prefix), IpAddr::V4(address)) => {
                let differing = first.to_bits() ^ address.to_bits();
                differing.leading_zeros() >= u32::from(prefix)
            }
            (Self::V6(first, prefix), IpAddr::V6(address)) => {
                let differing = first.to_bits() ^ address.to_bits();
                differing.leading_zeros() >= u32::from(prefix)
            }
            _ => false,
        }
    }

    fn to_cidr(self) -> CidrSubnet {
        match self {
            Self::V4(first, prefix) => CidrSubnet::from_v4_prefix(first.octets(), prefix),
            Self::V6(first, prefix) => CidrSubnet::from_v6_prefix(first.octets(), prefix),
        }
    }
}

fn split<const N: usize>(octets: &[u8]) -> Option<([u8; N], [u8; N])> {
    let (address, mask) = octets.split_at_checked(N)?;
    Some((address.try_into().ok()?, mask.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(name: &str) -> bool {
        let host = HostName::parse("panel").unwrap();
        Constraints::for_local_network(&host).permits(&AltName::parse(name).unwrap())
    }

    #[test]
    fn local_names_are_permitted() {
        for name in [
            "homeassistant.local",
            "localhost",
            "panel",
            "x.panel",
            "a.home.arpa",
            "db.internal",
            "wall.lan",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.9",
            "169.254.3.4",
            "127.0.0.53",
            "fd12:3456::1",
            "fc00::1",
            "fe80::1",
            "febf::1",
            "::1",
        ] {
            assert!(permits(name), "{name}");
        }
    }

    #[test]
    fn public_names_are_not_permitted() {
        for name in [
            "example.org",
            "homeassistant",
            "notlan",
            "arpa",
            "home.arpa.example.org",
            "local.example.org",
            "8.8.8.8",
            "172.32.0.1",
            "172.15.0.1",
            "100.64.0.1",
            "0.0.0.0",
            "11.0.0.1",
            "2001:db8::1",
            "fec0::1",
            "fb00::1",
            "::2",
            "::",
        ] {
            assert!(!permits(name), "{name}");
        }
    }

    #[test]
    fn host_within_permitted_name_adds_no_name() {
        let host = HostName::parse("localhost").unwrap();
        assert_eq!(Constraints::for_local_network(&host).dns.len(), DNS.len());
    }

    #[test]
    fn subnet_with_invalid_mask_is_rejected() {
        assert_eq!(Subnet::from_octets(&[10, 0, 0, 0, 255, 0, 255, 0]), None);
        assert_eq!(Subnet::from_octets(&[10, 0, 0, 0, 255, 0, 0]), None);
        assert_eq!(Subnet::from_octets(&[]), None);
        for subnet in SUBNETS {
            let octets = match subnet {
                Subnet::V4(first, prefix) => {
                    let mask = u32::MAX << (32 - u32::from(prefix));
                    [first.octets().to_vec(), mask.to_be_bytes().to_vec()].concat()
                }
                Subnet::V6(first, prefix) => {
                    let mask = u128::MAX << (128 - u32::from(prefix));
                    [first.octets().to_vec(), mask.to_be_bytes().to_vec()].concat()
                }
            };
            assert_eq!(Subnet::from_octets(&octets), Some(subnet));
        }
    }
}
