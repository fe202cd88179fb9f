//! Every row of the guest ABI's test table is shown by something, or says why nothing can.
//!
//! `docs/conformance.md` has a line for each row. What it names must be there: rows of the
//! conformance guest that a scenario demands, or tests of the host.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::evidence::{CONFORMANCE as SCENARIOS, Known, cases};
use super::files::{Files, breach};

const DOCUMENT: &str = "docs/conformance.md";
/// Rows of the table: R1 to R130.
const ROWS: usize = 130;

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
        known.check_row(shown).into_iter().for_each(|what| complain(&format!("row {id}: {what}")));
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
