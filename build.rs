//! Embeds every file of `web/` into the binary, uncompressed and gzipped (see `src/web`), and the descriptions of the
//! API's operations (see `src/api/openapi`).

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

fn main() -> io::Result<()> {
    embed_pages()?;
    embed_descriptions()
}

fn embed_pages() -> io::Result<()> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("web");
    let out = PathBuf::from(variable("OUT_DIR")?);
    println!("cargo::rerun-if-changed=web");
    let mut files = Vec::new();
    collect_files(&root, &mut files)?;
    files.sort();
    let mut table = String::from("&[\n");
    for (index, path) in files.iter().enumerate() {
        let plain = fs::read(path)?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&plain)?;
        let gzip = encoder.finish()?;
        // Files that gzip does not make smaller, such as pictures, are stored only once.
        let gzip = if gzip.len() < plain.len() {
            gzip
        } else {
            Vec::new()
        };
        let compressed_path = out.join(format!("{index}.gz"));
        fs::write(&compressed_path, gzip)?;
        let name = path.strip_prefix(&root).map_err(io::Error::other)?;
        let name = name.to_string_lossy().replace('\\', "/");
        table.push_str(&format!(
            "    ({name:?}, include_bytes!({path:?}), include_bytes!({compressed_path:?})),\n"
        ));
    }
    table.push_str("]\n");
    fs::write(out.join("web.rs"), table)
}

/// Lists every JSON file beside `base.json`, so that a new feature's description needs no registration.
fn embed_descriptions() -> io::Result<()> {
    let folder = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("src/api/openapi");
    println!("cargo::rerun-if-changed=src/api/openapi");
    let mut files = Vec::new();
    collect_files(&folder, &mut files)?;
    files.retain(|path| {
        path.extension().is_some_and(|ending| ending == "json") && !path.ends_with("base.json")
    });
    files.sort();
    let list: String = files
        .iter()
        .map(|path| format!("    include_str!({path:?}),\n"))
        .collect();
    let out = PathBuf::from(variable("OUT_DIR")?).join("openapi.rs");
    fs::write(out, format!("&[\n{list}]\n"))
}

fn variable(name: &str) -> io::Result<String> {
    std::env::var(name).map_err(io::Error::other)
}

fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect_files(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
