//! U-Boot for QEMU's `virt` machine, as Debian builds it.

use std::path::PathBuf;

use anyhow::Result;

use super::apt::Archive;
use super::parts::Parts;

/// The 64-bit build.
const U_BOOT_VIRT: Parts = Parts {
    name: "u-boot-virt",
    archive: Archive::GUESTS,
    package: "u-boot-qemu",
    version: "",
    through: None,
    files: &["usr/lib/u-boot/qemu_arm64/u-boot.bin"],
    why: "to start the hypervisor as a board does",
};

/// U-Boot, fetched if the cache has none.
///
/// # Errors
/// If it has to be fetched and that fails.
pub(crate) fn ensure_u_boot() -> Result<PathBuf> {
    Ok(U_BOOT_VIRT.ensure()?.join("u-boot.bin"))
}
