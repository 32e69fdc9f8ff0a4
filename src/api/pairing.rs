//! `/api/pairing` (contract 6.2): both directions over HTTP.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::StatusCode;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::clients::{ClientJson, area_in_body};
use crate::app::App;
use crate::clients::{self, ClientError};
use crate::http::{ApiError, Fields, Reply, Request, page};
use crate::pairing::registry::{self, RegistryFull};
use crate::pairing::{
    ClientSettings, DeviceInfo, PairingError, PairingRequest, RedeemResult, TokenIssuer, events,
    expiry,
};
use crate::tokens::{self, PairingAnswer};
use wallcast_core::audit::{self, Actor};
use wallcast_core::auth::{Claims, Role, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::disconnect::{DisconnectReason, SessionFilter};
use wallcast_core::event::{EventType, Topic};
use wallcast_core::ids::PairingId;
use wallcast_core::store::StoreError;

/// How often a tablet without a socket should ask, in seconds.
const POLL_INTERVAL_SECONDS: u32 = 5;
/// A claim of at least 128 bits is at least 22 characters of base64url, and hex stays below 128.
const CLAIM_LENGTH: std::ops::RangeInclusive<usize> = 22..=256;
/// How long an offered code may live: what the option `pairing_ttl_seconds` may say, too.
const OFFER_TTL: std::ops::RangeInclusive<i64> = 1..=86_400;

impl From<PairingError> for ApiError {
    fn from(error: PairingError) -> Self {
        match error {
            PairingError::Client(ClientError::UnknownClient) => {
                Self::field("clientId", "clientId names no client")
            }
            PairingError::Client(error) => area_in_body(error),
            PairingError::Sign(error) => {
                tracing::error!(%error, "a token could not be signed");
                StoreError::Panicked.into()
            }
        }
    }
}

impl From<RegistryFull> for ApiError {
    fn from(full: RegistryFull) -> Self {
        Self::too_many(
            "Too many pairings are open; wait until some have ended",
            full.0,
        )
    }
}

/// `POST /api/pairing/requests`: a tablet asks, without a token.
pub(super) async fn request(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let tablet = tablet(&mut request.fields()?)?;
    let now = Timestamp::now();
    let ttl = app.pairing_ttl_seconds();
    let waiting = app
        .pairings
        .open_request(tablet, request.peer().address, now, ttl)?;
    let token = app
        .signer
        .sign(&Claims {
            sub: waiting.id.to_string(),
            username: waiting.id.to_string(),
            role: Role::Pairing.as_str().to_owned(),
            jti: waiting.jti.to_string(),
            iat: now.unix_seconds(),
            exp: waiting.expires_at.unix_seconds(),
            email: None,
            organization_id: None,
            tenant_id: None,
        })
        .map_err(PairingError::from)?;
    let event = events::requested(&waiting);
    let told = app.store.write(move |tx| {
        tx.publish(event)?;
        Ok::<_, ApiError>(())
    });
    if let Err(error) = told.await {
        app.pairings.remove_request(&waiting.id);
        return Err(error);
    }
    tracing::info!(pairing = %waiting.id, from = %request.peer().shown(), "a tablet asks to be paired");
    Ok(Reply::created(&json!({
        "pairingId": waiting.id,
        "code": waiting.code,
        "pairingToken": token,
        "verificationUrl": format!("{}/admin/#pair/{}", app.public_url(&request), waiting.code),
        "expiresAt": waiting.expires_at,
        "interval": POLL_INTERVAL_SECONDS,
    })))
}

/// `GET /api/pairing/requests`: what waits, for admins.
pub(super) async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let limit = request.limit()?;
    let after: Option<(i64, String)> = page::cursor(&request)?;
    let key = |waiting: &PairingRequest| (waiting.created_at.unix_ms(), waiting.id.to_string());
    let mut open = app.pairings.open_requests(Timestamp::now());
    open.retain(|waiting| after.as_ref().is_none_or(|after| key(waiting) > *after));
    Ok(page::reply("requests", open, limit, key, |waiting| {
        show(&waiting)
    }))
}

