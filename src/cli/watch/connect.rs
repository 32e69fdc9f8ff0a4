//! Opens one connection: TCP, verified TLS, and the WebSocket handshake with the token in a header.
//! Does not retry.

use std::{io, path::Path, sync::Arc, time::Duration};

use hyper::{StatusCode, header};
use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error as WsError, client::IntoClientRequest, http},
};

use super::address::{LastPosition, ServerAddress};
use crate::cli::{CliError, output};

/// A TCP or TLS stream.
pub(super) trait ServerStream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> ServerStream for T {}

pub(super) type ServerSocket = WebSocketStream<Box<dyn ServerStream>>;

/// What all connections of one `watch` share.
pub(super) struct Connector {
    address: ServerAddress,
    token: header::HeaderValue,
    tls: TlsConnector,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("{authority} cannot be reached: {cause}")]
    Unreachable { authority: String, cause: String },
    #[error(
        "the certificate of {authority} is not trusted ({cause}); on a network you trust, download its authority once with \
         `curl -k https://{authority}/ca.crt -o wallcast-ca.crt` and pass --ca wallcast-ca.crt"
    )]
    Untrusted { authority: String, cause: String },
    #[error(
        "the certificate of {authority} is for other names; use one of its names, or add this one to tls_names"
    )]
    OtherNames { authority: String },
    #[error("refused by {authority}: {}", refusal_text(*status, text))]
    Refused {
        authority: String,
        status: StatusCode,
        text: String,
    },
}

/// Time limit for connecting, handshakes included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

impl Connector {
    /// Trusts the system's authorities and those in the file `ca`.
    pub(super) fn new(
        address: ServerAddress,
        token: header::HeaderValue,
        ca: Option<&Path>,
    ) -> Result<Self, CliError> {
        let is_local = ["localhost", "127.0.0.1", "::1"].contains(&address.host.as_str());
        if !address.is_secure && !is_local {
            output::note(&format!(
                "warning: the token is sent to {} unencrypted",
                address.authority()
            ));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| CliError::Failed(format!("TLS cannot be set up: {error}")))?
            .with_root_certificates(roots(ca)?)
            .with_no_client_auth();
        Ok(Self {
            address,
            token,
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    pub(super) fn address(&self) -> &ServerAddress {
        &self.address
    }

    /// Opens one connection that resumes at the position.
    pub(super) async fn connect(
        &self,
        position: &LastPosition,
    ) -> Result<ServerSocket, ConnectError> {
        match tokio::time::timeout(CONNECT_TIMEOUT, self.open(position)).await {
            Ok(opened) => opened,
            Err(_) => {
                Err(self.unreachable(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())))
            }
        }
    }

    async fn open(&self, position: &LastPosition) -> Result<ServerSocket, ConnectError> {
        let url = self.address.url(position);
        let mut request = url
            .into_client_request()
            .map_err(|error| self.unreachable(error))?;
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, self.token.clone());
        let stream = self.connect_stream().await?;
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(socket),
            Err(WsError::Http(response)) => Err(self.refused(&response)),
            Err(error) => Err(self.unreachable(error)),
        }
    }

    async fn connect_stream(&self) -> Result<Box<dyn ServerStream>, ConnectError> {
        let host = self.address.host.as_str();
        let tcp = TcpStream::connect((host, self.address.port))
            .await
            .map_err(|error| self.unreachable(error))?;
        if !self.address.is_secure {
            return Ok(Box::new(tcp));
        }
        let name =
            ServerName::try_from(host.to_owned()).map_err(|error| self.unreachable(error))?;
        let tls = self.tls.connect(name, tcp).await;
        let tls = tls.map_err(|error| self.tls_error(&error))?;
        Ok(Box::new(tls))
    }

    fn unreachable(&self, cause: impl ToString) -> ConnectError {
        ConnectError::Unreachable {
            authority: self.address.authority(),
            cause: cause.to_string(),
        }
    }

    fn tls_error(&self, error: &io::Error) -> ConnectError {
        let authority = self.address.authority();
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        match inner {
            Some(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => ConnectError::OtherNames { authority },
            Some(rustls::Error::InvalidCertificate(cause)) => ConnectError::Untrusted {
                authority,
                cause: cause.to_string(),
            },
            _ => self.unreachable(error),
        }
    }

    fn refused(&self, response: &http::Response<Option<Vec<u8>>>) -> ConnectError {
        let body = response.body().as_deref().unwrap_or_default();
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = body.get("error").and_then(Value::as_str);
        ConnectError::Refused {
            authority: self.address.authority(),
            status: response.status(),
            text: text.unwrap_or_default().to_owned(),
        }
    }
}

impl ConnectError {
    /// Whether a later attempt may succeed: the server is unreachable or overloaded, rather than
    /// refusing.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Untrusted { .. } | Self::OtherNames { .. } => false,
            Self::Refused { status, .. } => status.is_server_error(),
        }
    }
}

fn refusal_text(status: StatusCode, text: &str) -> String {
    let meaning = match status {
        StatusCode::UNAUTHORIZED => "the token is not accepted",
        StatusCode::FORBIDDEN => "this token may not connect there",
        StatusCode::NOT_FOUND => "no Wallcast listens at this path",
        StatusCode::TOO_MANY_REQUESTS => "too many connections from this address; wait a minute",
        StatusCode::SERVICE_UNAVAILABLE => "it cannot take more connections now",
        _ => "it does not speak WebSocket there",
    };
    let code = status.as_u16();
    match text {
        "" => format!("{meaning} ({code})"),
        text => format!("{meaning} ({code}: {text})"),
    }
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, CliError> {
    let mut roots = RootCertStore::empty();
    // Errors are ignored: on a system without authorities, only `ca` is trusted.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let Some(path) = ca else {
        return Ok(roots);
    };
    let invalid = |cause: &dyn std::fmt::Display| {
        CliError::Usage(format!("--ca {}: {cause}", path.display()))
    };
    let bytes = std::fs::read(path).map_err(|error| invalid(&error))?;
    let certificates: Vec<CertificateDer<'static>> = if bytes.starts_with(b"\x30") {
        vec![CertificateDer::from(bytes)]
    } else {
        let pem = CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>();
        pem.map_err(|error| invalid(&error))?
    };
    if certificates.is_empty() {
        return Err(invalid(&"it contains no certificate"));
    }
    for certificate in certificates {
        roots.add(certificate).map_err(|error| invalid(&error))?;
    }
    Ok(roots)
}
