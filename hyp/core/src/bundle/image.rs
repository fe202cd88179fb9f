//! Images: names resolved to bytes whose checksum is right.

use super::{BundleError, Crc32, LoadImage};
use crate::addr::Ipa;
use crate::tree::{Node, NodeName, u32_value, u64_value};
use core::str;
use hyp_abi::bundle::{
    CRC32, DATA_POSITION, DATA_SIZE, HASH, HASH_ALGORITHM, HASH_VALUE, LOAD, MAX_NAME,
};

/// A name from the bundle, if it is one that Postern writes.
pub(super) fn name(bytes: &[u8]) -> Option<&str> {
    let text = str::from_utf8(bytes).ok()?;
    (1..=MAX_NAME).contains(&text.len()).then_some(text)
}

/// The bytes that `node` describes, checked.
pub(super) fn load<'a>(
    file: &'a [u8],
    node: Node<'a>,
    crc32: Crc32,
) -> Result<LoadImage<'a>, BundleError> {
    let image = NodeName::new(node.name());
    let bad = |property, problem| BundleError::Image { image, property, problem };
    let number = |property: &'static str| {
        node.value(property.as_bytes())
            .and_then(u32_value)
            .and_then(|value| usize::try_from(value).ok())
            .ok_or_else(|| bad(property, "is missing or not one cell"))
    };
    let (at, len) = (number(DATA_POSITION)?, number(DATA_SIZE)?);
    let data = at
        .checked_add(len)
        .and_then(|end| file.get(at..end))
        .ok_or(BundleError::ImageCut { image })?;
    let hash = node.child(HASH.as_bytes()).ok_or_else(|| bad(HASH, "is missing"))?;
    let algorithm = hash.value(HASH_ALGORITHM.as_bytes());
    if algorithm.and_then(|value| value.strip_suffix(b"\0")) != Some(CRC32.as_bytes()) {
        return Err(bad(HASH_ALGORITHM, "is not crc32"));
    }
    let want = hash.value(HASH_VALUE.as_bytes()).and_then(u32_value);
    let want = want.ok_or_else(|| bad(HASH_VALUE, "is missing or not one cell"))?;
    let have = crc32(0, data);
    if have != want {
        return Err(BundleError::ImageChecksum { image, have, want });
    }
    let ipa = node.value(LOAD.as_bytes()).and_then(u64_value);
    Ok(LoadImage {
        name: name(node.name()).ok_or_else(|| bad("name", "is too long"))?,
        ipa: Ipa(ipa.ok_or_else(|| bad(LOAD, "is missing or no address"))?),
        data,
    })
}
