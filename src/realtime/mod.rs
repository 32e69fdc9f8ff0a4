//! The session loop and the dialects: bytes in, commands out; events in, bytes out.
//!
//! Makes no decision about areas or clients. One task owns a connection, whatever carries it, and
//! drains the outboxes of its sessions; where nothing else is to be done the hub's courier does so,
//! at the connection's writer.

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

use hyper::{Method, StatusCode};

use crate::app::App;
use crate::http::{ApiError, Incoming, ListenerKind, Peer, Response};
use crate::net::SocketPermit;
use crate::net::Stream;
use crate::{identity, net};
use codec::Codec;
use connection::{Connection, Handshake};
use position::ResumePosition;
use realtime_protocol::engineio;
use realtime_protocol::websocket::{self, WebSocket};
use registration::RegisteredSession;
use transport::Transport;
use wallcast_core::event::Namespace;
use wallcast_core::store::StoreError;

pub use send::send;

const SOCKETIO_PATH: &str = "/socket.io/";

/// Whether a request opens or feeds a socket, or a stream of events, rather than asking for a resource.
pub fn is_socket(request: &Incoming) -> bool {
    let path = request.uri().path();
    is_socketio(path)
        || event_stream::is_asked_for(request)
        || websocket_namespace(path).is_some() && websocket::is_upgrade(request)
        || (path.starts_with("/ws") && websocket_namespace(path).is_some())
}

fn is_socketio(path: &str) -> bool {
    path == SOCKETIO_PATH || path == SOCKETIO_PATH.trim_end_matches('/')
}

/// The namespace of a JSON WebSocket path (contract 4.2).
fn websocket_namespace(path: &str) -> Option<Namespace> {
    match path {
        "/" | "/ws" => Some(Namespace::Main),
        "/ws/lockers" => Some(Namespace::Lockers),
        "/ws/help" => Some(Namespace::Help),
        "/ws/events" => Some(Namespace::Events),
        _ => None,
    }
}

/// Opens a socket, or hands a polling request to the one it belongs to.
pub async fn open(app: &Arc<App>, request: Incoming, peer: Peer) -> Response {
    let shown = peer.shown();
    let opened = if is_socketio(request.uri().path()) {
        open_socketio(app, request, peer).await
    } else if event_stream::is_asked_for(&request) {
        event_stream::open(app, request, peer).await
    } else {
        open_websocket(app, request, peer).await
    };
    opened.unwrap_or_else(|error| {
        tracing::info!(
            status = error.status().as_u16(),
            code = error.code(),
            from = %shown,
            "socket refused"
        );
        error.into_reply().into_response()
    })
}

async fn open_websocket(
    app: &Arc<App>,
    request: Incoming,
    peer: Peer,
) -> Result<Response, ApiError> {
    let namespace = websocket_namespace(request.uri().path())
        .ok_or_else(|| ApiError::not_found("WebSocket path"))?;
    if request.method() != Method::GET {
        return Err(ApiError::method_not_allowed(Method::GET.as_str()));
    }
    if !websocket::is_upgrade(&request) {
        return Err(ApiError::new(
            StatusCode::UPGRADE_REQUIRED,
            "upgrade_required",
            "This path speaks WebSocket",
        )
        .with_header(hyper::header::UPGRADE, "websocket".to_owned()));
    }
    let response = websocket::handshake_response(&request).map_err(|error| {
        ApiError::new(StatusCode::BAD_REQUEST, "bad_handshake", error.to_string())
    })?;
    let mut handshake = presented(app, &request, &peer).await?;
    handshake.namespace = namespace;
    let (mut connection, entered) = enter(app, peer, handshake, Codec::Json).await?;
    let limits = app.websocket_limits();
    // The answer and the first words leave together.
    let taker = move |stream: Stream, head, read| {
        let socket = WebSocket::with_pending_response(stream, &head, read, limits);
        connection.set_transport(Transport::websocket(socket));
        if let Some(entered) = entered {
            connection.send_welcome(0, &entered);
        }
        tokio::spawn(connection.run());
    };
    Ok(net::hand_over(response, taker))
}

/// A permit for one more socket, unless the server stops.
fn permit(app: &App) -> Result<SocketPermit, ApiError> {
    if app.shutdown.has_begun() {
        return Err(ApiError::unavailable(
            "Wallcast is stopping; connect again in a moment",
        ));
    }
    app.sockets.permit()
}

