//! Writes the file: a FIT tree, then the images' data at multiples of a page.

use anyhow::{Context, Result, ensure};
use hyp_abi::bundle as abi;
use hyp_abi::vplatform::RAM_BASE;
use hyp_core::bundle::crc32;
use hyp_core::tree::Tree;

use super::node::{Node, cells};
use crate::payload::Kind;
use crate::vm_desc::VmDesc;

/// One VM, all decided.
pub(super) struct Vm {
    /// What the user said about it.
    pub(super) desc: VmDesc,
    /// Its type word.
    pub(super) type_word: u64,
    /// Where the first vCPU starts.
    pub(super) entry: u64,
    /// What is loaded beside the tree.
    pub(super) images: Vec<Image>,
    /// One tree for each GIC version.
    pub(super) trees: Vec<Image>,
}

/// One image.
pub(super) struct Image {
    name: String,
    /// FIT's `type`.
    kind: &'static str,
    /// FIT's `os`.
    os: Option<&'static str>,
    load: u64,
    gic: Option<u8>,
    seeds: Vec<(u32, u32)>,
    data: Vec<u8>,
}

impl Image {
    /// A payload.
    pub(super) fn payload(name: String, kind: Kind, load: u64, data: Vec<u8>) -> Self {
        let (kind, os) = match kind {
            Kind::Image => ("kernel", Some("linux")),
            Kind::Elf | Kind::Raw => ("standalone", None),
        };
        Self { name, kind, os, load, gic: None, seeds: Vec::new(), data }
    }

    /// An initial RAM disk.
    pub(super) fn ramdisk(name: String, load: u64, data: Vec<u8>) -> Self {
        let os = Some("linux");
        Self { name, kind: "ramdisk", os, load, gic: None, seeds: Vec::new(), data }
    }

    /// A device tree for one version of the GIC.
    pub(super) fn tree(
        name: String,
        load: u64,
        gic: u8,
        seeds: Vec<(u32, u32)>,
        data: Vec<u8>,
    ) -> Self {
        Self { name, kind: "flat_dt", os: None, load, gic: Some(gic), seeds, data }
    }

    fn node(&self, position: u64) -> Result<Node> {
        let mut node = Node::new(&self.name)
            .with("description", self.name.as_str())
            .with("type", self.kind)
            .with("arch", "arm64")
            .with("compression", "none")
            .with(abi::LOAD, self.load)
            .with(abi::DATA_POSITION, u32::try_from(position).context(TOO_LARGE)?)
            .with(abi::DATA_SIZE, u32::try_from(self.data.len()).context(TOO_LARGE)?)
            .child(
                Node::new(abi::HASH)
                    .with(abi::HASH_ALGORITHM, abi::CRC32)
                    .with(abi::HASH_VALUE, crc32::update(0, &self.data)),
            );
        if let Some(os) = self.os {
            node = node.with("os", os);
        }
        if let Some(gic) = self.gic {
            let seeds: Vec<u32> = self.seeds.iter().flat_map(|(at, len)| [*at, *len]).collect();
            node = node.with(abi::GIC, u32::from(gic)).with(abi::SEEDS, seeds.as_slice());
        }
        Ok(node)
    }
}

const TOO_LARGE: &str = "the bundle is larger than the 4 GiB that its format can say";

impl Vm {
    fn node(&self) -> Result<Node> {
        let names = |images: &[Image]| -> Vec<u8> {
            images.iter().flat_map(|image| [image.name.as_bytes(), b"\0"].concat()).collect()
        };
        let desc = &self.desc;
        let mut node = Node::new(&desc.name)
            .with("description", desc.name.as_str())
            .with(abi::LOADABLES, names(&self.images).as_slice())
            .with(abi::TREES, names(&self.trees).as_slice())
            .with(abi::TYPE, self.type_word)
            .with(abi::DIALECT, desc.dialect.name())
            .with(abi::VCPUS, u32::try_from(desc.cpus)?)
            .with(abi::MEMORY, cells([RAM_BASE, desc.mem]).as_slice())
            .with(abi::ENTRY, self.entry)
            .with(abi::SMC, desc.smc.name());
        if let Some(guard) = desc.guard {
            node = node.with(abi::GUARD, u32::from(guard));
        }
        if !desc.guarded.is_empty() {
            let ranges = desc.guarded.iter().flat_map(|range| [range.base, range.size]);
            node = node.with(abi::GUARDED, cells(ranges).as_slice());
        }
        Ok(if desc.insecure_entropy { node.flag(abi::INSECURE_ENTROPY) } else { node })
    }
}

/// The whole file.
///
/// # Errors
///
/// It would be too large, or a name is longer than EL2 takes.
pub(super) fn write(vms: &[Vm]) -> Result<Vec<u8>> {
    let images = || vms.iter().flat_map(|vm| vm.images.iter().chain(&vm.trees));
    let names = vms.iter().map(|vm| &vm.desc.name).chain(images().map(|image| &image.name));
    for name in names {
        ensure!(
            (1..=abi::MAX_NAME).contains(&name.len()),
            "the name `{name}` has {} bytes: Postern takes 1 to {}",
            name.len(),
            abi::MAX_NAME
        );
    }
    // The tree's length does not depend on the positions in it.
    let draft = tree(vms, &vec![0; images().count()])?;
    let mut positions = Vec::new();
    let mut end = u64::try_from(draft.len())?;
    for image in images() {
        let position = end.next_multiple_of(abi::DATA_ALIGN);
        positions.push(position);
        end = position + u64::try_from(image.data.len())?;
    }
    let mut file = tree(vms, &positions)?;
    seal(&mut file)?;
    for (image, position) in images().zip(&positions) {
        file.resize(usize::try_from(*position)?, 0);
        file.extend(&image.data);
    }
    Ok(file)
}

/// The tree, its checksum not yet set.
fn tree(vms: &[Vm], positions: &[u64]) -> Result<Vec<u8>> {
    let mut images = Node::new(abi::IMAGES);
    let mut configurations = Node::new(abi::CONFIGURATIONS);
    if let Some(first) = vms.first() {
        configurations = configurations.with("default", first.desc.name.as_str());
    }
    let mut positions = positions.iter();
    for vm in vms {
        for image in vm.images.iter().chain(&vm.trees) {
            images = images.child(image.node(*positions.next().context("an image has no place")?)?);
        }
        configurations = configurations.child(vm.node()?);
    }
    Ok(Node::new("")
        .with("description", "Postern bundle")
        // FIT wants one; a constant keeps bundles reproducible.
        .with("timestamp", 0_u32)
        .with("#address-cells", 2_u32)
        .with(abi::VERSION_PROPERTY, abi::VERSION)
        .with(abi::CHECKSUM_PROPERTY, 0_u32)
        .child(images)
        .child(configurations)
        .flatten())
}

/// Sets the checksum, which is computed with zeros in its place.
fn seal(file: &mut [u8]) -> Result<()> {
    let checksum = crc32::update(0, file).to_be_bytes();
    let at = Tree::new(file)
        .ok()
        .and_then(|tree| tree.root().property(abi::CHECKSUM_PROPERTY.as_bytes()))
        .context("the bundle's tree has no place for its checksum")?
        .at;
    file.get_mut(at..at + checksum.len())
        .context("the bundle's tree is cut short")?
        .copy_from_slice(&checksum);
    Ok(())
}
