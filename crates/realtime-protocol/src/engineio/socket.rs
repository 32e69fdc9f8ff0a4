//! One Engine.IO connection as its app sees it, whatever carries it; the change of carrier happens inside and loses nothing.

use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::{Instant, timeout};

use super::Lease;
use super::heartbeat::{Beat, Heartbeat};
use super::packet::{PING, Packet, is_message};
use super::polling::{Outcome, PATIENCE, Polling};
use super::request::Transport;
use super::timer::Timer;
use crate::websocket::WebSocket;
use crate::{ByteStream, Ended, Event, Frame};

/// The server's end of one Engine.IO connection. Nothing moves unless `poll_event` or `flush_now` is called.
///
/// The frames it gives and takes are whole message packets: text with its leading `4`, or binary.
pub struct Socket<S: ByteStream> {
    id: Arc<str>,
    carrier: Carrier<S>,
    timer: Timer,
    /// Keeps the sid known while the socket lives; none for one that was a WebSocket from the start.
    _lease: Option<Lease<S>>,
}

enum Carrier<S: ByteStream> {
    Polling(Box<Polling<S>>),
    WebSocket(Box<WebSocket<S>>, Beating),
}

/// A WebSocket's heartbeat.
struct Beating {
    heartbeat: Heartbeat,
    paused: bool,
}

impl<S: ByteStream> Socket<S> {
    pub(super) fn polling(lease: Lease<S>, carrier: Polling<S>, heartbeat: Heartbeat) -> Self {
        Self {
            id: lease.id().clone(),
            carrier: Carrier::Polling(Box::new(carrier)),
            timer: Timer::new(heartbeat.due()),
            _lease: Some(lease),
        }
    }

    /// `open` is the handshake packet, which goes out first.
    pub(super) fn websocket(
        id: Arc<str>,
        mut carrier: WebSocket<S>,
        heartbeat: Heartbeat,
        open: Frame,
    ) -> Self {
        carrier.send(open);
        Self {
            id,
            carrier: Carrier::WebSocket(
                Box::new(carrier),
                Beating {
                    heartbeat,
                    paused: false,
                },
            ),
            timer: Timer::new(heartbeat.due()),
            _lease: None,
        }
    }

    /// The Engine.IO session id. It is the only secret of a polling session: never log or show it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What carries the connection just now.
    pub fn transport(&self) -> Transport {
        match &self.carrier {
            Carrier::Polling(_) => Transport::Polling,
            Carrier::WebSocket(..) => Transport::WebSocket,
        }
    }

    /// The stream that carries the connection just now; none while polls do.
    pub fn stream(&self) -> Option<&S> {
        match &self.carrier {
            Carrier::Polling(_) => None,
            Carrier::WebSocket(socket, _) => Some(socket.stream()),
        }
    }