fn show(waiting: &PairingRequest) -> Value {
    let status = if waiting.denied.is_some() {
        "denied"
    } else {
        "pending"
    };
    json!({
        "pairingId": waiting.id,
        "status": status,
        "code": waiting.code,
        "name": waiting.device.name,
        "platform": waiting.device.platform,
        "address": waiting.address,
        "createdAt": waiting.created_at,
        "expiresAt": waiting.expires_at,
    })
}

/// `GET /api/pairing/requests/{id}`: how it stands; the waiting tablet itself gets its token here
/// until the token's first use.
pub(super) async fn poll(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let principal = request.principal()?.clone();
    let asked = request.parameter("id").to_owned();
    let is_own = matches!(&principal.subject, Subject::Pairing(own) if own.as_str() == asked);
    if !is_own && !principal.is_admin() {
        return Err(ApiError::forbidden());
    }
    let id: PairingId = asked.parse().map_err(|_| ApiError::not_found("pairing"))?;
    if let Some(waiting) = app.pairings.find(&id) {
        let mut shown = show(&waiting);
        if let (Some(reason), Some(shown)) = (waiting.denied, shown.as_object_mut()) {
            shown.insert("reason".to_owned(), reason.into());
        }
        return Ok(Reply::ok(&shown));
    }
    let signer = app.signer.clone();
    let completed = app
        .store
        .read(move |db| crate::pairing::find_completed(db, &signer, &id, Timestamp::now()))
        .await?
        .ok_or_else(|| ApiError::not_found("pairing"))?;
    let mut answer = if is_own {
        completed.answer()
    } else {
        completed.without_token()
    };
    answer.insert("pairingId".to_owned(), completed.pairing_id.as_str().into());
    answer.insert("status".to_owned(), "approved".into());
    Ok(Reply::ok(&answer))
}

/// `POST /api/pairing/requests/{id or code}/approve`
pub(super) async fn approve(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let terms = ClientSettings {
        reactivate: true,
        ..terms(&mut request.fields()?)?
    };
    let waiting = take(&app, &request)?;
    let answer = PairingAnswer {
        id: waiting.id.clone(),
        until: waiting.expires_at,
        claim_hash: None,
    };
    let (issuer, tablet) = (app.issuer(), waiting.device.clone());
    let house = app.clone();
    let granted = request
        .write(&app.store, move |tx| {
            let completed = crate::pairing::grant(tx, &issuer, answer, terms, tablet, &actor)?;
            let (id, client) = (&completed.pairing_id, completed.client.id.as_str());
            record(tx, &actor, "pairing.approve", id, client)?;
            let found = clients::with_areas(tx.connection(), completed.client)?;
            let client = ClientJson::after(tx, found, &house);
            Ok::<_, PairingError>(Reply::ok(&json!({ "client": client })))
        })
        .await;
    match granted {
        Ok(reply) => {
            app.pairings.remove_request(&waiting.id);
            Ok(reply)
        }
        Err(error) => {
            app.pairings.release(waiting);
            Err(error.into())
        }
    }
}

/// `POST /api/pairing/requests/{id or code}/deny` `{reason?}`
pub(super) async fn deny(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let reason: Option<String> = request.fields()?.optional("reason")?;
    let reason = reason.unwrap_or_else(|| "denied by admin".to_owned());
    if reason.chars().count() > 200 {
        return Err(ApiError::field(
            "reason",
            "reason has at most 200 characters",
        ));
    }
    let waiting = take(&app, &request)?;
    let (id, why) = (waiting.id.clone(), reason.clone());
    let told = request
        .write(&app.store, move |tx| {
            tx.publish(events::ended(
                EventType::PAIRING_DENIED,
                &id,
                &why,
                Topic::Admins,
            ))?;
            let final_event = events::ended(
                EventType::PAIRING_DENIED,
                &id,
                &why,
                Topic::Pairing(id.clone()),
            );
            let filter = SessionFilter::Subject(Subject::Pairing(id.clone()));
            tx.end_sessions(filter, DisconnectReason::Unauthenticated, Some(final_event));
            record(tx, &actor, "pairing.deny", &id, &why)?;
            let answer = json!({ "success": true, "pairingId": id, "status": "denied" });
            Ok::<_, ApiError>(Reply::ok(&answer))
        })
        .await;
    let denied = told.is_ok().then_some(reason);
    app.pairings.release(PairingRequest { denied, ..waiting });
    told
}

