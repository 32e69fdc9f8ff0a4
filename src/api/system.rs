//! `GET /api/house`: version, address and certificate of this server, for admins.

use std::sync::Arc;

use local_tls::CertificateSource;
use serde_json::json;
use wallcast_core::clock::Timestamp;

use crate::app::App;
use crate::http::{ApiError, ListenerKind, Reply, Request};

/// `{version, epoch, publicUrl, isIngress, certificate: {origin, fingerprint, expiresAt,
/// authority}}`. `publicUrl` is where clients reach the public listener. `origin` is `local` or
/// `files`. `authority` is `{fingerprint}` of the CA in `GET /ca.crt`, or `null` if there is none.
pub(super) async fn server_info(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let served = app.certificates.served();
    let authority = app.certificates.authority();
    let expires_at = served
        .not_after
        .and_then(|at| i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok())
        .map(Timestamp::from_unix_ms);
    Ok(Reply::ok(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "epoch": app.store.epoch().as_str(),
        "publicUrl": app.public_url(&request),
        "isIngress": request.peer().listener == ListenerKind::Ingress,
        "certificate": {
            "origin": match served.source {
                CertificateSource::Files => "files",
                CertificateSource::Local => "local",
            },
            "fingerprint": served.fingerprint.to_string(),
            "expiresAt": expires_at,
            "authority": authority.map(|ca| json!({ "fingerprint": ca.fingerprint.to_string() })),
        },
    })))
}
