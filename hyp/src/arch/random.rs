//! The CPU's random number generator (FEAT_RNG).

use core::arch::asm;

use super::sysreg;
use super::sysreg::fields::isar0;

/// How often a generator that has nothing to give is asked again.
const TRIES: u32 = 100;

/// A random number from RNDR; `None` where there is no generator or it is exhausted.
pub(crate) fn next() -> Option<u64> {
    if isar0::RNDR.read(sysreg::id_aa64isar0_el1()) == 0 {
        return None;
    }
    (0..TRIES).find_map(|_| {
        let (value, is_good): (u64, u64);
        // SAFETY: reads RNDR, which exists (checked above), and the flags it sets.
        unsafe {
            asm!("mrs {value}, S3_3_C2_C4_0", "cset {is_good}, ne",
                 value = out(reg) value, is_good = out(reg) is_good, options(nostack));
        }
        (is_good != 0).then_some(value)
    })
}
