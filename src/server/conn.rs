//! Serves one accepted connection: TLS on the public listener, then HTTP/1.1 until it is upgraded or closed.

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
use crate::net::{MeteredStream, PendingUpgrade, Stream};

const TLS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request's head may take, which is also how long an idle connection stays open.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);

/// Serves a TCP connection until it is closed or upgraded.
pub(crate) async fn serve_tcp(
    app: Arc<App>,
    stream: MeteredStream<TcpStream>,
    address: SocketAddr,
    listener: ListenerKind,
) {
    // Events are small and must leave at once.
    if let Err(error) = stream.get_ref().set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let stream = if listener == ListenerKind::Public {
        let handshake = local_tls::accept(app.certificates.server_config(), stream);
        // Boxed, so that the handshake's memory is freed when it is done.
        match Box::pin(tokio::time::timeout(TLS_TIMEOUT, handshake)).await {
            Ok(Ok(stream)) => Stream::Tls(Box::new(stream)),
            Ok(Err(error)) => {
                tracing::debug!(from = %address, %error, "TLS handshake failed");
                return;
            }
            Err(_) => {
                tracing::debug!(from = %address, "TLS handshake timed out");
                return;
            }
        }
    } else {
        Stream::Plain(stream)
    };
    serve_http(app, stream, Some(address.ip()), listener).await;
}

/// Whether the identity header of an ingress connection may be forged; `None` if the connection is to be closed.
async fn has_forged_identity(app: &App, stream: &Stream, listener: ListenerKind) -> Option<bool> {
    let (ListenerKind::Ingress, Stream::Plain(stream)) = (listener, stream) else {
        return Some(false);
    };
    let check = tokio::time::timeout(HEADER_TIMEOUT, header_case::may_be_forged(stream.get_ref()));
    tokio::select! {
        checked = check => checked.ok()?.ok(),
        () = app.shutdown.begun() => None,
    }
}

/// Serves a connection of the command line's socket until it is closed.
pub async fn serve_local(app: Arc<App>, stream: UnixStream) {
    let stream = Stream::Local(MeteredStream::new(stream, None));
    serve_http(app, stream, None, ListenerKind::Local).await;
}

async fn serve_http(
    app: Arc<App>,
    stream: Stream,
    address: Option<IpAddr>,
    listener: ListenerKind,
) {
    let is_refused = listener == ListenerKind::Ingress && !may_use_ingress(&app.config, address);
    let is_forged = match is_refused {
        true => false,
        false => match has_forged_identity(&app, &stream, listener).await {
            Some(is_forged) => is_forged,
            None => return,
        },
    };
    let (progress, permit) = (stream.progress(), stream.permit());
    // A connection accepted during shutdown gets one request: a polling client fetches its final events.
    let is_late = app.shutdown.has_begun();
    let work_guard = app.shutdown.work_guard();
    let shutdown = app.shutdown.clone();
    let pending_upgrade = PendingUpgrade::default();
    let upgrade = pending_upgrade.clone();
    let service = service_fn(move |mut request: Incoming| {
        let (app, upgrade) = (app.clone(), upgrade.clone());
        if let Some(permit) = &permit {
            request.extensions_mut().insert(permit.clone());
        }
        async move {
            if is_refused {
                return Ok::<Response, Infallible>(not_supervisor());
            }
            if is_forged {
                request.headers_mut().remove(USER_HEADER);
            }
            let address = address.map(|peer| real_address(peer, request.headers(), &app.config));
            let mut response = respond(app, request, Peer { listener, address }).await;
            // On the ingress listener the identity header is checked for the first request only, so the connection
            // serves no second one.
            if listener == ListenerKind::Ingress
                && response.status() != StatusCode::SWITCHING_PROTOCOLS
            {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            match upgrade.intercept(response) {
                Some(response) => Ok(response),
                // The loop below takes the connection from hyper, which drops this future.
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
    let mut is_stopping = is_late;
    let served = poll_fn(|cx| {
        if !is_stopping && begun.as_mut().poll(cx).is_ready() {
            is_stopping = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(served) => Poll::Ready(served.map(|()| None)),
            // Earlier responses in hyper's buffer are written first.
            Poll::Pending if progress.is_blocked() => Poll::Pending,
            Poll::Pending => match pending_upgrade.take() {
                Some(on_upgrade) => Poll::Ready(Ok(Some(on_upgrade))),
                None => Poll::Pending,
            },
        }
    });
    match served.await {
        Ok(Some(on_upgrade)) => {
            if let Some(parts) = connection.into_parts() {
                on_upgrade(parts.io.into_inner(), parts.read_buf);
            }
        }
        Ok(None) => {}
        Err(error) => tracing::debug!(%error, "HTTP connection failed"),
    }
    drop(work_guard);
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

/// The client's address. Behind trusted proxies it is the last address in `X-Forwarded-For` that is not a trusted
/// proxy.
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
