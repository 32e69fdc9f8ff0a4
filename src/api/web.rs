//! Serves the web apps: pages, which browsers revalidate on each load, and assets, whose URLs contain the version
//! so that browsers can cache them forever (RFC 9110 section 8.8, RFC 9111).

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, HeaderName,
    IF_NONE_MATCH, LOCATION, REFERRER_POLICY, VARY,
};

use crate::app::App;
use crate::http::{ApiError, ListenerKind, Reply, Request};
use crate::web::{File, RequestedFile, tree};

const REVALIDATE: &str = "no-cache";
const CACHE_FOREVER: &str = "public, max-age=31536000, immutable";

/// Which pages may show this page in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FrameAncestors {
    None,
    /// Home Assistant shows the ingress page in a frame of its own origin (`docs/protocol.md#ingress`).
    SameOrigin,
}

/// `GET /`: the admin app on ingress, the tablet app on the other listeners.
pub(super) async fn home(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    match request.peer().listener {
        ListenerKind::Ingress => Ok(page(
            &request,
            "admin/index.html",
            "",
            FrameAncestors::SameOrigin,
        )),
        _ => tablet(app, request).await,
    }
}

/// `GET /pair`: the tablet app. The pairing code is in the URL's fragment, which browsers do not send.
pub(super) async fn tablet(_app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    Ok(page(
        &request,
        "tablet/index.html",
        "",
        FrameAncestors::None,
    ))
}

/// `GET /admin`: redirects to `/admin/`, because the page's links are relative.
pub(super) async fn redirect_to_admin(
    _app: Arc<App>,
    _request: Request,
) -> Result<Reply, ApiError> {
    Ok(Reply::bytes("text/plain; charset=utf-8", "admin/")
        .with_status(StatusCode::PERMANENT_REDIRECT)
        .with_header(LOCATION, "admin/"))
}

pub(super) async fn admin(_app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    Ok(page(
        &request,
        "admin/index.html",
        "../",
        FrameAncestors::SameOrigin,
    ))
}

/// `GET /assets/{version}/{path}`. A page that was loaded before an update still asks for the old version: it gets
/// the current file, which it must not cache.
pub(super) async fn asset(_app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let tree = tree(RequestedFile::Asset);
    let file = tree
        .file(request.parameter("path"))
        .ok_or_else(|| ApiError::not_found("path"))?;
    let caching = match request.parameter("version") == tree.version() {
        true => CACHE_FOREVER,
        false => REVALIDATE,
    };
    Ok(serve(&request, file, caching))
}

/// `GET /wallcast.js`: the client module, which other apps may import.
pub(super) async fn client_module(_app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let tree = tree(RequestedFile::Asset);
    let file = tree
        .file("wallcast.js")
        .ok_or_else(|| ApiError::not_found("path"))?;
    Ok(serve(&request, file, REVALIDATE))
}

/// `GET /sw.js`: a service worker controls only the paths below its own, so it is served from the top. Its text
/// contains the version of the files that it caches.
pub(super) async fn service_worker(_app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let tree = tree(RequestedFile::Asset);
    let text = tree.render("tablet/sw.js", "");
    let reply = Reply::bytes("text/javascript; charset=utf-8", text);
    Ok(with_entity_tag(&request, reply, tree.version(), REVALIDATE))
}

pub(super) async fn manifest(_app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let tree = tree(RequestedFile::Asset);
    let text = tree.render("tablet/manifest.webmanifest", "");
    let reply = Reply::bytes("application/manifest+json", text);
    Ok(with_entity_tag(&request, reply, tree.version(), REVALIDATE))
}

fn page(request: &Request, path: &str, root: &str, frame_ancestors: FrameAncestors) -> Reply {
    let tree = tree(RequestedFile::Page);
    let reply = Reply::bytes("text/html; charset=utf-8", tree.render(path, root));
    with_entity_tag(request, reply, tree.version(), REVALIDATE)
        .with_header(
            CONTENT_SECURITY_POLICY,
            &content_security_policy(request, frame_ancestors),
        )
        .with_header(REFERRER_POLICY, "no-referrer")
        .with_header(
            HeaderName::from_static("permissions-policy"),
            "camera=(self), microphone=(), geolocation=()",
        )
}

