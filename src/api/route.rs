//! A line of the route table: method, path, who may call it, and its handler.

use std::pin::Pin;
use std::sync::Arc;

use hyper::Method;

use crate::app::App;
use crate::http::{ApiError, Reply, Request};

pub(super) type HandlerFuture = Pin<Box<dyn Future<Output = Result<Reply, ApiError>> + Send>>;
pub(super) type Handler = fn(Arc<App>, Request) -> HandlerFuture;

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Anyone, on every listener.
    Public,
    /// Anyone, but only admins on ingress.
    AdminOnIngress,
    /// A page: anyone, but only admins on ingress. Errors are HTML.
    Page,
    /// Any valid token, including that of a tablet that waits to be paired.
    AnyToken,
    /// Admins, paired tablets and users.
    AdminClientOrUser,
    /// Admins and paired tablets.
    AdminOrClient,
    Admin,
}

impl Access {
    /// Whether callers must authenticate on every listener.
    pub(super) fn needs_token(self) -> bool {
        !matches!(self, Self::Public | Self::AdminOnIngress | Self::Page)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RouteFlag {
    /// The request or its reply contains a secret, or the request ends the caller's own credential. The reply is
    /// never stored, so the route does not support `Idempotency-Key`.
    Secret,
}

pub(super) struct Route {
    /// The path, with its parameters in braces.
    pub(super) path: &'static str,
    pub(super) method: Method,
    pub(super) access: Access,
    pub(super) handler: Handler,
    pub(super) flags: &'static [RouteFlag],
}

impl Route {
    /// Whether the route supports `Idempotency-Key`: all authenticated writes do, except those with
    /// [`RouteFlag::Secret`]. Their handlers must write through [`Request::write`].
    pub(super) fn supports_idempotency_key(&self) -> bool {
        self.access.needs_token()
            && self.method != Method::GET
            && !self.flags.contains(&RouteFlag::Secret)
    }
}
