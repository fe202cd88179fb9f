//! The CPU interfaces: acknowledge, end, deactivation (IHI 0069, chapter 4 and registers
//! ICC_*; IHI 0048, 3.2 and 4.4).

use std::collections::BTreeSet;

use super::{Gic, Id};

/// An interrupt that a vCPU acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Which.
    pub id: Id,
    /// Who sent it, if it is an SGI of a GICv2.
    pub sender: usize,
    /// Its priority when it was acknowledged; `None` once that was dropped.
    pub priority: Option<u8>,
    /// It was made inactive by a write of ICACTIVER; all that is left to end is the priority.
    pub is_over: bool,
}

/// What a vCPU has set up, and what it is about to serve.
#[derive(Debug, Clone, Default)]
pub struct Interface {
    /// ICC_PMR_EL1, GICC_PMR.
    pub mask: u8,
    /// Group 0 is enabled here.
    pub group0: bool,
    /// Group 1 is.
    pub group1: bool,
    /// EOImode: ends drop the priority only.
    pub is_split: bool,
    /// What was acknowledged and not deactivated, in this order.
    pub taken: Vec<Taken>,
}

impl Interface {
    /// ICC_RPR_EL1: the priority of the most urgent interrupt acknowledged and not ended.
    #[must_use]
    pub fn running(&self) -> Option<u8> {
        self.taken.iter().filter_map(|taken| taken.priority).min()
    }
}

impl Gic {
    /// Whether `vcpu` may be signalled `id`, if it is pending: enabled, of a group that is enabled in
    /// the Distributor and in the CPU interface, not active (IHI 0069, chapter 4, states: what is
    /// active and pending is not signalled), of a priority above the mask (ICC_PMR_EL1) and above the running
    /// one (preemption; the group priority is all of it).
    fn is_able(&self, vcpu: usize, id: Id) -> bool {
        let Some(interface) = self.interfaces.get(&vcpu) else { return false };
        let is_group1 = self.group1.contains(&id);
        let is_on_here = if is_group1 { interface.group1 } else { interface.group0 };
        let is_on = self.group_enables >> u32::from(is_group1) & 1 == 1;
        let priority = self.priority(id);
        self.target(id) == Some(vcpu)
            && self.enabled(id)
            && is_on
            && is_on_here
            && !self.active.contains(&id)
            && priority < interface.mask
            && interface.running().is_none_or(|running| priority < running)
    }

    pub(super) fn enabled(&self, id: Id) -> bool {
        self.enabled.contains(&id) || self.has_senders(id)
    }

    /// What is pending or may be, of all vCPUs.
    fn candidates(&self) -> BTreeSet<Id> {
        let mut all: BTreeSet<Id> = &self.latch | &self.high;
        all.extend(&self.lingering);
        all.extend(self.senders.keys());
        all
    }

    /// The priority of the most urgent interrupt that `vcpu` must be signalled, and the interrupts
    /// that it may take: those of that priority, and lingering ones that are no less urgent.
    #[must_use]
    pub fn choice(&self, vcpu: usize) -> (Option<u8>, BTreeSet<Id>) {
        let all = self.candidates().into_iter();
        let able: Vec<Id> = all.filter(|&id| self.is_able(vcpu, id)).collect();
        let pending = able.iter().filter(|&&id| self.is_pending(id));
        let best = pending.map(|&id| self.priority(id)).min();
        let may = able.into_iter().filter(|&id| {
            let priority = self.priority(id);
            self.is_pending(id) && Some(priority) == best
                || self.lingering.contains(&id) && best.is_none_or(|best| priority <= best)
        });
        (best, may.collect())
    }

    /// `vcpu` acknowledges `id`, sent by `sender` if it is an SGI of a GICv2. It becomes active, and an
    /// edge is over; so is what a write of ISPENDR left (IHI 0048, 4.3.8: the read of GICC_IAR
    /// clears the latch of a level-sensitive interrupt, too).
    ///
    /// # Errors
    ///
    /// The SGI does not wait from `sender`.
    pub fn acknowledge(&mut self, vcpu: usize, id: Id, sender: usize) -> Result<(), String> {
        if self.has_senders(id) && !self.lingering.contains(&id) {
            let waiting = self.senders.entry(id).or_default();
            if !waiting.remove(&sender) {
                return Err(format!("{id:?} came from {sender}, but waits from {waiting:?}"));
            }
        }
        self.latch.remove(&id);
        self.lingering.remove(&id);
        self.active.insert(id);
        let priority = Some(self.priority(id));
        if let Some(interface) = self.interfaces.get_mut(&vcpu) {
            interface.taken.push(Taken { id, sender, priority, is_over: false });
        }
        Ok(())
    }

    /// `vcpu` ends what it acknowledged last and has not ended; says which that is. With EOImode clear
    /// that is the deactivation, too.
    pub fn end(&mut self, vcpu: usize) -> Option<Taken> {
        let interface = self.interfaces.get_mut(&vcpu)?;
        let at = interface.taken.iter().rposition(|taken| taken.priority.is_some())?;
        let mut taken = interface.taken.remove(at);
        if taken.is_over {
            return Some(taken);
        }
        if interface.is_split {
            taken.priority = None;
            interface.taken.insert(at, taken);
        } else {
            self.active.remove(&taken.id);
        }
        Some(taken)
    }

    /// `id` is not active any more, whoever acknowledged it.
    pub(super) fn stop(&mut self, id: Id) {
        self.active.remove(&id);
        for interface in self.interfaces.values_mut() {
            interface.taken.retain(|taken| taken.id != id || taken.priority.is_some());
            for taken in interface.taken.iter_mut().filter(|taken| taken.id == id) {
                taken.is_over = true;
            }
        }
    }

    /// Those that `vcpu` may deactivate: its own that it has ended, and shared ones that another one has
    /// (the active state of an SPI is one for all: GICD_ISACTIVER is not banked, IHI 0069 and IHI 0048,
    /// 4.3.9; ICC_DIR_EL1 and GICC_DIR name the interrupt and not who acknowledged it).
    #[must_use]
    pub fn dropped(&self, vcpu: usize) -> Vec<Taken> {
        let all = self.interfaces.iter().flat_map(|(&owner, interface)| {
            interface.taken.iter().filter(move |taken| owner == vcpu || taken.id.vcpu.is_none())
        });
        all.filter(|taken| taken.priority.is_none()).copied().collect()
    }

    /// `id` is deactivated (ICC_DIR_EL1, GICC_DIR).
    pub fn deactivate(&mut self, id: Id) {
        self.stop(id);
    }

    /// Whether any vCPU has acknowledged `id` and not deactivated it.
    #[must_use]
    pub fn is_taken(&self, id: Id) -> bool {
        self.interfaces.values().any(|interface| interface.taken.iter().any(|t| t.id == id))
    }
}
