//! One authenticated connection to Home Assistant, shared by all who ask and subscribe on it.
//!
//! Its reader waits for nobody: Core drops a client with 4096 pending messages. So an answer is read
//! into its type, and an event handed to its owner, right where it came in; an owner keeps no more
//! than the newest of each thing.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::HomeError;
use super::dial::Socket;
use super::frame::{self, Refusal};
use super::serve::Ending;

/// How long an answer may take (contract 6.3).
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Commands that may wait to be sent before askers wait to queue theirs.
const SEND_QUEUE: usize = 64;
/// Answers that may be waited for at once; more are refused as late.
const MAX_WAITING: usize = 4096;

/// A handle to the connection; cheap to clone. Once it is closed every request fails with
/// [`HomeError::Away`], and another link takes its place: see [`super::Home::links`].
#[derive(Clone)]
pub struct Link(Arc<Shared>);

struct Shared {
    version: String,
    outgoing: mpsc::Sender<Message>,
    calls: Mutex<Calls>,
    closed: watch::Sender<bool>,
}

/// What was sent and is not done with. Ids only grow, in the order of sending.
#[derive(Default)]
pub(super) struct Calls {
    last_id: u64,
    pub(super) answers: HashMap<u64, Answer>,
    pub(super) ears: HashMap<u64, Ear>,
}

/// Takes the answer of one command.
pub(super) type Answer = Box<dyn FnOnce(Result<&str, HomeError>) + Send>;
/// Takes the events of one subscription.
pub(super) type Ear = Arc<Mutex<dyn FnMut(&RawValue) + Send>>;

/// A subscription; dropping it ends it. One more event may still be handed over meanwhile.
#[derive(Debug)]
#[must_use = "dropping it ends the subscription"]
pub struct Subscription {
    link: Link,
    id: u64,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("version", &self.0.version)
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl Link {
    /// Takes an authenticated socket. The future serves it and says why it ended.
    pub(super) fn start(
        socket: Socket,
        version: String,
    ) -> (Self, impl Future<Output = Ending> + Send) {
        let (outgoing, queue) = mpsc::channel(SEND_QUEUE);
        let link = Self(Arc::new(Shared {
            version,
            outgoing,
            calls: Mutex::default(),
            closed: watch::Sender::new(false),
        }));
        let served = link.clone().serve(socket, queue);
        (link, served)
    }

    /// Core's version, as it said itself.
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// Whether it has ended.
    pub fn is_closed(&self) -> bool {
        *self.0.closed.borrow()
    }

    /// Whether both are the same connection.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Waits for its end.
    pub async fn closed(&self) {
        // The sender lives in this very handle, so waiting cannot fail.
        let _ = self.0.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Sends a command, an object with `type` and without `id`, and waits 10 s for its result.
    ///
    /// # Errors
    /// [`HomeError`].
    pub async fn request<T>(&self, command: Value) -> Result<T, HomeError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.request_within(ANSWER_WITHIN, command).await
    }

    /// The same with another time limit, for what is large.
    ///
    /// # Errors
    /// [`HomeError`].
    pub async fn request_within<T>(&self, limit: Duration, command: Value) -> Result<T, HomeError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let asked = async { self.ask(command, None).await?.1.await };
        timeout(limit, asked).await.map_err(|_| HomeError::Late)?
    }

    /// Sends a command that subscribes, and hands each of its events to `ear`, in their order and
    /// none lost, from the first on: it may be called before this answers. `ear` runs in the
    /// connection's own task: it must not block, and should do no more than note what it heard.
    ///
    /// # Errors
    /// [`HomeError`].
    pub async fn subscribe(
        &self,
        command: Value,
        ear: impl FnMut(&RawValue) + Send + 'static,
    ) -> Result<Subscription, HomeError> {
        let ear: Ear = Arc::new(Mutex::new(ear));
        let asked = async {
            let (id, answer) = self.ask(command, Some(ear)).await?;
            // From here on dropping this future ends the subscription too.
            let subscription = Subscription {
                link: self.clone(),
                id,
            };
            let _: Option<serde::de::IgnoredAny> = answer.await?;
            Ok(subscription)
        };
        timeout(ANSWER_WITHIN, asked)
            .await
            .map_err(|_| HomeError::Late)?
    }

    /// Ends it; whoever waits for it to come back gets a new one.
    pub(super) fn close(&self) {
        self.0.closed.send_replace(true);
    }

