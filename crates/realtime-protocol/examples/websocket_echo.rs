//! A WebSocket echo server for the Autobahn test suite: `websocket_echo [PORT]`, 9001 by default.

use std::convert::Infallible;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use realtime_protocol::Event;
use realtime_protocol::websocket::{Limits, WebSocket, accept};
use tokio::net::{TcpListener, TcpStream};

/// The longest messages of the suite have 16 MiB.
const LIMITS: Limits = Limits {
    max_message: 16 << 20,
    keepalive: None,
};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args()
        .nth(1)
        .and_then(|port| port.parse().ok())
        .unwrap_or(9001);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on {}", listener.local_addr()?);
    serve(listener).await
}

/// Serves until the listener fails.
pub(crate) async fn serve(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let service = service_fn(|mut request| async move {
                Ok::<_, Infallible>(match accept::<TcpStream, _>(&mut request, LIMITS) {
                    Ok((response, upgrading)) => {
                        tokio::spawn(async move {
                            if let Ok(socket) = upgrading.await {
                                tokio::spawn(echo(socket));
                            }
                        });
                        response
                    }
                    Err(error) => error.response(),
                })
            });
            let http = hyper::server::conn::http1::Builder::new();
            let _ = http
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
                .await;
        });
    }
}

async fn echo(mut socket: WebSocket<TcpStream>) {
    loop {
        match socket.event().await {
            Event::Message(frame) => socket.send(frame),
            Event::Flushed => {}
            Event::Closed(_) => return,
        }
    }
}
