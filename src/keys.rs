//! The keys that the database keeps: the tokens' signing key, the local CA and its leaf
//! certificate.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use local_tls::{HostSource, Machine, StoredCertificate, StoredCertificates};
use wallcast_core::auth::KEY_BYTES;
use wallcast_core::random;
use wallcast_core::store::{Store, StoreError, settings};

use crate::config::Config;
use crate::supervisor::{Supervisor, SupervisorError, SupervisorToken};

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The stored signing key has the wrong length. A new one would invalidate every token.
    #[error("the signing key in the database is damaged; restore the database from a backup")]
    SigningKey,
    /// An invalid name in the option `tls_names`.
    #[error("tls_names: {0}")]
    Name(#[from] local_tls::NameError),
    /// The option `supervisor_url` is invalid.
    #[error("supervisor_url cannot be used: {0}")]
    Supervisor(#[from] SupervisorError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl KeyError {
    /// Whether an option has to be changed.
    pub fn is_option(&self) -> bool {
        matches!(self, Self::Name(_) | Self::Supervisor(_))
    }
}

/// The key that signs all tokens; created at the first start.
pub(crate) async fn signing_key(store: &Store) -> Result<[u8; KEY_BYTES], KeyError> {
    let stored = store
        .read(|db| Ok::<_, StoreError>(settings::get(db, "signing_key")?))
        .await?;
    if let Some(bytes) = stored {
        return bytes.try_into().map_err(|_| KeyError::SigningKey);
    }
    let key = random::bytes::<KEY_BYTES>();
    store
        .write(move |tx| Ok::<_, StoreError>(settings::set(tx.connection(), "signing_key", &key)?))
        .await?;
    Ok(key)
}

/// Collects what decides which certificate is served: the options and the stored certificates.
///
/// # Errors
/// Fails if an option is invalid or the store cannot be read.
pub(crate) async fn certificate_setup(
    config: &Config,
    store: &Store,
) -> Result<local_tls::Setup, KeyError> {
    let host: Arc<dyn HostSource> = match &config.supervisor_token {
        Some(token) => {
            let token = SupervisorToken::new(token.expose());
            Arc::new(Supervisor::new(&config.supervisor_url.to_string(), &token)?)
        }
        None => Arc::new(Machine),
    };
    let names = config
        .tls_names
        .iter()
        .map(|name| local_tls::AltName::parse(&name.to_str()))
        .collect::<Result<Vec<_>, _>>()?;
    let stored = store
        .read(|db| Ok::<_, StoreError>(stored_certificates(db)?))
        .await?;
    Ok(local_tls::Setup {
        certfile: config
            .certificate
            .as_ref()
            .map(|files| files.certfile.clone())
            .unwrap_or_default(),
        keyfile: config
            .certificate
            .as_ref()
            .map(|files| files.keyfile.clone())
            .unwrap_or_default(),
        tls_names: names,
        host,
        stored,
        store: Arc::new(DatabaseCertificateStore(store.clone())),
        clock: Arc::new(time::OffsetDateTime::now_utc),
    })
}

const AUTHORITY: (&str, &str) = ("authority_cert", "authority_key");
const LEAF: (&str, &str) = ("leaf_cert", "leaf_key");

fn stored_certificates(db: &rusqlite::Connection) -> rusqlite::Result<Option<StoredCertificates>> {
    let pair = |(cert, key): (&str, &str)| -> rusqlite::Result<Option<StoredCertificate>> {
        let both = settings::get(db, cert)?.zip(settings::get(db, key)?);
        Ok(both.map(|(cert, key)| StoredCertificate { cert, key }))
    };
    Ok(pair(AUTHORITY)?
        .zip(pair(LEAF)?)
        .map(|(authority, leaf)| StoredCertificates { authority, leaf }))
}

/// Stores the local CA and its leaf certificate in the database.
struct DatabaseCertificateStore(Store);

impl local_tls::CertificateStore for DatabaseCertificateStore {
    fn save(
        &self,
        certificates: StoredCertificates,
    ) -> BoxFuture<'_, Result<(), local_tls::SaveError>> {
        Box::pin(async move {
            self.0
                .write(move |tx| {
                    for ((cert, key), pair) in [
                        (AUTHORITY, &certificates.authority),
                        (LEAF, &certificates.leaf),
                    ] {
                        settings::set(tx.connection(), cert, &pair.cert)?;
                        settings::set(tx.connection(), key, &pair.key)?;
                    }
                    Ok::<_, StoreError>(())
                })
                .await
                .map_err(Into::into)
        })
    }
}
