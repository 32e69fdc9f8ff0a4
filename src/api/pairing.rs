//! `/api/pairing`: pairing over HTTP (`docs/protocol.md#pairing`). Either a tablet requests pairing and an admin
//! approves it, or an admin creates a code and a tablet redeems it.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::StatusCode;
use rusqlite::Connection;
use serde_json::{Value, json};
use wallcast_core::audit::{self, Actor};
use wallcast_core::auth::{Claims, Role, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::disconnect::{DisconnectReason, SessionFilter};
use wallcast_core::event::{EventType, Topic};
use wallcast_core::ids::PairingId;
use wallcast_core::store::{StoreError, WriteTx};

use super::clients::{ClientJson, area_in_body, reason};
use crate::app::App;
use crate::areas;
use crate::clients::{self, ClientError};
use crate::http::{ApiError, Fields, Reply, Request, page};
use crate::pairing::registry::{self, RegistryFull};
use crate::pairing::{
    self, ClientSettings, DeviceInfo, PairingError, PairingRequest, RedeemResult, TokenIssuer,
    events, expiry,
};
use crate::tokens::{self, PairingAnswer};

/// The polling interval for tablets without a socket.
const POLL_INTERVAL_SECONDS: u32 = 5;
/// 128 bits, the least for a claim, are 22 characters in base64url.
const CLAIM_LENGTH: std::ops::RangeInclusive<usize> = 22..=256;
/// The allowed lifetime of a code in seconds, as for the option `pairing_ttl_seconds`.
const CODE_TTL: std::ops::RangeInclusive<i64> = 1..=86_400;

impl From<PairingError> for ApiError {
    fn from(error: PairingError) -> Self {
        match error {
            PairingError::Client(ClientError::UnknownClient) => {
                Self::field("clientId", "`clientId` must be an existing client")
            }
            PairingError::Client(error) => area_in_body(error),
            PairingError::Sign(error) => {
                tracing::error!(%error, "cannot sign token");
                StoreError::Panicked.into()
            }
        }
    }
}

impl From<RegistryFull> for ApiError {
    fn from(full: RegistryFull) -> Self {
        Self::too_many("Too many pairings are open; try again later", full.0)
    }
}

/// `POST /api/pairing/requests`: a tablet without a token requests pairing.
pub(super) async fn request(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let device = device(&mut request.fields()?)?;
    let now = Timestamp::now();
    let ttl = app.pairing_ttl_seconds();
    let pending = app
        .pairings
        .open_request(device, request.peer().address, now, ttl)?;
    let token = app
        .signer
        .sign(&Claims {
            sub: pending.id.to_string(),
            username: pending.id.to_string(),
            role: Role::Pairing.as_str().to_owned(),
            jti: pending.jti.to_string(),
            iat: now.unix_seconds(),
            exp: pending.expires_at.unix_seconds(),
            email: None,
            organization_id: None,
            tenant_id: None,
        })
        .map_err(PairingError::from)?;
    let event = events::requested(&pending);
    let published = app.store.write(move |tx| {
        tx.publish(event)?;
        Ok::<_, ApiError>(())
    });
    if let Err(error) = published.await {
        app.pairings.remove_request(&pending.id);
        return Err(error);
    }
    tracing::info!(pairing = %pending.id, from = %request.peer().shown(), "pairing requested");
    Ok(Reply::created(&json!({
        "pairingId": pending.id,
        "code": pending.code,
        "pairingToken": token,
        "verificationUrl": format!("{}/admin/#pair/{}", app.public_url(&request), pending.code),
        "expiresAt": pending.expires_at,
        "interval": POLL_INTERVAL_SECONDS,
    })))
}

/// `GET /api/pairing/requests`: the open requests, for admins.
pub(super) async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let limit = request.limit()?;
    let after: Option<(i64, String)> = page::cursor(&request)?;
    let key = |pending: &PairingRequest| (pending.created_at.unix_ms(), pending.id.to_string());
    let mut open = app.pairings.open_requests(Timestamp::now());
    open.retain(|pending| after.as_ref().is_none_or(|after| key(pending) > *after));
    Ok(page::reply("requests", open, limit, key, |pending| {
        pending_json(&pending)
    }))
}

