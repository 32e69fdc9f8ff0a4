//! Finds who sent a request: by the listener, a token or a session id (`docs/protocol.md#authentication`).

pub(crate) mod origin;

use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, StatusCode};
use wallcast_core::auth::Principal;
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::UserId;
use wallcast_core::store::StoreError;

use crate::app::App;
use crate::authentication::{self, AuthError, Credential, FirstUse};
use crate::http::{ApiError, Caller, ListenerKind, Peer, SESSION_COOKIE, session_cookie};
use crate::tokens;
use origin::{Site, site_of};

/// Where a credential was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CredentialSource {
    /// `Authorization: Bearer`
    Header,
    /// The session cookie; accepted from Wallcast's own pages only.
    Cookie,
    /// `?sessionId=`; sockets only.
    Query,
}

/// Refuses a token in the URL, where logs and browser histories would keep it.
///
/// # Errors
/// 401 if the query contains a token.
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

/// The credential of a request, if it has one. `query` is passed for sockets only.
///
/// # Errors
/// [`AuthError::InvalidToken`] for an `Authorization` header of another scheme.
pub(crate) fn credential_of(
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<Option<(Credential, CredentialSource)>, AuthError> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let text = value.to_str().map_err(|_| AuthError::InvalidToken)?;
        let (scheme, token) = text.split_once(' ').ok_or(AuthError::InvalidToken)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(AuthError::InvalidToken);
        }
        return Ok(Some((
            Credential::parse(token.trim()),
            CredentialSource::Header,
        )));
    }
    let in_query = query.and_then(|query| {
        form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == SESSION_COOKIE)
            .map(|(_, id)| id.into_owned())
    });
    // A session id that the page chose wins over the cookie, which the browser adds by itself.
    if let Some(id) = in_query {
        return Ok(Some((Credential::SessionId(id), CredentialSource::Query)));
    }
    Ok(session_cookie(headers).map(|id| (Credential::SessionId(id), CredentialSource::Cookie)))
}

/// The caller of an HTTP request; `None` if it has no credential.
///
/// # Errors
/// 401 for a credential that is not valid, 403 for a cookie or ingress request from a foreign page.
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
            if source == CredentialSource::Cookie && site() == Site::Foreign {
                return Err(foreign_origin());
            }
            let principal = authenticate(app, &credential).await?;
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

/// Checks a credential and records a token's first use, which ends the pairing that issued it.
///
/// # Errors
/// Why the credential is not valid.
pub(crate) async fn authenticate(
    app: &App,
    credential: &Credential,
) -> Result<Principal, AuthError> {
    let verified = authentication::verify(&app.signer, credential)?;
    let pairings = app.pairings.clone();
    let authenticated = app
        .store
        .read(move |db| authentication::authenticate(db, &pairings, &verified, Timestamp::now()))
        .await?;
    app.record_first_use(authenticated.first_use).await;
    Ok(authenticated.principal)
}

/// Checks the origin of a socket that is authenticated by cookie or ingress (`docs/protocol.md#browser-origins`).
///
/// # Errors
/// 403 for a foreign page.
pub(crate) fn check_origin(
    app: &App,
    headers: &HeaderMap,
    peer: &Peer,
    source: CredentialSource,
) -> Result<(), ApiError> {
    // The browser adds these by itself, whichever page sends the request.
    let is_ambient = source == CredentialSource::Cookie || peer.listener == ListenerKind::Ingress;
    if is_ambient && site_of(headers, peer.listener, &app.config, false) == Site::Foreign {
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
    /// Records a token's first use; stores it before the return if it ends a pairing. If the store cannot write, the
    /// result of the pairing stays available a little longer, and the request goes on.
    pub async fn record_first_use(&self, first: Option<FirstUse>) {
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
        let recorded = self
            .store
            .write(move |tx| Ok::<_, StoreError>(tokens::mark_first_use(tx, &jti)?));
        if let Err(error) = recorded.await {
            tracing::warn!(%error, "cannot store the first use of a token");
        }
    }
}
