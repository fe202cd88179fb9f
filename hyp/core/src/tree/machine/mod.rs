//! What the machine is made of, as the firmware's tree says.
//!
//! One walk checks the tree and reads it; at most two look-ups by path (an alias and the console
//! it names) follow. A node that turns out not to be needed may say what it likes: UARTs other than the
//! console, CPUs, interrupt controllers beside the one that is taken. Nothing is guessed: what the tree does not say is `None`, and the methods that
//! demand a part ([`Machine::psci`], [`Machine::gic`], …) name the cause and the remedy.
//!
//! Bindings: Devicetree Specification v0.4, chapters 2 and 3, and the files named in the parts
//! under `Documentation/devicetree/bindings/` of Linux.

mod devices;
mod fault;
mod finish;
mod interrupts;
mod known;
mod parts;
mod place;
mod properties;
mod read;

pub use known::uart_compatibles;
pub use parts::{
    Console, ConsoleKind, Cpu, EnableMethod, Gic, GicV2, GicV3, LpuartLayout, MachineError, Ppis,
    PsciConduit, PsciNode, RegisterSpacing, Reserved, Seed, Timers,
};

use super::TreeError;
use crate::memory::PaRange;
use arrayvec::ArrayVec;
use parts::check_conduit;

#[cfg(test)]
mod board_tests;
#[cfg(test)]
mod cpu_tests;
#[cfg(test)]
mod foreign_tests;
#[cfg(test)]
mod interrupt_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod uart_tests;

/// Memory banks that are kept.
pub const MAX_BANKS: usize = 16;
/// Reserved ranges that are kept.
pub const MAX_RESERVED: usize = 64;
/// CPUs that are kept.
pub const MAX_CPUS: usize = 8;
/// Redistributor regions of a GICv3 that are kept.
pub const MAX_REDISTRIBUTOR_REGIONS: usize = 8;
/// Translation services of a GICv3 that are kept.
pub const MAX_TRANSLATORS: usize = 4;

/// The machine. All addresses are physical.
#[derive(Debug, Clone, Default)]
pub struct Machine<'a> {
    /// Bytes of the whole tree.
    pub tree_size: usize,
    /// What the machine calls itself, the root's `model`; empty where it does not say.
    pub model: &'a str,
    /// Memory banks, sorted, without overlap, adjoining banks joined.
    pub memory: ArrayVec<PaRange, MAX_BANKS>,
    /// Reserved ranges of both kinds (reservation block and `/reserved-memory`), as listed. The
    /// tree itself, the image and the initrd are not among them unless the loader added them.
    /// Ranges without `reg`, which an operating system may place where it likes, are left out.
    pub reserved: ArrayVec<Reserved, MAX_RESERVED>,
    /// CPUs in the order of the tree.
    pub cpus: ArrayVec<Cpu, MAX_CPUS>,
    /// CPUs that the tree lists beyond [`MAX_CPUS`].
    pub cpus_left_out: usize,
    /// Why a CPU's node is left out, the first where there are more.
    pub cpu_fault: Option<TreeError>,
    /// What the PSCI node says; see [`Machine::psci`].
    pub psci_node: Option<PsciNode>,
    /// The interrupt controller.
    pub gic: Option<Gic>,
    /// The generic timers' interrupts.
    pub timers: Timers,
    /// The console that `/chosen` names, else the first UART with a driver.
    pub console: Option<Console>,
    /// Words from `/chosen/bootargs`; empty if there are none.
    pub bootargs: &'a str,
    /// What the loader put into memory beside the image: the bundle.
    pub initrd: Option<PaRange>,
    /// Entropy from firmware for this boot, to be wiped after use.
    pub rng_seed: Option<Seed<'a>>,
    /// The seed for address randomization, to be wiped after use.
    pub kaslr_seed: Option<Seed<'a>>,
}

/// The value of the boot argument `postern.<name>=<value>` in `words`; the last one counts.
#[must_use]
pub fn boot_argument<'a>(words: &'a str, name: &str) -> Option<&'a str> {
    let value =
        |word: &'a str| word.strip_prefix("postern.")?.strip_prefix(name)?.strip_prefix('=');
    words.split_ascii_whitespace().filter_map(value).next_back()
}

/// The value of the boot argument `postern.<name>=<value>` that stands last in the bytes of a tree which
/// cannot be read to its end, wherever it stands.
#[must_use]
pub fn salvaged_argument<'a>(tree: &'a [u8], name: &str) -> Option<&'a str> {
    (0..tree.len()).rev().find_map(|at| {
        let word = tree.get(at..)?.strip_prefix(b"postern.")?.strip_prefix(name.as_bytes())?;
        let value = word.strip_prefix(b"=")?;
        let end = value.iter().position(|byte| !byte.is_ascii_graphic())?;
        str::from_utf8(value.get(..end)?).ok()
    })
}

impl<'a> Machine<'a> {
    /// Checks the tree that `bytes` begin with and reads it.
    ///
    /// # Errors
    ///
    /// The first break of the format or the first impossible value that matters here.
    pub fn from_tree(bytes: &'a [u8]) -> Result<Self, TreeError> {
        let mut machine = Self::default();
        machine.read(bytes)?;
        Ok(machine)
    }

    /// What can still be read of a tree that [`Machine::from_tree`] refuses: enough, with luck, to
    /// find the console on which to say so. Nothing else may be built on it. `None` without a
    /// sound header.
    #[must_use]
    pub fn salvage(bytes: &'a [u8]) -> Option<Self> {
        let mut machine = Self::default();
        let _refused = machine.read(bytes);
        machine.has_header().then_some(machine)
    }

