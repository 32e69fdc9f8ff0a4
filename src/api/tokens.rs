//! `/api/tokens`, `/api/auth/session` and `/api/me`: tokens and session ids (`docs/protocol.md#token-management`).

use std::sync::Arc;

use hyper::header::SET_COOKIE;
use serde_json::{Value, json};
use wallcast_core::audit;
use wallcast_core::auth::{Principal, Role, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::{ClientId, Jti, UserId};
use wallcast_core::random;

use super::clients::ClientJson;
use crate::app::App;
use crate::areas::AreaJson;
use crate::authentication::AuthError;
use crate::clients::{self, ClientName};
use crate::http::{ApiError, Fields, ListenerKind, Reply, Request, SESSION_COOKIE, page};
use crate::pairing::PairingError;
use crate::tokens::{self, NewToken, RefreshedBy, Token};

/// The allowed lifetime of a token in seconds: up to ten years.
const TTL: std::ops::RangeInclusive<i64> = 1..=10 * 366 * 86_400;

fn token_json(app: &App, token: &Token) -> Value {
    json!({
        "jti": token.jti,
        "role": token.subject.role(),
        "subject": token.subject.id(),
        "name": token.name,
        "email": token.email,
        "organizationId": token.organization_id,
        "tenantId": token.tenant_id,
        "createdAt": token.issued_at,
        "expiresAt": token.expires_at.min(token.valid_until),
        "revokedAt": token.revoked_at,
        "firstUsedAt": app.first_uses.first_use(&token.jti, token.first_used_at),
        "createdBy": token.created_by,
    })
}

/// `GET /api/tokens`. The signed tokens are not stored, so they are not listed.
pub(super) async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let limit = request.limit()?;
    let after: Option<(i64, String)> = page::cursor(&request)?;
    let tokens = app
        .store
        .read(move |db| Ok::<_, ApiError>(tokens::page(db, after.as_ref(), limit + 1)?))
        .await?;
    let key = |token: &Token| (token.issued_at.unix_ms(), token.jti.to_string());
    Ok(page::reply("tokens", tokens, limit, key, |token| {
        token_json(&app, &token)
    }))
}

/// `POST /api/tokens`: the reply contains the signed `token`, which is not shown again. A client token without
/// `subject` creates a client with this name.
pub(super) async fn create(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let mut body = request.fields()?;
    let role: String = body.required("role")?;
    let name: ClientName = body.required("name")?;
    let subject = match Role::parse(&role) {
        Some(Role::Admin) => {
            RequestedSubject::AdminOrUser(Subject::Admin(subject(&mut body, UserId::random_admin)?))
        }
        Some(Role::User) => {
            RequestedSubject::AdminOrUser(Subject::User(subject(&mut body, UserId::random)?))
        }
        Some(Role::Client) => match body.optional::<ClientId>("subject")? {
            Some(id) => RequestedSubject::ExistingClient(id),
            None => RequestedSubject::NewClient,
        },
        _ => {
            return Err(ApiError::field(
                "role",
                "`role` must be admin, client or user",
            ));
        }
    };
    let ttl_seconds = ttl(&mut body)?.unwrap_or(app.client_token_seconds());
    let email: Option<String> = body.optional("email")?;
    if email
        .as_ref()
        .is_some_and(|text| text.len() > 254 || text.chars().any(char::is_control))
    {
        return Err(ApiError::field(
            "email",
            "`email` must have at most 254 bytes and no control characters",
        ));
    }
    let organization_id = body.optional("organizationId")?;
    let tenant_id = body.optional("tenantId")?;
    let token = app
        .store
        .write(move |tx| {
            let subject = match subject {
                RequestedSubject::AdminOrUser(subject) => subject,
                RequestedSubject::ExistingClient(id) => {
                    match clients::find(tx.connection(), &id)? {
                        Some(client) => Subject::Client(client.id),
                        None => {
                            let message =
                                "`subject` must be an existing client; omit it to create one";
                            return Err(ApiError::field("subject", message));
                        }
                    }
                }
                RequestedSubject::NewClient => {
                    Subject::Client(clients::create(tx, name.clone(), None)?.id)
                }
            };
            let name = name.as_str().to_owned();
            let new = NewToken {
                subject,
                name,
                ttl_seconds,
                email,
                organization_id,
                tenant_id,
            };
            let token = tokens::issue(tx, new, &actor.principal, None)?;
            let subject = token.subject.to_string();
            audit::record(
                tx,
                &actor,
                "token.create",
                Some(token.jti.as_str()),
                &subject,
            )?;
            Ok::<_, ApiError>(token)
        })
        .await?;
    with_signed_token(&app, &token).map(|json| Reply::created(&json))
}

/// The subject of a new token, as the request names it.
enum RequestedSubject {
    AdminOrUser(Subject),
    ExistingClient(ClientId),
    NewClient,
}

/// The `subject` of the body, or a random one.
fn subject(body: &mut Fields, random: fn() -> UserId) -> Result<UserId, ApiError> {
    Ok(body.optional("subject")?.unwrap_or_else(random))
}

fn ttl(body: &mut Fields) -> Result<Option<i64>, ApiError> {
    let ttl: Option<i64> = body.optional("ttlSeconds")?;
    match ttl {
        Some(ttl) if !TTL.contains(&ttl) => Err(ApiError::field(
            "ttlSeconds",
            format!("`ttlSeconds` must be {} to {}", TTL.start(), TTL.end()),
        )),
        other => Ok(other),
    }
}

