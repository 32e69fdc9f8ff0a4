//! Who a request comes from: by the listener, by a token, or by a session id (contract section 3).

pub(crate) mod origin;

use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, StatusCode};

use crate::app::App;
use crate::authentication::{self, AuthError, Credential, FirstUse};
use crate::http::{ApiError, Caller, ListenerKind, Peer, SESSION_COOKIE, session_cookie};
use crate::tokens;
use origin::{Site, site_of};
use wallcast_core::auth::Principal;
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::UserId;

/// Where a credential was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// `Authorization: Bearer`
    Header,
    /// The cookie, which counts for our own pages only.
    Cookie,
    /// `?sessionId=`, on sockets alone.
    Query,
}

/// A token never belongs in a URL, where logs and histories keep it.
///
/// # Errors
/// 401 when there is one.
pub(crate) fn refuse_token_in_url(query: Option<&str>) -> Result<(), ApiError> {
    let found = query.is_some_and(|query| {
        form_urlencoded::parse(query.as_bytes())
            .any(|(key, _)| matches!(key.as_ref(), "token" | "access_token"))
    });
    if found {
        return Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "token_in_url",
            "A token never belongs in a URL: send it as Authorization: Bearer",
        ));
    }
    Ok(())
}

/// What a request presents, if anything. `query` is given on sockets alone.
///
/// # Errors
/// [`AuthError::InvalidToken`] for an `Authorization` header of another scheme.
pub(crate) fn credential_of(
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<Option<(Credential, Source)>, AuthError> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let text = value.to_str().map_err(|_| AuthError::InvalidToken)?;
        let (scheme, token) = text.split_once(' ').ok_or(AuthError::InvalidToken)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(AuthError::InvalidToken);
        }
        return Ok(Some((Credential::parse(token.trim()), Source::Header)));
    }
    let in_query = query.and_then(|query| {
        form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == SESSION_COOKIE)
            .map(|(_, id)| id.into_owned())
    });
    // What a page chose to say goes before what its browser adds by itself.
    if let Some(id) = in_query {
        return Ok(Some((Credential::SessionId(id), Source::Query)));
    }
    Ok(session_cookie(headers).map(|id| (Credential::SessionId(id), Source::Cookie)))
}

/// The caller of a request, if it presents anything.
///
/// # Errors
/// 401 for a credential that does not stand, 403 for a cookie or ingress from a foreign page.
pub(crate) async fn identify(
    app: &App,
    headers: &HeaderMap,
    peer: &Peer,
    is_page: bool,
) -> Result<Option<Caller>, ApiError> {
    let site = || site_of(headers, peer.listener, &app.config, is_page);
    match peer.listener {
        ListenerKind::Local => Ok(Some(local_admin("cli"))),
        ListenerKind::Ingress => {
            if site() == Site::Foreign {
                return Err(foreign_origin());
            }
            let id = app.ingress.admin(headers).await?;
            Ok(Some(local_admin(&id)))
        }
        ListenerKind::Public | ListenerKind::Plain => {
            let Some((credential, source)) = credential_of(headers, None)? else {
                return Ok(None);
            };
            if source == Source::Cookie && site() == Site::Foreign {
                return Err(foreign_origin());
            }
            let principal = prove(app, &credential).await?;
            let session_hash = match &credential {
                Credential::SessionId(id) => Some(tokens::hash_of(id)),
                Credential::Token(_) => None,
            };
            Ok(Some(Caller {
                principal,
                session_hash,
            }))
        }
    }
}

/// Checks a credential against the store. Its first use ends the pairing behind it.
///
/// # Errors
/// Why it does not stand.
pub(crate) async fn prove(app: &App, credential: &Credential) -> Result<Principal, AuthError> {
    let presented = authentication::present(&app.signer, credential)?;
    let pairings = app.pairings.clone();
    let grant = app
        .store
        .read(move |db| authentication::authenticate(db, &pairings, &presented, Timestamp::now()))
        .await?;
    app.note_first_use(grant.first_use).await;
    Ok(grant.principal)
}

/// Whether a cookie may be taken from where this request comes from; for sockets.
///
/// # Errors
/// 403 when not.
pub(crate) fn check_origin(
    app: &App,
    headers: &HeaderMap,
    peer: &Peer,
    source: Source,
) -> Result<(), ApiError> {
    let ambient = source == Source::Cookie || peer.listener == ListenerKind::Ingress;
    if ambient && site_of(headers, peer.listener, &app.config, false) == Site::Foreign {
        return Err(foreign_origin());
    }
    Ok(())
}

fn local_admin(id: &str) -> Caller {
    let id = id.parse().unwrap_or_else(|_| UserId::random());
    Caller {
        principal: Principal::local_admin(id),
        session_hash: None,
    }
}

fn foreign_origin() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "foreign_origin",
        "This request comes from another site; name it in cors_origins if it is yours",
    )
}

impl App {
    /// Remembers a token's first use, at once where that ends a pairing. A store that cannot write
    /// now costs nothing but that the pairing's answer may be asked for a little longer.
    pub async fn note_first_use(&self, first: Option<FirstUse>) {
        let Some(FirstUse {
            jti,
            at,
            ends_pairing,
        }) = first
        else {
            return;
        };
        if !ends_pairing {
            self.first_uses.record(jti, at);
            return;
        }
        let noted = self.store.write(move |tx| {
            Ok::<_, wallcast_core::store::StoreError>(tokens::mark_first_use(tx, &jti)?)
        });
        if let Err(error) = noted.await {
            tracing::warn!(%error, "a token's first use could not be stored");
        }
    }
}