    /// Waits for the next event. Cancel safe.
    pub async fn event(&mut self) -> Event {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Reads, writes what is queued, keeps the heartbeat and follows an upgrade, until there is something to tell.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            match &mut self.carrier {
                Carrier::Polling(polling) => {
                    match std::task::ready!(polling.poll(&mut self.timer, cx)) {
                        Outcome::Event(event) => return Poll::Ready(event),
                        Outcome::Upgraded(socket, heartbeat) => {
                            self.carrier = Carrier::WebSocket(
                                socket,
                                Beating {
                                    heartbeat,
                                    paused: false,
                                },
                            );
                        }
                    }
                }
                Carrier::WebSocket(socket, beating) => {
                    return poll_websocket(socket, beating, &mut self.timer, cx);
                }
            }
        }
    }

    /// When the peer last sent anything, a pong or a poll included.
    pub fn last_received(&self) -> Instant {
        match &self.carrier {
            Carrier::Polling(polling) => polling.last_received(),
            Carrier::WebSocket(socket, _) => socket.last_received(),
        }
    }

    /// Whether all that was sent is with the kernel or, on polling, with the client's polls.
    pub fn can_send(&self) -> bool {
        match &self.carrier {
            Carrier::Polling(polling) => polling.can_send(),
            Carrier::WebSocket(socket, _) => socket.can_send(),
        }
    }

    /// Queues a whole message packet; `poll_event` sends it on. The queue is the caller's to bound, by `can_send` and `Flushed`.
    pub fn send(&mut self, frame: Frame) {
        match &mut self.carrier {
            Carrier::Polling(polling) => polling.send(frame),
            Carrier::WebSocket(socket, _) => socket.send(frame),
        }
    }

    /// Writes what is queued as far as a WebSocket takes it at once; true when all of it is with the
    /// kernel, and then no `Flushed` says so. Polling has to wait for the client.
    pub fn flush_now(&mut self) -> bool {
        match &mut self.carrier {
            Carrier::Polling(_) => false,
            Carrier::WebSocket(socket, _) => socket.flush_now(),
        }
    }

    /// Drops the queued packets of which no byte has left. False when some bytes are stuck half-way in
    /// the connection's buffers: then only dropping the socket forgets them.
    pub fn discard_unsent(&mut self) -> bool {
        match &mut self.carrier {
            Carrier::Polling(polling) => {
                polling.discard_unsent();
                true
            }
            Carrier::WebSocket(socket, _) => socket.retain_unsent(|frame| !is_message(frame)),
        }
    }

    /// Takes back the packets that were laid out for a poll and not fetched yet. On a WebSocket there
    /// are none.
    pub fn cut(&self) {
        if let Carrier::Polling(polling) = &self.carrier {
            polling.cut();
        }
    }

    /// The longest message, or POST body, taken from now on, in bytes.
    pub fn set_max_payload(&mut self, bytes: usize) {
        match &mut self.carrier {
            Carrier::Polling(polling) => polling.set_max_payload(bytes),
            Carrier::WebSocket(socket, _) => socket.set_max_message(bytes),
        }
    }

    /// While paused, `poll_event` sends but reads no messages; polling clients are held back at their next POST.
    pub fn pause(&mut self, paused: bool) {
        match &mut self.carrier {
            Carrier::Polling(polling) => polling.pause(paused),
            Carrier::WebSocket(socket, beating) => {
                socket.pause(paused);
                if mem::replace(&mut beating.paused, paused) && !paused {
                    beating.heartbeat.forgive(Instant::now());
                }
            }
        }
    }

    /// Ready when no upgrade is under way; what the client says meanwhile is passed over.
    fn poll_upgraded(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while matches!(&self.carrier, Carrier::Polling(polling) if polling.is_upgrading()) {
            match self.poll_event(cx) {
                Poll::Ready(Event::Closed(_)) => break,
                Poll::Ready(_) => {}
                Poll::Pending if self.transport() == Transport::WebSocket => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    /// Sends what is queued, then says goodbye; takes at most two seconds.
    ///
    /// A WebSocket is closed with this code and reason. Polling has no codes: the client's poll gets the close packet.
    /// A client in the midst of an upgrade is waited for, since it hears the rest on its new carrier.
    pub async fn close(mut self, code: u16, reason: &str) {
        // One that does not finish its upgrade in time is told by polling after all.
        let _ = timeout(PATIENCE / 2, poll_fn(|cx| self.poll_upgraded(cx))).await;
        match self.carrier {
            Carrier::Polling(polling) => polling.close().await,
            Carrier::WebSocket(socket, _) => socket.close(code, reason).await,
        }
    }
}

fn poll_websocket<S: ByteStream>(
    socket: &mut WebSocket<S>,
    beating: &mut Beating,
    timer: &mut Timer,
    cx: &mut Context<'_>,
) -> Poll<Event> {
    loop {
        if timer.poll(beating.heartbeat.due(), cx).is_ready() {
            let now = Instant::now();
            match beating.heartbeat.beat(now) {
                Beat::Quiet => continue,
                Beat::Ping => {
                    socket.send(PING);
                    continue;
                }
                // Its pong may well be there, unread.
                Beat::Dead if beating.paused => {
                    beating.heartbeat.forgive(now);
                    continue;
                }
                Beat::Dead => socket.fail(Ended::PingTimeout),
            }
        }
        match std::task::ready!(socket.poll_event(cx)) {
            Event::Message(frame) => match Packet::parse(frame) {
                Ok(Packet::Message(frame)) => return Poll::Ready(Event::Message(frame)),
                Ok(Packet::Pong) => beating.heartbeat.pong(Instant::now()),
                Ok(Packet::Noop) => {}
                Ok(Packet::Close) => socket.start_close(1000, "", Ended::Peer { code: None }),
                Ok(Packet::Probe | Packet::Upgrade) | Err(_) => {
                    socket.start_close(1002, "", Ended::Protocol);
                }
            },
            event => return Poll::Ready(event),
        }
    }
}
