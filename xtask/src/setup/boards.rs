//! Device trees of boards, as Linux has them.

use std::path::PathBuf;

use anyhow::Result;

use super::apt::Archive;
use super::parts::Parts;

/// Trees of the boards that QEMU emulates without having a tree of its own for them. The series is
/// that of Debian's stable release.
const TREES: Parts = Parts {
    name: "board-trees",
    archive: Archive::GUESTS,
    package: "linux-image-arm64:arm64",
    version: "6.1.",
    through: Some("linux-image-"),
    files: &[
        "usr/lib/linux-image-*/broadcom/bcm2711-rpi-4-b.dtb",
        "usr/lib/linux-image-*/freescale/imx8mp-evk.dtb",
        "usr/lib/linux-image-*/xilinx/zynqmp-zcu102-rev1.0.dtb",
    ],
    why: "from a package of Linux, to tell the hypervisor what is on a board",
};

/// The folder with the boards' trees, fetched if the cache has none.
///
/// # Errors
/// If it has to be fetched and that fails.
pub(crate) fn ensure_board_trees() -> Result<PathBuf> {
    TREES.ensure()
}

/// Whether using them fetches nothing.
pub(crate) fn has_board_trees() -> bool {
    TREES.is_present()
}
