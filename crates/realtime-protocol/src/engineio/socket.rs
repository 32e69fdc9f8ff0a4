//! [`Socket`]: one Engine.IO connection, independent of its transport. An upgrade from polling to WebSocket
//! happens inside it and loses no message.

use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::{Instant, timeout};

use super::SessionGuard;
use super::heartbeat::{Heartbeat, HeartbeatAction};
use super::packet::{PING, Packet, is_message};
use super::polling::{CLOSE_TIMEOUT, Polling, PollingOutcome};
use super::query::Transport;
use super::timer::Timer;
use crate::websocket::WebSocket;
use crate::{ByteStream, CloseReason, Event, Frame};

/// The server's end of one Engine.IO connection.
///
/// One task owns the socket and must keep calling [`poll_event`](Self::poll_event) or [`event`](Self::event):
/// reading, writing, heartbeats and upgrades all happen in there. Dropping the socket ends the session.
///
/// The frames it returns and accepts are whole message packets: text with its leading `4`, or binary.
pub struct Socket<S: ByteStream> {
    id: Arc<str>,
    transport: TransportState<S>,
    timer: Timer,
    /// Keeps the session id valid while the socket lives. `None` if the session started as a WebSocket.
    _guard: Option<SessionGuard<S>>,
}

enum TransportState<S: ByteStream> {
    Polling(Box<Polling<S>>),
    WebSocket(Box<WebSocket<S>>, WebSocketHeartbeat),
}

struct WebSocketHeartbeat {
    heartbeat: Heartbeat,
    paused: bool,
}

impl<S: ByteStream> Socket<S> {
    pub(super) fn polling(
        guard: SessionGuard<S>,
        transport: Polling<S>,
        heartbeat: Heartbeat,
    ) -> Self {
        Self {
            id: guard.id().clone(),
            transport: TransportState::Polling(Box::new(transport)),
            timer: Timer::new(heartbeat.due()),
            _guard: Some(guard),
        }
    }

    /// `open` is the open packet; it is sent first.
    pub(super) fn websocket(
        id: Arc<str>,
        mut transport: WebSocket<S>,
        heartbeat: Heartbeat,
        open: Frame,
    ) -> Self {
        transport.send(open);
        Self {
            id,
            transport: TransportState::WebSocket(
                Box::new(transport),
                WebSocketHeartbeat {
                    heartbeat,
                    paused: false,
                },
            ),
            timer: Timer::new(heartbeat.due()),
            _guard: None,
        }
    }

    /// The Engine.IO session id (`sid`). A polling session accepts every request that carries it, so treat it
    /// as a secret: do not log it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The current transport. It changes at most once, from polling to WebSocket.
    pub fn transport(&self) -> Transport {
        match &self.transport {
            TransportState::Polling(_) => Transport::Polling,
            TransportState::WebSocket(..) => Transport::WebSocket,
        }
    }

    /// The stream below the WebSocket, or `None` while the transport is polling.
    pub fn stream(&self) -> Option<&S> {
        match &self.transport {
            TransportState::Polling(_) => None,
            TransportState::WebSocket(socket, _) => Some(socket.stream()),
        }
    }

