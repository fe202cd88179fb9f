//! What this guest runs on and what it expects: the tree and the words on the command line.
//!
//! | word | meaning |
//! |---|---|
//! | `expect=protected` | a protected VM, enrolled from its first instruction |
//! | `expect=normal` | a normal VM (default) |
//! | `expect=bare` | no hypervisor: the rows that real hardware or an emulator satisfies |
//! | `guard=on` | a normal VM of the `pkvm` dialect that is offered the guard |
//! | `ipa=BITS` | size of the IPA space (default 40) |
//! | `type=ask` | ask for input on the console; see rows U5 and U6 |
//! | `reset=ask` | ask on the console which boot this is; see `rows/reset.rs` |
//! | `end=all-off`, `end=aarch32`, `end=forged`, `end=unfinished` | no rows: an end that the host must put to the VM |
//! | `hostile=WHAT` | no rows: a guest that does not end as guests should; see `hostile.rs` |
//! | `demo` | no rows: a short readable demonstration |
//! | `dialect=pkvm`, `dialect=list-2021` | which numbering of the guard calls is served |

use core::fmt;

use guest_shim::Dialect;
use hyp_abi::smccc::FunctionId;
use hyp_abi::vendor::{self, list_2021, pkvm};
use hyp_abi::vplatform;

use crate::arch::{probe, sysreg};
use crate::endings::Ending;
use crate::task::Task;
use crate::{hyper, tree};

/// The kind of host and VM, one bit each so that a row can name several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kinds(u32);

impl Kinds {
    /// No hypervisor of this ABI.
    pub(crate) const BARE: Self = Self(1);
    /// Normal VM, no guard.
    pub(crate) const NORMAL: Self = Self(1 << 1);
    /// Normal VM with the guard, dialect `pkvm`; not enrolled at start.
    pub(crate) const NORMAL_GUARD: Self = Self(1 << 2);
    /// Protected VM, dialect `pkvm`.
    pub(crate) const PROTECTED: Self = Self(1 << 3);
    /// Normal VM, dialect `list-2021`; not enrolled at start.
    pub(crate) const LIST: Self = Self(1 << 4);
    /// Protected VM, dialect `list-2021`.
    pub(crate) const LIST_PROTECTED: Self = Self(1 << 5);

    /// Wherever this guest runs.
    pub(crate) const ALL: Self = Self(0x3f);
    /// Every VM of a hypervisor of this ABI.
    pub(crate) const VM: Self = Self(0x3e);
    /// The guard is offered, dialect `pkvm`.
    pub(crate) const PKVM_GUARD: Self = Self::NORMAL_GUARD.or(Self::PROTECTED);
    /// The guard is offered, dialect `list-2021`.
    pub(crate) const LIST_GUARD: Self = Self::LIST.or(Self::LIST_PROTECTED);
    /// The guard is offered.
    pub(crate) const GUARD: Self = Self::PKVM_GUARD.or(Self::LIST_GUARD);
    /// The guard is offered and the VM starts without it.
    pub(crate) const NOT_ENROLLED: Self = Self::NORMAL_GUARD.or(Self::LIST);
    /// Protected VMs.
    pub(crate) const ANY_PROTECTED: Self = Self::PROTECTED.or(Self::LIST_PROTECTED);
    /// VMs that are not protected.
    pub(crate) const ANY_NORMAL: Self = Self::NORMAL.or(Self::NORMAL_GUARD).or(Self::LIST);

    /// Both.
    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in this set.
    pub(crate) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What a boot comes after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boot {
    /// Nothing, or nothing that anybody told.
    First,
    /// SYSTEM_RESET.
    AfterReset,
    /// SYSTEM_RESET2 with a type of its own.
    AfterReset2,
}

/// Facts about this run.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Which rows hold.
    pub(crate) kind: Kinds,
    /// Print the demonstration instead of running rows.
    pub(crate) is_demo: bool,
    /// Run no rows and end like this.
    pub(crate) ending: Option<Ending>,
    /// Do this instead of running rows.
    pub(crate) hostile: Option<Task>,
    /// Ask which boot this is.
    pub(crate) asks_boot: bool,
    /// Ask for input.
    pub(crate) asks_input: bool,
    /// What this boot comes after.
    pub(crate) boot: Boot,
    /// Size of the IPA space.
    pub(crate) ipa_bits: u32,
    /// Base of RAM.
    pub(crate) ram_base: u64,
    /// First address behind RAM.
    pub(crate) ram_end: u64,
    /// The memory that rows use lies before this: the end of RAM, or of what is free of it.
    free_end: u64,
    /// The console's page.
    pub(crate) uart: u64,
    /// GIC distributor.
    pub(crate) gicd: u64,
    /// GICv3 redistributors.
    pub(crate) gicr: u64,
    /// CPU interface of a GICv2; `None` with a GICv3.
    pub(crate) gicc: Option<u64>,
    /// OR of x1 to x30 at the entry of the first CPU.
    pub(crate) left_in_registers: u64,
    affinities: [u64; vplatform::MAX_VCPUS],
    cpus: usize,
}

