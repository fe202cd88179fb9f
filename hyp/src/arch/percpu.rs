//! What each CPU has of its own: a stack, an emergency stack, a number.
//!
//! One slot of [`SLOT_SIZE`] bytes per CPU, reserved by `hyp.ld`, cut as follows. Guard pages are
//! unmapped by `mm` before a second CPU runs. TPIDR_EL2 holds the base of the CPU's slot.
//!
//! ```text
//! 0x0000  guard
//! 0x1000  stack, growing down from MAIN_TOP
//! 0xb000  guard
//! 0xc000  emergency stack for crashes, growing down from the end
//! ```

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use hyp_core::errata::Actions;

use super::{symbols, sysreg, word};

/// The most CPUs Postern runs on; `hyp.ld` reserves as many slots.
pub(crate) const MAX_CPUS: usize = 8;
/// Bytes of a slot; `boot.s` shifts by its logarithm.
pub(crate) const SLOT_SIZE: usize = 0x1_0000;
/// Lowest byte of the ordinary stack within a slot.
pub(crate) const MAIN_BOTTOM: usize = 0x1000;
/// Top of the ordinary stack within a slot.
pub(crate) const MAIN_TOP: usize = 0xb000;
/// Guard pages within a slot.
pub(crate) const GUARD_PAGES: [usize; 2] = [0, MAIN_TOP];

/// What other CPUs may know of a CPU.
#[derive(Debug)]
pub(crate) struct PerCpu {
    mpidr: AtomicU64,
    midr: AtomicU64,
    errata: AtomicU8,
    online: AtomicBool,
}

static CPUS: [PerCpu; MAX_CPUS] = [const {
    PerCpu {
        mpidr: AtomicU64::new(0),
        midr: AtomicU64::new(0),
        errata: AtomicU8::new(0),
        online: AtomicBool::new(false),
    }
}; MAX_CPUS];

impl PerCpu {
    /// CPU number `index`, or `None` from [`MAX_CPUS`] on.
    pub(crate) fn nth(index: usize) -> Option<&'static Self> {
        CPUS.get(index)
    }

    /// Whether the CPU has arrived in EL2 and can take interrupts.
    pub(crate) fn is_online(&self) -> bool {
        self.online.load(Ordering::Acquire)
    }

    /// Affinity fields of MPIDR_EL1; valid once online.
    pub(crate) fn mpidr(&self) -> u64 {
        self.mpidr.load(Ordering::Relaxed)
    }

    /// MIDR_EL1; valid once online.
    pub(crate) fn midr(&self) -> u64 {
        self.midr.load(Ordering::Relaxed)
    }

    /// Notes what is to be done about the CPU's errata. At boot, before it runs a guest.
    pub(crate) fn set_errata(&self, actions: Actions) {
        self.errata.store(actions.bits(), Ordering::Relaxed);
    }

    /// What is to be done about the CPU's errata.
    pub(crate) fn errata(&self) -> Actions {
        Actions::from_bits_truncate(self.errata.load(Ordering::Relaxed))
    }
}

/// Tells the others that the calling CPU is ready for them.
pub(crate) fn set_online() {
    if let Some(cpu) = PerCpu::nth(index()) {
        cpu.mpidr.store(sysreg::mpidr_el1() & hyp_abi::psci::MPIDR_AFFINITY, Ordering::Relaxed);
        cpu.midr.store(sysreg::midr_el1(), Ordering::Relaxed);
        cpu.online.store(true, Ordering::Release);
    }
}

/// CPUs that are online.
pub(crate) fn online() -> impl Iterator<Item = &'static PerCpu> + Clone {
    CPUS.iter().filter(|cpu| cpu.is_online())
}

/// How many CPUs are online.
pub(crate) fn online_count() -> usize {
    online().count()
}

/// CPUs that are online up to the first one that is not. vCPU n runs on CPU n, so those behind a
/// CPU that firmware promised and that never came are of no use.
pub(crate) fn online_in_a_row() -> usize {
    CPUS.iter().position(|cpu| !cpu.is_online()).unwrap_or(MAX_CPUS)
}

/// Number of the CPU that runs this, 0 for the one that booted, below [`MAX_CPUS`].
#[inline]
pub(crate) fn index() -> usize {
    slot().start.wrapping_sub(symbols::stacks_start()) / SLOT_SIZE
}

/// Lowest and highest address of the calling CPU's slot.
pub(crate) fn slot() -> core::ops::Range<usize> {
    let base = word(sysreg::tpidr_el2());
    base..base.wrapping_add(SLOT_SIZE)
}
