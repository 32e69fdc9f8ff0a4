//! The state that a polling session's HTTP requests and its socket share: an inbox, an outbox and a phase. Does not
//! parse and does not wait.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::heartbeat::Heartbeat;
use super::packet::{CLOSE, NOOP, write_payload};
use super::response::RequestError;
use crate::websocket::UpgradeFuture;
use crate::{CloseReason, Frame};

/// How long to wait for a request that the client sent earlier on another connection: a poll during an upgrade
/// waits this long for the upgrade packet before it gets a noop, and a close packet for the pending poll. Long
/// enough to restore the order on a local network, too short for people to notice.
pub(super) const REORDER_GRACE: Duration = Duration::from_millis(50);

/// The shared state of one polling session, with wakeups for each side.
pub(super) struct PollingSession<S> {
    state: Mutex<SessionState<S>>,
    /// Wakes the task that owns the socket.
    pub(super) socket_task: AtomicWaker,
    /// Wakes the pending GET.
    pub(super) get_wakeup: Notify,
    /// Wakes the pending POST.
    pub(super) post_wakeup: Notify,
}

pub(super) struct SessionState<S> {
    pub(super) phase: Phase,
    pub(super) upgrade: Upgrade<S>,
    pub(super) heartbeat: Heartbeat,
    /// When the client last started a GET or POST.
    pub(super) last_received: Instant,
    /// The maximum size of a POST body in bytes.
    pub(super) max_payload: usize,
    /// Messages from the client that the socket has not read.
    pub(super) inbox: VecDeque<Frame>,
    /// Packets from the socket that the client has not polled.
    pub(super) outbox: VecDeque<Frame>,
    /// A GET is pending.
    pub(super) polling: bool,
    /// A POST is pending.
    pub(super) posting: bool,
    /// The application does not read. A missing pong then proves nothing, since the client cannot send it
    /// while its previous POST waits.
    pub(super) paused: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// The transport is a WebSocket. Further polling requests are rejected.
    Upgraded,
    /// The server closes the session. After the outbox is empty, the next poll gets the close packet.
    Closing,
    /// The session has ended. A poll that was pending then still gets the packet `last`.
    Closed {
        reason: CloseReason,
        last: Option<&'static str>,
    },
}

/// The state of an upgrade.
pub(super) enum Upgrade<S> {
    None,
    /// The 101 response was returned. The socket's task has not taken the WebSocket yet.
    Requested(UpgradeFuture<S>),
    /// The socket's task waits for the client's probe.
    Opening,
    /// The client sent the probe at this time and stops polling.
    Probed(Instant),
}

/// The state of a pending GET.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PollResult {
    Payload(String),
    Error(RequestError),
    /// Nothing to send. Try again after a wakeup, or at this instant.
    Wait(Option<Instant>),
}

impl<S> PollingSession<S> {
    pub(super) fn new(heartbeat: Heartbeat, max_payload: usize) -> Self {
        let state = SessionState {
            phase: Phase::Open,
            upgrade: Upgrade::None,
            heartbeat,
            last_received: Instant::now(),
            max_payload,
            inbox: VecDeque::new(),
            outbox: VecDeque::new(),
            polling: false,
            posting: false,
            paused: false,
        };
        Self {
            state: Mutex::new(state),
            socket_task: AtomicWaker::new(),
            get_wakeup: Notify::new(),
            post_wakeup: Notify::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, SessionState<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the session unless it has ended. A pending poll gets the packets of the outbox, then `last`.
    pub(super) fn end(&self, reason: CloseReason, last: &'static str) {
        let mut state = self.lock();
        if !matches!(state.phase, Phase::Closed { .. }) {
            state.phase = Phase::Closed {
                reason,
                last: state.polling.then_some(last),
            };
            state.upgrade = Upgrade::None;
        }
        drop(state);
        self.wake_all();
    }

    /// Starts a poll, which lasts until the guard is dropped.
    ///
    /// # Errors
    /// The session has ended, has been upgraded, or has a pending poll. In the last case it also ends the
    /// session.
    pub(super) fn begin_get(&self) -> Result<GetGuard<'_, S>, RequestError> {
        let mut state = self.lock();
        state.check_open(Instant::now())?;
        if state.polling {
            drop(state);
            self.end(CloseReason::ConcurrentRequests, CLOSE);
            return Err(RequestError::BadRequest);
        }
        state.polling = true;
        state.last_received = Instant::now();
        self.socket_task.wake();
        self.post_wakeup.notify_one();
        Ok(GetGuard {
            session: self,
            started: Instant::now(),
        })
    }

    /// Starts a POST, which lasts until the guard is dropped. Fails like [`begin_get`](Self::begin_get).
    pub(super) fn begin_post(&self) -> Result<PostGuard<'_, S>, RequestError> {
        let mut state = self.lock();
        state.check_open(Instant::now())?;
        if state.phase == Phase::Closing {
            return Err(RequestError::UnknownSession);
        }
        if state.posting {
            drop(state);
            self.end(CloseReason::ConcurrentRequests, CLOSE);
            return Err(RequestError::BadRequest);
        }
        state.posting = true;
        state.last_received = Instant::now();
        self.socket_task.wake();
        Ok(PostGuard {
            session: self,
            max_payload: state.max_payload,
        })
    }

