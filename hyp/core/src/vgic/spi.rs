//! Shared peripheral interrupts: state, routes, and who holds one in a list register.

use super::bits::{Bits, bit, index};
use super::kicks::Kicks;
use super::lr::ListRegister;
use super::settings::{Field, Settings, State};
use super::word::{Groups, Word};
use hyp_abi::vplatform::{FIRST_SPI, MAX_VCPUS, SPIS};

/// Words of 32 SPIs.
pub(super) const SPI_WORDS: usize = SPIS / 32;
/// In `target` and `holder`: nobody.
const NOBODY: u8 = 0xff;

/// What belongs to one vCPU.
#[derive(Clone, Copy, Default)]
struct Share {
    /// Routed here.
    routed: [u32; SPI_WORDS],
    /// Active here, or in one of this vCPU's list registers.
    held: [u32; SPI_WORDS],
}

/// All SPIs of a VM. An SPI is named here by its number minus 32.
pub(super) struct SpiBank {
    words: [Word; SPI_WORDS],
    /// Bits of GICD_IROUTER<n>: Aff3 in 31:24, Aff2, Aff1, Aff0 below. With a GICv2 the byte of
    /// GICD_ITARGETSR.
    route: [u32; SPIS],
    target: [u8; SPIS],
    holder: [u8; SPIS],
    shares: [Share; MAX_VCPUS],
}

/// The word and the bit of `spi`.
const fn place(spi: u32) -> (usize, u32) {
    (index(spi >> 5), bit(spi & 31))
}

impl SpiBank {
    /// The state after reset: everything level-sensitive, disabled, in group 0, and routed to the
    /// first vCPU or else to nobody.
    pub(super) fn new(routed_to_first: bool) -> Self {
        let mut shares = [Share::default(); MAX_VCPUS];
        if routed_to_first && let Some(first) = shares.first_mut() {
            first.routed = [!0; SPI_WORDS];
        }
        Self {
            words: [Word::default(); SPI_WORDS],
            route: [0; SPIS],
            target: [if routed_to_first { 0 } else { NOBODY }; SPIS],
            holder: [NOBODY; SPIS],
            shares,
        }
    }

    /// SPIs `32 * n` to `32 * n + 31`, if they exist.
    pub(super) fn word(&self, n: usize) -> Option<&Word> {
        self.words.get(n)
    }

    /// What a register of `state` of word `word` shows.
    pub(super) fn read(&self, state: State, word: usize) -> u32 {
        self.word(word).map_or(0, |word| word.read(state))
    }

    /// Writes `field` of word `word`, of which `settings` is the copy; says which vCPUs must look at
    /// their list registers.
    #[inline]
    pub(super) fn set(
        &mut self,
        field: Field,
        word: usize,
        value: u32,
        settings: &Settings,
        groups: Groups,
    ) -> Kicks {
        let Some(w) = self.words.get_mut(word) else { return Kicks::NONE };
        let changed = w.set(field, value, settings);
        self.concerned(word, changed, groups)
    }

    /// Writes `state` of word `word`; says which vCPUs must look at their list registers.
    pub(super) fn write(&mut self, state: State, word: usize, value: u32, groups: Groups) -> Kicks {
        let Some(w) = self.words.get_mut(word) else { return Kicks::NONE };
        let (was_active, live) = (w.active, w.live);
        let changed = w.write(state, value);
        let base = spi_base(word);
        match state {
            State::SetActive => {
                for n in Bits(value & !was_active) {
                    let spi = base.saturating_add(n);
                    if let Some(owner) = self.owner(spi) {
                        self.hold(spi, owner);
                    }
                }
            }
            State::ClearActive => {
                for n in Bits(changed & !live) {
                    self.release(base.saturating_add(n));
                }
            }
            State::SetPending | State::ClearPending => {}
        }
        self.concerned(word, changed, groups)
    }

    /// The vCPUs that hold, or should now get, an interrupt among `bits` of `word`.
    #[inline]
    pub(super) fn concerned(&self, word: usize, bits: u32, groups: Groups) -> Kicks {
        let Some(w) = self.words.get(word) else { return Kicks::NONE };
        let bits = bits & (w.live | w.active | w.deliverable(groups));
        if bits == 0 { Kicks::NONE } else { self.owners(word, bits) }
    }

