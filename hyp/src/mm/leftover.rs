//! A look for what boot must not leave behind: addresses of constants in the pages that are taken away, and
//! the seed of the random numbers.
//!
//! Which functions and constants only boot needs is decided when the image is linked, by what refers to
//! them. A function whose address is stored for later is seen there, a constant is not; here it is.
//! Builds for tests ask, with feature `inject`.

use core::ops::Range;

use hyp_abi::exit::HYP_FAILED;

use crate::arch::{percpu, symbols};
use crate::exit::fail;

/// Ends the run if a variable holds the address of a constant in `boot`. Stacks do not count: what is left of boot
/// there nobody returns to. Nor does the heap, where the VM has the room of lists that are not full,
/// with whatever was on the stack where they were made.
pub(crate) fn check(boot: &Range<usize>) {
    for at in (symbols::data_start()..symbols::bss_end()).step_by(size_of::<usize>()) {
        // SAFETY: mapped for as long as EL2 runs, aligned, and any bytes are a number; what other CPUs
        // write there meanwhile is atomic or theirs alone, and a wrong number is only reported.
        let word = unsafe { (at as *const usize).read_volatile() };
        if (symbols::boot_constants()..boot.end).contains(&word) {
            fail(
                HYP_FAILED,
                format_args!(
                    "boot leaves {word:#x} behind at {at:#x}, which is not mapped later: make \
                     xtask/src/build/link know"
                ),
            );
        }
    }
}

/// Ends the run if this CPU's stack, boot's, or a variable holds a part of the seed.
pub(crate) fn check_secrets() {
    let slot = percpu::slot().start;
    let stack = slot + percpu::MAIN_BOTTOM..slot + percpu::MAIN_TOP;
    for place in [stack, symbols::data_start()..symbols::bss_end()] {
        let mut word = 0;
        for at in place {
            // SAFETY: as above, byte by byte: nothing says that a secret is aligned.
            let byte = unsafe { (at as *const u8).read_volatile() };
            word = word >> 8 | u64::from(byte) << 56;
            if injected!(is_secret(word), false) {
                fail(HYP_FAILED, format_args!("boot leaves a part of the seed behind at {at:#x}"));
            }
        }
    }
}
