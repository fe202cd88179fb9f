//! The boards that U-Boot starts Postern on: where U-Boot loads what, and what a card for it holds.
//!
//! The addresses are those of each board's environment in U-Boot, named in [`Facts::source`]: a
//! person at U-Boot's prompt finds the same ones in `printenv`. An image for the board writes them
//! down in its script, so that it also starts where the environment lacks one.

use std::fmt;

use anyhow::{Context as _, Result, bail};
use hyp_core::addr::{BLOCK_2M, Pa};
use hyp_core::memory::PaRange;

use crate::units::{parse_address, parse_size};

/// A board whose U-Boot is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Board {
    /// QEMU's `virt` machine with U-Boot's `qemu_arm64` build.
    Virt,
    /// AMD (Xilinx) ZCU102, a Zynq UltraScale+ with four Cortex-A53 and a GIC-400.
    Zcu102,
    /// AMD (Xilinx) Versal VCK190 and VMK180, with two Cortex-A72 and a GICv3.
    Versal,
    /// Raspberry Pi 4 Model B, with four Cortex-A72 and a GIC-400.
    Rpi4,
    /// NXP i.MX 8M Plus EVK, with four Cortex-A53 and a GICv3.
    Imx8mp,
    /// Any other, whose addresses are given.
    Generic,
}

/// Addresses of a board's U-Boot, and its memory, on a command line.
#[derive(Debug, Default, clap::Args)]
pub struct Addresses {
    /// Where U-Boot reads the image to (`kernel_addr_r`).
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    pub image_addr: Option<u64>,
    /// Where U-Boot reads the bundle to (`ramdisk_addr_r`).
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    pub bundle_addr: Option<u64>,
    /// Where the tree lies (`fdt_addr_r`, or `fdt_addr` if firmware has put it there).
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    pub tree_addr: Option<u64>,
    /// A bank of memory that the board's firmware fills in, instead of what the tree lists; may be repeated.
    #[arg(long = "memory", value_name = "ADDRESS:SIZE", value_parser = parse_bank)]
    pub memory: Vec<PaRange>,
}

/// How the board's boot ROM, or U-Boot alone, wants a card to be divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// The partition table of old, which each boot ROM knows.
    Mbr,
    /// A GUID partition table.
    Gpt,
}

/// A device tree that Debian's arm64 kernel package has for the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeFile {
    /// Folder within the package's trees.
    pub folder: &'static str,
    /// The file; on the card it has the same name.
    pub name: &'static str,
}

/// What is known of a board. Addresses are physical.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// What people call it.
    pub title: &'static str,
    /// Where U-Boot reads the image to: `kernel_addr_r`.
    pub image: u64,
    /// Where the image then runs, and where a FIT has it put: at or above `image`, a multiple of
    /// 2 MiB, to which `booti` moves it if need be.
    pub load: u64,
    /// Where U-Boot reads a tree to: `fdt_addr_r`, or where the tree already is. `None` if only
    /// the firmware knows.
    pub tree: Option<u64>,
    /// Where U-Boot reads the bundle, or a FIT, to: `ramdisk_addr_r`.
    pub bundle: u64,
    /// U-Boot moves itself to the end of the memory bank that holds `image`, or to this address
    /// if the bank goes on behind it.
    pub u_boot_below: u64,
    /// Where these addresses are written.
    pub source: &'static str,
    /// Memory of the smallest model, from address 0, where the tree's file lists none because the
    /// board's firmware fills it in.
    pub least_ram: Option<u64>,
    /// The tree to put on the card; without one U-Boot passes its own or the firmware's.
    pub tree_file: Option<TreeFile>,
    /// U-Boot passes the tree that the firmware has read from the card and completed, and not one
    /// that U-Boot reads itself.
    pub firmware_has_tree: bool,
    /// How a card is divided.
    pub table: Table,
    /// Where the card's partition begins, in bytes.
    pub partition: u64,
    /// What the card still lacks, in steps for a person. Empty if it is complete.
    pub to_add: &'static [&'static str],
}

/// Room that U-Boot takes where it has moved to: code, heap of at most 32 MiB, stack, tree.
pub const U_BOOT_SIZE: u64 = 48 << 20;

const MIB: u64 = 1 << 20;
const GIB_4: u64 = 1 << 32;

const VIRT: Facts = Facts {
    title: "QEMU's virt machine",
    image: 0x4040_0000,
    load: 0x4040_0000,
    tree: Some(0x4000_0000),
    bundle: 0x4400_0000,
    u_boot_below: GIB_4,
    source: "board/emulation/qemu-arm/qemu-arm.env",
    least_ram: None,
    tree_file: None,
    firmware_has_tree: true,
    table: Table::Gpt,
    partition: MIB,
    to_add: &[],
};

