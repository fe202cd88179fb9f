//! Boot loaders that leave the CPU in another state than QEMU does.

mod code;
mod rows;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use dtoolkit::fdt::Fdt;
use dtoolkit::memreserve::MemoryReservation;
use dtoolkit::model::{DeviceTree, DeviceTreeProperty};
use hyp_core::tree::Tree;
use serde::Deserialize;

use code::{Code, RELEASE};
use rows::Row;

/// What stands between QEMU and EL2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Loader {
    /// Enters the image at EL2 with MMU and caches on over a flat map, as UEFI and some boot loaders
    /// do, and 2 MiB behind where QEMU would.
    MmuOn,
    /// The same with everything else odd, too: HCR_EL2 all ones, so that where the CPU has VHE
    /// translation is that of EL2&0, traps on, vectors nowhere, stack SP_EL0, interrupts let in.
    Odd,
    /// With the MMU off and data accesses big-endian (SCTLR_EL2.EE).
    BigEndian,
    /// With all other CPUs started before, which wait at one word for where to go: [`SPIN_WORD`].
    SharedSpin,
    /// With the MMU off and one thing odd, on each CPU: the others wait at a spin table that the loader
    /// has made.
    Row(&'static Row),
}

impl TryFrom<String> for Loader {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        Ok(match word.as_str() {
            "mmu-on" => Self::MmuOn,
            "odd" => Self::Odd,
            "big-endian" => Self::BigEndian,
            "shared-spin" => Self::SharedSpin,
            other => match other.strip_prefix("odd:").and_then(rows::find) {
                Some(row) => Self::Row(row),
                None => {
                    return Err(format!(
                        "there is no loader {other:?}: write mmu-on, odd, big-endian, shared-spin or odd: and a \
                         name in xtask/src/scenario/loader/rows.rs"
                    ));
                }
            },
        })
    }
}

/// Where QEMU's `virt` puts the loader.
const LOADED_AT: u64 = 0x4020_0000;
/// The most CPUs that wait at the spin table, the boot CPU included.
const MAX_CPUS: u64 = 4;

/// Where the CPUs of [`Loader::SharedSpin`] wait: in the page that begins here in the loader, whose last doubleword is the word.
const PEN: usize = 0x2000;
/// Physical address of that word on `virt`.
pub const SPIN_WORD: u64 = 0x4020_2ff8;

/// Where the loader's table is; it begins with an arm64 `Image` header at 0.
const TABLE: usize = 0x1000;
/// Where the hypervisor's image is: at the next address that its header allows.
const IMAGE: usize = 2 << 20;
/// Where the code is, behind the header.
const CODE: usize = 64;

/// Turns the MMU on.
const MMU_ON: &[u32] = &[
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
];

/// Makes everything odd, then turns the MMU on in the layout that E2H asks for.
const ODD: &[u32] = &[
    0xd503_4fff, // msr  daifclr, #15
    0xd500_40bf, // msr  spsel, #0
    0xd2bb_d5a2, // mov  x2, #0xdead0000
    0xf280_2462, // movk x2, #0x123
    0x9100_005f, // mov  sp, x2
    0xd51c_c002, // msr  vbar_el2, x2
    0xd51c_d042, // msr  tpidr_el2, x2
    0x9280_0001, // mov  x1, #-1
    0xd51c_2101, // msr  vttbr_el2, x1
    0xd51c_1141, // msr  cptr_el2, x1
    0xd51c_1161, // msr  hstr_el2, x1
    0xd51c_e061, // msr  cntvoff_el2, x1
    0xd51c_e11f, // msr  cnthctl_el2, xzr
    0xd51c_1101, // msr  hcr_el2, x1
    0xd503_3fdf, // isb
    0xd53c_1103, // mrs  x3, hcr_el2
    0xd362_8863, // ubfx x3, x3, #34, #1        E2H, if the CPU has it
    0x1000_7be1, // adr  x1, TABLE
    0xd51c_2001, // msr  ttbr0_el2, x1
    0xd280_9fe1, // mov  x1, #0x04ff
    0xd51c_a201, // msr  mair_el2, x1
    0x5286_a321, // mov  w1, #0x3519
    0x72b0_1041, // movk w1, #0x8082, lsl #16
    0x5286_a324, // mov  w4, #0x3519            the same in the layout of EL1, TTBR1 off
    0x72b0_1004, // movk w4, #0x8080, lsl #16
    0xb25f_0084, // orr  x4, x4, #0x200000000
    0xf100_007f, // cmp  x3, #0
    0x9a84_0021, // csel x1, x1, x4, eq
    0xd51c_2041, // msr  tcr_el2, x1
    0xd503_3fdf, // isb
    0xd50c_871f, // tlbi alle2
    0xd503_379f, // dsb  nsh
    0xd503_3fdf, // isb
    0x5283_06a1, // mov  w1, #0x1835
    0x72a6_18a1, // movk w1, #0x30c5, lsl #16
    0xd51c_1001, // msr  sctlr_el2, x1
    0xd503_3fdf, // isb
];

