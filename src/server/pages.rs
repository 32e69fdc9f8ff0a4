//! The plain pages: what this is and what to do next, and why somebody was refused.
//!
//! They run no script and load nothing from elsewhere; every URL in them is relative, so that they
//! stand under ingress's prefix as well.

use std::sync::Arc;

use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};

use super::{ApiError, Reply, Request};
use crate::app::App;

const START: &str = include_str!("../web/start.html");
const REFUSED: &str = include_str!("../web/refused.html");
const STYLE: &str = include_str!("../web/start.css");
const ICON: &str = include_str!("../web/icon.svg");

/// Home Assistant shows the ingress page in a frame of its own origin (contract section 2).
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'self'";

fn html(page: String) -> Reply {
    Reply::bytes("text/html; charset=utf-8", page).with_header(CONTENT_SECURITY_POLICY, POLICY)
}

/// `GET /`
pub(super) async fn start(_app: Arc<App>, _request: Request) -> Result<Reply, ApiError> {
    Ok(html(
        START.replace("{{version}}", env!("CARGO_PKG_VERSION")),
    ))
}

/// `GET /start.css`
pub(super) async fn style(_app: Arc<App>, _request: Request) -> Result<Reply, ApiError> {
    Ok(Reply::bytes("text/css; charset=utf-8", STYLE).with_header(CACHE_CONTROL, "no-cache"))
}

/// `GET /icon.svg`
pub(super) async fn icon(_app: Arc<App>, _request: Request) -> Result<Reply, ApiError> {
    Ok(Reply::bytes("image/svg+xml", ICON).with_header(CACHE_CONTROL, "no-cache"))
}

/// `GET /ca.crt`: the local CA, to be installed on tablets.
pub(super) async fn authority(app: Arc<App>, _request: Request) -> Result<Reply, ApiError> {
    match app.certificates.authority() {
        Some(ca) => Ok(Reply::bytes("application/x-x509-ca-cert", ca.pem)),
        None => Err(ApiError::not_found(
            "local CA: this house brings its own certificate",
        )),
    }
}

/// A refusal as a page.
pub(super) fn refusal(error: &ApiError) -> Reply {
    html(REFUSED.replace("{{reason}}", &escape(error.message()))).with_status(error.status())
}

/// Text as HTML shows it.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_escaped() {
        assert_eq!(
            escape("<a href=\"x\">&"),
            "&lt;a href=&quot;x&quot;&gt;&amp;"
        );
    }

    #[test]
    fn pages_load_nothing_from_elsewhere() {
        for page in [START, REFUSED] {
            for absolute in [
                "http://", "https://", "href=\"/", "src=", "<script", "style=\"",
            ] {
                assert!(!page.contains(absolute), "{absolute}");
            }
        }
    }
}