fn pending_json(pending: &PairingRequest) -> Value {
    let status = if pending.denied.is_some() {
        "denied"
    } else {
        "pending"
    };
    json!({
        "pairingId": pending.id,
        "status": status,
        "code": pending.code,
        "name": pending.device.name,
        "platform": pending.device.platform,
        "address": pending.address,
        "createdAt": pending.created_at,
        "expiresAt": pending.expires_at,
    })
}

/// `GET /api/pairing/requests/{id}`: the request's status. After the approval the tablet itself also gets its token,
/// until the token's first use.
pub(super) async fn poll(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let principal = request.principal()?.clone();
    let id = request.parameter("id");
    let is_own = matches!(&principal.subject, Subject::Pairing(own) if own.as_str() == id);
    if !is_own && !principal.is_admin() {
        return Err(ApiError::forbidden());
    }
    let id: PairingId = id.parse().map_err(|_| ApiError::not_found("pairing"))?;
    if let Some(pending) = app.pairings.find(&id) {
        let mut status = pending_json(&pending);
        if let (Some(reason), Some(status)) = (pending.denied, status.as_object_mut()) {
            status.insert("reason".to_owned(), reason.into());
        }
        return Ok(Reply::ok(&status));
    }
    let signer = app.signer.clone();
    let completed = app
        .store
        .read(move |db| pairing::find_completed(db, &signer, &id, Timestamp::now()))
        .await?
        .ok_or_else(|| ApiError::not_found("pairing"))?;
    let mut status = if is_own {
        completed.answer()
    } else {
        completed.without_token()
    };
    status.insert("pairingId".to_owned(), completed.pairing_id.as_str().into());
    status.insert("status".to_owned(), "approved".into());
    pairing::events::add_completion(&mut status, completed.completed_at);
    Ok(Reply::ok(&status))
}

/// `POST /api/pairing/requests/{id or code}/approve`
pub(super) async fn approve(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let settings = ClientSettings {
        reactivate: true,
        ..settings(&mut request.fields()?)?
    };
    let pending = reserve(&app, &request)?;
    let answer = PairingAnswer {
        id: pending.id.clone(),
        until: pending.expires_at,
        claim_hash: None,
    };
    let (issuer, device) = (app.issuer(), pending.device.clone());
    let write_app = app.clone();
    let result = request
        .write(&app.store, move |tx| {
            let completed = pairing::grant(tx, &issuer, answer, settings, device, &actor)?;
            let (id, client) = (&completed.pairing_id, completed.client.id.as_str());
            record(tx, &actor, "pairing.approve", id, client)?;
            let found = clients::with_areas(tx.connection(), completed.client)?;
            let client = ClientJson::after(tx, found, &write_app);
            Ok::<_, PairingError>(Reply::ok(&json!({ "client": client })))
        })
        .await;
    match result {
        Ok(reply) => {
            app.pairings.remove_request(&pending.id);
            Ok(reply)
        }
        Err(error) => {
            app.pairings.release(pending);
            Err(error.into())
        }
    }
}

/// `POST /api/pairing/requests/{id or code}/deny` `{reason?}`
pub(super) async fn deny(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let reason = reason(&mut request.fields()?)?.unwrap_or_else(|| "denied by admin".to_owned());
    let pending = reserve(&app, &request)?;
    let (id, detail) = (pending.id.clone(), reason.clone());
    let result = request
        .write(&app.store, move |tx| {
            tx.publish(events::ended(
                EventType::PAIRING_DENIED,
                &id,
                &detail,
                Topic::Admins,
            ))?;
            let final_event = events::ended(
                EventType::PAIRING_DENIED,
                &id,
                &detail,
                Topic::Pairing(id.clone()),
            );
            let filter = SessionFilter::Subject(Subject::Pairing(id.clone()));
            tx.end_sessions(filter, DisconnectReason::Unauthenticated, Some(final_event));
            record(tx, &actor, "pairing.deny", &id, &detail)?;
            let reply = json!({ "success": true, "pairingId": id, "status": "denied" });
            Ok::<_, ApiError>(Reply::ok(&reply))
        })
        .await;
    app.pairings.release(PairingRequest {
        denied: result.is_ok().then_some(reason),
        ..pending
    });
    result
}