    /// Registers the WebSocket of an upgrade. Returns it if the session cannot be upgraded, or is already being
    /// upgraded; that upgrade continues.
    pub(super) fn request_upgrade(&self, upgrading: UpgradeFuture<S>) -> Option<UpgradeFuture<S>> {
        let mut state = self.lock();
        if state.phase != Phase::Open || !matches!(state.upgrade, Upgrade::None) {
            return Some(upgrading);
        }
        state.upgrade = Upgrade::Requested(upgrading);
        self.socket_task.wake();
        None
    }

    fn wake_all(&self) {
        self.socket_task.wake();
        self.get_wakeup.notify_one();
        self.post_wakeup.notify_one();
    }
}

impl<S> SessionState<S> {
    /// Fails if the session accepts no requests. That includes a heartbeat timeout which the socket's task has
    /// not handled yet.
    fn check_open(&self, now: Instant) -> Result<(), RequestError> {
        match self.phase {
            Phase::Open | Phase::Closing if self.paused || !self.heartbeat.is_timed_out(now) => {
                Ok(())
            }
            Phase::Upgraded => Err(RequestError::BadRequest),
            _ => Err(RequestError::UnknownSession),
        }
    }

    /// Takes the requested upgrade; its state is `Opening` from then on.
    pub(super) fn take_requested_upgrade(&mut self) -> Option<UpgradeFuture<S>> {
        match mem::replace(&mut self.upgrade, Upgrade::Opening) {
            Upgrade::Requested(upgrading) => Some(upgrading),
            other => {
                self.upgrade = other;
                None
            }
        }
    }

    fn drain_outbox(&mut self, last: Option<&str>) -> String {
        write_payload(mem::take(&mut self.outbox).into_iter(), last)
    }
}

/// The pending poll. A session may have one at a time.
pub(super) struct GetGuard<'a, S> {
    session: &'a PollingSession<S>,
    started: Instant,
}

impl<S> GetGuard<'_, S> {
    /// Takes the packets for the client, if there are any. They leave the session: if the response is not
    /// delivered, they are lost.
    pub(super) fn try_respond(&self) -> PollResult {
        let mut state = self.session.lock();
        let has_packets = !state.outbox.is_empty();
        match &mut state.phase {
            Phase::Upgraded => return PollResult::Error(RequestError::BadRequest),
            Phase::Closed { last, .. } => {
                return match last.take() {
                    Some(last) => PollResult::Payload(state.drain_outbox(Some(last))),
                    None => PollResult::Error(RequestError::UnknownSession),
                };
            }
            // socket.io-client drops packets that share a payload with the close packet, so it is sent alone.
            Phase::Closing if !has_packets => {
                state.phase = Phase::Closed {
                    reason: CloseReason::Peer { code: None },
                    last: None,
                };
                self.session.socket_task.wake();
                return PollResult::Payload(state.drain_outbox(Some(CLOSE)));
            }
            Phase::Closing | Phase::Open => {}
        }
        if has_packets {
            self.session.socket_task.wake();
            return PollResult::Payload(state.drain_outbox(None));
        }
        match state.upgrade {
            Upgrade::Probed(at) => {
                let noop_at = at.max(self.started) + REORDER_GRACE;
                match Instant::now() >= noop_at {
                    true => PollResult::Payload(NOOP.to_owned()),
                    false => PollResult::Wait(Some(noop_at)),
                }
            }
            _ => PollResult::Wait(None),
        }
    }
}

impl<S> Drop for GetGuard<'_, S> {
    fn drop(&mut self) {
        self.session.lock().polling = false;
    }
}

/// The pending POST. A session may have one at a time.
pub(super) struct PostGuard<'a, S> {
    session: &'a PollingSession<S>,
    pub(super) max_payload: usize,
}

impl<S> Drop for PostGuard<'_, S> {
    fn drop(&mut self) {
        self.session.lock().posting = false;
    }
}
