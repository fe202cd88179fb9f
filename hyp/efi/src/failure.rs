//! Why the hypervisor cannot be started, with the remedy.
//!
//! The texts are put out piece by piece: `core::fmt` would be a third of this program.

use uefi_raw::Status;

use crate::firmware::Firmware;

/// What is in the way.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The wrong exception level.
    Level,
    /// No device tree.
    NoTree,
    /// A device tree that is damaged, or says impossible things.
    Tree,
    /// This program does not come from a volume.
    NoVolume(Status),
    /// No bundle, which has this name.
    NoBundle(&'static str),
    /// A file that is there cannot be read.
    Read(&'static str, Status),
    /// A file with words for Postern that are no words.
    Words(&'static str),
    /// Not enough memory.
    Memory(Status),
    /// The image is not what this program is a part of.
    Image,
    /// The firmware keeps the machine.
    Exit(Status),
}

/// The user has been told what is in the way.
#[derive(Debug)]
pub(crate) struct Told;

impl Failure {
    /// Tells cause and remedy in one line.
    // A caller that knows what it was needs no more than the text of that.
    #[inline(always)]
    pub(crate) fn tell(self, console: &Firmware) -> Told {
        match self {
            Self::Level => console.error(
                "not started at EL2, which a hypervisor needs: enable virtualization in the \
                 firmware (QEMU: -machine virt,virtualization=on)",
            ),
            Self::NoTree => console.error(
                "the firmware passes no device tree, and Postern does not read ACPI: make it pass \
                 one (EDK2 on QEMU: -machine acpi=off; EDK2 on boards: Device Tree in its setup; \
                 U-Boot: the second address of bootefi)",
            ),
            Self::Tree => console.error("the firmware's device tree is damaged"),
            Self::NoVolume(status) => {
                console.error("cannot read the volume from which Postern was started");
                console.status(status);
            }
            Self::NoBundle(name) => {
                console.error("no bundle: make one with cargo xtask bundle and put it as ");
                console.text(name);
                console.text(" into the folder from which Postern was started");
            }
            Self::Read(name, status) => {
                console.error("cannot read ");
                console.text(name);
                console.status(status);
            }
            Self::Words(name) => {
                console.error(name);
                console.text(" is no ASCII text of at most 1024 bytes");
            }
            Self::Memory(status) => {
                console.error("the firmware has not enough memory left");
                console.status(status);
            }
            Self::Image => console.error(
                "the firmware has not loaded Postern's image as a whole: start postern.img as it is",
            ),
            Self::Exit(status) => {
                console.error("the firmware does not end its boot services");
                console.status(status);
            }
        }
        Told
    }
}
