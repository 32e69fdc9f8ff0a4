//! After a restore, writes to the log and the audit log which tokens are valid again
//! (`docs/protocol.md#backup-and-restore`). Revokes none: the admin decides which are still wanted.

use wallcast_core::audit::{self, Actor};
use wallcast_core::clock::Timestamp;
use wallcast_core::store::snapshot_mark::{self, RestoreNotice};
use wallcast_core::store::{Store, StoreError};

use crate::tokens::{self, ActiveToken};

/// Maximum tokens listed; `wallcast token list` shows all.
const MAX_LISTED: usize = 100;

/// Reports a restore that has not been reported yet. If the process is killed meanwhile, the next
/// start reports it again.
///
/// # Errors
/// Fails if the store cannot be read or written.
pub(crate) async fn report(store: &Store) -> Result<(), StoreError> {
    let unreported = |db: &rusqlite::Connection| match snapshot_mark::restore_notice(db)? {
        Some(restored) => {
            let valid = tokens::active(db, Timestamp::now())?;
            Ok::<_, StoreError>(Some((restored, valid)))
        }
        None => Ok(None),
    };
    let Some((restored, valid)) = store.read(unreported).await? else {
        return Ok(());
    };
    log_restore(&restored, &valid);
    let text = audit_detail(&restored, &valid);
    store
        .write(move |tx| {
            let actor = Actor {
                principal: "system:restore".to_owned(),
                address: "local".to_owned(),
            };
            audit::record(tx, &actor, "house_restored", None, &text)?;
            snapshot_mark::clear_restore_notice(tx.connection())?;
            Ok(())
        })
        .await
}

fn log_restore(restored: &RestoreNotice, tokens: &[ActiveToken]) {
    tracing::warn!(
        snapshot = restored.made_at,
        old_epoch = restored.old_epoch,
        new_epoch = restored.new_epoch,
        tokens = tokens.len(),
        "instance restored from a backup: revoke the tokens that should not be valid again"
    );
    for token in tokens.iter().take(MAX_LISTED) {
        tracing::warn!(
            jti = %token.jti,
            role = token.role,
            subject = token.subject,
            name = token.name,
            expires = %token.expires_at,
            "token valid again"
        );
    }
    if tokens.len() > MAX_LISTED {
        tracing::warn!("more tokens are valid again: see wallcast token list");
    }
}

fn audit_detail(restored: &RestoreNotice, tokens: &[ActiveToken]) -> String {
    let mut text = format!(
        "snapshot of {}, epoch {} became {}; tokens valid again: {}",
        restored.made_at,
        restored.old_epoch,
        restored.new_epoch,
        tokens.len()
    );
    for token in tokens.iter().take(MAX_LISTED) {
        let ActiveToken {
            jti,
            role,
            subject,
            name,
            ..
        } = token;
        text.push_str(&format!("; {jti} {name:?} {role}:{subject}"));
    }
    if tokens.len() > MAX_LISTED {
        text.push_str("; and more");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audit_detail_lists_a_bounded_number_of_tokens() {
        let restored = RestoreNotice {
            made_at: "2026-01-01T00:00:00.000Z".to_owned(),
            old_epoch: "old".to_owned(),
            new_epoch: "new".to_owned(),
        };
        let token = ActiveToken {
            jti: wallcast_core::ids::Jti::random(),
            role: "client".to_owned(),
            subject: "client_1".to_owned(),
            name: "Wall \"1\"".to_owned(),
            expires_at: Timestamp::now(),
        };
        let jti = token.jti.clone();
        let one = audit_detail(&restored, std::slice::from_ref(&token));
        assert!(one.contains("epoch old became new") && one.contains("again: 1;"));
        assert!(one.ends_with(&format!("; {jti} \"Wall \\\"1\\\"\" client:client_1")));
        let many = audit_detail(&restored, &vec![token; MAX_LISTED + 1]);
        assert_eq!(many.matches(jti.as_str()).count(), MAX_LISTED);
        assert!(many.contains("again: 101;") && many.ends_with("and more"));
    }
}