    /// The vCPUs that have to act on `bits` of `word`.
    #[inline(never)]
    fn owners(&self, word: usize, bits: u32) -> Kicks {
        let base = spi_base(word);
        Bits(bits).filter_map(|n| self.owner(base.saturating_add(n))).fold(Kicks::NONE, Kicks::with)
    }

    /// The vCPUs whose list registers hold one of `bits` of `word`.
    pub(super) fn holders(&self, word: usize, bits: u32) -> Kicks {
        let bits = bits & self.word(word).map_or(0, |w| w.live);
        self.shares.iter().enumerate().fold(Kicks::NONE, |kicks, (vcpu, share)| {
            if share.held.get(word).is_some_and(|held| held & bits != 0) {
                kicks.with(vcpu)
            } else {
                kicks
            }
        })
    }

    /// The input line of `spi` changed.
    pub(super) fn set_line(&mut self, spi: u32, level: bool, groups: Groups) -> Kicks {
        let (word, mask) = place(spi);
        let Some(w) = self.words.get_mut(word) else { return Kicks::NONE };
        let was_pending = w.pending() & mask != 0;
        let was_high = w.line & mask != 0;
        w.set_line(mask, level);
        // While a list register holds a level-sensitive interrupt, only a line that goes low
        // before the acknowledgement matters: deactivation looks at the line anyway.
        let matters = match (w.edge & mask != 0, level) {
            (true, true) => !was_high,
            (true, false) => false,
            (false, true) => !was_pending && w.live & mask == 0,
            (false, false) => was_pending && w.live & mask != 0,
        };
        if matters { self.concerned(word, mask, groups) } else { Kicks::NONE }
    }

    /// Makes `spi` pending once, as an edge does.
    pub(super) fn pulse(&mut self, spi: u32, groups: Groups) -> Kicks {
        let (word, mask) = place(spi);
        self.write(State::SetPending, word, mask, groups)
    }

    /// GICD_IPRIORITYR of `spi`.
    pub(super) fn priority(&self, spi: u32) -> u8 {
        self.word(index(spi >> 5)).map_or(0, |word| word.priority(spi))
    }

    /// GICD_IROUTER of `spi`, as the affinity bytes 3.2.1.0, or its byte of GICD_ITARGETSR.
    pub(super) fn route(&self, spi: u32) -> u32 {
        self.route.get(index(spi)).copied().unwrap_or(0)
    }

    /// Writes what [`Self::route`] reads. `target` is the vCPU that it stands for, if there is one.
    pub(super) fn set_route(
        &mut self,
        spi: u32,
        value: u32,
        target: Option<usize>,
        groups: Groups,
    ) -> Kicks {
        let Some(route) = self.route.get_mut(index(spi)) else { return Kicks::NONE };
        *route = value;
        let (word, mask) = place(spi);
        for (vcpu, share) in self.shares.iter_mut().enumerate() {
            if let Some(routed) = share.routed.get_mut(word) {
                *routed &= !mask;
                if target == Some(vcpu) {
                    *routed |= mask;
                }
            }
        }
        if let Some(entry) = self.target.get_mut(index(spi)) {
            *entry = target.and_then(|vcpu| u8::try_from(vcpu).ok()).unwrap_or(NOBODY);
        }
        self.concerned(word, mask, groups)
    }

    /// The vCPU that has to act on `spi`: the one that holds it, else the one it is routed to.
    fn owner(&self, spi: u32) -> Option<usize> {
        let holder = self.holder.get(index(spi)).copied().unwrap_or(NOBODY);
        let target = self.target.get(index(spi)).copied().unwrap_or(NOBODY);
        match (holder, target) {
            (NOBODY, NOBODY) => None,
            (NOBODY, vcpu) | (vcpu, _) => Some(usize::from(vcpu)),
        }
    }

    /// SPIs, by words, that want a list register of `vcpu`: those active there, and waiting ones
    /// that are routed there and neither active nor in a list register anywhere.
    pub(super) fn wanted(&self, vcpu: usize, groups: Groups) -> [u32; SPI_WORDS] {
        let mut wanted = [0; SPI_WORDS];
        if let Some(Share { routed, held }) = self.shares.get(vcpu) {
            let words = self.words.iter().zip(routed).zip(held);
            for (wanted, ((w, routed), held)) in wanted.iter_mut().zip(words) {
                *wanted = !w.live & (w.active & held | w.deliverable(groups) & routed & !w.active);
            }
        }
        wanted
    }

