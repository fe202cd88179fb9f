//! A tree that the user brings: checked, and told what only the bundle knows.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use hyp_core::tree::Machine;
use hyp_core::tree::machine::Gic;

use super::{GuestTree, user_tree_check};
use crate::vm_desc::VmDesc;

/// The tree at `path` for the VM `desc`, for the GIC it describes; for both versions if it describes
/// none. A command line and an initrd, if given, replace those in it.
///
/// # Errors
///
/// It cannot be read, or describes another machine than the VM is.
pub(super) fn trees(
    path: &Path,
    desc: &VmDesc,
    initrd: Option<(u64, u64)>,
) -> Result<Vec<GuestTree>> {
    let shown = path.display();
    let file = fs::read(path).with_context(|| format!("cannot read the device tree {shown}"))?;
    // Checked by our own reader first: what edits it trusts what it reads.
    let machine = Machine::from_tree(&file)
        .map_err(|error| anyhow!("cannot use the device tree {shown}: {error}"))?;
    let differences = user_tree_check::differences(&machine, desc);
    if !differences.is_empty() && !desc.has_other_tree {
        bail!(
            "the device tree {shown} describes another machine than the VM is:\n  {}\ncorrect the tree, \
             or say --cpus and --mem as it does",
            differences.join("\n  ")
        );
    }
    let versions: &[u8] = match machine.gic {
        Some(Gic::V2(_)) => &[2],
        Some(Gic::V3(_)) => &[3],
        None => &[2, 3],
    };
    let bytes = with_chosen(&file, &desc.append, initrd)
        .with_context(|| format!("cannot edit the device tree {shown}"))?;
    let seeds = seeds(&bytes)?;
    let tree = |gic: &u8| GuestTree { gic: *gic, bytes: bytes.clone(), seeds: seeds.clone() };
    Ok(versions.iter().map(tree).collect())
}

/// The tree with what is given set in `/chosen`.
fn with_chosen(file: &[u8], bootargs: &str, initrd: Option<(u64, u64)>) -> Result<Vec<u8>> {
    // Our own reader has walked all of it; the strict check would refuse the property names of more
    // than 31 characters that many a kernel's tree has.
    let fdt = Fdt::new_unchecked(file);
    let mut tree = DeviceTree::from_fdt(&fdt);
    if tree.root.child_mut("chosen").is_none() {
        tree.root.add_child(DeviceTreeNode::new_unchecked("chosen"));
    }
    let chosen = tree.root.child_mut("chosen").context("it has no /chosen")?;
    if !bootargs.is_empty() {
        chosen.add_property(DeviceTreeProperty::new_unchecked("bootargs", bootargs));
    }
    if let Some((start, end)) = initrd {
        chosen.add_property(DeviceTreeProperty::new_unchecked("linux,initrd-start", start));
        chosen.add_property(DeviceTreeProperty::new_unchecked("linux,initrd-end", end));
    }
    Ok(tree.to_dtb())
}

/// Offset and size of the seeds in a tree's `/chosen`, which EL2 overwrites with random bytes.
pub(super) fn seeds(tree: &[u8]) -> Result<Vec<(u32, u32)>> {
    let machine = Machine::from_tree(tree).map_err(|error| anyhow!("{error}"))?;
    [machine.kaslr_seed, machine.rng_seed]
        .into_iter()
        .flatten()
        .map(|seed| Ok((u32::try_from(seed.at)?, u32::try_from(seed.bytes.len())?)))
        .collect()
}
