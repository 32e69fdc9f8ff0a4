//! A request as the slices' routes see it: whole, bounded, with its caller already known.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::http::{ApiError, Fields, Reply};
use wallcast_core::audit::Actor;
use wallcast_core::auth::Principal;
use wallcast_core::idempotency::Claim;
use wallcast_core::store::{Store, StoreError, WriteTx};

/// The largest page of a list.
const MAX_PAGE: usize = 1000;
/// The page of a list whose caller names no `limit`.
const DEFAULT_PAGE: usize = 100;

/// Which listener a connection came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// TLS, for everyone.
    Public,
    /// Plain HTTP behind a proxy or for development.
    Plain,
    /// Home Assistant's ingress.
    Ingress,
    /// The command line's socket.
    Local,
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The listener.
    pub listener: ListenerKind,
    /// The address, behind a trusted proxy the one that it forwards; none on the local socket.
    pub address: Option<IpAddr>,
}

impl Peer {
    /// The address for logs and the audit.
    pub fn shown(&self) -> String {
        self.address
            .map_or_else(|| "local".to_owned(), |address| address.to_string())
    }
}

/// One request, body read.
#[derive(Debug)]
pub struct Request {
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) peer: Peer,
    pub(crate) caller: Option<Caller>,
    /// Set where the answer is to be kept for whoever sends the request again.
    pub(crate) claim: Option<Arc<Claim>>,
}

/// A proven caller.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who.
    pub principal: Principal,
    /// The hash of the session id that it came with, if by cookie or opaque bearer.
    pub session_hash: Option<[u8; 32]>,
}

impl Request {
    /// A request that came by no listener: somebody inside asks for what a POST with this body would.
    pub fn inside(principal: Principal, body: &serde_json::Map<String, Value>) -> Self {
        let json = HeaderValue::from_static("application/json");
        Self {
            parameters: Vec::new(),
            query: None,
            headers: HeaderMap::from_iter([(CONTENT_TYPE, json)]),
            body: wallcast_core::event::to_json(body).into(),
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

    /// A part of the path that the route names in braces.
    pub fn parameter(&self, name: &str) -> &str {
        self.parameters
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value.as_str())
    }

    /// The first value of a query parameter.
    pub fn query(&self, name: &str) -> Option<String> {
        let query = self.query.as_deref()?;
        form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// Every value of a query parameter that may come more than once.
    pub fn query_all(&self, name: &str) -> Vec<String> {
        let query = self.query.as_deref().unwrap_or_default();
        form_urlencoded::parse(query.as_bytes())
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
            .collect()
    }

    /// A header's value, as far as it is text.
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Who asks, on routes that need to know.
    ///
    /// # Errors
    /// 401 when nobody is proven.
    pub fn principal(&self) -> Result<&Principal, ApiError> {
        self.caller().map(|caller| &caller.principal)
    }

    /// Who asks and how, on routes that need to know.
    ///
    /// # Errors
    /// 401 when nobody is proven.
    pub fn caller(&self) -> Result<&Caller, ApiError> {
        self.caller.as_ref().ok_or_else(|| {
            ApiError::unauthenticated(
                "unauthenticated",
                "A token is required: send it as Authorization: Bearer",
            )
        })
    }

    /// The caller as the audit keeps it.
    ///
    /// # Errors
    /// 401 when nobody is proven.
    pub fn actor(&self) -> Result<Actor, ApiError> {
        Ok(Actor::new(&self.principal()?.subject, self.peer.shown()))
    }

    /// The session id in the request's cookie, if there is one.
    pub fn session_cookie(&self) -> Option<String> {
        super::session_cookie(&self.headers)
    }

    /// Where the request came from.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Runs `change` and answers after its commit. A write goes through this one, so that its
    /// answer is kept in its own transaction where the caller brought an `Idempotency-Key`; the
    /// answer tells what will be once the change is committed.
    ///
    /// # Errors
    /// As [`Store::write`].
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
                        .store(tx, &reply.to_keep())
                        .map_err(StoreError::from)?;
                }
                Ok(reply)
            })
            .await
    }

    /// Answers after something was done outside of the store, which no transaction holds: the answer
    /// is kept where the caller brought an `Idempotency-Key`, and nothing is written where not. A
    /// crash in between may have it done twice.
    ///
    /// # Errors
    /// The store's.
    pub async fn done(&self, store: &Store, reply: Reply) -> Result<Reply, ApiError> {
        if self.claim.is_none() {
            return Ok(reply);
        }
        self.write(store, move |_| Ok(reply)).await
    }

    /// The body's length in bytes.
    pub fn body_len(&self) -> usize {
        self.body.len()
    }

    /// The body as a JSON object; an empty body has no fields.
    ///
    /// # Errors
    /// 415 for another type, 400 when it is not a JSON object.
    pub fn fields(&self) -> Result<Fields, ApiError> {
        if self.body.is_empty() {
            return Ok(Fields::default());
        }
        let is_json = self
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
        if !is_json {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Send the body as Content-Type: application/json",
            ));
        }
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(object)) => Ok(Fields::new(object)),
            Ok(_) => Err(not_json("The body must be a JSON object")),
            Err(error) => Err(not_json(format!("The body is not JSON: {error}"))),
        }
    }

    /// `limit` of a list, 1 to 1000.
    ///
    /// # Errors
    /// 422 that names it.
    pub fn limit(&self) -> Result<usize, ApiError> {
        match self.query("limit") {
            None => Ok(DEFAULT_PAGE),
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=MAX_PAGE).contains(limit))
                .ok_or_else(|| ApiError::field("limit", format!("limit must be 1 to {MAX_PAGE}"))),
        }
    }

    /// The name by which the caller reached us, for links back: `Host`, as far as it is one.
    pub fn host(&self) -> Option<&str> {
        let host = self.headers.get(HOST)?.to_str().ok()?;
        let clean = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        (!host.is_empty() && host.chars().all(clean)).then_some(host)
    }
}

fn not_json(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", message)
}
