//! One authenticated connection to Home Assistant, shared by all requests and subscriptions.
//!
//! Its reader never blocks, because Core drops a client with 4096 pending messages. Answers are
//! parsed, and events handed to their handlers, in the reading task. A handler only
//! records the newest state of what it received.

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
use super::connection_task::EndReason;
use super::dial::CoreSocket;
use super::message::{self, ResponseError};

/// Time limit for an answer (`docs/protocol.md#calling-services`).
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Queued outgoing commands; above it, senders wait.
const SEND_QUEUE: usize = 64;
/// Commands awaiting an answer; above it, new ones fail with a timeout.
const MAX_PENDING: usize = 4096;

/// A handle to one connection; cheap to clone. After it is closed every request fails with
/// [`HomeError::Disconnected`]; [`super::HomeAssistant::connections`] yields its successor.
#[derive(Clone)]
pub struct HomeConnection(Arc<ConnectionInner>);

struct ConnectionInner {
    version: String,
    outgoing: mpsc::Sender<Message>,
    pending: Mutex<PendingCommands>,
    closed: watch::Sender<bool>,
}

/// Commands without an answer yet, and the handlers of open subscriptions. Ids grow in the order of
/// sending, as Home Assistant requires.
#[derive(Default)]
pub(super) struct PendingCommands {
    last_id: u64,
    pub(super) result_handlers: HashMap<u64, ResultHandler>,
    pub(super) event_handlers: HashMap<u64, EventHandler>,
}

/// Receives the answer of one command.
pub(super) type ResultHandler = Box<dyn FnOnce(Result<&str, HomeError>) + Send>;
/// Receives the events of one subscription.
pub(super) type EventHandler = Arc<Mutex<dyn FnMut(&RawValue) + Send>>;

/// An open subscription; dropping it unsubscribes. One more event may arrive while it is dropped.
#[derive(Debug)]
#[must_use = "dropping it ends the subscription"]
pub struct EventSubscription {
    connection: HomeConnection,
    id: u64,
}

