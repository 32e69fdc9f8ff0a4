//! `Idempotency-Key` (contract section 6): a write that is sent again has one effect and one answer.
//!
//! An answer is kept by the transaction that makes its effect, so a crash keeps both or neither.
//! Only that a request is under way is known in memory. Never keeps a refusal, which changed
//! nothing, nor an answer that holds a secret.

mod rows;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::auth::Subject;
use crate::clock::Timestamp;
use crate::store::{Store, StoreError, WriteTx};

/// How long an answer is kept (contract section 6).
pub const LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest key, in bytes.
const MAX_KEY: usize = 255;

/// SHA-256.
type Hash = [u8; 32];

/// A request that is to have one effect.
#[derive(Clone, Debug)]
pub struct Key {
    /// Of principal, method, path and the caller's key.
    scope: Hash,
    /// Of the body.
    request: Hash,
}

/// A header that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Idempotency-Key must be 1 to {MAX_KEY} visible ASCII characters")]
pub struct InvalidKey;

impl Key {
    /// The key of a request: who asks, what, and the header's value.
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
        // None of the parts can hold the byte between them.
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

/// An answer as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The HTTP status, a success.
    pub status: u16,
    /// The body: JSON, or nothing.
    pub body: Vec<u8>,
}

/// The requests that are under way. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<Mutex<HashSet<Hash>>>);

/// How a request with a key goes on.
#[derive(Debug)]
pub enum Begun {
    /// It is the first: its write keeps the answer in this claim.
    First(Claim),
    /// It was answered before: the same again.
    Again(Kept),
}

/// Why a request with a key is not acted on.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The same request has not been answered yet.
    #[error("A request with this Idempotency-Key is under way; ask again in a moment")]
    InFlight,
    /// The key came with another body before.
    #[error("This Idempotency-Key was used for another body; draw a new one for a new request")]
    Reused,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The right to act on a key, as long as it is held.
#[derive(Debug)]
pub struct Claim {
    key: Key,
    in_flight: InFlight,
    is_kept: AtomicBool,
}

impl InFlight {
    /// Begins a request, unless it is under way or was answered within [`LIFE`].
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn begin(&self, store: &Store, key: Key) -> Result<Begun, Refused> {
        // Claimed before it is looked up: what is under way may be kept at any moment.
        let claim = self.claim(key.clone()).ok_or(Refused::InFlight)?;
        let since = since(Timestamp::now());
        let found = store
            .read(move |db| Ok::<_, StoreError>(rows::find(db, &key.scope, since)?))
            .await?;
        match found {
            None => Ok(Begun::First(claim)),
            Some((request, kept)) if request == claim.key.request => Ok(Begun::Again(kept)),
            Some(_) => Err(Refused::Reused),
        }
    }

    fn claim(&self, key: Key) -> Option<Claim> {
        let is_first = self.scopes().insert(key.scope);
        is_first.then(|| Claim {
            key,
            in_flight: self.clone(),
            is_kept: AtomicBool::new(false),
        })
    }

    fn scopes(&self) -> std::sync::MutexGuard<'_, HashSet<Hash>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// Keeps the answer with the effect of its transaction.
    ///
    /// # Errors
    /// SQLite's.
    pub fn keep(&self, tx: &WriteTx<'_>, kept: &Kept) -> rusqlite::Result<()> {
        rows::insert(tx.connection(), &self.key, kept, tx.now())?;
        self.is_kept.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether a transaction has taken the answer.
    pub fn is_kept(&self) -> bool {
        self.is_kept.load(Ordering::Relaxed)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.in_flight.scopes().remove(&self.key.scope);
    }
}

/// Forgets at most `at_most` answers from before then, and says how many.
///
/// # Errors
/// SQLite's.
pub fn forget(tx: &mut WriteTx<'_>, before: Timestamp, at_most: usize) -> rusqlite::Result<usize> {
    rows::forget(tx.connection(), before, at_most)
}

/// Since when answers count.
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

