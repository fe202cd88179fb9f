//! Images: names resolved to bytes whose checksum is right.

use super::vm::{Reported, VmReader, name};
use super::{BundleError, LoadImage};
use crate::addr::Ipa;
use crate::tree::{Node, NodeName, u64_value};
use hyp_abi::bundle::{CRC32, DATA_POSITION, DATA_SIZE, HASH, HASH_ALGORITHM, HASH_VALUE, LOAD};

impl<'a> VmReader<'a> {
    /// The bytes that `node` describes, checked.
    #[inline(never)]
    pub(super) fn load(&self, node: Node<'a>) -> Result<LoadImage<'a>, Reported> {
        let bad = |property, problem| self.bad_image(node, property, problem);
        let one_cell = |value: Option<u32>, property| {
            value.ok_or_else(|| bad(property, "is missing or not one cell"))
        };
        let at = one_cell(node.cell(DATA_POSITION), DATA_POSITION)?;
        let len = one_cell(node.cell(DATA_SIZE), DATA_SIZE)?;
        let data = slice(self.file, at, len).ok_or_else(|| {
            self.report(BundleError::ImageCut { image: NodeName::new(node.name()) })
        })?;
        let hash = node.child(HASH.as_bytes()).ok_or_else(|| bad(HASH, "is missing"))?;
        let algorithm = hash.value(HASH_ALGORITHM.as_bytes());
        if algorithm.and_then(|value| value.strip_suffix(b"\0")) != Some(CRC32.as_bytes()) {
            return Err(bad(HASH_ALGORITHM, "is not crc32"));
        }
        let want = one_cell(hash.cell(HASH_VALUE), HASH_VALUE)?;
        let have = (self.crc32)(0, data);
        if have != want {
            let image = NodeName::new(node.name());
            let (have, want) = (have.into(), want.into());
            return Err(self.report(BundleError::ImageChecksum { image, have, want }));
        }
        let ipa = node.value(LOAD.as_bytes()).and_then(u64_value);
        Ok(LoadImage {
            name: name(node.name()).ok_or_else(|| bad("name", "is too long"))?,
            ipa: Ipa(ipa.ok_or_else(|| bad(LOAD, "is missing or no address"))?),
            data,
        })
    }
}

/// `len` bytes of `file` from `at` on.
fn slice(file: &[u8], at: u32, len: u32) -> Option<&[u8]> {
    let (at, len) = (usize::try_from(at).ok()?, usize::try_from(len).ok()?);
    file.get(at..at.checked_add(len)?)
}
