//! Opens JSON WebSockets and Socket.IO connections: reads the handshake, takes a socket permit and, where the
//! handshake brings a token, registers the session before the request is answered.

use std::sync::Arc;

use hyper::{Method, StatusCode};
use realtime_protocol::engineio;
use realtime_protocol::websocket::{self, WebSocket};
use wallcast_core::event::Namespace;
use wallcast_core::store::StoreError;

use super::codec::Codec;
use super::connection::{Connection, Handshake};
use super::position::ResumePosition;
use super::registration::RegisteredSession;
use super::transport::Transport;
use crate::app::App;
use crate::http::{ApiError, Incoming, ListenerKind, Peer, Response};
use crate::net::{SocketPermit, Stream};
use crate::{identity, net};

const SOCKETIO_PATH: &str = "/socket.io/";

pub(super) fn is_socketio_path(path: &str) -> bool {
    path == SOCKETIO_PATH || path == SOCKETIO_PATH.trim_end_matches('/')
}

/// The namespace of a JSON WebSocket path (`docs/protocol.md#json-websocket`).
pub(super) fn websocket_namespace(path: &str) -> Option<Namespace> {
    match path {
        "/" | "/ws" => Some(Namespace::Main),
        "/ws/lockers" => Some(Namespace::Lockers),
        "/ws/help" => Some(Namespace::Help),
        "/ws/events" => Some(Namespace::Events),
        _ => None,
    }
}

/// Opens a JSON WebSocket. With a token in the handshake its session is registered first, and a wrong token
/// fails the handshake.
pub(super) async fn open_websocket(
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
            "This path accepts WebSocket connections only",
        )
        .with_header(hyper::header::UPGRADE, "websocket".to_owned()));
    }
    let response = websocket::handshake_response(&request).map_err(|error| {
        ApiError::new(StatusCode::BAD_REQUEST, "bad_handshake", error.to_string())
    })?;
    let mut handshake = read_handshake(app, &request, &peer).await?;
    handshake.namespace = namespace;
    let (mut connection, registered) = open_connection(app, peer, handshake, Codec::Json).await?;
    let limits = app.websocket_limits();
    // The handshake response and the welcome leave in one write.
    let on_upgrade = move |stream: Stream, head, read| {
        let socket = WebSocket::with_pending_response(stream, &head, read, limits);
        connection.set_transport(Transport::websocket(socket));
        if let Some(registered) = registered {
            connection.send_welcome(0, &registered);
        }
        tokio::spawn(connection.run());
    };
    Ok(net::upgrade(response, on_upgrade))
}

/// Opens a Socket.IO connection over polling or WebSocket, or passes a request with a `sid` to its Engine.IO
/// session. Sessions are registered later, one for each CONNECT.
pub(super) async fn open_socketio(
    app: &Arc<App>,
    request: Incoming,
    peer: Peer,
) -> Result<Response, ApiError> {
    identity::refuse_token_in_url(request.uri().query())?;
    if has_session_id(request.uri().query()) {
        // The connection was checked and counted when it was opened; this request brings only its sid.
        let response = app.engine.handle(request, |_| {
            tracing::error!("a request with a sid opened a connection");
        });
        return Ok(response.await);
    }
    let handshake = read_handshake(app, &request, &peer).await?;
    // A wrong token is answered by CONNECT_ERROR when the peer connects to a namespace
    // (docs/protocol.md#socket-authentication). Here it only counts against the address.
    let address_permit = match is_authenticated(app, &handshake).await {
        true => None,
        false => app.sockets.count_unauthenticated(&peer)?,
    };
    let mut permit = take_permit(app)?;
    permit.address_permit = address_permit;
    let connection_app = app.clone();
    let on_open = move |socket: engineio::Socket<Stream>| {
        let transport = Transport::engine(socket);
        let codec = Codec::socketio();
        let connection = Connection::new(connection_app, transport, codec, peer, handshake, permit);
        tokio::spawn(connection.run());
    };
    if !websocket::is_upgrade(&request) {
        return Ok(app.engine.handle(request, on_open).await);
    }
    Ok(match app.engine.accept(&request) {
        (response, Some(opening)) => net::upgrade(response, move |stream, head, read| {
            on_open(opening.open(stream, &head, read));
        }),
        (refusal, None) => refusal,
    })
}

/// Whether an Engine.IO request belongs to an existing session.
fn has_session_id(query: Option<&str>) -> bool {
    let query = query.unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).any(|(key, _)| key == "sid")
}

/// Takes a permit for one more socket, unless the server is stopping.
fn take_permit(app: &App) -> Result<SocketPermit, ApiError> {
    if app.shutdown.has_begun() {
        return Err(ApiError::unavailable(
            "Wallcast is stopping; connect again in a moment",
        ));
    }
    app.sockets.acquire()
}

/// Creates the connection of a JSON WebSocket or an event stream, which has one session. If the handshake
/// brings a token, the session is registered in one read of the store. A missing or wrong token counts against
/// the peer's address.
///
/// # Errors
/// Fails the handshake: wrong token, no permit, or too many unauthenticated sockets from the address.
pub(super) async fn open_connection(
    app: &Arc<App>,
    peer: Peer,
    handshake: Handshake,
    codec: Codec,
) -> Result<(Connection, Option<Box<RegisteredSession>>), ApiError> {
    let permit = match take_permit(app) {
        Ok(permit) => permit,
        Err(full) => {
            // Unauthenticated peers over their rate limit get 429 instead of 503.
            if !is_authenticated(app, &handshake).await {
                app.sockets.count_unauthenticated(&peer)?;
            }
            return Err(full);
        }
    };
    let transport = Transport::detached();
    let mut connection = Connection::new(app.clone(), transport, codec, peer, handshake, permit);
    // A task of its own, so that a peer that disconnects now cannot cancel the registration half-way. Its
    // session is unregistered when the connection is dropped.
    let opening = tokio::spawn(async move {
        let registered = connection.open_session().await;
        (connection, registered)
    });
    let opened = opening.await.map_err(|_| StoreError::Panicked)?;
    let (mut connection, registered) = opened;
    if !matches!(registered, Ok(Some(_))) {
        connection.permit.address_permit = app.sockets.count_unauthenticated(&connection.peer)?;
    }
    Ok((connection, registered?))
}

async fn is_authenticated(app: &App, handshake: &Handshake) -> bool {
    match &handshake.credential {
        Some(credential) => identity::authenticate(app, credential).await.is_ok(),
        None => handshake.local_admin.is_some(),
    }
}

/// Reads credential, resume position and origin of a handshake. A token's validity is checked later, together
/// with the registration.
pub(super) async fn read_handshake(
    app: &App,
    request: &Incoming,
    peer: &Peer,
) -> Result<Handshake, ApiError> {
    let (headers, query) = (request.headers(), request.uri().query());
    identity::refuse_token_in_url(query)?;
    let position = ResumePosition::from_request(headers, query)
        .map_err(|_| ApiError::field("since", "`since` must be an event id, an integer from 0"))?;
    let found = identity::credential_of(headers, query)?;
    let (credential, local_admin) = match (peer.listener, found) {
        (ListenerKind::Ingress, _) => {
            identity::check_origin(app, headers, peer, identity::CredentialSource::Cookie)?;
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
