//! What the options mean: every default resolved, every value parsed into its type and checked against the others.
//! It reads no file and no environment; it never sees text that is not an option's.

use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use hyper::Uri;
use rustls::pki_types::ServerName;
use tracing::level_filters::LevelFilter;

use crate::entities::allowed::Allowed;

use super::{
    IpNet, OptionError, Options, Origin, Provenance, Secret,
    options::{self, Kind, List},
};

/// The options as the rest of the program sees them. Contract, sections 2 and 8.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whether `SUPERVISOR_TOKEN` was in the environment, and what it said.
    pub supervisor_token: Option<Secret>,
    /// Addresses of the public TLS listener; at least one.
    pub listen: Vec<SocketAddr>,
    /// Addresses of the ingress listener; empty is off.
    pub ingress_listen: Vec<SocketAddr>,
    /// Peers that the ingress listener serves.
    pub ingress_from: Vec<IpNet>,
    /// Whether an ingress user is looked up in Home Assistant; `false` must be warned of at each start.
    pub ingress_verify_admin: bool,
    /// Addresses of the plain listener; empty is off. All loopback unless the owner allowed others.
    pub plain_listen: Vec<SocketAddr>,
    /// Peers whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Other origins that browsers may call us from.
    pub cors_origins: Vec<Origin>,
    /// The data folder; it need not exist yet.
    pub data_dir: PathBuf,
    /// The certificate to serve if both files exist; `None` if the owner set both options empty.
    pub certificate: Option<CertificateFiles>,
    /// Further names of the leaf certificate; not yet held against the CA's name constraints.
    pub tls_names: Vec<ServerName<'static>>,
    /// How much is logged.
    pub log_level: LevelFilter,
    /// How it is written.
    pub log_format: LogFormat,
    /// Life of a paired tablet's token.
    pub client_token_life: Duration,
    /// Life of a pairing code or request.
    pub pairing_ttl: Duration,
    /// Time between two heartbeats.
    pub heartbeat: Duration,
    /// New unauthenticated sockets a minute from one address.
    pub connections_per_minute: u32,
    /// Open connections in all.
    pub max_connections: usize,
    /// Open sessions of one client.
    pub max_sessions_per_client: usize,
    /// Size of one message from an authenticated session, in bytes.
    pub max_message_bytes: usize,
    /// Messages a second from one session.
    pub messages_per_second: u32,
    /// Time from connecting to `authenticate`.
    pub auth_timeout: Duration,
    /// How long an event is kept, as far as `history_events` lets it.
    pub history_life: Duration,
    /// How many events are kept, as far as `history_life` lets them.
    pub history_events: u32,
    /// How long the audit and what is finished is kept.
    pub archive_life: Duration,
    /// Supervisor's base address, `http` or `https`, without a slash at its end.
    pub supervisor_url: Uri,
    /// Home Assistant's own base address, without a slash at its end. In the add-on Supervisor's proxy counts instead.
    pub ha_url: Option<Uri>,
    /// What opens it.
    pub ha_token: Option<Secret>,
    /// What may be done with entities; empty is nothing.
    pub allowed_services: Vec<Allowed>,
    /// Who said what: for reports, and for errors found after loading.
    pub provenance: Provenance,
}

/// Where the certificate and its key lie. Neither file need exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, PEM.
    pub certfile: PathBuf,
    /// The private key, PEM.
    pub keyfile: PathBuf,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

const SECONDS_A_DAY: u64 = 86_400;

impl Config {
    /// Whether this process runs as a Home Assistant add-on.
    pub fn in_addon(&self) -> bool {
        self.supervisor_token.is_some()
    }

