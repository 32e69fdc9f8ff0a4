//! Closes sessions and connections: when the hub ends a session, at a deadline, and at shutdown.

use std::time::Duration;

use realtime_protocol::{Event as TransportEvent, socketio};
use serde_json::json;
use tokio::time::Instant;
use wallcast_core::disconnect::DisconnectReason;
use wallcast_core::event::{EventType, Namespace};

use super::close_action::CloseAction;
use super::codec::{self, Codec};
use super::connection::Connection;
use super::namespace_session::NamespaceSession;

/// A peer that takes no bytes for this long is closed as stalled (`docs/protocol.md#back-pressure`).
const STALL: Duration = Duration::from_secs(10);
/// How long shutdown waits for a peer to take its last events.
const SHUTDOWN_WRITE_TIMEOUT: Duration = Duration::from_millis(1500);
/// Reconnect delays after a shutdown, drawn at random so that clients do not all reconnect at once.
const RECONNECT_MS: std::ops::Range<u32> = 500..5000;

impl Connection {
    /// Closes the sessions that the hub ended. Their queued events are dropped; their final events are sent.
    pub(super) fn close_ended_sessions(&mut self) -> Result<(), CloseAction> {
        let (ended, remaining): (Vec<_>, Vec<_>) = {
            // The hub ends sessions of one connection together under this lock, so either all are seen or none.
            let _writer = self.writer.lock();
            if !self.sessions.iter().any(NamespaceSession::has_ended) {
                return Ok(());
            }
            self.sessions
                .drain(..)
                .partition(NamespaceSession::has_ended)
        };
        self.sessions = remaining;
        let mut closing = Vec::new();
        for session in ended {
            if let Some((reason, final_event)) = session.end_reason() {
                closing.push((session.namespace, reason, final_event));
            }
            session.unregister(&self.app);
        }
        if !self.writer().discard_queue() {
            return Err(CloseAction::Abort);
        }
        // The dropped frames may include some of the connection's other sessions. So the whole connection is
        // closed; those sessions reconnect and replay.
        let mut action = DisconnectReason::TryAgain.into();
        for (namespace, reason, final_event) in closing {
            if let Some(event) = final_event {
                self.send_event(namespace, &event);
            }
            if let Err(close) = self.close_namespace(namespace, reason) {
                action = close;
            }
        }
        Err(action)
    }

    /// Closes one namespace. Stock Socket.IO clients reconnect after a bare close but not after DISCONNECT, so a
    /// final reason sends `error` and DISCONNECT and leaves the connection to its other namespaces.
    ///
    /// # Errors
    /// The close action, if the connection is to be closed too.
    pub(super) fn close_namespace(
        &mut self,
        namespace: Namespace,
        reason: DisconnectReason,
    ) -> Result<(), CloseAction> {
        if let (Codec::SocketIo(_), true) = (&self.codec, reason.is_final()) {
            self.send_error(namespace, reason.as_str(), reason.message());
            self.send(socketio::disconnect(namespace.path()));
            if !self.sessions.is_empty() {
                return Ok(());
            }
        }
        Err(reason.into())
    }

    /// Shutdown: sends what is queued, then `server_shutdown`, then closes (`docs/protocol.md#shutdown`).
    pub(super) async fn shut_down(&mut self) -> CloseAction {
        let [a, b, c, d] = wallcast_core::random::bytes::<4>();
        let spread = RECONNECT_MS.end - RECONNECT_MS.start;
        let reconnect_ms = RECONNECT_MS.start + u32::from_le_bytes([a, b, c, d]) % spread;
        let data = json!({ "reconnectAfterMs": reconnect_ms });
        for index in 0..self.sessions.len() {
            let Some(session) = self
                .sessions
                .get_mut(index)
                .filter(|session| session.is_live())
            else {
                continue;
            };
            let namespace = session.namespace;
            {
                // Under the lock, so that the dispatcher cannot write later events in between.
                let mut writer = self.writer.lock();
                for event in session.drain(usize::MAX) {
                    let frame = codec::frame(self.codec.dialect(), namespace, &event);
                    writer.transport.send(frame);
                }
            }
            self.send_direct(namespace, &EventType::SERVER_SHUTDOWN, &data);
            if let Some(frame) = self.codec.retry_hint(reconnect_ms) {
                self.send(frame);
            }
        }
        // `next_event` writes, and stops if a session is revoked meanwhile.
        let written = async {
            while !self.can_send() {
                match self.next_event().await {
                    Some(TransportEvent::Closed(_)) | None => break,
                    Some(_) => {}
                }
            }
        };
        // A peer that takes nothing in this time gets only the close.
        let is_written = tokio::time::timeout(SHUTDOWN_WRITE_TIMEOUT, written)
            .await
            .is_ok();
        match self.drain_outboxes() {
            Err(action) => action,
            Ok(()) if is_written => DisconnectReason::Shutdown.into(),
            Ok(()) => {
                self.writer().discard_queue();
                DisconnectReason::Shutdown.into()
            }
        }
    }

    /// When [`on_deadline`](Self::on_deadline) must run next; `None` if there is no deadline.
    pub(super) fn next_deadline(&mut self) -> Option<Instant> {
        let auth_timeout = self.app.config.auth_timeout;
        let without_session = self
            .sessions
            .is_empty()
            .then(|| self.unauthenticated_since + auth_timeout);
        let stall = self.stalls_at();
        let sessions = self
            .sessions
            .iter_mut()
            .filter_map(|session| session.deadline(auth_timeout));
        without_session
            .into_iter()
            .chain(stall)
            .chain(sessions)
            .min()
    }

    /// When the peer counts as stalled; `None` while no frame waits for it.
    fn stalls_at(&self) -> Option<Instant> {
        let (since, last_written) = (self.waiting_since?, self.writer().transport.last_written()?);
        Some(since.max(last_written) + STALL)
    }

    /// Ends a stalled connection, sessions whose token has expired, and sessions that did not authenticate in time.
    pub(super) fn on_deadline(&mut self) -> Result<(), CloseAction> {
        let now = Instant::now();
        let auth_timeout = self.app.config.auth_timeout;
        self.sessions
            .iter_mut()
            .for_each(NamespaceSession::clear_cached_deadline);
        if self.stalls_at().is_some_and(|at| now >= at) {
            tracing::info!(from = %self.peer.shown(), seconds = STALL.as_secs(), "peer took no bytes");
            self.writer().discard_queue();
            return Err(DisconnectReason::Stalled.into());
        }
        if let Some(session) = self.sessions.iter().find(|session| session.has_expired()) {
            session.expire();
        }
        if let Some(late) = self
            .sessions
            .iter()
            .position(|session| session.is_overdue(auth_timeout))
        {
            let namespace = self.sessions.remove(late).namespace;
            return self.close_namespace(namespace, DisconnectReason::AuthTimeout);
        }
        if self.sessions.is_empty() && now >= self.unauthenticated_since + auth_timeout {
            return Err(DisconnectReason::AuthTimeout.into());
        }
        Ok(())
    }
}
