//! The house's certificate, and the page that says why somebody was refused.

use std::sync::Arc;

use hyper::header::CONTENT_SECURITY_POLICY;

use crate::app::App;
use crate::http::{ApiError, Reply, Request};
use crate::web::{self, Moment};

/// It runs no script. Home Assistant shows it in a frame of its own origin (contract section 2).
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'self'";

/// `GET /ca.crt`: the local CA, to be installed on tablets.
pub(super) async fn authority(app: Arc<App>, _request: Request) -> Result<Reply, ApiError> {
    match app.certificates.authority() {
        Some(ca) => Ok(Reply::bytes("application/x-x509-ca-cert", ca.pem)),
        None => Err(ApiError::not_found(
            "local CA: this house brings its own certificate",
        )),
    }
}

/// A refusal as a page that lies `root` below the top.
pub(super) fn refusal(error: &ApiError, root: &str) -> Reply {
    let page = web::tree(Moment::Page).page("refused.html", root);
    let page = page.replace("{{reason}}", &escape(error.message()));
    Reply::bytes("text/html; charset=utf-8", page)
        .with_header(CONTENT_SECURITY_POLICY, POLICY)
        .with_status(error.status())
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
}