impl fmt::Debug for HomeConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HomeConnection")
            .field("version", &self.0.version)
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl HomeConnection {
    /// Creates a connection on an authenticated socket. The future serves it and returns why it
    /// ended.
    pub(super) fn start(
        socket: CoreSocket,
        version: String,
    ) -> (Self, impl Future<Output = EndReason> + Send) {
        let (outgoing, queue) = mpsc::channel(SEND_QUEUE);
        let connection = Self(Arc::new(ConnectionInner {
            version,
            outgoing,
            pending: Mutex::default(),
            closed: watch::Sender::new(false),
        }));
        let served = connection.clone().serve(socket, queue);
        (connection, served)
    }

    /// Core's version.
    pub fn version(&self) -> &str {
        &self.0.version
    }

    pub fn is_closed(&self) -> bool {
        *self.0.closed.borrow()
    }

    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Waits until the connection is closed.
    pub async fn closed(&self) {
        // `self` owns the sender, so waiting cannot fail.
        let _ = self.0.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Sends a command and waits up to 10 s for its result. `command` is an object with `type` and
    /// without `id`.
    ///
    /// # Errors
    /// Any [`HomeError`].
    pub async fn request<T>(&self, command: Value) -> Result<T, HomeError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.request_within(ANSWER_TIMEOUT, command).await
    }

    /// [`Self::request`] with another time limit, for large answers.
    ///
    /// # Errors
    /// Any [`HomeError`].
    pub async fn request_within<T>(&self, limit: Duration, command: Value) -> Result<T, HomeError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let answered = async { self.send_command(command, None).await?.1.await };
        timeout(limit, answered)
            .await
            .map_err(|_| HomeError::Timeout)?
    }

    /// Sends a command that subscribes, and passes each of its events to `handler`, in order and
    /// without loss. The first event may arrive before this returns. `handler` runs in the
    /// connection's task: it must not block, and should only record what it received.
    ///
    /// # Errors
    /// Any [`HomeError`].
    pub async fn subscribe(
        &self,
        command: Value,
        handler: impl FnMut(&RawValue) + Send + 'static,
    ) -> Result<EventSubscription, HomeError> {
        let handler: EventHandler = Arc::new(Mutex::new(handler));
        let answered = async {
            let (id, answer) = self.send_command(command, Some(handler)).await?;
            // From here on, dropping this future also unsubscribes.
            let subscription = EventSubscription {
                connection: self.clone(),
                id,
            };
            let _: Option<serde::de::IgnoredAny> = answer.await?;
            Ok(subscription)
        };
        timeout(ANSWER_TIMEOUT, answered)
            .await
            .map_err(|_| HomeError::Timeout)?
    }

    /// Closes the connection; [`super::reconnect`] opens a new one.
    pub(super) fn close(&self) {
        self.0.closed.send_replace(true);
    }

    /// Sends `ping` and waits for an answer. An error counts too: it comes from Core itself.
    pub(super) async fn ping(&self) -> Result<(), HomeError> {
        let answer = self.request::<Option<serde::de::IgnoredAny>>(json!({ "type": "ping" }));
        match answer.await {
            Ok(_) | Err(HomeError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sends a command and ignores its answer.
    pub(super) async fn send(&self, command: Value) -> Result<(), HomeError> {
        let permit = self.0.outgoing.reserve().await;
        let permit = permit.map_err(|_| HomeError::Disconnected)?;
        let mut pending = self.pending();
        permit.send(pending.with_next_id(command));
        Ok(())
    }

    /// Queues a command. Its answer is parsed as a `T` in the reading task.
    async fn send_command<T>(
        &self,
        command: Value,
        handler: Option<EventHandler>,
    ) -> Result<(u64, impl Future<Output = Result<T, HomeError>> + use<T>), HomeError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let permit = self.0.outgoing.reserve().await;
        let permit = permit.map_err(|_| HomeError::Disconnected)?;
        let (answer, answered) = oneshot::channel();
        let mut pending = self.pending();
        if self.is_closed() {
            return Err(HomeError::Disconnected);
        }
        if pending.result_handlers.len() >= MAX_PENDING {
            return Err(HomeError::Timeout);
        }
        // Sent under the lock that assigns the id, so that ids are sent in ascending order.
        permit.send(pending.with_next_id(command));
        let id = pending.last_id;
        let parse = move |result: Result<&str, HomeError>| {
            let parsed =
                result.and_then(|text| serde_json::from_str(text).map_err(HomeError::from));
            // The caller may have given up waiting.
            let _ = answer.send(parsed);
        };
        pending.result_handlers.insert(id, Box::new(parse));
        if let Some(handler) = handler {
            pending.event_handlers.insert(id, handler);
        }
        let guard = PendingGuard {
            connection: self.clone(),
            id,
        };
        Ok((id, async move {
            let _guard = guard;
            answered.await.unwrap_or(Err(HomeError::Disconnected))
        }))
    }

    pub(super) fn pending(&self) -> MutexGuard<'_, PendingCommands> {
        self.0
            .pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl PendingCommands {
    /// Removes all handlers.
    pub(super) fn take_all(&mut self) -> (HashMap<u64, ResultHandler>, HashMap<u64, EventHandler>) {
        (
            std::mem::take(&mut self.result_handlers),
            std::mem::take(&mut self.event_handlers),
        )
    }

    /// Assigns the next id to the command.
    fn with_next_id(&mut self, mut command: Value) -> Message {
        self.last_id += 1;
        if let Some(command) = command.as_object_mut() {
            command.insert("id".to_owned(), self.last_id.into());
        }
        Message::text(command.to_string())
    }
}

/// Removes the result handler when the caller stops waiting.
struct PendingGuard {
    connection: HomeConnection,
    id: u64,
}

impl Drop for PendingGuard {
    fn drop(&mut self) {
        self.connection.pending().result_handlers.remove(&self.id);
    }
}

impl Drop for EventSubscription {
    fn drop(&mut self) {
        // Declared before the lock, so that it is dropped after it: dropping the handler may take
        // the same lock.
        let handler;
        let mut pending = self.connection.pending();
        handler = pending.event_handlers.remove(&self.id);
        // If the queue is full, the subscription stays open at Core until the connection ends; its
        // events are ignored here.
        if handler.is_some()
            && let Ok(permit) = self.connection.0.outgoing.try_reserve()
        {
            let command = json!({ "type": "unsubscribe_events", "subscription": self.id });
            permit.send(pending.with_next_id(command));
        }
    }
}

impl From<ResponseError> for HomeError {
    fn from(error: ResponseError) -> Self {
        Self::Refused {
            code: message::single_line(&error.code),
            message: message::single_line(&error.message),
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
    use crate::home::dial::CoreStream;

    #[tokio::test(start_paused = true)]
    async fn request_times_out_even_while_queue_is_full() {
        let (ours, mut theirs) = tokio::io::duplex(16);
        let stream: Box<dyn CoreStream> = Box::new(ours);
        let socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
        let (connection, served) = HomeConnection::start(socket, String::new());
        let serving = tokio::spawn(served);
        let ping = || json!({ "type": "ping" });
        // One command is being written, and the queue is full.
        for _ in 0..=SEND_QUEUE {
            connection.send(ping()).await.unwrap();
        }
        let reading = tokio::spawn(async move {
            sleep(Duration::from_secs(9)).await;
            let mut read = [0; 1024];
            while theirs.read(&mut read).await.is_ok_and(|count| count > 0) {}
        });
        let began = Instant::now();
        let answer = connection.request::<Value>(ping()).await;
        assert_eq!(answer, Err(HomeError::Timeout));
        assert_eq!(began.elapsed().as_secs(), ANSWER_TIMEOUT.as_secs());
        serving.abort();
        reading.abort();
    }
}
