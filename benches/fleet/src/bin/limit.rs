//! The minimal server: rustls, a WebSocket upgrade, and one write per frame. It has no queues, no task wake-up per
//! delivery and no permissions. Everything that another server takes beyond it is that server's own cost.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::coop::unconstrained;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

#[path = "../identity.rs"]
mod identity;

type Stream = TlsStream<TcpStream>;

/// What a connection sent.
enum Request {
    Tablet(Box<Stream>),
    Publication(Vec<u8>),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let acceptor = TlsAcceptor::from(Arc::new(identity::server_config()?));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("ready https={}", listener.local_addr()?);
    let (sender, mut requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let _ = tcp.set_nodelay(true);
            tokio::spawn(handle(acceptor.clone(), tcp, sender.clone()));
        }
    });
    // One task writes to every socket. Without `unconstrained`, tokio would make it yield after 128 writes.
    let serve = unconstrained(async {
        let mut tablets: Vec<Box<Stream>> = Vec::new();
        while let Some(request) = requests.recv().await {
            match request {
                Request::Tablet(stream) => tablets.push(stream),
                Request::Publication(data) => {
                    let frame = frame(&data);
                    for tablet in &mut tablets {
                        tablet.write_all(&frame).await?;
                    }
                }
            }
        }
        io::Result::Ok(())
    });
    Ok(serve.await?)
}

async fn handle(
    acceptor: TlsAcceptor,
    tcp: TcpStream,
    requests: mpsc::UnboundedSender<Request>,
) -> io::Result<()> {
    let mut stream = acceptor.accept(tcp).await?;
    loop {
        let (head, body) = read_request(&mut stream).await?;
        if let Some(key) = header(&head, "sec-websocket-key") {
            let accept = derive_accept_key(key.as_bytes());
            let response = format!(
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
            );
            stream.write_all(response.as_bytes()).await?;
            let _ = requests.send(Request::Tablet(Box::new(stream)));
            return Ok(());
        }
        let _ = requests.send(Request::Publication(body));
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            .await?;
    }
}

/// Reads the head and body of a request.
async fn read_request(stream: &mut Stream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = header(&head, "content-length").and_then(|text| text.parse().ok());
            let whole = end + 4 + length.unwrap_or(0);
            if bytes.len() >= whole {
                return Ok((head, bytes[end + 4..whole].to_vec()));
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// A text frame of a server (RFC 6455 section 5.2).
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match payload.len() {
        length @ 0..=125 => frame.push(length as u8),
        length => {
            frame.push(126);
            frame.extend((length as u16).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}
