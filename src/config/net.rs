//! IP networks, for `ingress_from` and `trusted_proxies`.

use std::{fmt, net::IpAddr, str::FromStr};

/// A CIDR network. A single address is a network of one.
///
/// Bits after the prefix are cleared. An IPv4-mapped IPv6 address counts as its IPv4 address,
/// because a dual-stack socket reports IPv4 peers like that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpNet {
    network: IpAddr,
    prefix: u8,
}

/// The text is neither an address nor `ADDRESS/BITS`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address or network such as 10.0.0.0/8")]
pub struct ParseIpNetError;

impl IpNet {
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.network.is_ipv4() && masked(address, self.prefix) == self.network
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    // `checked_shl` because a shift by the full width overflows; prefix 0 keeps no bits.
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

impl FromStr for IpNet {
    type Err = ParseIpNetError;

    fn from_str(text: &str) -> Result<Self, ParseIpNetError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let parsed: IpAddr = address.parse().map_err(|_| ParseIpNetError)?;
        let canonical = parsed.to_canonical();
        let widest: u8 = if parsed.is_ipv4() { 32 } else { 128 };
        let mut prefix = match bits {
            None => widest,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().map_err(|_| ParseIpNetError)?
            }
            Some(_) => return Err(ParseIpNetError),
        };
        if prefix > widest {
            return Err(ParseIpNetError);
        }
        if canonical.is_ipv4() && parsed.is_ipv6() {
            // All IPv4-mapped addresses share the prefix ::ffff:0:0/96.
            prefix = prefix.checked_sub(96).ok_or(ParseIpNetError)?;
        }
        Ok(Self {
            network: masked(canonical, prefix),
            prefix,
        })
    }
}

impl fmt::Display for IpNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let single = if self.network.is_ipv4() { 32 } else { 128 };
        if self.prefix == single {
            write!(f, "{}", self.network)
        } else {
            write!(f, "{}/{}", self.network, self.prefix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::IpNet;

    fn contains(net: &str, address: &str) -> bool {
        let net: IpNet = net.parse().unwrap();
        net.contains(address.parse().unwrap())
    }

    #[test]
    fn network_contains_only_its_addresses() {
        assert!(contains("172.30.32.2", "172.30.32.2"));
        assert!(contains("172.30.32.2", "::ffff:172.30.32.2"));
        assert!(!contains("172.30.32.2", "172.30.32.3"));
        assert!(contains("10.1.2.3/8", "10.200.0.1"));
        assert!(!contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("0.0.0.0/0", "203.0.113.9"));
        assert!(!contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("::/0", "2001:db8::1"));
        assert!(contains("fd00::/8", "fd12:3456::1"));
        assert!(!contains("fd00::/8", "fe80::1"));
        assert!(contains("::ffff:10.0.0.0/104", "10.9.9.9"));
    }

    #[test]
    fn display_is_canonical() {
        for (text, expected) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("::1", "::1"),
            ("1.2.3.4/32", "1.2.3.4"),
        ] {
            assert_eq!(text.parse::<IpNet>().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn malformed_networks_are_refused() {
        for text in [
            "",
            "localhost",
            "1.2.3",
            "1.2.3.4/33",
            "1.2.3.4/",
            "1.2.3.4/-1",
            "1.2.3.4/+8",
            "::1/129",
            "::ffff:1.2.3.4/8",
            "1.2.3.4/8/8",
            "1.2.3.4:80",
        ] {
            assert!(text.parse::<IpNet>().is_err(), "{text:?} was accepted");
        }
    }
}