    /// SPIs of `word` that are active at `vcpu` and in no list register.
    pub(super) fn spilled(&self, vcpu: usize, word: usize) -> u32 {
        let held = self.shares.get(vcpu).and_then(|share| share.held.get(word)).copied();
        self.words.get(word).map_or(0, |w| w.active & !w.live & held.unwrap_or(0))
    }

    /// Whether `spi` is active anywhere.
    pub(super) fn is_active(&self, spi: u32) -> bool {
        let (word, mask) = place(spi);
        self.words.get(word).is_some_and(|w| w.active & mask != 0)
    }

    /// Whether `spi` is active because a guest acknowledged it.
    pub(super) fn is_acknowledged(&self, spi: u32) -> bool {
        let (word, mask) = place(spi);
        self.words.get(word).is_some_and(|w| w.acknowledged() & mask != 0)
    }

    /// Whether `spi` is in group 1.
    pub(super) fn is_group1(&self, spi: u32) -> bool {
        let (word, mask) = place(spi);
        self.words.get(word).is_some_and(|w| w.group1 & mask != 0)
    }

    /// Whether `spi` is routed to `vcpu`.
    fn is_routed(&self, vcpu: usize, spi: u32) -> bool {
        let (word, mask) = place(spi);
        let routed = self.shares.get(vcpu).and_then(|share| share.routed.get(word));
        routed.is_some_and(|routed| routed & mask != 0)
    }

    /// What a list register of `vcpu` for `spi` is to hold, and the note that it does.
    pub(super) fn load(&mut self, vcpu: usize, spi: u32, groups: Groups) -> ListRegister {
        let (word, mask) = place(spi);
        let priority = self.priority(spi);
        let is_routed = self.is_routed(vcpu, spi);
        self.hold(spi, vcpu);
        let Some(w) = self.words.get_mut(word) else { return ListRegister::EMPTY };
        let active = w.active & mask != 0;
        // What is pending behind an active interrupt stays in the model until its end: a list
        // register that is both could pass for a waiting one.
        let pending = w.deliverable(groups) & mask != 0 && is_routed && !active;
        // A level has to be looked at again after deactivation, and so has an edge that waits.
        let look_again = w.edge & mask == 0 || (w.pending() & mask != 0 && !pending);
        let group1 = w.group1 & mask != 0;
        w.load(mask, pending);
        let lr = ListRegister::new(spi.saturating_add(FIRST_SPI), priority)
            .with_group1(group1)
            .with_pending(pending)
            .with_active(active);
        if look_again { lr.with_eoi_interrupt() } else { lr }
    }

    /// `spi` leaves the list register of its holder, which held `lr`. The result is the vCPU that
    /// should take it next, if it waits.
    pub(super) fn fold(&mut self, spi: u32, lr: ListRegister, groups: Groups) -> Kicks {
        let (word, mask) = place(spi);
        let Some(w) = self.words.get_mut(word) else { return Kicks::NONE };
        w.fold(mask, lr);
        if w.active & mask == 0 {
            self.release(spi);
        }
        self.concerned(word, mask, groups)
    }

    /// `spi`, active without a list register, was deactivated.
    pub(super) fn deactivate(&mut self, spi: u32, groups: Groups) -> Kicks {
        let (word, mask) = place(spi);
        self.write(State::ClearActive, word, mask, groups)
    }

    fn hold(&mut self, spi: u32, vcpu: usize) {
        self.release(spi);
        let (word, mask) = place(spi);
        let held = self.shares.get_mut(vcpu).and_then(|share| share.held.get_mut(word));
        if let (Some(held), Some(holder), Ok(narrow)) =
            (held, self.holder.get_mut(index(spi)), u8::try_from(vcpu))
        {
            *held |= mask;
            *holder = narrow;
        }
    }

    fn release(&mut self, spi: u32) {
        let (word, mask) = place(spi);
        let Some(holder) = self.holder.get_mut(index(spi)) else { return };
        let held = self
            .shares
            .get_mut(usize::from(core::mem::replace(holder, NOBODY)))
            .and_then(|share| share.held.get_mut(word));
        if let Some(held) = held {
            *held &= !mask;
        }
    }
}

/// The first SPI of `word`.
fn spi_base(word: usize) -> u32 {
    u32::try_from(word).unwrap_or(0).saturating_mul(32)
}
