//! Words on the command line.
//!
//! | word | meaning |
//! |---|---|
//! | `hostile.seed=N` | what the streams are made from |
//! | `hostile.ops=N` | operations of all CPUs together |
//! | `hostile.resets=N` | resets of the VM on the way; see `life.rs` |
//! | `hostile.vcpus=N` | CPUs that take part, 1 to 4; all there are if absent |
//! | `hostile.only=A,B` | these families alone; see [`Family`] |
//! | `hostile.log=on` | say each operation of the first CPU before it is done |
//! | `hostile.from=N` | with that, only from operation N on |
//! | `expect=…`, `guard=on`, `dialect=list-2021`, `ipa=N` | as for the conformance guest |

use alloc::vec::Vec;

use guest_runtime::tree;
use hyp_abi::vplatform::{GICC_BASE, GICR_BASE};
use model::Dialect;

use crate::layout::MOST_CPUS;

macro_rules! families {
    ($($(#[$doc:meta])* $name:ident $word:literal $weight:literal;)*) => {
        /// What an operation is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Family { $($(#[$doc])* $name,)* }

        impl Family {
            /// All, with their words and how often each has its turn.
            pub(crate) const ALL: &[(Self, &str, u64)] = &[$((Self::$name, $word, $weight),)*];
        }
    };
}

families! {
    /// HVC and SMC: general services, PSCI, TRNG, unknown functions.
    Calls "calls" 200;
    /// The MMIO guard.
    Guard "guard" 160;
    /// Sharing, giving back and use of memory.
    Memory "memory" 120;
    /// Loads, stores, atomics and maintenance anywhere.
    Access "access" 240;
    /// System registers and system instructions.
    Registers "registers" 220;
    /// Exceptions of the guest's own.
    Traps "traps" 30;
    /// Fetches from anywhere.
    Fetch "fetch" 20;
    /// Tables anywhere.
    Walks "walks" 20;
    /// The interrupt controller: interrupts to oneself and to others.
    Interrupts "interrupts" 12;
    /// Waiting for interrupts.
    Waits "waits" 6;
    /// CPUs on and off.
    Power "power" 3;
    /// New code.
    Code "code" 2;
}

/// Facts about this run.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// What the streams are made from.
    pub(crate) seed: u64,
    /// Operations of all CPUs together, in one life.
    pub(crate) ops: u64,
    /// Resets of the VM.
    pub(crate) resets: u64,
    /// Families that take part.
    pub(crate) families: Vec<(Family, u64)>,
    /// Say each operation, from this one on.
    pub(crate) log_from: Option<u64>,
    /// A protected VM.
    pub(crate) is_protected: bool,
    /// A normal VM with the guard.
    pub(crate) with_guard: bool,
    /// The numbering of the guard calls.
    pub(crate) dialect: Dialect,
    /// Bits of the address space.
    pub(crate) ipa_bits: u32,
    /// Affinities of the CPUs that take part.
    pub(crate) affinities: Vec<u64>,
    /// Base and size of RAM.
    pub(crate) ram: (u64, u64),
    /// CPU interface of a GICv2, or 0.
    pub(crate) gicc: u64,
}

/// What runs if nothing is said.
const OPS: u64 = 1_000_000;
/// Resets at most.
const MOST_RESETS: u64 = 1_000_000;

impl Options {
    /// Reads the tree.
    pub(crate) fn from_tree(dtb: &[u8]) -> Self {
        let words = tree::bootargs(dtb).split_ascii_whitespace();
        let value = |name: &str| words.clone().find_map(|word| word.strip_prefix(name));
        let number = |name: &str| value(name).and_then(parse);
        let has = |word: &str| words.clone().any(|other| other == word);
        let mut affinities = Vec::new();
        tree::cpus(dtb, |affinity| affinities.push(affinity));
        let most = number("hostile.vcpus=").and_then(|n| usize::try_from(n).ok());
        affinities.truncate(most.unwrap_or(MOST_CPUS).clamp(1, MOST_CPUS));
        let only = value("hostile.only=");
        let is_chosen = |name: &str| only.is_none_or(|list| list.split(',').any(|w| w == name));
        let chosen = Family::ALL.iter().filter(|(_, name, _)| is_chosen(name));
        let is_v2 = tree::reg(dtb, b"arm,cortex-a15-gic").is_some();
        Self {
            seed: number("hostile.seed=").unwrap_or(1),
            ops: number("hostile.ops=").unwrap_or(OPS),
            resets: number("hostile.resets=").map_or(0, |n| n.min(MOST_RESETS)),
            families: chosen.map(|(family, _, weight)| (*family, *weight)).collect(),
            log_from: has("hostile.log=on").then(|| number("hostile.from=").unwrap_or(0)),
            is_protected: has("expect=protected"),
            with_guard: has("guard=on"),
            dialect: if has("dialect=list-2021") { Dialect::List2021 } else { Dialect::Pkvm },
            ipa_bits: number("ipa=")
                .and_then(|bits| u32::try_from(bits).ok())
                .filter(|bits| (36..=48).contains(bits))
                .unwrap_or(40),
            affinities,
            ram: tree::memory(dtb),
            gicc: if is_v2 { GICC_BASE } else { 0 },
        }
    }

    /// CPUs that take part.
    pub(crate) fn cpus(&self) -> usize {
        self.affinities.len()
    }

    /// Operations of one CPU.
    pub(crate) fn ops_of_one(&self) -> u64 {
        self.ops.div_ceil(self.cpus() as u64)
    }

    /// Whether the calls of the guard are there.
    pub(crate) fn has_guard(&self) -> bool {
        self.is_protected || self.with_guard || self.dialect == Dialect::List2021
    }

    /// Whether the GIC is a GICv2.
    pub(crate) fn is_v2(&self) -> bool {
        self.gicc != 0
    }

    /// Devices that are emulated, as ranges.
    pub(crate) fn emulated(&self) -> Vec<(u64, u64)> {
        use hyp_abi::vplatform::{
            GICC_DIR, GICC_SIZE, GICD_BASE, GICD_SIZE, GICR_STRIDE, UART_BASE, UART_SIZE,
        };
        let mut ranges = alloc::vec![(UART_BASE, UART_BASE + UART_SIZE)];
        ranges.push((GICD_BASE, GICD_BASE + GICD_SIZE));
        if self.is_v2() {
            ranges.push((GICC_DIR, GICC_BASE + GICC_SIZE));
        } else {
            ranges.push((GICR_BASE, GICR_BASE + GICR_STRIDE * self.cpus() as u64));
        }
        ranges
    }
}

/// A number, hexadecimal with `0x` or decimal.
fn parse(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
