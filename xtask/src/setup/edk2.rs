//! EDK2, the reference implementation of EFI firmware, as Debian builds it for QEMU's `virt` machine.

use std::path::PathBuf;

use anyhow::Result;

use super::apt::Archive;
use super::parts::{Kept, Parts};

/// The file that QEMU takes as `-bios`; it remembers nothing between runs.
const EDK2_VIRT: Parts = Parts {
    name: "edk2-virt",
    archive: Archive::GUESTS,
    package: "qemu-efi-aarch64",
    version: "",
    through: None,
    files: &["usr/share/qemu-efi-aarch64/QEMU_EFI.fd"],
    kept: Kept::Names,
    why: "to start the hypervisor as EFI firmware does",
};

/// EDK2 for `virt`, fetched if the cache has none.
///
/// # Errors
/// If it has to be fetched and that fails.
pub(crate) fn ensure_edk2() -> Result<PathBuf> {
    Ok(EDK2_VIRT.ensure()?.join("QEMU_EFI.fd"))
}
