//! The path of an HTTP request: find its route, read the body, authenticate the caller, check access and
//! `Idempotency-Key`, run the handler, and add the headers that every response has.

use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue, ORIGIN};
use hyper::{Method, StatusCode};
use wallcast_core::auth::Role;
use wallcast_core::idempotency::Attempt;
use wallcast_core::store::StoreError;

use super::route::{Access, Route};
use super::routes::{Parameters, find, pattern};
use super::{idempotency, pages};
use crate::app::App;
use crate::authentication::AuthError;
use crate::http::{self, ApiError, Caller, Incoming, ListenerKind, Peer, Reply, Request, Response};
use crate::identity;
use crate::net::ConnectionPermit;
use crate::realtime;

/// Responds to one request.
pub async fn respond(app: Arc<App>, request: Incoming, peer: Peer) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let method = request.method().clone();
    let is_logged = tracing::enabled!(tracing::Level::DEBUG);
    let route = is_logged.then(|| pattern(request.uri().path()));
    let mut response = if realtime::is_socket(&request) {
        let permit = request.extensions().get::<Arc<ConnectionPermit>>().cloned();
        let response = realtime::open(&app, request, peer).await;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS
            && let Some(permit) = permit
        {
            permit.mark_authenticated();
        }
        response
    } else if method == Method::OPTIONS && origin.is_some() {
        let mut response = Reply::no_content().into_response();
        identity::origin::allow_preflight(&mut response);
        response
    } else {
        respond_to_route(&app, request, peer).await
    };
    identity::origin::allow(&mut response, origin.as_ref(), &app.config);
    let nosniff = HeaderName::from_static("x-content-type-options");
    response
        .headers_mut()
        .insert(nosniff, HeaderValue::from_static("nosniff"));
    tracing::debug!(%method, route, status = response.status().as_u16(), "request handled");
    response
}

async fn respond_to_route(app: &Arc<App>, request: Incoming, peer: Peer) -> Response {
    let from = peer.shown();
    let result = match find(request.method(), request.uri().path()) {
        Ok((route, parameters)) => {
            let is_page = route.access == Access::Page;
            let root = if route.path == "/admin/" { "../" } else { "" };
            match call(app, route, parameters, request, peer).await {
                Err(error) if is_page => Ok(pages::error_page(&error, root)),
                result => result,
            }
        }
        Err(error) => Err(error),
    };
    let reply = result.unwrap_or_else(|error| {
        if error.status() != StatusCode::NOT_FOUND {
            tracing::info!(status = error.status().as_u16(), code = error.code(), %from, "request refused");
        }
        error.into_reply()
    });
    reply.into_response()
}

/// Checks the request and calls the route's handler.
async fn call(
    app: &Arc<App>,
    route: &'static Route,
    parameters: Parameters,
    request: Incoming,
    peer: Peer,
) -> Result<Reply, ApiError> {
    let (head, body) = request.into_parts();
    let query = head.uri.query();
    // Read the body before the request is refused: a client that is still sending would not receive the response.
    let body = http::read_body(body).await;
    // Checked on public routes too: proxies log URLs, so a token in a URL is compromised.
    identity::refuse_token_in_url(query)?;
    let caller = match route.access {
        Access::Public => None,
        Access::AdminOnIngress | Access::Page if peer.listener != ListenerKind::Ingress => None,
        _ => {
            let is_page = route.access == Access::Page;
            identity::identify(app, &head.headers, &peer, is_page).await?
        }
    };
    check_access(route.access, caller.as_ref())?;
    if let (Some(caller), Some(permit)) = (&caller, head.extensions.get::<Arc<ConnectionPermit>>())
        // Anyone can get a pairing token, so it does not exempt the connection from the limit of unauthenticated
        // connections.
        && caller.principal.role() != Role::Pairing
    {
        permit.mark_authenticated();
    }
    let body = body?;
    let attempt = match &caller {
        Some(Caller { principal, .. }) if route.supports_idempotency_key() => {
            idempotency::begin(app, &head, &principal.subject, &body).await?
        }
        _ => None,
    };
    let claim = match attempt {
        Some(Attempt::Repeat(stored)) => return Ok(Reply::from_stored(stored)),
        Some(Attempt::First(claim)) => Some(Arc::new(claim)),
        None => None,
    };
    let request = Request {
        parameters,
        query: query.map(str::to_owned),
        headers: head.headers,
        body,
        peer,
        caller,
        claim: claim.clone(),
    };
    let reply = (route.handler)(app.clone(), request);
    if route.method == Method::GET {
        return reply.await;
    }
    // A write runs in its own task, so that it completes even if the client disconnects.
    let task = tokio::spawn(async move {
        let reply = reply.await;
        if reply.is_ok() && claim.is_some_and(|claim| !claim.is_stored()) {
            tracing::error!(
                path = route.path,
                "reply was not stored under its Idempotency-Key"
            );
        }
        reply
    });
    task.await.unwrap_or_else(|error| {
        tracing::error!(path = route.path, %error, "handler panicked");
        Err(StoreError::Panicked.into())
    })
}

fn check_access(access: Access, caller: Option<&Caller>) -> Result<(), ApiError> {
    let role = caller.map(|caller| caller.principal.role());
    match (access, role) {
        (Access::Public | Access::AdminOnIngress | Access::Page, _) => Ok(()),
        (_, None) => Err(AuthError::Missing.into()),
        (_, Some(Role::Admin))
        | (Access::AnyToken, Some(_))
        | (Access::AdminClientOrUser, Some(Role::Client | Role::User))
        | (Access::AdminOrClient, Some(Role::Client)) => Ok(()),
        _ => Err(ApiError::forbidden()),
    }
}
