//! Sizes of the static binaries of `make dist`, and the number of crates in them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use crate::Outcome;

/// The path of each binary, and its target.
const BINARIES: [(&str, &str); 2] = [
    ("dist/wallcast-x86_64", "x86_64-unknown-linux-musl"),
    ("dist/wallcast-aarch64", "aarch64-unknown-linux-musl"),
];

/// Returns the sizes as a Markdown table.
pub fn measure() -> Outcome<String> {
    let mut text = String::from("| binary | bytes | crates in it |\n| --- | --- | --- |\n");
    for (path, target) in BINARIES {
        let bytes = fs::metadata(path).map_err(|error| format!("{path}: {error}; make dist"))?;
        let crates = crates(target)?;
        writeln!(text, "| `{path}` | {} | {crates} |", bytes.len())?;
    }
    Ok(text)
}

/// The number of crates that are linked into the daemon, without build dependencies and proc macros.
fn crates(target: &str) -> Outcome<usize> {
    let output = Command::new("cargo")
        .args([
            "tree",
            "--locked",
            "--package",
            "wallcast",
            "--edges",
            "normal,no-proc-macro",
        ])
        .args(["--prefix", "none", "--target", target])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let tree = String::from_utf8(output.stdout)?;
    // Lines are `name version`, sometimes followed by more.
    let names = tree.lines().map(|line| line.split(' ').take(2).collect());
    Ok(names.collect::<BTreeSet<Vec<_>>>().len())
}
