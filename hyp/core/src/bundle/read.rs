//! Reads a bundle and the VMs in it.

use super::image;
use super::{
    BundleError, Crc32, Dialect, GuestTree, LoadImage, SeedField, SmcPolicy, VmDescription,
};
use crate::addr::{BLOCK_2M, Ipa, PAGE_SIZE};
use crate::memory::{IpaRange, sort_few};
use crate::tree::{Cells, Node, NodeName, Strings, Tree, string, u32_value, u64_value};
use crate::vgic::GicVersion;
use arrayvec::ArrayVec;
use hyp_abi::bundle as abi;
use hyp_abi::vplatform::{MAX_VCPUS, RAM_BASE};

/// A bundle whose tree is sound and has the right checksum.
#[derive(Debug, Clone, Copy)]
pub struct Bundle<'a> {
    file: &'a [u8],
    tree: Tree<'a>,
    images: Node<'a>,
    configurations: Node<'a>,
    crc32: Crc32,
}

impl<'a> Bundle<'a> {
    /// Checks the tree that `file` begins with; the data of images is checked when a VM asks for it.
    ///
    /// # Errors
    ///
    /// [`BundleError::Tree`], [`BundleError::Version`], [`BundleError::TreeChecksum`].
    #[inline(never)]
    pub fn open(file: &'a [u8], crc32: Crc32) -> Result<Self, BundleError> {
        let tree = Tree::new(file)?;
        let root = tree.root();
        let version = root.value(abi::VERSION_PROPERTY.as_bytes()).and_then(u32_value);
        if version != Some(abi::VERSION) {
            return Err(BundleError::Version);
        }
        let (have, want) = tree_checksum(tree, crc32).ok_or(BundleError::Version)?;
        if have != want {
            return Err(BundleError::TreeChecksum { have, want });
        }
        let node = |name: &str| root.child(name.as_bytes()).ok_or(BundleError::Version);
        let (images, configurations) = (node(abi::IMAGES)?, node(abi::CONFIGURATIONS)?);
        Ok(Self { file, tree, images, configurations, crc32 })
    }

    /// Bytes of the bundle's tree, without the data behind it.
    #[must_use]
    pub fn tree_size(&self) -> usize {
        self.tree.bytes().len()
    }

    /// How many VMs it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.configurations.children().count()
    }

    /// Whether it holds no VM.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `index`-th VM for a machine with this GIC, with all its data checked.
    ///
    /// # Errors
    ///
    /// Any [`BundleError`] about VMs and images.
    pub fn vm(&self, index: usize, gic: GicVersion) -> Result<VmDescription<'a>, BundleError> {
        let node = self.configurations.children().nth(index).ok_or(BundleError::NoVm(index))?;
        VmReader { bundle: self, node, vm: NodeName::new(node.name()) }.read(gic)
    }
}

/// Checksum of the tree as computed and as written.
fn tree_checksum(tree: Tree<'_>, crc32: Crc32) -> Option<(u32, u32)> {
    let property = tree.root().property(abi::CHECKSUM_PROPERTY.as_bytes())?;
    let want = u32_value(property.value)?;
    let (before, rest) = tree.bytes().split_at_checked(property.at)?;
    let (_value, after) = rest.split_at_checked(4)?;
    Some((crc32(crc32(crc32(0, before), &[0; 4]), after), want))
}

/// Reads one VM's node.
struct VmReader<'r, 'a> {
    bundle: &'r Bundle<'a>,
    node: Node<'a>,
    vm: NodeName,
}

