//! The verdict on one run, from its console output alone.

use std::collections::BTreeSet;

use hyp_abi::exit;

use super::pattern::Pattern;
use crate::qemu::Ending;
use crate::run::console::Nonce;
use crate::symbolize::GUESSES;
use crate::tap;

/// What a run must show.
#[derive(Debug, Clone, Default)]
pub struct Expectation {
    /// Code in EL2's last line.
    pub exit: u8,
    /// The guest hangs: the run is stopped at the line that begins so, and there is no last line.
    pub until: Option<String>,
    /// Lines in this order, others between.
    pub lines: Vec<Pattern>,
    /// Lines in any order.
    pub anywhere: Vec<Pattern>,
    /// No line has one of these.
    pub forbid: Vec<Pattern>,
    /// Warnings and events of the hypervisor that belong to the case.
    pub allow: Vec<Pattern>,
    /// Functions and places in this order, others between, to which the addresses of EL2's crash
    /// report lead.
    pub backtrace: Vec<Pattern>,
    /// Lines of the trace as JSON in this order, others between.
    pub trace: Vec<Pattern>,
    /// Lines of the guard report as text in this order, others between.
    pub report: Vec<Pattern>,
    /// The ghost check has compared at least so much, and found no difference.
    pub comparisons: Option<u64>,
    /// Rows that the guest reports as passed, exactly these.
    pub rows: BTreeSet<String>,
    /// Names of the VMs that each report them; none where there is one VM.
    pub rows_from: Vec<String>,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What is wrong; nothing if the run passed.
    pub complaints: Vec<String>,
    /// How many single checks were made.
    pub checks: usize,
}

/// Judges a run that ended by `ending` and printed `lines`, with `nonce` in EL2's last one.
pub fn judge(expect: &Expectation, ending: Ending, nonce: &Nonce, lines: &[String]) -> Verdict {
    let mut complaints = Vec::new();
    let code = lines.iter().find_map(|line| nonce.code(line));
    complaints.extend(ending_complaint(expect, ending, code, lines));
    complaints.extend(in_order(&expect.lines, lines).map(|missing| format!("no line {missing}")));
    for pattern in &expect.anywhere {
        if !lines.iter().any(|line| pattern.is_in(line)) {
            complaints.push(format!("no line with {pattern}"));
        }
    }
    for line in lines {
        if let Some(pattern) = expect.forbid.iter().find(|pattern| pattern.is_in(line)) {
            complaints.push(format!("forbidden by {pattern}: {line}"));
        }
        if is_alarm(line) && !expect.foresees(line) {
            complaints.push(format!("unexpected: {line}"));
        }
    }
    if !expect.rows.is_empty() && expect.rows_from.is_empty() {
        complaints.extend(tap::complaints(lines, &expect.rows));
    }
    for name in &expect.rows_from {
        let wrong = tap::complaints(&lines_of(name, lines), &expect.rows);
        complaints.extend(wrong.into_iter().map(|wrong| format!("{name}: {wrong}")));
    }
    if let Some(least) = expect.comparisons {
        complaints.extend(too_few_comparisons(least, lines));
    }
    let patterns = expect.lines.len()
        + usize::from(expect.comparisons.is_some())
        + expect.anywhere.len()
        + expect.forbid.len();
    // The exit code and the absence of alarms are checked always.
    let rows = expect.rows.len() * expect.rows_from.len().max(1);
    Verdict { complaints, checks: 2 + patterns + rows }
}

/// What the VM called `name` printed, one of several.
fn lines_of(name: &str, lines: &[String]) -> Vec<String> {
    let own = |line: &String| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned);
    lines.iter().filter_map(own).collect()
}

/// The first of `patterns` that is not found in `lines` behind those before it.
pub fn in_order(patterns: &[Pattern], lines: &[String]) -> Option<String> {
    let mut rest = lines.iter();
    let missing = patterns.iter().find(|pattern| !rest.any(|line| pattern.is_in(line)))?;
    let earlier = lines.iter().any(|line| missing.is_in(line));
    let out_of_order = if earlier { " (only before the lines it must follow)" } else { "" };
    Some(format!("with {missing}{out_of_order}"))
}

/// Judges the crash report by the `names` that its addresses lead to.
pub fn judge_crash(expect: &Expectation, names: &[String], verdict: &mut Verdict) {
    let missing = in_order(&expect.backtrace, names);
    verdict
        .complaints
        .extend(missing.map(|missing| format!("no entry in the backtrace {missing}")));
    if !expect.backtrace.is_empty() && names.iter().any(|name| name == GUESSES) {
        verdict.complaints.push("callers in the backtrace are not certain".to_owned());
    }
    verdict.checks += expect.backtrace.len();
}

