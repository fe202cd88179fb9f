//! Entry from firmware; the assembly is in `boot.s`.

use core::sync::atomic::{AtomicU64, Ordering};

use super::cache;
use super::percpu::MAX_CPUS;

/// In what state the boot CPU arrived; numbers as in `boot.s`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EntryKind {
    /// EL2 with E2H = 0: go on.
    El2,
    /// EL1: no hypervisor can run; there is only a message to print.
    El1,
    /// EL2 of a CPU whose HCR_EL2.E2H cannot be cleared.
    E2hStuck,
}

impl EntryKind {
    /// From the register that `boot.s` passes.
    pub(crate) const fn from_raw(raw: u64) -> Self {
        match raw {
            0 => Self::El2,
            1 => Self::El1,
            _ => Self::E2hStuck,
        }
    }
}

/// Why a CPU stands in `park` of `boot.s` with nothing said: the number in x0, for a debugger.
/// `docs/debugging.md` lists them for its users.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub(crate) enum Halt {
    /// The image does not lie at a page boundary.
    Unaligned = 1,
    /// The image lies at or above 2^47.
    TooHigh = 2,
    /// Entered at EL3.
    El3 = 3,
    /// A CPU that came from a spin table is none that was called.
    Unlisted = 4,
    /// A CPU other than the boot CPU came, but not at EL2.
    NotEl2 = 5,
    /// There is no device tree where x0 pointed at the start.
    NoTree = 6,
    /// There is a tree, but its header is damaged.
    DamagedTree = 7,
    /// EL2 gave up with a message, and there is no console to print it on.
    Unheard = 8,
}

/// Stops this CPU for good where a debugger finds it: see [`Halt`].
#[expect(unsafe_code, reason = "a debugger looks into a register")]
pub(crate) fn halt(why: Halt) -> ! {
    // SAFETY: goes to an endless loop that needs neither stack nor memory.
    unsafe { core::arch::asm!("b park", in("x0") why as u64, options(noreturn)) };
}

/// The CPUs that wait at a spin table, by number: affinity and [`LISTED`]. `boot.s` searches it
/// before the MMU is on.
pub(crate) static SPIN_LIST: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];
/// Tells an entry of [`SPIN_LIST`] from an empty one: a bit that is no affinity.
pub(crate) const LISTED: u64 = 1 << 31;

/// Lets the CPU with these affinity fields of MPIDR_EL1 find that it is number `index`, when it
/// comes from a spin table.
pub(crate) fn list_spinning(index: usize, mpidr: u64) {
    if let Some(entry) = SPIN_LIST.get(index) {
        entry.store(mpidr | LISTED, Ordering::Relaxed);
        cache::clean_invalidate_to_poc(core::ptr::from_ref(entry) as usize, size_of::<u64>());
    }
}

/// Assembles `settle_first`, `settle_mmu` and `settle_rest` for `boot.s`, each of which writes its part of
/// the table of registers and returns to x5.
macro_rules! registers_code {
    ($($part:ident { $(
        when [$($id:ident . $field:ident $of:literal [$lsb:literal, $bits:literal]
            in $least:literal ..= $most:literal),*]
        { $($name:ident $register:literal = $value:literal;)+ } then $sync:literal;
    )+ })+) => {
        core::arch::global_asm!(
            // With the MMU off, it does not matter that boot's code has gone from the map.
            ".section .text.before_mmu, \"ax\"",
            $(
                concat!("settle_", stringify!($part), ":"),
                $(
                    $(
                        concat!("mrs x1, ", $of),
                        concat!("ubfx x1, x1, #", $lsb, ", #", $bits),
                        concat!("sub x1, x1, #", $least),
                        concat!("cmp x1, #(", $most, " - ", $least, ")"),
                        "b.hi 7f",
                    )*
                    $(
                        concat!("mov x1, #", $value),
                        concat!("msr ", $register, ", x1"),
                    )+
                    $sync,
                    "7:",
                )+
                "br x5",
            )+
        );
    };
}
pub(crate) use registers_code;

/// Assembles the entry code, which goes on in `$main` on the boot CPU and in `$secondary` on the
/// others.
macro_rules! entry_code {
    (main = $main:path, secondary = $secondary:path) => {
        #[expect(unsafe_code, reason = "entry code is assembly")]
        mod entry_code {
            use $crate::arch::boot::registers_code;
            hyp_core::entry_registers!(registers_code);
            core::arch::global_asm!(
                include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/arch/boot.s")),
                boot_main = sym $main,
                secondary_main = sym $secondary,
                spin_list = sym $crate::arch::boot::SPIN_LIST,
                LISTED = const $crate::arch::boot::LISTED,
                AFFINITY = const hyp_abi::psci::MPIDR_AFFINITY,
                MAX_CPUS = const $crate::arch::percpu::MAX_CPUS,
                HALT_UNALIGNED = const $crate::arch::boot::Halt::Unaligned as u64,
                HALT_TOO_HIGH = const $crate::arch::boot::Halt::TooHigh as u64,
                HALT_EL3 = const $crate::arch::boot::Halt::El3 as u64,
                HALT_UNLISTED = const $crate::arch::boot::Halt::Unlisted as u64,
                HALT_NOT_EL2 = const $crate::arch::boot::Halt::NotEl2 as u64,
                MAIN_TOP = const crate::arch::percpu::MAIN_TOP,
            );
        }
    };
}
pub(crate) use entry_code;