/// `POST /api/pairing/codes`: an admin offers a code.
pub(super) async fn offer(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let mut body = request.fields()?;
    let ttl = body
        .optional("ttlSeconds")?
        .unwrap_or(app.pairing_ttl_seconds());
    if !OFFER_TTL.contains(&ttl) {
        return Err(ApiError::field(
            "ttlSeconds",
            "ttlSeconds must be 1 to 86400",
        ));
    }
    let terms = terms(&mut body)?;
    let terms = app.store.read(move |db| checked(db, terms)).await?;
    let offer = app
        .pairings
        .create_code(terms, actor.clone(), Timestamp::now(), ttl)?;
    let id = offer.id.clone();
    app.store
        .write(move |tx| {
            record(tx, &actor, "pairing.offer", &id, "")?;
            Ok::<_, ApiError>(())
        })
        .await
        .inspect_err(|_| app.pairings.remove_code(&offer.id))?;
    let url = format!("{}/pair#{}", app.public_url(&request), offer.code);
    Ok(Reply::created(&json!({
        "pairingId": offer.id,
        "code": offer.code,
        "qrSvg": qr_svg(&url),
        "url": url,
        "expiresAt": offer.expires_at,
    })))
}

/// An offer's terms if everything that they name is there. A client that is inactive already is
/// offered knowingly.
fn checked(db: &Connection, mut terms: ClientSettings) -> Result<ClientSettings, PairingError> {
    if let Some(id) = &terms.client_id {
        terms.reactivate = !clients::expect(db, id)?.is_active;
    }
    for id in terms.area_ids.iter().flatten() {
        if crate::areas::find(db, id)?.is_none() {
            return Err(ClientError::UnknownArea(id.clone()).into());
        }
    }
    Ok(terms)
}

/// `POST /api/pairing/complete`: a tablet brings a code, without a token.
pub(super) async fn complete(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let mut body = request.fields()?;
    let code: String = body.required("code")?;
    let claim: Option<String> = body.optional("claim")?;
    let tablet = tablet(&mut body)?;
    if claim
        .as_ref()
        .is_some_and(|claim| !CLAIM_LENGTH.contains(&claim.len()))
    {
        return Err(ApiError::field(
            "claim",
            "claim must be 22 to 256 characters of 128 random bits or more",
        ));
    }
    let claim_hash =
        claim.map(|claim| tokens::hash_of(&format!("{}:{claim}", registry::normalize_code(&code))));
    let address = request.peer().address;
    let (issuer, pairings) = (app.issuer(), app.pairings.clone());
    let taken = Arc::new(Mutex::new(None));
    let taking = taken.clone();
    // One write decides, so that the same code brought twice at once still works once.
    let outcome = app
        .store
        .write(move |tx| {
            let now = tx.now();
            if let Some(hash) = &claim_hash
                && let Some(completed) = crate::pairing::find_completed_by_claim(
                    tx.connection(),
                    &issuer.signer,
                    hash,
                    now,
                )?
            {
                return Ok(Ok(completed));
            }
            let guess = pairings.redeem(&code, address, now);
            *taking.lock().unwrap_or_else(PoisonError::into_inner) = Some(guess.clone());
            match guess {
                RedeemResult::RateLimited(wait) => {
                    Ok(Err(ApiError::too_many("Too many wrong codes; wait", wait)))
                }
                RedeemResult::Rejected(died) => {
                    expiry::publish_ended(tx, &died)?;
                    Ok(Err(invalid_code()))
                }
                RedeemResult::Accepted(offer) => {
                    let answer = PairingAnswer {
                        id: offer.id.clone(),
                        until: offer.expires_at,
                        claim_hash,
                    };
                    let by = offer.created_by;
                    let Some(terms) = still_there(tx.connection(), offer.settings)? else {
                        return Ok(Err(invalid_code()));
                    };
                    let completed = crate::pairing::grant(tx, &issuer, answer, terms, tablet, &by)?;
                    let (id, client) = (&completed.pairing_id, completed.client.id.as_str());
                    record(tx, &by, "pairing.complete", id, client)?;
                    Ok::<_, PairingError>(Ok(completed))
                }
            }
        })
        .await
        .inspect_err(|_: &PairingError| {
            let guess = taken.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(guess) = guess {
                app.pairings.undo_redeem(guess);
            }
        })?;
    match outcome {
        Ok(completed) => {
            tracing::info!(client = %completed.client.id, from = %request.peer().shown(), "a tablet brought a code");
            Ok(Reply::ok(&completed.answer()))
        }
        Err(refused) => {
            tracing::info!(from = %request.peer().shown(), code = refused.code(), "a pairing code was refused");
            Err(refused)
        }
    }
}

