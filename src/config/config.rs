//! The typed configuration: all defaults resolved, every value parsed and checked against the
//! others. Reads no file and no environment.

use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use hyper::Uri;
use rustls::pki_types::ServerName;
use tracing::level_filters::LevelFilter;

use crate::home_services::AllowedService;

use super::{
    IpNet, OptionError, Provenance, RawOptions, Secret, WebOrigin,
    options::{self, ListValue, OptionKind},
};

/// The configuration as the rest of the program sees it (`docs/protocol.md#options`).
#[derive(Clone, Debug)]
pub struct Config {
    /// The environment variable `SUPERVISOR_TOKEN`; set only in the add-on.
    pub supervisor_token: Option<Secret>,
    /// Addresses of the public TLS listener; at least one.
    pub listen: Vec<SocketAddr>,
    /// Addresses of the ingress listener; empty if it is off.
    pub ingress_listen: Vec<SocketAddr>,
    /// Peers that may connect to the ingress listener.
    pub ingress_from: Vec<IpNet>,
    /// Whether Home Assistant is asked which ingress users are admins. If `false`, all of them are,
    /// and each start logs a warning.
    pub ingress_verify_admin: bool,
    /// Addresses of the plain listener; empty if it is off. Loopback only, unless
    /// `plain_allow_remote` is set.
    pub plain_listen: Vec<SocketAddr>,
    /// Peers whose `X-Forwarded-For` header is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Further web origins whose pages may call the API.
    pub cors_origins: Vec<WebOrigin>,
    /// The data folder; it may not exist yet.
    pub data_dir: PathBuf,
    /// The certificate to serve if both files exist; `None` if an option is set to an empty text.
    pub certificate: Option<CertificateFiles>,
    /// Further names of the leaf certificate, not yet checked against the CA's name constraints.
    pub tls_names: Vec<ServerName<'static>>,
    pub log_level: LevelFilter,
    pub log_format: LogFormat,
    /// Lifetime of a paired client's token.
    pub client_token_life: Duration,
    /// Lifetime of a pairing code or pairing request.
    pub pairing_ttl: Duration,
    /// Interval between heartbeats.
    pub heartbeat: Duration,
    /// New unauthenticated sockets per minute and address.
    pub connections_per_minute: u32,
    /// Maximum open connections.
    pub max_connections: usize,
    /// Maximum open sessions per client.
    pub max_sessions_per_client: usize,
    /// Maximum size of a message from an authenticated session, in bytes.
    pub max_message_bytes: usize,
    /// Messages per second and session.
    pub messages_per_second: u32,
    /// Time limit from connecting to `authenticate`.
    pub auth_timeout: Duration,
    /// Maximum age of events in the history.
    pub history_life: Duration,
    /// Maximum number of events in the history.
    pub history_events: u32,
    /// How long audit entries and finished records are kept.
    pub archive_life: Duration,
    /// Supervisor's base URL, `http` or `https`, without a trailing slash.
    pub supervisor_url: Uri,
    /// Home Assistant's base URL, without a trailing slash. Ignored in the add-on, which uses
    /// Supervisor's proxy.
    pub ha_url: Option<Uri>,
    /// A long-lived access token for `ha_url`.
    pub ha_token: Option<Secret>,
    /// Services that may be called; empty means none.
    pub allowed_services: Vec<AllowedService>,
    /// Where each value came from, for reports and for errors found after loading.
    pub provenance: Provenance,
}

/// Paths of the certificate and its key. The files may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM certificate chain.
    pub certfile: PathBuf,
    /// PEM private key.
    pub keyfile: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

const SECONDS_PER_DAY: u64 = 86_400;

impl Config {
    pub fn in_addon(&self) -> bool {
        self.supervisor_token.is_some()
    }

