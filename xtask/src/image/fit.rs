//! A flattened image tree (FIT) for U-Boot's `bootm`: the image, the bundle and perhaps the board's
//! tree, each with its SHA-256, which U-Boot checks before it starts anything.
//!
//! Format: the FIT specification, as in U-Boot's `doc/usage/fit/source_file_format.rst`.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::contents::Contents;
use crate::bundle::node::Node;

/// Name of the one configuration.
pub(super) const CONFIGURATION: &str = "postern";

/// The file: the image goes to the physical address `load` and is entered there, the rest where
/// U-Boot likes.
///
/// # Errors
///
/// The parts are larger than the 2 GiB that the format can hold.
pub(super) fn write(contents: &Contents<'_>, load: u64) -> Result<Vec<u8>> {
    let Contents { image, bundle, tree, .. } = *contents;
    let tree = tree.map(|tree| tree.bytes);
    let optional = [bundle, tree].into_iter().flatten().map(<[u8]>::len);
    i32::try_from(image.len() + optional.sum::<usize>() + 0x2000)
        .context("image and bundle are larger than the 2 GiB that a FIT can hold")?;
    let hypervisor = part("hypervisor", "kernel", image).with("load", load).with("entry", load);
    let mut images = Node::new("images").child(hypervisor);
    let mut configuration = Node::new(CONFIGURATION)
        .with("description", "Postern and its VMs")
        .with("kernel", "hypervisor");
    if let Some(bundle) = bundle {
        images = images.child(part("bundle", "ramdisk", bundle));
        configuration = configuration.with("ramdisk", "bundle");
    }
    if let Some(tree) = tree {
        images = images.child(part("tree", "flat_dt", tree));
        configuration = configuration.with("fdt", "tree");
    }
    let configurations =
        Node::new("configurations").with("default", CONFIGURATION).child(configuration);
    Ok(Node::new("")
        .with("description", "Postern")
        // FIT wants one; a constant keeps images reproducible.
        .with("timestamp", 0_u32)
        .with("#address-cells", 2_u32)
        .child(images)
        .child(configurations)
        .flatten())
}

/// One image with its checksum.
fn part(name: &str, kind: &str, bytes: &[u8]) -> Node {
    let hash =
        Node::new("hash-1").with("algo", "sha256").with("value", Sha256::digest(bytes).as_slice());
    Node::new(name)
        .with("description", name)
        .with("type", kind)
        .with("arch", "arm64")
        .with("os", "linux")
        .with("compression", "none")
        .with("data", bytes)
        .child(hash)
}

#[cfg(test)]
mod tests {
    use hyp_core::tree::Tree;

    use super::super::contents::NamedTree;
    use super::*;

    #[test]
    fn u_boot_finds_parts_addresses_and_sums() {
        let tree = Some(NamedTree { name: "board.dtb", bytes: b"tree" });
        let contents = Contents { image: b"abc", bundle: Some(b"bundle"), tree, arguments: "" };
        let fit = write(&contents, 0x4040_0000).unwrap();
        let tree = Tree::new(&fit).unwrap();
        let value = |node: &str, property: &str| {
            let node = tree.find(node.as_bytes()).unwrap();
            node.value(property.as_bytes()).unwrap()
        };
        assert_eq!(value("/configurations", "default"), b"postern\0");
        for (role, kind, data) in [
            ("kernel", &b"kernel\0"[..], &b"abc"[..]),
            ("ramdisk", b"ramdisk\0", b"bundle"),
            ("fdt", b"flat_dt\0", b"tree"),
        ] {
            let name = value("/configurations/postern", role).strip_suffix(b"\0").unwrap();
            let image = format!("/images/{}", std::str::from_utf8(name).unwrap());
            assert_eq!(value(&image, "type"), kind);
            assert_eq!(value(&image, "data"), data);
            assert_eq!(value(&format!("{image}/hash-1"), "algo"), b"sha256\0");
        }
        // The digest of "abc" in FIPS 180-4's examples begins and ends so.
        let sum = value("/images/hypervisor/hash-1", "value");
        assert_eq!((sum.len(), sum.get(..4)), (32, Some(&[0xba, 0x78, 0x16, 0xbf][..])));
        assert_eq!(sum.get(28..), Some(&[0xf2, 0x00, 0x15, 0xad][..]));
        for address in ["load", "entry"] {
            assert_eq!(value("/images/hypervisor", address), 0x4040_0000_u64.to_be_bytes());
        }
    }
}
