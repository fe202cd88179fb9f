//! The committed figures, and whether new ones are worse.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::measure::Figure;
use super::rows::Verdict;
use super::table::number;
use crate::workspace;

/// A figure may be worse than the committed one by this part of it.
const TOLERANCE: f64 = 0.02;

/// Medians by row.
pub type Saved = BTreeMap<String, f64>;

/// Where they are.
pub fn path() -> PathBuf {
    workspace::root().join("tests/bench/figures.json")
}

/// The committed figures.
///
/// # Errors
///
/// The file is missing or damaged.
pub fn read() -> Result<Saved> {
    let path = path();
    let advice =
        || format!("{}; `cargo xtask bench --save` writes it anew", workspace::shown(&path));
    parse(&fs::read_to_string(&path).with_context(advice)?).with_context(advice)
}

fn parse(text: &str) -> Result<Saved> {
    let all: BTreeMap<String, Value> = serde_json::from_str(text)?;
    let rows = all.get("rows").and_then(Value::as_object).context("has no `rows`")?;
    rows.iter()
        .map(|(name, row)| {
            let median = row.get("median").and_then(Value::as_f64);
            Ok((name.clone(), median.with_context(|| format!("row `{name}` has no median"))?))
        })
        .collect()
}

/// The file's text.
pub fn text(figures: &[Figure]) -> Result<String> {
    let rows: serde_json::Map<String, Value> = figures
        .iter()
        .map(|figure| {
            let postern = figure.postern;
            let row = json!({
                "floor": figure.floor,
                "full_frame": figure.full,
                "min": postern.min,
                "median": postern.median,
                "p99": postern.p99,
                "normal": figure.normal,
            });
            (figure.row.name.to_owned(), row)
        })
        .collect();
    let all = json!({
        "method": "executed instructions; QEMU 7.2, cortex-a72, GICv3; see docs/performance.md",
        "rows": rows,
    });
    Ok(serde_json::to_string_pretty(&all)? + "\n")
}

/// Compares `figures` with their limits and with the `saved` ones; the rows that are worse than they may
/// be, above a limit or above the saved figure.
pub fn compare(figures: &[Figure], saved: &Saved) -> Vec<String> {
    let mut complaints = Vec::new();
    for Figure { row, postern, .. } in figures {
        let shown = |value| number(value, row.unit);
        let median = postern.median;
        if let (Verdict::AboveMust, Some(must)) = (row.verdict(median), row.must) {
            complaints.push(format!(
                "{}: {} is above the limit of {}",
                row.name,
                shown(median),
                shown(must)
            ));
        }
        match saved.get(row.name) {
            None => complaints.push(format!("{}: not among the saved figures", row.name)),
            Some(before) if median > before * (1.0 + TOLERANCE) => complaints.push(format!(
                "{}: {} is more than 2 % above the saved {}; `cargo xtask bench --trace {}` shows \
                 the path, `--save` accepts the figure",
                row.name,
                shown(median),
                shown(*before),
                row.name
            )),
            Some(_) => {}
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::rows;
    use crate::bench::stats::Quoted;

    fn figure(median: f64) -> Figure {
        let postern = Quoted::exactly(median);
        Figure { row: &rows::ONE_CPU[0], floor: Some(12.0), full: None, postern, normal: None }
    }

    #[test]
    fn what_was_saved_is_read_back() {
        let saved = parse(&text(&[figure(70.5)]).unwrap()).unwrap();
        assert_eq!(saved, Saved::from([("hvc-psci-version".to_owned(), 70.5)]));
        for damaged in ["", "{}", r#"{"rows":{"a":{}}}"#, r#"{"rows":{"a":{"median":"x"}}}"#] {
            assert!(parse(damaged).is_err(), "{damaged}");
        }
    }

    #[test]
    fn worse_by_more_than_two_percent_or_above_the_limit_is_a_complaint() {
        let saved = |median| Saved::from([("hvc-psci-version".to_owned(), median)]);
        assert!(compare(&[figure(71.4)], &saved(70.0)).is_empty());
        assert!(compare(&[figure(60.0)], &saved(70.0)).is_empty());
        assert_eq!(compare(&[figure(71.5)], &saved(70.0)).len(), 1);
        assert!(compare(&[figure(101.0)], &saved(101.0))[0].contains("limit of 100"));
        assert!(compare(&[figure(70.0)], &Saved::new())[0].contains("not among"));
    }
}
