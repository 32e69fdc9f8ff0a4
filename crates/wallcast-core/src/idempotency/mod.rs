//! `Idempotency-Key`: a write that is sent again has one effect and gets the first response again
//! (`docs/protocol.md#idempotency`).
//!
//! The response is stored in the transaction of the effect, so a crash keeps both or neither. Requests in progress are
//! tracked in memory only. Neither errors, which changed nothing, nor responses with a secret are stored.

mod rows;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::auth::Subject;
use crate::clock::Timestamp;
use crate::store::{Store, StoreError, WriteTx};

/// How long a response is stored.
pub const LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest key, in bytes.
const MAX_KEY: usize = 255;

/// A SHA-256 digest.
type Hash = [u8; 32];

/// Identifies a request that must have one effect.
#[derive(Clone, Debug)]
pub struct Key {
    /// Hash of the principal, the method, the path and the `Idempotency-Key` header.
    scope: Hash,
    /// Hash of the body.
    request: Hash,
}

/// The header is not a valid key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Idempotency-Key must be 1 to {MAX_KEY} visible ASCII characters")]
pub struct InvalidKey;

impl Key {
    /// Builds the key of a request from its principal, method, path, `Idempotency-Key` header and body.
    ///
    /// # Errors
    /// [`InvalidKey`] unless `value` is 1 to 255 visible ASCII characters.
    pub fn new(
        subject: &Subject,
        method: &str,
        path: &str,
        value: &[u8],
        body: &[u8],
    ) -> Result<Self, InvalidKey> {
        let fits = (1..=MAX_KEY).contains(&value.len());
        if !fits || !value.iter().all(u8::is_ascii_graphic) {
            return Err(InvalidKey);
        }
        // None of the parts can contain NUL, which separates them.
        let subject = subject.to_string();
        let scope = [
            subject.as_bytes(),
            method.as_bytes(),
            path.as_bytes(),
            value,
        ]
        .join(&0);
        Ok(Self {
            scope: hash_of(&scope),
            request: hash_of(body),
        })
    }
}

fn hash_of(bytes: &[u8]) -> Hash {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}

/// A successful response as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResponse {
    /// The HTTP status, 2xx.
    pub status: u16,
    /// The body: JSON, or empty.
    pub body: Vec<u8>,
}

/// The keys of requests in progress. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<Mutex<HashSet<Hash>>>);

/// Whether a request with a key is the first or a repetition.
#[derive(Debug)]
pub enum Attempt {
    /// The first: its write must store the response with this claim.
    First(Claim),
    /// A repetition: send this response again.
    Repeat(StoredResponse),
}

/// Why a request with a key cannot be processed.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The first request is still in progress.
    #[error("A request with this Idempotency-Key is in progress; retry in a moment")]
    InFlight,
    /// The key was used with another body before.
    #[error("This Idempotency-Key was used with another body; use a new key for a new request")]
    Reused,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The exclusive right to process a key. Dropping it releases the key.
#[derive(Debug)]
pub struct Claim {
    key: Key,
    in_flight: InFlight,
    is_stored: AtomicBool,
}

impl InFlight {
    /// Claims the key, or returns the response if the request was answered within [`LIFE`].
    ///
    /// # Errors
    /// [`BeginError`] if the first request is in progress, the key was used with another body, or the store fails.
    pub async fn begin(&self, store: &Store, key: Key) -> Result<Attempt, BeginError> {
        // Claim before the lookup: a request in progress may store its response at any moment.
        let claim = self.claim(key.clone()).ok_or(BeginError::InFlight)?;
        let since = since(Timestamp::now());
        let found = store
            .read(move |db| Ok::<_, StoreError>(rows::find(db, &key.scope, since)?))
            .await?;
        match found {
            None => Ok(Attempt::First(claim)),
            Some((request, response)) if request == claim.key.request => {
                Ok(Attempt::Repeat(response))
            }
            Some(_) => Err(BeginError::Reused),
        }
    }

    fn claim(&self, key: Key) -> Option<Claim> {
        let is_first = self.scopes().insert(key.scope);
        is_first.then(|| Claim {
            key,
            in_flight: self.clone(),
            is_stored: AtomicBool::new(false),
        })
    }

