//! The call router: an SMCCC call in, an [`Outcome`] out (DEN0028).
//!
//! All calls take the same short road, known and unknown ones: one match over the identifier, no
//! lock unless the service itself needs one. What needs more than a constant is a function of its
//! own that is never inlined, so that the road saves no registers for it. x0 to x3 are always
//! written, x4 and up never. The services' own errors become wire codes here and nowhere else.

mod arch;
mod psci;
mod signature;
mod trng;
mod vendor;

pub use arch::{Mitigation, Workaround};
pub use signature::{arguments, public_answer, public_arguments};
pub use trng::UUID as TRNG_UUID;

use hyp_abi::smccc::{self, FunctionId, owner};
use hyp_abi::{psci as psci_abi, trng as trng_abi, vendor as vendor_abi};

use crate::addr::Ipa;
use crate::features::Features;
use crate::psci::Power;

/// What the shell does after a call.
///
/// ELR_EL2 is behind an HVC and at an SMC when they trap. For every outcome but
/// [`Outcome::Undefined`] and [`Outcome::Replay`] the guest goes on behind the instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Write x0 to x3 and go on.
    Done([u64; 4]),
    /// Wait until an interrupt is pending for the vCPU, then write 0 to x0 to x3 and go on.
    Suspend,
    /// Turn the vCPU off ([`Power::turn_off`]) and wait for a start.
    CpuOff,
    /// Stop the VM; it does not run again.
    SystemOff,
    /// Reset the VM.
    SystemReset,
    /// Make the guest take an undefined-instruction exception at the instruction.
    Undefined,
    /// Let interrupts in, then have the guest issue the same call again, registers untouched.
    Replay,
}

/// Why a memory or guard service did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The page is in the wrong state, the address is bad, or a quota is used up. Nothing was
    /// changed.
    Refused,
    /// An interrupt came before the work was done: the guest shall call again.
    Interrupted,
}

/// What the router needs from the VM, on behalf of the vCPU that calls.
pub trait CallServices {
    /// What the VM is offered.
    fn features(&self) -> Features;
    /// The VM's power states.
    fn power(&self) -> &Power;
    /// Makes vCPU `index`, which was just started, notice it.
    fn wake(&self, index: usize);
    /// SCTLR_EL1.EE of the vCPU that calls.
    fn caller_is_big_endian(&self) -> bool;
    /// How the machine stands to a vulnerability.
    fn mitigation(&self, workaround: Workaround) -> Mitigation;
    /// Carries out a workaround for which [`CallServices::mitigation`] says
    /// [`Mitigation::Mitigated`].
    fn mitigate(&self, workaround: Workaround);
    /// 192 fresh random bits, least significant word first; `None` while there is no seed.
    fn entropy(&self) -> Option<[u64; 3]>;

    /// Whether the VM is enrolled in the guard.
    fn is_enrolled(&self) -> bool;
    /// Enrols the VM; again is fine.
    fn enroll(&self);
    /// Guards the granule at `ipa`; again is fine.
    ///
    /// # Errors
    ///
    /// Unaligned, beyond the address space, memory, or out of table frames.
    fn guard_map(&self, ipa: Ipa) -> Result<(), Refusal>;
    /// The same with an index into the caller's MAIR_EL1. If there is such an attribute and it is
    /// a device type, the registers of an assigned device are mapped as that; else as the device
    /// itself says.
    ///
    /// # Errors
    ///
    /// Those of [`CallServices::guard_map`].
    fn guard_map_as(&self, ipa: Ipa, index: u64) -> Result<(), Refusal>;
    /// Removes the mark at `ipa`.
    ///
    /// # Errors
    ///
    /// Unaligned, or no mark there.
    fn guard_unmap(&self, ipa: Ipa) -> Result<(), Refusal>;
    /// Guards up to `granules` granules (at least 1) from `ipa`, at most as many as fit into one
    /// call's time. Answers how many were done, at least 1.
    ///
    /// # Errors
    ///
    /// As [`CallServices::guard_map`], for the first granule.
    fn guard_map_range(&self, ipa: Ipa, granules: u64) -> Result<u64, Refusal>;
    /// Removes the marks of up to `granules` granules from `ipa`; see
    /// [`CallServices::guard_map_range`].
    ///
    /// # Errors
    ///
    /// As [`CallServices::guard_unmap`], for the first granule.
    fn guard_unmap_range(&self, ipa: Ipa, granules: u64) -> Result<u64, Refusal>;

    /// Shares the page at `ipa`, populating it first where need be.
    ///
    /// # Errors
    ///
    /// Unaligned, not memory, or not owned by the VM alone.
    fn share(&self, ipa: Ipa) -> Result<(), Refusal>;
    /// Takes a shared page back.
    ///
    /// # Errors
    ///
    /// Unaligned or not shared.
    fn unshare(&self, ipa: Ipa) -> Result<(), Refusal>;
    /// Zeroes and unmaps the page that contains `ipa`; nothing where nothing is mapped.
    ///
    /// # Errors
    ///
    /// The page is shared or not memory.
    fn relinquish(&self, ipa: Ipa) -> Result<(), Refusal>;
}

