//! Reads one VM of a bundle.

use super::{
    BundleError, Crc32, Dialect, GuestTree, LoadImage, SeedField, SmcPolicy, VmDescription,
};
use crate::addr::{BLOCK_2M, Ipa, PAGE_SIZE};
use crate::memory::{IpaRange, sort_few};
use crate::tree::{Cells, Node, NodeName, Strings, same, string, u32_value, u64_value};
use crate::vgic::GicVersion;
use arrayvec::ArrayVec;
use core::cell::Cell;
use core::str;
use hyp_abi::bundle as abi;
use hyp_abi::vplatform::{MAX_VCPUS, RAM_BASE};

/// Something is wrong, and [`VmReader::error`] says what: errors are large, and would be moved around
/// by each call that could fail.
pub(super) struct Reported;

/// Reads one VM's node.
pub(super) struct VmReader<'a> {
    /// The bundle.
    pub(super) file: &'a [u8],
    /// The images in it.
    pub(super) images: Node<'a>,
    /// What computes their checksums.
    pub(super) crc32: Crc32,
    /// The VM's.
    pub(super) node: Node<'a>,
    /// What is wrong, once something is.
    pub(super) error: Cell<BundleError>,
}

impl<'a> VmReader<'a> {
    /// Ends with `error`.
    #[cold]
    #[inline(never)]
    pub(super) fn report(&self, error: BundleError) -> Reported {
        self.error.set(error);
        Reported
    }

    /// The VM's name, for an error.
    fn vm(&self) -> NodeName {
        NodeName::new(self.node.name())
    }

    #[cold]
    #[inline(never)]
    fn bad(&self, property: &'static str, problem: &'static str) -> Reported {
        self.report(BundleError::Vm { vm: self.vm(), property, problem })
    }

    /// Something is wrong with an image.
    #[cold]
    #[inline(never)]
    pub(super) fn bad_image(
        &self,
        image: Node<'_>,
        property: &'static str,
        problem: &'static str,
    ) -> Reported {
        let image = NodeName::new(image.name());
        self.report(BundleError::Image { image, property, problem })
    }

    /// Something is wrong with where an image lies.
    #[cold]
    #[inline(never)]
    fn misplaced(&self, image: &LoadImage<'_>, problem: &'static str) -> Reported {
        let (vm, ipa) = (self.vm(), image.ipa.get());
        let image = NodeName::new(image.name.as_bytes());
        self.report(BundleError::Placement { vm, image, ipa, problem })
    }

