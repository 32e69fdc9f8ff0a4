//! Where Home Assistant's WebSocket API is, and the token for it. Connects to nothing.

use hyper::Uri;

use crate::config::{Config, Secret};

/// Path of Supervisor's proxy to Core's WebSocket API.
const PROXY_PATH: &str = "/core/websocket";
/// Path of Core's own WebSocket API.
const CORE_PATH: &str = "/api/websocket";

/// Address and token of one Home Assistant.
#[derive(Clone, Debug)]
pub(super) struct HomeAddress {
    /// Whether to connect with TLS.
    pub(super) is_secure: bool,
    /// A host name or IP address; IPv6 without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// `HOST[:PORT]` as in the `Host` header.
    authority: String,
    path: String,
    pub(super) token: Secret,
}

impl HomeAddress {
    /// In the add-on Supervisor's proxy, otherwise `ha_url`. `None` if neither is configured.
    pub(super) fn from_config(config: &Config) -> Option<Self> {
        if let Some(token) = &config.supervisor_token {
            return Self::new(&config.supervisor_url, PROXY_PATH, token);
        }
        match (&config.ha_url, &config.ha_token) {
            (Some(url), Some(token)) => Self::new(url, CORE_PATH, token),
            (Some(_), None) => {
                tracing::warn!("ha_url is set without ha_token: not connecting to Home Assistant");
                None
            }
            (None, Some(_)) => {
                tracing::warn!("ha_token is set without ha_url: not connecting to Home Assistant");
                None
            }
            (None, None) => None,
        }
    }

    fn new(base: &Uri, path: &str, token: &Secret) -> Option<Self> {
        let authority = base.authority()?;
        let is_secure = base.scheme_str() == Some("https");
        Some(Self {
            is_secure,
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority
                .port_u16()
                .unwrap_or(if is_secure { 443 } else { 80 }),
            authority: authority.to_string(),
            path: format!("{}{path}", base.path().trim_end_matches('/')),
            token: token.clone(),
        })
    }

    /// The WebSocket URL; contains no secret.
    pub(super) fn url(&self) -> String {
        let scheme = if self.is_secure { "wss" } else { "ws" };
        format!("{scheme}://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Sources, load};

    fn address(variables: &[(&str, &str)]) -> Option<HomeAddress> {
        let variables = variables.iter().map(|(k, v)| (k.into(), v.into()));
        let config = load(&Sources {
            environment: Environment::new(variables),
            ..Sources::default()
        });
        HomeAddress::from_config(&config.unwrap())
    }

    #[test]
    fn addon_uses_supervisor_proxy_and_others_core() {
        assert!(address(&[]).is_none());
        let proxy = address(&[
            ("SUPERVISOR_TOKEN", "t0"),
            ("WALLCAST_HA_URL", "http://core:8123"),
            ("WALLCAST_HA_TOKEN", "t1"),
        ])
        .unwrap();
        assert_eq!(proxy.url(), "ws://supervisor/core/websocket");
        assert_eq!((proxy.port, proxy.token.expose()), (80, "t0"));
        let core = address(&[
            ("WALLCAST_HA_URL", "https://[::1]:8123/house/"),
            ("WALLCAST_HA_TOKEN", " t1\n"),
        ])
        .unwrap();
        assert_eq!(core.url(), "wss://[::1]:8123/house/api/websocket");
        assert_eq!((core.host.as_str(), core.token.expose()), ("::1", "t1"));
        assert!(!format!("{core:?}").contains("t1"));
    }

    #[test]
    fn url_without_token_configures_nothing() {
        assert!(address(&[("WALLCAST_HA_URL", "http://core:8123")]).is_none());
        assert!(address(&[("WALLCAST_HA_TOKEN", "t")]).is_none());
    }
}
