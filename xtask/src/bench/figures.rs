//! The committed figures, and how new ones differ.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::measure::Figure;
use super::rows::Verdict;
use super::table::number;
use crate::workspace;

/// By this part of the committed figure a new one may differ without being mentioned.
const TOLERANCE: f64 = 0.05;

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
                "must": figure.row.must,
                "aim": figure.row.aim,
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

/// What there is to say of figures.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Rows above what they must be, and allowances that no row needs.
    pub failures: Vec<String>,
    /// Rows that are not what was saved.
    pub warnings: Vec<String>,
}

impl Judgement {
    /// One line for each.
    pub fn plain(&self) -> String {
        let failures = self.failures.iter().map(|line| format!("FAIL {line}\n"));
        let warnings = self.warnings.iter().map(|line| format!("warning: {line}\n"));
        warnings.chain(failures).collect()
    }
}

/// Holds `figures` against their limits, and against the `saved` ones.
pub fn judge(figures: &[Figure], saved: &Saved) -> Judgement {
    let mut judgement = Judgement::default();
    for figure in figures {
        let row = figure.row;
        let shown = |value| number(value, row.unit);
        let (worse, median) = (figure.worse(), figure.postern.median);
        let verdict = row.verdict(worse);
        if verdict == Verdict::AboveMust {
            let most = row.until.map(|until| until.most).or(row.must);
            judgement.failures.push(format!(
                "{}: {} is above the limit of {}; `cargo xtask bench --trace {}` shows the path",
                row.name,
                shown(worse),
                most.map(shown).unwrap_or_default(),
                row.name
            ));
        } else if let (Some(until), true) = (row.until, verdict != Verdict::Allowed) {
            judgement.failures.push(format!(
                "{}: {} is within its limit, so that nothing need wait for {}: take `until` from \
                 the row in xtask/src/bench/rows.rs",
                row.name,
                shown(worse),
                until.event
            ));
        }
        match saved.get(row.name) {
            None => judgement.warnings.push(format!("{}: not among the saved figures", row.name)),
            Some(before) if (median - before).abs() > before * TOLERANCE => {
                judgement.warnings.push(format!(
                    "{}: {} differs by more than 5 % from the saved {}; `cargo xtask bench --save` \
                     keeps it",
                    row.name,
                    shown(median),
                    shown(*before)
                ));
            }
            Some(_) => {}
        }
    }
    judgement
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
    fn only_what_is_above_the_limit_fails() {
        let saved = |median| Saved::from([("hvc-psci-version".to_owned(), median)]);
        let failures = |figure: Figure| judge(&[figure], &saved(70.0)).failures;
        assert!(failures(figure(100.0)).is_empty());
        assert!(failures(figure(100.125))[0].contains("limit of 100"));
        // A normal VM's figure counts, too.
        assert!(failures(Figure { normal: Some(101.0), ..figure(70.0) })[0].contains("101"));
        assert!(failures(Figure { normal: Some(70.0), ..figure(101.0) })[0].contains("101"));
    }

    #[test]
    fn a_change_of_more_than_five_percent_is_a_warning() {
        let saved = Saved::from([("hvc-psci-version".to_owned(), 80.0)]);
        for (median, warnings) in [(84.0, 0), (84.125, 1), (76.0, 0), (75.875, 1)] {
            let judgement = judge(&[figure(median)], &saved);
            assert_eq!(judgement.warnings.len(), warnings, "{median}");
            assert!(judgement.failures.is_empty());
        }
        assert!(judge(&[figure(70.0)], &Saved::new()).warnings[0].contains("not among"));
    }

    #[test]
    fn an_allowance_ends_when_nobody_needs_it() {
        static ROW: rows::Row = rows::Row {
            until: Some(rows::Until { event: "spring", most: 130.0 }),
            ..rows::ONE_CPU[0]
        };
        let saved = Saved::from([("hvc-psci-version".to_owned(), 100.0)]);
        let failures =
            |median| judge(&[Figure { row: &ROW, ..figure(median) }], &saved).failures.join("");
        assert!(failures(100.0).contains("spring"));
        assert_eq!(failures(130.0), "");
        assert!(failures(131.0).contains("limit of 130"));
    }
}
