//! What a bundle says about one VM.

use crate::addr::Ipa;
use crate::memory::IpaRange;
use crate::tree::Cells;
use arrayvec::ArrayVec;
use hyp_abi::bundle::{MAX_GUARDED, MAX_LOADABLES, MAX_MEMORY, MAX_SEEDS};

/// The numbering of the guard calls that a VM hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Android's and mainline Linux's.
    #[default]
    Pkvm,
    /// The original posting's.
    List2021,
}

/// What an SMC does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SmcPolicy {
    /// The same as an HVC.
    #[default]
    Serve,
    /// An undefined instruction exception in the guest.
    Undefined,
}

/// Bytes that are copied into the VM's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadImage<'a> {
    /// Name in the bundle.
    pub name: &'a str,
    /// Where the first byte goes.
    pub ipa: Ipa,
    /// The bytes, in the bundle.
    pub data: &'a [u8],
}

/// The value of a property of a guest tree that EL2 overwrites with random bytes in the VM's copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeedField {
    /// Offset in the tree.
    pub at: usize,
    /// Bytes.
    pub len: usize,
}

impl SeedField {
    /// What takes the field's property out of the VM's copy of the tree, piece by piece, each with
    /// its offset: a guest trusts whatever bytes it finds there, zeros too (Linux,
    /// `early_init_dt_scan_chosen`).
    ///
    /// Words of the property become `FDT_NOP` (Devicetree Specification, 5.4.1), so that nothing
    /// else moves.
    pub fn removal(&self) -> impl Iterator<Item = (usize, [u8; 4])> {
        let start = self.at.saturating_sub(PROPERTY_HEADER);
        let end = self.at.saturating_add(self.len);
        (start..end).step_by(4).map(|at| (at, FDT_NOP.to_be_bytes()))
    }

    /// The field in pieces of at most `most` bytes, each with its offset in the tree.
    pub fn pieces(&self, most: usize) -> impl Iterator<Item = (usize, usize)> {
        let end = self.at.saturating_add(self.len);
        (self.at..end).step_by(most.max(1)).map(move |at| (at, end.saturating_sub(at).min(most)))
    }

    /// Whether the field is all of one property's value in `tree`, which has the value's padding too.
    pub(super) fn is_property(&self, tree: &[u8]) -> bool {
        let start = self.at.checked_sub(PROPERTY_HEADER);
        let mut words = Cells(start.and_then(|start| tree.get(start..)).unwrap_or_default());
        let end = self.at.checked_add(self.len).and_then(|end| end.checked_next_multiple_of(4));
        self.at.is_multiple_of(4)
            && words.take(1) == Some(FDT_PROP)
            && words.take(1) == u64::try_from(self.len).ok()
            && end.is_some_and(|end| end <= tree.len())
    }
}

/// Bytes before a property's value: token, size, name.
const PROPERTY_HEADER: usize = 12;
/// Token that begins a property.
const FDT_PROP: u64 = 3;
/// Token that means nothing.
const FDT_NOP: u32 = 4;

/// The VM's device tree for the GIC that the machine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestTree<'a> {
    /// The tree; its address is the first vCPU's x0.
    pub image: LoadImage<'a>,
    /// What to fill at random; inside the tree.
    pub seeds: ArrayVec<SeedField, MAX_SEEDS>,
}

/// One VM, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmDescription<'a> {
    /// Its name.
    pub name: &'a str,
    /// The type word, not yet checked: [`crate::vm_type`] does that.
    pub type_word: u64,
    /// The numbering of the guard calls.
    pub dialect: Dialect,
    /// Whether the MMIO guard is offered; `None` leaves it to type and dialect.
    pub guard: Option<bool>,
    /// 1 to [`hyp_abi::vplatform::MAX_VCPUS`].
    pub vcpus: usize,
    /// Memory, sorted, without overlap, 2 MiB aligned; at least one range.
    pub memory: ArrayVec<IpaRange, MAX_MEMORY>,
    /// What is copied into memory beside the tree; inside memory, without overlap.
    pub images: ArrayVec<LoadImage<'a>, MAX_LOADABLES>,
    /// The tree for this machine.
    pub tree: GuestTree<'a>,
    /// Where the first vCPU starts; a multiple of 4 in memory.
    pub entry: Ipa,
    /// Guarded from the start: whole pages outside memory.
    pub guarded: ArrayVec<IpaRange, MAX_GUARDED>,
    /// What an SMC does.
    pub smc: SmcPolicy,
    /// Whether it may be protected on a machine without a source of entropy.
    pub insecure_entropy: bool,
}

impl VmDescription<'_> {
    /// The first vCPU's x0: the address of the tree.
    #[must_use]
    pub fn x0(&self) -> u64 {
        self.tree.image.ipa.get()
    }

    /// Bytes of memory in all.
    #[must_use]
    pub fn memory_size(&self) -> u64 {
        self.memory.iter().fold(0, |sum: u64, range| sum.saturating_add(range.size()))
    }
}