/// `POST /api/pairing/codes`: an admin creates a code for a tablet.
pub(super) async fn create_code(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let mut body = request.fields()?;
    let ttl = body
        .optional("ttlSeconds")?
        .unwrap_or(app.pairing_ttl_seconds());
    if !CODE_TTL.contains(&ttl) {
        return Err(ApiError::field(
            "ttlSeconds",
            "`ttlSeconds` must be 1 to 86400",
        ));
    }
    let settings = settings(&mut body)?;
    let settings = app
        .store
        .read(move |db| validate_settings(db, settings))
        .await?;
    let code = app
        .pairings
        .create_code(settings, actor.clone(), Timestamp::now(), ttl)?;
    let id = code.id.clone();
    app.store
        .write(move |tx| {
            record(tx, &actor, "pairing.offer", &id, "")?;
            Ok::<_, ApiError>(())
        })
        .await
        .inspect_err(|_| app.pairings.remove_code(&code.id))?;
    let url = format!("{}/pair#{}", app.public_url(&request), code.code);
    Ok(Reply::created(&json!({
        "pairingId": code.id,
        "code": code.code,
        "qrSvg": qr_svg(&url),
        "url": url,
        "expiresAt": code.expires_at,
    })))
}

/// Checks that client and areas exist. The client may be inactive: pairing reactivates it.
fn validate_settings(
    db: &Connection,
    mut settings: ClientSettings,
) -> Result<ClientSettings, PairingError> {
    if let Some(id) = &settings.client_id {
        settings.reactivate = !clients::expect(db, id)?.is_active;
    }
    for id in settings.area_ids.iter().flatten() {
        if areas::find(db, id)?.is_none() {
            return Err(ClientError::UnknownArea(id.clone()).into());
        }
    }
    Ok(settings)
}

