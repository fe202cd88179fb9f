//! The registers of EL1 and EL0 in the CPU: each by name, and all of them to and from a vCPU that is not
//! loaded.

use core::arch::asm;

use hyp_core::el1_registers;
use hyp_core::vcpu::{El1, El1State, Needs};

use super::sysreg::fields::{dfr0, pfr0};
use super::{barrier, ident, sysreg};

macro_rules! access {
    ($($name:ident = $register:literal, $reset:literal, $needs:ident;)*) => {
        /// Reads `register`, which the calling CPU has.
        #[inline(always)]
        pub(crate) fn read(register: El1) -> u64 {
            let value;
            match register {
                $(El1::$name => {
                    // SAFETY: reading this register has no effect on memory or control flow.
                    unsafe {
                        asm!(concat!("mrs {}, ", $register), out(reg) value,
                             options(nomem, nostack, preserves_flags));
                    }
                })*
            }
            value
        }

        /// Writes `register`, which the calling CPU has.
        #[inline(always)]
        pub(crate) fn write(register: El1, value: u64) {
            match register {
                $(El1::$name => {
                    // SAFETY: the register belongs to the guest and shapes neither EL2's memory nor its
                    // flow.
                    unsafe {
                        asm!(concat!("msr ", $register, ", {}"), in(reg) value,
                             options(nomem, nostack, preserves_flags));
                    }
                })*
            }
        }

        /// Writes all registers that the calling CPU has.
        #[inline(never)]
        pub(crate) fn load(state: &El1State) {
            let has = Has::here();
            $(if has.what(Needs::$needs) {
                write(El1::$name, state.get(El1::$name));
            })*
            barrier::isb();
        }

        /// Reads all registers that the calling CPU has; others count as zero.
        #[cfg(feature = "inject")]
        #[inline(never)]
        pub(crate) fn save() -> El1State {
            let has = Has::here();
            let mut state = El1State([0; El1::COUNT]);
            $(if has.what(Needs::$needs) {
                state.set(El1::$name, read(El1::$name));
            })*
            state
        }
    };
}
el1_registers!(access);

/// What the calling CPU has.
struct Has {
    pointer_authentication: bool,
    ras: bool,
    pmu: bool,
    amu: bool,
}

impl Has {
    fn here() -> Self {
        let pfr0 = sysreg::id_aa64pfr0_el1();
        Self {
            pointer_authentication: ident::has_pointer_authentication(),
            ras: pfr0::RAS.read(pfr0) != 0,
            pmu: !matches!(dfr0::PMUVer.read(sysreg::id_aa64dfr0_el1()), 0 | 0xf),
            amu: pfr0::AMU.read(pfr0) != 0,
        }
    }

    #[inline(always)]
    const fn what(&self, needs: Needs) -> bool {
        match needs {
            Needs::Nothing => true,
            Needs::PointerAuthentication => self.pointer_authentication,
            Needs::Ras => self.ras,
            Needs::Pmu => self.pmu,
            Needs::Amu => self.amu,
        }
    }
}
