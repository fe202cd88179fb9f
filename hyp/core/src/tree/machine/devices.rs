//! The devices that a machine is known by: interrupt controller, timer, PSCI, UARTs.

use super::interrupts::{Controller, Interrupts};
use super::parts::{Gic, GicV2, GicV3, PsciConduit, PsciNode};
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
                b"arm,pl011" => return self.uart(node, interrupts),
                _ => {}
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

    fn uart(&mut self, node: &Properties<'a>, interrupts: Interrupts<'a>) -> Result<(), TreeError> {
        if let Some(registers) = self.above.range(node.name, node.reg.unwrap_or_default(), 0)? {
            // More than this many are simply not looked at: only `stdout-path` could name one.
            let _full = self.uarts.try_push(Uart { inside: node.inside, registers, interrupts });
        }
        Ok(())
    }
}
