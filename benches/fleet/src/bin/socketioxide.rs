//! A peer in Rust: the socketioxide crate on hyper and rustls. All tablets are in one room.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::extract::SocketRef;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

#[path = "../identity.rs"]
mod identity;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (service, io) = SocketIo::builder().ws_read_buffer_size(1024).build_svc();
    io.ns("/", async |socket: SocketRef| socket.join("tablets"));
    let acceptor = TlsAcceptor::from(Arc::new(identity::server_config()?));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("ready https={}", listener.local_addr()?);
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let (acceptor, service, io) = (acceptor.clone(), service.clone(), io.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(tcp).await else {
                return;
            };
            let respond = service_fn(move |request: Request<Incoming>| {
                let (service, io) = (service.clone(), io.clone());
                async move {
                    if request.uri().path() == "/publish" {
                        let response = publish(&io, request).await;
                        return Ok(response.map(http_body_util::Either::Left));
                    }
                    let response = service.call(request).await;
                    response.map(|response| response.map(http_body_util::Either::Right))
                }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), respond);
            let _ = connection.with_upgrades().await;
        });
    }
}

async fn publish(io: &SocketIo, request: Request<Incoming>) -> Response<Full<Bytes>> {
    if let Ok(body) = request.into_body().collect().await
        && let Ok(event) = serde_json::from_slice::<Value>(&body.to_bytes())
        && let Some(event_type) = event["type"].as_str()
    {
        let _ = io
            .to("tablets")
            .emit(event_type.to_owned(), &event["data"])
            .await;
    }
    Response::new(Full::new(Bytes::from_static(b"{}")))
}
