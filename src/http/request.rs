//! A request as handlers receive it: its body is read and its caller is authenticated.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use serde_json::{Map, Value};
use wallcast_core::audit::Actor;
use wallcast_core::auth::Principal;
use wallcast_core::event;
use wallcast_core::idempotency::Claim;
use wallcast_core::store::{Store, StoreError, WriteTx};

use crate::http::{ApiError, Fields, Reply};

const MAX_PAGE_SIZE: usize = 1000;
const DEFAULT_PAGE_SIZE: usize = 100;

/// The listener that accepted a connection (`docs/protocol.md#listeners`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// TLS, reachable from the network.
    Public,
    /// HTTP without TLS, behind a reverse proxy or for development.
    Plain,
    /// Home Assistant's ingress.
    Ingress,
    /// The Unix socket of the command-line client.
    Local,
}

/// The other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    pub listener: ListenerKind,
    /// The peer's address. Behind a trusted proxy it is the address that the proxy forwards. `None` on the local
    /// socket.
    pub address: Option<IpAddr>,
}

impl Peer {
    /// The address as text, for logs and the audit log.
    pub fn shown(&self) -> String {
        self.address
            .map_or_else(|| "local".to_owned(), |address| address.to_string())
    }
}

/// A request with its body.
#[derive(Debug)]
pub struct Request {
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) peer: Peer,
    pub(crate) caller: Option<Caller>,
    /// Set if the request has an `Idempotency-Key`: the reply is stored and sent again for a repeated request.
    pub(crate) claim: Option<Arc<Claim>>,
}

/// An authenticated caller.
#[derive(Clone, Debug)]
pub struct Caller {
    pub principal: Principal,
    /// The hash of the session id, if the caller authenticated with one (by cookie or as a bearer token).
    pub session_hash: Option<[u8; 32]>,
}

impl Request {
    /// Creates a request for a caller inside the process, equal to a POST with this body on the local socket.
    pub fn internal(principal: Principal, body: &Map<String, Value>) -> Self {
        let json = HeaderValue::from_static("application/json");
        Self {
            parameters: Vec::new(),
            query: None,
            headers: HeaderMap::from_iter([(CONTENT_TYPE, json)]),
            body: event::to_json(body).into(),
            peer: Peer {
                listener: ListenerKind::Local,
                address: None,
            },
            caller: Some(Caller {
                principal,
                session_hash: None,
            }),
            claim: None,
        }
    }

    /// A path parameter, which the route's pattern names in braces. Empty if the route has none of this name.
    pub fn parameter(&self, name: &str) -> &str {
        self.parameters
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value.as_str())
    }

    /// The first value of a query parameter, percent-decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        let query = self.query.as_deref()?;
        form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// All values of a query parameter that may be repeated.
    pub fn query_all(&self, name: &str) -> Vec<String> {
        let query = self.query.as_deref().unwrap_or_default();
        form_urlencoded::parse(query.as_bytes())
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
            .collect()
    }

    /// A header's value. `None` if the header is missing or is not text.
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The authenticated principal.
    ///
    /// # Errors
    /// 401 if the request is not authenticated.
    pub fn principal(&self) -> Result<&Principal, ApiError> {
        self.caller().map(|caller| &caller.principal)
    }

    /// The authenticated principal and how it authenticated.
    ///
    /// # Errors
    /// 401 if the request is not authenticated.
    pub fn caller(&self) -> Result<&Caller, ApiError> {
        self.caller.as_ref().ok_or_else(|| {
            ApiError::unauthenticated(
                "unauthenticated",
                "A token is required: send it as Authorization: Bearer",
            )
        })
    }

    /// The caller as recorded in the audit log.
    ///
    /// # Errors
    /// 401 if the request is not authenticated.
    pub fn actor(&self) -> Result<Actor, ApiError> {
        Ok(Actor::new(&self.principal()?.subject, self.peer.shown()))
    }

    /// The session id in the request's cookie.
    pub fn session_cookie(&self) -> Option<String> {
        super::session_cookie(&self.headers)
    }

    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Runs `change` in a transaction and returns its reply after the commit. Handlers write only through this
    /// method: if the request has an `Idempotency-Key`, the reply is stored in the same transaction. The reply must
    /// describe the state after the commit.
    ///
    /// # Errors
    /// The error of `change`, or that of [`Store::write`].
    pub async fn write<E, F>(&self, store: &Store, change: F) -> Result<Reply, E>
    where
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut WriteTx<'_>) -> Result<Reply, E> + Send + 'static,
    {
        let claim = self.claim.clone();
        store
            .write(move |tx| {
                let reply = change(tx)?;
                if let Some(claim) = claim.filter(|_| reply.status().is_success()) {
                    claim
                        .store(tx, &reply.to_stored())
                        .map_err(StoreError::from)?;
                }
                Ok(reply)
            })
            .await
    }

    /// Stores the reply of an action outside the store (such as a call to Home Assistant) if the request has an
    /// `Idempotency-Key`, and returns it. The action and this write are not atomic: after a crash between them, a
    /// repeated request runs the action again.
    ///
    /// # Errors
    /// 503 if the reply cannot be stored.
    pub async fn store_reply(&self, store: &Store, reply: Reply) -> Result<Reply, ApiError> {
        if self.claim.is_none() {
            return Ok(reply);
        }
        self.write(store, move |_| Ok(reply)).await
    }

    pub fn body_len(&self) -> usize {
        self.body.len()
    }

    /// Parses the body as a JSON object. An empty body has no fields.
    ///
    /// # Errors
    /// 415 if the content type is not JSON, 400 if the body is not a JSON object.
    pub fn fields(&self) -> Result<Fields, ApiError> {
        if self.body.is_empty() {
            return Ok(Fields::default());
        }
        let is_json = self
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"));
        if !is_json {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "`Content-Type` must be application/json",
            ));
        }
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(object)) => Ok(Fields::new(object)),
            Ok(_) => Err(not_json("The request body must be a JSON object")),
            Err(error) => Err(not_json(format!(
                "The request body is not valid JSON: {error}"
            ))),
        }
    }

    /// The query parameter `limit` of a list: 1 to 1000, by default 100.
    ///
    /// # Errors
    /// 422 if it is out of range or not a number.
    pub fn limit(&self) -> Result<usize, ApiError> {
        match self.query("limit") {
            None => Ok(DEFAULT_PAGE_SIZE),
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=MAX_PAGE_SIZE).contains(limit))
                .ok_or_else(|| {
                    ApiError::field(
                        "limit",
                        format!("`limit` must be an integer from 1 to {MAX_PAGE_SIZE}"),
                    )
                }),
        }
    }

    /// The `Host` header, to build links to this server. `None` if it contains characters that a host and port
    /// cannot have, because the value is used in URLs and in the content security policy.
    pub fn host(&self) -> Option<&str> {
        let host = self.headers.get(HOST)?.to_str().ok()?;
        let is_allowed =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        (!host.is_empty() && host.chars().all(is_allowed)).then_some(host)
    }
}

fn not_json(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", message)
}
