//! The CPU: its exception level and the jump into the hypervisor.
#![expect(unsafe_code, reason = "system registers, and the end of the firmware's map")]

use core::arch::{asm, global_asm};

use hyp_core::memory::PaRange;

// SAFETY: `memcpy` keeps the AAPCS64 and touches nothing but what its caller hands it.
global_asm!(include_str!("copy.s"));

/// The current exception level, 0 to 3 (Arm ARM, "CurrentEL, Current Exception Level").
pub(crate) fn exception_level() -> u64 {
    let level: u64;
    // SAFETY: reads a register that is there at each level but EL0, and no EFI application runs at
    // EL0.
    unsafe { asm!("mrs {}, CurrentEL", out(reg) level, options(nomem, nostack, preserves_flags)) };
    (level >> 2) & 3
}

// SAFETY: `efi.ld` puts a page of that type there; the program writes it before it is read.
unsafe extern "C" {
    /// What follows the headers in the image's first page; see `linker/efi.ld`.
    safe static head_copy: [u64; (PAGE - HEADERS) / size_of::<u64>()];
}

const PAGE: usize = 4096;

/// Bytes of the image's first page that are headers. Firmware may load no more of it.
const HEADERS: usize = 512;

/// Enters the image as the arm64 boot protocol asks (Linux,
/// `Documentation/arch/arm64/booting.rst`): the image in memory and not only in caches, interrupts
/// masked, MMU off, the tree's address in x0. Completes the image's first page on the way: the
/// firmware may have made it read-only, and only with the MMU off that does not count.
///
/// # Safety
///
/// At EL2, boot services have ended. `image` is all the memory of Postern's image, this program
/// included, at its first byte, mapped flat, and nobody else uses it. `tree` is the address of a
/// device tree that nobody writes any more.
pub(crate) unsafe fn enter(image: PaRange, tree: u64) -> ! {
    // SAFETY: by the contract above. Cleaning by address writes nothing that was not written
    // before. The instructions behind the change of SCTLR_EL2 are part of the image, so that they
    // were cleaned too, and with a flat map they are at the same address with the MMU off; so is
    // what is copied to where the image's first page must have it. All accesses without the MMU
    // are aligned. The hypervisor sets all other registers itself.
    unsafe {
        asm!(
            "msr    daifset, #15",
            "mrs    x5, ctr_el0",
            "ubfx   x5, x5, #16, #4", // DminLine: log2 of words
            "mov    x6, #4",
            "lsl    x5, x6, x5",
            "mov    x6, x1",
            "2: dc  civac, x6",
            "add    x6, x6, x5",
            "cmp    x6, x4",
            "b.lo   2b",
            "dsb    sy",
            "mrs    x6, sctlr_el2",
            "bic    x6, x6, #(1 << 12)", // I
            "bic    x6, x6, #(1 << 2)",  // C
            "bic    x6, x6, #(1 << 0)",  // M
            "msr    sctlr_el2, x6",
            "isb",
            "add    x6, x1, #{headers}",
            "add    x7, x1, #{page}",
            "3: ldr x5, [x2], #8",
            "str    x5, [x6], #8",
            "cmp    x6, x7",
            "b.lo   3b",
            "dsb    sy",
            "ic     iallu",
            "dsb    sy",
            "isb",
            "mov    x6, x1",
            "mov    x1, xzr",
            "mov    x2, xzr",
            "mov    x3, xzr",
            "br     x6",
            headers = const HEADERS,
            page = const PAGE,
            in("x0") tree,
            in("x1") image.base().0,
            in("x2") head_copy.as_ptr(),
            in("x4") image.end().0,
            options(noreturn, nostack),
        )
    }
}
