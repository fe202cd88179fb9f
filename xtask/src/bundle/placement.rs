//! Where a VM's payload, tree and initrd lie in its memory.

use anyhow::{Result, bail};
use hyp_abi::vplatform::RAM_BASE;

use crate::payload::{Kind, Payload};
use crate::units::shown_size;
use crate::vm_desc::VmDesc;

/// An initrd begins at a multiple of this, and a tree where it has no better place: Linux maps a tree
/// by 2 MiB blocks, and EL2 makes a VM's memory in such.
const ALIGN: u64 = 2 << 20;
/// What follows an `Image` in its last block begins at a multiple of this.
const PAGE: u64 = 4 << 10;

/// Addresses in the VM's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// The tree.
    pub(super) tree: u64,
    /// The initrd, if there is one.
    pub(super) initrd: Option<u64>,
}

/// Something with a place.
struct Piece {
    what: String,
    base: u64,
    end: u64,
}

impl Layout {
    /// Puts the tree above the payload, or where the description wants it, and the initrd behind
    /// both.
    ///
    /// # Errors
    ///
    /// Something lies outside the memory or on something else.
    pub(super) fn new(
        desc: &VmDesc,
        payload: &Payload,
        tree_len: u64,
        initrd_len: u64,
    ) -> Result<Self> {
        let above = |address: u64| address.next_multiple_of(ALIGN);
        let tree = desc
            .dtb_addr
            .unwrap_or_else(|| behind(payload, tree_len).unwrap_or(above(payload.end)));
        if !tree.is_multiple_of(8) {
            bail!("the device tree's address {tree:#x} is not a multiple of 8");
        }
        let mut pieces = vec![
            Piece {
                what: format!("payload {}", payload.source.display()),
                base: payload.load,
                end: payload.end,
            },
            Piece {
                what: "device tree".to_owned(),
                base: tree,
                end: tree.saturating_add(tree_len),
            },
        ];
        let mut initrd = None;
        if let Some(path) = desc.initrd.as_ref().filter(|_| initrd_len != 0) {
            let mut at = above(payload.end);
            // A tree that is in the way is stepped over.
            if at < tree.saturating_add(tree_len) && tree < at.saturating_add(initrd_len) {
                at = above(tree.saturating_add(tree_len));
            }
            initrd = Some(at);
            let what = format!("initrd {}", path.display());
            pieces.push(Piece { what, base: at, end: at.saturating_add(initrd_len) });
        }
        check(desc.mem, &pieces)?;
        Ok(Self { tree, initrd })
    }
}

/// The place for a tree of `len` bytes in the block that an `Image` ends in, if it fits: then the VM
/// starts with a block less to be zeroed. Whoever follows that boot protocol leaves the tree alone
/// wherever it is; of other payloads nobody knows what they keep behind their end.
fn behind(payload: &Payload, len: u64) -> Option<u64> {
    let at = payload.end.next_multiple_of(PAGE);
    let room = at.next_multiple_of(ALIGN).saturating_sub(at);
    (payload.kind == Kind::Image && len <= room).then_some(at)
}

/// Checks that all lies in memory and apart.
fn check(mem: u64, pieces: &[Piece]) -> Result<()> {
    let ram_end = RAM_BASE.saturating_add(mem);
    let need = pieces.iter().map(|piece| piece.end).max().unwrap_or(RAM_BASE);
    for (at, piece) in pieces.iter().enumerate() {
        let Piece { what, base, end } = piece;
        if *base < RAM_BASE {
            bail!(
                "the {what} at {base:#x} lies below the VM's memory, which begins at {RAM_BASE:#x}"
            );
        }
        if *end > ram_end {
            bail!(
                "the {what} ends at {end:#x}, behind the VM's {} of memory, which end at \
                 {ram_end:#x}; give the VM at least {}",
                shown_size(mem),
                shown_size((need - RAM_BASE).next_multiple_of(ALIGN))
            );
        }
        if let Some(other) =
            pieces.iter().take(at).find(|other| other.base < *end && *base < other.end)
        {
            bail!(
                "the {what} ({base:#x} to {end:#x}) and the {} ({:#x} to {:#x}) overlap; \
                 move one of them",
                other.what,
                other.base,
                other.end
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn a_tree_shares_the_last_block_of_an_image_that_leaves_it_room() {
        let payload = |kind, end| Payload {
            source: PathBuf::new(),
            kind,
            bytes: Vec::new(),
            load: 0x4020_0000,
            end,
            entry: 0x4020_0000,
            doubt: None,
        };
        let desc = VmDesc::new(PathBuf::new());
        let tree = |kind, end, len| Layout::new(&desc, &payload(kind, end), len, 0).unwrap().tree;
        assert_eq!(tree(Kind::Image, 0x4030_0001, 0x2000), 0x4030_1000);
        assert_eq!(tree(Kind::Image, 0x403f_e000, 0x2000), 0x403f_e000);
        assert_eq!(tree(Kind::Image, 0x403f_e000, 0x2001), 0x4040_0000);
        assert_eq!(tree(Kind::Image, 0x4040_0000, 0x2000), 0x4040_0000);
        for other in [Kind::Elf, Kind::Raw] {
            assert_eq!(tree(other, 0x4030_0001, 0x2000), 0x4040_0000);
        }
    }
}
