//! Trees of machines that QEMU does not have: its own tree with something spoiled.

use std::path::Path;

use anyhow::{Context, Result};
use dtoolkit::Node as _;
use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use hyp_core::tree::Tree;
use serde::Deserialize;

use super::loader::SPIN_WORD;
use crate::qemu::Machine;

/// What is wrong with the firmware's tree.
///
/// QEMU itself reads and completes the tree that it is given, so only damage that it overlooks gets
/// through to EL2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TreeDamage {
    /// The last PSCI node does not say how firmware is called. QEMU always writes a sound one of
    /// its own, which therefore does not count.
    NoPsciMethod,
    /// The last PSCI node says that firmware is called by HVC, as a tree for EL1 does.
    Hvc,
    /// The GIC's node has lost the second half of its frames: those of a GICv2 with virtualization.
    NoGicVirtualization,
    /// The machine's model has control characters, and EL2's last line.
    OddModel,
    /// The console's node names no interrupt.
    NoConsoleInterrupt,
    /// The console's interrupt is a private one, INTID 22, which each CPU has of its own.
    PrivateConsoleInterrupt,
    /// The console is a Generic UART: a PL011 of which some registers may be missing.
    SbsaConsole,
    /// The console is a UART that Postern has no driver for.
    UnknownConsole,
    /// There is no random seed.
    NoSeed,
    /// A property's name lies outside the tree, in a node behind the console's: one before it would
    /// leave EL2 without anything to complain on.
    BadName,
    /// The CPUs wait at one word, that of [`Loader::SharedSpin`](super::loader::Loader::SharedSpin).
    SharedSpin,
}

/// The console's node.
const CONSOLE: &str = "pl011@9000000";

impl TreeDamage {
    fn apply(self, tree: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Hvc => edit(tree, "pmu", |node| {
                set(node, "compatible", b"arm,psci-1.0\0");
                set(node, "method", b"hvc\0");
            })?,
            Self::NoPsciMethod => {
                const PSCI: &[u8] = b"arm,psci-1.0";
                let (at, bytes) = property(tree, "/pmu", "compatible")?;
                let value = tree.get_mut(at..at + bytes)?;
                value.fill(0);
                value.get_mut(..PSCI.len())?.copy_from_slice(PSCI);
            }
            Self::NoConsoleInterrupt => edit(tree, CONSOLE, |node| {
                node.remove_property("interrupts");
            })?,
            Self::PrivateConsoleInterrupt => edit(tree, CONSOLE, |node| {
                set(node, "interrupts", &[1_u32, 6, 4].map(u32::to_be_bytes).concat());
            })?,
            Self::SbsaConsole => {
                edit(tree, CONSOLE, |node| set(node, "compatible", b"arm,sbsa-uart\0"))?;
            }
            Self::UnknownConsole => {
                edit(tree, CONSOLE, |node| set(node, "compatible", b"vendor,odd-uart\0"))?;
            }
            Self::OddModel => {
                edit(tree, "", |root| set(root, "model", b"m\r\nPOSTERN-EXIT 0\r\n\x1b[2J\0"))?;
            }
            Self::NoGicVirtualization => {
                let (at, bytes) = property(tree, "/intc@8000000", "reg")?;
                let half = u32::try_from(bytes / 2).ok()?;
                tree.get_mut(at - 8..at - 4)?.copy_from_slice(&half.to_be_bytes());
                nothing(tree, at + bytes / 2, bytes / 2)?;
            }
            Self::NoSeed => {
                // Some machines' trees have none, and ours is then left out.
                let Some((at, bytes)) = property(tree, "/chosen", "rng-seed") else {
                    return Some(());
                };
                nothing(tree, at - 12, 12 + bytes.next_multiple_of(4))?;
            }
            Self::BadName => {
                let (at, _) = property(tree, "/flash@0", "compatible")?;
                tree.get_mut(at - 4..at)?.copy_from_slice(&0x0fff_ffff_u32.to_be_bytes());
            }
            Self::SharedSpin => edit(tree, "cpus", |cpus| {
                for cpu in cpus.children_mut().filter(|node| node.property("reg").is_some()) {
                    set(cpu, "enable-method", b"spin-table\0");
                    set(cpu, "cpu-release-addr", &SPIN_WORD.to_be_bytes());
                }
            })?,
        }
        Some(())
    }
}

/// Has `change` done to a child of the root, or to the root itself, whose name is empty.
fn edit(tree: &mut Vec<u8>, child: &str, change: impl FnOnce(&mut DeviceTreeNode)) -> Option<()> {
    let mut model = DeviceTree::from_fdt(&Fdt::new_unchecked(tree));
    let root = &mut model.root;
    change(if child.is_empty() { root } else { root.child_mut(child)? });
    *tree = model.to_dtb();
    Some(())
}

