//! A minimal Socket.IO echo server on port 3000. It uses one namespace and no binary attachments.

use std::convert::Infallible;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use realtime_protocol::Event;
use realtime_protocol::engineio::{Config, Engine, Socket};
use realtime_protocol::socketio::{AttachmentLimits, Decoder, PacketData};
use realtime_protocol::socketio::{ack, connect, connect_error, event};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let engine = Engine::new(Config::default());
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let engine = engine.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let engine = engine.clone();
                async move {
                    let open = |socket| drop(tokio::spawn(echo(socket)));
                    Ok::<_, Infallible>(engine.handle(request, open).await)
                }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            let _ = connection.with_upgrades().await;
        });
    }
}

/// Accepts the namespace `/`, sends every event back, and acknowledges events if the client asks for it.
async fn echo(mut socket: Socket<TcpStream>) {
    // No binary attachments.
    let mut decoder = Decoder::new(AttachmentLimits { count: 0, bytes: 0 });
    let mut is_connected = false;
    loop {
        let frame = match socket.event().await {
            Event::Message(frame) => frame,
            Event::Flushed => continue,
            Event::Closed(_) => return,
        };
        let packet = match decoder.decode(frame) {
            Ok(Some(packet)) => packet,
            Ok(None) => continue,
            Err(error) => return socket.close(1008, &error.to_string()).await,
        };
        let namespace = &*packet.namespace;
        match packet.data {
            PacketData::Connect { .. } if namespace == "/" => {
                is_connected = true;
                let sid = socket.id().to_owned();
                socket.send(connect(namespace, &sid, None));
            }
            PacketData::Connect { .. } => {
                socket.send(connect_error(namespace, "Invalid namespace", None));
            }
            PacketData::Event { ack: id, args, .. } if is_connected => {
                let name = args.name().unwrap_or_default();
                let data = args.items().into_iter().skip(1);
                socket.send(event(namespace, None, &name, data.clone()));
                if let Some(id) = id {
                    socket.send(ack(namespace, id, data));
                }
            }
            _ => return socket.close(1000, "not connected").await,
        }
    }
}
