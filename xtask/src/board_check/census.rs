//! The census: how many of Linux's trees pass, and what stops the others, as a table in `docs/boards.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use hyp_abi::exit;

use super::cause::Cause;
use super::places::Loads;
use super::report::Report;
use super::{Options, files};
use crate::{setup, workspace};

/// The document with the table.
const DOCUMENT: &str = "docs/boards.md";

/// Lines around the table.
const BEGIN: &str = "<!-- census: written by `cargo xtask board-check --census --save` -->";
const END: &str = "<!-- end of census -->";

/// What stands between the number that pass and the number of all.
const OF: &str = "trees pass: ";

/// Checks all trees of Debian's kernel package and compares the counts with the document, or writes them
/// there; the answer is the exit status of this program.
///
/// # Errors
///
/// The trees cannot be had, or the document has no place for the table.
pub(super) fn command(save: bool) -> Result<u8> {
    let folder = setup::ensure_all_trees()?;
    let version =
        fs::read_to_string(folder.join("version")).context("reading the trees' version")?;
    let reports = check(&folder)?;
    let table = table(version.trim(), &reports);
    let path = workspace::root().join(DOCUMENT);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {DOCUMENT}"))?;
    let (before, recorded, after) = parts(&text).with_context(|| {
        format!("{DOCUMENT} has no place for the counts: lines `{BEGIN}` and `{END}`")
    })?;
    if save {
        let text = format!("{before}{BEGIN}\n\n{table}\n{END}{after}");
        fs::write(&path, text).with_context(|| format!("cannot write {DOCUMENT}"))?;
    }
    let boots = reports.iter().filter(|report| report.passes()).count();
    println!("{boots} of {} trees pass", reports.len());
    let complaint = if save { None } else { complaint(recorded.trim(), &table, boots) };
    Ok(match complaint {
        None => exit::GUEST_OFF,
        Some(complaint) => {
            println!(
                "{complaint}; `board-check --census --save` writes what is true now to {DOCUMENT}"
            );
            exit::GUEST_FAILED
        }
    })
}

/// What is worse than, or different from, what the document says.
fn complaint(recorded: &str, table: &str, boots: usize) -> Option<String> {
    let Some(before) = passes(recorded) else {
        return Some("no counts are recorded".to_owned());
    };
    if boots < before {
        return Some(format!("{before} trees passed when the counts were written, now {boots}"));
    }
    (recorded != table.trim()).then(|| "the counts are not those recorded".to_owned())
}

/// How many trees pass, as the table says.
fn passes(table: &str) -> Option<usize> {
    let (_, rest) = table.split_once(OF)?;
    rest.split(' ').next()?.parse().ok()
}

/// The document before the table, the table, and the document behind it.
fn parts(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (table, after) = rest.split_once(END)?;
    Some((before, table, after))
}

/// A report for each tree below `folder`, which it is named from.
fn check(folder: &Path) -> Result<Vec<Report>> {
    let options = Options { assume_memory: true, ..Options::default() };
    let mut reports = Vec::new();
    for file in files(&[folder.to_owned()])? {
        // A panic ends the program and would not say where.
        let name = file.strip_prefix(folder).unwrap_or(&file).display().to_string();
        let usual = std::panic::take_hook();
        let of = name.clone();
        std::panic::set_hook(Box::new(move |panic| eprintln!("{of}: {panic}")));
        let checked = options.check(&file, &Loads::default(), None);
        std::panic::set_hook(usual);
        let mut report = checked.with_context(|| name.clone())?;
        report.tree = name;
        reports.push(report);
    }
    ensure!(reports.len() > 100, "{} has only {} trees", folder.display(), reports.len());
    Ok(reports)
}

/// Each cause, the trees that it stops, and those that nothing else stops; the most frequent first.
pub(super) fn by_cause(reports: &[Report]) -> Vec<(Cause, usize, usize)> {
    let mut counts: BTreeMap<Cause, (usize, usize)> = BTreeMap::new();
    for report in reports {
        let mut causes: Vec<_> = report.causes().collect();
        causes.sort();
        causes.dedup();
        for cause in &causes {
            let (all, alone) = counts.entry(*cause).or_default();
            *all += 1;
            *alone += usize::from(causes.len() == 1);
        }
    }
    let mut counts: Vec<_> =
        counts.into_iter().map(|(cause, (all, alone))| (cause, all, alone)).collect();
    counts.sort_by_key(|(_, all, _)| std::cmp::Reverse(*all));
    counts
}

/// Items and how often each comes, the most frequent first: `a 3, b 1`.
fn tally(items: impl Iterator<Item = String>) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    items.for_each(|item| *counts.entry(item).or_default() += 1);
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

