//! Instructions, and nothing else: entry and vectors, system registers, barriers, maintenance.
//!
//! Functions here are safe to call unless they can break EL2 itself; what a guest is given is
//! decided by the callers.
#![expect(unsafe_code, reason = "the processor is reached through assembly")]

pub(crate) mod backtrace;
pub(crate) mod barrier;
pub(crate) mod boot;
pub(crate) mod cache;
pub(crate) mod context;
pub(crate) mod cpu;
pub(crate) mod crc32;
pub(crate) mod debug;
pub(crate) mod el1;
#[cfg(feature = "inject")]
pub(crate) mod entry;
pub(crate) mod ich;
pub(crate) mod ident;
pub(crate) mod once;
pub(crate) mod percpu;
#[cfg(feature = "inject")]
pub(crate) mod pmu;
pub(crate) mod random;
pub(crate) mod serror;
pub(crate) mod simd;
pub(crate) mod stage2;
pub(crate) mod symbols;
pub(crate) mod sysreg;
pub(crate) mod timer;
pub(crate) mod tlb;
pub(crate) mod vectors;

core::arch::global_asm!(include_str!("memory.s"));

/// Bits 31:0 of a register.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
pub(crate) const fn low_half(value: u64) -> u32 {
    value as u32
}

/// A 64-bit register or size as a machine word; nothing is lost on AArch64.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "usize has 64 bits on AArch64")]
pub(crate) const fn word(value: u64) -> usize {
    value as usize
}
