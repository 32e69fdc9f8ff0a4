//! The add-on's standard input (contract section 7): `hassio.addon_stdin` sends one JSON object a
//! line. Each is done as the matching POST would do it, with the same rules and the same audit; a bad
//! one is logged in one line and skipped.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::mpsc;

use crate::api;
use crate::app::App;
use crate::http::{ApiError, Reply, Request};
use wallcast_core::auth::Principal;

/// The longest line, in bytes: that of a request's body.
const MAX_LINE: usize = 64 * 1024;
/// Lines that wait at most; then whoever writes waits.
const QUEUE: usize = 8;
/// Who acts, in the audit.
const ACTOR: &str = "homeassistant";

/// A line as it was read.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Text(Vec<u8>),
    /// Its rest was passed over.
    TooLong,
}

/// Acts on each line until the input ends, which ends nothing else.
pub(crate) async fn run(app: Arc<App>) {
    let (lines, mut queue) = mpsc::channel(QUEUE);
    // A thread of its own: a read that waits cannot be called off, and must not keep the runtime.
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
        tracing::warn!(%error, "standard input cannot be read");
        return;
    }
    while let Some(line) = queue.recv().await {
        if app.shutdown.has_begun() {
            return;
        }
        act(&app, line).await;
    }
    tracing::debug!("standard input has ended");
}

/// The next line without its end; none at the end of the input.
fn next_line(input: &mut impl BufRead) -> Option<Line> {
    let mut line = Vec::new();
    // One more, so that a line of the very length is told from a longer one.
    let limit = u64::try_from(MAX_LINE)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    match input.by_ref().take(limit).read_until(b'\n', &mut line) {
        Ok(0) | Err(_) => return None,
        Ok(_) => {}
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        return Some(Line::Text(line));
    }
    if line.len() <= MAX_LINE {
        // The last one, without its end.
        return Some(Line::Text(line));
    }
    loop {
        let rest = input.fill_buf().ok()?;
        if rest.is_empty() {
            return Some(Line::TooLong);
        }
        let (length, is_end) = match rest.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (rest.len(), false),
        };
        input.consume(length);
        if is_end {
            return Some(Line::TooLong);
        }
    }
}

async fn act(app: &Arc<App>, line: Line) {
    let text = match line {
        Line::Text(text) if text.trim_ascii().is_empty() => return,
        Line::Text(text) => text,
        Line::TooLong => {
            tracing::warn!(most = MAX_LINE, "a line on standard input is too long");
            return;
        }
    };
    let (action, body) = match parse(&text) {
        Ok(parsed) => parsed,
        Err(why) => {
            tracing::warn!(why, "a line on standard input is not understood");
            return;
        }
    };
    match perform(app, action, body).await {
        Ok(_) => tracing::info!(action = action.as_str(), "done for standard input"),
        Err(error) => tracing::warn!(
            action = action.as_str(),
            code = error.code(),
            why = %error.message().escape_debug(),
            "a line on standard input is refused"
        ),
    }
}

/// What a line may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Broadcast,
    Message,
    Command,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Broadcast => "broadcast",
            Self::Message => "message",
            Self::Command => "command",
        }
    }
}

fn parse(line: &[u8]) -> Result<(Action, Map<String, Value>), &'static str> {
    let mut body = match serde_json::from_slice(line) {
        Ok(Value::Object(body)) => body,
        _ => return Err("it is no JSON object"),
    };
    let action = body.remove("action");
    let action = match action.as_ref().and_then(Value::as_str) {
        Some("broadcast") => Action::Broadcast,
        Some("message") => Action::Message,
        Some("command") => Action::Command,
        _ => return Err("its action is none of broadcast, message and command"),
    };
    Ok((action, body))
}

async fn perform(
    app: &Arc<App>,
    action: Action,
    body: Map<String, Value>,
) -> Result<Reply, ApiError> {
    let id = ACTOR.parse().map_err(|_| ApiError::forbidden())?;
    let request = Request::inside(Principal::local_admin(id), &body);
    let app = app.clone();
    match action {
        Action::Broadcast => api::broadcast::broadcast(app, request).await,
        Action::Message => api::messages::send(app, request).await,
        Action::Command => api::commands::create(app, request).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_the_end_is_the_end() {
        let long = vec![b'x'; MAX_LINE];
        let input = [b"{}\n\n", &long[..], b"\n", &long[..], b"y tail\nlast"].concat();
        // A small buffer, so that a long line comes in many pieces.
        let mut input = BufReader::with_capacity(1000, &input[..]);
        let mut next = || next_line(&mut input);
        assert_eq!(next(), Some(Line::Text(b"{}".to_vec())));
        assert_eq!(next(), Some(Line::Text(Vec::new())));
        assert_eq!(next(), Some(Line::Text(long)));
        assert_eq!(next(), Some(Line::TooLong));
        assert_eq!(next(), Some(Line::Text(b"last".to_vec())));
        assert_eq!(next(), None);
    }

    #[test]
    fn a_line_is_an_action_and_the_body_of_its_post() {
        let (action, body) = parse(br#"{"action":"command","type":"reload"}"#).unwrap();
        assert_eq!(action, Action::Command);
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
