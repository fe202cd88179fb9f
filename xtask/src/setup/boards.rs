//! Device trees of boards, as Linux has them.

use std::path::PathBuf;

use anyhow::Result;

use super::apt::Archive;
use super::parts::{Kept, Parts};

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
    kept: Kept::Names,
    why: "from a package of Linux, to tell the hypervisor what is on a board",
};

/// Every tree of that package in its newest long-term series, in the folders that it has them in: one
/// for each maker of SoCs.
const ALL_TREES: Parts = Parts {
    name: "all-trees-6.12",
    version: "6.12.",
    files: &["usr/lib/linux-image-*/*.dtb"],
    kept: Kept::Folders,
    why: "from a package of Linux, to see on which boards the hypervisor would boot",
    ..TREES
};

/// The folder with every tree of Debian's kernel package, fetched if the cache has none.
///
/// # Errors
/// If it has to be fetched and that fails.
pub(crate) fn ensure_all_trees() -> Result<PathBuf> {
    ALL_TREES.ensure()
}

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