impl Config {
    /// Reads tree and command line.
    pub(crate) fn from_tree(dtb: &[u8], left_in_registers: u64) -> Self {
        let (ram_base, ram_size) = tree::memory(dtb);
        let mut affinities = [0; vplatform::MAX_VCPUS];
        let mut cpus = 0;
        tree::cpus(dtb, |affinity| {
            if let Some(place) = affinities.get_mut(cpus) {
                *place = affinity;
                cpus += 1;
            }
        });
        let ram_end = ram_base.saturating_add(ram_size);
        let tree_at = block(dtb.as_ptr() as u64);
        let base = |compatible: &[u8], at, otherwise| {
            tree::reg(dtb, compatible).and_then(|r| tree::cells(r, at, 2)).unwrap_or(otherwise)
        };
        let gic: &[u8] = if tree::reg(dtb, GICV2).is_some() { GICV2 } else { b"arm,gic-v3" };
        let has = |word: &str| tree::bootargs(dtb).split_ascii_whitespace().any(|w| w == word);
        let is_list = has("dialect=list-2021");
        let kind = if has("expect=bare") {
            Kinds::BARE
        } else if has("expect=protected") {
            if is_list { Kinds::LIST_PROTECTED } else { Kinds::PROTECTED }
        } else if is_list {
            Kinds::LIST
        } else if has("guard=on") {
            Kinds::NORMAL_GUARD
        } else {
            Kinds::NORMAL
        };
        let ipa_bits = tree::bootargs(dtb)
            .split_ascii_whitespace()
            .find_map(|word| word.strip_prefix("ipa=")?.parse().ok())
            .filter(|bits| (32..=48).contains(bits))
            .unwrap_or(hyp_abi::vm_type::DEFAULT_IPA_BITS);
        Self {
            kind,
            is_demo: has("demo"),
            ending: Ending::WORDS.iter().find(|(word, _)| has(word)).map(|(_, ending)| *ending),
            hostile: tree::bootargs(dtb)
                .split_ascii_whitespace()
                .find_map(|word| Task::from_name(word.strip_prefix("hostile=")?)),
            asks_boot: has("reset=ask"),
            asks_input: has("type=ask"),
            boot: Boot::First,
            ipa_bits,
            ram_base,
            ram_end,
            // Some hosts put the tree at the end of RAM.
            free_end: if ram_end.saturating_sub(FOR_ROWS) < tree_at { tree_at } else { ram_end },
            uart: tree::console(dtb).map_or(vplatform::UART_BASE, |(base, _)| base) & !(PAGE - 1),
            gicd: base(gic, 0, vplatform::GICD_BASE),
            gicc: tree::reg(dtb, GICV2).and_then(|r| tree::cells(r, 16, 2)),
            gicr: base(b"arm,gic-v3", 16, vplatform::GICR_BASE),
            left_in_registers,
            affinities,
            cpus,
        }
    }

    /// What keeps this guest from running here.
    pub(crate) fn unfit(&self) -> Option<Unfit> {
        let size = self.ram_end.saturating_sub(self.ram_base);
        if self.ram_base < GIB || self.ram_end > 512 * GIB || size < LEAST_RAM {
            return Some(Unfit::Ram(self.ram_base, self.ram_end));
        }
        if self.kind == Kinds::BARE {
            return None;
        }
        let got = probe::run_with(probe::hvc0(), [vendor::CALL_UID.0.into(), 0, 0, 0]);
        let uid =
            if got.is_caught() { [0; 4] } else { [0, 1, 2, 3].map(|n| got.x[n] & 0xffff_ffff) };
        (uid != vendor::KVM_UID.map(u64::from)).then_some(Unfit::Host(uid))
    }

    /// The first byte of the interrupt controller, before which there is no device.
    pub(crate) fn gic_start(&self) -> u64 {
        self.gicc.unwrap_or(self.gicr).min(self.gicd)
    }

    /// Number of vCPUs.
    pub(crate) fn cpu_count(&self) -> usize {
        self.cpus
    }

