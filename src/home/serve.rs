//! The task of one connection to Home Assistant: it reads, writes, and keeps the line awake. Hands on
//! what it hears and waits for nobody.

use std::sync::PoisonError;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::dial::Socket;
use super::{HomeError, Link, frame};

/// How often a quiet Home Assistant is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(25);
/// After so long without a frame it is not.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// Why a connection ended, in words for the log.
pub(super) type Ending = String;

impl Link {
    /// Serves the socket until it ends, and says why it did.
    pub(super) async fn serve(self, socket: Socket, queue: mpsc::Receiver<Message>) -> Ending {
        let (sink, stream) = socket.split();
        let ending = tokio::select! {
            ending = self.read(stream) => ending,
            ending = write(sink, queue) => ending,
            ending = self.keep_awake() => ending,
            () = self.closed() => "it was closed by us".to_owned(),
        };
        self.close();
        // Dropped answers are `Away` to whoever waits for them. Not under the lock: what an owner's ear
        // holds may want it.
        let (answers, ears) = self.calls().take_all();
        drop((answers, ears));
        ending
    }

    async fn read(&self, mut stream: SplitStream<Socket>) -> Ending {
        loop {
            let message = match timeout(LONGEST_SILENCE, stream.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(error))) => return format!("the connection broke: {error}"),
                Ok(None) => return "it closed the connection".to_owned(),
                Err(_) => return format!("it is silent for {} s", LONGEST_SILENCE.as_secs()),
            };
            match message {
                Message::Text(text) => {
                    if let Err(error) = self.hear(&text) {
                        let error = frame::line(&error.to_string());
                        return format!("it sent what is no message of Home Assistant's: {error}");
                    }
                }
                Message::Close(_) => return "it closed the connection".to_owned(),
                _ => {}
            }
        }
    }

    fn hear(&self, text: &str) -> Result<(), serde_json::Error> {
        for message in frame::messages(text)? {
            let Some(id) = message.id else { continue };
            match &*message.kind {
                "result" => {
                    let refusal = message.error.unwrap_or_default();
                    let result = match message.success {
                        Some(true) => Ok(message.result.map_or("null", RawValue::get)),
                        _ => Err(HomeError::from(refusal)),
                    };
                    self.settle(id, result);
                }
                "pong" => self.settle(id, Ok("null")),
                "event" => {
                    let ear = self.calls().ears.get(&id).cloned();
                    if let (Some(ear), Some(event)) = (ear, message.event) {
                        let mut ear = ear.lock().unwrap_or_else(PoisonError::into_inner);
                        ear(event);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn settle(&self, id: u64, result: Result<&str, HomeError>) {
        let (answer, _deaf) = {
            let mut calls = self.calls();
            let answer = calls.answers.remove(&id);
            // Under the id of a subscription that stands, Core says so of an event that it cannot put
            // into JSON; those after it come all the same.
            let is_refused = answer.is_some() && result.is_err();
            (answer, is_refused.then(|| calls.ears.remove(&id)))
        };
        if let (None, Err(error)) = (&answer, &result) {
            tracing::debug!(%error, id, "Home Assistant refuses what nobody waits for");
        }
        if let Some(answer) = answer {
            answer(result);
        }
    }

    /// Keeps a quiet line from looking dead, to both sides.
    async fn keep_awake(&self) -> Ending {
        let mut beat = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        loop {
            beat.tick().await;
            if self.tell(json!({ "type": "ping" })).await.is_err() {
                return "it takes nothing more".to_owned();
            }
        }
    }
}

async fn write(mut sink: SplitSink<Socket, Message>, mut queue: mpsc::Receiver<Message>) -> Ending {
    while let Some(message) = queue.recv().await {
        match timeout(LONGEST_SILENCE, sink.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return format!("the connection broke: {error}"),
            Err(_) => return "it takes nothing more".to_owned(),
        }
    }
    "nobody needs it any more".to_owned()
}