    /// As [`Machine::from_tree`], into one that is empty. What a refused tree says is there then, as
    /// with [`Machine::salvage`].
    ///
    /// # Errors
    ///
    /// As [`Machine::from_tree`].
    pub fn read(&mut self, bytes: &'a [u8]) -> Result<(), TreeError> {
        read::read(self, bytes)
    }

    /// Whether it was read from a tree with a sound header.
    #[must_use]
    pub fn has_header(&self) -> bool {
        self.tree_size != 0
    }

    /// The value of a boot argument of the tree's; see [`boot_argument`].
    #[must_use]
    pub fn boot_argument(&self, name: &str) -> Option<&'a str> {
        boot_argument(self.bootargs, name)
    }

    /// The first boot argument that begins with `postern.` and is none of these names with a value.
    #[must_use]
    pub fn unknown_boot_argument(&self, known: &[&str]) -> Option<&'a str> {
        let is_unknown = |word: &&'a str| {
            let own = word.strip_prefix("postern.");
            let name = |own: &'a str| own.split_once('=').map(|(name, _)| name);
            own.is_some_and(|own| !name(own).is_some_and(|name| known.contains(&name)))
        };
        self.bootargs.split_ascii_whitespace().find(is_unknown)
    }

    /// The CPUs but the one whose affinity is `own`, in the order of the tree, in groups of those that can
    /// only be started together: most often of one.
    pub fn start_groups(
        &self,
        own: u64,
    ) -> impl Iterator<Item = impl Iterator<Item = &Cpu> + Clone> {
        let others = self.cpus.iter().filter(move |cpu| cpu.mpidr != own);
        others.clone().enumerate().filter_map(move |(n, first)| {
            if others.clone().take(n).any(|before| before.comes_with(first)) {
                return None;
            }
            let is_in = |cpu: &&Cpu| cpu.mpidr == first.mpidr || cpu.comes_with(first);
            Some(others.clone().skip(n).filter(move |cpu| is_in(cpu)))
        })
    }

    /// How to call firmware's PSCI.
    ///
    /// # Errors
    ///
    /// When the node is missing, which a machine can do without, or only describes PSCI 0.1 or names
    /// no conduit that EL2 can use.
    pub fn psci(&self) -> Result<PsciConduit, MachineError> {
        check_conduit(self.psci_node)
    }

    /// How the caller, which gives up, calls firmware's PSCI to switch the machine off; `None` where it
    /// must not. HVC is for a caller below EL2: at EL2 it would be an exception of the caller's own.
    #[must_use]
    pub fn last_conduit(&self, is_at_el2: bool) -> Option<PsciConduit> {
        if is_at_el2 { self.psci().ok() } else { self.psci_node?.method }
    }

    /// The interrupt controller.
    ///
    /// # Errors
    ///
    /// When there is none, or it is a GICv2 without virtualization.
    pub fn gic(&self) -> Result<&Gic, MachineError> {
        let gic = self.gic.as_ref().ok_or(MachineError::NoGic)?;
        if let Gic::V2(gic) = gic {
            gic.virtualization()?;
        }
        Ok(gic)
    }

    /// A range that is not to be mapped and has a page in common with `range`.
    #[must_use]
    pub fn forbidden(&self, range: PaRange) -> Option<PaRange> {
        let pages = range.to_pages().unwrap_or(range);
        let not_mapped = self.reserved.iter().filter(|reserved| reserved.no_map);
        not_mapped
            .map(|reserved| reserved.range)
            .find(|forbidden| forbidden.to_pages().unwrap_or(*forbidden).overlaps(pages))
    }

    /// INTID of the GIC's maintenance interrupt, if its node names one.
    #[must_use]
    pub fn maintenance(&self) -> Option<u32> {
        match self.gic.as_ref()? {
            Gic::V2(gic) => gic.maintenance,
            Gic::V3(gic) => gic.maintenance,
        }
    }

    /// The private interrupts that EL2 takes; what the tree does not list is as usual.
    ///
    /// # Errors
    ///
    /// When a timer's is no PPI, or two are the same.
    pub fn ppis(&self) -> Result<Ppis, MachineError> {
        let (timers, usual) = (self.timers, Ppis::USUAL);
        let is_ppi = |intid: &u32| (16..32).contains(intid);
        let ppis = Ppis {
            maintenance: self.maintenance().filter(is_ppi).unwrap_or(usual.maintenance),
            hyp_timer: timers.hyp_physical.unwrap_or(usual.hyp_timer),
            virtual_timer: timers.virtual_.unwrap_or(usual.virtual_timer),
            physical_timer: timers.physical.unwrap_or(usual.physical_timer),
        };
        let all = [ppis.maintenance, ppis.hyp_timer, ppis.virtual_timer, ppis.physical_timer];
        if !all.iter().all(is_ppi) {
            return Err(MachineError::TimerNoPpi);
        }
        let distinct = all.iter().fold(0, |mask, intid| mask | 1_u32.wrapping_shl(*intid));
        if distinct.count_ones() == 4 { Ok(ppis) } else { Err(MachineError::TimerShared) }
    }

    /// The memory banks, of which there is at least one.
    ///
    /// # Errors
    ///
    /// When the tree lists none.
    pub fn memory(&self) -> Result<&[PaRange], MachineError> {
        if self.memory.is_empty() { Err(MachineError::NoMemory) } else { Ok(&self.memory) }
    }
}
