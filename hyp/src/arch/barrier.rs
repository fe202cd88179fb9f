//! Barriers. Each keeps the compiler from moving memory accesses across it, too.

use core::arch::asm;

macro_rules! barriers {
    ($($(#[$doc:meta])* $name:ident = $instruction:literal;)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $name() {
            // SAFETY: a barrier changes no state.
            unsafe { asm!($instruction, options(nostack, preserves_flags)) };
        }
    )*};
}

barriers! {
    /// Waits until earlier accesses and maintenance are complete for the whole system.
    dsb_sy = "dsb sy";
    /// As [`dsb_sy`], for the inner shareable domain: all CPUs.
    dsb_ish = "dsb ish";
    /// Earlier stores, table entries above all, are visible to all CPUs' walkers.
    dsb_ishst = "dsb ishst";
    /// Earlier maintenance of this CPU alone is complete.
    dsb_nsh = "dsb nsh";
    /// Later accesses stay behind earlier ones, for the whole system.
    dmb_sy = "dmb sy";
    /// Later instructions see earlier writes to system registers.
    isb = "isb";
}
