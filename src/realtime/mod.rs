//! Sockets and event streams, from the HTTP request to the close. Decides nothing about areas or clients.
//!
//! The path of a connection through the files:
//!
//! 1. `open`: reads the handshake and takes a socket permit; `event_stream` does so for `GET /api/events`.
//! 2. `authentication`: authenticates a session by its handshake, by Socket.IO's CONNECT or by a message.
//! 3. `registration`: registers the session with the hub between two commits, at its resume `position`.
//! 4. `connection`: the task and its loop; it owns a `namespace_session` for each namespace that the client is in.
//! 5. The hub (`wallcast_core::hub`) delivers each event to the sessions that are subscribed to one of its topics;
//!    `access::entitlement` decides which topics those are.
//! 6. `subscription`: the next events of a session, from its outbox or, while it replays, from history (`replay`).
//! 7. `writer_state`: writes events under the connection's lock, for the task or for the hub's dispatcher.
//! 8. `codec`: encodes an event to a frame; `transport`: writes frames to the WebSocket, poll or event stream.
//! 9. `client_messages`: acts on a client's `command`, each in a file of its own (`rooms`, `resume`, …), and replies.
//! 10. `close`: closes sessions and the connection after the hub ended a session, at a deadline or at shutdown.
//!
//! `send` posts the messages of `POST /api/send` to an open session.

mod authentication;
mod calls;
mod client_messages;
mod close;
mod close_action;
mod codec;
mod command;
mod connection;
mod delivery_metrics;
mod entities;
mod event_stream;
mod kiosk;
mod message_commands;
mod namespace_session;
mod open;
mod organizations;
mod pid;
mod position;
mod rate_limit;
mod registration;
mod replay;
mod resume;
mod rooms;
mod send;
mod subscription;
mod transport;
mod writer_state;

use std::sync::Arc;

use realtime_protocol::websocket;

use crate::app::App;
use crate::http::{Incoming, Peer, Response};

pub use send::send;

/// Whether a request opens or uses a socket or an event stream, rather than an API resource or a page.
pub fn is_socket(request: &Incoming) -> bool {
    let path = request.uri().path();
    open::is_socketio_path(path)
        || event_stream::is_requested(request)
        || open::websocket_namespace(path).is_some()
            && (path.starts_with("/ws") || websocket::is_upgrade(request))
}

/// Opens a socket or an event stream, or hands a polling request to its Engine.IO session.
pub async fn open(app: &Arc<App>, request: Incoming, peer: Peer) -> Response {
    let from = peer.shown();
    let opened = if open::is_socketio_path(request.uri().path()) {
        open::open_socketio(app, request, peer).await
    } else if event_stream::is_requested(&request) {
        event_stream::open(app, request, peer).await
    } else {
        open::open_websocket(app, request, peer).await
    };
    opened.unwrap_or_else(|error| {
        tracing::info!(
            status = error.status().as_u16(),
            code = error.code(),
            %from,
            "socket refused"
        );
        error.into_reply().into_response()
    })
}
