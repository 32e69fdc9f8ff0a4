//! Parses a frame and formats it as one line.

use std::time::Duration;

use serde_json::Value;

use crate::cli::{
    CliError,
    output::{self, printable},
};

/// One frame of the server. Lenient: text that is not a JSON object counts as empty.
pub(super) struct ServerFrame(Value);

/// Output format.
#[derive(Clone, Copy, Debug)]
pub(super) enum Printer {
    /// Time, type and truncated data.
    Lines,
    /// The frame as received.
    Raw,
}

/// Maximum characters of data in a line, so that one event takes a few terminal rows at most.
const MAX_DATA_CHARS: usize = 200;

impl ServerFrame {
    pub(super) fn parse(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap_or_default())
    }

    /// The event's type; empty if missing.
    pub(super) fn event_type(&self) -> &str {
        self.0.get("type").and_then(Value::as_str).unwrap_or("")
    }

    pub(super) fn id(&self) -> Option<u64> {
        self.0.get("id").and_then(Value::as_u64)
    }

    pub(super) fn data(&self, key: &str) -> Option<&Value> {
        self.0.get("data")?.get(key)
    }

    /// The delay that a server requests when it shuts down.
    pub(super) fn reconnect_after(&self) -> Option<Duration> {
        let is_shutdown = self.event_type() == "server_shutdown";
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
        // `pairing_completed` contains the token, which must not appear on a screen.
        if let Some(token) = data.get_mut("token") {
            *token = "***".into();
        }
        let text = match data {
            Value::Null => String::new(),
            data => data.to_string(),
        };
        let mut short: String = text.chars().take(MAX_DATA_CHARS).collect();
        if short.len() < text.len() {
            short.push('…');
        }
        let line = format!("{time}  {:<22}  {short}", self.event_type());
        printable(line.trim_end())
    }
}

impl Printer {
    pub(super) fn print(self, text: &str, frame: &ServerFrame) -> Result<(), CliError> {
        output::line(&match self {
            Self::Lines => frame.line(),
            // JSON has control characters only as whitespace between its parts, so a space is
            // equivalent.
            Self::Raw => printable(text),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::ServerFrame;

    #[test]
    fn line_is_short_and_hides_tokens() {
        let line = |text: &str| ServerFrame::parse(text).line();
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
