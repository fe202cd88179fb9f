//! Who sent the SGIs of a GICv2 (IHI0048B, sections 3.2.2 and 4.3.15 to 4.3.17): an SGI waits once for
//! each sender, and the guest takes one of them at a time.

use super::bits::index;
use super::lr::ListRegister;

/// SGIs.
const COUNT: usize = 16;
/// GICD_CPENDSGIR and GICD_SPENDSGIR registers: four SGIs each, a byte of senders for each SGI.
pub(super) const WORDS: usize = COUNT / 4;

/// The senders of one vCPU's SGIs.
#[derive(Clone, Copy, Default)]
pub(super) struct Sources {
    /// Bit s of byte n: SGI n from vCPU s waits in the model.
    waiting: [u8; COUNT],
    /// Who sent the SGI that was active when it left its list register.
    active: [u8; COUNT],
}

impl Sources {
    /// The senders that SGI `n` waits from.
    pub(super) fn waiting(&self, n: u32) -> u8 {
        self.waiting.get(index(n)).copied().unwrap_or(0)
    }

    /// SGI `n` waits from `senders`, too.
    pub(super) fn add(&mut self, n: u32, senders: u8) {
        if let Some(entry) = self.waiting.get_mut(index(n)) {
            *entry |= senders;
        }
    }

    /// SGI `n` does not wait from `senders` any more.
    pub(super) fn remove(&mut self, n: u32, senders: u8) {
        if let Some(entry) = self.waiting.get_mut(index(n)) {
            *entry &= !senders;
        }
    }

    /// Takes the sender that is served next out of those SGI `n` waits from, if there is one.
    pub(super) fn next(&mut self, n: u32) -> Option<u32> {
        let waiting = self.waiting(n);
        if waiting == 0 {
            return None;
        }
        self.remove(n, waiting & waiting.wrapping_neg());
        Some(waiting.trailing_zeros())
    }

    /// The sender of SGI `n`, which is active in the model.
    pub(super) fn active(&self, n: u32) -> u32 {
        self.active.get(index(n)).copied().map_or(0, u32::from)
    }

    /// SGI `n` has left its list register, which held `lr`.
    pub(super) fn fold(&mut self, n: u32, lr: ListRegister) {
        if lr.is_pending() {
            self.add(n, 1u8.wrapping_shl(lr.source()));
        }
        if lr.is_active()
            && let (Some(entry), Ok(source)) =
                (self.active.get_mut(index(n)), u8::try_from(lr.source()))
        {
            *entry = source;
        }
    }

    /// SGIs that wait from somebody.
    pub(super) fn any(&self) -> u32 {
        (0u32..).zip(self.waiting).fold(
            0,
            |mask, (n, senders)| {
                if senders == 0 { mask } else { mask | super::bit(n) }
            },
        )
    }
}
