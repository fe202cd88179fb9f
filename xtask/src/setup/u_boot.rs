//! U-Boot as Debian builds it, for QEMU's `virt` machine and for Raspberry Pis.

use std::path::PathBuf;

use anyhow::Result;

use super::apt::Archive;
use super::parts::{Kept, Parts};

/// The 64-bit build.
const U_BOOT_VIRT: Parts = Parts {
    name: "u-boot-virt",
    archive: Archive::GUESTS,
    package: "u-boot-qemu",
    version: "",
    through: None,
    files: &["usr/lib/u-boot/qemu_arm64/u-boot.bin"],
    kept: Kept::Names,
    why: "to start the hypervisor as a board does",
};

/// The build for the Raspberry Pi 4.
const U_BOOT_RPI: Parts = Parts {
    name: "u-boot-rpi4",
    archive: Archive::GUESTS,
    package: "u-boot-rpi:arm64",
    version: "",
    through: None,
    files: &["usr/lib/u-boot/rpi_4/u-boot.bin"],
    kept: Kept::Names,
    why: "which the Raspberry Pi's firmware reads from its card",
};

/// U-Boot for `virt`, fetched if the cache has none.
///
/// # Errors
/// If it has to be fetched and that fails.
pub(crate) fn ensure_u_boot() -> Result<PathBuf> {
    Ok(U_BOOT_VIRT.ensure()?.join("u-boot.bin"))
}

/// U-Boot for the Raspberry Pi 4, fetched if the cache has none.
///
/// # Errors
/// If it has to be fetched and that fails.
pub(crate) fn ensure_u_boot_rpi() -> Result<PathBuf> {
    Ok(U_BOOT_RPI.ensure()?.join("u-boot.bin"))
}
