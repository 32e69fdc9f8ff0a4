//! Migrations are only added, never edited: a database that has run a migration does not run it again, so an edit
//! would give new and old databases different schemas.

use std::{collections::BTreeSet, fs, path::Path};

use super::MIGRATIONS;

/// Each migration in its order, with the SHA-256 of its file. Lines are only ever added here.
const HASHES: &[(&str, &str)] = &[
    (
        "0001_house.sql",
        "fd096e58fb0d16fc84e00c2a68caeebb1890295f8df5013ddea9303fee8484c4",
    ),
    (
        "0002_history.sql",
        "5982bc9868941c497ff32140d2336182985e45b7ca96577af8d40812d0bffa05",
    ),
    (
        "0003_rooms.sql",
        "744814e26b0ead4c9e750891a0686444a12f1f23929d328b82c7f9535aa6c117",
    ),
    (
        "0005_board.sql",
        "3b0a4c0df45fc94044916631571b3d133da8af3d5270ceb6be1e8db1fbf11494",
    ),
    (
        "0006_kiosks.sql",
        "39efa3322cdbf96e4bb70f570fcb6ac00eafb8fb9ffe0b8605dd0fc4f146613b",
    ),
    (
        "0007_messages.sql",
        "ee29e3e2cd6ac26c29f1307bd561db6d871e2bdab80958900c1c0c5ea95fe602",
    ),
    (
        "0008_mirror.sql",
        "3cf710961d81fdbbb1d150fa22e986892898476f059efda208d3ad194b06cb44",
    ),
    (
        "0010_lapse.sql",
        "69c5b0cf8a095db7b280e751466edf36afc33de1e359d11c8eea74122eb270dc",
    ),
];

fn sha256(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let bytes = digest.as_ref().iter();
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn migrations_are_never_edited() {
    for ((name, expected), step) in HASHES.iter().zip(MIGRATIONS) {
        assert_eq!(
            sha256(step),
            *expected,
            "{name} was edited, or is in another place than it was. Databases that have run it do not run it again, \
             so undo this and add a new migration instead"
        );
    }
    assert!(
        MIGRATIONS.len() >= HASHES.len(),
        "a migration was removed: restore it, and add a new migration that undoes its effect"
    );
}

#[test]
fn migrations_are_all_listed_with_their_hash() {
    let unlisted = MIGRATIONS.iter().skip(HASHES.len());
    let unlisted: Vec<String> = unlisted.map(|step| sha256(step)).collect();
    assert!(
        unlisted.is_empty(),
        "add each new migration to HASHES in this file, which protects it from later edits: {unlisted:?}"
    );
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/migrations");
    let files = fs::read_dir(folder).unwrap();
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> = files.collect();
    let listed = HASHES.iter().map(|(name, _)| (*name).to_owned());
    assert_eq!(
        files,
        listed.collect(),
        "a migration is not in `schema::MIGRATIONS`"
    );
}
