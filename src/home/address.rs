//! Where Home Assistant's WebSocket API is, and what opens it. Connects to nothing.

use hyper::Uri;

use crate::config::{Config, Secret};

/// Supervisor's proxy of Core's WebSocket API.
const PROXY_PATH: &str = "/core/websocket";
/// Core's own.
const CORE_PATH: &str = "/api/websocket";

/// One Home Assistant (contract section 7).
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// Whether TLS guards the line.
    pub(super) is_secure: bool,
    /// A name or an address, without brackets.
    pub(super) host: String,
    /// The TCP port.
    pub(super) port: u16,
    /// As a `Host` header has it.
    authority: String,
    path: String,
    /// What opens it; never shown.
    pub(super) token: Secret,
}

impl Address {
    /// The add-on speaks to Supervisor's proxy, everybody else to `ha_url`; none where neither is
    /// said.
    pub(super) fn of(config: &Config) -> Option<Self> {
        if let Some(token) = &config.supervisor_token {
            return Self::new(&config.supervisor_url, PROXY_PATH, token);
        }
        match (&config.ha_url, &config.ha_token) {
            (Some(url), Some(token)) => Self::new(url, CORE_PATH, token),
            (Some(_), None) => {
                tracing::warn!("ha_url is set without ha_token: no Home Assistant is asked");
                None
            }
            (None, Some(_)) => {
                tracing::warn!("ha_token is set without ha_url: no Home Assistant is asked");
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

    /// The WebSocket URL; holds no secret.
    pub(super) fn url(&self) -> String {
        let scheme = if self.is_secure { "wss" } else { "ws" };
        format!("{scheme}://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Sources, load};

    fn of(variables: &[(&str, &str)]) -> Option<Address> {
        let variables = variables.iter().map(|(k, v)| (k.into(), v.into()));
        let config = load(&Sources {
            environment: Environment::new(variables),
            ..Sources::default()
        });
        Address::of(&config.unwrap())
    }

    #[test]
    fn the_add_on_asks_supervisor_and_others_ask_core() {
        assert!(of(&[]).is_none());
        let proxy = of(&[
            ("SUPERVISOR_TOKEN", "t0"),
            ("WALLCAST_HA_URL", "http://core:8123"),
            ("WALLCAST_HA_TOKEN", "t1"),
        ])
        .unwrap();
        assert_eq!(proxy.url(), "ws://supervisor/core/websocket");
        assert_eq!((proxy.port, proxy.token.expose()), (80, "t0"));
        let core = of(&[
            ("WALLCAST_HA_URL", "https://[::1]:8123/house/"),
            ("WALLCAST_HA_TOKEN", " t1\n"),
        ])
        .unwrap();
        assert_eq!(core.url(), "wss://[::1]:8123/house/api/websocket");
        assert_eq!((core.host.as_str(), core.token.expose()), ("::1", "t1"));
        assert!(!format!("{core:?}").contains("t1"));
    }

    #[test]
    fn a_url_without_a_token_is_no_home_assistant() {
        assert!(of(&[("WALLCAST_HA_URL", "http://core:8123")]).is_none());
        assert!(of(&[("WALLCAST_HA_TOKEN", "t")]).is_none());
    }
}
