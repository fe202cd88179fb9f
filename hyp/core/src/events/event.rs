//! What can be wrong with an access, and one such access.

use core::fmt;

use crate::addr::{Ipa, Va};

/// Declares a field-less enum over `u8` with a text for each value.
macro_rules! coded {
    (
        $(#[$outer:meta])*
        $name:ident { $($(#[$doc:meta])* $value:ident = $code:literal, $text:literal;)* }
    ) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$doc])* $value = $code,)*
        }

        impl $name {
            /// The value with this code.
            #[must_use]
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$value),)*
                    _ => None,
                }
            }

            /// What it is in words.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$value => $text,)*
                }
            }
        }
    };
}

coded! {
    /// Which check failed.
    Reason {
        /// The VM is enrolled and the page is neither memory nor guarded.
        Unguarded = 1, "the page is neither memory nor guarded";
        /// The page may be touched, but neither memory nor a device is there.
        NoDevice = 2, "neither memory nor a device is there";
        /// A device is there, but the hardware did not describe the access, or the instruction cannot
        /// be decoded.
        NoSyndrome = 3, "this form of instruction cannot be emulated";
        /// An instruction fetch outside memory.
        FetchOffMemory = 4, "instructions are fetched from memory only";
        /// A guest translation table outside memory.
        WalkOffMemory = 5, "a translation table lies outside memory";
        /// Memory or a device that does not allow this access.
        Permission = 6, "the page does not allow this access";
        /// The bus answered with an error.
        External = 7, "the bus answered with an error";
        /// A fault that Postern does not handle, such as an unsupported exclusive access.
        Unsupported = 8, "the access is not supported there";
        /// `MMIO_GUARD_MAP` refused: the VM's quota of table frames is used up.
        GuardQuota = 9, "too many guarded pages far apart: table quota used up";
        /// A protected VM's vCPU was found in AArch32 state.
        AArch32State = 10, "AArch32 state in a protected VM";
        /// A system error, which says neither what was touched nor by which instruction.
        SError = 12, "a system error (SError), passed on to the guest";
        /// No memory is left to back a page.
        NoMemory = 11, "no memory to back the page";
        /// An exception led to a vector outside memory. The event's PC is the one that the exception is
        /// to return to, its address is the vector's.
        NoVectors = 13, "an exception at this PC found no vectors: VBAR_EL1 leads to no memory";
    }
}

coded! {
    /// What the guest was doing.
    Touch {
        /// A load.
        Load = 1, "load";
        /// A store.
        Store = 2, "store";
        /// An instruction fetch.
        Fetch = 3, "instruction fetch";
        /// A walk of the guest's translation tables.
        Walk = 4, "translation table walk";
        /// Cache maintenance.
        Maintenance = 5, "cache maintenance";
        /// A hypercall.
        Call = 6, "hypercall";
        /// Nobody knows.
        Unknown = 7, "an access of some kind";
    }
}

impl Reason {
    /// Whether it is of use to know where the VM's memory is.
    #[must_use]
    pub const fn is_about_memory(self) -> bool {
        matches!(
            self,
            Self::Unguarded
                | Self::NoDevice
                | Self::FetchOffMemory
                | Self::WalkOffMemory
                | Self::NoVectors
        )
    }

    /// Whether the guest is to blame: it did what no guest should, as opposed to what a bus, the
    /// machine or EL2 did to it.
    #[must_use]
    pub const fn breaks_a_rule(self) -> bool {
        match self {
            Self::Unguarded
            | Self::NoDevice
            | Self::NoSyndrome
            | Self::FetchOffMemory
            | Self::WalkOffMemory
            | Self::Permission
            | Self::Unsupported
            | Self::GuardQuota
            | Self::AArch32State
            | Self::NoVectors => true,
            Self::External | Self::SError | Self::NoMemory => false,
        }
    }
}

/// One failed check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The VM's number.
    pub vm: u8,
    /// The vCPU's number within the VM.
    pub vcpu: u8,
    /// Which check failed.
    pub reason: Reason,
    /// What the guest was doing.
    pub touch: Touch,
    /// Bytes that the access moves, 1 to 8; 0 where that is not known.
    pub bytes: u8,
    /// The instruction.
    pub pc: u64,
    /// The virtual address touched.
    pub va: Va,
    /// The intermediate physical address touched.
    pub ipa: Ipa,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vm, vcpu, reason, touch, bytes, pc, va, ipa } = *self;
        let [vm, vcpu, bytes] = [vm, vcpu, bytes].map(u64::from);
        write!(f, "vm {vm} vcpu {vcpu}: {}", touch.text())?;
        match bytes {
            0 => {}
            1 => write!(f, " of 1 byte")?,
            _ => write!(f, " of {bytes} bytes")?,
        }
        write!(f, " at IPA {ipa} (VA {va}, PC {pc:#x}): {}", reason.text())
    }
}