    /// Parses and checks the raw options.
    ///
    /// # Errors
    /// The first option with an invalid value.
    pub fn resolve(
        raw: RawOptions,
        provenance: Provenance,
        supervisor_token: Option<Secret>,
    ) -> Result<Self, OptionError> {
        let parser = OptionParser { provenance };
        let config = Self {
            supervisor_token,
            listen: parser.non_empty_list("listen", raw.listen)?,
            ingress_listen: parser.list_or_off("ingress_listen", raw.ingress_listen)?,
            ingress_from: parser.non_empty_list("ingress_from", raw.ingress_from)?,
            ingress_verify_admin: parser
                .required("ingress_verify_admin", raw.ingress_verify_admin)?,
            plain_listen: parser.plain_listen(raw.plain_listen, raw.plain_allow_remote)?,
            trusted_proxies: parser.list("trusted_proxies", raw.trusted_proxies)?,
            cors_origins: parser.list("cors_origins", raw.cors_origins)?,
            data_dir: parser.path("data_dir", raw.data_dir)?,
            certificate: parser.certificate(raw.certfile, raw.keyfile)?,
            tls_names: parser.server_names("tls_names", raw.tls_names)?,
            log_level: parser.parsed("log_level", raw.log_level)?,
            log_format: parser.parsed("log_format", raw.log_format)?,
            client_token_life: parser.days("client_token_days", raw.client_token_days)?,
            pairing_ttl: parser.seconds("pairing_ttl_seconds", raw.pairing_ttl_seconds)?,
            heartbeat: parser.seconds("heartbeat_seconds", raw.heartbeat_seconds)?,
            connections_per_minute: parser
                .number("connections_per_minute", raw.connections_per_minute)?,
            max_connections: parser.number("max_connections", raw.max_connections)?,
            max_sessions_per_client: parser
                .number("max_sessions_per_client", raw.max_sessions_per_client)?,
            max_message_bytes: parser.number("max_message_bytes", raw.max_message_bytes)?,
            messages_per_second: parser.number("messages_per_second", raw.messages_per_second)?,
            auth_timeout: parser.seconds("auth_timeout_seconds", raw.auth_timeout_seconds)?,
            history_life: parser.days("history_days", raw.history_days)?,
            history_events: parser.number("history_events", raw.history_events)?,
            archive_life: parser.days("archive_days", raw.archive_days)?,
            supervisor_url: parser.url("supervisor_url", raw.supervisor_url)?,
            ha_url: parser.optional_url("ha_url", raw.ha_url)?,
            ha_token: parser.secret("ha_token", raw.ha_token)?,
            allowed_services: parser.list("allowed_services", raw.allowed_services)?,
            provenance: parser.provenance,
        };
        Ok(config)
    }
}

/// Parses raw values. Each error lists the values that the option allows.
struct OptionParser {
    provenance: Provenance,
}

impl OptionParser {
    fn invalid(&self, option: &'static str) -> OptionError {
        let allowed = options::row(option).map(|row| row.kind.allowed());
        self.provenance.invalid(option, allowed.unwrap_or_default())
    }

    fn required<T>(&self, option: &'static str, value: Option<T>) -> Result<T, OptionError> {
        value.ok_or_else(|| self.invalid(option))
    }

    fn number<T: TryFrom<u64>>(
        &self,
        option: &'static str,
        value: Option<u64>,
    ) -> Result<T, OptionError> {
        let number = self.required(option, value)?;
        match options::row(option).map(|row| &row.kind) {
            Some(OptionKind::Number(min, max)) if (*min..=*max).contains(&number) => {
                T::try_from(number).map_err(|_| self.invalid(option))
            }
            _ => Err(self.invalid(option)),
        }
    }

    fn seconds(&self, option: &'static str, value: Option<u64>) -> Result<Duration, OptionError> {
        self.number(option, value).map(Duration::from_secs)
    }

    fn days(&self, option: &'static str, value: Option<u64>) -> Result<Duration, OptionError> {
        let days: u64 = self.number(option, value)?;
        Ok(Duration::from_secs(SECONDS_PER_DAY * days))
    }

    fn parsed<T: FromStr>(
        &self,
        option: &'static str,
        value: Option<String>,
    ) -> Result<T, OptionError> {
        let text = self.required(option, value)?;
        if let Some(OptionKind::Choice(words)) = options::row(option).map(|row| &row.kind)
            && !words.contains(&text.as_str())
        {
            return Err(self.invalid(option));
        }
        text.parse().map_err(|_| self.invalid(option))
    }

    fn list<T: FromStr>(
        &self,
        option: &'static str,
        value: Option<ListValue>,
    ) -> Result<Vec<T>, OptionError> {
        let items = value.unwrap_or_default().0;
        let parsed = items.iter().map(|item| item.parse());
        parsed
            .collect::<Result<_, _>>()
            .map_err(|_| self.invalid(option))
    }

