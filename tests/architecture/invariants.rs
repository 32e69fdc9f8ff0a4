//! The invariants of ARCHITECTURE.md that can be read off the sources. Test modules are left out.

use std::path::{Path, PathBuf};

use crate::{CRATES, files, shown};

/// The sources of the product, without test files; a file's trailing test module is cut off.
fn sources() -> Vec<(PathBuf, String)> {
    let all = CRATES
        .iter()
        .flat_map(|(_, folder)| files(folder, &[".rs"]));
    let is_test = |path: &Path| {
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        name.ends_with("tests") || path.components().any(|part| part.as_os_str() == "tests")
    };
    all.filter(|path| !is_test(path))
        .map(|path| {
            let text = crate::read(&path);
            let code = without_tests(&text).to_owned();
            (path, code)
        })
        .collect()
}

/// A file up to its test module.
fn without_tests(text: &str) -> &str {
    let starts = text.match_indices("#[cfg(test)]\nmod ");
    let has_body = |at: usize| {
        let line = text.get(at..).and_then(|rest| rest.lines().nth(1));
        line.is_some_and(|line| line.ends_with('{'))
    };
    let end = starts.map(|(at, _)| at).find(|at| has_body(*at));
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// Asserts that only these files contain one of the texts.
fn only_in(texts: &[&str], allowed: impl Fn(&str) -> bool, rule: &str) {
    let mut found = 0;
    let mut wrong = Vec::new();
    for (path, code) in sources() {
        for (number, line) in code.lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            if is_comment || !texts.iter().any(|text| line.contains(text)) {
                continue;
            }
            found += 1;
            if !allowed(&shown(&path)) {
                wrong.push(format!("{}:{}: {}", shown(&path), number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{rule}\n{}", wrong.join("\n"));
    assert!(
        found > 0,
        "nothing matches {texts:?} any more: change this test"
    );
}

const CORE: &str = "crates/wallcast-core/src/";

#[test]
fn only_the_store_opens_databases() {
    only_in(
        &["Connection::open"],
        |file| file.starts_with(&format!("{CORE}store/")),
        "Only the store opens connections to SQLite.",
    );
}

#[test]
fn only_history_assigns_event_ids() {
    only_in(
        &["INSERT INTO events"],
        |file| file.starts_with(&format!("{CORE}history/")),
        "Only history appends events and so assigns their ids.",
    );
}

#[test]
fn sql_stands_in_rows_files_and_the_core() {
    only_in(
        &["prepare_cached(", ".query_row(", "execute_batch("],
        |file| file.starts_with(CORE) || file.ends_with("rows.rs") || file.contains("/rows/"),
        "SQL of a feature stands in its rows.rs.",
    );
}

#[test]
fn the_hub_never_blocks_nor_awaits() {
    let waits = [".await", "block_on", "thread::sleep", "recv("];
    for (path, code) in sources() {
        let file = shown(&path);
        let is_hub = file.starts_with(&format!("{CORE}hub/"));
        // The dispatcher's loop and the wake-up of a connection's task are what waits for the hub.
        if !is_hub || file.ends_with("/dispatcher.rs") || file.ends_with("/connection_writer.rs") {
            continue;
        }
        for line in code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
        {
            let is_dispatcher = line.contains("dispatcher.run().await");
            assert!(
                is_dispatcher || !waits.iter().any(|text| line.contains(text)),
                "{file} waits: {line}"
            );
        }
    }
}

#[test]
fn only_the_command_line_imports_the_wiring() {
    only_in(
        &["daemon::"],
        |file| file.starts_with("src/cli/") || file == "src/daemon.rs",
        "Features receive the handles of `app`; the wiring is imported by the command line alone.",
    );
}

#[test]
fn protocol_crate_knows_no_wallcast() {
    for (path, code) in sources() {
        let file = shown(&path);
        if file.starts_with("crates/realtime-protocol/") {
            assert!(
                !code.to_lowercase().contains("wallcast"),
                "{file} names Wallcast"
            );
        }
    }
}
