//! Every row of the guest ABI's test table is shown by something, or says why nothing can.
//!
//! `docs/conformance.md` has a line for each row. What it names must be there: rows of the
//! conformance guest that a scenario demands, or tests of the host.

use std::collections::BTreeSet;

use regex::Regex;
use toml::{Table, Value};

use super::files::{Files, TextFile, breach};
use crate::scenario::tap;

const DOCUMENT: &str = "docs/conformance.md";
/// Rows of the table: R1 to R130.
const ROWS: usize = 130;
/// The scenarios that run the guest through all its rows, one file for each GIC.
const SCENARIOS: [&str; 2] =
    ["tests/scenarios/conformance.toml", "tests/scenarios/conformance-gicv2.toml"];

/// The table has each row once, and what each line names exists.
pub fn rows(files: &Files) -> Vec<String> {
    let Some(document) = files.get(DOCUMENT) else {
        return vec![format!("{DOCUMENT}: missing")];
    };
    let known = Known::gather(files);
    let mut breaches = known.breaches.clone();
    let mut expected = (1..=ROWS).map(|number| format!("R{number}"));
    for (index, line) in document.text.lines().enumerate() {
        let Some(cells) = line.strip_prefix("| R") else { continue };
        let cells: Vec<&str> = cells.split(" | ").map(str::trim).collect();
        let id = format!("R{}", cells[0]);
        let mut complain = |what: &str| breaches.push(breach(document, index, what));
        match expected.next() {
            Some(next) if next == id => {}
            next => {
                complain(&format!("row {id} where {} is due", next.as_deref().unwrap_or("no row")))
            }
        }
        let shown = cells.get(2).copied().unwrap_or_default();
        known.check(&id, shown).into_iter().for_each(|what| complain(&what));
    }
    breaches.extend(expected.next().map(|id| format!("{DOCUMENT}: no row {id}")));
    // A row that nothing demands may fail to run, and nobody notices.
    let forgotten = known.guest.iter().filter(|id| !known.demanded.contains(*id));
    breaches.extend(forgotten.map(|id| format!("{}: no case demands row {id}", SCENARIOS[0])));
    breaches
}

/// The guest runs in {GICv2, GICv3} x {normal, protected} x {`pkvm`, `list-2021`} x {1, 4 vCPUs},
/// a normal VM of the `pkvm` dialect with the guard and without.
pub fn matrix(files: &Files) -> Vec<String> {
    let mut breaches = Vec::new();
    for path in SCENARIOS {
        let found: BTreeSet<String> = cases(files, path).iter().map(configuration).collect();
        for kind in ["normal", "guard", "protected", "list-2021", "list-2021 protected"] {
            for cpus in [1, 4] {
                let wanted = format!("{kind}, {cpus}");
                if !found.contains(&wanted) {
                    breaches.push(format!("{path}: no case `{wanted}` vCPUs"));
                }
            }
        }
    }
    breaches
}

/// Kind and number of vCPUs of a case.
fn configuration(case: &Table) -> String {
    let vm = case.get("vm").and_then(Value::as_table);
    let flag = |name, otherwise| {
        vm.and_then(|vm| vm.get(name)).and_then(Value::as_bool).unwrap_or(otherwise)
    };
    let is_list = vm.and_then(|vm| vm.get("dialect")).and_then(Value::as_str) == Some("list-2021");
    let kind = match (is_list, flag("protected", true), flag("guard", false)) {
        (true, true, _) => "list-2021 protected",
        (true, false, _) => "list-2021",
        (false, true, _) => "protected",
        (false, false, true) => "guard",
        (false, false, false) => "normal",
    };
    let cpus = vm.and_then(|vm| vm.get("cpus")).and_then(Value::as_integer).unwrap_or(1);
    format!("{kind}, {cpus}")
}

/// What a line of the table may name.
#[derive(Default)]
struct Known {
    /// Rows of the guest.
    guest: BTreeSet<String>,
    /// Rows that a scenario demands.
    demanded: BTreeSet<String>,
    /// Functions that are tests.
    tests: BTreeSet<String>,
    breaches: Vec<String>,
}

impl Known {
    fn gather(files: &Files) -> Self {
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
        for path in SCENARIOS {
            let mut words = Vec::new();
            let top = files.get(path).and_then(|file| file.text.parse::<Table>().ok());
            words.extend(top.as_ref().map(demands).unwrap_or_default());
            words.extend(cases(files, path).iter().flat_map(demands));
            match tap::rows(&words) {
                Ok(rows) => known.demanded.extend(rows),
                Err(error) => known.breaches.push(format!("{path}: {error}")),
            }
        }
        known
    }