/// Makes data accesses big-endian.
const BIG_ENDIAN: &[u32] = &[
    0x5281_0601, // mov  w1, #0x0830
    0x72a6_58a1, // movk w1, #0x32c5, lsl #16   EE and the bits that are 1
    0xd51c_1001, // msr  sctlr_el2, x1
    0xd503_3fdf, // isb
];

/// Starts CPU after CPU, in the pen, until there is none (DEN0022, CPU_ON).
const START_CPUS: &[u32] = &[
    0xaa00_03f3, // mov  x19, x0
    0xd280_0034, // mov  x20, #1                affinities of `virt` count up
    0x5280_0060, // mov  w0, #3
    0x72b8_8000, // movk w0, #0xc400, lsl #16
    0xaa14_03e1, // mov  x1, x20
    0x1000_fd62, // adr  x2, PEN
    0xd280_0003, // mov  x3, #0
    0xd400_0003, // smc  #0
    0x9100_0694, // add  x20, x20, #1
    0xb4ff_ff20, // cbz  x0, -7 instructions
    0xaa13_03e0, // mov  x0, x19
];

/// What a CPU in the pen runs.
const WAIT_FOR_WORD: &[u32] = &[
    0x1000_7fc1, // adr  x1, the word
    0xd503_205f, // wfe
    0xf940_0022, // ldr  x2, [x1]
    0xb4ff_ffc2, // cbz  x2, -2 instructions
    0xd61f_0040, // br   x2
];

/// Jumps to the image at `IMAGE`; x0, the device tree's address, has stayed. `at` is where this
/// stands.
fn jump(at: usize) -> [u32; 3] {
    // ADR with a distance below 0: 21 bits, the upper 19 of them from bit 5 on.
    let words = u32::try_from(at / 4).unwrap_or(0);
    let header = 0x1000_0001 | ((0x8_0000 - words) << 5);
    [
        header,      // adr  x1, the header
        0x9148_0021, // add  x1, x1, IMAGE
        0xd61f_0020, // br   x1
    ]
}

/// Descriptors of blocks of 1 GiB: Device, and Normal memory.
const DEVICE_BLOCK: u64 = 0x445;
const MEMORY_BLOCK: u64 = 0x741;
/// The same for EL2&0, where AP\[1\] would let EL0 write, and so EL2 not execute.
const MEMORY_BLOCK_E2H: u64 = 0x701;

impl Loader {
    /// Writes a loader followed by the hypervisor's `image` to `path`.
    ///
    /// # Errors
    ///
    /// A file cannot be read or written.
    pub fn write(self, image: &Path, path: &Path) -> Result<()> {
        let image = fs::read(image).with_context(|| format!("cannot read {}", image.display()))?;
        fs::write(path, self.prepended(&image))
            .with_context(|| format!("could not write {}", path.display()))
    }

    /// Whether other CPUs wait in the loader, so that the tree has to say so.
    pub const fn makes_spin_table(self) -> bool {
        matches!(self, Self::Row(_))
    }

