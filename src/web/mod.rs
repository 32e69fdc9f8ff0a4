//! The web apps' files (`web/`): what lies in the binary, under which version, and in which forms.
//!
//! Knows nothing of requests; `routes` answers them. A debug build reads the folder again whenever a
//! page is asked for, so that a reload shows a change without compiling.

use std::collections::BTreeMap;
use std::sync::Arc;
#[cfg(not(debug_assertions))]
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use ring::digest::{Context, SHA256, digest};

/// Each file's path below `web/`, its bytes, and the same gzipped (empty where that is no gain).
type Embedded = (&'static str, &'static [u8], &'static [u8]);

static EMBEDDED: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/web.rs"));

/// All files of one moment.
#[derive(Debug)]
pub struct Tree {
    version: String,
    files: BTreeMap<String, File>,
}

/// One file.
#[derive(Clone, Debug)]
pub struct File {
    /// What it is, as `Content-Type` says it.
    pub content_type: &'static str,
    /// Its bytes.
    pub plain: Bytes,
    /// The same gzipped, where that is smaller.
    pub gzip: Option<Bytes>,
    /// A name that only these bytes have.
    pub hash: String,
}

impl Tree {
    /// What this binary brings.
    pub fn embedded() -> Self {
        let files = EMBEDDED.iter().map(|(path, plain, gzip)| {
            let gzip = (!gzip.is_empty()).then(|| Bytes::from_static(gzip));
            (
                (*path).to_owned(),
                file(path, Bytes::from_static(plain), gzip),
            )
        });
        Self::of(files.collect())
    }

    fn of(files: BTreeMap<String, File>) -> Self {
        let mut context = Context::new(&SHA256);
        for (path, file) in &files {
            context.update(path.as_bytes());
            context.update(file.hash.as_bytes());
        }
        let version = short(context.finish().as_ref());
        Self { version, files }
    }

    /// The name of all of them together: URLs that contain it never change their answer.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// A file by its path below `web/`.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.get(path)
    }

    /// A page, with its links to what it loads made for one that lies `root` below the top: `""` or
    /// `"../"`. Empty if there is no such page.
    pub fn page(&self, path: &str, root: &str) -> String {
        let text = self.file(path).map(|file| file.plain.as_ref());
        String::from_utf8_lossy(text.unwrap_or_default())
            .replace("{{root}}", root)
            .replace("{{assets}}", &format!("{root}assets/{}", self.version))
            .replace("{{version}}", env!("CARGO_PKG_VERSION"))
    }
}

fn file(path: &str, plain: Bytes, gzip: Option<Bytes>) -> File {
    File {
        content_type: content_type(path),
        hash: short(digest(&SHA256, &plain).as_ref()),
        plain,
        gzip,
    }
}

/// 96 bits of a digest, as URLs and entity tags may have them.
fn short(digest: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest.get(..12).unwrap_or(digest))
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webmanifest") => "application/manifest+json",
        _ => "text/plain; charset=utf-8",
    }
}

/// The files as they are now; `Moment::Page` has a debug build look at the folder again.
#[cfg(not(debug_assertions))]
pub fn tree(_moment: Moment) -> Arc<Tree> {
    static TREE: LazyLock<Arc<Tree>> = LazyLock::new(|| Arc::new(Tree::embedded()));
    TREE.clone()
}

#[cfg(debug_assertions)]
pub use folder::tree;

/// What the files are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A page, which begins anew.
    Page,
    /// What a page loads.
    Asset,
}

#[cfg(debug_assertions)]
mod folder {
    //! The source folder, for debug builds that run where they were built.

    use std::io;
    use std::path::Path;
    use std::sync::{Mutex, PoisonError};

    use super::{Arc, BTreeMap, Bytes, File, Moment, Tree, file};

    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/web");

    static LAST: Mutex<Option<Arc<Tree>>> = Mutex::new(None);

    /// The files as they are now; `Moment::Page` has the folder looked at again.
    pub fn tree(moment: Moment) -> Arc<Tree> {
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(tree) if moment == Moment::Asset => tree.clone(),
            _ => {
                let tree = Arc::new(read());
                *last = Some(tree.clone());
                tree
            }
        }
    }

    fn read() -> Tree {
        let embedded = Tree::embedded();
        let mut files = BTreeMap::new();
        let root = Path::new(FOLDER);
        match walk(root, root, &embedded, &mut files) {
            Ok(()) if !files.is_empty() => Tree::of(files),
            _ => embedded,
        }
    }

    fn walk(
        root: &Path,
        folder: &Path,
        embedded: &Tree,
        files: &mut BTreeMap<String, File>,
    ) -> io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                walk(root, &path, embedded, files)?;
                continue;
            }
            let name = path.strip_prefix(root).map_err(io::Error::other)?;
            let name = name.to_string_lossy().into_owned();
            let found = file(&name, Bytes::from(std::fs::read(&path)?), None);
            // What has not changed since the build has its compressed form too.
            let same = embedded.file(&name).filter(|same| same.hash == found.hash);
            files.insert(name, same.cloned().unwrap_or(found));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn compressed_forms_say_the_same_and_are_smaller() {
        let tree = Tree::embedded();
        let mut compressed = 0;
        for (path, file) in &tree.files {
            let Some(gzip) = &file.gzip else { continue };
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(gzip.as_ref())
                .read_to_end(&mut plain)
                .unwrap();
            assert_eq!(plain, file.plain, "{path}");
            assert!(gzip.len() < plain.len(), "{path}");
            compressed += 1;
        }
        assert!(compressed > 5);
    }

    #[test]
    fn another_byte_is_another_version() {
        let with = |text: &'static str| {
            let file = file("a.js", Bytes::from_static(text.as_bytes()), None);
            Tree::of(BTreeMap::from([("a.js".to_owned(), file)]))
        };
        assert_eq!(with("1").version(), with("1").version());
        assert_ne!(with("1").version(), with("2").version());
    }

    #[test]
    fn pages_load_nothing_from_elsewhere_and_hold_no_script() {
        let tree = Tree::embedded();
        for page in ["tablet/index.html", "admin/index.html", "refused.html"] {
            for root in ["", "../"] {
                let text = tree.page(page, root);
                for foreign in [
                    "http:", "https:", "=\"/", "style=\"", "<style", " on", "{{root", "{{assets",
                ] {
                    let found = text.match_indices(foreign);
                    let in_tags = found.filter(|(at, _)| in_tag(&text, *at)).count();
                    assert_eq!(in_tags, 0, "{page}: {foreign}");
                }
                assert!(!text.contains("<script>"), "{page}");
            }
        }
    }

    /// Whether the byte stands inside a tag rather than in the text.
    fn in_tag(html: &str, at: usize) -> bool {
        let before = &html[..=at];
        before.rfind('<') > before.rfind('>')
    }
}
