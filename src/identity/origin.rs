//! Which web pages may call Wallcast: its own and those of `cors_origins` (Fetch standard,
//! `docs/protocol.md#browser-origins`).

use hyper::HeaderMap;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, HOST, HeaderValue, ORIGIN, VARY,
};

use crate::config::{Config, WebOrigin};
use crate::http::{ListenerKind, Response};

/// The page that sent a request, by the headers that browsers add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Site {
    /// One of Wallcast's own pages, or not a browser.
    Own,
    /// A page of an origin in `cors_origins`.
    Allowed,
    /// Any other page.
    Foreign,
}

/// Classifies a request by its `Origin` and `Sec-Fetch-Site` headers. `is_page` is true for pages, which a person may
/// open from anywhere.
pub(crate) fn site_of(
    headers: &HeaderMap,
    listener: ListenerKind,
    config: &Config,
    is_page: bool,
) -> Site {
    let Some(origin) = headers.get(ORIGIN) else {
        return match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
            None | Some(b"same-origin") => Site::Own,
            Some(b"none") if is_page => Site::Own,
            Some(_) => Site::Foreign,
        };
    };
    let Ok(origin) = origin.to_str() else {
        return Site::Foreign;
    };
    let Ok(origin) = origin.parse::<WebOrigin>() else {
        return Site::Foreign;
    };
    if own_origin(headers, listener).is_some_and(|own| own == origin) {
        Site::Own
    } else if config.cors_origins.contains(&origin) {
        Site::Allowed
    } else {
        Site::Foreign
    }
}

/// The origin of Wallcast's own pages as the browser sees it.
fn own_origin(headers: &HeaderMap, listener: ListenerKind) -> Option<WebOrigin> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let host = headers.get(HOST)?.to_str().ok()?;
    let (scheme, host) = match listener {
        ListenerKind::Public => ("https", host),
        ListenerKind::Ingress => (text("x-forwarded-proto")?, text("x-forwarded-host")?),
        ListenerKind::Plain | ListenerKind::Local => (
            text("x-forwarded-proto").unwrap_or("http"),
            text("x-forwarded-host").unwrap_or(host),
        ),
    };
    format!("{scheme}://{host}").parse().ok()
}

/// Adds the CORS headers that let a page of `cors_origins` read the response.
pub(crate) fn allow(response: &mut Response, origin: Option<&HeaderValue>, config: &Config) {
    let headers = response.headers_mut();
    if config.cors_origins.is_empty() {
        return;
    }
    headers.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin.filter(|origin| is_allowed(origin, config)) else {
        return;
    };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(
        ACCESS_CONTROL_ALLOW_CREDENTIALS,
        HeaderValue::from_static("true"),
    );
}

fn is_allowed(origin: &HeaderValue, config: &Config) -> bool {
    let origin = origin
        .to_str()
        .ok()
        .and_then(|text| text.parse::<WebOrigin>().ok());
    origin.is_some_and(|origin| config.cors_origins.contains(&origin))
}

/// Adds the headers of a response to a CORS preflight.
pub(crate) fn allow_preflight(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE"),
    );
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("Authorization, Content-Type, Idempotency-Key, Last-Event-ID"),
    );
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
}