    /// The machine's `tree` with the loader's spin table.
    ///
    /// # Errors
    ///
    /// The tree is damaged.
    pub fn tell(self, tree: &[u8]) -> Result<Vec<u8>> {
        Tree::new(tree).map_err(|error| anyhow!("the machine's tree is damaged: {error}"))?;
        let mut tree = DeviceTree::from_fdt(&Fdt::new_unchecked(tree));
        tree.memory_reservations.push(MemoryReservation::new(LOADED_AT, IMAGE as u64));
        let cpus = tree.root.child_mut("cpus").context("a tree without /cpus")?;
        for number in 1..MAX_CPUS {
            let Some(cpu) = cpus.child_mut(&format!("cpu@{number}")) else { break };
            let word = LOADED_AT + RELEASE as u64 + 8 * number;
            for (name, value) in [
                ("enable-method", b"spin-table\0".as_slice()),
                ("cpu-release-addr", &word.to_be_bytes()),
            ] {
                cpu.add_property(DeviceTreeProperty::new_unchecked(name, value));
            }
        }
        Ok(tree.to_dtb())
    }

    fn prepended(self, image: &[u8]) -> Vec<u8> {
        let (code, memory) = match self {
            Self::MmuOn => (MMU_ON, MEMORY_BLOCK),
            Self::Odd => (ODD, MEMORY_BLOCK_E2H),
            Self::BigEndian => (BIG_ENDIAN, MEMORY_BLOCK),
            Self::SharedSpin => (START_CPUS, MEMORY_BLOCK),
            Self::Row(row) => return Self::with_row(row, image),
        };
        let mut file = Self::empty();
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        let jump = jump(CODE + 4 * code.len());
        for (n, word) in code.iter().chain(&jump).enumerate() {
            put(CODE + 4 * n, &word.to_le_bytes());
        }
        for (n, word) in WAIT_FOR_WORD.iter().enumerate() {
            put(PEN + 4 * n, &word.to_le_bytes());
        }
        // `virt` has devices in the first GiB and memory above.
        for (n, gib) in (0..512_u64).enumerate() {
            let kind = if gib == 0 { DEVICE_BLOCK } else { memory };
            put(TABLE + 8 * n, &(gib << 30 | kind).to_le_bytes());
        }
        file.extend_from_slice(image);
        file
    }

    /// What stands before the image, with nothing but its header: a branch to the code, then Linux,
    /// Documentation/arch/arm64/booting.rst.
    fn empty() -> Vec<u8> {
        let mut file = vec![0; IMAGE];
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &0x1400_0010_u32.to_le_bytes());
        put(16, &(2 * IMAGE as u64).to_le_bytes());
        put(24, &0xa_u64.to_le_bytes());
        put(56, b"ARM\x64");
        file
    }

    fn with_row(row: &Row, image: &[u8]) -> Vec<u8> {
        let mut others = Code::new(CODE);
        others.who();
        row.steps().for_each(|step| others.step(step));
        others.wait_for_release();
        let mut boot = Code::new(others.end());
        boot.raw(&[0xaa00_03f4]); // mov x20, x0
        for cpu in 1..MAX_CPUS {
            boot.start_cpu(cpu, CODE);
        }
        boot.who();
        row.steps().for_each(|step| boot.step(step));
        boot.raw(&[0xaa14_03e0]); // mov x0, x20
        boot.raw(&jump(boot.end()));
        let (fail, failing) = Code::failing();
        assert!(boot.end() <= fail, "{}: {:#x} bytes of code", row.name, boot.end());

        let mut file = Self::empty();
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(CODE, &others.bytes());
        let mut header = Code::new(0);
        header.branch(others.end());
        put(0, &header.bytes());
        put(others.end(), &boot.bytes());
        put(fail, &failing);
        rows::TABLES.iter().for_each(|(at, byte)| put(*at, &[*byte]));
        file.extend_from_slice(image);
        file
    }
}