impl Expectation {
    /// Whether it looks at the trace or at the guard report.
    pub fn is_recorded(&self) -> bool {
        !self.trace.is_empty() || !self.report.is_empty()
    }

    /// A warning or event that the scenario names, as allowed or as demanded.
    fn foresees(&self, line: &str) -> bool {
        [&self.allow, &self.lines, &self.anywhere].into_iter().flatten().any(|p| p.is_in(line))
    }
}

/// The ghost check's last line must say that it compared at least `least` things and that they were
/// alike.
fn too_few_comparisons(least: u64, lines: &[String]) -> Option<String> {
    let said = lines.iter().rev().find_map(|line| line.strip_prefix("[postern] ghost: "));
    let Some(said) = said else { return Some("no line of the ghost check".to_owned()) };
    let number = |unit: &str| {
        let mut counts = said.split(", ").filter_map(|count| count.split_once(' '));
        counts.find(|(_, what)| *what == unit)?.0.parse::<u64>().ok()
    };
    let is_good = number("differences") == Some(0) && number("comparisons") >= Some(least);
    (!is_good).then(|| format!("fewer than {least} comparisons, or differences: {said}"))
}

/// A line with which the hypervisor reports that something is not as it should be: a guest that
/// broke a rule, or a fault of its own.
fn is_alarm(line: &str) -> bool {
    ["[postern] WARNING", "[postern] ERROR", "[postern] event"]
        .iter()
        .any(|start| line.starts_with(start))
}

/// Whether the run was stopped where it was to be.
fn is_stopped(expect: &Expectation, lines: &[String]) -> bool {
    expect.until.as_ref().is_some_and(|start| lines.iter().any(|line| line.starts_with(start)))
}