impl<'a> VmReader<'_, 'a> {
    fn bad(&self, property: &'static str, problem: &'static str) -> BundleError {
        BundleError::Vm { vm: self.vm, property, problem }
    }

    fn value(&self, property: &str) -> Option<&'a [u8]> {
        self.node.value(property.as_bytes())
    }

    #[inline(never)]
    fn read(&self, gic: GicVersion) -> Result<VmDescription<'a>, BundleError> {
        let name = image::name(self.node.name());
        let vm = VmDescription {
            name: name.ok_or(self.bad("name", "is empty, too long or not text"))?,
            type_word: self.doubleword(abi::TYPE)?,
            dialect: self.dialect()?,
            guard: self.guard()?,
            vcpus: self.vcpus()?,
            memory: self.memory()?,
            images: self.loadables()?,
            tree: self.tree(gic)?,
            entry: Ipa(self.doubleword(abi::ENTRY)?),
            guarded: self.ranges(abi::GUARDED, PAGE_SIZE)?,
            smc: self.smc()?,
            insecure_entropy: self.value(abi::INSECURE_ENTROPY).is_some(),
        };
        self.check_placement(&vm)?;
        Ok(vm)
    }

    fn doubleword(&self, property: &'static str) -> Result<u64, BundleError> {
        let value = self.value(property).and_then(u64_value);
        value.ok_or(self.bad(property, "is missing or not a number"))
    }

    fn dialect(&self) -> Result<Dialect, BundleError> {
        let Some(value) = self.value(abi::DIALECT) else { return Ok(Dialect::Pkvm) };
        match string(value) {
            Some(text) if text == abi::DIALECT_PKVM.as_bytes() => Ok(Dialect::Pkvm),
            Some(text) if text == abi::DIALECT_LIST_2021.as_bytes() => Ok(Dialect::List2021),
            _ => Err(self.bad(abi::DIALECT, "is neither \"pkvm\" nor \"list-2021\"")),
        }
    }

    fn smc(&self) -> Result<SmcPolicy, BundleError> {
        let Some(value) = self.value(abi::SMC) else { return Ok(SmcPolicy::Serve) };
        match string(value) {
            Some(text) if text == abi::SMC_SERVE.as_bytes() => Ok(SmcPolicy::Serve),
            Some(text) if text == abi::SMC_UNDEFINED.as_bytes() => Ok(SmcPolicy::Undefined),
            _ => Err(self.bad(abi::SMC, "is neither \"serve\" nor \"undefined\"")),
        }
    }

    fn guard(&self) -> Result<Option<bool>, BundleError> {
        match self.value(abi::GUARD).map(u32_value) {
            None => Ok(None),
            Some(Some(0)) => Ok(Some(false)),
            Some(Some(1)) => Ok(Some(true)),
            Some(_) => Err(self.bad(abi::GUARD, "is neither 0 nor 1")),
        }
    }

    fn vcpus(&self) -> Result<usize, BundleError> {
        let value = self.value(abi::VCPUS).and_then(u32_value);
        value
            .and_then(|value| usize::try_from(value).ok())
            .filter(|value| (1..=MAX_VCPUS).contains(value))
            .ok_or(self.bad(abi::VCPUS, "is not a number from 1 to 8"))
    }

    fn memory(&self) -> Result<ArrayVec<IpaRange, { abi::MAX_MEMORY }>, BundleError> {
        let mut memory: ArrayVec<IpaRange, { abi::MAX_MEMORY }> =
            self.ranges(abi::MEMORY, BLOCK_2M)?;
        sort_few(&mut memory);
        if memory.is_empty() {
            return Err(self.bad(abi::MEMORY, "lists no memory"));
        }
        let mut below = Ipa(RAM_BASE);
        for range in &memory {
            if range.base() < below {
                return Err(self.bad(abi::MEMORY, "overlaps itself or the devices below 1 GiB"));
            }
            below = range.end();
        }
        Ok(memory)
    }

    /// A list of not empty, aligned ranges; an absent property is an empty list.
    fn ranges<const N: usize>(
        &self,
        property: &'static str,
        align: u64,
    ) -> Result<ArrayVec<IpaRange, N>, BundleError> {
        let mut list = ArrayVec::new();
        let mut rest = Cells(self.value(property).unwrap_or_default());
        while !rest.is_empty() {
            let range = rest
                .take(2)
                .zip(rest.take(2))
                .and_then(|(base, size)| IpaRange::new(Ipa(base), size))
                .filter(|range| !range.is_empty() && range.is_aligned(align))
                .ok_or(self.bad(property, "has a range that is empty, wraps or is misaligned"))?;
            list.try_push(range).map_err(|_| self.bad(property, "has too many ranges"))?;
        }
        Ok(list)
    }

    /// The image node that `name` names.
    fn image(&self, name: &[u8]) -> Result<Node<'a>, BundleError> {
        let found = self.bundle.images.children().find(|image| image.name() == name);
        found.ok_or(BundleError::NoImage { vm: self.vm, image: NodeName::new(name) })
    }

    fn loadables(&self) -> Result<ArrayVec<LoadImage<'a>, { abi::MAX_LOADABLES }>, BundleError> {
        let mut images = ArrayVec::new();
        for name in Strings(self.value(abi::LOADABLES).unwrap_or_default()) {
            let image = image::load(self.bundle.file, self.image(name)?, self.bundle.crc32)?;
            images
                .try_push(image)
                .map_err(|_| self.bad(abi::LOADABLES, "names too many images"))?;
        }
        if images.is_empty() {
            return Err(self.bad(abi::LOADABLES, "names no image"));
        }
        Ok(images)
    }

    /// The tree for `gic`; those for other versions are not looked at.
    fn tree(&self, gic: GicVersion) -> Result<GuestTree<'a>, BundleError> {
        let version = u32::from(gic.number());
        for name in Strings(self.value(abi::TREES).unwrap_or_default()) {
            let node = self.image(name)?;
            if node.value(abi::GIC.as_bytes()).and_then(u32_value) == Some(version) {
                let image = image::load(self.bundle.file, node, self.bundle.crc32)?;
                let seeds = seeds(node, image.data).ok_or(BundleError::Image {
                    image: NodeName::new(node.name()),
                    property: abi::SEEDS,
                    problem: "names no property of the tree, or too many",
                })?;
                return Ok(GuestTree { image, seeds });
            }
        }
        Err(BundleError::NoTree { vm: self.vm, gic: gic.number() })
    }

    /// Everything loaded lies in memory and apart, what is guarded lies outside.
    fn check_placement(&self, vm: &VmDescription<'a>) -> Result<(), BundleError> {
        let in_memory = |range: IpaRange| vm.memory.iter().any(|memory| memory.covers(range));
        let mut taken: ArrayVec<IpaRange, { abi::MAX_LOADABLES + 1 }> = ArrayVec::new();
        for image in vm.images.iter().chain([&vm.tree.image]) {
            let bad = |problem| BundleError::Placement {
                vm: self.vm,
                image: NodeName::new(image.name.as_bytes()),
                ipa: image.ipa.get(),
                problem,
            };
            let range = u64::try_from(image.data.len())
                .ok()
                .and_then(|len| IpaRange::new(image.ipa, len))
                .filter(|range| in_memory(*range))
                .ok_or_else(|| bad("lies outside the VM's memory"))?;
            if taken.iter().any(|other| other.overlaps(range)) {
                return Err(bad("overlaps another image"));
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