const ZCU102: Facts = Facts {
    title: "ZCU102 (Zynq UltraScale+)",
    image: 0x1800_0000,
    load: 0x1800_0000,
    tree: Some(0x4000_0000),
    bundle: 0x0210_0000,
    u_boot_below: 0x8000_0000,
    source: "include/configs/xilinx_zynqmp.h",
    least_ram: None,
    tree_file: Some(TreeFile { folder: "xilinx", name: "zynqmp-zcu102-rev1.0.dtb" }),
    firmware_has_tree: false,
    table: Table::Mbr,
    partition: MIB,
    to_add: &[
        "copy your BOOT.BIN (FSBL, PMU firmware, TF-A as EL3, U-Boot) into the first partition",
        "set the boot mode switches to SD",
    ],
};

const VERSAL: Facts = Facts {
    title: "Versal (VCK190, VMK180)",
    image: 0x1800_0000,
    load: 0x1800_0000,
    tree: Some(0x4000_0000),
    bundle: 0x0210_0000,
    u_boot_below: 0x8000_0000,
    source: "include/configs/xilinx_versal.h",
    least_ram: None,
    tree_file: None,
    firmware_has_tree: false,
    table: Table::Mbr,
    partition: MIB,
    to_add: &[
        "copy your BOOT.BIN (PLM, TF-A as EL3, U-Boot with its tree) into the first partition",
        "set the boot mode switches to SD",
    ],
};

const RPI4: Facts = Facts {
    title: "Raspberry Pi 4 Model B",
    image: 0x0008_0000,
    load: 0x0020_0000,
    tree: None,
    bundle: 0x0270_0000,
    u_boot_below: 0x3b40_0000,
    source: "board/raspberrypi/rpi/rpi.env",
    // 1 GiB less the least that the GPU takes.
    least_ram: Some(0x3b40_0000),
    tree_file: Some(TreeFile { folder: "broadcom", name: "bcm2711-rpi-4-b.dtb" }),
    firmware_has_tree: true,
    table: Table::Mbr,
    partition: MIB,
    to_add: &[
        "copy start4.elf and fixup4.dat, the Pi's own firmware, into the first partition; they \
         are not free software and not ours to ship: take them from the `boot` folder of \
         github.com/raspberrypi/firmware, or from Debian's package raspi-firmware (non-free)",
    ],
};

const IMX8MP: Facts = Facts {
    title: "i.MX 8M Plus EVK",
    image: 0x4048_0000,
    load: 0x4060_0000,
    tree: Some(0x4300_0000),
    bundle: 0x4380_0000,
    // `bootm_size` in the same place; U-Boot itself goes higher.
    u_boot_below: GIB_4,
    source: "include/configs/imx8mp_evk.h",
    least_ram: None,
    tree_file: Some(TreeFile { folder: "freescale", name: "imx8mp-evk.dtb" }),
    firmware_has_tree: false,
    table: Table::Gpt,
    // The boot ROM reads flash.bin, which has up to 7 MiB, from 32 KiB on.
    partition: 8 * MIB,
    to_add: &[
        "write your flash.bin (SPL, DDR firmware, TF-A as EL3, U-Boot) in front of the partition: \
         dd if=flash.bin of=CARD bs=1k seek=32 conv=notrunc,fsync",
        "set the boot mode switches to microSD",
    ],
};

/// Of a board of which nothing is known: the addresses are to be filled in.
const GENERIC: Facts = Facts {
    title: "a board whose addresses are given",
    image: 0,
    load: 0,
    tree: None,
    bundle: 0,
    u_boot_below: GIB_4,
    source: "the command line",
    least_ram: None,
    tree_file: None,
    firmware_has_tree: false,
    // Boot ROMs read firmware from where a GUID table would be, up to some MiB behind it.
    table: Table::Mbr,
    partition: 16 * MIB,
    to_add: &[
        "put your board's boot firmware (up to U-Boot) where its boot ROM looks for it: into \
               flash, into the first partition, or in front of that, where 16 MiB are free",
    ],
};

