//! Who is zeroing which block of memory.

use arrayvec::ArrayVec;
use hyp_abi::vplatform::MAX_VCPUS;

use crate::addr::Ipa;

/// One claim in work for each vCPU and as many set aside.
const MAX_CLAIMS: usize = 2 * MAX_VCPUS;

/// A block that is being zeroed.
#[derive(Debug)]
struct Claim {
    block: Ipa,
    /// Bytes done, or where the claimant will say how many.
    done: u64,
    working: bool,
}

/// Blocks that are being zeroed, oldest first.
#[derive(Debug)]
pub(crate) struct Claims(ArrayVec<Claim, MAX_CLAIMS>);

impl Claims {
    pub(crate) const fn new() -> Self {
        Self(ArrayVec::new_const())
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Claims `block` for the caller; answers how many of its bytes are zero already, or `None`
    /// while somebody else is at work on it.
    pub(super) fn claim(&mut self, block: Ipa) -> Option<u64> {
        if let Some(claim) = self.0.iter_mut().find(|claim| claim.block == block) {
            if claim.working {
                return None;
            }
            claim.working = true;
            return Some(claim.done);
        }
        if self.0.is_full() {
            // What was set aside longest begins anew when it is touched again.
            let oldest = self.0.iter().position(|claim| !claim.working)?;
            self.0.pop_at(oldest);
        }
        self.0.try_push(Claim { block, done: 0, working: true }).ok()?;
        Some(0)
    }

    /// The blocks, in work and set aside.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Ipa> {
        self.0.iter().map(|claim| claim.block)
    }

    /// Sets the caller's claim aside with `done` bytes zeroed.
    pub(super) fn pause(&mut self, block: Ipa, done: u64) {
        if let Some(claim) = self.0.iter_mut().find(|claim| claim.block == block) {
            claim.done = done;
            claim.working = false;
        }
    }

    pub(super) fn finish(&mut self, block: Ipa) {
        self.0.retain(|claim| claim.block != block);
    }
}
