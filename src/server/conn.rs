//! One accepted connection: TLS where it belongs, then HTTP/1.1 until it changes hands or ends.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpStream, UnixStream};

use super::header_case;
use crate::api::router::respond;
use crate::app::App;
use crate::authentication::USER_HEADER;
use crate::config::Config;
use crate::http::{ApiError, Incoming, ListenerKind, Peer, Response};
use crate::net::Counted;
use crate::net::Handover;
use crate::net::Stream;

/// How long a TLS handshake may take.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request's head may take, and an idle connection may stay.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);

/// Serves a TCP connection until it ends.
pub(crate) async fn serve_tcp(
    app: Arc<App>,
    stream: Counted<TcpStream>,
    address: SocketAddr,
    listener: ListenerKind,
) {
    // Events are small and must go out at once.
    if let Err(error) = stream.get_ref().set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let stream = if listener == ListenerKind::Public {
        let handshake = local_tls::accept(app.certificates.server_config(), stream);
        // Boxed, so that the handshake's memory is gone while the connection lives.
        match Box::pin(tokio::time::timeout(TLS_TIMEOUT, handshake)).await {
            Ok(Ok(stream)) => Stream::Tls(Box::new(stream)),
            Ok(Err(error)) => {
                tracing::debug!(from = %address, %error, "TLS handshake failed");
                return;
            }
            Err(_) => {
                tracing::debug!(from = %address, "TLS handshake took too long");
                return;
            }
        }
    } else {
        Stream::Plain(stream)
    };
    serve_http(app, stream, Some(address.ip()), listener).await;
}

/// Whether what a connection on the ingress listener says of its user is to be passed over; none when the
/// connection is over.
async fn is_doubtful(app: &App, stream: &Stream, listener: ListenerKind) -> Option<bool> {
    let (ListenerKind::Ingress, Stream::Plain(stream)) = (listener, stream) else {
        return Some(false);
    };
    let looked = tokio::time::timeout(HEADER_TIMEOUT, header_case::is_doubtful(stream.get_ref()));
    tokio::select! {
        looked = looked => looked.ok()?.ok(),
        () = app.shutdown.begun() => None,
    }
}

/// Serves a connection of the command line until it ends.
pub async fn serve_local(app: Arc<App>, stream: UnixStream) {
    let stream = Stream::Local(Counted::new(stream, None));
    serve_http(app, stream, None, ListenerKind::Local).await;
}

async fn serve_http(
    app: Arc<App>,
    stream: Stream,
    address: Option<IpAddr>,
    listener: ListenerKind,
) {
    let is_stranger = listener == ListenerKind::Ingress && !may_use_ingress(&app.config, address);
    let is_doubtful = match is_stranger {
        true => false,
        false => match is_doubtful(&app, &stream, listener).await {
            Some(is_doubtful) => is_doubtful,
            None => return,
        },
    };
    let (progress, permit) = (stream.progress(), stream.permit());
    // One that comes during the stop may still ask once: a polling client fetches its last words.
    let is_late = app.shutdown.has_begun();
    let busy = app.shutdown.work_guard();
    let shutdown = app.shutdown.clone();
    let handover = Handover::default();
    let claimed = handover.clone();
    let service = service_fn(move |mut request: Incoming| {
        let (app, claimed) = (app.clone(), claimed.clone());
        if let Some(permit) = &permit {
            request.extensions_mut().insert(permit.clone());
        }
        async move {
            if is_stranger {
                return Ok::<Response, Infallible>(not_supervisor());
            }
            if is_doubtful {
                request.headers_mut().remove(USER_HEADER);
            }
            let address = address.map(|peer| real_address(peer, request.headers(), &app.config));
            let mut response = respond(app, request, Peer { listener, address }).await;
            // Of a connection there the first request alone was looked at.
            if listener == ListenerKind::Ingress
                && response.status() != StatusCode::SWITCHING_PROTOCOLS
            {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            match claimed.claim(response) {
                Some(response) => Ok(response),
                // The task below takes the connection away with this request unanswered.
                None => pending().await,
            }
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .keep_alive(!is_late)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let begun = shutdown.begun();
    let mut begun = std::pin::pin!(begun);
    let mut is_told = is_late;
    let served = poll_fn(|cx| {
        if !is_told && begun.as_mut().poll(cx).is_ready() {
            is_told = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(served) => Poll::Ready(served.map(|()| None)),
            // Earlier answers that wait in hyper's buffer are written first.
            Poll::Pending if progress.is_stuck() => Poll::Pending,
            Poll::Pending => match handover.take() {
                Some(taker) => Poll::Ready(Ok(Some(taker))),
                None => Poll::Pending,
            },
        }
    });
    match served.await {
        Ok(Some(taker)) => {
            if let Some(parts) = connection.into_parts() {
                taker(parts.io.into_inner(), parts.read_buf);
            }
        }
        Ok(None) => {}
        Err(error) => tracing::debug!(%error, "a connection ended badly"),
    }
    drop(busy);
}

fn may_use_ingress(config: &Config, address: Option<IpAddr>) -> bool {
    address.is_some_and(|peer| config.ingress_from.iter().any(|net| net.contains(peer)))
}

fn not_supervisor() -> Response {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "not_ingress",
        "Only Home Assistant's ingress proxy may use this port",
    )
    .into_reply()
    .into_response()
}

/// The address that a request comes from: behind trusted proxies the last one in
/// `X-Forwarded-For` that is no trusted proxy itself.
fn real_address(peer: IpAddr, headers: &HeaderMap, config: &Config) -> IpAddr {
    let is_trusted = |address: IpAddr| {
        config
            .trusted_proxies
            .iter()
            .any(|net| net.contains(address))
    };
    let peer = peer.to_canonical();
    if !is_trusted(peer) {
        return peer;
    }
    let forwarded: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let mut real = peer;
    for hop in forwarded.iter().rev() {
        let Ok(address) = hop.trim().parse::<IpAddr>() else {
            break;
        };
        real = address.to_canonical();
        if !is_trusted(real) {
            break;
        }
    }
    real
}
