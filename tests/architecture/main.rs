//! Holds the code to ARCHITECTURE.md: layers, import circles, invariants, and links into the specification.

mod imports;
mod invariants;
mod layers;
mod links;

use std::path::{Path, PathBuf};

/// The crates of the workspace: the name that code uses, and the folder of `lib.rs`.
const CRATES: [(&str, &str); 4] = [
    ("realtime_protocol", "crates/realtime-protocol/src"),
    ("local_tls", "crates/local-tls/src"),
    ("wallcast_core", "crates/wallcast-core/src"),
    ("wallcast", "src"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A path below the project's folder, for messages.
fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// The files below a folder that have one of these endings, in order.
fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() {
                if name != "node_modules" && name != "target" && name != "vendor" {
                    folders.push(path);
                }
            } else if endings
                .iter()
                .any(|ending| name.to_string_lossy().ends_with(ending))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
