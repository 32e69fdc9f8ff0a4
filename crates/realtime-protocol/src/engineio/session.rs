//! What a polling session's HTTP requests and its socket share: two queues and a phase; never parses and never waits.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::heartbeat::Heartbeat;
use super::packet::{CLOSE, NOOP, write_payload};
use super::refusal::Refusal;
use crate::websocket::Upgrading;
use crate::{Ended, Frame};

/// How long a poll during an upgrade waits for the upgrade to be done before it gets its noop,
/// and a close for the poll it shall end. Long enough for what was sent first on another connection
/// to be seen first, and short beside what people notice.
pub(super) const MOMENT: Duration = Duration::from_millis(50);

/// The meeting point of one polling session.
pub(super) struct Session<S> {
    state: Mutex<State<S>>,
    /// The task that owns the socket.
    pub(super) task: AtomicWaker,
    /// Tells the waiting GET to look again.
    pub(super) get: Notify,
    /// Tells the running POST to look again.
    pub(super) post: Notify,
}

pub(super) struct State<S> {
    pub(super) phase: Phase,
    pub(super) upgrade: Upgrade<S>,
    pub(super) heartbeat: Heartbeat,
    /// When the client last polled or pushed.
    pub(super) last_received: Instant,
    /// The longest POST body, in bytes.
    pub(super) max_payload: usize,
    /// Pushed by the client, not yet read by the socket.
    pub(super) inbox: VecDeque<Frame>,
    /// Sent by the socket, not yet polled by the client.
    pub(super) outbox: VecDeque<Frame>,
    pub(super) polling: bool,
    pub(super) posting: bool,
    /// The app reads nothing just now. The client then may be unable to say that it is alive,
    /// since its next push waits for this one.
    pub(super) paused: bool,
}

/// How far the session's life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// A WebSocket carries the session now; the session itself only refuses requests.
    Upgraded,
    /// The server closes it, and the next poll shall be told.
    Leaving,
    /// Over. A poll that was waiting still gets the last packet.
    Ended {
        why: Ended,
        last: Option<&'static str>,
    },
}

/// How far an upgrade has come.
pub(super) enum Upgrade<S> {
    None,
    /// The WebSocket was answered with 101; the socket's task has yet to look at it.
    Asked(Upgrading<S>),
    /// The socket's task waits for the probe.
    Opening,
    /// The client has probed since then, and pauses its polling.
    Probed(Instant),
}

/// What a GET gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Payload(String),
    Refused(Refusal),
    /// Nothing yet; look again when told, or then.
    Wait(Option<Instant>),
}

impl<S> Session<S> {
    pub(super) fn new(heartbeat: Heartbeat, max_payload: usize) -> Self {
        let state = State {
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
            task: AtomicWaker::new(),
            get: Notify::new(),
            post: Notify::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the session, unless it is over already; a waiting poll gets what was sent before, then `last`.
    pub(super) fn end(&self, why: Ended, last: &'static str) {
        let mut state = self.lock();
        if !matches!(state.phase, Phase::Ended { .. }) {
            state.phase = Phase::Ended {
                why,
                last: state.polling.then_some(last),
            };
            state.upgrade = Upgrade::None;
        }
        drop(state);
        self.wake_all();
    }

    /// Starts a poll; it must be followed by `take` and lasts until the turn is dropped.
    pub(super) fn begin_get(&self) -> Result<GetTurn<'_, S>, Refusal> {
        let mut state = self.lock();
        state.check(Instant::now())?;
        if state.polling {
            drop(state);
            self.end(Ended::Duplicate, CLOSE);
            return Err(Refusal::BadRequest);
        }
        state.polling = true;
        state.last_received = Instant::now();
        self.task.wake();
        self.post.notify_one();
        Ok(GetTurn {
            session: self,
            since: Instant::now(),
        })
    }

    /// Starts a push, which lasts until the turn is dropped.
    pub(super) fn begin_post(&self) -> Result<PostTurn<'_, S>, Refusal> {
        let mut state = self.lock();
        state.check(Instant::now())?;
        if state.phase == Phase::Leaving {
            return Err(Refusal::UnknownSession);
        }
        if state.posting {
            drop(state);
            self.end(Ended::Duplicate, CLOSE);
            return Err(Refusal::BadRequest);
        }
        state.posting = true;
        state.last_received = Instant::now();
        self.task.wake();
        Ok(PostTurn {
            session: self,
            max_payload: state.max_payload,
        })
    }

