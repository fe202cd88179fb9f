//! The devices that a machine is known by: interrupt controller, timer, PSCI, UARTs.

use super::interrupts::{Controller, Interrupts};
use super::parts::{ConsoleKind, Gic, GicV2, GicV3, PsciConduit, PsciNode, RegisterSpacing};
use super::properties::Properties;
use super::read::{Reader, Uart};
use crate::memory::PaRange;
use crate::tree::{NodeName, Strings, TreeError, u64_value};
use arrayvec::ArrayVec;

impl<'a> Reader<'a> {
    /// Reads an enabled node, if it is one of these.
    pub(super) fn device(
        &mut self,
        node: &Properties<'a>,
        interrupts: Interrupts<'a>,
    ) -> Result<(), TreeError> {
        // From the most to the least specific: the first that is known decides.
        for compatible in Strings(node.compatible) {
            match compatible {
                b"arm,gic-v3" => return self.gic_v3(node, interrupts),
                b"arm,gic-400" | b"arm,cortex-a15-gic" | b"arm,cortex-a7-gic" => {
                    return self.gic_v2(node, interrupts);
                }
                b"arm,armv8-timer" | b"arm,armv7-timer" => {
                    self.timer = interrupts;
                    return Ok(());
                }
                b"arm,psci" | b"arm,psci-0.2" | b"arm,psci-1.0" => {
                    self.psci(node);
                    return Ok(());
                }
                _ => {}
            }
            if let Some(kind) = uart_kind(compatible, node) {
                return self.uart(node, interrupts, kind);
            }
        }
        Ok(())
    }

    /// The `index`-th frame of an interrupt controller, which has to be there.
    fn frame(&self, node: &Properties<'a>, index: usize) -> Result<PaRange, TreeError> {
        self.above
            .range(node.name, node.reg.unwrap_or_default(), index)?
            .ok_or_else(|| TreeError::content(node.name, "reg", "does not list the frames"))
    }

    /// Remembers what resolves interrupts; `false` if an interrupt controller is known already.
    fn claim_gic(&mut self, node: &Properties<'a>, interrupts: Interrupts<'a>) -> bool {
        if self.machine.gic.is_some() {
            return false;
        }
        self.gic =
            Controller { phandle: node.phandle, cells: node.interrupt_cells.unwrap_or_default() };
        // A GIC's own interrupt goes to itself, whatever its parent is called.
        self.gic_interrupts = Interrupts { parent: node.phandle, ..interrupts };
        true
    }

    fn gic_v3(
        &mut self,
        node: &Properties<'a>,
        interrupts: Interrupts<'a>,
    ) -> Result<(), TreeError> {
        if !self.claim_gic(node, interrupts) {
            return Ok(());
        }
        let regions = node.redistributor_regions.unwrap_or(1);
        let mut redistributors = ArrayVec::new();
        for index in 1..=usize::try_from(regions).unwrap_or(usize::MAX) {
            let region = self.frame(node, index)?;
            if redistributors.try_push(region).is_err() {
                return Err(TreeError::TooMany {
                    node: NodeName::new(node.name),
                    what: "redistributor regions",
                    limit: redistributors.capacity(),
                });
            }
        }
        self.machine.gic = Some(Gic::V3(GicV3 {
            distributor: self.frame(node, 0)?,
            redistributors,
            stride: node.redistributor_stride.and_then(u64_value),
            maintenance: None,
        }));
        Ok(())
    }

    fn gic_v2(
        &mut self,
        node: &Properties<'a>,
        interrupts: Interrupts<'a>,
    ) -> Result<(), TreeError> {
        if !self.claim_gic(node, interrupts) {
            return Ok(());
        }
        let reg = node.reg.unwrap_or_default();
        self.machine.gic = Some(Gic::V2(GicV2 {
            distributor: self.frame(node, 0)?,
            cpu_interface: self.frame(node, 1)?,
            hypervisor: self.above.range(node.name, reg, 2)?,
            virtual_cpu: self.above.range(node.name, reg, 3)?,
            maintenance: None,
        }));
        Ok(())
    }

    fn psci(&mut self, node: &Properties<'a>) {
        let method = match node.method {
            b"smc\0" => Some(PsciConduit::Smc),
            b"hvc\0" => Some(PsciConduit::Hvc),
            _ => None,
        };
        let standard_ids = node.is_compatible(&[b"arm,psci-0.2", b"arm,psci-1.0"]);
        self.machine.psci_node = Some(PsciNode { standard_ids, method });
    }

    fn uart(
        &mut self,
        node: &Properties<'a>,
        interrupts: Interrupts<'a>,
        kind: ConsoleKind,
    ) -> Result<(), TreeError> {
        let Some(registers) = self.above.range(node.name, node.reg.unwrap_or_default(), 0)? else {
            return Ok(());
        };
        // Registers begin behind `reg-offset` (`8250.yaml`).
        let offset = u64::from(node.reg_offset.unwrap_or(0));
        let start = registers.base().checked_add(offset).unwrap_or(registers.end());
        let registers = PaRange::between(start, registers.end());
        // More than this many are simply not looked at: only `stdout-path` could name one.
        let at_root = (self.above.depth() == 1).then_some(node.name);
        let uart = Uart { at_root, inside: node.inside, kind, registers, interrupts };
        let _full = self.uarts.try_push(uart);
        Ok(())
    }
}

/// Which driver a UART needs; `None` if Postern has none, or it is no UART.
fn uart_kind(compatible: &[u8], node: &Properties<'_>) -> Option<ConsoleKind> {
    match compatible {
        b"arm,pl011" => Some(ConsoleKind::Pl011),
        b"cdns,uart-r1p8" | b"cdns,uart-r1p12" | b"xlnx,xuartps" => Some(ConsoleKind::Cadence),
        b"fsl,imx6q-uart" | b"fsl,imx21-uart" => Some(ConsoleKind::Imx),
        b"brcm,bcm2835-aux-uart" => Some(ConsoleKind::Bcm2835Aux),
        b"ns8250" | b"ns16450" | b"ns16550" | b"ns16550a" | b"snps,dw-apb-uart" => {
            spacing(node).map(ConsoleKind::Ns16550)
        }
        _ => None,
    }
}

/// How the registers of a 16550 lie; without a word in the tree they are bytes in a row.
fn spacing(node: &Properties<'_>) -> Option<RegisterSpacing> {
    let shift = node.reg_shift.unwrap_or(0);
    let words = match node.reg_io_width {
        None | Some(1) => false,
        Some(4) if shift == 2 => true,
        _ => return None,
    };
    (shift <= 2).then_some(RegisterSpacing { shift, words })
}
