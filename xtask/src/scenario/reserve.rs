//! Memory that firmware has reserved: told to EL2 by the tree, filled before the run, compared
//! after it.
//!
//! The machine's RAM is a file of the host for that.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use dtoolkit::fdt::Fdt;
use dtoolkit::memreserve::MemoryReservation;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use hyp_core::tree::Tree;
use serde::Deserialize;

use crate::units::parse_size;

/// Where the RAM of `virt` begins.
const RAM: u64 = 0x4000_0000;

/// What fills reserved memory: neither zero nor what EL2 fills free memory with.
const PATTERN: u8 = 0x5e;

/// A reserved range.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reserve {
    /// First address.
    base: u64,
    /// Bytes.
    size: String,
    /// How the tree says it.
    by: By,
}

/// How a tree reserves memory (Devicetree Specification v0.4, 3.5 and 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// An entry of the memory reservation block.
    Block,
    /// A node in `/reserved-memory`.
    Node,
    /// The same with `no-map`.
    NoMap,
}

impl Reserve {
    fn bytes(&self) -> Result<Vec<u8>> {
        Ok(vec![PATTERN; usize::try_from(parse_size(&self.size)?)?])
    }

    fn offset(&self) -> Result<u64> {
        self.base.checked_sub(RAM).with_context(|| format!("{:#x} is no RAM", self.base))
    }
}

/// `tree` with these reservations.
///
/// # Errors
///
/// The tree is damaged.
pub fn tell(tree: &[u8], all: &[Reserve]) -> Result<Vec<u8>> {
    Tree::new(tree).map_err(|error| anyhow!("the machine's tree is damaged: {error}"))?;
    let mut tree = DeviceTree::from_fdt(&Fdt::new_unchecked(tree));
    let mut parent = DeviceTreeNode::new_unchecked("reserved-memory");
    let two = 2_u32.to_be_bytes();
    for (name, value) in
        [("#address-cells", two.as_slice()), ("#size-cells", &two), ("ranges", &[])]
    {
        parent.add_property(DeviceTreeProperty::new_unchecked(name, value));
    }
    for range in all {
        let size = parse_size(&range.size)?;
        if range.by == By::Block {
            tree.memory_reservations.push(MemoryReservation::new(range.base, size));
            continue;
        }
        let mut node = DeviceTreeNode::new_unchecked(format!("firmware@{:x}", range.base));
        let reg = [range.base.to_be_bytes(), size.to_be_bytes()].concat();
        node.add_property(DeviceTreeProperty::new_unchecked("reg", reg.as_slice()));
        if range.by == By::NoMap {
            let none: &[u8] = &[];
            node.add_property(DeviceTreeProperty::new_unchecked("no-map", none));
        }
        parent.add_child(node);
    }
    tree.root.add_child(parent);
    Ok(tree.to_dtb())
}

/// Makes the file that is the machine's RAM, `ram` bytes, with the pattern where memory is
/// reserved.
///
/// # Errors
///
/// The file cannot be written, or a range lies outside.
pub fn fill(path: &Path, ram: u64, all: &[Reserve]) -> Result<()> {
    let making = || format!("could not make {}", path.display());
    let file = File::create(path).with_context(making)?;
    file.set_len(ram).with_context(making)?;
    for range in all {
        let bytes = range.bytes()?;
        let end = range.offset()?.checked_add(u64::try_from(bytes.len())?);
        ensure!(end.is_some_and(|end| end <= ram), "{:#x} is no RAM", range.base);
        file.write_all_at(&bytes, range.offset()?).with_context(making)?;
    }
    Ok(())
}

/// What is wrong with the machine's RAM after the run: reserved memory that was changed, and free
/// memory beside it that was not, which would mean that nothing was tested. Also how many bytes
/// were compared.
///
/// # Errors
///
/// The file cannot be read.
pub fn compare(path: &Path, all: &[Reserve]) -> Result<(Vec<String>, usize)> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut complaints = Vec::new();
    let mut compared = 0;
    for range in all {
        let wanted = range.bytes()?;
        let mut found = vec![0; wanted.len()];
        file.read_exact_at(&mut found, range.offset()?)?;
        let changed = found.iter().zip(&wanted).filter(|(found, wanted)| found != wanted).count();
        if changed > 0 {
            complaints.push(format!(
                "{changed} of {} bytes reserved at {:#x} were changed",
                wanted.len(),
                range.base
            ));
        }
        // Whole pages: what shares a page with reserved memory is not free.
        let page = 4096;
        let behind = (range.offset()? + u64::try_from(wanted.len())?).next_multiple_of(page);
        let mut beside = [0; 64];
        file.read_exact_at(&mut beside, behind)?;
        if beside == [0; 64] {
            complaints.push(format!(
                "nobody has used the free memory behind {:#x}: reserving proves nothing",
                range.base
            ));
        }
        compared += wanted.len() + beside.len();
    }
    Ok((complaints, compared))
}