    fn non_empty_list<T: FromStr>(
        &self,
        option: &'static str,
        value: Option<ListValue>,
    ) -> Result<Vec<T>, OptionError> {
        let list = self.list(option, value)?;
        if list.is_empty() {
            return Err(self.invalid(option));
        }
        Ok(list)
    }

    fn list_or_off(
        &self,
        option: &'static str,
        value: Option<ListValue>,
    ) -> Result<Vec<SocketAddr>, OptionError> {
        match value {
            Some(ListValue(items)) if items == ["off"] => Ok(Vec::new()),
            value => self.list(option, value),
        }
    }

    fn plain_listen(
        &self,
        value: Option<ListValue>,
        allow_remote: Option<bool>,
    ) -> Result<Vec<SocketAddr>, OptionError> {
        let addresses = self.list_or_off("plain_listen", value)?;
        let allow_remote = self.required("plain_allow_remote", allow_remote)?;
        let is_local = |address: &SocketAddr| address.ip().to_canonical().is_loopback();
        if allow_remote || addresses.iter().all(is_local) {
            return Ok(addresses);
        }
        Err(self.provenance.invalid(
            "plain_listen",
            "a loopback address such as 127.0.0.1:8080, or any if plain_allow_remote is true",
        ))
    }

    fn path(&self, option: &'static str, value: Option<String>) -> Result<PathBuf, OptionError> {
        match value {
            Some(text) if !text.is_empty() && !text.contains('\0') => Ok(text.into()),
            _ => Err(self.invalid(option)),
        }
    }

    /// With only one of the two options set, the file would be combined with the default of the
    /// other, which belongs to another certificate.
    fn certificate(
        &self,
        certfile: Option<String>,
        keyfile: Option<String>,
    ) -> Result<Option<CertificateFiles>, OptionError> {
        let is_empty = |value: &Option<String>| value.as_ref().is_none_or(String::is_empty);
        let (no_certfile, no_keyfile) = (is_empty(&certfile), is_empty(&keyfile));
        let is_explicit = |option, empty: bool| !empty && self.provenance.is_explicit(option);
        let incomplete = match (
            is_explicit("certfile", no_certfile),
            is_explicit("keyfile", no_keyfile),
        ) {
            (true, false) => Some(("certfile", "keyfile")),
            (false, true) => Some(("keyfile", "certfile")),
            _ => None,
        };
        if let Some((option, other)) = incomplete {
            let allowed = format!("both certfile and keyfile, or neither; {other} is not set");
            return Err(self.provenance.invalid(option, allowed));
        }
        if no_certfile || no_keyfile {
            return Ok(None);
        }
        Ok(Some(CertificateFiles {
            certfile: self.path("certfile", certfile)?,
            keyfile: self.path("keyfile", keyfile)?,
        }))
    }

    fn server_names(
        &self,
        option: &'static str,
        value: Option<ListValue>,
    ) -> Result<Vec<ServerName<'static>>, OptionError> {
        let items = value.unwrap_or_default().0.into_iter();
        items
            .map(|item| ServerName::try_from(item).map_err(|_| self.invalid(option)))
            .collect()
    }

    fn url(&self, option: &'static str, value: Option<String>) -> Result<Uri, OptionError> {
        let text = self.required(option, value)?;
        let uri: Uri = text
            .trim_end_matches('/')
            .parse()
            .map_err(|_| self.invalid(option))?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        let is_base =
            uri.query().is_none() && uri.authority().is_some_and(|a| !a.as_str().contains('@'));
        if is_http && is_base {
            Ok(uri)
        } else {
            Err(self.invalid(option))
        }
    }

    /// A form sends an empty text for a field that is left empty.
    fn optional_url(
        &self,
        option: &'static str,
        value: Option<String>,
    ) -> Result<Option<Uri>, OptionError> {
        match value {
            Some(text) if !text.is_empty() => self.url(option, Some(text)).map(Some),
            _ => Ok(None),
        }
    }

    /// The secret is sent in a header or a message, so it must be visible ASCII. Surrounding
    /// whitespace from copying is removed.
    fn secret(
        &self,
        option: &'static str,
        value: Option<Secret>,
    ) -> Result<Option<Secret>, OptionError> {
        let Some(value) = value else { return Ok(None) };
        let text = value.expose().trim();
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(self.invalid(option));
        }
        Ok(Secret::new(text.to_owned()))
    }
}

impl FromStr for LogFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(()),
        }
    }
}
