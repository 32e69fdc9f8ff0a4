//! The table of options, one row each, and [`RawOptions`] generated from it.
//!
//! Names, types, bounds, defaults and help texts exist only here: flags, environment variables,
//! help and error texts are generated from this table. The meaning of a value is decided in
//! [`super::Config`].

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

use super::Secret;

/// One option.
#[derive(Debug)]
pub struct OptionRow {
    /// Snake case, as in the options file.
    pub name: &'static str,
    /// Heading in the help.
    pub section: &'static str,
    /// One sentence without a full stop.
    pub help: &'static str,
    pub kind: OptionKind,
    /// The default.
    pub default: OptionDefault,
}

/// The values that an option accepts.
#[derive(Debug)]
pub enum OptionKind {
    /// `true` or `false`.
    Switch,
    /// An integer between two inclusive bounds.
    Number(u64, u64),
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// Text: placeholder in the help, and a description of allowed values.
    Text(&'static str, &'static str),
    /// Text that is never shown in a report, error or log: placeholder and description.
    Secret(&'static str, &'static str),
    /// A list: placeholder of one item, and description.
    List(&'static str, &'static str),
}

/// An option's default, as it would be written in an environment variable.
#[derive(Debug)]
pub enum OptionDefault {
    /// No default.
    Unset,
    /// The same everywhere.
    Always(&'static str),
    /// Different in the Home Assistant add-on.
    Addon {
        /// Used if `SUPERVISOR_TOKEN` is set.
        addon: &'static str,
        /// Used otherwise.
        elsewhere: &'static str,
    },
}

/// A list as given: a JSON array of strings, or one string with commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListValue(pub Vec<String>);

macro_rules! options {
    ($($section:literal {
        $(#[doc = $help:literal] $name:ident: $type:ty = $kind:expr, $default:expr;)+
    })+) => {
        /// Every option as given, or `None`. [`super::Config`] holds the parsed values.
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct RawOptions {
            $($(#[doc = $help] pub $name: Option<$type>,)+)+
        }

        /// All options, in the order of the help.
        pub const ROWS: &[OptionRow] = &[
            $($(OptionRow {
                name: stringify!($name),
                section: $section,
                help: $help.trim_ascii(),
                kind: $kind,
                default: $default,
            },)+)+
        ];
    };
}

use OptionDefault::{Addon, Always, Unset};
use OptionKind::{Choice, Number, Switch, Text};

const SOCKETS: OptionKind = OptionKind::List(
    "ADDRESS:PORT",
    "addresses with a port, such as 0.0.0.0:8443 or [::]:8443 (port 0 takes a free one)",
);
const SOCKETS_OR_OFF: OptionKind = OptionKind::List(
    "ADDRESS:PORT",
    "addresses with a port, such as 127.0.0.1:8080, or off",
);
const NETWORKS: OptionKind = OptionKind::List(
    "NETWORK",
    "addresses or networks, such as 192.0.2.7 or 10.0.0.0/8",
);

options! {
    "Listeners" {
        /// Where tablets and API users connect, with TLS
        listen: ListValue = SOCKETS, Always("0.0.0.0:8443,[::]:8443");
        /// Where Home Assistant's ingress proxy connects, plain HTTP
        ingress_listen: ListValue = SOCKETS_OR_OFF, Addon { addon: "0.0.0.0:8099", elsewhere: "off" };
        /// Peers that may connect to ingress_listen; all others get 403
        ingress_from: ListValue = NETWORKS, Always("172.30.32.2");
        /// Whether Home Assistant is asked which ingress users are admins (false: all of them are)
        ingress_verify_admin: bool = Switch, Always("true");
        /// Where a TLS-terminating reverse proxy connects, plain HTTP
        plain_listen: ListValue = SOCKETS_OR_OFF, Always("off");
        /// Allow plain_listen addresses that other hosts can reach
        plain_allow_remote: bool = Switch, Always("false");
        /// Peers whose X-Forwarded-For header is trusted
        trusted_proxies: ListValue = NETWORKS, Unset;
        /// Web origins besides Wallcast's own whose pages may call the API
        cors_origins: ListValue = OptionKind::List("ORIGIN", "origins, such as https://panel.example:8443"), Unset;
    }
    "Files and certificates" {
        /// The folder of the database and everything else that Wallcast keeps
        data_dir: String = Text("DIR", "a folder"), Addon { addon: "/data", elsewhere: "./data" };
        /// Certificate chain, PEM; if it or its key is missing, Wallcast makes its own
        certfile: String = Text("FILE", "the path of a PEM file, together with keyfile"), Always("/ssl/fullchain.pem");
        /// Private key of that certificate, PEM
        keyfile: String = Text("FILE", "the path of a PEM file, together with certfile"), Always("/ssl/privkey.pem");
        /// More names and addresses for the certificate that Wallcast makes
        tls_names: ListValue = OptionKind::List("NAME", "host names or addresses, such as panel.local or 192.0.2.7"), Unset;
    }
    "Log" {
        /// How much is logged
        log_level: String = Choice(&["trace", "debug", "info", "warn", "error"]), Always("info");
        /// Format of the log
        log_format: String = Choice(&["text", "json"]), Always("text");
    }
    "Tablets" {
        /// Lifetime of a paired tablet's token, in days
        client_token_days: u64 = Number(1, 3650), Always("365");
        /// Lifetime of a pairing code, in seconds
        pairing_ttl_seconds: u64 = Number(1, 86_400), Always("300");
        /// Interval between heartbeats, in seconds
        heartbeat_seconds: u64 = Number(1, 3600), Always("30");
    }
    "Limits" {
        /// New unauthenticated sockets per minute from one address
        connections_per_minute: u64 = Number(1, 1_000_000), Always("10");
        /// Maximum open connections
        max_connections: u64 = Number(1, 1_000_000), Always("10000");
        /// Maximum open sessions per client; one more closes the oldest
        max_sessions_per_client: u64 = Number(1, 10_000), Always("16");
        /// Maximum size of a message from a session, in bytes
        max_message_bytes: u64 = Number(512, 1_048_576), Always("65536");
        /// Maximum messages per second from one session
        messages_per_second: u64 = Number(1, 100_000), Always("20");
        /// Time to authenticate after connecting, in seconds
        auth_timeout_seconds: u64 = Number(1, 3600), Always("10");
    }
    "History" {
        /// How long an event is kept for clients that were disconnected, in days
        history_days: u64 = Number(1, 3650), Always("7");
        /// How many events are kept; the first bound that is reached applies
        history_events: u64 = Number(1, 10_000_000), Always("100000");
        /// How long audit entries and finished records are kept, in days
        archive_days: u64 = Number(1, 36_500), Always("90");
    }
    "Home Assistant" {
        /// Base URL of Supervisor, in the add-on
        supervisor_url: String = Text("URL", "an http:// or https:// address"), Always("http://supervisor");
        /// Home Assistant services that may be called; a garage door, gate or door needs its own entity id in the list
        allowed_services: ListValue = OptionKind::List("SERVICE", "DOMAIN.* or DOMAIN.SERVICE of services that Wallcast knows, or an entity id such as cover.garage for all of them on that entity"), Always("light.*,switch.*,cover.*,scene.turn_on,media_player.*,climate.set_temperature,fan.*,input_boolean.*,input_select.*,lock.lock");
        /// Base URL of Home Assistant, outside the add-on
        ha_url: String = Text("URL", "an http:// or https:// address such as http://homeassistant.local:8123"), Unset;
        /// A long-lived access token of a Home Assistant administrator
        ha_token: Secret = OptionKind::Secret("TOKEN", "a long-lived access token, as Home Assistant shows it"), Unset;
    }
}

pub fn names() -> Vec<&'static str> {
    ROWS.iter().map(|row| row.name).collect()
}

pub fn row(name: &str) -> Option<&'static OptionRow> {
    ROWS.iter().find(|row| row.name == name)
}

/// The environment variable of an option: `WALLCAST_DATA_DIR` of `data_dir`.
pub fn variable(name: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", name.to_ascii_uppercase())
}

pub const VARIABLE_PREFIX: &str = "WALLCAST_";

/// The flag of an option: `--data-dir` of `data_dir`.
pub fn flag(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

impl OptionKind {
    /// Description of the allowed values, to follow "allowed: ".
    pub fn allowed(&self) -> String {
        match self {
            Self::Switch => "true or false".to_owned(),
            Self::Number(min, max) => format!("a whole number from {min} to {max}"),
            Self::Choice(words) => words.join(", "),
            Self::Text(_, allowed) | Self::Secret(_, allowed) | Self::List(_, allowed) => {
                (*allowed).to_owned()
            }
        }
    }
}

impl OptionDefault {
    /// The default as text.
    pub fn text(&self, in_addon: bool) -> Option<&'static str> {
        match self {
            Self::Unset => None,
            Self::Always(text) => Some(text),
            Self::Addon { addon, .. } if in_addon => Some(addon),
            Self::Addon { elsewhere, .. } => Some(elsewhere),
        }
    }
}

impl fmt::Display for OptionDefault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => f.write_str("none"),
            Self::Always(text) => f.write_str(text),
            Self::Addon { addon, elsewhere } => write!(f, "{elsewhere}; in the add-on {addon}"),
        }
    }
}

impl<'de> Deserialize<'de> for ListValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = ListValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of strings, or one string with commas")
    }

    fn visit_str<E>(self, text: &str) -> Result<ListValue, E> {
        Ok(ListValue(items(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ListValue, A::Error> {
        let mut list = Vec::new();
        while let Some(text) = seq.next_element::<String>()? {
            list.extend(items(&text));
        }
        Ok(ListValue(list))
    }
}

/// Splits at commas, trims the items and drops empty ones.
fn items(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}
