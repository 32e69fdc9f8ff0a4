//! Describes the machine and the versions of a measurement.

use std::fs;
use std::path::Path;
use std::process::Command;

/// One line with processor, cores, kernel, current load, and the versions of the programs.
pub fn describe(programs: &Path) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("an unknown processor", |name| {
            name.trim_start_matches([' ', '\t', ':'])
        });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split_whitespace().next().unwrap_or("?");
    let versions = [
        version(
            programs
                .join("wallcast")
                .as_os_str()
                .to_str()
                .unwrap_or_default(),
        ),
        version("rustc"),
        format!("node {}", version("node")),
    ];
    format!(
        "Measured on {model}, {cores} cores, Linux {}, load {load} at the start; {}.",
        kernel.trim(),
        versions.join(", ")
    )
}

/// One line with the version of the compiler.
pub fn compiler() -> String {
    format!("Built by {}.", version("rustc"))
}

/// The first words of a program's `--version`.
fn version(program: &str) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    // Cut off the hash in `rustc 1.2.3 (hash date)`.
    text.map_or_else(
        |_| format!("no {program}"),
        |text| text.split(" (").next().unwrap_or_default().to_owned(),
    )
}
