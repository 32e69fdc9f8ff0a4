//! Opens `GET /api/events` as server-sent events (`docs/protocol.md#server-sent-events`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{ACCEPT, HeaderName};
use realtime_protocol::sse::EventStream;

use super::codec::Codec;
use super::open::{open_connection, read_handshake};
use super::transport::Transport;
use crate::app::App;
use crate::authentication::AuthError;
use crate::http::{ApiError, Incoming, Peer, Reply, Response};
use crate::net::Stream;
use crate::{identity, net};

const PATH: &str = "/api/events";
const EVENT_STREAM: &str = "text/event-stream";
/// An event stream has no pongs, so TCP detects a dead peer: one that acknowledges no byte for this long. The
/// same time as on a WebSocket.
const USER_TIMEOUT: Duration = Duration::from_secs(60);

/// Whether a request asks for an event stream; `EventSource` sends the media type with each request.
pub(super) fn is_requested(request: &Incoming) -> bool {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    reads
        && request.uri().path() == PATH
        && request
            .headers()
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|range| range.split(';').next())
            .any(|media_type| media_type.trim().eq_ignore_ascii_case(EVENT_STREAM))
}

/// Opens a stream for a request with a valid token; HEAD gets the same headers without a body.
pub(super) async fn open(
    app: &Arc<App>,
    request: Incoming,
    peer: Peer,
) -> Result<Response, ApiError> {
    let handshake = read_handshake(app, &request, &peer).await?;
    if request.method() == Method::HEAD {
        match (&handshake.local_admin, &handshake.credential) {
            (Some(_), _) => {}
            (None, Some(credential)) => drop(identity::authenticate(app, credential).await?),
            (None, None) => return Err(AuthError::Missing.into()),
        }
        return Ok(head());
    }
    let (mut connection, registered) = open_connection(app, peer, handshake, Codec::Sse).await?;
    let registered = registered.ok_or(AuthError::Missing)?;
    let version = request.version();
    let on_upgrade = move |stream: Stream, head, _| {
        stream.set_user_timeout(USER_TIMEOUT);
        connection.set_transport(Transport::events(EventStream::new(stream, head, version)));
        connection.send_welcome(0, &registered);
        tokio::spawn(connection.run());
    };
    Ok(net::upgrade(head(), on_upgrade))
}

fn head() -> Response {
    // nginx and similar proxies would buffer events otherwise.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    Reply::bytes(EVENT_STREAM, Bytes::new())
        .with_header(unbuffered, "no")
        .into_response()
}
