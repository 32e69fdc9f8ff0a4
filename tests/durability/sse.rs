//! A client of server-sent events that behaves as `EventSource`: it keeps the last id and sends it as
//! `Last-Event-ID` (docs/protocol.md#server-sent-events).

use std::convert::Infallible;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Method, Request};
use serde_json::{Value, json};

use crate::connector::{ConnectionError, Connector};
use crate::receiver::Receiver;
use crate::socketio::id_of;

/// The state that is kept between connections.
pub struct Sse {
    token: String,
    last_event_id: Option<String>,
    connection: Option<String>,
    is_resuming: bool,
}

impl Sse {
    pub fn new(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            last_event_id: None,
            connection: None,
            is_resuming: false,
        }
    }

    /// Runs one connection until it ends.
    pub async fn run(
        &mut self,
        connector: &Connector,
        receiver: &Receiver,
    ) -> Result<Infallible, ConnectionError> {
        let mut request = Request::builder()
            .uri("/api/events")
            .header("accept", "text/event-stream");
        if let Some(id) = &self.last_event_id {
            request = request.header("last-event-id", id);
        }
        self.is_resuming = self.last_event_id.is_some();
        let mut http = connector.http_client(Some(&self.token));
        let response = http.send(request, String::new()).await?;
        match response.status().as_u16() {
            200 => self.listen(response.into_body(), connector, receiver).await,
            status => Err(ConnectionError::from_status(status)),
        }
    }

    async fn listen(
        &mut self,
        mut body: Incoming,
        connector: &Connector,
        receiver: &Receiver,
    ) -> Result<Infallible, ConnectionError> {
        let mut buffer = Vec::new();
        loop {
            while let Some(end) = buffer.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = buffer.drain(..end + 2).collect();
                let block = String::from_utf8(block);
                let block = block.map_err(|error| ConnectionError::Fatal(error.to_string()))?;
                if let Some(resume) = self.dispatch(&block, receiver)? {
                    self.send_resume(connector, resume, receiver);
                }
            }
            receiver.before_read().await;
            match body.frame().await {
                Some(Ok(frame)) => buffer.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Some(Err(error)) => return Err(ConnectionError::retryable(error)),
                None => return Err(ConnectionError::retryable("the stream ended")),
            }
        }
    }

    /// Handles an event. After a reconnect, returns the `resume` message that closes an older half-open
    /// session.
    fn dispatch(
        &mut self,
        block: &str,
        receiver: &Receiver,
    ) -> Result<Option<Value>, ConnectionError> {
        let (mut id, mut event_type, mut data) = (None, None, None);
        for line in block.lines() {
            match line.split_once(": ") {
                Some(("id", value)) => id = Some(value),
                Some(("event", value)) => event_type = Some(value),
                Some(("data", value)) => data = Some(value),
                _ => {}
            }
        }
        let invalid = || ConnectionError::Fatal(format!("invalid event: {block}"));
        let (Some(event_type), Some(data)) = (event_type, data) else {
            return Ok(None);
        };
        let mut resume = None;
        match (event_type, id) {
            ("connection", _) => {
                let welcome: Value = serde_json::from_str(data).map_err(|_| invalid())?;
                receiver.welcome(&welcome, self.is_resuming);
                let new = welcome["connectionId"].as_str().ok_or_else(invalid)?;
                resume = self.resume(new);
                self.connection = Some(new.to_owned());
            }
            ("error", None) => return Err(error_of(data)),
            (_, Some(id)) => receiver.event(event_type, Some(id_of(id).ok_or_else(invalid)?), data),
            (_, None) => receiver.event(event_type, None, data),
        }
        if let Some(id) = id {
            self.last_event_id = Some(id.to_owned());
        }
        Ok(resume)
    }

    fn resume(&self, new: &str) -> Option<Value> {
        let (old, position) = (self.connection.as_ref()?, self.last_event_id.as_ref()?);
        let (epoch, id) = position.split_once(':')?;
        let id: i64 = id.parse().ok()?;
        let data = json!({ "lastEventId": id, "epoch": epoch, "connectionId": old });
        Some(json!({ "connectionId": new, "type": "resume", "data": data }))
    }

    /// Sends `resume` in a task of its own while the stream is read: a session whose queue is full accepts
    /// no messages.
    fn send_resume(&self, connector: &Connector, resume: Value, receiver: &Receiver) {
        let body = ("application/json", resume.to_string());
        let (mut http, receiver) = (connector.http_client(Some(&self.token)), receiver.clone());
        tokio::spawn(async move {
            let response = http.request(Method::POST, "/api/send", Some(body)).await;
            // The new session may have ended, or its queue may stay full: then the old session remains until
            // its own timeout.
            if let Ok((status, text)) = response
                && ![200, 403, 409, 503].contains(&status)
            {
                receiver.add_violation(format!("resume: {status} {text}"));
            }
        });
    }
}

/// The meaning of an `error` event at the end of a stream.
fn error_of(data: &str) -> ConnectionError {
    let retryable = ["stalled", "try_again", "shutdown"];
    let is_named = |code: &&str| data.contains(&format!("\"code\":\"{code}\""));
    match retryable.iter().any(is_named) {
        true => ConnectionError::retryable(data),
        false => ConnectionError::Fatal(data.to_owned()),
    }
}