/// The token's JSON with the signed token.
fn with_signed_token(app: &App, token: &Token) -> Result<Value, ApiError> {
    let signed = app
        .signer
        .sign(&token.claims())
        .map_err(PairingError::from)?;
    let mut json = token_json(app, token);
    if let Some(json) = json.as_object_mut() {
        json.insert("token".to_owned(), signed.into());
    }
    Ok(json)
}

pub(super) async fn revoke(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let unknown = || ApiError::not_found("active token");
    let jti: Jti = request.parameter("jti").parse().map_err(|_| unknown())?;
    request
        .write(&app.store, move |tx| {
            if tokens::revoke(tx, &jti, &actor)? {
                Ok(Reply::no_content())
            } else {
                Err(unknown())
            }
        })
        .await
}

/// `POST /api/tokens/refresh`: replaces the calling client's token. If the client uses a session id, the session id and
/// its open sockets continue with the new token, which the reply does not contain.
pub(super) async fn refresh(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let caller = request.caller()?.clone();
    let jti = match (&caller.principal.subject, caller.principal.jti.clone()) {
        (Subject::Client(_), Some(jti)) => jti,
        _ => return Err(ApiError::forbidden()),
    };
    let by = match caller.session_hash {
        Some(_) => RefreshedBy::SessionId,
        None => RefreshedBy::Token,
    };
    let ttl_seconds = app.client_token_seconds();
    let token = app
        .store
        .write(move |tx| {
            let fresh = tokens::refresh(tx, &jti, ttl_seconds, by)?;
            fresh.ok_or_else(|| ApiError::from(AuthError::Revoked))
        })
        .await?;
    match caller.session_hash {
        None => with_signed_token(&app, &token).map(|json| Reply::ok(&json)),
        Some(hash) => {
            let reply = Reply::ok(&token_json(&app, &token));
            // Extend the cookie, which otherwise expires with the old token.
            let is_current = |id: &String| tokens::hash_of(id) == hash;
            Ok(match request.session_cookie().filter(is_current) {
                Some(id) => reply.with_header(SET_COOKIE, &cookie(&id, token.expires_at, &request)),
                None => reply,
            })
        }
    }
}

/// `POST /api/auth/session`: creates a session id for the caller's token, in the reply and as a cookie.
pub(super) async fn open_session(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let caller = request.caller()?;
    let (Some(jti), Some(expires_at), None) = (
        caller.principal.jti.clone(),
        caller.principal.expires_at,
        caller.session_hash,
    ) else {
        return Err(ApiError::from(AuthError::Missing));
    };
    if matches!(caller.principal.subject, Subject::Pairing(_)) {
        return Err(ApiError::forbidden());
    }
    let id = random::text::<32>();
    let hash = tokens::hash_of(&id);
    app.store
        .write(move |tx| Ok::<_, ApiError>(tokens::open_session(tx, &hash, &jti)?))
        .await?;
    Ok(
        Reply::ok(&json!({ "sessionId": id, "expiresAt": expires_at }))
            .with_header(SET_COOKIE, &cookie(&id, expires_at, &request)),
    )
}

/// `DELETE /api/auth/session`: ends the session id that authenticated the request.
pub(super) async fn close_session(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let Some(hash) = request.caller()?.session_hash else {
        return Err(ApiError::not_found("session id in this request"));
    };
    app.store
        .write(move |tx| Ok::<_, ApiError>(tokens::close_session(tx, &hash)?))
        .await?;
    Ok(Reply::no_content().with_header(
        SET_COOKIE,
        &cookie("", Timestamp::from_unix_ms(0), &request),
    ))
}

/// The session cookie. `Secure` works over plain HTTP on loopback too, because browsers treat loopback as secure.
fn cookie(id: &str, expires_at: Timestamp, request: &Request) -> String {
    debug_assert_ne!(request.peer().listener, ListenerKind::Local);
    let max_age = ((expires_at.unix_ms() - Timestamp::now().unix_ms()) / 1000).max(0);
    format!("{SESSION_COOKIE}={id}; HttpOnly; Secure; SameSite=Strict; Path=/; Max-Age={max_age}")
}

/// `GET /api/me`: the authenticated caller. For a client also its areas.
pub(super) async fn me(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let principal = request.principal()?.clone();
    let mut me = principal_json(&principal);
    if let Some(id) = principal.client_id().cloned() {
        let found = app
            .store
            .read(move |db| Ok::<_, ApiError>(clients::with_areas(db, clients::expect(db, &id)?)?))
            .await?;
        let areas: Vec<_> = found
            .areas
            .iter()
            .cloned()
            .map(AreaJson::for_client)
            .collect();
        if let Some(me) = me.as_object_mut() {
            me.insert("assignedAreas".to_owned(), json!(areas));
            me.insert("client".to_owned(), json!(ClientJson::new(found, &app)));
        }
    }
    Ok(Reply::ok(&me))
}

fn principal_json(principal: &Principal) -> Value {
    json!({
        "role": principal.role(),
        "username": principal.subject.id(),
        "clientId": principal.client_id(),
        "jti": principal.jti,
        "email": principal.email,
        "organizationId": principal.organization_id,
        "tenantId": principal.tenant_id,
        "expiresAt": principal.expires_at,
    })
}
