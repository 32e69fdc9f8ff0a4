//! What goes to stdout: whole lines, flushed, free of control characters that others chose.

use std::io::{self, Write};

use super::CliError;

/// Prints one line, which must be printable already, and hands it over at once.
pub(super) fn line(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()?;
    Ok(())
}

/// Says something about the command itself, on stderr; nobody listening is fine.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(text));
}

/// The text with every control character replaced by a space: names come from tablets,
/// and a terminal obeys what it prints.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Rows of cells as columns, two blanks apart; every cell is made printable.
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
    fn control_characters_never_reach_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\nc\u{9b}d"), "a [2Jb c d");
    }

    #[test]
    fn columns_line_up() {
        let rows = [
            vec!["é".to_owned(), "b".to_owned()],
            vec!["long".to_owned(), String::new()],
        ];
        assert_eq!(table(&rows), ["é     b", "long"]);
    }
}