    /// Gives what was said its meaning, or names the first option that has none.
    pub fn resolve(
        said: Options,
        provenance: Provenance,
        supervisor_token: Option<Secret>,
    ) -> Result<Self, OptionError> {
        let read = Reader { provenance };
        let config = Self {
            supervisor_token,
            listen: read.some("listen", said.listen)?,
            ingress_listen: read.unless_off("ingress_listen", said.ingress_listen)?,
            ingress_from: read.some("ingress_from", said.ingress_from)?,
            ingress_verify_admin: read.said("ingress_verify_admin", said.ingress_verify_admin)?,
            plain_listen: read.plain(said.plain_listen, said.plain_allow_remote)?,
            trusted_proxies: read.list("trusted_proxies", said.trusted_proxies)?,
            cors_origins: read.list("cors_origins", said.cors_origins)?,
            data_dir: read.path("data_dir", said.data_dir)?,
            certificate: read.certificate(said.certfile, said.keyfile)?,
            tls_names: read.server_names("tls_names", said.tls_names)?,
            log_level: read.parsed("log_level", said.log_level)?,
            log_format: read.parsed("log_format", said.log_format)?,
            client_token_life: read.days("client_token_days", said.client_token_days)?,
            pairing_ttl: read.seconds("pairing_ttl_seconds", said.pairing_ttl_seconds)?,
            heartbeat: read.seconds("heartbeat_seconds", said.heartbeat_seconds)?,
            connections_per_minute: read
                .number("connections_per_minute", said.connections_per_minute)?,
            max_connections: read.number("max_connections", said.max_connections)?,
            max_sessions_per_client: read
                .number("max_sessions_per_client", said.max_sessions_per_client)?,
            max_message_bytes: read.number("max_message_bytes", said.max_message_bytes)?,
            messages_per_second: read.number("messages_per_second", said.messages_per_second)?,
            auth_timeout: read.seconds("auth_timeout_seconds", said.auth_timeout_seconds)?,
            history_life: read.days("history_days", said.history_days)?,
            history_events: read.number("history_events", said.history_events)?,
            archive_life: read.days("archive_days", said.archive_days)?,
            supervisor_url: read.url("supervisor_url", said.supervisor_url)?,
            ha_url: read.optional_url("ha_url", said.ha_url)?,
            ha_token: read.secret("ha_token", said.ha_token)?,
            allowed_services: read.list("allowed_services", said.allowed_services)?,
            provenance: read.provenance,
        };
        Ok(config)
    }
}

/// Turns one said value into its type; each error carries what the option's row allows.
struct Reader {
    provenance: Provenance,
}

impl Reader {
    fn wrong(&self, option: &'static str) -> OptionError {
        let allowed = options::row(option).map(|row| row.kind.allowed());
        self.provenance.wrong(option, allowed.unwrap_or_default())
    }

    fn said<T>(&self, option: &'static str, said: Option<T>) -> Result<T, OptionError> {
        said.ok_or_else(|| self.wrong(option))
    }

    fn number<T: TryFrom<u64>>(
        &self,
        option: &'static str,
        said: Option<u64>,
    ) -> Result<T, OptionError> {
        let number = self.said(option, said)?;
        match options::row(option).map(|row| &row.kind) {
            Some(Kind::Number(least, most)) if (*least..=*most).contains(&number) => {
                T::try_from(number).map_err(|_| self.wrong(option))
            }
            _ => Err(self.wrong(option)),
        }
    }

    fn seconds(&self, option: &'static str, said: Option<u64>) -> Result<Duration, OptionError> {
        self.number(option, said).map(Duration::from_secs)
    }

    fn days(&self, option: &'static str, said: Option<u64>) -> Result<Duration, OptionError> {
        let days: u64 = self.number(option, said)?;
        Ok(Duration::from_secs(SECONDS_A_DAY * days))
    }

    fn parsed<T: FromStr>(
        &self,
        option: &'static str,
        said: Option<String>,
    ) -> Result<T, OptionError> {
        let text = self.said(option, said)?;
        if let Some(Kind::Choice(words)) = options::row(option).map(|row| &row.kind)
            && !words.contains(&text.as_str())
        {
            return Err(self.wrong(option));
        }
        text.parse().map_err(|_| self.wrong(option))
    }

    fn list<T: FromStr>(
        &self,
        option: &'static str,
        said: Option<List>,
    ) -> Result<Vec<T>, OptionError> {
        let items = said.unwrap_or_default().0;
        let parsed = items.iter().map(|item| item.parse());
        parsed
            .collect::<Result<_, _>>()
            .map_err(|_| self.wrong(option))
    }

