//! The web apps over HTTP: pages that are asked for anew each time, and what they load, which is
//! kept for good under a URL that names its version (RFC 9110 section 8.8, RFC 9111).

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, HeaderName,
    IF_NONE_MATCH, LOCATION, REFERRER_POLICY, VARY,
};

use crate::app::App;
use crate::http::{ApiError, ListenerKind, Reply, Request};
use crate::web::{File, Moment, tree};

const ANEW: &str = "no-cache";
const FOR_GOOD: &str = "public, max-age=31536000, immutable";

/// Who may show a page in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framed {
    Never,
    /// Home Assistant shows the ingress page in a frame of its own origin (contract section 2).
    BySameOrigin,
}

/// `GET /`: the admin's page on ingress, the tablet's app elsewhere.
pub(super) async fn home(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    match request.peer().listener {
        ListenerKind::Ingress => Ok(page(&request, "admin/index.html", "", Framed::BySameOrigin)),
        _ => tablet(app, request).await,
    }
}

/// `GET /pair`: the tablet's app too; the code stands in the fragment, which no server sees.
pub(super) async fn tablet(_app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    Ok(page(&request, "tablet/index.html", "", Framed::Never))
}

/// `GET /admin`: relative links need the slash.
pub(super) async fn to_admin(_app: Arc<App>, _request: Request) -> Result<Reply, ApiError> {
    Ok(Reply::bytes("text/plain; charset=utf-8", "admin/")
        .with_status(StatusCode::PERMANENT_REDIRECT)
        .with_header(LOCATION, "admin/"))
}

/// `GET /admin/`
pub(super) async fn admin(_app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    Ok(page(
        &request,
        "admin/index.html",
        "../",
        Framed::BySameOrigin,
    ))
}

/// `GET /assets/{version}/{path}`. Of a version that is not this binary's, what there is now, but not
/// for good: a page that was open over an update still finds what it needs.
pub(super) async fn asset(_app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let tree = tree(Moment::Asset);
    let file = tree
        .file(request.parameter("path"))
        .ok_or_else(|| ApiError::not_found("path"))?;
    let caching = match request.parameter("version") == tree.version() {
        true => FOR_GOOD,
        false => ANEW,
    };
    Ok(serve(&request, file, caching))
}

/// `GET /wallcast.js`: the client module, for other tablet apps.
pub(super) async fn client_module(_app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    named(&request, "wallcast.js")
}

/// `GET /sw.js`: at the top, since a service worker rules only what lies below it. It names the
/// version of what it keeps.
pub(super) async fn service_worker(_app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let tree = tree(Moment::Asset);
    let text = tree.page("tablet/sw.js", "");
    let reply = Reply::bytes("text/javascript; charset=utf-8", text);
    Ok(tagged(&request, reply, tree.version(), ANEW))
}

/// `GET /manifest.webmanifest`
pub(super) async fn manifest(_app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let tree = tree(Moment::Asset);
    let text = tree.page("tablet/manifest.webmanifest", "");
    let reply = Reply::bytes("application/manifest+json", text);
    Ok(tagged(&request, reply, tree.version(), ANEW))
}

fn named(request: &Request, path: &str) -> Result<Reply, ApiError> {
    let tree = tree(Moment::Asset);
    let file = tree.file(path).ok_or_else(|| ApiError::not_found("path"))?;
    Ok(serve(request, file, ANEW))
}

fn page(request: &Request, path: &str, root: &str, framed: Framed) -> Reply {
    let tree = tree(Moment::Page);
    let reply = Reply::bytes("text/html; charset=utf-8", tree.page(path, root));
    tagged(request, reply, tree.version(), ANEW)
        .with_header(CONTENT_SECURITY_POLICY, &policy(request, framed))
        .with_header(REFERRER_POLICY, "no-referrer")
        .with_header(
            HeaderName::from_static("permissions-policy"),
            "camera=(self), microphone=(), geolocation=()",
        )
}

/// What a page may do: run and load what is ours, and speak with us. Safari before 15.4 does not
/// count our own WebSockets as `'self'`, so they are named. A picture may stand in a page as `data:`,
/// which is how QR codes are shown.
fn policy(request: &Request, framed: Framed) -> String {
    let sockets = match (request.peer().listener, request.host()) {
        (ListenerKind::Public, Some(host)) => format!(" wss://{host}"),
        _ => String::new(),
    };
    let ancestors = match framed {
        Framed::Never => "'none'",
        Framed::BySameOrigin => "'self'",
    };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'{sockets}; manifest-src 'self'; worker-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors {ancestors}"
    )
}

/// A file in the form that the caller can read.
fn serve(request: &Request, file: &File, caching: &str) -> Reply {
    let gzip = file
        .gzip
        .as_ref()
        .filter(|_| takes_gzip(request.header(ACCEPT_ENCODING)));
    match gzip {
        Some(gzip) => {
            let reply = Reply::bytes(file.content_type, gzip.clone());
            let tag = format!("{}-gzip", file.hash);
            match tagged(request, reply, &tag, caching) {
                reply if reply.status() == StatusCode::NOT_MODIFIED => reply,
                reply => reply.with_header(CONTENT_ENCODING, "gzip"),
            }
        }
        None => {
            let reply = Reply::bytes(file.content_type, file.plain.clone());
            tagged(request, reply, &file.hash, caching)
        }
    }
    .with_header(VARY, "Accept-Encoding")
}

/// The same with its tag, or 304 where the caller has it already.
fn tagged(request: &Request, reply: Reply, tag: &str, caching: &str) -> Reply {
    let tag = format!("\"{tag}\"");
    let has_it = request
        .header(IF_NONE_MATCH)
        .is_some_and(|known| names(known, &tag));
    let reply = match has_it {
        true => Reply::no_content().with_status(StatusCode::NOT_MODIFIED),
        false => reply,
    };
    reply
        .with_header(ETAG, &tag)
        .with_header(CACHE_CONTROL, caching)
}

/// Whether `If-None-Match` names this tag; weak ones count (RFC 9110 section 13.1.2).
fn names(known: &str, tag: &str) -> bool {
    known.trim() == "*"
        || known
            .split(',')
            .any(|one| one.trim().trim_start_matches("W/") == tag)
}

/// Whether `Accept-Encoding` takes gzip (RFC 9110 section 12.5.3). None at all, as on ingress, takes
/// what is not encoded.
fn takes_gzip(accepted: Option<&str>) -> bool {
    let mut any = None;
    for part in accepted.unwrap_or_default().split(',') {
        let (name, parameters) = part.split_once(';').unwrap_or((part, ""));
        let wanted = !parameters
            .trim()
            .strip_prefix("q=")
            .is_some_and(|weight| weight.trim().parse() == Ok(0.0));
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") => return wanted,
            "*" => any = Some(wanted),
            _ => {}
        }
    }
    any.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_who_takes_it() {
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
            assert_eq!(takes_gzip(accepted), expected, "{accepted:?}");
        }
    }

    #[test]
    fn a_tag_is_found_among_others() {
        for known in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(names(known, "\"a\""), "{known}");
        }
        for known in ["\"b\"", "a", "", "\"a-gzip\""] {
            assert!(!names(known, "\"a\""), "{known}");
        }
    }
}
