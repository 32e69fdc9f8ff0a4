//! Imports run downwards: between crates by their manifests, between modules by the list in ARCHITECTURE.md.

use std::collections::BTreeMap;
use std::path::Path;

use crate::imports::Imports;
use crate::{CRATES, read, root, shown};

/// Files that may import one another in a circle.
const MAX_CIRCLE: usize = 4;

fn imports() -> Imports {
    let folders = CRATES.map(|(name, folder)| (name, root().join(folder)));
    let crates: Vec<(&str, &Path)> = folders
        .iter()
        .map(|(name, path)| (*name, path.as_path()))
        .collect();
    Imports::read(&crates)
}

/// The crate and the top module of a file: `src/hub/outbox.rs` belongs to `hub`.
fn module_of(file: &Path) -> Option<(&'static str, String)> {
    CRATES.iter().find_map(|(name, folder)| {
        let below = file.strip_prefix(root().join(folder)).ok()?;
        let first = below.components().next()?.as_os_str().to_str()?;
        Some((*name, first.trim_end_matches(".rs").to_owned()))
    })
}

/// The list in ARCHITECTURE.md: for each crate its modules, and the number of the layer that holds each.
fn layers() -> BTreeMap<String, BTreeMap<String, usize>> {
    let text = read("ARCHITECTURE.md");
    let block = text
        .split("```layers\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let block = block.unwrap_or_else(|| panic!("ARCHITECTURE.md has no block ```layers"));
    let mut crates: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    let mut name = String::new();
    let mut layer = 0;
    for line in block.lines().filter(|line| !line.trim().is_empty()) {
        if let Some(heading) = line.strip_suffix(':') {
            name = heading.replace('-', "_");
            layer = 0;
            continue;
        }
        for module in line.split_whitespace() {
            crates
                .entry(name.clone())
                .or_default()
                .insert(module.to_owned(), layer);
        }
        layer += 1;
    }
    crates
}

#[test]
fn imports_run_downwards() {
    let (imports, layers) = (imports(), layers());
    let mut wrong = Vec::new();
    for (from, targets) in &imports.by_file {
        let Some((crate_name, module)) = module_of(from) else {
            continue;
        };
        if module == "lib" || module == "main" {
            continue;
        }
        let Some(known) = layers.get(crate_name) else {
            continue;
        };
        let Some(own) = known.get(&module) else {
            wrong.push(format!(
                "{crate_name}::{module} is missing in the layers of ARCHITECTURE.md"
            ));
            continue;
        };
        for target in targets {
            let Some((target_crate, target_module)) = module_of(target) else {
                continue;
            };
            if target_crate != crate_name || target_module == module || target_module == "lib" {
                continue;
            }
            if known.get(&target_module).is_none_or(|layer| layer >= own) {
                wrong.push(format!(
                    "{} imports {}, which ARCHITECTURE.md does not list before it",
                    shown(from),
                    shown(target)
                ));
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn listed_modules_exist() {
    for (crate_name, modules) in layers() {
        let folder = CRATES.iter().find(|(name, _)| *name == crate_name);
        let (_, folder) = folder.unwrap_or_else(|| panic!("there is no crate {crate_name}"));
        for module in modules.keys() {
            let file = root().join(folder).join(format!("{module}.rs"));
            let nested = root().join(folder).join(module).join("mod.rs");
            assert!(
                file.exists() || nested.exists(),
                "{crate_name} has no module {module}"
            );
        }
    }
}

#[test]
fn import_circles_stay_small() {
    let circles = imports().circles();
    for circle in &circles {
        let files: Vec<String> = circle.iter().map(|file| shown(file)).collect();
        println!("circle of {}: {}", circle.len(), files.join(" "));
        assert!(
            circle.len() <= MAX_CIRCLE,
            "{} files import one another in a circle, {MAX_CIRCLE} are allowed: {files:?}",
            circle.len()
        );
    }
}

#[test]
fn libraries_depend_on_no_higher_crate() {
    let own = ["wallcast-core", "local-tls", "realtime-protocol"];
    for name in own {
        let manifest = read(format!("crates/{name}/Cargo.toml"));
        for other in own.into_iter().chain(["wallcast"]) {
            let depends = manifest.lines().any(|line| {
                line.starts_with(&format!("{other}.")) || line.starts_with(&format!("{other} ="))
            });
            assert!(!depends, "{name} depends on {other}");
        }
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{name} does not take the workspace's lints"
        );
    }
}
