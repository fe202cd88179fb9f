//! What can stop the boot of a board.

use serde::Serialize;

/// What stops the boot, in the order in which a census lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The file is no tree, or a damaged one.
    Damaged,
    /// The tree is too large.
    TreeSize,
    /// The tree's address is no multiple of 8.
    TreeAddress,
    /// No memory is listed.
    NoMemory,
    /// Memory lies where a device is.
    MemoryOverDevice,
    /// Too little memory is free, or it is in too many pieces.
    MemoryUnfit,
    /// No CPU is listed.
    NoCpu,
    /// PSCI cannot be called, or is too old.
    Psci,
    /// No GIC.
    NoGic,
    /// A GICv2 without GICH and GICV.
    GicWithoutVirtualization,
    /// Too few redistributors.
    Redistributors,
    /// Timers whose interrupts cannot be theirs.
    Timers,
    /// No UART with a driver, and none is named.
    NoConsole,
    /// The console has no driver.
    ConsoleWithoutDriver,
    /// Something is to be loaded where it cannot be.
    Address,
    /// Two things are to be loaded to the same place.
    Overlap,
    /// A VM has more vCPUs than there are CPUs.
    VmCpus,
    /// A VM has more memory than there is.
    VmMemory,
}

impl Cause {
    /// What it is about, in a word.
    pub fn topic(self) -> &'static str {
        match self {
            Self::Damaged | Self::TreeSize | Self::TreeAddress => "tree",
            Self::NoMemory | Self::MemoryOverDevice | Self::MemoryUnfit => "memory",
            Self::NoCpu => "CPUs",
            Self::Psci => "firmware",
            Self::NoGic | Self::GicWithoutVirtualization | Self::Redistributors | Self::Timers => {
                "interrupts"
            }
            Self::NoConsole | Self::ConsoleWithoutDriver => "console",
            Self::Address | Self::Overlap => "addresses",
            Self::VmCpus | Self::VmMemory => "VMs",
        }
    }

    /// The name that JSON has for it.
    pub fn name(self) -> String {
        // A variant without fields is a string.
        serde_json::to_value(self)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    }
}
