//! What the static binaries of `make dist` weigh, and how many crates they are made of.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use crate::Outcome;

/// What each binary is called, and the target that it is built for.
const BINARIES: [(&str, &str); 2] = [
    ("dist/wallcast-x86_64", "x86_64-unknown-linux-musl"),
    ("dist/wallcast-aarch64", "aarch64-unknown-linux-musl"),
];

/// Looks, and says it in a table.
pub fn measure() -> Outcome<String> {
    let mut text = String::from("| binary | bytes | crates in it |\n| --- | --- | --- |\n");
    for (path, target) in BINARIES {
        let bytes = fs::metadata(path).map_err(|error| format!("{path}: {error}; make dist"))?;
        let crates = crates(target)?;
        writeln!(text, "| `{path}` | {} | {crates} |", bytes.len())?;
    }
    Ok(text)
}

/// How many crates are linked into the daemon; those that run only while it is compiled are none.
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
    // `name version`, and whatever else is said of it.
    let names = tree.lines().map(|line| line.split(' ').take(2).collect());
    Ok(names.collect::<BTreeSet<Vec<_>>>().len())
}
