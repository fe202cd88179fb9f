//! Device registers.
#![expect(unsafe_code, reason = "volatile access by address")]

use core::arch::asm;

use hyp_abi::vplatform::RAM_BASE;

/// The address of a device register: below RAM, where no Rust object lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Io(u64);

macro_rules! access {
    ($($read:ident $write:ident $type:ty, $load:literal, $store:literal, $form:literal;)*) => {
        $(
            /// Reads one register.
            #[must_use]
            pub fn $read(self, offset: u64) -> $type {
                let value: u64;
                let at = self.at(offset);
                // SAFETY: `at` is below RAM: no Rust object is read. The instruction has a form
                // whose syndrome a hypervisor can decode (base register only).
                unsafe {
                    asm!(concat!($load, " {0:", $form, "}, [{1}]"), out(reg) value, in(reg) at,
                        options(nostack));
                }
                value as $type
            }

            /// Writes one register.
            pub fn $write(self, offset: u64, value: $type) {
                let at = self.at(offset);
                // SAFETY: `at` is below RAM: no Rust object is changed.
                unsafe {
                    asm!(concat!($store, " {0:", $form, "}, [{1}]"), in(reg) u64::from(value),
                        in(reg) at, options(nostack));
                }
            }
        )*
    };
}

#[expect(clippy::cast_possible_truncation, reason = "a load of this width leaves the rest 0")]
impl Io {
    /// The device at `base`; an address in RAM becomes 0, where this guest has nothing.
    pub const fn new(base: u64) -> Self {
        Self(if base < RAM_BASE { base } else { 0 })
    }

    /// Its address.
    pub const fn base(self) -> u64 {
        self.0
    }

    const fn at(self, offset: u64) -> u64 {
        // Devices are smaller than 256 MiB, and none lies in the last 256 MiB below RAM.
        self.0 + (offset & 0xfff_ffff)
    }

    access! {
        read8 write8 u8, "ldrb", "strb", "w";
        read16 write16 u16, "ldrh", "strh", "w";
        read32 write32 u32, "ldr", "str", "w";
        read64 write64 u64, "ldr", "str", "x";
    }
}