    #[inline(never)]
    fn value(&self, property: &str) -> Option<&'a [u8]> {
        self.node.value(property.as_bytes())
    }

    /// The VM for a machine with this GIC, with all its data checked.
    #[inline(never)]
    pub(super) fn read(&self, gic: GicVersion) -> Result<VmDescription<'a>, Reported> {
        let name = name(self.node.name());
        let no_image = LoadImage { name: "", ipa: Ipa(0), data: &[] };
        let mut vm = VmDescription {
            name: name.ok_or_else(|| self.bad("name", "is empty, too long or not text"))?,
            type_word: self.doubleword(abi::TYPE)?,
            dialect: self.dialect()?,
            guard: self.guard()?,
            vcpus: self.vcpus()?,
            memory: ArrayVec::new(),
            images: ArrayVec::new(),
            tree: GuestTree { image: no_image, seeds: ArrayVec::new() },
            entry: Ipa(self.doubleword(abi::ENTRY)?),
            guarded: ArrayVec::new(),
            smc: self.smc()?,
            insecure_entropy: self.value(abi::INSECURE_ENTROPY).is_some(),
        };
        self.memory(&mut vm.memory)?;
        self.loadables(&mut vm.images)?;
        self.tree(gic, &mut vm.tree)?;
        self.ranges(abi::GUARDED, PAGE_SIZE, &mut vm.guarded)?;
        self.check_placement(&vm)?;
        Ok(vm)
    }

    fn doubleword(&self, property: &'static str) -> Result<u64, Reported> {
        let value = self.value(property).and_then(u64_value);
        value.ok_or_else(|| self.bad(property, "is missing or not a number"))
    }

    fn dialect(&self) -> Result<Dialect, Reported> {
        let Some(value) = self.value(abi::DIALECT) else { return Ok(Dialect::Pkvm) };
        match string(value) {
            Some(text) if same(text, abi::DIALECT_PKVM.as_bytes()) => Ok(Dialect::Pkvm),
            Some(text) if same(text, abi::DIALECT_LIST_2021.as_bytes()) => Ok(Dialect::List2021),
            _ => Err(self.bad(abi::DIALECT, "is neither \"pkvm\" nor \"list-2021\"")),
        }
    }

    fn smc(&self) -> Result<SmcPolicy, Reported> {
        let Some(value) = self.value(abi::SMC) else { return Ok(SmcPolicy::Serve) };
        match string(value) {
            Some(text) if same(text, abi::SMC_SERVE.as_bytes()) => Ok(SmcPolicy::Serve),
            Some(text) if same(text, abi::SMC_UNDEFINED.as_bytes()) => Ok(SmcPolicy::Undefined),
            _ => Err(self.bad(abi::SMC, "is neither \"serve\" nor \"undefined\"")),
        }
    }

    fn guard(&self) -> Result<Option<bool>, Reported> {
        match self.value(abi::GUARD).map(u32_value) {
            None => Ok(None),
            Some(Some(0)) => Ok(Some(false)),
            Some(Some(1)) => Ok(Some(true)),
            Some(_) => Err(self.bad(abi::GUARD, "is neither 0 nor 1")),
        }
    }

    fn vcpus(&self) -> Result<usize, Reported> {
        let value = self.value(abi::VCPUS).and_then(u32_value);
        value
            .and_then(|value| usize::try_from(value).ok())
            .filter(|value| (1..=MAX_VCPUS).contains(value))
            .ok_or_else(|| self.bad(abi::VCPUS, "is not a number from 1 to 8"))
    }

    fn memory(&self, memory: &mut ArrayVec<IpaRange, { abi::MAX_MEMORY }>) -> Result<(), Reported> {
        self.ranges(abi::MEMORY, BLOCK_2M, memory)?;
        sort_few(memory);
        if memory.is_empty() {
            return Err(self.bad(abi::MEMORY, "lists no memory"));
        }
        let mut below = Ipa(RAM_BASE);
        for range in memory {
            if range.base() < below {
                return Err(self.bad(abi::MEMORY, "overlaps itself or the devices below 1 GiB"));
            }
            below = range.end();
        }
        Ok(())
    }

    /// A list of not empty, aligned ranges; an absent property is an empty list.
    fn ranges<const N: usize>(
        &self,
        property: &'static str,
        align: u64,
        list: &mut ArrayVec<IpaRange, N>,
    ) -> Result<(), Reported> {
        let mut rest = Cells(self.value(property).unwrap_or_default());
        while !rest.is_empty() {
            let range = next_range(&mut rest, align);
            let range = range.ok_or_else(|| {
                self.bad(property, "has a range that is empty, wraps or is misaligned")
            })?;
            list.try_push(range).map_err(|_| self.bad(property, "has too many ranges"))?;
        }
        Ok(())
    }

    /// The image node that `name` names.
    fn image(&self, name: &[u8]) -> Result<Node<'a>, Reported> {
        let found = self.images.children().find(|image| image.name() == name);
        found.ok_or_else(|| {
            self.report(BundleError::NoImage { vm: self.vm(), image: NodeName::new(name) })
        })
    }

    fn loadables(
        &self,
        images: &mut ArrayVec<LoadImage<'a>, { abi::MAX_LOADABLES }>,
    ) -> Result<(), Reported> {
        for name in Strings(self.value(abi::LOADABLES).unwrap_or_default()) {
            let image = self.load(self.image(name)?)?;
            images
                .try_push(image)
                .map_err(|_| self.bad(abi::LOADABLES, "names too many images"))?;
        }
        if images.is_empty() {
            return Err(self.bad(abi::LOADABLES, "names no image"));
        }
        Ok(())
    }

    /// The tree for `gic`; those for other versions are not looked at.
    fn tree(&self, gic: GicVersion, tree: &mut GuestTree<'a>) -> Result<(), Reported> {
        let version = u32::from(gic.number());
        for name in Strings(self.value(abi::TREES).unwrap_or_default()) {
            let node = self.image(name)?;
            if node.cell(abi::GIC) == Some(version) {
                let image = self.load(node)?;
                let seeds = seeds(node, image.data).ok_or_else(|| {
                    self.bad_image(node, abi::SEEDS, "names no property of the tree, or too many")
                })?;
                *tree = GuestTree { image, seeds };
                return Ok(());
            }
        }
        Err(self.report(BundleError::NoTree { vm: self.vm(), gic: version.into() }))
    }

    /// Everything loaded lies in memory and apart, what is guarded lies outside.
    fn check_placement(&self, vm: &VmDescription<'a>) -> Result<(), Reported> {
        let in_memory = |range: IpaRange| vm.memory.iter().any(|memory| memory.covers(range));
        let mut taken: ArrayVec<IpaRange, { abi::MAX_LOADABLES + 1 }> = ArrayVec::new();
        for image in vm.images.iter().chain([&vm.tree.image]) {
            let range = u64::try_from(image.data.len())
                .ok()
                .and_then(|len| IpaRange::new(image.ipa, len))
                .filter(|range| in_memory(*range))
                .ok_or_else(|| self.misplaced(image, "lies outside the VM's memory"))?;
            if taken.iter().any(|other| other.overlaps(range)) {
                return Err(self.misplaced(image, "overlaps another image"));
            }
            // As many fit as there can be images.
            let _full = taken.try_push(range);
        }
        if !vm.tree.image.ipa.is_aligned(8) {
            return Err(self.bad(abi::TREES, "are not 8-byte aligned in the VM's memory"));
        }
        let instruction = IpaRange::new(vm.entry, 4).filter(|range| in_memory(*range));
        if instruction.is_none() || !vm.entry.is_aligned(4) {
            return Err(self.bad(abi::ENTRY, "is not an instruction's address in memory"));
        }
        let in_memory = |range: &IpaRange| vm.memory.iter().any(|memory| memory.overlaps(*range));
        if vm.guarded.iter().any(in_memory) {
            return Err(self.bad(abi::GUARDED, "covers memory, which cannot be guarded"));
        }
        Ok(())
    }
}

