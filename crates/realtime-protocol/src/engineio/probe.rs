//! The WebSocket of an upgrade until the client switches to it (protocol version 4, "Upgrade"). If the upgrade
//! fails, the polling session continues.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::packet::{PROBE_PONG, Packet};
use crate::websocket::{UpgradeFuture, WebSocket};
use crate::{ByteStream, CloseReason, Event};

/// An upgrade in progress. It fails at `deadline`.
pub(super) struct Probe<S> {
    pub(super) deadline: Instant,
    stage: ProbeStage<S>,
}

enum ProbeStage<S> {
    /// The 101 response is being sent.
    Opening(UpgradeFuture<S>),
    Open {
        socket: Box<WebSocket<S>>,
        probed: bool,
    },
    Finished,
}

pub(super) enum ProbeEvent<S> {
    /// The client sent `2probe` and was sent `3probe`.
    Probed,
    /// The client sent the upgrade packet: the WebSocket is now the transport.
    Upgraded(Box<WebSocket<S>>),
    Failed,
}

impl<S: ByteStream> Probe<S> {
    pub(super) fn new(upgrading: UpgradeFuture<S>, deadline: Instant) -> Self {
        Self {
            deadline,
            stage: ProbeStage::Opening(upgrading),
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ProbeEvent<S>> {
        loop {
            if Instant::now() >= self.deadline {
                return Poll::Ready(self.fail(cx));
            }
            match &mut self.stage {
                ProbeStage::Opening(upgrading) => {
                    match std::task::ready!(Pin::new(upgrading).poll(cx)) {
                        Ok(socket) => {
                            self.stage = ProbeStage::Open {
                                socket: Box::new(socket),
                                probed: false,
                            };
                        }
                        Err(_) => return Poll::Ready(self.fail(cx)),
                    }
                }
                ProbeStage::Open { socket, probed } => {
                    let packet = match std::task::ready!(socket.poll_event(cx)) {
                        Event::Message(frame) => Packet::parse(frame),
                        Event::Flushed => continue,
                        Event::Closed(_) => return Poll::Ready(ProbeEvent::Failed),
                    };
                    match (packet, *probed) {
                        (Ok(Packet::Probe), false) => {
                            *probed = true;
                            socket.send(PROBE_PONG);
                            return Poll::Ready(ProbeEvent::Probed);
                        }
                        (Ok(Packet::Upgrade), true) => {
                            return Poll::Ready(
                                match std::mem::replace(&mut self.stage, ProbeStage::Finished) {
                                    ProbeStage::Open { socket, .. } => ProbeEvent::Upgraded(socket),
                                    ProbeStage::Opening(_) | ProbeStage::Finished => {
                                        ProbeEvent::Failed
                                    }
                                },
                            );
                        }
                        _ => return Poll::Ready(self.fail(cx)),
                    }
                }
                ProbeStage::Finished => return Poll::Ready(ProbeEvent::Failed),
            }
        }
    }

    /// Sends a close frame if that is possible without waiting.
    fn fail(&mut self, cx: &mut Context<'_>) -> ProbeEvent<S> {
        if let ProbeStage::Open { socket, .. } = &mut self.stage {
            socket.start_close(1002, "no upgrade", CloseReason::Protocol);
            let _ = socket.poll_event(cx);
        }
        self.stage = ProbeStage::Finished;
        ProbeEvent::Failed
    }
}
