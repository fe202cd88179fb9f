//! The device tree of a VM: Postern's virtual platform, of which QEMU's `virt` machine is the model.

use anyhow::{Result, bail};
use hyp_abi::psci;
use hyp_abi::vplatform::{
    FIRST_SPI, GICC_BASE, GICC_SIZE, GICD_BASE, GICD_SIZE, GICR_BASE, GICR_STRIDE, UART_BASE,
    UART_INTID, UART_SIZE,
};

use super::node::{Node, cells};

/// What differs from VM to VM.
#[derive(Debug)]
pub(super) struct Platform<'a> {
    /// Version of the GIC, 2 or 3.
    pub(super) gic: u8,
    /// vCPUs.
    pub(super) cpus: usize,
    /// First address and bytes of memory.
    pub(super) ram: (u64, u64),
    /// The guest's command line.
    pub(super) bootargs: &'a str,
    /// First address of the initrd and the first one behind it.
    pub(super) initrd: Option<(u64, u64)>,
}

/// Phandle of the interrupt controller.
const GIC: u32 = 1;
/// Phandle of the UART's clock.
const CLOCK: u32 = 2;
/// The UART's clock, as on QEMU's `virt`. Nothing depends on it.
const CLOCK_HZ: u32 = 24_000_000;
/// Interrupt specifier: a shared interrupt (`arm,gic-v3.yaml`).
const SPI: u32 = 0;
/// Interrupt specifier: a private interrupt.
const PPI: u32 = 1;
/// Interrupt specifier: active high, level.
const LEVEL_HIGH: u32 = 4;
/// Bytes of the seed of Linux's address randomization: a doubleword (Linux,
/// `arch/arm64/kernel/kaslr.c`).
const KASLR_SEED: usize = 8;
/// Bytes that seed the guest's generator: as many as Linux's pool has (`drivers/char/random.c`).
const RNG_SEED: usize = 32;

/// The tree, flattened. Its length does not depend on addresses.
pub(super) fn build(platform: &Platform<'_>) -> Result<Vec<u8>> {
    if platform.bootargs.contains('\0') {
        bail!("append: the guest's command line holds a NUL");
    }
    let uart = format!("pl011@{UART_BASE:x}");
    let (ram, mem) = platform.ram;
    let root = Node::new("")
        .with("interrupt-parent", GIC)
        .with("#address-cells", 2_u32)
        .with("#size-cells", 2_u32)
        .with("model", "Postern virtual machine")
        .with("compatible", ["postern,vm", "linux,dummy-virt"].as_slice())
        .child(chosen(platform, &uart))
        .child(Node::new("aliases").with("serial0", format!("/{uart}").as_str()))
        .child(
            Node::new(&format!("memory@{ram:x}"))
                .with("device_type", "memory")
                .with("reg", cells([ram, mem]).as_slice()),
        )
        .child(cpus(platform.cpus)?)
        .child(
            Node::new("psci")
                .with("compatible", ["arm,psci-1.0", "arm,psci-0.2", "arm,psci"].as_slice())
                .with("method", "hvc")
                // What a guest that knows PSCI 0.1 asks the tree for.
                .with("cpu_suspend", psci::CPU_SUSPEND_64.0)
                .with("cpu_off", psci::CPU_OFF.0)
                .with("cpu_on", psci::CPU_ON_64.0),
        )
        .child(timer(platform))
        .child(interrupt_controller(platform)?)
        .child(
            Node::new("apb-pclk")
                .with("compatible", "fixed-clock")
                .with("#clock-cells", 0_u32)
                .with("clock-frequency", CLOCK_HZ)
                .with("clock-output-names", "clk24mhz")
                .with("phandle", CLOCK),
        )
        .child(
            Node::new(&uart)
                .with("compatible", ["arm,pl011", "arm,primecell"].as_slice())
                .with("reg", cells([UART_BASE, UART_SIZE]).as_slice())
                .with("interrupts", [SPI, UART_INTID - FIRST_SPI, LEVEL_HIGH].as_slice())
                .with("clocks", [CLOCK, CLOCK].as_slice())
                .with("clock-names", ["uartclk", "apb_pclk"].as_slice()),
        );
    Ok(root.flatten())
}

fn chosen(platform: &Platform<'_>, uart: &str) -> Node {
    let chosen = Node::new("chosen")
        .with("stdout-path", format!("/{uart}").as_str())
        .with("bootargs", platform.bootargs)
        .with("kaslr-seed", [0_u8; KASLR_SEED].as_slice())
        .with("rng-seed", [0_u8; RNG_SEED].as_slice());
    match platform.initrd {
        None => chosen,
        Some((start, end)) => {
            chosen.with("linux,initrd-start", start).with("linux,initrd-end", end)
        }
    }
}

fn cpus(count: usize) -> Result<Node> {
    let mut cpus = Node::new("cpus").with("#address-cells", 1_u32).with("#size-cells", 0_u32);
    for cpu in 0..u32::try_from(count)? {
        cpus = cpus.child(
            Node::new(&format!("cpu@{cpu:x}"))
                .with("device_type", "cpu")
                .with("compatible", "arm,armv8")
                .with("reg", cpu)
                .with("enable-method", "psci"),
        );
    }
    Ok(cpus)
}

/// Secure, physical, virtual and EL2 timer, in the order of `arm,arch_timer.yaml`: a guest uses the
/// second or third, the others hold the places.
fn timer(platform: &Platform<'_>) -> Node {
    // GICv2 has the CPUs that a private interrupt goes to in bits 15:8 (`arm,gic.yaml`).
    let flags = match platform.gic {
        2 => LEVEL_HIGH | ((1 << platform.cpus) - 1) << 8,
        _ => LEVEL_HIGH,
    };
    let interrupts: Vec<u32> = [13, 14, 11, 10].into_iter().flat_map(|n| [PPI, n, flags]).collect();
    Node::new("timer")
        .with("compatible", ["arm,armv8-timer", "arm,armv7-timer"].as_slice())
        .with("interrupts", interrupts.as_slice())
        .flag("always-on")
}

fn interrupt_controller(platform: &Platform<'_>) -> Result<Node> {
    let node = Node::new(&format!("intc@{GICD_BASE:x}"));
    let node = match platform.gic {
        2 => node
            .with("compatible", ["arm,gic-400", "arm,cortex-a15-gic"].as_slice())
            .with("reg", cells([GICD_BASE, GICD_SIZE, GICC_BASE, GICC_SIZE]).as_slice()),
        _ => {
            // As many as there are, not the 123 of `virt`: Linux's guard marks each page of a window.
            let redistributors = GICR_STRIDE * u64::try_from(platform.cpus)?;
            node.with("compatible", "arm,gic-v3")
                .with("reg", cells([GICD_BASE, GICD_SIZE, GICR_BASE, redistributors]).as_slice())
        }
    };
    Ok(node
        .with("#interrupt-cells", 3_u32)
        .flag("interrupt-controller")
        .with("#address-cells", 2_u32)
        .with("#size-cells", 2_u32)
        .flag("ranges")
        .with("phandle", GIC))
}
