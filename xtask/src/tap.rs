//! Test results of the conformance guest, in the Test Anything Protocol, version 13.
//!
//! Each result names a row of the guest ABI's test table. The rows that were run must be exactly
//! the rows that the scenario asks for: a test that quietly disappears is a failure.

use std::collections::BTreeSet;

/// The newest version that Perl's `prove` reads (Test::Harness 3.44).
const NEWEST: u32 = 13;

/// The rows meant by `words`: single ids, and ranges such as `R18-R33` whose ids share a prefix.
///
/// # Errors
///
/// A word that is neither, in words.
pub fn rows(words: &[String]) -> Result<BTreeSet<String>, String> {
    let mut rows = BTreeSet::new();
    for word in words {
        let Some((first, last)) = word.split_once('-') else {
            rows.insert(word.clone());
            continue;
        };
        let parts = split_number(first).zip(split_number(last));
        let Some(((prefix, first), (other, last))) = parts else {
            return Err(format!("`{word}` is no range of rows such as R18-R33"));
        };
        if prefix != other || first > last {
            return Err(format!("`{word}` is no range of rows such as R18-R33"));
        }
        rows.extend((first..=last).map(|number| format!("{prefix}{number}")));
    }
    Ok(rows)
}

fn split_number(id: &str) -> Option<(&str, u32)> {
    let at = id.find(|c: char| c.is_ascii_digit())?;
    let (prefix, number) = id.split_at(at);
    Some((prefix, number.parse().ok()?))
}

/// What is wrong with the results in `lines`, given that the rows `wanted` were to be run; nothing
/// if all is well.
pub fn complaints(lines: &[String], wanted: &BTreeSet<String>) -> Vec<String> {
    let (mut wrong, seen) = flaws(lines);
    let list =
        |rows: Vec<&String>| rows.iter().map(|row| row.as_str()).collect::<Vec<_>>().join(" ");
    let missing: Vec<_> = wanted.difference(&seen).collect();
    if !missing.is_empty() {
        wrong.push(format!("rows not run: {}", list(missing)));
    }
    let extra: Vec<_> = seen.difference(wanted).collect();
    if !extra.is_empty() {
        wrong.push(format!("rows run but not asked for: {}", list(extra)));
    }
    wrong
}

/// What is wrong with the results in `lines` whichever rows were to be run, and the rows that were.
pub fn flaws(lines: &[String]) -> (Vec<String>, BTreeSet<String>) {
    let mut wrong = Vec::new();
    let mut plan: Option<usize> = None;
    let mut count = 0_usize;
    let mut seen = BTreeSet::new();
    for line in lines {
        if let Some(version) = line.strip_prefix("TAP version ") {
            if version.trim().parse().is_ok_and(|version: u32| version > NEWEST) {
                wrong.push(format!("`prove` reads TAP up to version {NEWEST}: {line}"));
            }
        } else if let Some(number) = line.strip_prefix("1..") {
            let number = number.split_whitespace().next().and_then(|word| word.parse().ok());
            if plan.is_some() || number.is_none() {
                wrong.push(format!("bad TAP plan: {line}"));
            }
            plan = plan.or(number);
        } else if let Some(reason) = line.strip_prefix("Bail out!") {
            wrong.push(format!("the guest gave up:{reason}"));
        } else if let Some((passed, rest)) = result(line) {
            count += 1;
            let (number, row, note) = fields(rest);
            if number != Some(count) {
                wrong.push(format!("result {count} has another number: {line}"));
            }
            if !passed {
                wrong.push(line.clone());
                // What the guest compared, which it prints as comments that begin with the row.
                let about = format!("# {row}:");
                wrong.extend(lines.iter().filter(|line| line.starts_with(&about)).cloned());
            } else if note.is_some() {
                wrong.push(format!("skipped or unfinished: {line}"));
            }
            if !seen.insert(row.to_owned()) {
                wrong.push(format!("row {row} twice"));
            }
        }
    }
    match plan {
        None => wrong.push("no TAP plan".to_owned()),
        Some(plan) if plan != count => {
            wrong.push(format!("the TAP plan says {plan} results, there are {count}"));
        }
        Some(_) => {}
    }
    (wrong, seen)
}

/// A result line: passed or not, and what follows.
fn result(line: &str) -> Option<(bool, &str)> {
    let (passed, rest) = match line.strip_prefix("not ok") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok")?),
    };
    rest.starts_with(' ').then_some((passed, rest))
}

/// Number, row and directive of ` 12 - R64 description # SKIP reason`.
fn fields(rest: &str) -> (Option<usize>, &str, Option<&str>) {
    let (text, note) = match rest.split_once(" # ") {
        Some((text, note)) => (text, Some(note)),
        None => (rest, None),
    };
    let mut words = text.split_whitespace().filter(|word| *word != "-").peekable();
    let number = words.peek().and_then(|word| word.parse().ok());
    if number.is_some() {
        words.next();
    }
    (number, words.next().unwrap_or_default(), note)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(words: &[&str]) -> BTreeSet<String> {
        rows(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn judge(text: &str, words: &[&str]) -> Vec<String> {
        complaints(&text.lines().map(str::to_owned).collect::<Vec<_>>(), &wanted(words))
    }

    #[test]
    fn ranges_are_rows() {
        assert_eq!(wanted(&["R9-R11", "G2"]), wanted(&["G2", "R10", "R11", "R9"]));
        assert_eq!(wanted(&["R1-R130"]).len(), 130);
        for wrong in ["R3-R2", "R1-G2", "R-R2", "R1-", "1-R2"] {
            assert!(rows(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn complete_results_pass_among_other_lines() {
        let text =
            "hello\nTAP version 13\n1..2\nok 1 - R1 version\nnoise\nok 2 - R2 features\nokay";
        assert_eq!(judge(text, &["R1-R2"]), Vec::<String>::new());
    }

    #[test]
    fn a_failed_row_comes_with_what_was_compared() {
        let text = "1..1\n# R1: x0: got 0x1, want 0x0\n# R11: other\nnot ok 1 - R1 version";
        assert_eq!(judge(text, &["R1"]), ["not ok 1 - R1 version", "# R1: x0: got 0x1, want 0x0"]);
    }

    #[test]
    fn every_flaw_is_named() {
        for (text, flaw) in [
            ("", "no TAP plan"),
            ("TAP version 14\n1..1\nok 1 - R1 x", "up to version 13"),
            ("1..1\nnot ok 1 - R1 x", "not ok 1"),
            ("1..1\nok 1 - R1 x # SKIP why", "skipped"),
            ("1..2\nok 1 - R1 x", "plan says 2"),
            ("1..1\nok 2 - R1 x", "another number"),
            ("1..2\nok 1 - R1 x\nok 2 - R1 x", "R1 twice"),
            ("1..1\nok 1 - R2 x", "not run: R1"),
            ("1..2\nok 1 - R1 x\nok 2 - R2 x", "not asked for: R2"),
            ("1..1\n1..1\nok 1 - R1 x", "bad TAP plan"),
            ("1..1\nok 1 - R1 x\nBail out! lost", "gave up: lost"),
        ] {
            let found = judge(text, &["R1"]);
            assert!(found.iter().any(|line| line.contains(flaw)), "{text:?}: {found:?}");
        }
    }
}
