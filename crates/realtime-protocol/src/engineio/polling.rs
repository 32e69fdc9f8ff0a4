//! The socket's side of a polling session: it reads what POSTs put into the inbox, writes what polls take from the
//! outbox, and runs an upgrade.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::heartbeat::{Heartbeat, HeartbeatAction};
use super::packet::{CLOSE, PING, is_message};
use super::polling_session::{Phase, PollingSession, Upgrade};
use super::probe::{Probe, ProbeEvent};
use super::timer::Timer;
use crate::websocket::WebSocket;
use crate::{ByteStream, CloseReason, Event, Frame};

/// How long a session that the server closes waits for the poll that receives the close packet.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The polling transport of a [`Socket`](super::Socket).
pub(super) struct Polling<S> {
    session: Arc<PollingSession<S>>,
    /// Packets sent since the last `poll`. They move to the outbox together, so that the replies to a burst
    /// share one poll response.
    queue: VecDeque<Frame>,
    flushed_event_due: bool,
    upgrade_timeout: Duration,
    probe: Option<Box<Probe<S>>>,
    /// The upgrade's WebSocket. It becomes the transport once the inbox has been read.
    upgraded: Option<Box<WebSocket<S>>>,
}

pub(super) enum PollingOutcome<S> {
    Event(Event),
    /// The WebSocket is the transport from now on. It has the unpolled packets in its queue.
    Upgraded(Box<WebSocket<S>>, Heartbeat),
}

impl<S: ByteStream> Polling<S> {
    pub(super) fn new(session: Arc<PollingSession<S>>, upgrade_timeout: Duration) -> Self {
        Self {
            session,
            queue: VecDeque::new(),
            flushed_event_due: false,
            upgrade_timeout,
            probe: None,
            upgraded: None,
        }
    }

    pub(super) fn poll(
        &mut self,
        timer: &mut Timer,
        cx: &mut Context<'_>,
    ) -> Poll<PollingOutcome<S>> {
        self.session.socket_task.register(cx.waker());
        loop {
            if let Some(event) = self.next_event() {
                return Poll::Ready(PollingOutcome::Event(event));
            }
            // Even while paused: a client that upgrades has stopped polling and receives nothing until the
            // upgrade is complete.
            self.poll_probe(cx);
            if let Some((socket, heartbeat)) = self.finish_upgrade() {
                return Poll::Ready(PollingOutcome::Upgraded(socket, heartbeat));
            }
            if self.upgraded.is_some() {
                continue;
            }
            let mut due = self.session.lock().heartbeat.due();
            if let Some(probe) = &self.probe {
                due = due.min(probe.deadline);
            }
            std::task::ready!(timer.poll(due, cx));
        }
    }

    pub(super) fn last_received(&self) -> Instant {
        self.session.lock().last_received
    }

    pub(super) fn can_send(&self) -> bool {
        // A ping in the outbox does not count: no `Flushed` follows it.
        self.queue.is_empty() && !self.session.lock().outbox.iter().any(is_message)
    }

    pub(super) fn send(&mut self, frame: Frame) {
        self.queue.push_back(frame);
        self.flushed_event_due = true;
    }

    pub(super) fn discard_unsent(&mut self) {
        self.queue.clear();
        self.discard_unpolled();
    }

    /// Drops the message packets in the outbox.
    pub(super) fn discard_unpolled(&self) {
        self.session
            .lock()
            .outbox
            .retain(|frame| !is_message(frame));
    }

    pub(super) fn set_max_payload(&mut self, bytes: usize) {
        self.session.lock().max_payload = bytes;
    }

    pub(super) fn set_paused(&mut self, paused: bool) {
        let mut state = self.session.lock();
        if mem::replace(&mut state.paused, paused) && !paused {
            state.heartbeat.restart_pong_timeout(Instant::now());
        }
    }

