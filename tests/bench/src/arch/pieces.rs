//! The measured pieces of code: see `pieces.S`.
#![expect(unsafe_code, reason = "assembly that is measured")]

use core::arch::global_asm;

global_asm!(include_str!("pieces.S"));

/// Registers of a piece: x0 to x3 of its operation, or what its comment says; afterwards the first
/// holds x0 of the last operation.
pub(crate) type Args = [u64; 4];

/// A measured piece: does its operations and says how many ticks went by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece(unsafe extern "C" fn(*mut Args) -> u64);

macro_rules! pieces {
    ($($name:ident $constant:ident;)*) => {
        mod symbols {
            // SAFETY: `pieces.S` has each of them, with these arguments.
            unsafe extern "C" { $(pub(super) fn $name(args: *mut super::Args) -> u64;)* }
        }
        impl Piece {
            $(pub(crate) const $constant: Self = Self(symbols::$name);)*
        }
    };
}

pieces! {
    empty_1 EMPTY_1;
    empty_8 EMPTY_8;
    hvc_1 HVC_1;
    hvc_8 HVC_8;
    smc_8 SMC_8;
    load32_8 LOAD32_8;
    load64_8 LOAD64_8;
    store8_1 STORE8_1;
    store32_1 STORE32_1;
    store64_1 STORE64_1;
    id_register_8 ID_REGISTER_8;
    id_register_8_empty ID_REGISTER_8_EMPTY;
    known_loop KNOWN_LOOP;
    abort_to_handler ABORT_TO_HANDLER;
    sgi_to_handler SGI_TO_HANDLER;
    timer_to_handler TIMER_TO_HANDLER;
    timer_to_wfi TIMER_TO_WFI;
    ipi_to_handler IPI_TO_HANDLER;
    cpu_on_to_first_instruction CPU_ON_TO_FIRST_INSTRUCTION;
}

impl Piece {
    /// Runs it once; the ticks.
    pub(crate) fn run(self, args: &mut Args) -> u64 {
        // SAFETY: every piece keeps the registers that a function must keep, uses `args` and its
        // own stack frame, and touches by address only device registers and memory that no Rust
        // object occupies, or slots that Rust code reads as volatile.
        unsafe { (self.0)(args) }
    }
}

/// A place in memory that another CPU writes a time to.
pub(crate) struct Slot(core::cell::UnsafeCell<u64>);

// SAFETY: it is only read and written as a whole, by volatile accesses or by assembly.
unsafe impl Sync for Slot {}

impl Slot {
    /// An empty slot.
    pub(crate) const fn new() -> Self {
        Self(core::cell::UnsafeCell::new(0))
    }

    /// Its address.
    pub(crate) fn address(&self) -> u64 {
        self.0.get() as u64
    }

    /// What was written last.
    pub(crate) fn read(&self) -> u64 {
        // SAFETY: valid for as long as `self` is.
        unsafe { self.0.get().read_volatile() }
    }
}
