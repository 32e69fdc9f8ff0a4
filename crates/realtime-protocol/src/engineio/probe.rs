//! The WebSocket of an upgrade until it takes over (protocol 4, "Upgrade"); the polling session goes on whatever becomes of it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::packet::{PROBE_ANSWER, Packet};
use crate::websocket::{Upgrading, WebSocket};
use crate::{ByteStream, Ended, Event};

/// An upgrade that has until `deadline` to get done.
pub(super) struct Probe<S> {
    pub(super) deadline: Instant,
    stage: Stage<S>,
}

enum Stage<S> {
    /// The 101 is on its way.
    Opening(Upgrading<S>),
    Open {
        socket: Box<WebSocket<S>>,
        probed: bool,
    },
    Over,
}

/// What became of it.
pub(super) enum Step<S> {
    /// The client asked whether this way works, and was told so.
    Probed,
    /// The client wants to change over now.
    Done(Box<WebSocket<S>>),
    Failed,
}

impl<S: ByteStream> Probe<S> {
    pub(super) fn new(upgrading: Upgrading<S>, deadline: Instant) -> Self {
        Self {
            deadline,
            stage: Stage::Opening(upgrading),
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step<S>> {
        loop {
            if Instant::now() >= self.deadline {
                return Poll::Ready(self.fail(cx));
            }
            match &mut self.stage {
                Stage::Opening(upgrading) => {
                    match std::task::ready!(Pin::new(upgrading).poll(cx)) {
                        Ok(socket) => {
                            self.stage = Stage::Open {
                                socket: Box::new(socket),
                                probed: false,
                            };
                        }
                        Err(_) => return Poll::Ready(self.fail(cx)),
                    }
                }
                Stage::Open { socket, probed } => {
                    let packet = match std::task::ready!(socket.poll_event(cx)) {
                        Event::Message(frame) => Packet::parse(frame),
                        Event::Flushed => continue,
                        Event::Closed(_) => return Poll::Ready(Step::Failed),
                    };
                    match (packet, *probed) {
                        (Ok(Packet::Probe), false) => {
                            *probed = true;
                            socket.send(PROBE_ANSWER);
                            return Poll::Ready(Step::Probed);
                        }
                        (Ok(Packet::Upgrade), true) => {
                            return Poll::Ready(
                                match std::mem::replace(&mut self.stage, Stage::Over) {
                                    Stage::Open { socket, .. } => Step::Done(socket),
                                    Stage::Opening(_) | Stage::Over => Step::Failed,
                                },
                            );
                        }
                        _ => return Poll::Ready(self.fail(cx)),
                    }
                }
                Stage::Over => return Poll::Ready(Step::Failed),
            }
        }
    }

    /// Gives up, with a close frame as far as that goes without waiting.
    fn fail(&mut self, cx: &mut Context<'_>) -> Step<S> {
        if let Stage::Open { socket, .. } = &mut self.stage {
            socket.start_close(1002, "no upgrade", Ended::Protocol);
            let _ = socket.poll_event(cx);
        }
        self.stage = Stage::Over;
        Step::Failed
    }
}
