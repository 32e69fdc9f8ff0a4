//! The pages and files of the web apps: their paths, caching, compression and content security
//! policy.

use crate::support::{Answer, Api, Daemon};

/// The value of one directive of a content security policy.
fn directive<'a>(policy: &'a str, name: &str) -> Option<&'a str> {
    let mut parts = policy.split(';').map(str::trim);
    parts.find_map(|part| part.strip_prefix(name)?.strip_prefix(' '))
}

/// Asserts that a policy allows no inline script or style and no other origin, and at most its own
/// origin (Home Assistant on ingress) as frame ancestor.
pub fn assert_strict(policy: &str) {
    assert_eq!(directive(policy, "default-src"), Some("'none'"), "{policy}");
    assert_eq!(directive(policy, "base-uri"), Some("'none'"), "{policy}");
    assert_eq!(directive(policy, "style-src"), Some("'self'"), "{policy}");
    let ancestors = directive(policy, "frame-ancestors");
    assert!(matches!(ancestors, Some("'self'" | "'none'")), "{policy}");
    for script in ["script-src", "worker-src"] {
        assert!(
            matches!(directive(policy, script), None | Some("'self'")),
            "{policy}"
        );
    }
    for lax in ["unsafe", "*", "http:", "blob:"] {
        assert!(!policy.contains(lax), "{policy}");
    }
}

fn policy(page: &Answer) -> &str {
    page.header("content-security-policy").expect("a policy")
}

/// The paths of the assets that a page loads, resolved against the folder of the page.
fn links(page: &Answer, folder: &str) -> Vec<String> {
    let attributes = page.text.split('"').skip(1).step_by(2);
    let loaded = attributes.filter(|value| value.contains("assets/"));
    loaded
        .map(|link| match link.strip_prefix("../") {
            Some(above) if folder != "/" => format!("/{above}"),
            _ => format!("{folder}{link}"),
        })
        .collect()
}

#[tokio::test]
async fn pages_revalidate_and_their_assets_are_immutable() {
    let daemon = Daemon::start().await;
    let anonymous = daemon.unauthenticated();
    for (path, folder) in [("/", "/"), ("/pair", "/"), ("/admin/", "/admin/")] {
        let page = anonymous.get(path).await.expect(200);
        assert_eq!(
            page.header("content-type"),
            Some("text/html; charset=utf-8"),
            "{path}"
        );
        assert_eq!(page.header("cache-control"), Some("no-cache"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert_strict(policy(&page));
        let links = links(&page, folder);
        assert!(links.len() > 1, "{path}");
        for link in links {
            let file = anonymous.get(&link).await.expect(200);
            let caching = file
                .header("cache-control")
                .expect("a cache-control header");
            assert_eq!(caching, "public, max-age=31536000, immutable", "{link}");
            let content_type = file.header("content-type").expect("a content type");
            let fits = match link.rsplit('.').next() {
                Some("js") => content_type.starts_with("text/javascript"),
                Some("css") => content_type.starts_with("text/css"),
                Some("svg") => content_type == "image/svg+xml",
                Some("png") => content_type == "image/png",
                _ => false,
            };
            assert!(fits, "{link}: {content_type}");
        }
    }
    assert_eq!(
        directive(policy(&anonymous.get("/").await), "frame-ancestors"),
        Some("'none'")
    );
    let moved = anonymous.get("/admin").await.expect(308);
    assert_eq!(moved.header("location"), Some("admin/"));
    for path in [
        "/assets/x/nothing.js",
        "/assets/x/../Cargo.toml",
        "/assets/x/",
    ] {
        anonymous.get(path).await.expect(404);
    }
}

#[tokio::test]
async fn matching_etag_gets_304() {
    let daemon = Daemon::start().await;
    let page = daemon.unauthenticated().get("/").await.expect(200);
    let script = links(&page, "/")
        .into_iter()
        .find(|link| link.ends_with(".js"))
        .expect("a script");
    for path in [
        "/",
        "/admin/",
        "/wallcast.js",
        "/sw.js",
        "/manifest.webmanifest",
        &script,
    ] {
        for encoding in ["gzip", "identity"] {
            let browser = daemon
                .unauthenticated()
                .with_header("accept-encoding", encoding);
            let first = browser.get(path).await.expect(200);
            let tag = first.header("etag").expect("an etag").to_owned();
            let known = browser.clone().with_header("if-none-match", &tag);
            let again = known.get(path).await.expect(304);
            assert_eq!(again.text, "", "{path}");
            assert_eq!(again.header("etag"), Some(tag.as_str()), "{path}");
            assert_eq!(again.header("cache-control"), first.header("cache-control"));
            let other = browser.clone().with_header("if-none-match", "\"other\"");
            other.get(path).await.expect(200);
        }
    }
    // A path with the version of another release serves the current file, but not as immutable.
    let version = script.split('/').nth(2).expect("a version");
    let old = script.replace(version, "an-older-one");
    let old = daemon.unauthenticated().get(&old).await.expect(200);
    assert_eq!(old.header("cache-control"), Some("no-cache"));
}

#[tokio::test]
async fn files_are_compressed_if_client_accepts_gzip() {
    let daemon = Daemon::start().await;
    let plain = daemon
        .unauthenticated()
        .get("/wallcast.js")
        .await
        .expect(200);
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(plain.header("vary"), Some("Accept-Encoding"));
    assert!(plain.text.contains("export"), "{}", plain.text);
    let browser = daemon
        .unauthenticated()
        .with_header("accept-encoding", "gzip, br");
    let compressed = browser.get("/wallcast.js").await.expect(200);
    assert_eq!(compressed.header("content-encoding"), Some("gzip"));
    assert_eq!(compressed.header("vary"), Some("Accept-Encoding"));
    assert_ne!(compressed.header("etag"), plain.header("etag"));
    let length = |answer: &Answer| answer.header("content-length")?.parse::<usize>().ok();
    assert!(length(&compressed) < length(&plain));
    assert!(length(&plain).is_some());
}

#[tokio::test]
async fn ingress_serves_admin_page_at_root() {
    let daemon = Daemon::with(&[
        ("INGRESS_LISTEN", "127.0.0.1:0"),
        ("INGRESS_FROM", "127.0.0.1"),
        ("INGRESS_VERIFY_ADMIN", "false"),
    ])
    .await;
    let ingress = Api::plain(
        daemon
            .ingress
            .expect("an ingress address in the ready line"),
    );
    let page = ingress.get("/").await.expect(200);
    assert_strict(policy(&page));
    assert_eq!(directive(policy(&page), "frame-ancestors"), Some("'self'"));
    // Home Assistant serves ingress below a path prefix, so no link may lead above the page.
    for link in links(&page, "/") {
        assert!(!link.contains(".."), "{link}");
        ingress.get(&link).await.expect(200);
    }
    let at_admin_path = daemon.unauthenticated().get("/admin/").await.expect(200);
    assert_eq!(at_admin_path.text.replace("../", ""), page.text);
}

#[tokio::test]
async fn connect_src_names_own_websocket_origin() {
    let daemon = Daemon::start().await;
    let page = daemon.unauthenticated().get("/").await.expect(200);
    // Not every browser lets `'self'` cover the `wss:` scheme.
    let connect = directive(policy(&page), "connect-src").expect("connect-src");
    let (own, sockets) = connect.split_once(' ').expect("two sources");
    assert_eq!(own, "'self'");
    assert!(sockets.starts_with("wss://localhost"), "{sockets}");
}
