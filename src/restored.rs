//! The first start after a restore: the admin is told which tokens stand again, in the audit and in
//! the log (contract section 9). It ends no token: which of them are wanted is the admin's to say.

use crate::tokens::{self, Standing};
use wallcast_core::audit::{self, Actor};
use wallcast_core::clock::Timestamp;
use wallcast_core::store::mark::{self, Restored};
use wallcast_core::store::{Store, StoreError};

/// Tokens that are named at most, each a line in the log; `wallcast token list` has them all.
const NAMED: usize = 100;

/// Tells of a restore that nobody was told of yet. Killed in between, it tells at the next start.
///
/// # Errors
/// The store's.
pub(crate) async fn tell(store: &Store) -> Result<(), StoreError> {
    let look = |db: &rusqlite::Connection| match mark::restored(db)? {
        Some(restored) => {
            let standing = tokens::standing(db, Timestamp::now())?;
            Ok::<_, StoreError>(Some((restored, standing)))
        }
        None => Ok(None),
    };
    let Some((restored, standing)) = store.read(look).await? else {
        return Ok(());
    };
    warn(&restored, &standing);
    let text = detail(&restored, &standing);
    store
        .write(move |tx| {
            let actor = Actor {
                who: "system:restore".to_owned(),
                address: "local".to_owned(),
            };
            audit::record(tx, &actor, "house_restored", None, &text)?;
            mark::forget_restored(tx.connection())?;
            Ok(())
        })
        .await
}

fn warn(restored: &Restored, standing: &[Standing]) {
    tracing::warn!(
        snapshot = restored.made_at,
        old_epoch = restored.old_epoch,
        new_epoch = restored.new_epoch,
        tokens = standing.len(),
        "the house was restored from a snapshot: revoke the tokens that shall not stand again"
    );
    for token in standing.iter().take(NAMED) {
        tracing::warn!(
            jti = %token.jti,
            role = token.role,
            subject = token.subject,
            name = token.name,
            expires = %token.expires_at,
            "a token stands again"
        );
    }
    if standing.len() > NAMED {
        tracing::warn!("more tokens stand again: see wallcast token list");
    }
}

fn detail(restored: &Restored, standing: &[Standing]) -> String {
    let mut text = format!(
        "snapshot of {}, epoch {} became {}; tokens that stand again: {}",
        restored.made_at,
        restored.old_epoch,
        restored.new_epoch,
        standing.len()
    );
    for token in standing.iter().take(NAMED) {
        let Standing {
            jti,
            role,
            subject,
            name,
            ..
        } = token;
        text.push_str(&format!("; {jti} {name:?} {role}:{subject}"));
    }
    if standing.len() > NAMED {
        text.push_str("; and more");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audit_names_a_bounded_number_of_tokens() {
        let restored = Restored {
            made_at: "2026-01-01T00:00:00.000Z".to_owned(),
            old_epoch: "old".to_owned(),
            new_epoch: "new".to_owned(),
        };
        let token = Standing {
            jti: wallcast_core::ids::Jti::random(),
            role: "client".to_owned(),
            subject: "client_1".to_owned(),
            name: "Wall \"1\"".to_owned(),
            expires_at: Timestamp::now(),
        };
        let jti = token.jti.clone();
        let one = detail(&restored, std::slice::from_ref(&token));
        assert!(one.contains("epoch old became new") && one.contains("again: 1;"));
        assert!(one.ends_with(&format!("; {jti} \"Wall \\\"1\\\"\" client:client_1")));
        let many = detail(&restored, &vec![token; NAMED + 1]);
        assert_eq!(many.matches(jti.as_str()).count(), NAMED);
        assert!(many.contains("again: 101;") && many.ends_with("and more"));
    }
}
