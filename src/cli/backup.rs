//! `wallcast backup`: the whole house in one file. It reads the database itself, since SQLite lets it do so beside the daemon.

use std::path::PathBuf;

use clap::Args;

use super::{CliError, output, progress::Meter};
use crate::config::Config;
use wallcast_core::store::{
    backup::{Existing, back_up},
    snapshot::Summary,
};

#[derive(Args)]
pub(super) struct Backup {
    /// The file to write; it holds the signing key, so keep it as safe as the house itself
    file: PathBuf,
    /// Replace the file if there is one
    #[arg(long)]
    force: bool,
}

impl Backup {
    pub(super) fn run(self, config: &Config) -> Result<(), CliError> {
        let existing = match self.force {
            true => Existing::Replace,
            false => Existing::Keep,
        };
        let meter = Meter::new();
        let summary = back_up(&config.data_dir, &self.file, existing, &meter.hears())?;
        drop(meter);
        output::line(&output::printable(&format!(
            "wrote {} ({}); it holds the signing key: keep it as safe as the house",
            self.file.display(),
            told(&summary)
        )))
    }
}

/// Size and contents in a few words.
pub(super) fn told(summary: &Summary) -> String {
    let counted = |count: u64, thing: &str| match count {
        1 => format!("1 {thing}"),
        _ => format!("{count} {thing}s"),
    };
    format!(
        "{}, {}, {}",
        size(summary.bytes),
        counted(summary.events, "event"),
        counted(summary.clients, "client")
    )
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_read_well() {
        let sizes = [4096, 126_976, 999_999, 1_250_000, 30_000_000].map(size);
        assert_eq!(sizes, ["5 kB", "127 kB", "1000 kB", "1.2 MB", "30.0 MB"]);
    }
}
