//! What a guest that tests something says has come of it: EL2 only knows that it powered itself off.

use std::cell::RefCell;

use hyp_abi::exit;

use crate::tap;
use crate::vm_desc::What;

/// Listens to a guest for its verdict.
#[derive(Debug)]
pub(super) struct SelfTest {
    what: Option<What>,
    lines: RefCell<Vec<String>>,
}

impl SelfTest {
    /// For the payload `what`, if it is one of ours, with `words` on its command line.
    pub(super) fn of(what: Option<What>, words: &str) -> Self {
        // The conformance guest can also be asked to do nothing but one thing that is no row.
        let is_other = words
            .split_whitespace()
            .any(|word| word.starts_with("end=") || word.starts_with("hostile="));
        let what = what.filter(|what| *what != What::Conformance || !is_other);
        Self { what, lines: RefCell::default() }
    }

    /// Takes in a line of the console.
    pub(super) fn hear(&self, line: &str) {
        let is_said = match self.what {
            Some(What::Conformance) => true,
            Some(What::Hostile) => line.starts_with("hostile: "),
            Some(What::Demo) => line.starts_with(NOT_AS_TOLD),
            _ => false,
        };
        if is_said {
            self.lines.borrow_mut().push(line.to_owned());
        }
    }

    /// The exit status of a run that ended with `status`; says why it is another.
    pub(super) fn conclude(self, status: u8) -> u8 {
        let complaint = self.complaint().filter(|_| status == exit::GUEST_OFF);
        complaint.map_or(status, |complaint| {
            eprintln!("[xtask] {complaint}");
            exit::GUEST_FAILED
        })
    }

    fn complaint(self) -> Option<String> {
        let lines = self.lines.into_inner();
        match self.what {
            Some(What::Conformance) => {
                let (flaws, _) = tap::flaws(&lines);
                (!flaws.is_empty())
                    .then(|| format!("the guest's tests failed: {}", flaws.join("; ")))
            }
            Some(What::Hostile) if !lines.iter().any(|line| line.starts_with(HOSTILE_DONE)) => {
                Some(format!("the guest never said `{HOSTILE_DONE}`"))
            }
            Some(What::Demo) => lines.into_iter().next(),
            _ => None,
        }
    }
}

/// What the hostile guest says when all was as it must be.
const HOSTILE_DONE: &str = "hostile: done";
/// What the demonstration says otherwise.
const NOT_AS_TOLD: &str = "This is not what a protected VM should see.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_failed_and_powered_off_is_no_success() {
        for (what, lines, status, expected) in [
            (What::Conformance, &["1..1", "ok 1 - R1 x"][..], 0, 0),
            (What::Conformance, &["1..1", "not ok 1 - R1 x"], 0, 1),
            (What::Conformance, &["1..2", "ok 1 - R1 x"], 0, 1),
            (What::Conformance, &["1..1", "ok 1 - R1 x", "Bail out! why"], 0, 1),
            (What::Conformance, &[], 0, 1),
            // EL2 knows better.
            (What::Conformance, &["1..1", "not ok 1 - R1 x"], 3, 3),
            (What::Conformance, &["1..2"], 124, 124),
            (What::Hostile, &["hostile: seed=1", "hostile: done operations=9"], 0, 0),
            (What::Hostile, &["hostile: FAIL seed=1 vcpu=0 op=7: x"], 0, 1),
            (What::Demo, &["1. Which services are there?"], 0, 0),
            (What::Demo, &["This is not what a protected VM should see."], 0, 1),
            (What::Linux, &["not ok 1 - R1 x", "hostile: FAIL"], 0, 0),
        ] {
            let test = SelfTest::of(Some(what), "");
            lines.iter().for_each(|line| test.hear(line));
            assert_eq!(test.conclude(status), expected, "{what:?} {lines:?}");
        }
        assert_eq!(SelfTest::of(None, "").conclude(0), 0);
        assert_eq!(SelfTest::of(Some(What::Conformance), "a end=all-off").conclude(0), 0);
    }
}
