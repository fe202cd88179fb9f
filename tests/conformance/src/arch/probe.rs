//! Code that may be aborted, run safely: see `probe.S`.
#![expect(unsafe_code, reason = "assembly with its own calling convention")]

use core::arch::global_asm;

use super::mmu;

global_asm!(include_str!("../../../runtime/src/macros.S"), include_str!("probe.S"));

/// Registers before and after, and what was caught. Laid out for `probe_run`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Probe {
    /// x8 to x15: the address, the datum, and what the piece needs.
    pub(crate) x: [u64; 8],
    /// ESR_EL1 of the exception.
    pub(crate) esr: u64,
    /// FAR_EL1 of the exception.
    pub(crate) far: u64,
    /// ELR_EL1 of the exception.
    pub(crate) elr: u64,
    /// SPSR_EL1 of the exception.
    pub(crate) spsr: u64,
    /// Offset of the vector that was entered; [`Probe::NONE`] if there was no exception.
    pub(crate) vector: u64,
    /// DAIF, CurrentEL and SPSel as the handler found them.
    pub(crate) handler_pstate: u64,
}

impl Probe {
    /// No exception was taken.
    pub(crate) const NONE: u64 = u64::MAX;
    /// x8's place in `x`.
    pub(crate) const ADDRESS: usize = 0;
    /// x9's place in `x`.
    pub(crate) const DATUM: usize = 1;

    /// Whether an exception was taken.
    pub(crate) fn is_caught(&self) -> bool {
        self.vector != Self::NONE
    }
}

/// A piece of code and the instruction in it that may be aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    code: u64,
    /// Address of the instruction under test.
    pub(crate) at: u64,
}

impl Piece {
    /// The code at `code`, in a file of its own, whose instruction under test is `offset` bytes
    /// further on. It keeps to the rules of `probe.S`.
    pub(crate) const fn at(code: u64, offset: u64) -> Self {
        Self { code, at: code + offset }
    }
}

