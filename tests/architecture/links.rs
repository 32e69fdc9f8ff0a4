//! Every anchor of docs/protocol.md that code, tests, pages or documents cite exists.

use std::collections::BTreeSet;

use crate::{files, read, shown};

/// The anchors of a Markdown page, made from its headings as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.starts_with("```") {
            in_code = !in_code;
        }
        if in_code || !line.starts_with('#') {
            continue;
        }
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let anchor: String = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let mut unique = anchor.clone();
        let mut number = 0;
        while !found.insert(unique.clone()) {
            number += 1;
            unique = format!("{anchor}-{number}");
        }
    }
    found
}

/// The anchors that follow `marker` in a text.
fn cited<'a>(text: &'a str, marker: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(marker).skip(1).map(|rest| {
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_')))
            .unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    })
}

#[test]
fn cited_anchors_of_the_protocol_exist() {
    let protocol = read("docs/protocol.md");
    let anchors = anchors(&protocol);
    let mut missing = Vec::new();
    let mut citations = 0;
    let folders = [
        "src",
        "crates",
        "tests",
        "web",
        "docs",
        "benches",
        "packaging",
        ".github",
    ];
    let endings = [
        ".rs", ".js", ".mjs", ".py", ".md", ".html", ".css", ".json", ".yaml", ".sh", ".ts", ".tsx",
    ];
    let pages = [
        "README.md",
        "DOCS.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
    ]
    .map(|page| crate::root().join(page));
    let below = folders.iter().flat_map(|folder| files(folder, &endings));
    for file in below.chain(pages) {
        let Ok(text) = std::fs::read_to_string(&file) else {
            continue;
        };
        for anchor in cited(&text, concat!("protocol.md", "#")) {
            citations += 1;
            if !anchors.contains(anchor) {
                missing.push(format!("{}: #{anchor}", shown(&file)));
            }
        }
    }
    for anchor in cited(&protocol, "](#") {
        if !anchors.contains(anchor) {
            missing.push(format!("docs/protocol.md: #{anchor}"));
        }
    }
    assert!(
        missing.is_empty(),
        "docs/protocol.md has no such anchor:\n{}",
        missing.join("\n")
    );
    assert!(
        citations > 50,
        "only {citations} citations were found: is the search broken?"
    );
}

#[test]
fn code_cites_no_page_outside_the_project() {
    let mut wrong = Vec::new();
    for folder in ["src", "crates", "tests", "web", "benches", "docs"] {
        for file in files(
            folder,
            &[".rs", ".js", ".mjs", ".py", ".md", ".html", ".css", ".json"],
        ) {
            if file.ends_with("tests/architecture/links.rs") {
                continue;
            }
            let Ok(text) = std::fs::read_to_string(&file) else {
                continue;
            };
            for (number, line) in text.lines().enumerate() {
                let words = line.to_lowercase();
                let cites = |word: &str| {
                    words.match_indices(word).any(|(at, _)| {
                        words
                            .get(at + word.len()..)
                            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
                    })
                };
                if cites("contract ") || cites("contract section ") || cites("seed ") {
                    wrong.push(format!("{}:{}: {}", shown(&file), number + 1, line.trim()));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} lines cite a page that the project does not have:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
