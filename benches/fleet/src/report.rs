//! Writes a result into a section of a Markdown page, and its charts beside it.

use std::fs;
use std::path::Path;

use crate::Outcome;
use crate::chart::Chart;

/// The folder of the charts. The page links to them.
const CHARTS: &str = "benches/charts";

/// Replaces the text between `<!-- bench NAME -->` and `<!-- end NAME -->` in the page.
pub fn put(page: &Path, name: &str, text: &str, charts: &[Chart]) -> Outcome<()> {
    let whole = fs::read_to_string(page)?;
    let (begin, end) = (
        format!("<!-- bench {name} -->"),
        format!("<!-- end {name} -->"),
    );
    let parts = whole.split_once(&begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(&end)?;
        Some((before, after))
    });
    let (before, after) = parts.ok_or_else(|| format!("{}: no {begin}", page.display()))?;
    fs::create_dir_all(CHARTS)?;
    let mut links = String::new();
    for chart in charts {
        let file = format!("{CHARTS}/{}.svg", chart.name);
        fs::write(&file, chart.svg())?;
        links.push_str(&format!("\n![{}](../{file})\n", chart.title));
    }
    let text = text.trim();
    fs::write(
        page,
        format!("{before}{begin}\n\n{text}\n{links}\n{end}{after}"),
    )?;
    Ok(())
}
