//! Output to stdout and stderr: whole lines, flushed, without control characters.

use std::io::{self, Write};

use super::CliError;

/// Prints one line to stdout and flushes it. The caller makes the text printable.
pub(super) fn line(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()?;
    Ok(())
}

/// Prints a note about the command itself to stderr. Ignores a closed stderr.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(text));
}

/// Replaces control characters by spaces: names come from tablets, and a terminal would interpret
/// escape sequences.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Formats rows as aligned columns, two spaces apart. Makes every cell printable.
pub(super) fn table(rows: &[Vec<String>]) -> Vec<String> {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| printable(cell)).collect())
        .collect();
    let columns = cells.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = cells.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let line = |row: &Vec<String>| {
        let padded = row.iter().zip(&widths);
        let cells: Vec<String> = padded
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    cells.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::{printable, table};

    #[test]
    fn printable_replaces_control_characters() {
        assert_eq!(printable("a\x1b[2Jb\nc\u{9b}d"), "a [2Jb c d");
    }

    #[test]
    fn table_columns_are_aligned() {
        let rows = [
            vec!["é".to_owned(), "b".to_owned()],
            vec!["long".to_owned(), String::new()],
        ];
        assert_eq!(table(&rows), ["é     b", "long"]);
    }
}