    /// MPIDR affinity of CPU `index`.
    pub(crate) fn affinity(&self, index: usize) -> u64 {
        self.affinities[index]
    }

    /// The numbering that the host speaks.
    pub(crate) fn dialect(&self) -> Dialect {
        if Kinds::LIST_GUARD.contains(self.kind) { Dialect::List2021 } else { Dialect::Pkvm }
    }

    /// MAP in this VM's dialect.
    pub(crate) fn map_id(&self) -> FunctionId {
        if Kinds::LIST_GUARD.contains(self.kind) {
            list_2021::MMIO_GUARD_MAP
        } else {
            pkvm::MMIO_GUARD_MAP
        }
    }

    /// UNMAP in this VM's dialect.
    pub(crate) fn unmap_id(&self) -> FunctionId {
        if Kinds::LIST_GUARD.contains(self.kind) {
            list_2021::MMIO_GUARD_UNMAP
        } else {
            pkvm::MMIO_GUARD_UNMAP
        }
    }

    /// Declares a page to be MMIO; x0 of the call.
    pub(crate) fn map(&self, ipa: u64) -> u64 {
        hyper::call0(self.map_id(), [ipa, 0, 0])
    }

    /// Takes a declaration back; x0 of the call.
    pub(crate) fn unmap(&self, ipa: u64) -> u64 {
        hyper::call0(self.unmap_id(), [ipa, 0, 0])
    }

    /// The windows of the GIC: base and size.
    pub(crate) fn gic_windows(&self) -> [(u64, u64); 2] {
        let second = match self.gicc {
            Some(gicc) => (gicc, vplatform::GICC_SIZE),
            None => (self.gicr, vplatform::GICR_STRIDE * self.cpu_count() as u64),
        };
        [(self.gicd, vplatform::GICD_SIZE), second]
    }

    /// Declares every page of a device.
    pub(crate) fn map_device(&self, base: u64, size: u64) {
        let mut at = base;
        while Kinds::GUARD.contains(self.kind) && at < base + size {
            let _ = self.map(at);
            at += PAGE;
        }
    }

    // What lies before `free_end` is for rows; loaders put nothing there if there are 64 MiB.

    /// Page `n` (0 to 15) of RAM that nobody uses, all in one block of 2 MiB.
    pub(crate) fn far_page(&self, n: u64) -> u64 {
        block(self.free_end - 4 * MIB) + (n + 1) * PAGE
    }

    /// 2 MiB of RAM that nobody uses.
    pub(crate) fn far_block(&self) -> u64 {
        block(self.free_end - 6 * MIB)
    }

    /// A page (`n`: 0 to 15) of RAM in a block of 2 MiB that nothing touches but one row.
    pub(crate) fn untouched_page(&self, n: u64) -> u64 {
        block(self.free_end - FOR_ROWS) + n * 2 * MIB + 5 * PAGE
    }
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Bytes of RAM that rows use, at its end.
const FOR_ROWS: u64 = 40 * MIB;
/// Bytes of RAM that this guest wants.
const LEAST_RAM: u64 = 64 * MIB;

/// What Postern's trees and QEMU's both say of a GICv2.
const GICV2: &[u8] = b"arm,cortex-a15-gic";

/// The 2 MiB block that holds `address`.
fn block(address: u64) -> u64 {
    address & !(2 * MIB - 1)
}

/// Bytes of a granule.
pub(crate) const PAGE: u64 = 4096;

/// Why this guest cannot run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unfit {
    /// RAM begins and ends here.
    Ram(u64, u64),
    /// What CALL_UID answers; zeroes if there is nobody to call.
    Host([u64; 4]),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ram(base, end) => write!(
                f,
                "RAM is {base:#x}..{end:#x}: 64 MiB of it are needed, between 1 GiB and 512 GiB"
            ),
            Self::Host(uid) => write!(
                f,
                "no hypervisor of the pKVM guest ABI is here: CALL_UID answers {uid:x?}. With \
                 expect=bare on the command line, the rows run that need none"
            ),
        }
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kinds::BARE => "bare machine",
            Kinds::NORMAL => "normal VM without guard",
            Kinds::NORMAL_GUARD => "normal VM with guard",
            Kinds::PROTECTED => "protected VM",
            Kinds::LIST => "normal VM, dialect list-2021",
            _ => "protected VM, dialect list-2021",
        };
        write!(
            f,
            "{kind}, {} CPUs (MIDR {:#x}), RAM {:#x}..{:#x}",
            self.cpus,
            sysreg::midr_el1(),
            self.ram_base,
            self.ram_end
        )
    }
}