/// Answers `HVC #imm` with x0 to x3 in `regs`.
#[inline]
pub fn hvc<S: CallServices>(services: &S, imm: u16, regs: [u64; 4]) -> Outcome {
    // SMCCC reserves every immediate but 0 (DEN0028, 2.9).
    if imm != 0 { not_supported() } else { dispatch(services, regs) }
}

/// Answers `SMC #imm` with x0 to x3 in `regs`. Never reaches firmware.
#[inline]
pub fn smc<S: CallServices>(services: &S, imm: u16, regs: [u64; 4]) -> Outcome {
    answer(services, true, imm, regs)
}

/// Answers `SMC #imm` if `is_smc`, else `HVC #imm`, with x0 to x3 in `regs`: [`smc`] or [`hvc`].
#[inline]
pub fn answer<S: CallServices>(services: &S, is_smc: bool, imm: u16, regs: [u64; 4]) -> Outcome {
    if is_smc && !services.features().contains(Features::SMC_CALLS) {
        return Outcome::Undefined;
    }
    hvc(services, imm, regs)
}

/// Answers a call through either conduit.
#[inline]
fn dispatch<S: CallServices>(services: &S, [x0, x1, x2, x3]: [u64; 4]) -> Outcome {
    let id = FunctionId::from_x0(x0);
    // By the owner first: then each call is found within a few steps.
    match id.owner() {
        owner::ARCH => match id {
            smccc::VERSION => Outcome::Done([smccc::VERSION_1_1, 0, 0, 0]),
            smccc::ARCH_FEATURES => arch::features(services, x1),
            smccc::ARCH_WORKAROUND_1 => arch::workaround(services, Workaround::One),
            smccc::ARCH_WORKAROUND_2 => arch::workaround(services, Workaround::Two),
            smccc::ARCH_WORKAROUND_3 => arch::workaround(services, Workaround::Three),
            _ => not_supported(),
        },
        owner::STANDARD => standard(services, id, [x1, x2, x3]),
        owner::VENDOR_HYP => match id {
            FunctionId(vendor::FIRST..=vendor::LAST) => vendor::call(services, id, x1, x2, x3),
            vendor_abi::CALL_UID => Outcome::Done(vendor_abi::KVM_UID.map(u64::from)),
            vendor_abi::FEATURES => {
                Outcome::Done(services.features().vendor_bitmap().map(u64::from))
            }
            _ => not_supported(),
        },
        _ => not_supported(),
    }
}

/// Answers a call of PSCI or for random numbers.
#[inline(always)]
fn standard<S: CallServices>(services: &S, id: FunctionId, [x1, x2, x3]: [u64; 3]) -> Outcome {
    match id {
        _ if id.is_64bit() => match id {
            psci_abi::CPU_ON_64 => psci::cpu_on(services, id, x1, x2, x3),
            psci_abi::CPU_SUSPEND_64 => Outcome::Suspend,
            psci_abi::AFFINITY_INFO_64 => psci::affinity_info(services, id, x1, x2),
            psci_abi::SYSTEM_RESET2_64 => psci::reset2(x1),
            trng_abi::RND_64 => trng::call(services, id, x1),
            _ => not_supported(),
        },
        psci_abi::VERSION => Outcome::Done([psci_abi::VERSION_1_1, 0, 0, 0]),
        psci_abi::CPU_SUSPEND_32 => Outcome::Suspend,
        psci_abi::CPU_OFF => Outcome::CpuOff,
        psci_abi::CPU_ON_32 => psci::cpu_on(services, id, x1, x2, x3),
        psci_abi::AFFINITY_INFO_32 => psci::affinity_info(services, id, x1, x2),
        psci_abi::MIGRATE_INFO_TYPE => Outcome::Done([psci_abi::MIGRATE_NOT_REQUIRED, 0, 0, 0]),
        psci_abi::SYSTEM_OFF => Outcome::SystemOff,
        psci_abi::SYSTEM_RESET => Outcome::SystemReset,
        psci_abi::SYSTEM_RESET2_32 => psci::reset2(x1),
        psci_abi::FEATURES => psci::features(x1),

        trng_abi::VERSION | trng_abi::FEATURES | trng_abi::GET_UUID | trng_abi::RND_32 => {
            trng::call(services, id, x1)
        }

        _ => not_supported(),
    }
}

/// The answer to a call that is not there. A constant would be copied by a call of `memcpy`.
#[inline]
const fn not_supported() -> Outcome {
    done(smccc::NOT_SUPPORTED)
}

/// One result, sign-extended to 64 bits also for 32-bit calls; the other results are 0.
#[inline]
const fn done(x0: i64) -> Outcome {
    Outcome::Done([x0.cast_unsigned(), 0, 0, 0])
}

/// An argument as the convention of `id` has it: a 32-bit call sees the low half.
const fn by_convention(id: FunctionId, argument: u64) -> u64 {
    if id.is_64bit() { argument } else { argument & 0xffff_ffff }
}

#[cfg(test)]
mod tests;
