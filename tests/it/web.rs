//! The web apps' pages and files: where they lie, how they are kept, what they may do.

use crate::support::{Answer, Api, Daemon};

/// What a page's policy says of one kind of thing.
fn directive<'a>(policy: &'a str, name: &str) -> Option<&'a str> {
    let mut parts = policy.split(';').map(str::trim);
    parts.find_map(|part| part.strip_prefix(name)?.strip_prefix(' '))
}

/// No inline script or style, nothing from elsewhere, framed by Home Assistant at most.
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

/// The links of a page to what it loads, resolved from where it lies.
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
async fn each_page_loads_what_it_names_and_asks_anew() {
    let daemon = Daemon::start().await;
    let stranger = daemon.unauthenticated();
    for (path, folder) in [("/", "/"), ("/pair", "/"), ("/admin/", "/admin/")] {
        let page = stranger.get(path).await.expect(200);
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
            let file = stranger.get(&link).await.expect(200);
            let kept = file.header("cache-control").expect("how long to keep");
            assert_eq!(kept, "public, max-age=31536000, immutable", "{link}");
            let kind = file.header("content-type").expect("a type");
            let fits = match link.rsplit('.').next() {
                Some("js") => kind.starts_with("text/javascript"),
                Some("css") => kind.starts_with("text/css"),
                Some("svg") => kind == "image/svg+xml",
                Some("png") => kind == "image/png",
                _ => false,
            };
            assert!(fits, "{link}: {kind}");
        }
    }
    assert_eq!(
        directive(policy(&stranger.get("/").await), "frame-ancestors"),
        Some("'none'")
    );
    let moved = stranger.get("/admin").await.expect(308);
    assert_eq!(moved.header("location"), Some("admin/"));
    for path in [
        "/assets/x/nothing.js",
        "/assets/x/../Cargo.toml",
        "/assets/x/",
    ] {
        stranger.get(path).await.expect(404);
    }
}

#[tokio::test]
async fn what_a_browser_has_is_not_sent_again() {
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
            let tag = first.header("etag").expect("a tag").to_owned();
            let known = browser.clone().with_header("if-none-match", &tag);
            let again = known.get(path).await.expect(304);
            assert_eq!(again.text, "", "{path}");
            assert_eq!(again.header("etag"), Some(tag.as_str()), "{path}");
            assert_eq!(again.header("cache-control"), first.header("cache-control"));
            let other = browser.clone().with_header("if-none-match", "\"other\"");
            other.get(path).await.expect(200);
        }
    }
    // Of another version it is what there is now, but not for good.
    let version = script.split('/').nth(2).expect("a version");
    let old = script.replace(version, "an-older-one");
    let old = daemon.unauthenticated().get(&old).await.expect(200);
    assert_eq!(old.header("cache-control"), Some("no-cache"));
}

#[tokio::test]
async fn files_are_compressed_for_who_can_read_it() {
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
    let packed = browser.get("/wallcast.js").await.expect(200);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(packed.header("vary"), Some("Accept-Encoding"));
    assert_ne!(packed.header("etag"), plain.header("etag"));
    let length = |answer: &Answer| answer.header("content-length")?.parse::<usize>().ok();
    assert!(length(&packed) < length(&plain));
    assert!(length(&plain).is_some());
}

#[tokio::test]
async fn on_ingress_the_admins_page_stands_at_the_top() {
    let daemon = Daemon::with(&[
        ("INGRESS_LISTEN", "127.0.0.1:0"),
        ("INGRESS_FROM", "127.0.0.1"),
        ("INGRESS_VERIFY_ADMIN", "false"),
    ])
    .await;
    let ingress = Api::plain(daemon.ingress.expect("the ready line names it"));
    let page = ingress.get("/").await.expect(200);
    assert_strict(policy(&page));
    assert_eq!(directive(policy(&page), "frame-ancestors"), Some("'self'"));
    // Its links lead nowhere but below the prefix that Home Assistant puts before them.
    for link in links(&page, "/") {
        assert!(!link.contains(".."), "{link}");
        ingress.get(&link).await.expect(200);
    }
    let elsewhere = daemon.unauthenticated().get("/admin/").await.expect(200);
    assert_eq!(elsewhere.text.replace("../", ""), page.text);
}

#[tokio::test]
async fn sockets_of_our_own_pages_are_named_for_browsers_that_need_it() {
    let daemon = Daemon::start().await;
    let page = daemon.unauthenticated().get("/").await.expect(200);
    let connect = directive(policy(&page), "connect-src").expect("connect-src");
    let (own, sockets) = connect.split_once(' ').expect("both");
    assert_eq!(own, "'self'");
    assert!(sockets.starts_with("wss://localhost"), "{sockets}");
}
