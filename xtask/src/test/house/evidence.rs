//! What a document may name as evidence: rows of the conformance guest, tests of the host,
//! scenarios, rules of the house, stages of `cargo xtask test`. All of it must be there.

use std::collections::BTreeSet;

use regex::Regex;
use toml::{Table, Value};

use super::files::{Files, TextFile, breach};
use crate::tap;

/// The scenarios that run the guest through all its rows, one file for each GIC.
pub const CONFORMANCE: [&str; 2] =
    ["tests/scenarios/conformance.toml", "tests/scenarios/conformance-gicv2.toml"];

/// Documents with tables of claims, the last column of which names the evidence.
const CLAIMS: [&str; 2] = ["docs/assurance.md", "docs/threat-model.md"];
/// The head of that column.
const COLUMN: &str = "defended by";

/// Each line of a table of claims names evidence, and all of it exists. `rules` are the names of
/// the rules of the house, `stages` those of the stages of `test`.
pub fn claims(files: &Files, rules: &[&str], stages: &[&str]) -> Vec<String> {
    let known = Known::gather(files);
    let mut breaches = Vec::new();
    for path in CLAIMS {
        let Some(document) = files.get(path) else {
            breaches.push(format!("{path}: missing"));
            continue;
        };
        let mut is_claims = false;
        let mut claims = 0;
        for (index, line) in document.text.lines().enumerate() {
            let Some(row) = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) else {
                is_claims = false;
                continue;
            };
            let cell = row.rsplit(" | ").next().unwrap_or_default().trim();
            if cell == COLUMN {
                is_claims = true;
            } else if is_claims && !cell.chars().all(|c| c == '-' || c == '|') {
                claims += 1;
                let wrong = known.check_claim(cell, rules, stages);
                breaches.extend(wrong.iter().map(|what| breach(document, index, what)));
            }
        }
        if claims == 0 {
            breaches.push(format!("{path}: no table has a column `{COLUMN}`"));
        }
    }
    breaches
}

/// What there is to be named.
#[derive(Default)]
pub struct Known {
    /// Rows of the guest.
    pub guest: BTreeSet<String>,
    /// Rows that a scenario demands.
    pub demanded: BTreeSet<String>,
    /// Functions that are tests.
    tests: BTreeSet<String>,
    /// Scenarios, `FILE` and `FILE/CASE`.
    scenarios: BTreeSet<String>,
    /// What kept this from being complete.
    pub breaches: Vec<String>,
}

impl Known {
    /// Reads all of it.
    pub fn gather(files: &Files) -> Self {
        let mut known = Self::default();
        let row = Regex::new(r#"Row::(?:new|smp)\(\s*"([A-Z]+\d+[a-z]*)""#);
        let test = Regex::new(r"#\[test\]\s*(?:#\[[^\]]*\]\s*)*fn (\w+)\(");
        let (Ok(row), Ok(test)) = (row, test) else {
            known.breaches.push("bad pattern".to_owned());
            return known;
        };
        let all = |pattern: &Regex, file: &TextFile| -> Vec<String> {
            pattern.captures_iter(&file.text).map(|found| found[1].to_owned()).collect()
        };
        for file in files.rust() {
            if file.path.starts_with("tests/conformance/src/rows/") {
                known.guest.extend(all(&row, file));
            }
            known.tests.extend(all(&test, file));
        }
        for path in CONFORMANCE {
            let mut words = Vec::new();
            let top = files.get(path).and_then(|file| file.text.parse::<Table>().ok());
            words.extend(top.as_ref().map(demands).unwrap_or_default());
            words.extend(cases(files, path).iter().flat_map(demands));
            match tap::rows(&words) {
                Ok(rows) => known.demanded.extend(rows),
                Err(error) => known.breaches.push(format!("{path}: {error}")),
            }
        }
        for file in &files.0 {
            let stem = file.path.strip_prefix("tests/scenarios/");
            let Some(stem) = stem.and_then(|name| name.strip_suffix(".toml")) else { continue };
            known.scenarios.insert(stem.to_owned());
            for case in cases(files, &file.path) {
                if let Some(name) = case.get("name").and_then(Value::as_str) {
                    known.scenarios.insert(format!("{stem}/{name}"));
                }
            }
        }
        known
    }

    /// What is wrong with the cell that says what shows a row of the guest ABI.
    pub fn check_row(&self, shown: &str) -> Vec<String> {
        if shown.starts_with("guest ") || shown.starts_with("test ") {
            return self.check_one(shown, &[], &[]);
        }
        if shown.strip_prefix("no VM: ").is_none_or(|reason| reason.len() < 20) {
            return vec!["neither `guest`, nor `test`, nor `no VM:` with a reason".to_owned()];
        }
        Vec::new()
    }

    /// What is wrong with the cell that names the evidence of a claim.
    fn check_claim(&self, cell: &str, rules: &[&str], stages: &[&str]) -> Vec<String> {
        cell.split("; ").flat_map(|part| self.check_one(part, rules, stages)).collect()
    }

    /// A kind of evidence and its names: `guest R1, R2` or `test`, `scenario`, `rule`, `stage` with
    /// names in backticks.
    fn check_one(&self, part: &str, rules: &[&str], stages: &[&str]) -> Vec<String> {
        let (kind, names) = part.split_once(' ').unwrap_or((part, ""));
        if kind == "guest" {
            return names.split(", ").filter_map(|name| self.check_guest(name)).collect();
        }
        let names: Vec<&str> = names.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            return vec![format!("`{part}` names nothing")];
        }
        let exists = |name: &str| match kind {
            "test" | "tests" => self.tests.contains(name),
            "scenario" | "scenarios" => self.scenarios.contains(name),
            "rule" | "rules" => rules.contains(&name),
            "stage" | "stages" => stages.contains(&name),
            _ => false,
        };
        let missing = names.into_iter().filter(|name| !exists(name));
        missing.map(|name| format!("no {kind} {name}")).collect()
    }

