//! Opens one authenticated WebSocket to Home Assistant. Does not retry, and never shows the token.

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

use super::address::HomeAddress;
use super::message;

/// Time limit for connecting, authentication included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Maximum size of a message from Core, in bytes: whole registries and snapshots come in one
/// message.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// A TCP or TLS stream.
pub(super) trait CoreStream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> CoreStream for T {}

pub(super) type CoreSocket = WebSocketStream<Box<dyn CoreStream>>;

#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    /// TCP or TLS failed.
    #[error("cannot be reached: {0}")]
    Unreachable(#[from] io::Error),
    /// The WebSocket handshake failed. Supervisor answers 502 while Core starts or stops.
    #[error("{0}")]
    Handshake(#[from] tungstenite::Error),
    #[error("no answer within {} s", CONNECT_TIMEOUT.as_secs())]
    Timeout,
    #[error("connection closed during authentication")]
    ConnectionClosed,
    #[error("the peer does not speak Home Assistant's WebSocket API")]
    NotHomeAssistant,
    /// The token is not accepted: invalid, or `homeassistant_api` is missing in config.yaml.
    #[error("Home Assistant refuses the token ({0})")]
    TokenRefused(String),
    /// The TLS client cannot be configured.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// Opens and authenticates a connection. Also returns Core's version.
///
/// # Errors
/// Any [`DialError`].
pub(super) async fn dial(address: &HomeAddress) -> Result<(CoreSocket, String), DialError> {
    match tokio::time::timeout(CONNECT_TIMEOUT, Box::pin(open(address))).await {
        Ok(opened) => opened,
        Err(_) => Err(DialError::Timeout),
    }
}

async fn open(address: &HomeAddress) -> Result<(CoreSocket, String), DialError> {
    let stream = connect_stream(address).await?;
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    let (mut socket, _) = client_async_with_config(address.url(), stream, Some(limits)).await?;
    let version = authenticate(&mut socket, address).await?;
    Ok((socket, version))
}

async fn connect_stream(address: &HomeAddress) -> Result<Box<dyn CoreStream>, DialError> {
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

async fn authenticate(socket: &mut CoreSocket, address: &HomeAddress) -> Result<String, DialError> {
    loop {
        let text = match socket.next().await {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(_))) | None => return Err(DialError::ConnectionClosed),
            Some(Ok(_)) => continue,
            Some(Err(error)) => return Err(error.into()),
        };
        let messages = message::parse_frame(&text).map_err(|_| DialError::NotHomeAssistant)?;
        let message = messages
            .into_iter()
            .next()
            .ok_or(DialError::NotHomeAssistant)?;
        match &*message.message_type {
            "auth_required" => {
                let auth = json!({ "type": "auth", "access_token": address.token.expose() });
                socket.send(Message::text(auth.to_string())).await?;
            }
            "auth_ok" => {
                return Ok(message::single_line(
                    &message.ha_version.unwrap_or_default(),
                ));
            }
            "auth_invalid" => {
                let reason = message.message.unwrap_or_default();
                return Err(DialError::TokenRefused(message::single_line(&reason)));
            }
            _ => return Err(DialError::NotHomeAssistant),
        }
    }
}
