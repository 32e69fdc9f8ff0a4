//! `wallcast backup`: copies all data into one file. Reads the database itself, which SQLite allows
//! while the daemon runs.

use std::path::PathBuf;

use clap::Args;
use wallcast_core::store::{
    backup::{Existing, back_up},
    snapshot::Summary,
};

use super::{CliError, output, progress::ProgressLine};
use crate::config::Config;

#[derive(Args)]
pub(super) struct BackupCommand {
    /// The file to write; it contains the signing key, so keep it secret
    file: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

impl BackupCommand {
    pub(super) fn run(self, config: &Config) -> Result<(), CliError> {
        let existing = match self.force {
            true => Existing::Replace,
            false => Existing::Keep,
        };
        let progress = ProgressLine::new();
        let summary = back_up(&config.data_dir, &self.file, existing, &progress.callback())?;
        drop(progress);
        output::line(&output::printable(&format!(
            "wrote {} ({}); it contains the signing key: keep it secret",
            self.file.display(),
            summary_text(&summary)
        )))
    }
}

/// Size and contents as text.
pub(super) fn summary_text(summary: &Summary) -> String {
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
    fn sizes_are_rounded_to_kb_and_mb() {
        let sizes = [4096, 126_976, 999_999, 1_250_000, 30_000_000].map(size);
        assert_eq!(sizes, ["5 kB", "127 kB", "1000 kB", "1.2 MB", "30.0 MB"]);
    }
}
