//! The guest's floating point and SIMD registers. EL2 is built without them and never touches
//! them, except to clear them and where it carries out an instruction that names one.

use core::arch::asm;

use hyp_core::vcpu::VectorState;

use super::sysreg;
use super::sysreg::fields::pfr0;

/// Whether the calling CPU has them: 0xf says that there is no floating point.
fn is_there() -> bool {
    pfr0::FP.read(sysreg::id_aa64pfr0_el1()) != 0xf
}

/// Writes all of a vCPU's, where the CPU has them. CPTR_EL2 must not trap them (`stage2::install`).
pub(crate) fn load(state: &VectorState) {
    if !is_there() {
        return;
    }
    // Writing V zeroes the rest of a longer Z register, too.
    Vectors(state.v).write();
    // SAFETY: the guest's own control and status.
    unsafe {
        asm!(
            ".arch_extension fp",
            "msr fpcr, {control}",
            "msr fpsr, {status}",
            ".arch_extension nofp",
            control = in(reg) state.fpcr,
            status = in(reg) state.fpsr,
            options(nomem, nostack, preserves_flags),
        );
    }
}

/// Reads all of a vCPU's, where the CPU has them.
#[cfg(feature = "inject")]
pub(crate) fn save(state: &mut VectorState) {
    if !is_there() {
        return;
    }
    state.v = Vectors::read().0;
    // SAFETY: as in `load`.
    unsafe {
        asm!(
            ".arch_extension fp",
            "mrs {control}, fpcr",
            "mrs {status}, fpsr",
            ".arch_extension nofp",
            control = out(reg) state.fpcr,
            status = out(reg) state.fpsr,
            options(nomem, nostack, preserves_flags),
        );
    }
}

/// V0 to V31 as they are in the hardware.
#[derive(Debug)]
#[repr(C, align(16))]
pub(crate) struct Vectors(pub(crate) [u128; 32]);

impl Vectors {
    /// Reads all of them. Only for a guest that has just executed an instruction on them: the CPU
    /// has them then.
    pub(crate) fn read() -> Self {
        let mut vectors = Self([0; 32]);
        // SAFETY: the 32 stores fill the array and nothing else; EL2 is little-endian, so that the
        // bytes are those of a u128.
        unsafe {
            asm!(
                ".arch_extension fp",
                ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, \
                 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
                r"str q\n, [{at}, #(16 * \n)]",
                ".endr",
                ".arch_extension nofp",
                at = in(reg) &raw mut vectors.0,
                options(nostack, preserves_flags),
            );
        }
        vectors
    }

    /// Writes all of them; see [`Vectors::read`].
    pub(crate) fn write(&self) {
        // SAFETY: the compiler has no use for these registers, and the guest they belong to is
        // stopped at an instruction that changes them.
        unsafe {
            asm!(
                ".arch_extension fp",
                ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, \
                 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
                r"ldr q\n, [{at}, #(16 * \n)]",
                ".endr",
                ".arch_extension nofp",
                at = in(reg) &raw const self.0,
                options(nostack, preserves_flags, readonly),
            );
        }
    }
}
