//! The local certificate authority and the page that shows why access was refused.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::CONTENT_SECURITY_POLICY;

use crate::app::App;
use crate::http::{ApiError, Reply, Request};
use crate::web::{self, RequestedFile};

/// The page runs no script. Home Assistant shows it in a frame of its own origin (`docs/protocol.md#ingress`).
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'self'";

/// `GET /ca.crt`: the local certificate authority, to be installed on tablets.
pub(super) async fn authority(app: Arc<App>, _request: Request) -> Result<Reply, ApiError> {
    match app.certificates.authority() {
        Some(ca) => Ok(Reply::bytes("application/x-x509-ca-cert", ca.pem)),
        None => Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "There is no local certificate authority: this server uses its own certificate files",
        )),
    }
}

/// Renders an error as a page. `root` is the relative path from the page's URL to the top.
pub(super) fn error_page(error: &ApiError, root: &str) -> Reply {
    let page = web::tree(RequestedFile::Page).render("refused.html", root);
    let page = page.replace("{{reason}}", &escape_html(error.message()));
    Reply::bytes("text/html; charset=utf-8", page)
        .with_header(CONTENT_SECURITY_POLICY, POLICY)
        .with_status(error.status())
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_escaped() {
        assert_eq!(
            escape_html("<a href=\"x\">&"),
            "&lt;a href=&quot;x&quot;&gt;&amp;"
        );
    }
}
