//! Boot loaders that leave the CPU in another state than QEMU does.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// What stands between QEMU and EL2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loader {
    /// Enters the image at EL2 with MMU and caches on over a flat map, as UEFI and some boot loaders
    /// do, and 2 MiB behind where QEMU would.
    MmuOn,
}

/// Where the loader's table is; it begins with an arm64 `Image` header at 0.
const TABLE: usize = 0x1000;
/// Where the hypervisor's image is: at the next address that its header allows.
const IMAGE: usize = 2 << 20;
/// Where the code is, behind the header.
const CODE: usize = 64;

/// Turns the MMU on and jumps to the image; x0, the device tree's address, stays.
const MMU_ON: [u32; 18] = [
    0x1000_7e01, // adr  x1, TABLE
    0xd51c_2001, // msr  ttbr0_el2, x1
    0xd280_9fe1, // mov  x1, #0x04ff            0: Normal write-back, 1: Device-nGnRE
    0xd51c_a201, // msr  mair_el2, x1
    0x5286_a321, // mov  w1, #0x3519            39 bits, 4 KiB, write-back inner-shareable walks,
    0x72b0_1041, // movk w1, #0x8082, lsl #16   40 physical bits
    0xd51c_2041, // msr  tcr_el2, x1
    0xd503_3fdf, // isb
    0xd50c_871f, // tlbi alle2
    0xd503_379f, // dsb  nsh
    0xd503_3fdf, // isb
    0x5283_06a1, // mov  w1, #0x1835            M, C, I and the bits that are 1
    0x72a6_18a1, // movk w1, #0x30c5, lsl #16
    0xd51c_1001, // msr  sctlr_el2, x1
    0xd503_3fdf, // isb
    0x10ff_fc21, // adr  x1, the header
    0x9148_0021, // add  x1, x1, IMAGE
    0xd61f_0020, // br   x1
];

/// Descriptors of blocks of 1 GiB: Device, and Normal memory.
const DEVICE_BLOCK: u64 = 0x445;
const MEMORY_BLOCK: u64 = 0x741;

impl Loader {
    /// Writes a loader followed by the hypervisor's `image` to `path`.
    ///
    /// # Errors
    ///
    /// A file cannot be read or written.
    pub fn write(self, image: &Path, path: &Path) -> Result<()> {
        let image = fs::read(image).with_context(|| format!("cannot read {}", image.display()))?;
        let Self::MmuOn = self;
        fs::write(path, with_mmu_on(&image))
            .with_context(|| format!("could not write {}", path.display()))
    }
}

fn with_mmu_on(image: &[u8]) -> Vec<u8> {
    let mut file = vec![0; IMAGE];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    // Branch to the code; then Linux, Documentation/arch/arm64/booting.rst.
    put(0, &0x1400_0010_u32.to_le_bytes());
    put(16, &(2 * IMAGE as u64).to_le_bytes());
    put(24, &0xa_u64.to_le_bytes());
    put(56, b"ARM\x64");
    for (n, word) in MMU_ON.iter().enumerate() {
        put(CODE + 4 * n, &word.to_le_bytes());
    }
    // `virt` has devices in the first GiB and memory above.
    for (n, gib) in (0..512_u64).enumerate() {
        let kind = if gib == 0 { DEVICE_BLOCK } else { MEMORY_BLOCK };
        put(TABLE + 8 * n, &(gib << 30 | kind).to_le_bytes());
    }
    file.extend_from_slice(image);
    file
}
