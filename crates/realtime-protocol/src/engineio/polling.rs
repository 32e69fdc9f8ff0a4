//! The socket's side of a polling session: what it reads was pushed, what it sends waits for a poll; owns the upgrade while it lasts.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::heartbeat::{Beat, Heartbeat};
use super::packet::{CLOSE, PING, is_message};
use super::probe::{Probe, Step};
use super::session::{Phase, Session, Upgrade};
use super::timer::Timer;
use crate::websocket::WebSocket;
use crate::{ByteStream, Ended, Event, Frame};

/// The longest that a closed session waits for the poll that will tell its client.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// A socket carried by polls and pushes.
pub(super) struct Polling<S> {
    session: Arc<Session<S>>,
    /// Sent in this turn of the app; published together, so that the answers to a burst share one poll.
    queue: VecDeque<Frame>,
    owes_flushed: bool,
    upgrade_timeout: Duration,
    probe: Option<Box<Probe<S>>>,
    /// The client changes over to this, as soon as all is read that it pushed before.
    successor: Option<Box<WebSocket<S>>>,
}

/// What `poll` comes to.
pub(super) enum Outcome<S> {
    Event(Event),
    /// The WebSocket carries on, with all that was not polled yet already queued in it.
    Upgraded(Box<WebSocket<S>>, Heartbeat),
}

impl<S: ByteStream> Polling<S> {
    pub(super) fn new(session: Arc<Session<S>>, upgrade_timeout: Duration) -> Self {
        Self {
            session,
            queue: VecDeque::new(),
            owes_flushed: false,
            upgrade_timeout,
            probe: None,
            successor: None,
        }
    }

    pub(super) fn poll(&mut self, timer: &mut Timer, cx: &mut Context<'_>) -> Poll<Outcome<S>> {
        self.session.task.register(cx.waker());
        loop {
            if let Some(event) = self.next_event() {
                return Poll::Ready(Outcome::Event(event));
            }
            // Also while paused: a client that changes over polls no more, and takes what waits for
            // it only once it has.
            self.poll_probe(cx);
            if let Some((socket, heartbeat)) = self.succeed() {
                return Poll::Ready(Outcome::Upgraded(socket, heartbeat));
            }
            if self.successor.is_some() {
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
        // A ping that waits for a poll is told of by no `Flushed`.
        self.queue.is_empty() && !self.session.lock().outbox.iter().any(is_message)
    }

    pub(super) fn send(&mut self, frame: Frame) {
        self.queue.push_back(frame);
        self.owes_flushed = true;
    }

    pub(super) fn discard_unsent(&mut self) {
        self.queue.clear();
        self.cut();
    }

    /// Drops what waits for the next poll.
    pub(super) fn cut(&self) {
        self.session
            .lock()
            .outbox
            .retain(|frame| !is_message(frame));
    }

    pub(super) fn set_max_payload(&mut self, bytes: usize) {
        self.session.lock().max_payload = bytes;
    }

    pub(super) fn pause(&mut self, paused: bool) {
        let mut state = self.session.lock();
        if mem::replace(&mut state.paused, paused) && !paused {
            state.heartbeat.forgive(Instant::now());
        }
    }

    /// Whether the client is changing over to a WebSocket, and so may poll no more.
    pub(super) fn is_upgrading(&self) -> bool {
        self.probe.is_some()
            || self.successor.is_some()
            || !matches!(self.session.lock().upgrade, Upgrade::None)
    }

    /// Leaves what is queued for the next poll and the close packet for the one after, and waits for both a while.
    pub(super) async fn close(mut self) {
        {
            let mut state = self.session.lock();
            state.outbox.append(&mut self.queue);
            if state.phase == Phase::Open {
                state.phase = Phase::Leaving;
            }
        }
        self.session.get.notify_one();
        let told = poll_fn(|cx| {
            self.session.task.register(cx.waker());
            match self.session.lock().phase {
                Phase::Leaving => Poll::Pending,
                _ => Poll::Ready(()),
            }
        });
        let _ = timeout(PATIENCE, told).await;
    }

    /// Reads the inbox, fills the outbox, and keeps the heartbeat.
    fn next_event(&mut self) -> Option<Event> {
        let mut state = self.session.lock();
        // What was pushed before a change over is read in any case: it is one push at most.
        if (!state.paused || self.successor.is_some())
            && let Some(frame) = state.inbox.pop_front()
        {
            if state.inbox.is_empty() {
                state.inbox = VecDeque::new();
                self.session.post.notify_one();
            }
            return Some(Event::Message(frame));
        }
        if let Phase::Ended { why, .. } = state.phase {
            return Some(Event::Closed(why));
        }
        if !self.queue.is_empty() {
            state.outbox.append(&mut self.queue);
            self.queue = VecDeque::new();
            self.session.get.notify_one();
        }
        match state.heartbeat.beat(Instant::now()) {
            Beat::Quiet => {}
            Beat::Ping => {
                state.outbox.push_back(PING);
                self.session.get.notify_one();
            }
            Beat::Dead if state.paused => state.heartbeat.forgive(Instant::now()),
            Beat::Dead => {
                drop(state);
                self.session.end(Ended::PingTimeout, CLOSE);
                return Some(Event::Closed(Ended::PingTimeout));
            }
        }
        if state.outbox.is_empty() && mem::take(&mut self.owes_flushed) {
            return Some(Event::Flushed);
        }
        if let Some(upgrading) = state.take_asked() {
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
                Step::Probed => {
                    self.session.lock().upgrade = Upgrade::Probed(Instant::now());
                    self.session.get.notify_one();
                    continue;
                }
                Step::Failed => self.session.lock().upgrade = Upgrade::None,
                Step::Done(socket) => self.successor = Some(socket),
            }
            self.probe = None;
        }
    }

    /// Hands over to the WebSocket, in one moment for all who look at the session.
    fn succeed(&mut self) -> Option<(Box<WebSocket<S>>, Heartbeat)> {
        let mut state = self.session.lock();
        if state.phase != Phase::Open || !state.inbox.is_empty() {
            return None;
        }
        let mut socket = self.successor.take()?;
        state.phase = Phase::Upgraded;
        state.upgrade = Upgrade::None;
        socket.set_max_message(state.max_payload);
        socket.pause(state.paused);
        for frame in mem::take(&mut state.outbox) {
            socket.send(frame);
        }
        self.session.get.notify_one();
        Some((socket, state.heartbeat))
    }
}
