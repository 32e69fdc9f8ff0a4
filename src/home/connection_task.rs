//! The task of one connection to Home Assistant: reads, writes and sends pings. Passes answers and
//! events on without waiting.

use std::sync::PoisonError;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::dial::CoreSocket;
use super::{HomeConnection, HomeError, message};

/// Interval between pings.
const PING_EVERY: Duration = Duration::from_secs(25);
/// Without a frame for this long, the connection counts as dead.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a connection ended, as text for the log.
pub(super) type EndReason = String;

impl HomeConnection {
    /// Serves the socket until it ends, and returns why it ended.
    pub(super) async fn serve(
        self,
        socket: CoreSocket,
        queue: mpsc::Receiver<Message>,
    ) -> EndReason {
        let (sink, stream) = socket.split();
        let reason = tokio::select! {
            reason = self.read(stream) => reason,
            reason = write(sink, queue) => reason,
            reason = self.send_pings() => reason,
            () = self.closed() => "closed by Wallcast".to_owned(),
        };
        self.close();
        // Dropping the result handlers fails their requests with `Disconnected`. Not under the
        // lock: dropping an event handler may take it.
        let handlers = self.pending().take_all();
        drop(handlers);
        reason
    }

    async fn read(&self, mut stream: SplitStream<CoreSocket>) -> EndReason {
        loop {
            let message = match timeout(SILENCE_TIMEOUT, stream.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(error))) => return format!("connection broken: {error}"),
                Ok(None) => return "closed by Home Assistant".to_owned(),
                Err(_) => return format!("nothing received for {} s", SILENCE_TIMEOUT.as_secs()),
            };
            match message {
                Message::Text(text) => {
                    if let Err(error) = self.handle_frame(&text) {
                        let error = message::single_line(&error.to_string());
                        return format!("malformed message: {error}");
                    }
                }
                Message::Close(_) => return "closed by Home Assistant".to_owned(),
                _ => {}
            }
        }
    }

    fn handle_frame(&self, text: &str) -> Result<(), serde_json::Error> {
        for message in message::parse_frame(text)? {
            let Some(id) = message.id else { continue };
            match &*message.message_type {
                "result" => {
                    let error = message.error.unwrap_or_default();
                    let result = match message.success {
                        Some(true) => Ok(message.result.map_or("null", RawValue::get)),
                        _ => Err(HomeError::from(error)),
                    };
                    self.complete(id, result);
                }
                "pong" => self.complete(id, Ok("null")),
                "event" => {
                    let handler = self.pending().event_handlers.get(&id).cloned();
                    if let (Some(handler), Some(event)) = (handler, message.event) {
                        let mut handler = handler.lock().unwrap_or_else(PoisonError::into_inner);
                        handler(event);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn complete(&self, id: u64, result: Result<&str, HomeError>) {
        let (result_handler, _dropped) = {
            let mut pending = self.pending();
            let result_handler = pending.result_handlers.remove(&id);
            // Core also reports an error under the id of an open subscription, when it cannot
            // serialize one event. Later events still arrive, so the handler stays.
            let is_refused = result_handler.is_some() && result.is_err();
            (
                result_handler,
                is_refused.then(|| pending.event_handlers.remove(&id)),
            )
        };
        if let (None, Err(error)) = (&result_handler, &result) {
            tracing::debug!(%error, id, "error from Home Assistant without a pending command");
        }
        if let Some(handler) = result_handler {
            handler(result);
        }
    }

    /// Pings, so that neither side takes a quiet connection for a dead one.
    async fn send_pings(&self) -> EndReason {
        let mut interval = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        loop {
            interval.tick().await;
            if self.send(json!({ "type": "ping" })).await.is_err() {
                return "cannot send".to_owned();
            }
        }
    }
}

async fn write(
    mut sink: SplitSink<CoreSocket, Message>,
    mut queue: mpsc::Receiver<Message>,
) -> EndReason {
    while let Some(message) = queue.recv().await {
        match timeout(SILENCE_TIMEOUT, sink.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return format!("connection broken: {error}"),
            Err(_) => return "cannot send".to_owned(),
        }
    }
    "no longer used".to_owned()
}