impl Board {
    /// What is known of it; nothing of [`Self::Generic`].
    pub const fn facts(self) -> Option<&'static Facts> {
        match self {
            Self::Virt => Some(&VIRT),
            Self::Zcu102 => Some(&ZCU102),
            Self::Versal => Some(&VERSAL),
            Self::Rpi4 => Some(&RPI4),
            Self::Imx8mp => Some(&IMX8MP),
            Self::Generic => None,
        }
    }

    /// What is known of it, with the addresses that are given.
    ///
    /// # Errors
    ///
    /// An address that is not known is missing.
    pub fn with(self, given: &Addresses) -> Result<Facts> {
        let missing = |option: &str, variable: &str| {
            format!(
                "--board generic takes {option}: `printenv {variable}` at U-Boot's prompt says it on most \
                 boards, else take an address in RAM that `board-check` has nothing against"
            )
        };
        let facts = match self.facts() {
            Some(facts) => Facts { tree: given.tree_addr.or(facts.tree), ..*facts },
            None => {
                let tree = given.tree_addr.with_context(|| missing("--tree-addr", "fdt_addr_r"))?;
                Facts { tree: Some(tree), ..GENERIC }
            }
        };
        let known = |given: Option<u64>, known: u64| given.or(self.facts().map(|_| known));
        let image = known(given.image_addr, facts.image)
            .with_context(|| missing("--image-addr", "kernel_addr_r"))?;
        let bundle = known(given.bundle_addr, facts.bundle)
            .with_context(|| missing("--bundle-addr", "ramdisk_addr_r"))?;
        let load = image
            .checked_next_multiple_of(BLOCK_2M)
            .with_context(|| format!("--image-addr {image:#x} is at the end of all addresses"))?;
        Ok(Facts { image, load, bundle, ..facts })
    }

    /// The word for it on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Virt => "virt",
            Self::Zcu102 => "zcu102",
            Self::Versal => "versal",
            Self::Rpi4 => "rpi4",
            Self::Imx8mp => "imx8mp",
            Self::Generic => "generic",
        }
    }
}

impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A bank such as `0x80000000:512M`.
fn parse_bank(text: &str) -> Result<PaRange> {
    let Some((base, size)) = text.split_once(':') else {
        bail!("`{text}` is no bank of memory; write for example 0x80000000:512M");
    };
    PaRange::new(Pa(parse_address(base)?), parse_size(size)?)
        .filter(|range| !range.is_empty())
        .with_context(|| format!("`{text}` is empty or ends above 64-bit addresses"))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn the_table_keeps_what_it_promises() {
        for board in Board::value_variants() {
            let word = board.to_possible_value().unwrap();
            assert_eq!(word.get_name(), board.name());
            let Some(facts) = board.facts() else { continue };
            // Linux, Documentation/arch/arm64/booting.rst: a 2 MiB aligned base.
            assert!(facts.load.is_multiple_of(2 * MIB), "{board}");
            assert_eq!(facts.load, facts.image.next_multiple_of(2 * MIB), "{board}");
            assert!(facts.partition.is_multiple_of(MIB), "{board}");
            assert!(facts.bundle.is_multiple_of(8), "{board}");
            assert!(facts.tree.is_none_or(|tree| tree.is_multiple_of(8)), "{board}");
            // Where U-Boot has to read the tree, it needs to know to where.
            assert!(facts.tree.is_some() || facts.firmware_has_tree, "{board}");
        }
    }

    #[test]
    fn banks_are_read_and_nonsense_is_refused() {
        let bank = parse_bank("0x8000_0000:512M").unwrap();
        assert_eq!((bank.base(), bank.size()), (Pa(0x8000_0000), 512 << 20));
        for wrong in ["", "512M", "0x80000000", "x:1M", "0:0", "0xffffffffffffffff:1M"] {
            assert!(parse_bank(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_generic_board_takes_every_address_and_a_known_one_some() {
        let mut given = Addresses { image_addr: Some(0x4020_1000), ..Addresses::default() };
        let facts = Board::Virt.with(&given).unwrap();
        assert_eq!(
            (facts.image, facts.load, facts.bundle),
            (0x4020_1000, 0x4040_0000, VIRT.bundle)
        );
        for option in ["--tree-addr", "--bundle-addr"] {
            let error = Board::Generic.with(&given).unwrap_err().to_string();
            assert!(error.contains(option) && error.contains("printenv"), "{error}");
            given.tree_addr = Some(0x4300_0000);
        }
        given.bundle_addr = Some(0x4400_0000);
        let facts = Board::Generic.with(&given).unwrap();
        assert_eq!(
            (facts.load, facts.bundle, facts.tree),
            (0x4040_0000, 0x4400_0000, Some(0x4300_0000))
        );
        given.image_addr = None;
        assert!(Board::Generic.with(&given).unwrap_err().to_string().contains("--image-addr"));
        given.image_addr = Some(u64::MAX);
        assert!(Board::Generic.with(&given).is_err());
    }
}
