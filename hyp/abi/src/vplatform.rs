//! The virtual platform every VM sees: QEMU's `virt` machine as far as it goes.

/// Where a VM's RAM begins.
pub const RAM_BASE: u64 = 0x4000_0000;
/// Where a raw binary is loaded and entered unless its description says otherwise.
pub const PAYLOAD_BASE: u64 = 0x4020_0000;
/// GIC distributor, both versions.
pub const GICD_BASE: u64 = 0x0800_0000;
/// Bytes of the GIC distributor's window, both versions; a GICv2 has registers in the first 4 KiB.
pub const GICD_SIZE: u64 = 0x1_0000;
/// GICv2 CPU interface.
pub const GICC_BASE: u64 = 0x0801_0000;
/// GICC_DIR, the only register of the GICv2 CPU interface behind its first page.
pub const GICC_DIR: u64 = GICC_BASE + 0x1000;
/// Bytes of the GICv2 CPU interface's window, which has registers in the first 8 KiB.
pub const GICC_SIZE: u64 = 0x1_0000;
/// GICv3 redistributors, one after the other; the window ends after the last vCPU's.
pub const GICR_BASE: u64 = 0x080a_0000;
/// Bytes of one GICv3 redistributor: RD_base and SGI_base frames.
pub const GICR_STRIDE: u64 = 0x2_0000;
/// PL011 console.
pub const UART_BASE: u64 = 0x0900_0000;
/// Bytes of the console's register page.
pub const UART_SIZE: u64 = 0x1000;
/// The console's interrupt: SPI 1.
pub const UART_INTID: u32 = 33;
/// Virtual EL1 timer: PPI 11.
pub const VTIMER_INTID: u32 = 27;
/// Physical EL1 timer: PPI 14.
pub const PTIMER_INTID: u32 = 30;
/// The most vCPUs a VM can have.
pub const MAX_VCPUS: usize = 8;
/// Shared peripheral interrupts 32 to `FIRST_SPI + SPIS - 1` exist.
pub const SPIS: usize = 96;
/// First shared peripheral interrupt.
pub const FIRST_SPI: u32 = 32;
