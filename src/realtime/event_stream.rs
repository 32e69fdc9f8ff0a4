//! `GET /api/events` as server-sent events (contract 4.3): who may open a stream, and how it is opened.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{ACCEPT, HeaderName};

use super::codec::Codec;
use super::transport::Transport;
use super::{enter, presented};
use crate::app::App;
use crate::authentication::AuthError;
use crate::http::{ApiError, Incoming, Peer, Reply, Response};
use crate::net::Stream;
use crate::{identity, net};
use realtime_protocol::sse::EventStream;

const PATH: &str = "/api/events";
const EVENT_STREAM: &str = "text/event-stream";
/// A stream has no pongs: a peer that acknowledges no byte for this long is gone, as on a WebSocket.
const SILENCE: Duration = Duration::from_secs(60);

/// Whether a request asks for a stream of events; `EventSource` names the type on each.
pub(super) fn is_asked_for(request: &Incoming) -> bool {
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
            .any(|kind| kind.trim().eq_ignore_ascii_case(EVENT_STREAM))
}

/// Opens a stream for whoever proves a token in the request; HEAD is told how it would look.
pub(super) async fn open(
    app: &Arc<App>,
    request: Incoming,
    peer: Peer,
) -> Result<Response, ApiError> {
    let handshake = presented(app, &request, &peer).await?;
    if request.method() == Method::HEAD {
        match (&handshake.local_admin, &handshake.credential) {
            (Some(_), _) => {}
            (None, Some(credential)) => drop(identity::prove(app, credential).await?),
            (None, None) => return Err(AuthError::Missing.into()),
        }
        return Ok(head());
    }
    let (mut connection, entered) = enter(app, peer, handshake, Codec::Sse).await?;
    let entered = entered.ok_or(AuthError::Missing)?;
    let version = request.version();
    let taker = move |stream: Stream, head, _| {
        stream.give_up_after(SILENCE);
        connection.set_transport(Transport::events(EventStream::new(stream, head, version)));
        connection.send_welcome(0, &entered);
        tokio::spawn(connection.run());
    };
    Ok(net::hand_over(head(), taker))
}

fn head() -> Response {
    // Proxies of nginx's kind would keep events back until they have enough of them.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    Reply::bytes(EVENT_STREAM, Bytes::new())
        .with_header(unbuffered, "no")
        .into_response()
}
