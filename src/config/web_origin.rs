//! Web origins (RFC 6454), for `cors_origins` and the browser's `Origin` header.

use std::{fmt, str::FromStr};

/// `scheme://host[:port]` as browsers send it: lower case, without the scheme's default port.
///
/// Two origins are the same if and only if they compare equal. `null` and `*` are not origins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WebOrigin(String);

/// The text is not `scheme://host[:port]`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an origin such as https://panel.example:8443")]
pub struct ParseOriginError;

impl WebOrigin {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WebOrigin {
    type Err = ParseOriginError;

    fn from_str(text: &str) -> Result<Self, ParseOriginError> {
        let text = text.to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://").ok_or(ParseOriginError)?;
        if !is_scheme(scheme) {
            return Err(ParseOriginError);
        }
        let (host, port) = split_port(authority)?;
        if !is_host(host) {
            return Err(ParseOriginError);
        }
        let port = port.filter(|port| default_port(scheme) != Some(*port));
        Ok(Self(match port {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }))
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), ParseOriginError> {
    // The colons of an IPv6 address are inside brackets.
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            if port.bytes().all(|byte| byte.is_ascii_digit()) {
                Ok((host, Some(port.parse().map_err(|_| ParseOriginError)?)))
            } else {
                Err(ParseOriginError)
            }
        }
        _ => Ok((authority, None)),
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    }
}

/// RFC 3986, section 3.1. Web view apps use their own schemes, such as `capacitor`.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte)
        })
}

fn is_host(text: &str) -> bool {
    if let Some(inner) = text.strip_prefix('[') {
        return inner
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    }
    !text.is_empty()
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte)
        })
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::WebOrigin;

    #[test]
    fn origin_is_normalized_like_in_browsers() {
        for (text, expected) in [
            ("https://Panel.Example", "https://panel.example"),
            ("https://panel.example:443", "https://panel.example"),
            ("http://panel.example:80", "http://panel.example"),
            ("http://panel.example:443", "http://panel.example:443"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://[::1]", "http://[::1]"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert_eq!(text.parse::<WebOrigin>().unwrap().as_str(), expected);
        }
    }

    #[test]
    fn malformed_origins_are_refused() {
        for text in [
            "",
            "*",
            "null",
            "panel.example",
            "https://",
            "https://*",
            "https://a/b",
            "https://a/",
            "https://a:b",
            "https://a:",
            "https://a:99999",
            "https://u@a",
            "://a",
            "https://a b",
            "https://[::1",
            "https://*.example",
        ] {
            assert!(text.parse::<WebOrigin>().is_err(), "{text:?} was accepted");
        }
    }
}
