//! One authenticated WebSocket to Home Assistant. Decides about no retry, and never shows the token.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::{self, Message, protocol::WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::address::Address;
use super::frame;

/// How long connecting may take, the authentication included.
const PATIENCE: Duration = Duration::from_secs(15);
/// The largest message that Core sends, in bytes: whole registries and snapshots come as one.
const MAX_MESSAGE: usize = 64 << 20;

/// A byte stream of either kind.
pub(super) trait Line: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Line for T {}

/// An open WebSocket.
pub(super) type Socket = WebSocketStream<Box<dyn Line>>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    /// Nobody there, or no TLS.
    #[error("it cannot be reached: {0}")]
    Unreachable(#[from] io::Error),
    /// No WebSocket: 502 while Core starts or stops.
    #[error("{0}")]
    Handshake(#[from] tungstenite::Error),
    /// Nothing within the time limit.
    #[error("it did not answer within {} s", PATIENCE.as_secs())]
    Late,
    /// It closed before the authentication was over.
    #[error("it closed the connection at once")]
    Closed,
    /// It does not speak Home Assistant's language.
    #[error("it does not greet as Home Assistant does")]
    Stranger,
    /// The token is not taken: outdated, or `homeassistant_api` is missing in config.yaml.
    #[error("it refuses the token ({0})")]
    Refused(String),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// Opens the connection and proves us. Gives Core's version as well.
///
/// # Errors
/// [`DialError`].
pub(super) async fn dial(address: &Address) -> Result<(Socket, String), DialError> {
    match tokio::time::timeout(PATIENCE, Box::pin(open(address))).await {
        Ok(opened) => opened,
        Err(_) => Err(DialError::Late),
    }
}

async fn open(address: &Address) -> Result<(Socket, String), DialError> {
    let line = line(address).await?;
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let (mut socket, _) = client_async_with_config(address.url(), line, Some(limits)).await?;
    let version = authenticate(&mut socket, address).await?;
    Ok((socket, version))
}

async fn line(address: &Address) -> Result<Box<dyn Line>, DialError> {
    let tcp = TcpStream::connect((address.host.as_str(), address.port)).await?;
    tcp.set_nodelay(true)?;
    if !address.is_secure {
        return Ok(Box::new(tcp));
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(address.host.clone()).map_err(io::Error::other)?;
    let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    Ok(Box::new(tls.await?))
}

async fn authenticate(socket: &mut Socket, address: &Address) -> Result<String, DialError> {
    loop {
        let text = match socket.next().await {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(_))) | None => return Err(DialError::Closed),
            Some(Ok(_)) => continue,
            Some(Err(error)) => return Err(error.into()),
        };
        let greeting = frame::messages(&text).map_err(|_| DialError::Stranger)?;
        let greeting = greeting.into_iter().next().ok_or(DialError::Stranger)?;
        match &*greeting.kind {
            "auth_required" => {
                let proof = json!({ "type": "auth", "access_token": address.token.expose() });
                socket.send(Message::text(proof.to_string())).await?;
            }
            "auth_ok" => return Ok(frame::line(&greeting.ha_version.unwrap_or_default())),
            "auth_invalid" => {
                let why = greeting.message.unwrap_or_default();
                return Err(DialError::Refused(frame::line(&why)));
            }
            _ => return Err(DialError::Stranger),
        }
    }
}