    /// What is wrong with the cell that says what shows row `id`.
    fn check(&self, id: &str, shown: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Some(names) = shown.strip_prefix("guest ") {
            for name in names.split(", ") {
                if !self.guest.contains(name) {
                    wrong.push(format!("row {id}: the guest has no row {name}"));
                } else if !self.demanded.contains(name) {
                    wrong.push(format!("row {id}: no case demands row {name}"));
                }
            }
        } else if let Some(names) = shown.strip_prefix("test ") {
            let names: Vec<&str> = names.split('`').skip(1).step_by(2).collect();
            if names.is_empty() {
                wrong.push(format!("row {id}: names no test"));
            }
            let missing = names.into_iter().filter(|name| !self.tests.contains(*name));
            wrong.extend(missing.map(|name| format!("row {id}: no test {name}")));
        } else if shown.strip_prefix("no VM: ").is_none_or(|reason| reason.len() < 20) {
            wrong
                .push(format!("row {id}: neither `guest`, nor `test`, nor `no VM:` with a reason"));
        }
        wrong
    }
}

/// The cases of a scenario file.
fn cases(files: &Files, path: &str) -> Vec<Table> {
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

    /// A tree in which every row but those in `lines` is shown by guest row R1.
    fn tree(lines: &[(usize, &str)]) -> Files {
        let mut document = String::from("| row | input | shown by | in |\n|---|---|---|---|\n");
        for number in 1..=ROWS {
            let shown = lines.iter().find(|(n, _)| *n == number).map_or("guest R1", |(_, s)| s);
            if !shown.is_empty() {
                document.push_str(&format!("| R{number} | input | {shown} | every VM |\n"));
            }
        }
        let guest = "Row::new(\"R1\", Kinds::VM, \"x\")\nRow::smp(\n    \"F1\", Kinds::VM)";
        Files::of(&[
            (DOCUMENT, &document),
            ("tests/conformance/src/rows/a.rs", guest),
            ("hyp/core/src/a.rs", "#[test]\nfn a_test() {}\nfn no_test() {}"),
            (SCENARIOS[0], "[expect]\nrows = [\"R1\"]\n[[case]]\nexpect = { rows = [\"F1\"] }"),
            (SCENARIOS[1], ""),
        ])
    }

    #[test]
    fn a_row_is_shown_or_excused() {
        assert_eq!(rows(&tree(&[])), [""; 0]);
        let fine = [
            (2, "guest R1, F1"),
            (3, "test `a_test`; more words"),
            (4, "no VM: takes a second VM, which there is not"),
        ];
        assert_eq!(rows(&tree(&fine)), [""; 0]);
        for (shown, complaint) in [
            ("guest R2", "the guest has no row R2"),
            ("test `no_test`", "no test no_test"),
            ("test", "neither"),
            ("no VM: because", "neither"),
            ("of course", "neither"),
        ] {
            let found = rows(&tree(&[(7, shown)]));
            assert!(found.len() == 1 && found[0].contains(complaint), "{shown}: {found:?}");
        }
    }

    #[test]
    fn no_row_is_left_out() {
        let found = rows(&tree(&[(130, "")]));
        assert_eq!(found, ["docs/conformance.md: no row R130"]);
        assert!(rows(&tree(&[(5, "")]))[0].contains("row R6 where R5 is due"));
        let mut files = tree(&[]);
        files.0.retain(|file| file.path != SCENARIOS[0]);
        assert!(rows(&files).iter().any(|breach| breach.contains("no case demands row F1")));
    }

    #[test]
    fn the_matrix_has_every_kind_with_one_and_four_vcpus() {
        let mut text = String::new();
        for vm in [
            "protected = false",
            "protected = false, guard = true",
            "",
            "dialect = \"list-2021\"",
            "protected = false, dialect = \"list-2021\"",
        ] {
            for cpus in ["cpus = 1", "cpus = 4"] {
                let comma = if vm.is_empty() { "" } else { ", " };
                text.push_str(&format!("[[case]]\nvm = {{ {vm}{comma}{cpus} }}\n"));
            }
        }
        assert_eq!(matrix(&Files::of(&[(SCENARIOS[0], &text), (SCENARIOS[1], &text)])), [""; 0]);
        let less = text.replacen("cpus = 4", "cpus = 2", 1);
        let found = matrix(&Files::of(&[(SCENARIOS[0], &text), (SCENARIOS[1], &less)]));
        assert_eq!(found, [format!("{}: no case `normal, 4` vCPUs", SCENARIOS[1])]);
    }
}
