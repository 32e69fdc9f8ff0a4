//! Reads commands from the add-on's standard input, where the service `hassio.addon_stdin` writes one JSON object per
//! line (`docs/protocol.md#home-assistant`). Each line is handled like the matching POST request, with the same checks
//! and audit entries. A bad line is logged and skipped.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::mpsc;
use wallcast_core::auth::Principal;

use crate::api;
use crate::app::App;
use crate::http::{ApiError, Reply, Request};

/// Maximum line length in bytes, as for a request body.
const MAX_LINE_BYTES: usize = 64 * 1024;
/// Maximum queued lines; above it the reader thread waits.
const MAX_QUEUED_LINES: usize = 8;
/// The actor in the audit log.
const ACTOR: &str = "homeassistant";

#[derive(Debug, PartialEq, Eq)]
enum StdinLine {
    Text(Vec<u8>),
    /// Longer than [`MAX_LINE_BYTES`]; its content was discarded.
    TooLong,
}

/// Handles each line until the input ends. The end of the input does not stop the daemon.
pub(crate) async fn run(app: Arc<App>) {
    let (lines, mut queue) = mpsc::channel(MAX_QUEUED_LINES);
    // A separate thread: a blocking read cannot be cancelled and would keep the runtime from stopping.
    let reader = std::thread::Builder::new().name("stdin".to_owned());
    let spawned = reader.spawn(move || {
        let mut input = BufReader::new(std::io::stdin());
        while let Some(line) = next_line(&mut input) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    if let Err(error) = spawned {
        tracing::warn!(%error, "cannot read standard input");
        return;
    }
    while let Some(line) = queue.recv().await {
        if app.shutdown.has_begun() {
            return;
        }
        handle_line(&app, line).await;
    }
    tracing::debug!("standard input ended");
}

/// The next line without its newline; `None` at the end of the input.
fn next_line(input: &mut impl BufRead) -> Option<StdinLine> {
    let mut line = Vec::new();
    // One byte more, to distinguish a line of exactly the maximum from a longer one.
    let limit = u64::try_from(MAX_LINE_BYTES)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    match input.by_ref().take(limit).read_until(b'\n', &mut line) {
        Ok(0) | Err(_) => return None,
        Ok(_) => {}
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        return Some(StdinLine::Text(line));
    }
    if line.len() <= MAX_LINE_BYTES {
        // The last line may lack a newline.
        return Some(StdinLine::Text(line));
    }
    loop {
        let rest = input.fill_buf().ok()?;
        if rest.is_empty() {
            return Some(StdinLine::TooLong);
        }
        let (length, is_end) = match rest.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (rest.len(), false),
        };
        input.consume(length);
        if is_end {
            return Some(StdinLine::TooLong);
        }
    }
}

async fn handle_line(app: &Arc<App>, line: StdinLine) {
    let text = match line {
        StdinLine::Text(text) if text.trim_ascii().is_empty() => return,
        StdinLine::Text(text) => text,
        StdinLine::TooLong => {
            tracing::warn!(
                max_bytes = MAX_LINE_BYTES,
                "line on standard input ignored: too long"
            );
            return;
        }
    };
    let (action, body) = match parse(&text) {
        Ok(parsed) => parsed,
        Err(reason) => {
            tracing::warn!(reason, "line on standard input not understood");
            return;
        }
    };
    match perform(app, action, body).await {
        Ok(_) => tracing::info!(action = action.as_str(), "line on standard input handled"),
        Err(error) => tracing::warn!(
            action = action.as_str(),
            code = error.code(),
            reason = %error.message().escape_debug(),
            "line on standard input refused"
        ),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StdinAction {
    Broadcast,
    Message,
    Command,
}

impl StdinAction {
    fn as_str(self) -> &'static str {
        match self {
            Self::Broadcast => "broadcast",
            Self::Message => "message",
            Self::Command => "command",
        }
    }
}

fn parse(line: &[u8]) -> Result<(StdinAction, Map<String, Value>), &'static str> {
    let mut body = match serde_json::from_slice(line) {
        Ok(Value::Object(body)) => body,
        _ => return Err("not a JSON object"),
    };
    let action = body.remove("action");
    let action = match action.as_ref().and_then(Value::as_str) {
        Some("broadcast") => StdinAction::Broadcast,
        Some("message") => StdinAction::Message,
        Some("command") => StdinAction::Command,
        _ => return Err("action must be broadcast, message or command"),
    };
    Ok((action, body))
}

async fn perform(
    app: &Arc<App>,
    action: StdinAction,
    body: Map<String, Value>,
) -> Result<Reply, ApiError> {
    let id = ACTOR.parse().map_err(|_| ApiError::forbidden())?;
    let request = Request::internal(Principal::local_admin(id), &body);
    let app = app.clone();
    match action {
        StdinAction::Broadcast => api::broadcast::broadcast(app, request).await,
        StdinAction::Message => api::messages::send(app, request).await,
        StdinAction::Command => api::commands::create(app, request).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_line_bounds_length() {
        let long = vec![b'x'; MAX_LINE_BYTES];
        let input = [b"{}\n\n", &long[..], b"\n", &long[..], b"y tail\nlast"].concat();
        // A small buffer, so that a long line arrives in many pieces.
        let mut input = BufReader::with_capacity(1000, &input[..]);
        let mut next = || next_line(&mut input);
        assert_eq!(next(), Some(StdinLine::Text(b"{}".to_vec())));
        assert_eq!(next(), Some(StdinLine::Text(Vec::new())));
        assert_eq!(next(), Some(StdinLine::Text(long)));
        assert_eq!(next(), Some(StdinLine::TooLong));
        assert_eq!(next(), Some(StdinLine::Text(b"last".to_vec())));
        assert_eq!(next(), None);
    }

    #[test]
    fn line_parses_to_action_and_body() {
        let (action, body) = parse(br#"{"action":"command","type":"reload"}"#).unwrap();
        assert_eq!(action, StdinAction::Command);
        assert_eq!(Value::Object(body), serde_json::json!({ "type": "reload" }));
        for bad in [
            "",
            "[]",
            "{",
            "{}",
            r#"{"action":1}"#,
            r#"{"action":"delete"}"#,
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
