mod imports;
#[test]
fn print() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let src = root.join("src");
    let imports = imports::Imports::read(&[
        ("wallcast", &src),
        ("wallcast_core", &root.join("crates/wallcast-core/src")),
        ("local_tls", &root.join("crates/local-tls/src")),
        (
            "realtime_protocol",
            &root.join("crates/realtime-protocol/src"),
        ),
    ]);
    for (from, to) in &imports.by_file {
        for t in to {
            println!(
                "E {} {}",
                from.strip_prefix(root).unwrap().display(),
                t.strip_prefix(root).unwrap().display()
            );
        }
    }
    for c in imports.circles() {
        println!(
            "C {} {}",
            c.len(),
            c.iter()
                .map(|f| f.strip_prefix(root).unwrap().display().to_string())
                .collect::<Vec<_>>()
                .join(" ")
        );
    }
}
