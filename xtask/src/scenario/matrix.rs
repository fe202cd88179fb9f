//! The matrix of platforms: what was booted where, as a table in `docs/platforms.md`.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::file::{self, Scenario};
use super::perform::Outcome;
use super::rows;
use crate::run::Supplies;
use crate::units::shown_size;
use crate::workspace;

/// The document with the table.
const DOCUMENT: &str = "docs/platforms.md";

/// Lines around the table.
const BEGIN: &str = "<!-- matrix: written by `cargo xtask qemu-test --matrix` -->";
const END: &str = "<!-- end of matrix -->";

const HEAD: &str = "\
| scenario | machine | CPU | GIC | RAM | guest | QEMU | verdict |
|---|---|---|---|---|---|---|---|
";

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    name: String,
    line: String,
}

/// The scenarios of the matrix, in the order of the table.
///
/// # Errors
///
/// As [`file::load`].
pub fn load() -> Result<Vec<Scenario>> {
    let folder = workspace::root().join("tests/scenarios");
    let mut rows = file::load(&folder.join("matrix"))?;
    rows::borrow(&mut rows, &rows::demanded(&file::load(&folder)?))?;
    for scenario in &mut rows {
        ensure!(scenario.row.is_some(), "{} has no `row` that says what it is", scenario.name);
        scenario.name.insert_str(0, "matrix/");
        scenario.is_long = true;
    }
    Ok(rows)
}

/// The line for `scenario`, if it belongs to the matrix.
pub fn row(scenario: &Scenario, outcome: &Outcome, supplies: &Supplies) -> Option<Row> {
    let guest = scenario.row.as_ref()?;
    let words = scenario.machine.words().ok()?;
    let qemu = supplies.emulator(words.model, scenario.machine.emulator);
    let qemu = qemu.map_or_else(|_| "-".to_owned(), |qemu| qemu.shown_version);
    let ram = match (&scenario.machine.banks[..], words.ram()) {
        ([], Some(ram)) => shown_size(ram),
        ([], None) => "as the VM needs".to_owned(),
        (banks, _) => banks.join(" + "),
    };
    let verdict = match outcome {
        Outcome::Passed { .. } => "passed".to_owned(),
        Outcome::Failed { complaints, .. } => {
            format!("**failed**: {}", in_cell(complaints.first().map_or("", |text| text)))
        }
        Outcome::Skipped { reason } => format!("not booted: {}", in_cell(reason)),
    };
    let line = format!(
        "| `{}` | {} | {} | {} | {ram} | {} | {qemu} | {verdict} |",
        scenario.name,
        words.machine.replace('|', "/"),
        words.cpu(),
        words.gic(),
        in_cell(guest),
    );
    Some(Row { name: scenario.name.clone(), line })
}

/// `text` on one line, without what would end a cell.
fn in_cell(text: &str) -> String {
    text.lines().next().unwrap_or_default().replace('|', "/")
}

/// Writes the table: `rows` where they are new, else what is there.
///
/// # Errors
///
/// The document cannot be read or written, or has no place for the table.
pub fn write(rows: &[Row]) -> Result<()> {
    let path = workspace::root().join(DOCUMENT);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {DOCUMENT}"))?;
    let names: Vec<_> = load()?.into_iter().map(|scenario| scenario.name).collect();
    let text = merged(&text, &names, rows).with_context(|| {
        format!("{DOCUMENT} has no place for the table: lines `{BEGIN}` and `{END}`")
    })?;
    fs::write(&path, text).with_context(|| format!("cannot write {DOCUMENT}"))?;
    println!("the table is in {DOCUMENT}");
    Ok(())
}

/// `text` with a table of a line for each of `names`, in their order.
fn merged(text: &str, names: &[String], rows: &[Row]) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (old, after) = rest.split_once(END)?;
    let mut table = String::from(HEAD);
    for name in names {
        let new = rows.iter().find(|row| row.name == *name).map(|row| row.line.clone());
        let begin = format!("| `{name}` |");
        let known = || old.lines().find(|line| line.starts_with(&begin)).map(str::to_owned);
        let line = new.or_else(known);
        let line = line.unwrap_or_else(|| format!("{begin} | | | | | | not booted yet |"));
        table.push_str(&line);
        table.push('\n');
    }
    Some(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, verdict: &str) -> Row {
        Row { name: name.to_owned(), line: format!("| `{name}` | {verdict} |") }
    }

    #[test]
    fn new_rows_replace_old_ones_and_the_order_is_that_of_the_scenarios() {
        let names = ["a", "b", "c"].map(str::to_owned);
        let empty = format!("head\n{BEGIN}\n{END}\ntail\n");
        let first = merged(&empty, &names, &[row("b", "passed"), row("a", "failed")]).unwrap();
        let lines: Vec<_> = first.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(lines[..2], ["| `a` | failed |", "| `b` | passed |"]);
        assert!(lines[2].starts_with("| `c` |") && lines[2].contains("not booted yet"));
        assert!(first.starts_with("head\n") && first.ends_with("\ntail\n"));

        let names = ["b", "a"].map(str::to_owned);
        let second = merged(&first, &names, &[row("a", "passed")]).unwrap();
        let lines: Vec<_> = second.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(lines, ["| `b` | passed |", "| `a` | passed |"]);
        assert_eq!(merged("no markers", &names, &[]), None);
    }

    #[test]
    fn the_document_has_a_place_and_every_row_says_what_it_is() {
        let text = fs::read_to_string(workspace::root().join(DOCUMENT)).unwrap();
        let names: Vec<_> = load().unwrap().into_iter().map(|scenario| scenario.name).collect();
        assert!(names.len() > 20, "{names:?}");
        assert!(merged(&text, &names, &[]).is_some());
    }
}
