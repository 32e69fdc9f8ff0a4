//! The files of the web apps (`web/`): their contents, plain and gzipped, and a version for cacheable URLs.
//!
//! Release builds serve the files embedded by `build.rs`. Debug builds read the folder again for each page, so that
//! a reload shows a change without compiling. `api::web` serves the files over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
#[cfg(not(debug_assertions))]
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use ring::digest::{Context, SHA256, digest};

/// A file's path below `web/`, its bytes, and the gzipped bytes (empty if they are not smaller).
type EmbeddedFile = (&'static str, &'static [u8], &'static [u8]);

static EMBEDDED: &[EmbeddedFile] = include!(concat!(env!("OUT_DIR"), "/web.rs"));

/// All files of the web apps at one version.
#[derive(Debug)]
pub struct Tree {
    version: String,
    files: BTreeMap<String, File>,
}

#[derive(Clone, Debug)]
pub struct File {
    pub content_type: &'static str,
    pub plain: Bytes,
    /// The gzipped bytes, if they are smaller.
    pub gzip: Option<Bytes>,
    /// A hash of the content, for the entity tag.
    pub hash: String,
}

impl Tree {
    /// The files embedded into the binary.
    pub fn embedded() -> Self {
        let files = EMBEDDED.iter().map(|(path, plain, gzip)| {
            let gzip = (!gzip.is_empty()).then(|| Bytes::from_static(gzip));
            (
                (*path).to_owned(),
                file(path, Bytes::from_static(plain), gzip),
            )
        });
        Self::new(files.collect())
    }

    fn new(files: BTreeMap<String, File>) -> Self {
        let mut context = Context::new(&SHA256);
        for (path, file) in &files {
            context.update(path.as_bytes());
            context.update(file.hash.as_bytes());
        }
        let version = short_hash(context.finish().as_ref());
        Self { version, files }
    }

    /// A hash of all files. The content of a URL that contains it never changes.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The file at a path below `web/`.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.get(path)
    }

    /// The text of a page with its placeholders filled in. `root` is the relative path from the page's URL to the
    /// top: `""` or `"../"`. Returns an empty string if there is no such file.
    pub fn render(&self, path: &str, root: &str) -> String {
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
        hash: short_hash(digest(&SHA256, &plain).as_ref()),
        plain,
        gzip,
    }
}

/// 96 bits of a digest in base64url.
fn short_hash(digest: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest.get(..12).unwrap_or(digest))
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webmanifest") => "application/manifest+json",
        _ => "text/plain; charset=utf-8",
    }
}

/// The current files.
#[cfg(not(debug_assertions))]
pub fn tree(_requested: RequestedFile) -> Arc<Tree> {
    static TREE: LazyLock<Arc<Tree>> = LazyLock::new(|| Arc::new(Tree::embedded()));
    TREE.clone()
}

#[cfg(debug_assertions)]
pub use folder::tree;

/// What a request loads. Debug builds read the folder again for a page, but not for its assets, so that page and
/// assets have the same version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestedFile {
    Page,
    Asset,
}

#[cfg(debug_assertions)]
mod folder {
    //! Reads the files from the source folder, for debug builds. Falls back to the embedded files.

    use std::io;
    use std::path::Path;
    use std::sync::{Mutex, PoisonError};

    use super::{Arc, BTreeMap, Bytes, File, RequestedFile, Tree, file};

    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/web");

    static CURRENT: Mutex<Option<Arc<Tree>>> = Mutex::new(None);

    /// The current files, read again from the folder for a page.
    pub fn tree(requested: RequestedFile) -> Arc<Tree> {
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            Some(tree) if requested == RequestedFile::Asset => tree.clone(),
            _ => {
                let tree = Arc::new(read());
                *current = Some(tree.clone());
                tree
            }
        }
    }

    fn read() -> Tree {
        let embedded = Tree::embedded();
        let mut files = BTreeMap::new();
        let root = Path::new(FOLDER);
        match walk(root, root, &embedded, &mut files) {
            Ok(()) if !files.is_empty() => Tree::new(files),
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
            let read = file(&name, Bytes::from(std::fs::read(&path)?), None);
            // Reuse the gzipped bytes of files that have not changed since the build.
            let unchanged = embedded.file(&name).filter(|file| file.hash == read.hash);
            files.insert(name, unchanged.cloned().unwrap_or(read));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn gzipped_files_equal_the_plain_files() {
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
    fn version_changes_with_the_content() {
        let with = |text: &'static str| {
            let file = file("a.js", Bytes::from_static(text.as_bytes()), None);
            Tree::new(BTreeMap::from([("a.js".to_owned(), file)]))
        };
        assert_eq!(with("1").version(), with("1").version());
        assert_ne!(with("1").version(), with("2").version());
    }

    #[test]
    fn pages_have_no_foreign_urls_and_no_inline_code() {
        let tree = Tree::embedded();
        for page in ["tablet/index.html", "admin/index.html", "refused.html"] {
            for root in ["", "../"] {
                let text = tree.render(page, root);
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

    /// Whether the byte is inside a tag and not in the text.
    fn in_tag(html: &str, at: usize) -> bool {
        let before = &html[..=at];
        before.rfind('<') > before.rfind('>')
    }
}
