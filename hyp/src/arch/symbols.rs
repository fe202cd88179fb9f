//! Addresses that `hyp.ld` and the entry code define.

use core::arch::asm;
use core::ops::Range;

/// A symbol of `hyp.ld` or `boot.s`.
macro_rules! symbol {
    ($(#[$doc:meta])* $function:ident = $symbol:ident) => {
        $(#[$doc])*
        pub(crate) fn $function() -> usize {
            // SAFETY: the linker fails unless `hyp.ld` or `boot.s` defines it; only its address is used.
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
symbol!(/// First page of nothing but what only boot needs.
    boot_start = boot_pages);
symbol!(/// The constants among that.
    boot_constants = boot_constants);
symbol!(/// Behind the last page of that.
    text_end = text_end);
/// The pages of nothing but what only boot needs, as numbers that the compiler does not know: it would make
/// them anew where they are used, and to the build that looks like a call of boot's code.
#[inline(always)]
pub(crate) fn boot_pages() -> Range<usize> {
    let (mut start, mut end) = (boot_start(), text_end());
    // SAFETY: no instruction.
    unsafe {
        asm!("", inout("x0") start, inout("x1") end, options(pure, nomem, nostack, preserves_flags))
    };
    start..end
}
symbol!(/// The first variable.
    data_start = data_start);
symbol!(/// Behind the last variable.
    bss_end = bss_end);
symbol!(/// First stack slot; see `percpu`.
    stacks_start = stacks_start);
symbol!(/// EL2's level-0 table.
    root_table = boot_root);
symbol!(/// Where firmware starts other CPUs.
    secondary_entry = secondary_entry);
symbol!(/// Where CPUs go that wait at a spin table.
    spin_entry = spin_entry);
