//! Makes the report's picture of each VM from the records of a run.

use std::collections::BTreeMap;

use hyp_abi::trace::Range;
use hyp_core::events::{Reason, Touch};

use super::model::{
    BLOCK, Backed, GRANULE, Granule, Origin, Period, Place, SharedPage, Touched, Violation, Vm,
    page,
};
use crate::trace::{Deed, Record, Recording, What};

impl Vm {
    fn hear(&mut self, record: &Record, recording: &Recording) {
        let origin = || origin(record, recording);
        match &record.what {
            What::VmMade { list_2021, guard, type_word, .. } => {
                self.is_list_2021 = *list_2021;
                self.has_guard = *guard;
                self.type_word = *type_word;
                if self.is_protected() {
                    self.enrolled = Some(Origin { time: record.time, place: None });
                }
            }
            What::VmName(name) => self.name.clone_from(name),
            What::VmRange { base, bytes, range } => {
                if !self.ranges.contains(&(*range, *base, *bytes)) {
                    self.ranges.push((*range, *base, *bytes));
                }
                if *range == Range::Guarded {
                    self.guard(*base, bytes / GRANULE, &origin());
                }
            }
            What::VmStopped(stop) => self.stopped = Some(*stop),
            What::VmReset { count } => self.reset(*count, &origin()),
            What::Call(call) => {
                if let Some(deed) = call.deed(self.is_list_2021) {
                    self.act(deed, &origin());
                }
            }
            What::Refused { ipa, va, reason, touch, bytes, .. } => {
                self.refused(*reason, *touch, *bytes, [*ipa, *va], record, &origin);
            }
            What::DeviceUsed { ipa, is_guarded: true, .. } => self.touch(*ipa, &origin),
            What::DeviceUsed { ipa, .. } | What::DeviceMapped { ipa } => {
                self.touch_early(*ipa, &origin);
            }
            What::Populated { ipa, .. } => {
                self.backed.entry(ipa & !(BLOCK - 1)).or_insert_with(origin);
            }
            _ => {}
        }
    }

    fn act(&mut self, deed: Deed, origin: &Origin) {
        match deed {
            Deed::Enroll => {
                self.enrolled.get_or_insert_with(|| origin.clone());
            }
            Deed::Guard(base, granules) => self.guard(base, granules, origin),
            Deed::Unguard(base, granules) => {
                for at in pages(base, granules) {
                    if let Some(granule) = self.granules.get_mut(&at) {
                        close(&mut granule.guarded, origin);
                    }
                }
            }
            Deed::Share(at) => {
                let backed_before = self.backed_before(at);
                let page = self.shared.entry(at).or_insert_with(|| SharedPage {
                    shared: Vec::new(),
                    backed_before,
                    relinquished: None,
                });
                open(&mut page.shared, origin);
            }
            Deed::Unshare(at) => {
                if let Some(page) = self.shared.get_mut(&at) {
                    close(&mut page.shared, origin);
                }
            }
            Deed::Relinquish(at) => {
                if let Some(page) = self.shared.get_mut(&at) {
                    page.relinquished = Some(origin.clone());
                }
            }
        }
    }

    fn guard(&mut self, base: u64, granules: u64, origin: &Origin) {
        for at in pages(base, granules) {
            let touched =
                if self.is_in(Range::Assigned, at) { Touched::Unseen } else { Touched::Never };
            let early = self.early.remove(&at);
            let granule = self.granules.entry(at).or_insert_with(|| Granule {
                guarded: Vec::new(),
                touched,
                touched_before: None,
            });
            open(&mut granule.guarded, origin);
            if granule.touched_before.is_none() {
                granule.touched_before = early;
            }
        }
    }

    fn reset(&mut self, count: u64, origin: &Origin) {
        self.resets = count;
        self.early.clear();
        for granule in self.granules.values_mut() {
            close(&mut granule.guarded, origin);
        }
        for page in self.shared.values_mut() {
            close(&mut page.shared, origin);
        }
        self.enrolled = self.is_protected().then(|| origin.clone());
        let from_start: Vec<_> =
            self.ranges.iter().copied().filter(|(range, ..)| *range == Range::Guarded).collect();
        for (_, base, bytes) in from_start {
            self.guard(base, bytes / GRANULE, origin);
        }
    }

    fn refused(
        &mut self,
        reason: Reason,
        touch: Touch,
        bytes: u8,
        [ipa, va]: [u64; 2],
        record: &Record,
        origin: &impl Fn() -> Origin,
    ) {
        match reason {
            Reason::Unguarded => self.touch_early(ipa, origin),
            _ => self.touch(ipa, origin),
        }
        if !reason.breaks_a_rule() {
            return;
        }
        let next = self.violations.len();
        let known = *self.known.entry((reason, record.pc, page(ipa))).or_insert(next);
        match self.violations.get_mut(known) {
            Some(known) => {
                known.count += 1;
                known.last = record.time;
            }
            None => self.violations.push(Violation {
                reason,
                touch,
                bytes,
                ipa,
                va,
                first: origin(),
                count: 1,
                last: record.time,
            }),
        }
    }

    /// An access that the guard let through.
    fn touch(&mut self, ipa: u64, origin: &impl Fn() -> Origin) {
        if let Some(granule) = self.granules.get_mut(&page(ipa))
            && granule.touched == Touched::Never
        {
            granule.touched = Touched::First(origin());
        }
    }

    /// An access to a page that is not guarded.
    fn touch_early(&mut self, ipa: u64, origin: &impl Fn() -> Origin) {
        self.early.entry(page(ipa)).or_insert_with(|| (origin(), 0)).1 += 1;
    }

    fn backed_before(&self, at: u64) -> Option<Backed> {
        if self.is_in(Range::Loaded, at) {
            return Some(Backed::Loaded);
        }
        self.backed.get(&(at & !(BLOCK - 1))).cloned().map(Backed::Touched)
    }
}

/// The VMs of `recording` by their numbers.
pub fn vms(recording: &Recording) -> BTreeMap<u8, Vm> {
    let mut vms: BTreeMap<u8, Vm> = BTreeMap::new();
    for record in &recording.records {
        if !matches!(record.what, What::Counts(_) | What::Crash { .. } | What::Unknown { .. }) {
            vms.entry(record.vm).or_default().hear(record, recording);
        }
    }
    vms
}

fn pages(base: u64, granules: u64) -> impl Iterator<Item = u64> {
    // A call guards 64 at most; a description may name more.
    (0..granules.min(1 << 20)).map(move |n| page(base).wrapping_add(n * GRANULE))
}

fn open(periods: &mut Vec<Period>, origin: &Origin) {
    if periods.last().is_none_or(|last| last.to.is_some()) {
        periods.push(Period { from: origin.clone(), to: None });
    }
}

fn close(periods: &mut [Period], origin: &Origin) {
    if let Some(last) = periods.last_mut() {
        last.to.get_or_insert_with(|| origin.clone());
    }
}

fn origin(record: &Record, recording: &Recording) -> Origin {
    let symbols = &recording.symbols;
    let place = (record.pc != 0).then(|| Place {
        vcpu: record.vcpu,
        pc: record.pc,
        is_el0: record.is_el0,
        frames: symbols.frames(record),
    });
    Origin { time: record.time, place }
}