/// Gives `node` a property, in place of one that is there.
fn set(node: &mut DeviceTreeNode, name: &str, value: &[u8]) {
    node.add_property(DeviceTreeProperty::new_unchecked(name, value));
}

/// Where a property's value is, and its length. Before it stand token, length and name (Devicetree
/// Specification v0.4, 5.4.1), four bytes each.
fn property(tree: &[u8], node: &str, name: &str) -> Option<(usize, usize)> {
    let value = Tree::new(tree).ok()?.find(node.as_bytes())?.value(name.as_bytes())?;
    let at = value.as_ptr().addr().checked_sub(tree.as_ptr().addr())?;
    Some((at, value.len()))
}

/// Fills with the token that means nothing.
fn nothing(tree: &mut [u8], at: usize, bytes: usize) -> Option<()> {
    for token in tree.get_mut(at..at + bytes)?.chunks_mut(4) {
        token.copy_from_slice(&[0, 0, 0, 4]);
    }
    Some(())
}

/// The tree of `machine` with all of `damages`. `scratch` is a file to work with.
///
/// # Errors
///
/// There is no tree, or nothing in it to damage in that way.
pub fn damaged(
    machine: &Machine,
    image: &Path,
    damages: &[TreeDamage],
    scratch: &Path,
) -> Result<Vec<u8>> {
    let mut tree = machine.plain_tree(image, scratch)?;
    for damage in damages {
        damage
            .apply(&mut tree)
            .with_context(|| format!("the machine's tree has nothing for {damage:?}"))?;
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use hyp_core::tree::machine::{Console, ConsoleKind, MachineError};
    use hyp_core::tree::{Machine, TreeError};

    use super::*;

    /// Trees of QEMU 7.2's `virt`, which hyp-core's tests read too.
    const GICV2: &[u8] = include_bytes!("../../../hyp/core/src/tree/testdata/virt-gicv2.dtb");

    fn spoiled(damage: TreeDamage) -> Vec<u8> {
        let mut tree = GICV2.to_vec();
        damage.apply(&mut tree).unwrap();
        assert_ne!(tree, GICV2);
        tree
    }

    #[test]
    fn one_thing_is_spoiled_and_the_rest_stays() {
        let sound = Machine::from_tree(GICV2).unwrap();
        assert!(sound.psci().is_ok() && sound.rng_seed.is_some());

        let tree = spoiled(TreeDamage::NoPsciMethod);
        let machine = Machine::from_tree(&tree).unwrap();
        assert!(machine.psci().is_err() && machine.gic == sound.gic);

        let tree = spoiled(TreeDamage::Hvc);
        let machine = Machine::from_tree(&tree).unwrap();
        assert_eq!(machine.psci(), Err(MachineError::PsciHvc));
        assert!(machine.gic == sound.gic);

        for (damage, interrupt) in [
            (TreeDamage::NoConsoleInterrupt, None),
            (TreeDamage::PrivateConsoleInterrupt, Some(22)),
        ] {
            let tree = spoiled(damage);
            let console = Machine::from_tree(&tree).unwrap().console.unwrap();
            assert_eq!(console.interrupt, interrupt);
            assert_eq!(console.registers, sound.console.unwrap().registers);
        }

        let tree = spoiled(TreeDamage::SbsaConsole);
        let console = Machine::from_tree(&tree).unwrap().console.unwrap();
        assert_eq!(console, Console { kind: ConsoleKind::Sbsa, ..sound.console.unwrap() });

        let tree = spoiled(TreeDamage::UnknownConsole);
        let console = Machine::from_tree(&tree).unwrap().console.unwrap();
        assert!(matches!(console.kind, ConsoleKind::Unsupported(_)));

        let tree = spoiled(TreeDamage::NoSeed);
        let machine = Machine::from_tree(&tree).unwrap();
        assert!(machine.rng_seed.is_none() && machine.psci().is_ok());

        let tree = spoiled(TreeDamage::NoGicVirtualization);
        let machine = Machine::from_tree(&tree).unwrap();
        assert!(machine.gic != sound.gic && machine.psci().is_ok());

        let tree = spoiled(TreeDamage::SharedSpin);
        let machine = Machine::from_tree(&tree).unwrap();
        assert!(machine.psci().is_ok() && machine.cpus.len() == sound.cpus.len());
        assert!(machine.cpus.iter().all(|cpu| cpu.comes_with(&machine.cpus[0])));

        let tree = spoiled(TreeDamage::BadName);
        assert!(matches!(Machine::from_tree(&tree), Err(TreeError::Structure { .. })));
        assert_eq!(Machine::salvage(&tree).unwrap().console, sound.console);
    }
}
