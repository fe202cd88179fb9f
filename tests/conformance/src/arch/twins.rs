//! Instructions that are run once on memory and once on a device: see `twins.S`.
#![expect(unsafe_code, reason = "a table made by assembly")]

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};

use super::probe::{self, Piece, Probe};
use super::sysreg;

global_asm!(include_str!("twins.S"), options(raw));

// SAFETY: labels of `twins.S`, of which only the address is used; between the first two is the table.
unsafe extern "C" {
    static twins_start: [Twin; 0];
    static twins_end: [Twin; 0];
    fn exclusive_load();
    fn exclusive_load_byte();
    fn exclusive_load_pair();
}

/// One instruction, or a described one and then one that is not.
#[repr(C)]
pub(crate) struct Twin {
    code: u64,
    source: *const u8,
    length: usize,
    class: u64,
}

// Classes, as in the assembly.
const DOUBLES: u64 = 1;
const LSE: u64 = 2;
const RCPC: u64 = 4;
const MAYBE: u64 = 8;

/// What a run shows of itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    /// Exception and registers; x8 is relative to the address that was given.
    pub(crate) probe: Probe,
    /// v0 to v3 afterwards.
    pub(crate) vectors: [u64; 8],
}

/// 64 bytes of memory, and where the vector registers come from and go to.
#[repr(C, align(64))]
struct Scratch([[AtomicU64; 8]; 3]);

static SCRATCH: Scratch = Scratch([const { [const { AtomicU64::new(0) }; 8] }; 3]);
const MEMORY: usize = 0;
const SEEDS: usize = 1;
const VECTORS: usize = 2;

fn address(part: usize) -> u64 {
    SCRATCH.0[part].as_ptr() as u64
}

fn get(part: usize) -> [u64; 8] {
    core::array::from_fn(|n| SCRATCH.0[part][n].load(Ordering::Relaxed))
}

fn set(part: usize, values: [u64; 8]) {
    for (place, value) in SCRATCH.0[part].iter().zip(values) {
        place.store(value, Ordering::Relaxed);
    }
}

/// All of them that this CPU has.
pub(crate) fn all() -> impl Iterator<Item = &'static Twin> {
    let start: *const Twin = (&raw const twins_start).cast();
    let end: *const Twin = (&raw const twins_end).cast();
    let count = (end as usize - start as usize) / size_of::<Twin>();
    // SAFETY: the assembly puts entries of this layout, and nothing else, between the two labels.
    let table = unsafe { core::slice::from_raw_parts(start, count) };
    let has_lse = (sysreg::id_aa64isar0_el1() >> 20) & 0xf >= 2;
    let has_rcpc = (sysreg::id_aa64isar1_el1() >> 20) & 0xf >= 1;
    table
        .iter()
        .filter(move |twin| twin.class & LSE == 0 || has_lse)
        .filter(move |twin| twin.class & RCPC == 0 || has_rcpc)
}

impl Twin {
    /// Its source.
    pub(crate) fn source(&self) -> &'static str {
        // SAFETY: the assembly puts the source's bytes there, which nobody changes.
        let bytes = unsafe { core::slice::from_raw_parts(self.source, self.length) };
        core::str::from_utf8(bytes).unwrap_or("?")
    }

    /// It wants registers of 64 bits.
    pub(crate) fn is_double(&self) -> bool {
        self.class & DOUBLES != 0
    }

    /// Hardware may describe it.
    pub(crate) fn may_be_described(&self) -> bool {
        self.class & MAYBE != 0
    }

    /// Runs it on a device at `address`.
    pub(crate) fn on_device(&self, address: u64) -> Outcome {
        self.run(address)
    }

    /// Runs it on memory that holds `before`; second: what the memory holds afterwards.
    pub(crate) fn on_memory(&self, before: [u64; 8]) -> (Outcome, [u64; 8]) {
        set(MEMORY, before);
        let outcome = self.run(address(MEMORY));
        (outcome, get(MEMORY))
    }

    fn run(&self, at: u64) -> Outcome {
        let mut seed = 0x0123_4567_89ab_cdef_u64;
        set(
            SEEDS,
            core::array::from_fn(|_| {
                seed = seed.rotate_left(9);
                seed
            }),
        );
        set(VECTORS, [0; 8]);
        let x = [
            at,
            0xfedc_ba98_7654_3210,
            0x8070_6050_4030_2010,
            8,
            address(SEEDS),
            address(VECTORS),
            0,
            0,
        ];
        // The first instruction loads the vectors.
        let piece = Piece::at(self.code, 4);
        let mut probe = probe::run_all(piece, x);
        // Of CASP, x12 and x13 are operands; nothing writes them.
        probe.x[Probe::ADDRESS] = probe.x[Probe::ADDRESS].wrapping_sub(at);
        Outcome { probe, vectors: get(VECTORS) }
    }
}

/// Exclusive loads of 4 bytes, 1 byte and two words.
pub(crate) fn exclusives() -> [Piece; 3] {
    [
        exclusive_load as *const () as u64,
        exclusive_load_byte as *const () as u64,
        exclusive_load_pair as *const () as u64,
    ]
    .map(|code| Piece::at(code, 0))
}
