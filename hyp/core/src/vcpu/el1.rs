//! The registers of EL1 and EL0 that a CPU holds for the vCPU that is loaded.

/// Calls the macro `$with` with the list of a vCPU's registers: a name, the register as assembly writes it,
/// the value with which a vCPU starts, and what the CPU must have ([`Needs`](crate::vcpu::Needs)).
///
/// The values are those of a reset (Arm ARM, D1.2.4 "PE state on reset to AArch64 state"); what is
/// UNKNOWN there is zero. Timers come last, each control behind its compare value. What later extensions
/// added is hidden from guests and trapped, so that its values are out of their reach.
#[macro_export]
macro_rules! el1_registers {
    ($with:ident) => {
        $with! {
            // RES1 bits of Armv8.0, MMU and caches off.
            Sctlr = "sctlr_el1", 0x30d0_0800, Nothing;
            Cpacr = "cpacr_el1", 0, Nothing;
            Ttbr0 = "ttbr0_el1", 0, Nothing;
            Ttbr1 = "ttbr1_el1", 0, Nothing;
            Tcr = "tcr_el1", 0, Nothing;
            Mair = "mair_el1", 0, Nothing;
            Amair = "amair_el1", 0, Nothing;
            Vbar = "vbar_el1", 0, Nothing;
            Contextidr = "contextidr_el1", 0, Nothing;
            Esr = "esr_el1", 0, Nothing;
            Far = "far_el1", 0, Nothing;
            Afsr0 = "afsr0_el1", 0, Nothing;
            Afsr1 = "afsr1_el1", 0, Nothing;
            Elr = "elr_el1", 0, Nothing;
            Spsr = "spsr_el1", 0, Nothing;
            SpEl0 = "sp_el0", 0, Nothing;
            SpEl1 = "sp_el1", 0, Nothing;
            TpidrEl0 = "tpidr_el0", 0, Nothing;
            TpidrroEl0 = "tpidrro_el0", 0, Nothing;
            TpidrEl1 = "tpidr_el1", 0, Nothing;
            Par = "par_el1", 0, Nothing;
            Csselr = "csselr_el1", 0, Nothing;
            ApiaKeyLo = "S3_0_C2_C1_0", 0, PointerAuthentication;
            ApiaKeyHi = "S3_0_C2_C1_1", 0, PointerAuthentication;
            ApibKeyLo = "S3_0_C2_C1_2", 0, PointerAuthentication;
            ApibKeyHi = "S3_0_C2_C1_3", 0, PointerAuthentication;
            ApdaKeyLo = "S3_0_C2_C2_0", 0, PointerAuthentication;
            ApdaKeyHi = "S3_0_C2_C2_1", 0, PointerAuthentication;
            ApdbKeyLo = "S3_0_C2_C2_2", 0, PointerAuthentication;
            ApdbKeyHi = "S3_0_C2_C2_3", 0, PointerAuthentication;
            ApgaKeyLo = "S3_0_C2_C3_0", 0, PointerAuthentication;
            ApgaKeyHi = "S3_0_C2_C3_1", 0, PointerAuthentication;
            // VDISR_EL2: what the guest reads as DISR_EL1.
            Vdisr = "S3_4_C12_C1_1", 0, Ras;
            // The monitors themselves trap to EL2. Whether EL0's accesses get that far, or go to the
            // guest's EL1, is decided here.
            Pmuserenr = "pmuserenr_el0", 0, Pmu;
            Amuserenr = "S3_3_C13_C2_3", 0, Amu;
            Cntkctl = "cntkctl_el1", 0, Nothing;
            CntpCval = "cntp_cval_el0", 0, Nothing;
            CntpCtl = "cntp_ctl_el0", 0, Nothing;
            CntvCval = "cntv_cval_el0", 0, Nothing;
            CntvCtl = "cntv_ctl_el0", 0, Nothing;
        }
    };
}

/// What a CPU must have for it to have a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing beyond Armv8.0.
    Nothing,
    /// `FEAT_PAuth`.
    PointerAuthentication,
    /// `FEAT_RAS`.
    Ras,
    /// `FEAT_PMUv3`.
    Pmu,
    /// `FEAT_AMUv1`.
    Amu,
}

macro_rules! define {
    ($($name:ident = $register:literal, $reset:literal, $needs:ident;)*) => {
        /// A register that a CPU holds for the vCPU that is loaded.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum El1 {
            $(#[doc = concat!("`", $register, "`.")] $name,)*
        }

        impl El1 {
            /// All of them, in the order in which they are loaded.
            pub const ALL: &[Self] = &[$(Self::$name),*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The register as assembly writes it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $register,)*
                }
            }
        }

        impl El1State {
            /// What a vCPU starts with.
            pub const RESET: Self = Self([$($reset),*]);
        }
    };
}
crate::el1_registers!(define);

/// The values of a vCPU's registers of EL1 and EL0 while it is not loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct El1State(pub [u64; El1::COUNT]);

impl El1State {
    /// The value of `register`.
    #[must_use]
    pub fn get(&self, register: El1) -> u64 {
        self.0.get(register as usize).copied().unwrap_or(0)
    }

    /// Changes the value of `register`.
    pub fn set(&mut self, register: El1, value: u64) {
        if let Some(own) = self.0.get_mut(register as usize) {
            *own = value;
        }
    }
}
