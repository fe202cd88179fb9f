//! What there is to know about a VM.

use alloc::collections::{BTreeMap, BTreeSet};

/// The granule of the guard and of sharing, in bytes.
pub const PAGE: u64 = 4096;

/// Which numbering of the guard calls the VM hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Android's kernels and mainline.
    Pkvm,
    /// The list postings of 2021.
    List2021,
}

/// What does not change while the VM lives. Ranges are maps from the first address to the one
/// behind the last, in whole pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// PROTECTED in the VM type.
    pub is_protected: bool,
    /// Bits of the VM's addresses.
    pub ipa_bits: u32,
    /// The numbering of the guard calls.
    pub dialect: Dialect,
    /// The guard is offered to a VM that would not have it.
    pub with_guard: bool,
    /// SMC is an undefined instruction.
    pub smc_is_undefined: bool,
    /// The vCPUs by their affinity, Aff0 to Aff2 in 23:0 and Aff3 in 39:32.
    pub affinities: BTreeMap<u64, usize>,
    /// Where the first vCPU starts.
    pub boot: Start,
    /// Memory.
    pub memory: BTreeMap<u64, u64>,
    /// Devices that the hypervisor emulates.
    pub emulated: BTreeMap<u64, u64>,
    /// Real devices.
    pub assigned: BTreeMap<u64, u64>,
    /// Granules that are guarded from the start.
    pub guarded: BTreeSet<u64>,
}

impl Config {
    /// Whether the VM has the calls of the guard: always where it is protected or hears the
    /// numbering of 2021.
    #[must_use]
    pub fn has_guard(&self) -> bool {
        self.is_protected || self.dialect == Dialect::List2021 || self.with_guard
    }

    pub(crate) fn is_memory(&self, ipa: u64) -> bool {
        covers(&self.memory, ipa, 1)
    }

    pub(crate) const fn is_inside(&self, ipa: u64) -> bool {
        ipa >> self.ipa_bits == 0
    }
}

/// Whether one range holds `bytes` bytes from `ipa`.
pub(crate) fn covers(ranges: &BTreeMap<u64, u64>, ipa: u64, bytes: u64) -> bool {
    let below = ranges.range(..=ipa).next_back();
    below.is_some_and(|(_, end)| ipa < *end && bytes <= *end - ipa)
}

/// How a vCPU starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The first instruction.
    pub entry: u64,
    /// What x0 holds there.
    pub context: u64,
    /// The endianness of its data.
    pub is_big_endian: bool,
}

/// A vCPU's power state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// It does not run.
    Off,
    /// It has been started and does not run yet.
    Pending(Start),
    /// It runs.
    On,
}

/// What changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// What does not.
    pub config: Config,
    /// Unguarded accesses abort.
    pub is_enrolled: bool,
    /// Guarded granules.
    pub guarded: BTreeSet<u64>,
    /// Pages of memory that others may use.
    pub shared: BTreeSet<u64>,
    /// Pages of memory that were touched or shared and not given back since: they are mapped.
    pub present: BTreeSet<u64>,
    /// Pages of memory that were mapped, were given back and have not been touched since: they
    /// are not mapped.
    pub given_back: BTreeSet<u64>,
    /// The first byte of pages where it is not 0.
    pub contents: BTreeMap<u64, u8>,
    /// Power states.
    pub power: BTreeMap<usize, Power>,
    /// SCTLR_EL1.EE of the vCPUs.
    pub big_endian: BTreeMap<usize, bool>,
    /// The VM powered itself off.
    pub is_off: bool,
}

impl State {
    /// A VM that was just made: its first vCPU is about to run.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let mut power: BTreeMap<_, _> =
            config.affinities.values().map(|vcpu| (*vcpu, Power::Off)).collect();
        power.insert(0, Power::Pending(config.boot));
        Self {
            is_enrolled: config.is_protected,
            guarded: config.guarded.clone(),
            shared: BTreeSet::new(),
            present: BTreeSet::new(),
            given_back: BTreeSet::new(),
            contents: BTreeMap::new(),
            big_endian: power.keys().map(|vcpu| (*vcpu, false)).collect(),
            power,
            is_off: false,
            config,
        }
    }

    /// A page of memory is needed.
    pub(crate) fn bring(&mut self, ipa: u64) {
        let page = ipa / PAGE * PAGE;
        self.given_back.remove(&page);
        self.present.insert(page);
    }
}

/// What the hypervisor chose where it may choose. What it may not is not heeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Choice {
    /// It refuses, with no change: a new mark, for want of tables; RELINQUISH of what is not
    /// memory.
    pub refuse: bool,
    /// It has the call made again: SHARE of a page that is not there yet.
    pub replay: bool,
    /// How many granules a range call is to do, as far as it can; at least one.
    pub granules: u64,
}
