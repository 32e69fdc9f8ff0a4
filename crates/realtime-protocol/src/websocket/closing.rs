//! How a WebSocket ends: the last frames, the close frame, the hang-up (RFC 6455 section 7); never takes longer than two seconds.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::{WebSocket, would_block};
use crate::{ByteStream, Ended, Event, Utf8Bytes};

/// The longest that saying goodbye may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest reason that fits a control frame beside its code.
const MAX_REASON: usize = 123;

/// A goodbye under way.
pub(super) struct Closing {
    ended: Ended,
    step: Step,
    deadline: Pin<Box<Sleep>>,
}

enum Step {
    /// What was queued goes out, then this frame.
    Queue(CloseFrame),
    /// The answer to the peer's close frame goes out.
    Reply,
    /// Our close frame goes out.
    Goodbye,
    /// The writing side ends; then, if it was us who said goodbye, the peer gets to hang up first.
    Shutdown { ours: bool },
    /// Closing with unread bytes would reset the connection, and the reset could overtake our close frame.
    Drain,
}

impl<S: ByteStream> WebSocket<S> {
    /// Begins to close; `poll_event` goes on with it and ends in `Closed(ended)`.
    pub(crate) fn start_close(&mut self, code: u16, reason: &str, ended: Ended) {
        if self.closing.is_none() {
            self.begin(Step::Queue(close_frame(code, reason)), ended);
        }
    }

    /// Begins the ending that fits the reason, without what was still queued.
    pub(crate) fn fail(&mut self, ended: Ended) {
        self.queue.clear();
        self.queued_bytes = 0;
        match (ended, ended.close_code()) {
            (Ended::Peer { .. }, _) if self.core.can_read() => self.ended = Some(ended),
            (Ended::Peer { .. }, _) => self.begin(Step::Reply, ended),
            (_, Some(code)) => self.begin(Step::Queue(close_frame(code, "")), ended),
            (_, None) => {
                // Nobody is there to wait for; a close frame may still reach a peer that only seems gone.
                let _ = self.core.close(Some(close_frame(1001, "")));
                self.ended = Some(ended);
            }
        }
    }

    fn begin(&mut self, step: Step, ended: Ended) {
        self.closing = Some(Box::new(Closing {
            ended,
            step,
            deadline: Box::pin(sleep(PATIENCE)),
        }));
    }

    pub(super) fn poll_closing(
        &mut self,
        mut closing: Box<Closing>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Event, Ended>> {
        let over = closing.deadline.as_mut().poll(cx).is_ready();
        if over || self.poll_steps(&mut closing.step, cx).is_ready() {
            self.ended = Some(closing.ended);
            return Poll::Ready(Ok(Event::Closed(closing.ended)));
        }
        self.closing = Some(closing);
        Poll::Pending
    }

    /// Ready when there is nothing more to do, be it that the connection broke on the way.
    fn poll_steps(&mut self, step: &mut Step, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            *step = match step {
                Step::Queue(frame) => {
                    match self.pump() {
                        Ok(Poll::Pending) => return Poll::Pending,
                        Ok(Poll::Ready(())) => {}
                        Err(_) => return Poll::Ready(()),
                    }
                    match self.core.close(Some(frame.clone())) {
                        Err(error) if !would_block(&error) => return Poll::Ready(()),
                        _ => Step::Goodbye,
                    }
                }
                Step::Reply | Step::Goodbye => match self.core.flush() {
                    Err(error) if would_block(&error) => return Poll::Pending,
                    _ => Step::Shutdown {
                        ours: matches!(step, Step::Goodbye),
                    },
                },
                Step::Shutdown { ours } => {
                    let _ = std::task::ready!(self.core.get_mut().poll_shutdown(cx));
                    if !*ours {
                        return Poll::Ready(());
                    }
                    Step::Drain
                }
                Step::Drain => {
                    let _ = std::task::ready!(self.core.get_mut().poll_drain(cx));
                    return Poll::Ready(());
                }
            }
        }
    }
}

fn close_frame(code: u16, reason: &str) -> CloseFrame {
    let code = Some(CloseCode::from(code))
        .filter(|code| code.is_allowed())
        .unwrap_or(CloseCode::Normal);
    let end = reason.floor_char_boundary(MAX_REASON);
    let reason = reason.get(..end).unwrap_or_default();
    CloseFrame {
        code,
        reason: Utf8Bytes::from(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_frames_are_always_sendable() {
        assert_eq!(u16::from(close_frame(4008, "stalled").code), 4008);
        assert_eq!(u16::from(close_frame(1006, "").code), 1000);
        assert_eq!(close_frame(1000, &"ü".repeat(100)).reason.len(), 122);
    }
}
