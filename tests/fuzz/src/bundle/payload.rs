//! Kernels and programs as `cargo xtask` reads them: refused with a reason, or placed whole.

#[path = "../../../../xtask/src/payload/mod.rs"]
#[expect(unreachable_pub, reason = "elsewhere it is part of a program, which has no users")]
#[expect(dead_code, reason = "no file is read here")]
mod read;

use std::path::Path;

use read::{Kind, Payload, image_size};

/// One file.
pub(super) fn check(file: Vec<u8>) {
    let path = Path::new("file");
    for address in [None, Some(0x4000_0000), Some(u64::MAX - 0x1f_ffff), Some(0x4000_0002)] {
        let Ok(payload) = Payload::recognize(path, file.clone(), address) else { continue };
        let Payload { source, kind, bytes, load, end, entry, doubt } = payload;
        assert_eq!(source, path);
        let behind = u128::from(load) + bytes.len() as u128;
        assert!(behind <= u128::from(end), "{kind:?}: {load:#x} to {end:#x} has {}", bytes.len());
        assert!((load..end).contains(&entry));
        match kind {
            Kind::Raw => assert_eq!((bytes.len() as u64, entry), (end - load, load)),
            Kind::Image => assert_eq!(entry, load),
            Kind::Elf => assert!(address.is_none()),
        }
        assert!(doubt.is_none() || kind == Kind::Image);
    }
    if let Ok(size) = image_size(&file) {
        assert!(size >= file.len() as u64);
    }
}
