//! Opens a bundle.

use super::vm::{Reported, VmReader};
use super::{BundleError, Crc32, VmDescription};
use crate::tree::{Node, Tree, u32_value};
use crate::vgic::GicVersion;
use core::cell::Cell;
use hyp_abi::bundle as abi;

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
        let version = root.cell(abi::VERSION_PROPERTY);
        if version != Some(abi::VERSION) {
            return Err(BundleError::Version);
        }
        let (have, want) = tree_checksum(tree, crc32).ok_or(BundleError::Version)?;
        if have != want {
            return Err(BundleError::TreeChecksum { have: have.into(), want: want.into() });
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
        self.configurations.children().fold(0, |count, _| count.saturating_add(1))
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
        let none = BundleError::NoVm(index);
        let node = self.configurations.children().nth(index).ok_or(none)?;
        let Self { file, images, crc32, .. } = *self;
        let reader = VmReader { file, images, crc32, node, error: Cell::new(none) };
        reader.read(gic).map_err(|Reported| reader.error.get())
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