    fn some<T: FromStr>(
        &self,
        option: &'static str,
        said: Option<List>,
    ) -> Result<Vec<T>, OptionError> {
        let list = self.list(option, said)?;
        if list.is_empty() {
            return Err(self.wrong(option));
        }
        Ok(list)
    }

    fn unless_off(
        &self,
        option: &'static str,
        said: Option<List>,
    ) -> Result<Vec<SocketAddr>, OptionError> {
        match said {
            Some(List(items)) if items == ["off"] => Ok(Vec::new()),
            said => self.list(option, said),
        }
    }

    fn plain(
        &self,
        said: Option<List>,
        allow_remote: Option<bool>,
    ) -> Result<Vec<SocketAddr>, OptionError> {
        let addresses = self.unless_off("plain_listen", said)?;
        let allow_remote = self.said("plain_allow_remote", allow_remote)?;
        let is_local = |address: &SocketAddr| address.ip().to_canonical().is_loopback();
        if allow_remote || addresses.iter().all(is_local) {
            return Ok(addresses);
        }
        Err(self.provenance.wrong(
            "plain_listen",
            "a loopback address such as 127.0.0.1:8080, or any if plain_allow_remote is true",
        ))
    }

    fn path(&self, option: &'static str, said: Option<String>) -> Result<PathBuf, OptionError> {
        match said {
            Some(text) if !text.is_empty() && !text.contains('\0') => Ok(text.into()),
            _ => Err(self.wrong(option)),
        }
    }

    /// One file without the other would be read beside a default that belongs to another certificate.
    fn certificate(
        &self,
        certfile: Option<String>,
        keyfile: Option<String>,
    ) -> Result<Option<CertificateFiles>, OptionError> {
        let is_empty = |said: &Option<String>| said.as_ref().is_none_or(String::is_empty);
        let (no_certfile, no_keyfile) = (is_empty(&certfile), is_empty(&keyfile));
        let is_said = |option, empty: bool| !empty && self.provenance.is_explicit(option);
        let lonely = match (
            is_said("certfile", no_certfile),
            is_said("keyfile", no_keyfile),
        ) {
            (true, false) => Some(("certfile", "keyfile")),
            (false, true) => Some(("keyfile", "certfile")),
            _ => None,
        };
        if let Some((option, other)) = lonely {
            let allowed = format!("both certfile and keyfile, or neither; {other} is not set");
            return Err(self.provenance.wrong(option, allowed));
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
        said: Option<List>,
    ) -> Result<Vec<ServerName<'static>>, OptionError> {
        let items = said.unwrap_or_default().0.into_iter();
        items
            .map(|item| ServerName::try_from(item).map_err(|_| self.wrong(option)))
            .collect()
    }

    fn url(&self, option: &'static str, said: Option<String>) -> Result<Uri, OptionError> {
        let text = self.said(option, said)?;
        let uri: Uri = text
            .trim_end_matches('/')
            .parse()
            .map_err(|_| self.wrong(option))?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        let is_base =
            uri.query().is_none() && uri.authority().is_some_and(|a| !a.as_str().contains('@'));
        if is_http && is_base {
            Ok(uri)
        } else {
            Err(self.wrong(option))
        }
    }

    /// An empty text is a field of a form that was left empty.
    fn optional_url(
        &self,
        option: &'static str,
        said: Option<String>,
    ) -> Result<Option<Uri>, OptionError> {
        match said {
            Some(text) if !text.is_empty() => self.url(option, Some(text)).map(Some),
            _ => Ok(None),
        }
    }

    /// A secret goes into a header or a message: visible ASCII, without the blanks of a clumsy copy.
    fn secret(
        &self,
        option: &'static str,
        said: Option<Secret>,
    ) -> Result<Option<Secret>, OptionError> {
        let Some(said) = said else { return Ok(None) };
        let text = said.expose().trim();
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(self.wrong(option));
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