    /// Notes the WebSocket of an upgrade; gives it back when there is one already, which goes on undisturbed.
    pub(super) fn ask_upgrade(&self, upgrading: Upgrading<S>) -> Option<Upgrading<S>> {
        let mut state = self.lock();
        if state.phase != Phase::Open || !matches!(state.upgrade, Upgrade::None) {
            return Some(upgrading);
        }
        state.upgrade = Upgrade::Asked(upgrading);
        self.task.wake();
        None
    }

    fn wake_all(&self) {
        self.task.wake();
        self.get.notify_one();
        self.post.notify_one();
    }
}

impl<S> State<S> {
    /// Whether requests are served at all; a client that missed its heartbeat gets no more
    /// even before the socket's task has seen to it.
    fn check(&self, now: Instant) -> Result<(), Refusal> {
        match self.phase {
            Phase::Open | Phase::Leaving if self.paused || !self.heartbeat.is_dead(now) => Ok(()),
            Phase::Upgraded => Err(Refusal::BadRequest),
            _ => Err(Refusal::UnknownSession),
        }
    }

    /// Takes the upgrade that was asked for, if the socket has not looked at it yet.
    pub(super) fn take_asked(&mut self) -> Option<Upgrading<S>> {
        match mem::replace(&mut self.upgrade, Upgrade::Opening) {
            Upgrade::Asked(upgrading) => Some(upgrading),
            other => {
                self.upgrade = other;
                None
            }
        }
    }

    fn payload(&mut self, last: Option<&str>) -> String {
        write_payload(mem::take(&mut self.outbox).into_iter(), last)
    }
}

/// The one poll a session may have at a time.
pub(super) struct GetTurn<'a, S> {
    session: &'a Session<S>,
    since: Instant,
}

impl<S> GetTurn<'_, S> {
    /// What there is for the client now. Packets that were taken are the response's to deliver.
    pub(super) fn take(&self) -> Taken {
        let mut state = self.session.lock();
        let has_packets = !state.outbox.is_empty();
        match &mut state.phase {
            Phase::Upgraded => return Taken::Refused(Refusal::BadRequest),
            Phase::Ended { last, .. } => {
                return match last.take() {
                    Some(last) => Taken::Payload(state.payload(Some(last))),
                    None => Taken::Refused(Refusal::UnknownSession),
                };
            }
            // Stock clients drop what shares a payload with the close packet, so that comes alone.
            Phase::Leaving if !has_packets => {
                state.phase = Phase::Ended {
                    why: Ended::Peer { code: None },
                    last: None,
                };
                self.session.task.wake();
                return Taken::Payload(state.payload(Some(CLOSE)));
            }
            Phase::Leaving | Phase::Open => {}
        }
        if has_packets {
            self.session.task.wake();
            return Taken::Payload(state.payload(None));
        }
        match state.upgrade {
            Upgrade::Probed(at) => {
                let noop_at = at.max(self.since) + MOMENT;
                match Instant::now() >= noop_at {
                    true => Taken::Payload(NOOP.to_owned()),
                    false => Taken::Wait(Some(noop_at)),
                }
            }
            _ => Taken::Wait(None),
        }
    }
}

impl<S> Drop for GetTurn<'_, S> {
    fn drop(&mut self) {
        self.session.lock().polling = false;
    }
}

/// The one push a session may have at a time.
pub(super) struct PostTurn<'a, S> {
    session: &'a Session<S>,
    pub(super) max_payload: usize,
}

impl<S> Drop for PostTurn<'_, S> {
    fn drop(&mut self) {
        self.session.lock().posting = false;
    }
}