/// A name from the bundle, if it is one that Postern writes.
pub(super) fn name(bytes: &[u8]) -> Option<&str> {
    let text = str::from_utf8(bytes).ok()?;
    (1..=abi::MAX_NAME).contains(&text.len()).then_some(text)
}

/// The next range of a list, if it is neither empty nor misaligned.
#[inline(never)]
fn next_range(rest: &mut Cells<'_>, align: u64) -> Option<IpaRange> {
    let (base, size) = (rest.take(2)?, rest.take(2)?);
    let range = IpaRange::new(Ipa(base), size);
    range.filter(|range| !range.is_empty() && range.is_aligned(align))
}

/// The fields to fill at random, all of them properties of `tree`.
fn seeds(node: Node<'_>, tree: &[u8]) -> Option<ArrayVec<SeedField, { abi::MAX_SEEDS }>> {
    let mut fields = ArrayVec::new();
    let mut rest = Cells(node.value(abi::SEEDS.as_bytes()).unwrap_or_default());
    while !rest.is_empty() {
        let at = usize::try_from(rest.take(1)?).ok()?;
        let len = usize::try_from(rest.take(1)?).ok()?;
        let field = Some(SeedField { at, len }).filter(|field| field.is_property(tree))?;
        fields.try_push(field).ok()?;
    }
    Some(fields)
}
