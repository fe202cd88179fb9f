//! Device trees of emulated machines, where what starts the machine has to complete them: real
//! firmware adds a random seed, QEMU only does so for some.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, anyhow, ensure};
use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use hyp_core::tree::Tree;

use super::{Machine, TreeSource};
use crate::setup;
use crate::setup::exec::command_line;

/// Bytes in a seed: as many as Linux takes at most from a boot loader at once.
const SEED: usize = 64;

impl Machine {
    /// Its tree as firmware would hand it over to `image`; nothing where QEMU's own already is
    /// that. `scratch` is a file to work with.
    ///
    /// # Errors
    ///
    /// QEMU does not give its tree, the board's tree cannot be had, or it cannot be edited.
    pub fn completed_tree(&self, image: &Path, scratch: &Path) -> Result<Option<Vec<u8>>> {
        if self.model.tree == TreeSource::Qemu {
            return Ok(None);
        }
        let tree = self.plain_tree(image, scratch)?;
        with_seed(&tree).map(Some)
    }

    /// Its tree before anybody completes it, without spare room.
    ///
    /// # Errors
    ///
    /// As [`Self::completed_tree`].
    pub fn plain_tree(&self, image: &Path, scratch: &Path) -> Result<Vec<u8>> {
        let file = match self.model.tree {
            TreeSource::Board(name) => setup::ensure_board_trees()?.join(name),
            TreeSource::Qemu | TreeSource::QemuWithoutSeed => {
                self.dump_tree(image, scratch)?;
                scratch.to_owned()
            }
        };
        let mut tree =
            fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        shrink(&mut tree).with_context(|| format!("{} is no device tree", file.display()))?;
        Ok(tree)
    }

    /// Has QEMU write its tree to `path`. What it says about PSCI depends on what is started.
    fn dump_tree(&self, image: &Path, path: &Path) -> Result<()> {
        let mut dump = self.tree_command(image, path);
        let output = dump
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("could not start {}", command_line(&dump)))?;
        ensure!(
            output.status.success() && path.is_file(),
            "{} gave no tree: {}",
            command_line(&dump),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

/// The tree with 64 bytes of the host's randomness as `/chosen/rng-seed`.
fn with_seed(tree: &[u8]) -> Result<Vec<u8>> {
    let mut seed = [0; SEED];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut seed))
        .context("the host gives no random numbers")?;
    // Our own reader's check suffices: the crate's also refuses the long names that Linux's trees
    // are full of.
    Tree::new(tree).map_err(|error| anyhow!("the machine's tree is damaged: {error}"))?;
    let mut tree = DeviceTree::from_fdt(&Fdt::new_unchecked(tree));
    if tree.root.child_mut("chosen").is_none() {
        tree.root.add_child(DeviceTreeNode::new_unchecked("chosen"));
    }
    let chosen = tree.root.child_mut("chosen").context("a tree without /chosen")?;
    chosen.add_property(DeviceTreeProperty::new_unchecked("rng-seed", seed.as_slice()));
    Ok(tree.to_dtb())
}

/// Cuts off the room behind the last block: QEMU leaves a MiB and would double it, which makes the
/// tree larger than a boot loader may hand over.
fn shrink(tree: &mut Vec<u8>) -> Option<()> {
    // Offsets of the words of the header (Devicetree Specification v0.4, 5.2).
    const TOTAL_SIZE: usize = 4;
    const OFFSET_OF_STRUCTURE: usize = 8;
    const OFFSET_OF_STRINGS: usize = 12;
    const SIZE_OF_STRINGS: usize = 32;
    const SIZE_OF_STRUCTURE: usize = 36;
    let word = |at: usize| Some(u32::from_be_bytes(*tree.get(at..)?.first_chunk()?));
    let structure = word(OFFSET_OF_STRUCTURE)?.checked_add(word(SIZE_OF_STRUCTURE)?)?;
    let strings = word(OFFSET_OF_STRINGS)?.checked_add(word(SIZE_OF_STRINGS)?)?;
    let end = structure.max(strings);
    tree.get_mut(TOTAL_SIZE..TOTAL_SIZE + 4)?.copy_from_slice(&end.to_be_bytes());
    tree.truncate(usize::try_from(end).ok()?);
    Some(())
}

#[cfg(test)]
mod tests {
    use hyp_core::tree::Machine;

    use super::*;

    /// A tree of QEMU 7.2's `virt`, which hyp-core's tests read too.
    const GICV2: &[u8] = include_bytes!("../../../hyp/core/src/tree/testdata/virt-gicv2.dtb");

    #[test]
    fn spare_room_is_cut_off() {
        let mut tree = GICV2.to_vec();
        tree.extend([0; 4096]);
        shrink(&mut tree).unwrap();
        assert!(tree.len() <= GICV2.len());
        assert_eq!(
            Machine::from_tree(&tree).unwrap().console,
            Machine::from_tree(GICV2).unwrap().console
        );
        assert!(shrink(&mut b"\xd0\x0d\xfe\xed".to_vec()).is_none());
    }

    #[test]
    fn each_seed_is_another_and_the_rest_stays() {
        let trees = [with_seed(GICV2).unwrap(), with_seed(GICV2).unwrap()];
        let [one, other] = trees.each_ref().map(|tree| Machine::from_tree(tree).unwrap());
        let seed = |machine: &Machine<'_>| machine.rng_seed.as_ref().unwrap().bytes.to_vec();
        assert_eq!(seed(&one).len(), SEED);
        assert_ne!(seed(&one), seed(&other));
        assert_eq!(one.gic, Machine::from_tree(GICV2).unwrap().gic);
    }
}
