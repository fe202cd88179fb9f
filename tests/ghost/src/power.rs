//! The power states of one VM's vCPUs, held against the model.
//!
//! They change without a lock, by several vCPUs at once. The hypervisor tells of each change before it
//! makes it and after, and makes it in between as it does in any image. An answer must follow from some
//! order of what was under way at the same time; and whenever nothing is, the states themselves must be
//! those of one of these orders.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use model::{Answer, Config};

use crate::cause::{self, Cause};
use crate::difference::{Difference, field};
use crate::space::Tally;
use crate::ways::{Deed, Way, Ways};

/// What the machine says about power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen<'a> {
    /// Of each vCPU: it is on, a start waits for it.
    pub vcpus: &'a [(bool, bool)],
    /// Some vCPU is on or about to be.
    pub is_any_alive: bool,
}

/// Whether a call with this x0 is one of PSCI's that the model knows, whoever answers it.
#[must_use]
pub const fn is_psci(x0: u64) -> bool {
    matches!(x0 & 0xffff_ffff, 0x8400_0000..=0x8400_001f | 0xc400_0000..=0xc400_001f)
}

/// The judge.
#[derive(Debug)]
pub struct Power {
    ways: Ways,
    /// What it has done.
    pub tally: Tally,
}

impl Power {
    /// The judge of a VM that was just made and not started.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { ways: Ways::new(config), tally: Tally::default() }
    }

    /// The CPU of vCPU `who` begins `deed`; it does one at a time.
    pub fn begin(&mut self, who: usize, deed: Deed) {
        self.ways.begin(who, deed);
    }

    /// The CPU of vCPU `who` is through with what it began, and `answer` came of it; `seen` is how things
    /// stand right now.
    ///
    /// # Errors
    ///
    /// No order of what has been done at the same time leads to the answer, or to what is seen.
    pub fn finish(
        &mut self,
        who: usize,
        answer: &Answer,
        seen: &Seen<'_>,
    ) -> Result<(), Difference> {
        let Some(deed) = self.ways.deed(who) else { return Ok(()) };
        self.tally.comparisons += 1;
        match self.ways.end(who, answer) {
            Ok(is_change) => self.tally.transitions += u64::from(is_change),
            Err(expected) => {
                let lines = vec![field("the answer", expected, cause::answer(answer))];
                return Err(Difference::new(self.describe(deed), lines));
            }
        }
        if self.ways.is_quiet() {
            self.tally.comparisons += seen.vcpus.len() as u64 + 1;
            let fits = |way: &Way| differences(way, seen).is_empty();
            if let Some(way) = self.ways.left.iter().find(|way| fits(way)).cloned() {
                self.ways.left = vec![way];
            } else {
                let lines = self.ways.left.first().map(|way| differences(way, seen));
                return Err(Difference::new(self.describe(deed), lines.unwrap_or_default()));
            }
        }
        Ok(())
    }

    fn describe(&self, deed: Deed) -> String {
        match deed {
            Deed::Call(event, _) => cause::describe(self.ways.config(), &Cause::Event(event)),
            Deed::Wait(vcpu) => format!("vCPU {vcpu} looks whether it is to start"),
            Deed::Off(vcpu) => format!("vCPU {vcpu} went off"),
            Deed::Reset => "EL2 resets the VM".into(),
            Deed::Boot => "EL2 starts the VM".into(),
        }
    }
}

/// What is not as `way` has it.
fn differences(way: &Way, seen: &Seen<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for (vcpu, power) in way.power.iter().enumerate() {
        let expected = match power {
            model::Power::Off => (false, false),
            model::Power::Pending(_) => (false, true),
            model::Power::On => (true, false),
        };
        let found = seen.vcpus.get(vcpu).copied().unwrap_or_default();
        if found != expected {
            let what = format!("vCPU {vcpu}");
            lines.push(field(what, power_text(expected), power_text(found)));
        }
    }
    let is_any_alive = way.power.iter().any(|power| *power != model::Power::Off);
    if is_any_alive != seen.is_any_alive {
        lines.push(field("any vCPU on or about to be", is_any_alive, seen.is_any_alive));
    }
    lines
}

const fn power_text((is_on, is_starting): (bool, bool)) -> &'static str {
    match (is_on, is_starting) {
        (false, false) => "off",
        (false, true) => "about to start",
        (true, false) => "on",
        (true, true) => "on and about to start",
    }
}