    /// Whether an upgrade is in progress. The client may have stopped polling.
    pub(super) fn is_upgrading(&self) -> bool {
        self.probe.is_some()
            || self.upgraded.is_some()
            || !matches!(self.session.lock().upgrade, Upgrade::None)
    }

    /// Leaves the queued packets for the next poll and the close packet for the one after, and waits for both
    /// up to [`CLOSE_TIMEOUT`].
    pub(super) async fn close(mut self) {
        {
            let mut state = self.session.lock();
            state.outbox.append(&mut self.queue);
            if state.phase == Phase::Open {
                state.phase = Phase::Closing;
            }
        }
        self.session.get_wakeup.notify_one();
        let closed = poll_fn(|cx| {
            self.session.socket_task.register(cx.waker());
            match self.session.lock().phase {
                Phase::Closing => Poll::Pending,
                _ => Poll::Ready(()),
            }
        });
        let _ = timeout(CLOSE_TIMEOUT, closed).await;
    }

    /// Reads the inbox, fills the outbox and runs the heartbeat.
    fn next_event(&mut self) -> Option<Event> {
        let mut state = self.session.lock();
        // After an upgrade the inbox is read even while paused. It holds the messages of one POST at most.
        if (!state.paused || self.upgraded.is_some())
            && let Some(frame) = state.inbox.pop_front()
        {
            if state.inbox.is_empty() {
                state.inbox = VecDeque::new();
                self.session.post_wakeup.notify_one();
            }
            return Some(Event::Message(frame));
        }
        if let Phase::Closed { reason, .. } = state.phase {
            return Some(Event::Closed(reason));
        }
        if !self.queue.is_empty() {
            state.outbox.append(&mut self.queue);
            self.queue = VecDeque::new();
            self.session.get_wakeup.notify_one();
        }
        match state.heartbeat.advance(Instant::now()) {
            HeartbeatAction::None => {}
            HeartbeatAction::SendPing => {
                state.outbox.push_back(PING);
                self.session.get_wakeup.notify_one();
            }
            HeartbeatAction::TimedOut if state.paused => {
                state.heartbeat.restart_pong_timeout(Instant::now())
            }
            HeartbeatAction::TimedOut => {
                drop(state);
                self.session.end(CloseReason::PingTimeout, CLOSE);
                return Some(Event::Closed(CloseReason::PingTimeout));
            }
        }
        if state.outbox.is_empty() && mem::take(&mut self.flushed_event_due) {
            return Some(Event::Flushed);
        }
        if let Some(upgrading) = state.take_requested_upgrade() {
            let deadline = Instant::now() + self.upgrade_timeout;
            self.probe = Some(Box::new(Probe::new(upgrading, deadline)));
        }
        None
    }

    fn poll_probe(&mut self, cx: &mut Context<'_>) {
        while let Some(probe) = &mut self.probe
            && let Poll::Ready(step) = probe.poll(cx)
        {
            match step {
                ProbeEvent::Probed => {
                    self.session.lock().upgrade = Upgrade::Probed(Instant::now());
                    self.session.get_wakeup.notify_one();
                    continue;
                }
                ProbeEvent::Failed => self.session.lock().upgrade = Upgrade::None,
                ProbeEvent::Upgraded(socket) => self.upgraded = Some(socket),
            }
            self.probe = None;
        }
    }

    /// Switches to the WebSocket under the lock, so that requests see either transport and never both.
    fn finish_upgrade(&mut self) -> Option<(Box<WebSocket<S>>, Heartbeat)> {
        let mut state = self.session.lock();
        if state.phase != Phase::Open || !state.inbox.is_empty() {
            return None;
        }
        let mut socket = self.upgraded.take()?;
        state.phase = Phase::Upgraded;
        state.upgrade = Upgrade::None;
        socket.set_max_message(state.max_payload);
        socket.set_paused(state.paused);
        for frame in mem::take(&mut state.outbox) {
            socket.send(frame);
        }
        self.session.get_wakeup.notify_one();
        Some((socket, state.heartbeat))
    }
}