/// Lets in whoever opens a connection of one session with a token, in one look at the store. A wrong
/// token fails the handshake (contract 3), and counts against its address all the same, as none does.
async fn enter(
    app: &Arc<App>,
    peer: Peer,
    handshake: Handshake,
    codec: Codec,
) -> Result<(Connection, Option<Box<RegisteredSession>>), ApiError> {
    let permit = match permit(app) {
        Ok(permit) => permit,
        Err(full) => {
            // A stranger who tries too often hears that instead.
            if !is_proven(app, &handshake).await {
                app.sockets.count_unauthenticated(&peer)?;
            }
            return Err(full);
        }
    };
    let transport = Transport::none();
    let mut connection = Connection::new(app.clone(), transport, codec, peer, handshake, permit);
    // A task of its own: a peer that goes meanwhile must not stop it half-way. What it has opened
    // then leaves again as it is dropped.
    let opening = tokio::spawn(async move {
        let entered = connection.open().await;
        (connection, entered)
    });
    let opened = opening.await.map_err(|_| StoreError::Panicked)?;
    let (mut connection, entered) = opened;
    if !matches!(entered, Ok(Some(_))) {
        connection.permit.place = app.sockets.count_unauthenticated(&connection.peer)?;
    }
    Ok((connection, entered?))
}

async fn is_proven(app: &App, handshake: &Handshake) -> bool {
    match &handshake.credential {
        Some(credential) => identity::prove(app, credential).await.is_ok(),
        None => handshake.local_admin.is_some(),
    }
}

async fn open_socketio(
    app: &Arc<App>,
    request: Incoming,
    peer: Peer,
) -> Result<Response, ApiError> {
    identity::refuse_token_in_url(request.uri().query())?;
    if names_session(request.uri().query()) {
        // The session was admitted when it was opened; its sid is all that this request brings.
        let response = app.engine.handle(request, |_| {
            tracing::error!("a request with a sid opened a connection");
        });
        return Ok(response.await);
    }
    let handshake = presented(app, &request, &peer).await?;
    // A wrong token is told by CONNECT_ERROR, once the namespace is asked for (contract 3).
    let place = match is_proven(app, &handshake).await {
        true => None,
        false => app.sockets.count_unauthenticated(&peer)?,
    };
    let mut permit = permit(app)?;
    permit.place = place;
    let owner = app.clone();
    let opened = move |socket: engineio::Socket<Stream>| {
        let transport = Transport::engine(socket);
        let codec = Codec::socketio();
        let connection = Connection::new(owner, transport, codec, peer, handshake, permit);
        tokio::spawn(connection.run());
    };
    if !websocket::is_upgrade(&request) {
        return Ok(app.engine.handle(request, opened).await);
    }
    Ok(match app.engine.accept(&request) {
        (response, Some(opening)) => net::hand_over(response, move |stream, head, read| {
            opened(opening.open(stream, &head, read));
        }),
        (refusal, None) => refusal,
    })
}

/// Whether an Engine.IO request goes on with a session rather than opening one.
fn names_session(query: Option<&str>) -> bool {
    let query = query.unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).any(|(key, _)| key == "sid")
}

/// What a handshake presents, after the checks that need no store.
async fn presented(app: &App, request: &Incoming, peer: &Peer) -> Result<Handshake, ApiError> {
    let (headers, query) = (request.headers(), request.uri().query());
    identity::refuse_token_in_url(query)?;
    let position = ResumePosition::of(headers, query)
        .map_err(|_| ApiError::field("since", "since must be an event's id, 0 or more"))?;
    let found = identity::credential_of(headers, query)?;
    let (credential, local_admin) = match (peer.listener, found) {
        (ListenerKind::Ingress, _) => {
            identity::check_origin(app, headers, peer, identity::Source::Cookie)?;
            (None, Some(app.ingress.admin(headers).await?))
        }
        (ListenerKind::Local, _) => (None, Some("cli".to_owned())),
        (_, Some((credential, source))) => {
            identity::check_origin(app, headers, peer, source)?;
            (Some(credential), None)
        }
        (_, None) => (None, None),
    };
    Ok(Handshake {
        credential,
        local_admin,
        namespace: Namespace::Main,
        position,
    })
}