/// A page may load and run only files of this server, and connect only to it. WebSockets are listed by host, because
/// Safari before 15.4 does not include them in `'self'`. QR codes are `data:` images.
fn content_security_policy(request: &Request, frame_ancestors: FrameAncestors) -> String {
    let sockets = match (request.peer().listener, request.host()) {
        (ListenerKind::Public, Some(host)) => format!(" wss://{host}"),
        _ => String::new(),
    };
    let ancestors = match frame_ancestors {
        FrameAncestors::None => "'none'",
        FrameAncestors::SameOrigin => "'self'",
    };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'{sockets}; manifest-src 'self'; worker-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors {ancestors}"
    )
}

/// Replies with a file, gzipped if the client accepts that.
fn serve(request: &Request, file: &File, caching: &str) -> Reply {
    let gzip = file
        .gzip
        .as_ref()
        .filter(|_| accepts_gzip(request.header(ACCEPT_ENCODING)));
    match gzip {
        Some(gzip) => {
            let reply = Reply::bytes(file.content_type, gzip.clone());
            let tag = format!("{}-gzip", file.hash);
            match with_entity_tag(request, reply, &tag, caching) {
                reply if reply.status() == StatusCode::NOT_MODIFIED => reply,
                reply => reply.with_header(CONTENT_ENCODING, "gzip"),
            }
        }
        None => {
            let reply = Reply::bytes(file.content_type, file.plain.clone());
            with_entity_tag(request, reply, &file.hash, caching)
        }
    }
    .with_header(VARY, "Accept-Encoding")
}

/// Adds an entity tag. Replies 304 if the client has the file already.
fn with_entity_tag(request: &Request, reply: Reply, tag: &str, caching: &str) -> Reply {
    let tag = format!("\"{tag}\"");
    let is_current = request
        .header(IF_NONE_MATCH)
        .is_some_and(|known| matches_tag(known, &tag));
    let reply = match is_current {
        true => Reply::no_content().with_status(StatusCode::NOT_MODIFIED),
        false => reply,
    };
    reply
        .with_header(ETAG, &tag)
        .with_header(CACHE_CONTROL, caching)
}

/// Whether `If-None-Match` contains this tag. Weak tags match too (RFC 9110 section 13.1.2).
fn matches_tag(known: &str, tag: &str) -> bool {
    known.trim() == "*"
        || known
            .split(',')
            .any(|one| one.trim().trim_start_matches("W/") == tag)
}

/// Whether `Accept-Encoding` allows gzip (RFC 9110 section 12.5.3). Without the header, as on ingress, files are sent
/// uncompressed.
fn accepts_gzip(accept_encoding: Option<&str>) -> bool {
    let mut wildcard = None;
    for part in accept_encoding.unwrap_or_default().split(',') {
        let (name, parameters) = part.split_once(';').unwrap_or((part, ""));
        let is_accepted = !parameters
            .trim()
            .strip_prefix("q=")
            .is_some_and(|weight| weight.trim().parse() == Ok(0.0));
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") => return is_accepted,
            "*" => wildcard = Some(is_accepted),
            _ => {}
        }
    }
    wildcard.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_accepted_as_the_header_says() {
        let table = [
            (None, false),
            (Some(""), false),
            (Some("identity"), false),
            (Some("gzip"), true),
            (Some("br, GZIP;q=0.5"), true),
            (Some("gzip;q=0"), false),
            (Some("gzip; q=0.0, *"), false),
            (Some("*"), true),
            (Some("*;q=0"), false),
            (Some("br"), false),
        ];
        for (accepted, expected) in table {
            assert_eq!(accepts_gzip(accepted), expected, "{accepted:?}");
        }
    }

    #[test]
    fn entity_tag_is_found_in_a_list() {
        for known in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(matches_tag(known, "\"a\""), "{known}");
        }
        for known in ["\"b\"", "a", "", "\"a-gzip\""] {
            assert!(!matches_tag(known, "\"a\""), "{known}");
        }
    }
}
