//! What was literally said: the table of options, one row each, and [`Options`] made from it.
//!
//! Names, kinds, bounds, defaults and help stand here alone; the command line's flags, the environment's variables,
//! the help text and the error texts are all read from this table. It never decides what a value means.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

use super::Secret;

/// One option: a row of the table.
#[derive(Debug)]
pub struct Row {
    /// The name, in snake case, as it stands in the options file.
    pub name: &'static str,
    /// The heading that the help shows it under.
    pub section: &'static str,
    /// What it does, one sentence without a full stop.
    pub help: &'static str,
    /// What may be said.
    pub kind: Kind,
    /// What holds when nothing is said.
    pub fallback: Fallback,
}

/// What may be said for an option.
#[derive(Debug)]
pub enum Kind {
    /// True or false.
    Switch,
    /// A whole number between two bounds, both included.
    Number(u64, u64),
    /// One word of these.
    Choice(&'static [&'static str]),
    /// Free text: its name in the help, and what is allowed.
    Text(&'static str, &'static str),
    /// Text that no report, error or log may show: its name in the help, and what is allowed.
    Secret(&'static str, &'static str),
    /// A list: the name of one item in the help, and what is allowed.
    List(&'static str, &'static str),
}

/// The default of an option, written as a person would write it in the environment.
#[derive(Debug)]
pub enum Fallback {
    /// None: the option stays unsaid.
    Unset,
    /// The same everywhere.
    Always(&'static str),
    /// One in the Home Assistant add-on, another elsewhere.
    Addon {
        /// Where `SUPERVISOR_TOKEN` is in the environment.
        addon: &'static str,
        /// Everywhere else.
        elsewhere: &'static str,
    },
}

/// A list as it was said: a JSON array of strings, or one string with commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List(pub Vec<String>);

macro_rules! options {
    ($($section:literal {
        $(#[doc = $help:literal] $name:ident: $said:ty = $kind:expr, $fallback:expr;)+
    })+) => {
        /// Every option, as it was said or left unsaid. The one meaning of it is [`super::Config`].
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Options {
            $($(#[doc = $help] pub $name: Option<$said>,)+)+
        }

        /// The table, in the order of the help.
        pub const ROWS: &[Row] = &[
            $($(Row {
                name: stringify!($name),
                section: $section,
                help: $help.trim_ascii(),
                kind: $kind,
                fallback: $fallback,
            },)+)+
        ];
    };
}

use Fallback::{Addon, Always, Unset};
use Kind::{Choice, Number, Switch, Text};

const SOCKETS: Kind = Kind::List(
    "ADDRESS:PORT",
    "addresses with a port, such as 0.0.0.0:8443 or [::]:8443 (port 0 takes a free one)",
);
const SOCKETS_OR_OFF: Kind = Kind::List(
    "ADDRESS:PORT",
    "addresses with a port, such as 127.0.0.1:8080, or off",
);
const NETWORKS: Kind = Kind::List(
    "NETWORK",
    "addresses or networks, such as 192.0.2.7 or 10.0.0.0/8",
);

options! {
    "Listeners" {
        /// Where tablets and API users connect, with TLS
        listen: List = SOCKETS, Always("0.0.0.0:8443,[::]:8443");
        /// Where Home Assistant's ingress proxy connects, plain HTTP
        ingress_listen: List = SOCKETS_OR_OFF, Addon { addon: "0.0.0.0:8099", elsewhere: "off" };
        /// Who may connect there; every other peer gets 403
        ingress_from: List = NETWORKS, Always("172.30.32.2");
        /// Whether a person who comes through ingress is looked up in Home Assistant (false: all of them are admins)
        ingress_verify_admin: bool = Switch, Always("true");
        /// Where a TLS-terminating reverse proxy connects, plain HTTP
        plain_listen: List = SOCKETS_OR_OFF, Always("off");
        /// Let plain_listen take an address that other hosts reach
        plain_allow_remote: bool = Switch, Always("false");
        /// Whose X-Forwarded-For is believed
        trusted_proxies: List = NETWORKS, Unset;
        /// Web origins besides our own whose pages may call the API
        cors_origins: List = Kind::List("ORIGIN", "origins, such as https://panel.example:8443"), Unset;
    }
    "Files and certificates" {
        /// The folder that holds everything Wallcast keeps
        data_dir: String = Text("DIR", "a folder"), Addon { addon: "/data", elsewhere: "./data" };
        /// Certificate chain, PEM; where it or its key is missing, Wallcast makes its own
        certfile: String = Text("FILE", "the path of a PEM file, together with keyfile"), Always("/ssl/fullchain.pem");
        /// Private key of that certificate, PEM
        keyfile: String = Text("FILE", "the path of a PEM file, together with certfile"), Always("/ssl/privkey.pem");
        /// More names and addresses for the certificate that Wallcast makes
        tls_names: List = Kind::List("NAME", "host names or addresses, such as panel.local or 192.0.2.7"), Unset;
    }
    "Log" {
        /// How much is logged
        log_level: String = Choice(&["trace", "debug", "info", "warn", "error"]), Always("info");
        /// How it is written
        log_format: String = Choice(&["text", "json"]), Always("text");
    }
    "Tablets" {
        /// How long the token of a paired tablet stands, in days
        client_token_days: u64 = Number(1, 3650), Always("365");
        /// How long a pairing code stands, in seconds
        pairing_ttl_seconds: u64 = Number(1, 86_400), Always("300");
        /// How often a session is told that all is well, in seconds
        heartbeat_seconds: u64 = Number(1, 3600), Always("30");
    }
    "Limits" {
        /// New sockets a minute from one address that have proven no token
        connections_per_minute: u64 = Number(1, 1_000_000), Always("10");
        /// Open connections in all
        max_connections: u64 = Number(1, 1_000_000), Always("10000");
        /// Open sessions of one client; the oldest makes room
        max_sessions_per_client: u64 = Number(1, 10_000), Always("16");
        /// Size of one message from a session, in bytes
        max_message_bytes: u64 = Number(512, 1_048_576), Always("65536");
        /// Messages a second from one session
        messages_per_second: u64 = Number(1, 100_000), Always("20");
        /// Time to authenticate after connecting, in seconds
        auth_timeout_seconds: u64 = Number(1, 3600), Always("10");
    }
    "History" {
        /// How long an event is kept for those who were away, in days
        history_days: u64 = Number(1, 3650), Always("7");
        /// How many events are kept for them; the earlier of the two bounds wins
        history_events: u64 = Number(1, 10_000_000), Always("100000");
        /// How long the audit and what is finished is kept, in days
        archive_days: u64 = Number(1, 36_500), Always("90");
    }
    "Home Assistant" {
        /// Where Supervisor answers, in the add-on
        supervisor_url: String = Text("URL", "an http:// or https:// address"), Always("http://supervisor");
        /// What may be done with entities of Home Assistant; a cover that is a garage's, a gate or a door only by its own id
        allowed_services: List = Kind::List("SERVICE", "DOMAIN.* or DOMAIN.SERVICE of services that Wallcast knows, or an entity's id such as cover.garage for all of them on that entity"), Always("light.*,switch.*,cover.*,scene.turn_on,media_player.*,climate.set_temperature,fan.*,input_boolean.*,input_select.*,lock.lock");
        /// Where Home Assistant answers, outside the add-on
        ha_url: String = Text("URL", "an http:// or https:// address such as http://homeassistant.local:8123"), Unset;
        /// A long-lived access token of one of its administrators
        ha_token: Secret = Kind::Secret("TOKEN", "a long-lived access token, as Home Assistant showed it"), Unset;
    }
}

/// The names of all options, in the order of the table.
pub fn names() -> Vec<&'static str> {
    ROWS.iter().map(|row| row.name).collect()
}

/// The row of an option, if there is such an option.
pub fn row(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

/// The environment variable of an option: `WALLCAST_DATA_DIR` of `data_dir`.
pub fn variable(name: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", name.to_ascii_uppercase())
}

/// What the environment variables of all options begin with.
pub const VARIABLE_PREFIX: &str = "WALLCAST_";

/// The flag of an option: `--data-dir` of `data_dir`.
pub fn flag(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

impl Kind {
    /// What may be said, in words that finish "allowed: …".
    pub fn allowed(&self) -> String {
        match self {
            Self::Switch => "true or false".to_owned(),
            Self::Number(least, most) => format!("a whole number from {least} to {most}"),
            Self::Choice(words) => words.join(", "),
            Self::Text(_, allowed) | Self::Secret(_, allowed) | Self::List(_, allowed) => {
                (*allowed).to_owned()
            }
        }
    }
}

impl Fallback {
    /// The default as text, in the add-on or elsewhere.
    pub fn text(&self, in_addon: bool) -> Option<&'static str> {
        match self {
            Self::Unset => None,
            Self::Always(text) => Some(text),
            Self::Addon { addon, .. } if in_addon => Some(addon),
            Self::Addon { elsewhere, .. } => Some(elsewhere),
        }
    }
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => f.write_str("none"),
            Self::Always(text) => f.write_str(text),
            Self::Addon { addon, elsewhere } => write!(f, "{elsewhere}; in the add-on {addon}"),
        }
    }
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = List;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of strings, or one string with commas")
    }

    fn visit_str<E>(self, text: &str) -> Result<List, E> {
        Ok(List(items(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List, A::Error> {
        let mut list = Vec::new();
        while let Some(text) = seq.next_element::<String>()? {
            list.extend(items(&text));
        }
        Ok(List(list))
    }
}

/// Splits at commas; blanks around an item and empty items are dropped.
fn items(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}
