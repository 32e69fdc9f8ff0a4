//! The closing handshake (RFC 6455 section 7): queued frames, close frame, shutdown. Takes at most two seconds.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::{WebSocket, would_block};
use crate::{ByteStream, CloseReason, Event, Utf8Bytes};

/// Maximum duration of the closing handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A control frame carries at most 125 bytes (RFC 6455 section 5.5), of which the code takes two.
const MAX_REASON: usize = 123;

/// A closing handshake in progress.
pub(super) struct Closing {
    reason: CloseReason,
    step: CloseStep,
    deadline: Pin<Box<Sleep>>,
}

enum CloseStep {
    /// Write the queue, then this close frame.
    Queue(CloseFrame),
    /// Flush the reply to the peer's close frame.
    Reply,
    /// Flush our close frame.
    CloseFrame,
    /// Shut the write side down. If we initiated the close, wait for the peer to close the connection first.
    Shutdown { initiated: bool },
    /// Read until the peer closes. Closing a TCP socket with unread bytes resets it, and the reset could
    /// reach the peer before our close frame.
    Drain,
}

impl<S: ByteStream> WebSocket<S> {
    /// Starts the closing handshake. `poll_event` completes it and then returns `Closed(reason)`.
    pub(crate) fn start_close(&mut self, code: u16, text: &str, reason: CloseReason) {
        if self.closing.is_none() {
            self.begin_close(CloseStep::Queue(close_frame(code, text)), reason);
        }
    }

    /// Drops the queue and closes in the way that `reason` calls for.
    pub(crate) fn fail(&mut self, reason: CloseReason) {
        self.queue.clear();
        self.queued_bytes = 0;
        match (reason, reason.close_code()) {
            (CloseReason::Peer { .. }, _) if self.core.can_read() => self.closed = Some(reason),
            (CloseReason::Peer { .. }, _) => self.begin_close(CloseStep::Reply, reason),
            (_, Some(code)) => self.begin_close(CloseStep::Queue(close_frame(code, "")), reason),
            (_, None) => {
                // The peer is probably gone, so there is no reply to wait for. The close frame is for a peer
                // that only appears to be.
                let _ = self.core.close(Some(close_frame(1001, "")));
                self.closed = Some(reason);
            }
        }
    }

    fn begin_close(&mut self, step: CloseStep, reason: CloseReason) {
        self.closing = Some(Box::new(Closing {
            reason,
            step,
            deadline: Box::pin(sleep(CLOSE_TIMEOUT)),
        }));
    }

    pub(super) fn poll_closing(
        &mut self,
        mut closing: Box<Closing>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Event, CloseReason>> {
        let has_timed_out = closing.deadline.as_mut().poll(cx).is_ready();
        if has_timed_out || self.poll_steps(&mut closing.step, cx).is_ready() {
            self.closed = Some(closing.reason);
            return Poll::Ready(Ok(Event::Closed(closing.reason)));
        }
        self.closing = Some(closing);
        Poll::Pending
    }

    /// Ready when the handshake is complete or the connection has failed.
    fn poll_steps(&mut self, step: &mut CloseStep, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            *step = match step {
                CloseStep::Queue(frame) => {
                    match self.write_queue() {
                        Ok(Poll::Pending) => return Poll::Pending,
                        Ok(Poll::Ready(())) => {}
                        Err(_) => return Poll::Ready(()),
                    }
                    match self.core.close(Some(frame.clone())) {
                        Err(error) if !would_block(&error) => return Poll::Ready(()),
                        _ => CloseStep::CloseFrame,
                    }
                }
                CloseStep::Reply | CloseStep::CloseFrame => match self.core.flush() {
                    Err(error) if would_block(&error) => return Poll::Pending,
                    _ => CloseStep::Shutdown {
                        initiated: matches!(step, CloseStep::CloseFrame),
                    },
                },
                CloseStep::Shutdown { initiated } => {
                    let _ = std::task::ready!(self.core.get_mut().poll_shutdown(cx));
                    if !*initiated {
                        return Poll::Ready(());
                    }
                    CloseStep::Drain
                }
                CloseStep::Drain => {
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
    fn close_frame_with_any_code_and_reason_is_sendable() {
        assert_eq!(u16::from(close_frame(4008, "stalled").code), 4008);
        assert_eq!(u16::from(close_frame(1006, "").code), 1000);
        assert_eq!(close_frame(1000, &"ü".repeat(100)).reason.len(), 122);
    }
}