    fn scopes(&self) -> std::sync::MutexGuard<'_, HashSet<Hash>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// Stores the response in the transaction of its effect.
    ///
    /// # Errors
    /// If the database fails.
    pub fn store(&self, tx: &WriteTx<'_>, response: &StoredResponse) -> rusqlite::Result<()> {
        rows::insert(tx.connection(), &self.key, response, tx.now())?;
        self.is_stored.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether [`Claim::store`] was called successfully. The transaction may not be committed yet.
    pub fn is_stored(&self) -> bool {
        self.is_stored.load(Ordering::Relaxed)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.in_flight.scopes().remove(&self.key.scope);
    }
}

/// Deletes at most `at_most` responses older than `before`. Returns how many were deleted.
///
/// # Errors
/// If the database fails.
pub fn delete_before(
    tx: &mut WriteTx<'_>,
    before: Timestamp,
    at_most: usize,
) -> rusqlite::Result<usize> {
    rows::delete_before(tx.connection(), before, at_most)
}

/// Responses stored after this moment are still valid.
fn since(now: Timestamp) -> Timestamp {
    let life = i64::try_from(LIFE.as_secs()).unwrap_or(i64::MAX);
    now.plus_seconds(-life)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Hub;
    use crate::store::DataFolder;

    fn key(path: &str, value: &str, body: &str) -> Key {
        let admin = Subject::Admin("root".parse().unwrap());
        Key::new(&admin, "POST", path, value.as_bytes(), body.as_bytes()).unwrap()
    }

    struct TestStore {
        _directory: tempfile::TempDir,
        _folder_lock: DataFolder,
        store: Store,
        in_flight: InFlight,
    }

    impl TestStore {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let data = DataFolder::claim(folder.path()).unwrap();
            Self {
                store: Store::open(&data, Arc::new(Hub::new())).unwrap(),
                _directory: folder,
                _folder_lock: data,
                in_flight: InFlight::default(),
            }
        }

        async fn begin(&self, key: &Key) -> Result<Attempt, BeginError> {
            self.in_flight.begin(&self.store, key.clone()).await
        }

        async fn first(&self, key: &Key) -> Claim {
            match self.begin(key).await {
                Ok(Attempt::First(claim)) => claim,
                other => panic!("not the first: {other:?}"),
            }
        }

        /// Stores this body in a transaction, which fails if `fails`.
        async fn store_response(&self, claim: Claim, body: &str, fails: bool) {
            let body = body.as_bytes().to_vec();
            let response = self.store.write(move |tx| {
                claim.store(tx, &StoredResponse { status: 201, body })?;
                assert!(claim.is_stored());
                if fails {
                    return Err(StoreError::Panicked);
                }
                Ok(())
            });
            assert_eq!(response.await.is_err(), fails);
        }

        async fn repeated(&self, key: &Key) -> String {
            match self.begin(key).await {
                Ok(Attempt::Repeat(response)) => String::from_utf8(response.body).unwrap(),
                other => panic!("not a repetition: {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn key_is_in_flight_until_claim_drops_then_repeats() {
        let store = TestStore::new();
        let (one, other) = (key("/a", "k", "{}"), key("/a", "k", "{ }"));
        let claim = store.first(&one).await;
        assert!(matches!(store.begin(&one).await, Err(BeginError::InFlight)));
        assert!(matches!(
            store.begin(&other).await,
            Err(BeginError::InFlight)
        ));
        store.store_response(claim, "made", false).await;
        assert_eq!(store.repeated(&one).await, "made");
        assert_eq!(
            store.repeated(&one).await,
            "made",
            "a repetition claims nothing"
        );
        assert!(matches!(store.begin(&other).await, Err(BeginError::Reused)));
        store.first(&key("/b", "k", "{}")).await;
        store.first(&key("/a", "l", "{}")).await;
    }

    #[tokio::test]
    async fn rolled_back_response_is_not_stored() {
        let store = TestStore::new();
        let one = key("/a", "k", "{}");
        let claim = store.first(&one).await;
        store.store_response(claim, "made", true).await;
        drop(store.first(&one).await);
        let other = key("/a", "k", "other");
        let claim = store.first(&other).await;
        store.store_response(claim, "made later", false).await;
        assert_eq!(store.repeated(&other).await, "made later");
    }

    #[tokio::test]
    async fn response_older_than_a_day_is_replaced() {
        let store = TestStore::new();
        let (one, later) = (key("/a", "k", "{}"), key("/a", "k", "later"));
        let claim = store.first(&one).await;
        store.store_response(claim, "made", false).await;
        let advance = async |ms: i64| {
            let update = store.store.write(move |tx| {
                let sql = "UPDATE answers SET created_at = created_at - ?1";
                Ok::<_, StoreError>(tx.connection().execute(sql, [ms])?)
            });
            update.await.unwrap();
        };
        advance(86_400_000 - 60_000).await;
        assert_eq!(store.repeated(&one).await, "made");
        advance(60_000).await;
        let claim = store.first(&later).await;
        store.store_response(claim, "made anew", false).await;
        assert_eq!(store.repeated(&later).await, "made anew");
        let forgotten = store
            .store
            .write(|tx| Ok::<_, StoreError>(delete_before(tx, tx.now().plus_seconds(1), 500)?));
        assert_eq!(forgotten.await.unwrap(), 1);
        store.first(&one).await;
    }

    #[test]
    fn key_requires_visible_ascii_and_has_unique_scope() {
        let admin = Subject::Admin("a".parse().unwrap());
        let user = Subject::User("a".parse().unwrap());
        let key = |subject, method, path, value: &str| {
            Key::new(subject, method, path, value.as_bytes(), b"")
        };
        for wrong in ["", " ", "a b", "é", "a\t", &"k".repeat(256)] {
            assert_eq!(key(&admin, "PUT", "/", wrong).unwrap_err(), InvalidKey);
        }
        let scopes: HashSet<Hash> = [
            key(&admin, "PUT", "/a", "~!"),
            key(&user, "PUT", "/a", "~!"),
            key(&admin, "POST", "/a", "~!"),
            key(&admin, "PUT", "/a/", "~!"),
            key(&admin, "PUT", "/", "a~!"),
            key(&admin, "PUT", "/a", &"k".repeat(255)),
        ]
        .map(|key| key.unwrap().scope)
        .into();
        assert_eq!(scopes.len(), 6);
    }
}
