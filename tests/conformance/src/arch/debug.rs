//! Self-hosted debug of this CPU: see `debug.S`.
#![expect(unsafe_code, reason = "symbols of assembly")]

use core::arch::global_asm;

use super::probe::{self, Piece, Probe};

global_asm!(include_str!("debug.S"));

macro_rules! symbols {
    ($($name:ident)*) => {
        // SAFETY: labels of `debug.S`, of which only the address is used.
        unsafe extern "C" { $(fn $name();)* }
    };
}

macro_rules! registers {
    ($($(#[$doc:meta])* $variant:ident, $read:ident, $write:ident;)*) => {
        symbols! { $($read $write)* }

        /// A register.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Register { $($(#[$doc])* $variant,)* }

        impl Register {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)*];

            fn pieces(self) -> (Piece, Piece) {
                match self {
                    $(Self::$variant => {
                        (Piece::at($read as *const () as u64, 0), Piece::at($write as *const () as u64, 0))
                    })*
                }
            }
        }
    };
}

registers! {
    BreakpointValue0, read_bvr0, write_bvr0;
    BreakpointControl0, read_bcr0, write_bcr0;
    BreakpointValue1, read_bvr1, write_bvr1;
    BreakpointControl1, read_bcr1, write_bcr1;
    WatchpointValue0, read_wvr0, write_wvr0;
    WatchpointControl0, read_wcr0, write_wcr0;
    WatchpointValue1, read_wvr1, write_wvr1;
    WatchpointControl1, read_wcr1, write_wcr1;
    /// MDSCR_EL1.
    Control, read_control, write_control;
    /// OSLSR_EL1 and OSLAR_EL1.
    Lock, read_lock, write_lock;
    /// OSDLR_EL1.
    DoubleLock, read_double_lock, write_double_lock;
    /// MDCCINT_EL1.
    ChannelControl, read_channel_control, write_channel_control;
}

/// What is not zero when all that can be is.
const ANYTHING: u64 = u64::MAX;

impl Register {
    /// Reads it; `None` if that is undefined.
    pub(crate) fn get(self) -> Option<u64> {
        let got = probe::run(self.pieces().0, 0, ANYTHING);
        (!got.is_caught()).then_some(got.x[Probe::DATUM])
    }

    /// Writes it; `false` if that is undefined.
    pub(crate) fn set(self, value: u64) -> bool {
        !probe::run(self.pieces().1, 0, value).is_caught()
    }
}

macro_rules! targets {
    ($($(#[$doc:meta])* $name:ident, $symbol:ident;)*) => {
        symbols! { go_on go_one_step $($symbol)* }
        $($(#[$doc])* pub(crate) fn $name() -> Piece {
            Piece::at($symbol as *const () as u64, 0)
        })*
    };
}

targets! {
    nop, target_nop;
    load, target_load;
    store, target_store;
    pair, target_pair;
    hvc, target_hvc;
    smc, target_smc;
    /// Reads an ID register.
    id, target_id;
    /// Reads MDSCR_EL1.
    debug, target_debug;
    wfi, target_wfi;
    clean, target_clean;
    /// Writes an ID register.
    undefined, target_undefined;
}

/// Runs `target` at `address` with `datum`, also in x0, and debug exceptions let in.
#[must_use]
pub(crate) fn run(target: Piece, address: u64, datum: u64) -> Probe {
    go(go_on as *const () as u64, target.at, address, datum)
}

/// Steps over the instruction at `pc`, in `target`, likewise.
#[must_use]
pub(crate) fn step(pc: u64, address: u64, datum: u64) -> Probe {
    go(go_one_step as *const () as u64, pc, address, datum)
}

fn go(how: u64, pc: u64, address: u64, datum: u64) -> Probe {
    probe::run_with(Piece::at(how, 0), [address, datum, 0, pc])
}