/// `POST /api/pairing/complete`: a tablet without a token redeems a code and gets its token.
pub(super) async fn complete(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let mut body = request.fields()?;
    let code: String = body.required("code")?;
    let claim: Option<String> = body.optional("claim")?;
    let device = device(&mut body)?;
    if claim
        .as_ref()
        .is_some_and(|claim| !CLAIM_LENGTH.contains(&claim.len()))
    {
        return Err(ApiError::field(
            "claim",
            "`claim` must have 22 to 256 characters with at least 128 random bits",
        ));
    }
    let claim_hash =
        claim.map(|claim| tokens::hash_of(&format!("{}:{claim}", registry::normalize_code(&code))));
    let address = request.peer().address;
    let (issuer, pairings) = (app.issuer(), app.pairings.clone());
    // What the transaction redeemed, to be undone if the commit fails.
    let redeemed_in_write = Arc::new(Mutex::new(None));
    let written = redeemed_in_write.clone();
    // The code is redeemed on the writer thread, so that of two concurrent requests with one code only one succeeds.
    let outcome = app
        .store
        .write(move |tx| {
            let now = tx.now();
            if let Some(hash) = &claim_hash
                && let Some(completed) =
                    pairing::find_completed_by_claim(tx.connection(), &issuer.signer, hash, now)?
            {
                return Ok(Ok(completed));
            }
            let redeemed = pairings.redeem(&code, address, now);
            *written.lock().unwrap_or_else(PoisonError::into_inner) = Some(redeemed.clone());
            match redeemed {
                RedeemResult::RateLimited(wait) => Ok(Err(ApiError::too_many(
                    "Too many wrong codes from this address; try again later",
                    wait,
                ))),
                RedeemResult::Rejected(expired) => {
                    expiry::publish_ended(tx, &expired)?;
                    Ok(Err(invalid_code()))
                }
                RedeemResult::Accepted(code) => {
                    let answer = PairingAnswer {
                        id: code.id.clone(),
                        until: code.expires_at,
                        claim_hash,
                    };
                    let by = code.created_by;
                    let Some(settings) = existing_settings(tx.connection(), code.settings)? else {
                        return Ok(Err(invalid_code()));
                    };
                    let completed = pairing::grant(tx, &issuer, answer, settings, device, &by)?;
                    let (id, client) = (&completed.pairing_id, completed.client.id.as_str());
                    record(tx, &by, "pairing.complete", id, client)?;
                    Ok::<_, PairingError>(Ok(completed))
                }
            }
        })
        .await
        .inspect_err(|_: &PairingError| {
            let redeemed = redeemed_in_write
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(redeemed) = redeemed {
                app.pairings.undo_redeem(redeemed);
            }
        })?;
    match outcome {
        Ok(completed) => {
            tracing::info!(client = %completed.client.id, from = %request.peer().shown(), "pairing code redeemed");
            Ok(Reply::ok(&completed.answer()))
        }
        Err(error) => {
            tracing::info!(from = %request.peer().shown(), code = error.code(), "pairing code rejected");
            Err(error)
        }
    }
}

/// The settings of a code without areas that were deleted since. `None` if its client was deleted or
/// deactivated since.
fn existing_settings(
    db: &Connection,
    mut settings: ClientSettings,
) -> Result<Option<ClientSettings>, PairingError> {
    if let Some(id) = &settings.client_id
        && !clients::find(db, id)?.is_some_and(|client| client.is_active || settings.reactivate)
    {
        return Ok(None);
    }
    if let Some(area_ids) = settings.area_ids.take() {
        let mut existing = Vec::new();
        for id in area_ids {
            if areas::find(db, &id)?.is_some() {
                existing.push(id);
            }
        }
        settings.area_ids = Some(existing);
    }
    Ok(Some(settings))
}

fn invalid_code() -> ApiError {
    ApiError::new(
        StatusCode::UNAUTHORIZED,
        "invalid_code",
        "The pairing code is wrong, used or expired; ask for a new one",
    )
}

/// Reserves the open request that the path names by id or code.
fn reserve(app: &App, request: &Request) -> Result<PairingRequest, ApiError> {
    app.pairings
        .reserve(request.parameter("id"), Timestamp::now())
        .ok_or_else(|| ApiError::not_found("open pairing request"))
}

fn record(
    tx: &WriteTx<'_>,
    actor: &Actor,
    action: &str,
    id: &PairingId,
    detail: &str,
) -> rusqlite::Result<()> {
    audit::record(tx, actor, action, Some(id.as_str()), detail)
}

fn device(body: &mut Fields) -> Result<DeviceInfo, ApiError> {
    let platform: Option<String> = body.optional("platform")?;
    if platform
        .as_ref()
        .is_some_and(|text| text.chars().count() > 100 || text.chars().any(char::is_control))
    {
        return Err(ApiError::field(
            "platform",
            "`platform` must have at most 100 characters and no control characters",
        ));
    }
    Ok(DeviceInfo {
        name: body.optional("name")?,
        platform,
    })
}

fn settings(body: &mut Fields) -> Result<ClientSettings, ApiError> {
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

/// The URL as a QR code in SVG. Empty if the URL is too long for one, which this server's URLs are not.
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
    /// Issues the tokens of paired tablets.
    fn issuer(&self) -> TokenIssuer {
        TokenIssuer {
            signer: self.signer.clone(),
            ttl_seconds: self.client_token_seconds(),
        }
    }
}