fn ending_complaint(
    expect: &Expectation,
    ending: Ending,
    code: Option<u8>,
    lines: &[String],
) -> Option<String> {
    match (ending, code) {
        (Ending::TimeLimit, _) => Some("hang: the time limit ran out".to_owned()),
        (Ending::Interrupted, _) => Some("interrupted".to_owned()),
        (Ending::Exited(_), None) if is_stopped(expect, lines) => None,
        (Ending::Exited(status), None) => {
            Some(format!("QEMU ended ({status}) without a last line `{} CODE`", exit::EXIT_PREFIX))
        }
        (Ending::Exited(_), Some(code)) if code != expect.exit => {
            Some(format!("exit code {code} instead of {}", expect.exit))
        }
        (Ending::Exited(_), Some(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn texts(patterns: &[&str]) -> Vec<Pattern> {
        patterns.iter().map(|text| Pattern::Text((*text).to_owned())).collect()
    }

    fn judged(expect: &Expectation, ending: Ending, text: &str) -> Verdict {
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        judge(expect, ending, &Nonce::of("postern.nonce=5f").unwrap(), &lines)
    }

    fn verdict(expect: &Expectation, text: &str) -> Vec<String> {
        judged(expect, Ending::Exited(ExitStatus::from_raw(0)), text).complaints
    }

    #[test]
    fn a_run_as_expected_passes() {
        let expect = Expectation {
            lines: texts(&["one", "two"]),
            anywhere: texts(&["zero"]),
            forbid: texts(&["never"]),
            rows: ["R1".to_owned()].into(),
            ..Expectation::default()
        };
        let text = "one\n1..1\nok 1 - R1 x\nbetween\ntwo\nzero\nPOSTERN-EXIT 0 5f";
        assert_eq!(verdict(&expect, text), Vec::<String>::new());
        assert_eq!(judged(&expect, Ending::Exited(ExitStatus::from_raw(0)), text).checks, 7);
    }

    #[test]
    fn each_vm_that_is_named_reports_its_rows() {
        let names = ["a", "b"].map(str::to_owned).to_vec();
        let rows = ["R1".to_owned()].into();
        let expect = Expectation { rows, rows_from: names, ..Expectation::default() };
        let text =
            |b: &str| format!("a: 1..1\nb: 1..1\na: ok 1 - R1 x\n{b} 1 - R1 x\nPOSTERN-EXIT 0 5f");
        assert_eq!(verdict(&expect, &text("b: ok")), Vec::<String>::new());
        let judged = judged(&expect, Ending::Exited(ExitStatus::from_raw(0)), &text("b: ok"));
        assert_eq!(judged.checks, 4);
        assert_eq!(verdict(&expect, &text("b: not ok")), ["b: not ok 1 - R1 x"]);
        for other in ["ok", "c: ok", "ab: ok"] {
            let found = verdict(&expect, &text(other));
            assert!(found.iter().any(|wrong| wrong == "b: rows not run: R1"), "{other}: {found:?}");
        }
    }

    #[test]
    fn every_flaw_fails() {
        let expect = Expectation {
            lines: texts(&["one", "two"]),
            anywhere: texts(&["zero"]),
            forbid: texts(&["never"]),
            ..Expectation::default()
        };
        for (text, flaw) in [
            ("zero\none\nPOSTERN-EXIT 0 5f", "no line with `two`"),
            ("zero\ntwo\none\nPOSTERN-EXIT 0 5f", "only before"),
            ("one\ntwo\nPOSTERN-EXIT 0 5f", "no line with `zero`"),
            ("zero\none\ntwo\nnever\nPOSTERN-EXIT 0 5f", "forbidden"),
            ("zero\none\ntwo\nPOSTERN-EXIT 1 5f", "exit code 1 instead of 0"),
            ("zero\none\ntwo", "without a last line"),
            ("zero\none\ntwo\nPOSTERN-EXIT 0", "without a last line"),
            ("zero\none\ntwo\nPOSTERN-EXIT 1 5f\nPOSTERN-EXIT 0 5f", "exit code 1 instead of 0"),
            ("[postern] WARNING: x\nzero\none\ntwo\nPOSTERN-EXIT 0 5f", "unexpected"),
            ("[postern] ERROR: x\nzero\none\ntwo\nPOSTERN-EXIT 0 5f", "unexpected"),
            ("[postern] event: vm 0 vcpu 1: load\nzero\none\ntwo\nPOSTERN-EXIT 0 5f", "unexpected"),
        ] {
            let found = verdict(&expect, text);
            assert!(found.len() == 1 && found[0].contains(flaw), "{text:?}: {found:?}");
        }
    }

    #[test]
    fn the_ghost_check_must_have_compared_enough() {
        let expect = Expectation { comparisons: Some(1000), ..Expectation::default() };
        let first = "[postern] ghost: 9 transitions, 2000 comparisons, 0 differences\n";
        for (last, flaws) in [
            ("[postern] ghost: 12 transitions, 1000 comparisons, 0 differences", 0),
            ("[postern] ghost: 12 transitions, 999 comparisons, 0 differences", 1),
            ("[postern] ghost: 12 transitions, 1000 comparisons, 1 differences", 1),
            ("[postern] ghost: 12 transitions", 1),
        ] {
            let text = format!("{first}{last}\nPOSTERN-EXIT 0 5f");
            assert_eq!(verdict(&expect, &text).len(), flaws, "{last}");
        }
        assert_eq!(verdict(&expect, "POSTERN-EXIT 0 5f"), ["no line of the ghost check"]);
    }

    #[test]
    fn a_hang_fails_whatever_was_printed() {
        let verdict = judged(&Expectation::default(), Ending::TimeLimit, "POSTERN-EXIT 0 5f");
        assert!(verdict.complaints[0].contains("hang"));
    }

    #[test]
    fn a_run_that_is_to_be_stopped_needs_the_line() {
        let expect = Expectation { until: Some("so far".to_owned()), ..Expectation::default() };
        assert_eq!(verdict(&expect, "one\nso far and no further"), Vec::<String>::new());
        assert!(verdict(&expect, "one\nnot so far")[0].contains("without a last line"));
    }

    #[test]
    fn a_crash_must_lead_where_it_is_said_to() {
        let expect =
            Expectation { backtrace: texts(&["inner", "outer"]), ..Expectation::default() };
        for (names, flaws) in [
            (&["0x1 inner at a.rs:1", "0x2 between", "0x3 outer"][..], 0),
            (&["0x3 outer", "0x1 inner"], 1),
            (&["0x1 inner"], 1),
            (&["0x1 inner", GUESSES, "0x3 outer"], 1),
            (&[], 1),
        ] {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            let mut verdict = Verdict { complaints: Vec::new(), checks: 0 };
            judge_crash(&expect, &names, &mut verdict);
            assert_eq!((verdict.complaints.len(), verdict.checks), (flaws, 2), "{names:?}");
        }
    }

    #[test]
    fn foreseen_warnings_pass() {
        let allowed = Expectation { allow: texts(&["odd tree"]), ..Expectation::default() };
        assert!(verdict(&allowed, "[postern] WARNING: odd tree\nPOSTERN-EXIT 0 5f").is_empty());
        let demanded = Expectation { lines: texts(&["odd tree"]), ..Expectation::default() };
        assert!(verdict(&demanded, "[postern] WARNING: odd tree\nPOSTERN-EXIT 0 5f").is_empty());
    }
}
