//! `/api/tokens`, `/api/auth/session` and `/api/me` (contract 6.2).

use std::sync::Arc;

use hyper::header::SET_COOKIE;
use serde_json::{Value, json};

use crate::app::App;
use crate::areas::AreaJson;
use crate::authentication::AuthError;
use crate::clients::{self, ClientName};
use crate::http::SESSION_COOKIE;
use crate::http::{ApiError, Fields, ListenerKind, Reply, Request, page};
use crate::pairing::PairingError;
use crate::tokens::{NewToken, RefreshedBy, Token};
use wallcast_core::audit;
use wallcast_core::auth::{Principal, Role, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::{ClientId, Jti, UserId};
use wallcast_core::random;

/// A token's life in seconds: a second to ten years.
const TTL: std::ops::RangeInclusive<i64> = 1..=10 * 366 * 86_400;

fn show(app: &App, token: &Token) -> Value {
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

/// `GET /api/tokens`: never the tokens themselves, which nobody has.
pub(super) async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let limit = request.limit()?;
    let after: Option<(i64, String)> = page::cursor(&request)?;
    let tokens = app
        .store
        .read(move |db| Ok::<_, ApiError>(crate::tokens::page(db, after.as_ref(), limit + 1)?))
        .await?;
    let key = |token: &Token| (token.issued_at.unix_ms(), token.jti.to_string());
    Ok(page::reply("tokens", tokens, limit, key, |token| {
        show(&app, &token)
    }))
}

/// `POST /api/tokens`: 201 with `token`, shown this once. A client token without `subject` makes a
/// new client of that name.
pub(super) async fn create(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let mut body = request.fields()?;
    let role: String = body.required("role")?;
    let name: ClientName = body.required("name")?;
    let wanted = match Role::parse(&role) {
        Some(Role::Admin) => {
            Wanted::Known(Subject::Admin(subject(&mut body, UserId::random_admin)?))
        }
        Some(Role::User) => Wanted::Known(Subject::User(subject(&mut body, UserId::random)?)),
        Some(Role::Client) => match body.optional::<ClientId>("subject")? {
            Some(id) => Wanted::ExistingClient(id),
            None => Wanted::NewClient,
        },
        _ => {
            return Err(ApiError::field(
                "role",
                "role must be admin, client or user",
            ));
        }
    };
    let ttl_seconds = ttl(&mut body)?.unwrap_or(app.client_token_seconds());
    let email: Option<String> = body.optional("email")?;
    if email
        .as_ref()
        .is_some_and(|text| text.len() > 254 || text.chars().any(char::is_control))
    {
        return Err(ApiError::field("email", "email has at most 254 characters"));
    }
    let organization_id = body.optional("organizationId")?;
    let tenant_id = body.optional("tenantId")?;
    let token = app
        .store
        .write(move |tx| {
            let subject = match wanted {
                Wanted::Known(subject) => subject,
                Wanted::ExistingClient(id) => match clients::find(tx.connection(), &id)? {
                    Some(client) => Subject::Client(client.id),
                    None => {
                        let message = "subject names no client; leave it out to make one";
                        return Err(ApiError::field("subject", message));
                    }
                },
                Wanted::NewClient => Subject::Client(clients::create(tx, name.clone(), None)?.id),
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
            let token = crate::tokens::issue(tx, new, &actor.who, None)?;
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
    answer_with_token(&app, &token).map(|answer| Reply::created(&answer))
}

/// Whom a new token is for.
enum Wanted {
    Known(Subject),
    ExistingClient(ClientId),
    NewClient,
}

fn subject(body: &mut Fields, random: fn() -> UserId) -> Result<UserId, ApiError> {
    Ok(body.optional("subject")?.unwrap_or_else(random))
}

fn ttl(body: &mut Fields) -> Result<Option<i64>, ApiError> {
    let ttl: Option<i64> = body.optional("ttlSeconds")?;
    match ttl {
        Some(ttl) if !TTL.contains(&ttl) => Err(ApiError::field(
            "ttlSeconds",
            format!("ttlSeconds must be {} to {}", TTL.start(), TTL.end()),
        )),
        other => Ok(other),
    }
}

fn answer_with_token(app: &App, token: &Token) -> Result<Value, ApiError> {
    let signed = app
        .signer
        .sign(&token.claims())
        .map_err(PairingError::from)?;
    let mut answer = show(app, token);
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("token".to_owned(), signed.into());
    }
    Ok(answer)
}

/// `DELETE /api/tokens/{jti}`
pub(super) async fn revoke(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let unknown = || ApiError::not_found("token that stands");
    let jti: Jti = request.parameter("jti").parse().map_err(|_| unknown())?;
    request
        .write(&app.store, move |tx| {
            if crate::tokens::revoke(tx, &jti, &actor)? {
                Ok(Reply::no_content())
            } else {
                Err(unknown())
            }
        })
        .await
}

/// `POST /api/tokens/refresh`: a client's own. By cookie the session id and the open sockets move
/// to the new token, which is not told.
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
            let fresh = crate::tokens::refresh(tx, &jti, ttl_seconds, by)?;
            fresh.ok_or_else(|| ApiError::from(AuthError::Revoked))
        })
        .await?;
    match caller.session_hash {
        None => answer_with_token(&app, &token).map(|answer| Reply::ok(&answer)),
        Some(hash) => {
            let reply = Reply::ok(&show(&app, &token));
            // The browser would drop the cookie when the old token's life is over.
            let own = |id: &String| crate::tokens::hash_of(id) == hash;
            Ok(match request.session_cookie().filter(own) {
                Some(id) => reply.with_header(SET_COOKIE, &cookie(&id, token.expires_at, &request)),
                None => reply,
            })
        }
    }
}

/// `POST /api/auth/session`: an opaque session id for a token, also as a cookie.
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
    let hash = crate::tokens::hash_of(&id);
    app.store
        .write(move |tx| Ok::<_, ApiError>(crate::tokens::open_session(tx, &hash, &jti)?))
        .await?;
    Ok(
        Reply::ok(&json!({ "sessionId": id, "expiresAt": expires_at }))
            .with_header(SET_COOKIE, &cookie(&id, expires_at, &request)),
    )
}

/// `DELETE /api/auth/session`: ends the session id that it came with.
pub(super) async fn close_session(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let Some(hash) = request.caller()?.session_hash else {
        return Err(ApiError::not_found("session id in this request"));
    };
    app.store
        .write(move |tx| Ok::<_, ApiError>(crate::tokens::close_session(tx, &hash)?))
        .await?;
    Ok(Reply::no_content().with_header(
        SET_COOKIE,
        &cookie("", Timestamp::from_unix_ms(0), &request),
    ))
}

/// The cookie of contract 6.2. Development over plain HTTP on loopback has no use for `Secure`,
/// but browsers treat loopback as secure, so it stays.
fn cookie(id: &str, until: Timestamp, request: &Request) -> String {
    debug_assert_ne!(request.peer().listener, ListenerKind::Local);
    let max_age = ((until.unix_ms() - Timestamp::now().unix_ms()) / 1000).max(0);
    format!("{SESSION_COOKIE}={id}; HttpOnly; Secure; SameSite=Strict; Path=/; Max-Age={max_age}")
}

/// `GET /api/me`: who the caller is, as Wallcast sees it.
pub(super) async fn me(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let principal = request.principal()?.clone();
    let mut me = describe(&principal);
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
            me.insert(
                "client".to_owned(),
                json!(super::clients::ClientJson::new(found, &app)),
            );
        }
    }
    Ok(Reply::ok(&me))
}

fn describe(principal: &Principal) -> Value {
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
