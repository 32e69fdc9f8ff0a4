//! How sessions and connections end: by an order of the hub, by a deadline, or with the daemon.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::close_action::CloseAction;
use super::codec::{self, Codec};
use super::connection::Connection;
use super::namespace_session::NamespaceSession;
use realtime_protocol::{Event as TransportEvent, socketio};
use wallcast_core::disconnect::DisconnectReason;
use wallcast_core::event::{EventType, Namespace};

/// A peer that takes nothing for this long is closed (contract 4.6).
const STALL: Duration = Duration::from_secs(10);
/// How long a stopping daemon waits for a peer to take its last words.
const SHUTDOWN_WRITE_TIMEOUT: Duration = Duration::from_millis(1500);
/// How far reconnecting tablets are spread after a stop.
const RECONNECT_MS: std::ops::Range<u32> = 500..5000;

impl Connection {
    /// Ends what the hub has ended: nothing that was queued goes out, the last words do.
    pub(super) fn end_sessions(&mut self) -> Result<(), CloseAction> {
        let (ended, going_on): (Vec<_>, Vec<_>) = {
            // Sessions that end together are seen to end together.
            let _desk = self.writer.lock();
            if !self.sessions.iter().any(NamespaceSession::has_ended) {
                return Ok(());
            }
            self.sessions
                .drain(..)
                .partition(NamespaceSession::has_ended)
        };
        self.sessions = going_on;
        let mut orders = Vec::new();
        for entry in ended {
            if let Some((reason, final_event)) = entry.reason() {
                orders.push((entry.namespace, reason, final_event));
            }
            entry.leave(&self.app);
        }
        if !self.writer().discard_queue() {
            return Err(CloseAction::Drop);
        }
        // What was dropped may have been for the connection's other sessions: they come back, and
        // get it again.
        let mut action = DisconnectReason::TryAgain.into();
        for (namespace, reason, final_event) in orders {
            if let Some(event) = final_event {
                self.send_event(namespace, &event);
            }
            if let Err(last) = self.close_namespace(namespace, reason) {
                action = last;
            }
        }
        Err(action)
    }

    /// Says good-bye in a namespace as the dialect has it (contract 4.1): stock Socket.IO clients
    /// come back after a bare close, and stay away after DISCONNECT. Other namespaces of the
    /// connection go on.
    pub(super) fn close_namespace(
        &mut self,
        namespace: Namespace,
        reason: DisconnectReason,
    ) -> Result<(), CloseAction> {
        if let (Codec::SocketIo(_), true) = (&self.codec, reason.is_final()) {
            self.send_error(namespace, reason.as_str(), reason.message());
            let goodbye = socketio::disconnect(namespace.path());
            self.send(goodbye);
            if !self.sessions.is_empty() {
                return Ok(());
            }
        }
        Err(reason.into())
    }

    /// The daemon stops: what waits is told, then that, then the close (contract section 9).
    pub(super) async fn shut_down(&mut self) -> CloseAction {
        let [a, b, c, d] = wallcast_core::random::bytes::<4>();
        let spread = RECONNECT_MS.end - RECONNECT_MS.start;
        let after = RECONNECT_MS.start + u32::from_le_bytes([a, b, c, d]) % spread;
        let data = json!({ "reconnectAfterMs": after });
        for index in 0..self.sessions.len() {
            let Some(entry) = self.sessions.get_mut(index).filter(|entry| entry.is_live()) else {
                continue;
            };
            let namespace = entry.namespace;
            {
                // At the writer, so that nobody hands on what comes after these before them.
                let mut writer = self.writer.lock();
                for event in entry.drain(usize::MAX) {
                    let frame = codec::frame(self.codec.dialect(), namespace, &event);
                    writer.transport.send(frame);
                }
            }
            self.send_direct(namespace, &EventType::SERVER_SHUTDOWN, &data);
            if let Some(frame) = self.codec.pace(after) {
                self.send(frame);
            }
        }
        // Written under the writer, so that a revocation still comes in between.
        let written = async {
            while !self.can_send() {
                match self.next_event().await {
                    Some(TransportEvent::Closed(_)) | None => break,
                    Some(_) => {}
                }
            }
        };
        // A peer that takes nothing meanwhile gets the bare close.
        let is_written = tokio::time::timeout(SHUTDOWN_WRITE_TIMEOUT, written)
            .await
            .is_ok();
        match self.settle() {
            Err(action) => action,
            Ok(()) if is_written => DisconnectReason::Shutdown.into(),
            Ok(()) => {
                self.writer().discard_queue();
                DisconnectReason::Shutdown.into()
            }
        }
    }

    /// When something is to be looked at again, if ever.
    pub(super) fn next_deadline(&mut self) -> Option<Instant> {
        let auth_timeout = self.app.config.auth_timeout;
        let empty = self
            .sessions
            .is_empty()
            .then(|| self.unproven_since + auth_timeout);
        let stall = self.stalls_at();
        let sessions = self
            .sessions
            .iter_mut()
            .filter_map(|entry| entry.deadline(auth_timeout));
        empty.into_iter().chain(stall).chain(sessions).min()
    }

    /// When the peer has taken nothing for too long, as far as something waits for it.
    fn stalls_at(&self) -> Option<Instant> {
        let (since, taken) = (self.waiting_since?, self.writer().transport.last_taken()?);
        Some(since.max(taken) + STALL)
    }

    pub(super) fn on_deadline(&mut self) -> Result<(), CloseAction> {
        let now = Instant::now();
        let auth_timeout = self.app.config.auth_timeout;
        self.sessions
            .iter_mut()
            .for_each(NamespaceSession::look_again);
        if self.stalls_at().is_some_and(|at| now >= at) {
            tracing::info!(from = %self.peer.shown(), "the peer took nothing for ten seconds");
            self.writer().discard_queue();
            return Err(DisconnectReason::Stalled.into());
        }
        if let Some(entry) = self.sessions.iter().find(|entry| entry.has_expired()) {
            entry.expire();
        }
        if let Some(late) = self
            .sessions
            .iter()
            .position(|entry| entry.is_overdue(auth_timeout))
        {
            let namespace = self.sessions.remove(late).namespace;
            return self.close_namespace(namespace, DisconnectReason::AuthTimeout);
        }
        if self.sessions.is_empty() && now >= self.unproven_since + auth_timeout {
            return Err(DisconnectReason::AuthTimeout.into());
        }
        Ok(())
    }
}