    struct House {
        _folder: tempfile::TempDir,
        _held: DataFolder,
        store: Store,
        in_flight: InFlight,
    }

    impl House {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let held = DataFolder::claim(folder.path()).unwrap();
            Self {
                store: Store::open(&held, Arc::new(Hub::new())).unwrap(),
                _folder: folder,
                _held: held,
                in_flight: InFlight::default(),
            }
        }

        async fn begin(&self, key: &Key) -> Result<Begun, Refused> {
            self.in_flight.begin(&self.store, key.clone()).await
        }

        async fn first(&self, key: &Key) -> Claim {
            match self.begin(key).await {
                Ok(Begun::First(claim)) => claim,
                other => panic!("not the first: {other:?}"),
            }
        }

        /// Keeps this body, unless the change around it fails.
        async fn keep(&self, claim: Claim, body: &str, fails: bool) {
            let body = body.as_bytes().to_vec();
            let kept = self.store.write(move |tx| {
                claim.keep(tx, &Kept { status: 201, body })?;
                assert!(claim.is_kept());
                if fails {
                    return Err(StoreError::Panicked);
                }
                Ok(())
            });
            assert_eq!(kept.await.is_err(), fails);
        }

        async fn again(&self, key: &Key) -> String {
            match self.begin(key).await {
                Ok(Begun::Again(kept)) => String::from_utf8(kept.body).unwrap(),
                other => panic!("not answered before: {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_key_is_in_flight_until_its_claim_is_dropped_and_then_answered_as_before() {
        let house = House::new();
        let (one, other) = (key("/a", "k", "{}"), key("/a", "k", "{ }"));
        let claim = house.first(&one).await;
        assert!(matches!(house.begin(&one).await, Err(Refused::InFlight)));
        assert!(matches!(house.begin(&other).await, Err(Refused::InFlight)));
        house.keep(claim, "made", false).await;
        assert_eq!(house.again(&one).await, "made");
        assert_eq!(house.again(&one).await, "made", "asking claims nothing");
        assert!(matches!(house.begin(&other).await, Err(Refused::Reused)));
        house.first(&key("/b", "k", "{}")).await;
        house.first(&key("/a", "l", "{}")).await;
    }

    #[tokio::test]
    async fn what_was_rolled_back_was_not_answered() {
        let house = House::new();
        let one = key("/a", "k", "{}");
        let claim = house.first(&one).await;
        house.keep(claim, "made", true).await;
        drop(house.first(&one).await);
        let other = key("/a", "k", "other");
        let claim = house.first(&other).await;
        house.keep(claim, "made later", false).await;
        assert_eq!(house.again(&other).await, "made later");
    }

    #[tokio::test]
    async fn an_answer_counts_for_a_day_and_then_makes_room() {
        let house = House::new();
        let (one, later) = (key("/a", "k", "{}"), key("/a", "k", "later"));
        let claim = house.first(&one).await;
        house.keep(claim, "made", false).await;
        let age = async |ms: i64| {
            let aged = house.store.write(move |tx| {
                let sql = "UPDATE answers SET created_at = created_at - ?1";
                Ok::<_, StoreError>(tx.connection().execute(sql, [ms])?)
            });
            aged.await.unwrap();
        };
        age(86_400_000 - 60_000).await;
        assert_eq!(house.again(&one).await, "made");
        age(60_000).await;
        let claim = house.first(&later).await;
        house.keep(claim, "made anew", false).await;
        assert_eq!(house.again(&later).await, "made anew");
        let forgotten = house
            .store
            .write(|tx| Ok::<_, StoreError>(forget(tx, tx.now().plus_seconds(1), 500)?));
        assert_eq!(forgotten.await.unwrap(), 1);
        house.first(&one).await;
    }

    #[test]
    fn a_key_is_visible_ascii_and_its_scope_is_no_other() {
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
