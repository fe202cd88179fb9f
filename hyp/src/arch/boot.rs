//! Entry from firmware; the assembly is in `boot.s`.

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

/// Assembles the entry code, which goes on in `$main` on the boot CPU and in `$secondary` on the
/// others.
macro_rules! entry_code {
    (main = $main:path, secondary = $secondary:path) => {
        #[expect(unsafe_code, reason = "entry code is assembly")]
        mod entry_code {
            core::arch::global_asm!(
                include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/arch/boot.s")),
                boot_main = sym $main,
                secondary_main = sym $secondary,
                MAIN_TOP = const crate::arch::percpu::MAIN_TOP,
            );
        }
    };
}
pub(crate) use entry_code;