fn shown(counts: &[(String, usize)]) -> String {
    let counts: Vec<_> = counts.iter().map(|(item, count)| format!("{item} {count}")).collect();
    counts.join(", ")
}

/// A cause as people say it.
fn label(cause: Cause) -> String {
    cause.name().replace('-', " ")
}

/// The folder of a tree, which is that of its SoC's maker.
fn family(report: &Report) -> String {
    let folder = report.tree.split_once('/').map_or("", |(folder, _)| folder);
    folder.to_owned()
}

fn table(version: &str, reports: &[Report]) -> String {
    let boots = reports.iter().filter(|report| report.passes()).count();
    // Writing to a string does not fail.
    let mut out = String::new();
    let _ = writeln!(
        out,
        "Debian's kernel package {version}, {OF}{boots} of {}. One that lists no memory is reckoned with \
         1 GiB,\nwhich firmware fills in: {}.\n",
        reports.len(),
        reports.iter().filter(|report| lacks_memory(report)).count()
    );
    out.push_str("| folder | trees | pass | what stops others |\n|---|---|---|---|\n");
    for (folder, trees) in tally(reports.iter().map(family)) {
        let own: Vec<&Report> = reports.iter().filter(|report| family(report) == folder).collect();
        let pass = own.iter().filter(|report| report.passes()).count();
        let first = own.iter().filter_map(|report| report.causes().next()).map(label);
        let _ = writeln!(out, "| `{folder}` | {trees} | {pass} | {} |", shown(&tally(first)));
    }
    out.push_str("\n| what stops the boot | trees | nothing else |\n|---|---|---|\n");
    for (cause, all, alone) in by_cause(reports) {
        let _ = writeln!(out, "| {} | {all} | {alone} |", label(cause));
    }
    out.push_str("\n| console | trees |\n|---|---|\n");
    let drivers = reports.iter().filter_map(|report| report.machine.console.as_ref());
    for (driver, trees) in tally(drivers.map(|uart| uart.driver.to_owned())) {
        let _ = writeln!(out, "| {driver} | {trees} |");
    }
    let without = reports.iter().filter(|report| {
        report.causes().any(|cause| matches!(cause, Cause::ConsoleWithoutDriver | Cause::NoConsole))
    });
    // The last is what all of a family are compatible with.
    let last = |report: &Report| match &report.machine.stdout {
        Some(node) => match node.compatible.last() {
            Some(name) => format!("`{name}`"),
            None => "a node that is not there".to_owned(),
        },
        None => "none is named".to_owned(),
    };
    for (compatible, trees) in tally(without.map(last)) {
        let _ = writeln!(out, "| no driver: {compatible} | {trees} |");
    }
    out
}

fn lacks_memory(report: &Report) -> bool {
    report.firmware_adds.iter().any(|missing| missing.what == "memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(tree: &str, causes: &[Cause]) -> Report {
        let mut report = Report { tree: tree.to_owned(), ..Report::default() };
        causes.iter().for_each(|cause| report.stop(*cause, "text", "none: why"));
        report.conclude()
    }

    #[test]
    fn trees_are_counted_by_cause_and_by_family() {
        let reports = [
            report("nxp/a.dtb", &[]),
            report("nxp/b.dtb", &[Cause::NoGic, Cause::NoConsole]),
            report("qcom/c.dtb", &[Cause::NoConsole, Cause::NoConsole]),
        ];
        assert_eq!(by_cause(&reports), [(Cause::NoConsole, 2, 1), (Cause::NoGic, 1, 0)]);
        let table = table("6.12.1", &reports);
        for line in [
            "| `nxp` | 2 | 1 | no gic 1 |",
            "| `qcom` | 1 | 0 | no console 1 |",
            "| no console | 2 | 1 |",
            "| no driver: none is named | 2 |",
        ] {
            assert!(table.lines().any(|found| found == line), "{line}: {table}");
        }
        assert_eq!(passes(&table), Some(1));
    }

    #[test]
    fn fewer_trees_and_other_counts_are_noticed() {
        let few = table("6.12.1", &[report("nxp/a.dtb", &[])]);
        let more = table("6.12.1", &[report("nxp/a.dtb", &[]), report("nxp/b.dtb", &[])]);
        assert_eq!(complaint(few.trim(), &few, 1), None);
        assert!(complaint(more.trim(), &few, 1).unwrap().contains("2 trees passed"));
        assert!(complaint(few.trim(), &more, 2).unwrap().contains("not those recorded"));
        assert!(complaint("", &few, 1).is_some());
    }

    #[test]
    fn the_document_has_counts() {
        let text = fs::read_to_string(workspace::root().join(DOCUMENT)).unwrap();
        let (_, table, _) = parts(&text).unwrap();
        assert!(passes(table).unwrap() > 400, "{table}");
    }
}