    fn check_guest(&self, name: &str) -> Option<String> {
        if !self.guest.contains(name) {
            Some(format!("the guest has no row {name}"))
        } else if !self.demanded.contains(name) {
            Some(format!("no case demands row {name}"))
        } else {
            None
        }
    }
}

/// The cases of a scenario file.
pub fn cases(files: &Files, path: &str) -> Vec<Table> {
    let table = files.get(path).and_then(|file| file.text.parse::<Table>().ok());
    let cases = table.as_ref().and_then(|table| table.get("case")).and_then(Value::as_array);
    cases.into_iter().flatten().filter_map(Value::as_table).cloned().collect()
}

/// The rows that a file or a case demands, as it writes them.
fn demands(table: &Table) -> Vec<String> {
    let rows = table.get("expect").and_then(|expect| expect.get("rows")).and_then(Value::as_array);
    rows.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(cell: &str) -> Vec<String> {
        let table = format!("| promise | defended by |\n|---|---|\n| it holds | {cell} |\n");
        let files = Files::of(&[
            (CLAIMS[0], &table),
            (CLAIMS[1], &table),
            ("tests/conformance/src/rows/a.rs", "Row::new(\"R1\", x)\nRow::new(\"R2\", x)"),
            ("hyp/core/src/a.rs", "#[test]\nfn a_test() {}\nfn no_test() {}"),
            ("tests/scenarios/hostile.toml", "[[case]]\nname = \"loop\""),
            (CONFORMANCE[0], "[expect]\nrows = [\"R1\"]"),
            (CONFORMANCE[1], ""),
        ]);
        claims(&files, &["no unfinished code"], &["format"])
    }

    #[test]
    fn evidence_must_exist() {
        for fine in [
            "guest R1",
            "test `a_test`",
            "scenario `hostile/loop`, `hostile`",
            "stage `format`",
            "guest R1; test `a_test`; scenarios `hostile`; rule `no unfinished code`",
        ] {
            assert_eq!(found(fine), [""; 0], "{fine}");
        }
        for (cell, complaint) in [
            ("guest R2", "no case demands row R2"),
            ("guest R3", "the guest has no row R3"),
            ("guest R1; test `no_test`", "no test no_test"),
            ("scenario `hostile/other`", "no scenario hostile/other"),
            ("rule `be kind`", "no rule be kind"),
            ("stage `no unfinished code`", "no stage no unfinished code"),
            ("test", "names nothing"),
            ("of course", "names nothing"),
            ("proof `a_test`", "no proof a_test"),
        ] {
            let found = found(cell);
            assert!(found.len() == 2 && found[0].contains(complaint), "{cell}: {found:?}");
        }
    }

    #[test]
    fn a_document_of_claims_claims_something() {
        let files = Files::of(&[(CLAIMS[0], "# Nothing"), (CONFORMANCE[0], "")]);
        let found = claims(&files, &[], &[]);
        assert_eq!(
            found,
            [
                format!("{}: no table has a column `{COLUMN}`", CLAIMS[0]),
                format!("{}: missing", CLAIMS[1])
            ]
        );
    }
}
