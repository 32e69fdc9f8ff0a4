//! A tablet on server-sent events (contract 4.3), which keeps the last id as `EventSource` does and
//! brings it in `Last-Event-ID`.

use std::convert::Infallible;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Method, Request};
use serde_json::{Value, json};

use crate::ears::Ears;
use crate::socketio::id_of;
use crate::way::{Lost, Way};

/// What such a tablet keeps between two connections.
pub struct Sse {
    token: String,
    last_event_id: Option<String>,
    connection: Option<String>,
    comes_back: bool,
}

impl Sse {
    pub fn new(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            last_event_id: None,
            connection: None,
            comes_back: false,
        }
    }

    /// One connection, until it is lost.
    pub async fn live(&mut self, way: &Way, ears: &Ears) -> Result<Infallible, Lost> {
        let mut request = Request::builder()
            .uri("/api/events")
            .header("accept", "text/event-stream");
        if let Some(id) = &self.last_event_id {
            request = request.header("last-event-id", id);
        }
        self.comes_back = self.last_event_id.is_some();
        let mut line = way.line(Some(&self.token));
        let response = line.open(request, String::new()).await?;
        match response.status().as_u16() {
            200 => self.listen(response.into_body(), way, ears).await,
            status => Err(Lost::refused(status)),
        }
    }

    async fn listen(
        &mut self,
        mut body: Incoming,
        way: &Way,
        ears: &Ears,
    ) -> Result<Infallible, Lost> {
        let mut waiting = Vec::new();
        loop {
            while let Some(end) = waiting.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = waiting.drain(..end + 2).collect();
                let block = String::from_utf8(block);
                let block = block.map_err(|error| Lost::Final(error.to_string()))?;
                if let Some(resume) = self.dispatch(&block, ears)? {
                    self.replace(way, resume, ears);
                }
            }
            ears.awake().await;
            match body.frame().await {
                Some(Ok(frame)) => {
                    waiting.extend_from_slice(&frame.into_data().unwrap_or_default())
                }
                Some(Err(error)) => return Err(Lost::broken(error)),
                None => return Err(Lost::broken("it ended")),
            }
        }
    }

    /// An event, and the message by which a half-open session of before makes room for this one.
    fn dispatch(&mut self, block: &str, ears: &Ears) -> Result<Option<Value>, Lost> {
        let (mut id, mut kind, mut data) = (None, None, None);
        for line in block.lines() {
            match line.split_once(": ") {
                Some(("id", value)) => id = Some(value),
                Some(("event", value)) => kind = Some(value),
                Some(("data", value)) => data = Some(value),
                _ => {}
            }
        }
        let nonsense = || Lost::Final(format!("no event: {block}"));
        let (Some(kind), Some(data)) = (kind, data) else {
            return Ok(None);
        };
        let mut resume = None;
        match (kind, id) {
            ("connection", _) => {
                let words: Value = serde_json::from_str(data).map_err(|_| nonsense())?;
                ears.words(&words, self.comes_back);
                let new = words["connectionId"].as_str().ok_or_else(nonsense)?;
                resume = self.resume(new);
                self.connection = Some(new.to_owned());
            }
            ("error", None) => return Err(ended(data)),
            (_, Some(id)) => ears.event(kind, Some(id_of(id).ok_or_else(nonsense)?), data),
            (_, None) => ears.event(kind, None, data),
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

    /// Beside the stream, which is read on: a session that is behind takes no messages.
    fn replace(&self, way: &Way, resume: Value, ears: &Ears) {
        let body = ("application/json", resume.to_string());
        let (mut line, ears) = (way.line(Some(&self.token)), ears.clone());
        tokio::spawn(async move {
            let answered = line.ask(Method::POST, "/api/send", Some(body)).await;
            // It may have ended meanwhile, or been behind for too long: then the twin stays a while.
            if let Ok((status, text)) = answered
                && ![200, 403, 409, 503].contains(&status)
            {
                ears.complain(format!("resume: {status} {text}"));
            }
        });
    }
}

/// What an `error` at a stream's end means.
fn ended(data: &str) -> Lost {
    let comes_back = ["stalled", "try_again", "shutdown"];
    let is_named = |code: &&str| data.contains(&format!("\"code\":\"{code}\""));
    match comes_back.iter().any(is_named) {
        true => Lost::broken(data),
        false => Lost::Final(data.to_owned()),
    }
}