    /// Sends `ping` and waits for `pong`, or for any answer: that Core itself is there.
    pub(super) async fn prove(&self) -> Result<(), HomeError> {
        let answer = self.request::<Option<serde::de::IgnoredAny>>(json!({ "type": "ping" }));
        match answer.await {
            Ok(_) | Err(HomeError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sends a command whose answer nobody waits for.
    pub(super) async fn tell(&self, command: Value) -> Result<(), HomeError> {
        let permit = self.0.outgoing.reserve().await;
        let permit = permit.map_err(|_| HomeError::Away)?;
        let mut calls = self.calls();
        permit.send(calls.frame(command));
        Ok(())
    }

    /// Queues a command. Its answer is read as a `T` where it comes in.
    async fn ask<T>(
        &self,
        command: Value,
        ear: Option<Ear>,
    ) -> Result<(u64, impl Future<Output = Result<T, HomeError>> + use<T>), HomeError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let permit = self.0.outgoing.reserve().await;
        let permit = permit.map_err(|_| HomeError::Away)?;
        let (answer, answered) = oneshot::channel();
        let mut calls = self.calls();
        if self.is_closed() {
            return Err(HomeError::Away);
        }
        if calls.answers.len() >= MAX_WAITING {
            return Err(HomeError::Late);
        }
        // Under the one lock, so that ids go out in their order.
        permit.send(calls.frame(command));
        let id = calls.last_id;
        let read = move |result: Result<&str, HomeError>| {
            let read = result.and_then(|text| serde_json::from_str(text).map_err(HomeError::from));
            // Whoever asked may be gone; then nobody needs the answer.
            let _ = answer.send(read);
        };
        calls.answers.insert(id, Box::new(read));
        if let Some(ear) = ear {
            calls.ears.insert(id, ear);
        }
        let waiting = Waiting {
            link: self.clone(),
            id,
        };
        Ok((id, async move {
            let _waiting = waiting;
            answered.await.unwrap_or(Err(HomeError::Away))
        }))
    }

    pub(super) fn calls(&self) -> MutexGuard<'_, Calls> {
        self.0.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    /// Everything that is still waited for.
    pub(super) fn take_all(&mut self) -> (HashMap<u64, Answer>, HashMap<u64, Ear>) {
        (
            std::mem::take(&mut self.answers),
            std::mem::take(&mut self.ears),
        )
    }

    /// The command with the next id.
    fn frame(&mut self, mut command: Value) -> Message {
        self.last_id += 1;
        if let Some(command) = command.as_object_mut() {
            command.insert("id".to_owned(), self.last_id.into());
        }
        Message::text(command.to_string())
    }
}

/// Forgets a command when nobody waits for its answer any more.
struct Waiting {
    link: Link,
    id: u64,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.link.calls().answers.remove(&self.id);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // Declared first, so that it goes after the lock: what it holds may want that.
        let ear;
        let mut calls = self.link.calls();
        ear = calls.ears.remove(&self.id);
        // A full queue leaves it open at the other end until the connection ends; its events are
        // passed over here.
        if ear.is_some()
            && let Ok(permit) = self.link.0.outgoing.try_reserve()
        {
            let command = json!({ "type": "unsubscribe_events", "subscription": self.id });
            permit.send(calls.frame(command));
        }
    }
}

impl From<Refusal> for HomeError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused {
            code: frame::line(&refusal.code),
            message: frame::line(&refusal.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::time::{Instant, sleep};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;
    use crate::home::dial::Line;

    #[tokio::test(start_paused = true)]
    async fn an_answer_takes_its_limit_and_no_longer_however_late_the_question_goes() {
        let (ours, mut theirs) = tokio::io::duplex(16);
        let line: Box<dyn Line> = Box::new(ours);
        let socket = WebSocketStream::from_raw_socket(line, Role::Client, None).await;
        let (link, served) = Link::start(socket, String::new());
        let serving = tokio::spawn(served);
        let ping = || json!({ "type": "ping" });
        // One is being written, and as many wait as may.
        for _ in 0..=SEND_QUEUE {
            link.tell(ping()).await.unwrap();
        }
        let reading = tokio::spawn(async move {
            sleep(Duration::from_secs(9)).await;
            let mut read = [0; 1024];
            while theirs.read(&mut read).await.is_ok_and(|count| count > 0) {}
        });
        let began = Instant::now();
        let answer = link.request::<Value>(ping()).await;
        assert_eq!(answer, Err(HomeError::Late));
        assert_eq!(began.elapsed().as_secs(), ANSWER_WITHIN.as_secs());
        serving.abort();
        reading.abort();
    }
}