    /// Waits for the next event. Cancel safe: dropping the future loses no data.
    pub async fn event(&mut self) -> Event {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Drives the connection until there is an event: reads, writes queued packets, runs the heartbeat and
    /// completes an upgrade. After [`Event::Closed`] every further call returns the same event.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            match &mut self.transport {
                TransportState::Polling(polling) => {
                    match std::task::ready!(polling.poll(&mut self.timer, cx)) {
                        PollingOutcome::Event(event) => return Poll::Ready(event),
                        PollingOutcome::Upgraded(socket, heartbeat) => {
                            self.transport = TransportState::WebSocket(
                                socket,
                                WebSocketHeartbeat {
                                    heartbeat,
                                    paused: false,
                                },
                            );
                        }
                    }
                }
                TransportState::WebSocket(socket, heartbeat) => {
                    return poll_websocket(socket, heartbeat, &mut self.timer, cx);
                }
            }
        }
    }

    /// When the client last sent anything, including pongs and poll requests.
    pub fn last_received(&self) -> Instant {
        match &self.transport {
            TransportState::Polling(polling) => polling.last_received(),
            TransportState::WebSocket(socket, _) => socket.last_received(),
        }
    }

    /// Whether every sent packet has been handed to the kernel or, with polling, to a poll response.
    pub fn can_send(&self) -> bool {
        match &self.transport {
            TransportState::Polling(polling) => polling.can_send(),
            TransportState::WebSocket(socket, _) => socket.can_send(),
        }
    }

    /// Queues a whole message packet, which `poll_event` sends. The queue is unbounded: wait for
    /// [`can_send`](Self::can_send) or [`Event::Flushed`] to bound it.
    pub fn send(&mut self, frame: Frame) {
        match &mut self.transport {
            TransportState::Polling(polling) => polling.send(frame),
            TransportState::WebSocket(socket, _) => socket.send(frame),
        }
    }

    /// Writes as much of a WebSocket's queue as the kernel accepts without blocking. Returns true if the
    /// queue is now empty; in that case no [`Event::Flushed`] follows. With polling it does nothing and
    /// returns false.
    pub fn flush_now(&mut self) -> bool {
        match &mut self.transport {
            TransportState::Polling(_) => false,
            TransportState::WebSocket(socket, _) => socket.flush_now(),
        }
    }

    /// Drops every queued message packet that has not been written in part. Returns false if bytes remain
    /// in the connection's buffers; only dropping the socket discards those.
    pub fn discard_unsent(&mut self) -> bool {
        match &mut self.transport {
            TransportState::Polling(polling) => {
                polling.discard_unsent();
                true
            }
            TransportState::WebSocket(socket, _) => {
                socket.retain_unsent(|frame| !is_message(frame))
            }
        }
    }

    /// Drops the message packets that wait for the client's next poll. Does nothing on a WebSocket.
    ///
    /// Packets sent since the last `poll_event` are kept; [`discard_unsent`](Self::discard_unsent) drops
    /// both.
    pub fn discard_unpolled(&self) {
        if let TransportState::Polling(polling) = &self.transport {
            polling.discard_unpolled();
        }
    }

    /// Sets the maximum size of a message or POST body in bytes, for data received from now on.
    pub fn set_max_payload(&mut self, bytes: usize) {
        match &mut self.transport {
            TransportState::Polling(polling) => polling.set_max_payload(bytes),
            TransportState::WebSocket(socket, _) => socket.set_max_message(bytes),
        }
    }

    /// While paused, `poll_event` still writes but returns no messages, and a missing pong does not close
    /// the connection. A polling client's next POST waits until reading resumes.
    pub fn set_paused(&mut self, paused: bool) {
        match &mut self.transport {
            TransportState::Polling(polling) => polling.set_paused(paused),
            TransportState::WebSocket(socket, heartbeat) => {
                socket.set_paused(paused);
                if mem::replace(&mut heartbeat.paused, paused) && !paused {
                    heartbeat.heartbeat.restart_pong_timeout(Instant::now());
                }
            }
        }
    }

    /// Ready when no upgrade is in progress. Messages received meanwhile are dropped.
    fn poll_upgraded(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while matches!(&self.transport, TransportState::Polling(polling) if polling.is_upgrading())
        {
            match self.poll_event(cx) {
                Poll::Ready(Event::Closed(_)) => break,
                Poll::Ready(_) => {}
                Poll::Pending if self.transport() == Transport::WebSocket => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    /// Sends the queued packets, then closes the connection. Takes at most three seconds: one for an
    /// upgrade in progress, two to close.
    ///
    /// A WebSocket is closed with `code` and `reason`, see
    /// [`WebSocket::close`](crate::websocket::WebSocket::close). Polling has no close codes: a poll
    /// receives the close packet.
    pub async fn close(mut self, code: u16, reason: &str) {
        // A client that is upgrading may have stopped polling, so it receives the rest on its WebSocket.
        // If the upgrade is not done in time, the close packet goes to a poll after all.
        let _ = timeout(CLOSE_TIMEOUT / 2, poll_fn(|cx| self.poll_upgraded(cx))).await;
        match self.transport {
            TransportState::Polling(polling) => polling.close().await,
            TransportState::WebSocket(socket, _) => socket.close(code, reason).await,
        }
    }
}

fn poll_websocket<S: ByteStream>(
    socket: &mut WebSocket<S>,
    heartbeat: &mut WebSocketHeartbeat,
    timer: &mut Timer,
    cx: &mut Context<'_>,
) -> Poll<Event> {
    loop {
        if timer.poll(heartbeat.heartbeat.due(), cx).is_ready() {
            let now = Instant::now();
            match heartbeat.heartbeat.advance(now) {
                HeartbeatAction::None => continue,
                HeartbeatAction::SendPing => {
                    socket.send(PING);
                    continue;
                }
                // The pong may have arrived already: nothing is read while paused.
                HeartbeatAction::TimedOut if heartbeat.paused => {
                    heartbeat.heartbeat.restart_pong_timeout(now);
                    continue;
                }
                HeartbeatAction::TimedOut => socket.fail(CloseReason::PingTimeout),
            }
        }
        match std::task::ready!(socket.poll_event(cx)) {
            Event::Message(frame) => match Packet::parse(frame) {
                Ok(Packet::Message(frame)) => return Poll::Ready(Event::Message(frame)),
                Ok(Packet::Pong) => heartbeat.heartbeat.pong(Instant::now()),
                Ok(Packet::Noop) => {}
                Ok(Packet::Close) => socket.start_close(1000, "", CloseReason::Peer { code: None }),
                Ok(Packet::Probe | Packet::Upgrade) | Err(_) => {
                    socket.start_close(1002, "", CloseReason::Protocol);
                }
            },
            event => return Poll::Ready(event),
        }
    }
}
