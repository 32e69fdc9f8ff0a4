//! How a tablet becomes a client: it asks and an admin approves, or an admin offers a code and
//! the tablet brings it (contract 6.2).
//!
//! What is open lives in memory alone (`registry`). What was granted stands in the store as the claims
//! of a token, so that a lost answer can be given again, byte for byte, until its first use.

pub(crate) mod events;
pub mod expiry;
pub(crate) mod registry;

use rusqlite::Connection;
use serde_json::{Map, Value, json};

use crate::areas::{Area, AreaJson};
use crate::clients::{self, Client, ClientError, ClientName, ClientPatch};
use crate::tokens::{self, NewToken, PairingAnswer, Token};
use wallcast_core::audit::Actor;
use wallcast_core::auth::Signer;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::Topic;
use wallcast_core::ids::{AreaId, ClientId, KioskId, OrganizationId, PairingId, TenantId};
use wallcast_core::store::{StoreError, WriteTx};

pub use registry::{Guess, Offer, Over, Pairings, Waiting};

/// What an admin decides of a new client; what is left out stays as it is, or empty.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// The client's name; else the tablet's own.
    pub name: Option<ClientName>,
    /// Its areas.
    pub area_ids: Option<Vec<AreaId>>,
    /// Its organisation.
    pub organization_id: Option<OrganizationId>,
    /// Its tenant.
    pub tenant_id: Option<TenantId>,
    /// Its kiosk.
    pub kiosk_id: Option<KioskId>,
    /// The client that this tablet was before.
    pub client_id: Option<ClientId>,
    /// Whether that client, if it is inactive, becomes active again: whoever decides knows it.
    pub revives: bool,
}

/// What the tablet says of itself.
#[derive(Clone, Debug, Default)]
pub struct Tablet {
    /// A name for itself.
    pub name: Option<ClientName>,
    /// What it is: at most 100 characters.
    pub platform: Option<String>,
}

/// Why a pairing could not be granted.
#[derive(Debug, thiserror::Error)]
pub enum PairingError {
    /// `clientId` or an area is unknown.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The token could not be signed.
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

/// A granted pairing, as its tablet is told of it.
#[derive(Clone, Debug)]
pub struct Completed {
    /// Which pairing.
    pub pairing_id: PairingId,
    /// Who the tablet now is.
    pub client: Client,
    /// What it now has.
    pub areas: Vec<Area>,
    /// The signed token.
    pub token: String,
    /// When that ends.
    pub expires_at: Timestamp,
}

impl Completed {
    /// `{clientId, clientName, token, assignedAreas, expiresAt}`, what the tablet needs.
    pub fn answer(&self) -> Map<String, Value> {
        let mut answer = self.without_token();
        answer.insert("token".to_owned(), self.token.as_str().into());
        answer
    }

    /// The same as admins may see it.
    pub(crate) fn without_token(&self) -> Map<String, Value> {
        let areas = self
            .areas
            .iter()
            .cloned()
            .map(AreaJson::for_client)
            .collect::<Vec<_>>();
        let shown = json!({
            "clientId": self.client.id,
            "clientName": self.client.name,
            "assignedAreas": areas,
            "expiresAt": self.expires_at,
        });
        match shown {
            Value::Object(object) => object,
            _ => Map::new(),
        }
    }
}

/// How a granted token is signed and for how long it stands.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// The house's signer.
    pub signer: Signer,
    /// The token's life in seconds (`client_token_days`).
    pub ttl_seconds: i64,
}

/// Makes the tablet a client, or the old client again (active again, if the terms say so), and tells the waiting tablet and admins.
///
/// # Errors
/// [`PairingError`].
pub fn grant(
    tx: &mut WriteTx<'_>,
    issuer: &Issuer,
    answer: PairingAnswer,
    terms: Terms,
    tablet: Tablet,
    actor: &Actor,
) -> Result<Completed, PairingError> {
    let id = match &terms.client_id {
        Some(id) => clients::revoke(tx, id, "paired again", actor)?.id,
        None => {
            let name = terms.name.clone().or(tablet.name);
            clients::create(tx, name.unwrap_or_else(ClientName::unnamed), None)?.id
        }
    };
    let patch = ClientPatch {
        name: terms.name,
        is_active: terms.revives.then_some(true),
        organization_id: terms.organization_id.map(Some),
        tenant_id: terms.tenant_id.map(Some),
        kiosk_id: terms.kiosk_id.map(Some),
    };
    let client = clients::change(tx, &id, patch, tablet.platform)?;
    if let Some(area_ids) = &terms.area_ids {
        clients::set_areas(tx, &id, area_ids)?;
    }
    let pairing_id = answer.id.clone();
    let new = NewToken {
        subject: wallcast_core::auth::Subject::Client(id),
        name: client.name.as_str().to_owned(),
        ttl_seconds: issuer.ttl_seconds,
        email: None,
        organization_id: client.organization_id.clone(),
        tenant_id: client.tenant_id.clone(),
    };
    let token = tokens::issue(tx, new, &actor.who, Some(answer))?;
    let completed = completed(tx.connection(), &issuer.signer, &pairing_id, client, &token)?;
    let now = tx.now();
    tx.publish(events::completed(
        &completed,
        now,
        completed.without_token(),
        Topic::Admins,
    ))?;
    tx.announce(events::announced(&completed, now));
    let waiting = Topic::Pairing(pairing_id);
    tx.tell(events::completed(
        &completed,
        now,
        completed.answer(),
        waiting,
    ));
    Ok(completed)
}

/// The answer of a pairing that was granted and whose token was not used yet.
///
/// # Errors
/// [`PairingError`].
pub fn granted(
    db: &Connection,
    signer: &Signer,
    id: &PairingId,
    now: Timestamp,
) -> Result<Option<Completed>, PairingError> {
    match tokens::find_unused_by_pairing(db, id, now)? {
        Some(token) => again(db, signer, &token).map(Some),
        None => Ok(None),
    }
}

/// The answer that the same code and claim got before.
///
/// # Errors
/// [`PairingError`].
pub fn granted_to_claim(
    db: &Connection,
    signer: &Signer,
    claim_hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Completed>, PairingError> {
    match tokens::find_by_claim(db, claim_hash, now)? {
        Some(token) => again(db, signer, &token).map(Some),
        None => Ok(None),
    }
}

fn again(db: &Connection, signer: &Signer, token: &Token) -> Result<Completed, PairingError> {
    let unknown = || PairingError::from(ClientError::UnknownClient);
    let pairing_id = token
        .pairing
        .as_ref()
        .map(|answer| answer.id.clone())
        .ok_or_else(unknown)?;
    let wallcast_core::auth::Subject::Client(id) = &token.subject else {
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
) -> Result<Completed, PairingError> {
    let found = clients::with_areas(db, client)?;
    Ok(Completed {
        pairing_id: pairing_id.clone(),
        client: found.client,
        areas: found.areas,
        token: signer.sign(&token.claims())?,
        expires_at: token.expires_at,
    })
}

/// The event that tells a waiting tablet of its grant, for a socket that opens late.
pub fn completed_event(completed: &Completed, now: Timestamp) -> wallcast_core::event::NewEvent {
    let waiting = Topic::Pairing(completed.pairing_id.clone());
    events::completed(completed, now, completed.answer(), waiting)
}