macro_rules! pieces {
    ($($(#[$doc:meta])* $name:ident, $at:ident;)*) => {
        mod symbols {
            // SAFETY: labels of `probe.S`, of which only the address is used.
            unsafe extern "C" { $(pub(super) fn $name();)* }
            // SAFETY: as above.
            unsafe extern "C" {
                pub(super) fn hvc0_at();
                pub(super) fn hvc1_at();
                pub(super) fn smc0_at();
                pub(super) fn smc5_at();
                pub(super) fn load_pair_alone_at();
                pub(super) fn load32_el1t_at();
                pub(super) fn load32_mmu_off_at();
                pub(super) fn store32_mmu_off_at();
                pub(super) fn store32_big_endian_at();
                pub(super) fn load32_big_endian_at();
                pub(super) fn aarch32_load32_at();
                pub(super) fn a32_loads_at();
                pub(super) fn t32_loads_at();
                pub(super) fn user();
                pub(super) fn user_load32();
                pub(super) fn user_store32();
                pub(super) fn user_load_pair();
                pub(super) fn user_branch();
                pub(super) fn probe_run(code: u64, probe: *mut super::Probe);
            }
        }
        $($(#[$doc])* pub(crate) fn $name() -> Piece {
            Piece { code: symbols::$name as *const () as u64, at: symbols::$at as *const () as u64 }
        })*
    };
}

pieces! {
    /// HVC #0 with x0 to x3 from x8 to x11, and back.
    hvc0, hvc0_at;
    /// HVC #1 likewise.
    hvc1, hvc1_at;
    /// SMC #0 likewise.
    smc0, smc0_at;
    /// SMC #5 likewise.
    smc5, smc5_at;
    load8, load8;
    load8s, load8s;
    load8s_w, load8s_w;
    load16, load16;
    load16s, load16s;
    load16s_w, load16s_w;
    load32, load32;
    load32s, load32s;
    load64, load64;
    load32_zero_register, load32_zero_register;
    load_pair, load_pair;
    load_pair_alone, load_pair_alone_at;
    load_simd, load_simd;
    /// v0 from x9.
    set_v0, set_v0;
    /// v0 to x9.
    get_v0, get_v0;
    /// Goes on at x11 without vector registers.
    without_vectors, without_vectors;
    load_writeback, load_writeback;
    store8, store8;
    store16, store16;
    store32, store32;
    store64, store64;
    store32_zero_register, store32_zero_register;
    store_pair, store_pair;
    clean_line, clean_line;
    branch, branch;
    load32_el1t, load32_el1t_at;
    load32_mmu_off, load32_mmu_off_at;
    store32_mmu_off, store32_mmu_off_at;
    store32_big_endian, store32_big_endian_at;
    load32_big_endian, load32_big_endian_at;
    aarch32_load32, aarch32_load32_at;
    a32_loads, a32_loads_at;
    t32_loads, t32_loads_at;
    read_pmcr, read_pmcr;
    write_pmcr, write_pmcr;
    read_pmccntr, read_pmccntr;
    read_pmcntenset, read_pmcntenset;
    read_pmintenset, read_pmintenset;
    read_mdscr, read_mdscr;
    write_mdscr, write_mdscr;
    read_dbgbvr0, read_dbgbvr0;
    read_dbgwcr0, read_dbgwcr0;
    read_oslsr, read_oslsr;
    write_oslar, write_oslar;
    read_mdrar, read_mdrar;
    read_pmscr, read_pmscr;
    read_trblimitr, read_trblimitr;
    read_trcoslsr, read_trcoslsr;
    read_amcr, read_amcr;
    write_id, write_id;
    clean_set_way, clean_set_way;
    read_sctlr2, read_sctlr2;
    write_sctlr2, write_sctlr2;
}

/// Registers that are undefined in a protected VM: PMU, debug, trace, profiling, AMU.
pub(crate) fn trapped_registers() -> [Piece; 11] {
    [
        read_pmcr(),
        read_pmccntr(),
        read_pmcntenset(),
        read_pmintenset(),
        read_dbgbvr0(),
        read_dbgwcr0(),
        read_mdrar(),
        read_pmscr(),
        read_trblimitr(),
        read_trcoslsr(),
        read_amcr(),
    ]
}

/// Runs `piece` at `address` with `datum`.
///
/// Pieces that store take an address that is no memory of this guest: the rows that use them name
/// device registers and holes only.
#[must_use]
pub(crate) fn run(piece: Piece, address: u64, datum: u64) -> Probe {
    run_with(piece, [address, datum, 0, 0])
}

/// Runs `piece` with x8 to x11 as given; see [`run`].
#[must_use]
pub(crate) fn run_with(piece: Piece, [x8, x9, x10, x11]: [u64; 4]) -> Probe {
    run_all(piece, [x8, x9, x10, x11, 0, 0, 0, 0])
}

/// Runs `piece` with x8 to x15 as given; see [`run`].
#[must_use]
pub(super) fn run_all(piece: Piece, x: [u64; 8]) -> Probe {
    let mut probe = Probe { x, ..Probe::default() };
    // SAFETY: `probe` is a valid place for what probe.S stores, `code` is one of its pieces, and
    // the pieces keep the registers that the procedure call standard asks for.
    unsafe { symbols::probe_run(piece.code, &raw mut probe) };
    probe
}

/// What EL0 does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum User {
    /// Loads 32 bits.
    Load32,
    /// Stores 32 bits.
    Store32,
    /// Loads two times 64 bits.
    LoadPair,
    /// Jumps to the address.
    Branch,
}

/// Runs one EL0 instruction at the IPA `ipa`; second: the VA of that instruction.
#[must_use]
pub(crate) fn run_user(what: User, ipa: u64) -> (Probe, u64) {
    run_user_at(what, ipa + mmu::USER_WINDOW)
}

/// The same at the address `va`.
#[must_use]
pub(crate) fn run_user_at(what: User, va: u64) -> (Probe, u64) {
    let code = match what {
        User::Load32 => symbols::user_load32 as *const () as u64,
        User::Store32 => symbols::user_store32 as *const () as u64,
        User::LoadPair => symbols::user_load_pair as *const () as u64,
        User::Branch => symbols::user_branch as *const () as u64,
    } + mmu::USER_WINDOW;
    let mut probe = Probe { x: [va, 0, 0, 0, code, 0, 0, 0], ..Probe::default() };
    // SAFETY: as in `run`; EL0 code ends in an exception, which the vectors report.
    unsafe { symbols::probe_run(symbols::user as *const () as u64, &raw mut probe) };
    (probe, code)
}
