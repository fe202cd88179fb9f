//! Entry from firmware; the assembly is in `boot.s`.

use core::arch::global_asm;

use crate::arch::percpu;

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

global_asm!(
    include_str!("boot.s"),
    boot_main = sym crate::boot::boot_main,
    secondary_main = sym crate::boot::secondary_main,
    MAIN_TOP = const percpu::MAIN_TOP,
);

/// A symbol of `hyp.ld` or `boot.s`.
macro_rules! symbol {
    ($(#[$doc:meta])* $function:ident = $symbol:ident) => {
        $(#[$doc])*
        pub(crate) fn $function() -> usize {
            unsafe extern "C" {
                static $symbol: u8;
            }
            &raw const $symbol as usize
        }
    };
}

symbol!(/// Linked address of the image's first byte.
    image_start = image_start);
symbol!(/// Linked address after the image, stacks included.
    image_end = image_end);
symbol!(/// First stack slot; see [`percpu`].
    stacks_start = stacks_start);
symbol!(/// EL2's level-0 table.
    root_table = boot_root);
symbol!(/// Where firmware starts other CPUs.
    secondary_entry = secondary_entry);
