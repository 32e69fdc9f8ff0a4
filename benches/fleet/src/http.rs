//! A keep-alive HTTP client over TLS. It does not verify certificates, because the benchmark measures only costs.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Outcome;

/// The tablets' TLS: version 1.3, with full handshakes.
pub static TLS: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| tls(None));

/// TLS 1.3 that resumes sessions of up to this many servers, or always makes full handshakes.
pub fn tls(sessions: Option<usize>) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(NoVerification))
        .with_no_client_auth();
    config.resumption = match sessions {
        Some(servers) => Resumption::in_memory_sessions(servers),
        None => Resumption::disabled(),
    };
    Arc::new(config)
}

pub async fn connect(
    tls: &Arc<ClientConfig>,
    address: SocketAddr,
) -> Outcome<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from("localhost")?;
    Ok(TlsConnector::from(tls.clone()).connect(name, tcp).await?)
}

pub struct Http {
    sender: SendRequest<Full<Bytes>>,
    bearer: Option<String>,
}

impl Http {
    pub async fn open(address: SocketAddr, token: Option<&str>) -> Outcome<Self> {
        let stream = TokioIo::new(connect(&TLS, address).await?);
        let (sender, connection) = http1::handshake(stream).await?;
        tokio::spawn(connection);
        Ok(Self {
            sender,
            bearer: token.map(|token| format!("Bearer {token}")),
        })
    }

    /// Sends JSON with POST. Fails unless the status is a success.
    pub async fn post(&mut self, path: &str, body: &Value) -> Outcome<Value> {
        self.send(Method::POST, path, body).await
    }

    /// Sends JSON with PUT. Fails unless the status is a success.
    pub async fn put(&mut self, path: &str, body: &Value) -> Outcome<Value> {
        self.send(Method::PUT, path, body).await
    }

    async fn send(&mut self, method: Method, path: &str, body: &Value) -> Outcome<Value> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json");
        if let Some(bearer) = &self.bearer {
            request = request.header("authorization", bearer);
        }
        let body = Full::new(Bytes::from(body.to_string()));
        self.sender.ready().await?;
        let response = self.sender.send_request(request.body(body)?).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            return Err(format!("{path}: {status} {}", String::from_utf8_lossy(&body)).into());
        }
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }
}

/// Accepts any certificate.
#[derive(Debug)]
struct NoVerification;

impl ServerCertVerifier for NoVerification {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
