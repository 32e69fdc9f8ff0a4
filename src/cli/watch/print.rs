//! What a frame says, and the line that shows it.

use std::time::Duration;

use serde_json::Value;

use crate::cli::{
    CliError,
    output::{self, printable},
};

/// One frame of the server, read leniently: what is no object has no parts.
pub(super) struct Frame(Value);

/// How frames are shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Printer {
    /// Time, type and short data.
    Lines,
    /// The frame as it came.
    Raw,
}

/// Longer data is cut: one event is one line, and a terminal is not endless.
const LONGEST_DATA: usize = 200;

impl Frame {
    pub(super) fn parse(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap_or_default())
    }

    /// The event's type; empty if it has none.
    pub(super) fn kind(&self) -> &str {
        self.0.get("type").and_then(Value::as_str).unwrap_or("")
    }

    /// The durable event's id.
    pub(super) fn id(&self) -> Option<u64> {
        self.0.get("id").and_then(Value::as_u64)
    }

    /// One key of the data.
    pub(super) fn data(&self, key: &str) -> Option<&Value> {
        self.0.get("data")?.get(key)
    }

    /// How long a server that shuts down wants to be left alone.
    pub(super) fn reconnect_after(&self) -> Option<Duration> {
        let is_shutdown = self.kind() == "server_shutdown";
        let wait = self.data("reconnectAfterMs").and_then(Value::as_u64);
        wait.filter(|_| is_shutdown).map(Duration::from_millis)
    }

    fn line(&self) -> String {
        let time = self
            .0
            .get("timestamp")
            .and_then(Value::as_str)
            .unwrap_or("-");
        let mut data = self.0.get("data").cloned().unwrap_or_default();
        // A paired tablet is sent its token; a screen full of events is no place for it.
        if let Some(token) = data.get_mut("token") {
            *token = "***".into();
        }
        let text = match data {
            Value::Null => String::new(),
            data => data.to_string(),
        };
        let mut short: String = text.chars().take(LONGEST_DATA).collect();
        if short.len() < text.len() {
            short.push('…');
        }
        let line = format!("{time}  {:<22}  {short}", self.kind());
        printable(line.trim_end())
    }
}

impl Printer {
    /// Prints one frame as one line.
    pub(super) fn print(self, text: &str, frame: &Frame) -> Result<(), CliError> {
        output::line(&match self {
            Self::Lines => frame.line(),
            // Control characters stand only between JSON's parts: a space says the same.
            Self::Raw => printable(text),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Frame;

    #[test]
    fn a_line_is_short_and_harmless() {
        let line = |text: &str| Frame::parse(text).line();
        assert_eq!(
            line(r#"{"type":"pong","timestamp":"2026-01-01T00:00:00.000Z","data":{"a":1}}"#),
            r#"2026-01-01T00:00:00.000Z  pong                    {"a":1}"#
        );
        assert_eq!(line("garbage"), "-");
        let long = format!(r#"{{"type":"x","data":{{"a":"{}"}}}}"#, "é".repeat(500));
        assert!(line(&long).ends_with('…') && line(&long).chars().count() < 240);
        assert!(!line(r#"{"type":"pairing_completed","data":{"token":"eyJ"}}"#).contains("eyJ"));
        assert!(!line("{\"type\":\"\\u001b[2J\\n\"}").contains(['\x1b', '\n']));
    }
}
