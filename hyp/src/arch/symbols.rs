//! Addresses that `hyp.ld` and the entry code define.

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
symbol!(/// First stack slot; see `percpu`.
    stacks_start = stacks_start);
symbol!(/// EL2's level-0 table.
    root_table = boot_root);
symbol!(/// Where firmware starts other CPUs.
    secondary_entry = secondary_entry);
symbol!(/// Where CPUs go that wait at a spin table.
    spin_entry = spin_entry);