/// An offer's terms without areas that were deleted meanwhile; none when its client was, or was
/// made inactive since.
fn still_there(
    db: &Connection,
    mut terms: ClientSettings,
) -> Result<Option<ClientSettings>, PairingError> {
    if let Some(id) = &terms.client_id
        && !clients::find(db, id)?.is_some_and(|client| client.is_active || terms.reactivate)
    {
        return Ok(None);
    }
    if let Some(offered) = terms.area_ids.take() {
        let mut there = Vec::new();
        for id in offered {
            if crate::areas::find(db, &id)?.is_some() {
                there.push(id);
            }
        }
        terms.area_ids = Some(there);
    }
    Ok(Some(terms))
}

fn invalid_code() -> ApiError {
    ApiError::new(
        StatusCode::UNAUTHORIZED,
        "invalid_code",
        "This code is not right, or it was used or has expired; ask for a new one",
    )
}

fn take(app: &App, request: &Request) -> Result<PairingRequest, ApiError> {
    app.pairings
        .reserve(request.parameter("id"), Timestamp::now())
        .ok_or_else(|| ApiError::not_found("open pairing request"))
}

fn record(
    tx: &wallcast_core::store::WriteTx<'_>,
    actor: &Actor,
    action: &str,
    id: &PairingId,
    detail: &str,
) -> rusqlite::Result<()> {
    audit::record(tx, actor, action, Some(id.as_str()), detail)
}

fn tablet(body: &mut Fields) -> Result<DeviceInfo, ApiError> {
    let platform: Option<String> = body.optional("platform")?;
    if platform
        .as_ref()
        .is_some_and(|text| text.chars().count() > 100 || text.chars().any(char::is_control))
    {
        return Err(ApiError::field(
            "platform",
            "platform has at most 100 characters and no control characters",
        ));
    }
    Ok(DeviceInfo {
        name: body.optional("name")?,
        platform,
    })
}

fn terms(body: &mut Fields) -> Result<ClientSettings, ApiError> {
    Ok(ClientSettings {
        name: body.optional("name")?,
        area_ids: body.optional("areaIds")?,
        organization_id: body.optional("organizationId")?,
        tenant_id: body.optional("tenantId")?,
        kiosk_id: body.optional("kioskId")?,
        client_id: body.optional("clientId")?,
        reactivate: false,
    })
}

/// The URL as a QR code; empty in the case that it should not fit, which no URL of ours does.
fn qr_svg(url: &str) -> String {
    use qrcode::render::svg;
    qrcode::QrCode::new(url)
        .map(|qr| {
            qr.render::<svg::Color<'_>>()
                .min_dimensions(240, 240)
                .build()
        })
        .unwrap_or_default()
}

impl App {
    /// How a granted token is signed.
    fn issuer(&self) -> TokenIssuer {
        TokenIssuer {
            signer: self.signer.clone(),
            ttl_seconds: self.client_token_seconds(),
        }
    }
}
