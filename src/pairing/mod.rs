//! Pairing: how a tablet becomes a client (`docs/protocol.md#pairing`).
//!
//! Either the tablet requests it and shows a code, and an admin approves or denies the request; or an admin creates a
//! code of six digits, and the tablet redeems it. Open requests and codes live only in memory, in [`registry`], and are
//! lost at a restart. A completed pairing is stored as the claims of its token: until the token's first use, a tablet
//! that lost the answer can ask again and gets the same token.

mod completed;
pub(crate) mod events;
pub mod expiry;
pub(crate) mod registry;
mod settings;

use rusqlite::Connection;
use wallcast_core::audit::Actor;
use wallcast_core::auth::{Signer, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{NewEvent, Topic};
use wallcast_core::ids::PairingId;
use wallcast_core::store::{StoreError, WriteTx};

use crate::clients::{self, Client, ClientError, ClientName, ClientPatch};
use crate::tokens::{self, NewToken, PairingAnswer, Token};

pub use completed::CompletedPairing;
pub use registry::{EndedPairing, PairingCode, PairingRegistry, PairingRequest, RedeemResult};
pub use settings::{ClientSettings, DeviceInfo};

#[derive(Debug, thiserror::Error)]
pub enum PairingError {
    /// The settings name a client or an area that does not exist.
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the token could not be signed: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

impl From<rusqlite::Error> for PairingError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Client(error.into())
    }
}

impl From<StoreError> for PairingError {
    fn from(error: StoreError) -> Self {
        Self::Client(error.into())
    }
}

/// Signs the tokens of completed pairings.
#[derive(Clone, Debug)]
pub struct TokenIssuer {
    pub signer: Signer,
    /// From the option `client_token_days`.
    pub ttl_seconds: i64,
}

/// Completes a pairing: creates a client, or pairs an existing one again, issues its token, and notifies the waiting
/// tablet, admins and Home Assistant. Pairing a client again revokes its earlier tokens.
///
/// # Errors
/// [`PairingError`] if the settings name an unknown client or area, or signing fails.
pub fn grant(
    tx: &mut WriteTx<'_>,
    issuer: &TokenIssuer,
    answer: PairingAnswer,
    settings: ClientSettings,
    device: DeviceInfo,
    actor: &Actor,
) -> Result<CompletedPairing, PairingError> {
    let id = match &settings.client_id {
        Some(id) => clients::revoke(tx, id, "paired again", actor)?.id,
        None => {
            let name = settings.name.clone().or(device.name);
            clients::create(tx, name.unwrap_or_else(ClientName::unnamed), None)?.id
        }
    };
    let patch = ClientPatch {
        name: settings.name,
        is_active: settings.reactivate.then_some(true),
        organization_id: settings.organization_id.map(Some),
        tenant_id: settings.tenant_id.map(Some),
        kiosk_id: settings.kiosk_id.map(Some),
    };
    let client = clients::change(tx, &id, patch, device.platform)?;
    if let Some(area_ids) = &settings.area_ids {
        clients::set_areas(tx, &id, area_ids)?;
    }
    let pairing_id = answer.id.clone();
    let new = NewToken {
        subject: Subject::Client(id),
        name: client.name.as_str().to_owned(),
        ttl_seconds: issuer.ttl_seconds,
        email: None,
        organization_id: client.organization_id.clone(),
        tenant_id: client.tenant_id.clone(),
    };
    let token = tokens::issue(tx, new, &actor.principal, Some(answer))?;
    let completed = completed(tx.connection(), &issuer.signer, &pairing_id, client, &token)?;
    let now = tx.now();
    tx.publish(events::completed(
        &completed,
        now,
        completed.without_token(),
        Topic::Admins,
    ))?;
    tx.announce(events::announcement(&completed, now));
    tx.publish_ephemeral(completed_event(&completed, now));
    Ok(completed)
}

/// The completed pairing with this id, as long as its token is unused.
pub fn find_completed(
    db: &Connection,
    signer: &Signer,
    id: &PairingId,
    now: Timestamp,
) -> Result<Option<CompletedPairing>, PairingError> {
    match tokens::find_unused_by_pairing(db, id, now)? {
        Some(token) => completed_from(db, signer, &token).map(Some),
        None => Ok(None),
    }
}

/// The pairing that this code and claim completed before, as long as its token is unused.
pub fn find_completed_by_claim(
    db: &Connection,
    signer: &Signer,
    claim_hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<CompletedPairing>, PairingError> {
    match tokens::find_by_claim(db, claim_hash, now)? {
        Some(token) => completed_from(db, signer, &token).map(Some),
        None => Ok(None),
    }
}

fn completed_from(
    db: &Connection,
    signer: &Signer,
    token: &Token,
) -> Result<CompletedPairing, PairingError> {
    let unknown = || PairingError::from(ClientError::UnknownClient);
    let pairing_id = token
        .pairing
        .as_ref()
        .map(|answer| answer.id.clone())
        .ok_or_else(unknown)?;
    let Subject::Client(id) = &token.subject else {
        return Err(unknown());
    };
    let client = clients::expect(db, id)?;
    completed(db, signer, &pairing_id, client, token)
}

fn completed(
    db: &Connection,
    signer: &Signer,
    pairing_id: &PairingId,
    client: Client,
    token: &Token,
) -> Result<CompletedPairing, PairingError> {
    let found = clients::with_areas(db, client)?;
    Ok(CompletedPairing {
        pairing_id: pairing_id.clone(),
        client: found.client,
        areas: found.areas,
        token: signer.sign(&token.claims())?,
        completed_at: token.issued_at,
        expires_at: token.expires_at,
    })
}

/// `pairing_completed` for the waiting tablet. A tablet that connects after the approval receives it as well.
pub fn completed_event(completed: &CompletedPairing, now: Timestamp) -> NewEvent {
    let topic = Topic::Pairing(completed.pairing_id.clone());
    events::completed(completed, now, completed.answer(), topic)
}
