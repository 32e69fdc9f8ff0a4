//! `wallcast check`: prints the options as understood and checks the data folder. Changes nothing.

use super::{
    CliError,
    output::{self, table},
};
use crate::{
    config::{Config, options::ROWS},
    daemon,
};

pub(super) fn run(config: &Config) -> Result<(), CliError> {
    for line in table(&rows(config)) {
        output::line(&line)?;
    }
    let report = daemon::check(config);
    let mut is_sound = true;
    for finding in &report.findings {
        is_sound &= finding.is_sound;
        let mark = if finding.is_sound { "ok" } else { "WRONG" };
        output::line(&format!("{mark}: {}", output::printable(&finding.text)))?;
    }
    if is_sound {
        Ok(())
    } else {
        let folder = config.data_dir.display();
        Err(CliError::Failed(format!(
            "the data folder {folder} has problems"
        )))
    }
}

fn rows(config: &Config) -> Vec<Vec<String>> {
    let row = |name: &str| match config.provenance.get(name) {
        Some(value) => vec![
            name.to_owned(),
            value.text.clone(),
            value.source.place(name),
        ],
        None => vec![name.to_owned(), "none".to_owned(), "default".to_owned()],
    };
    ROWS.iter().map(|option| row(option.name)).collect()
}
