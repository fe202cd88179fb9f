//! The devices that a machine is known by: interrupt controller, timer, PSCI, UARTs.

use super::MAX_REDISTRIBUTOR_REGIONS;
use super::fault::{Fault, Read, content};
use super::interrupts::{Controller, Interrupts, Parent};
use super::known::{Driver, driver};
use super::parts::{ConsoleKind, Gic, GicV2, GicV3, PsciConduit, PsciNode};
use super::properties::{Key, Properties};
use super::read::{Reader, Uart};
use crate::memory::PaRange;
use crate::tree::{Strings, same, u64_value};
use arrayvec::ArrayVec;

impl<'a> Reader<'_, 'a> {
    /// Reads a node, if it is one of these and enabled.
    pub(super) fn device(&mut self, node: &Properties<'a>, interrupts: Interrupts<'a>) -> Read<()> {
        if !node.is_enabled() {
            return Ok(());
        }
        // From the most to the least specific: the first that is known decides.
        for compatible in Strings(node.value(Key::Compatible)) {
            match driver(compatible) {
                Some(Driver::GicV3) => {
                    let gic = self.gic_v3(node).map(Gic::V3);
                    self.take_gic(node, interrupts, gic);
                }
                Some(Driver::GicV3Its) => self.translator(node),
                Some(Driver::GicV2) => {
                    let gic = self.gic_v2(node).map(Gic::V2);
                    self.take_gic(node, interrupts, gic);
                }
                Some(Driver::Timer) => self.timer = interrupts,
                Some(Driver::Psci) => self.psci(node),
                known => match known.and_then(|driver| driver.console(node)) {
                    Some(kind) => return self.uart(node, interrupts, kind),
                    None => continue,
                },
            }
            return Ok(());
        }
        Ok(())
    }

    /// The `index`-th frame of an interrupt controller, which has to be there.
    fn frame(&self, node: &Properties<'a>, index: usize) -> Read<PaRange> {
        let range = self.above.range(node.value(Key::Reg), index)?;
        range.ok_or(content!("reg", "does not list the frames"))
    }

    /// Makes `gic` the machine's, with what resolves interrupts, unless one is known already.
    fn take_gic(&mut self, node: &Properties<'a>, interrupts: Interrupts<'a>, gic: Read<Gic>) {
        let gic = match gic {
            Ok(gic) if self.machine.gic.is_none() => gic,
            Ok(_) => return,
            Err(fault) => {
                self.gic_fault.get_or_insert(fault.of(node.name));
                return;
            }
        };
        self.machine.gic = Some(gic);
        self.gic = Controller {
            inside: node.inside,
            phandle: node.phandle(),
            cells: node.number(Key::InterruptCells).unwrap_or_default(),
            address_cells: node.number(Key::AddressCells).unwrap_or_default(),
        };
        // A GIC's own interrupt goes to itself, whatever its parent is called.
        self.gic_interrupts =
            Interrupts { parent: Some(Parent::Inside(node.inside)), ..interrupts };
    }

    fn gic_v3(&self, node: &Properties<'a>) -> Read<GicV3> {
        let regions = node.number(Key::RedistributorRegions).unwrap_or(1);
        let mut redistributors = ArrayVec::new();
        for index in 1..=usize::try_from(regions).unwrap_or(usize::MAX) {
            let region = self.frame(node, index)?;
            if redistributors.try_push(region).is_err() {
                return Err(&Fault::TooMany {
                    what: "redistributor regions",
                    limit: MAX_REDISTRIBUTOR_REGIONS,
                });
            }
        }
        Ok(GicV3 {
            distributor: self.frame(node, 0)?,
            redistributors,
            translators: ArrayVec::new(),
            stride: node.get(Key::RedistributorStride).map(stride).transpose()?,
            maintenance: None,
        })
    }

    /// One that the tree places nowhere is as good as none: EL2 would only turn it off.
    fn translator(&mut self, node: &Properties<'a>) {
        if let Some(Gic::V3(gic)) = &mut self.machine.gic
            && let Ok(Some(frames)) = self.above.range(node.value(Key::Reg), 0)
        {
            let _full = gic.translators.try_push(frames);
        }
    }

    fn gic_v2(&self, node: &Properties<'a>) -> Read<GicV2> {
        let mut frames = [None; 4];
        for (index, frame) in frames.iter_mut().enumerate() {
            *frame = self.above.range(node.value(Key::Reg), index)?;
        }
        let [Some(distributor), Some(cpu_interface), hypervisor, virtual_cpu] = frames else {
            return Err(content!("reg", "does not list the frames"));
        };
        let maintenance = None;
        Ok(GicV2 { distributor, cpu_interface, hypervisor, virtual_cpu, maintenance })
    }

    fn psci(&mut self, node: &Properties<'a>) {
        let method = match node.value(Key::Method) {
            method if same(method, b"smc\0") => Some(PsciConduit::Smc),
            method if same(method, b"hvc\0") => Some(PsciConduit::Hvc),
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
    ) -> Read<()> {
        let registers = match self.above.range(node.value(Key::Reg), 0) {
            Ok(Some(registers)) => registers,
            Ok(None) => return Ok(()),
            Err(fault) if self.wanted.is_some() => return Err(fault),
            Err(_) => {
                self.uarts_left_out = true;
                return Ok(());
            }
        };
        // Registers begin behind `reg-offset` (`8250.yaml`).
        let offset = u64::from(node.number(Key::RegOffset).unwrap_or(0));
        let start = registers.base().checked_add(offset).unwrap_or(registers.end());
        let registers = PaRange::between(start, registers.end());
        let at_root = (self.above.depth() == 1).then_some(node.name);
        let uart = Uart { at_root, inside: node.inside, kind, registers, interrupts };
        if self.uarts.try_push(uart).is_err() {
            self.uarts_left_out = true;
        }
        Ok(())
    }
}

/// Bytes from one redistributor to the next: they have two frames or more of 64 KiB (IHI0069, 12.10).
fn stride(value: &[u8]) -> Read<u64> {
    const FRAME: u64 = 0x1_0000;
    let stride = u64_value(value).filter(|bytes| bytes.is_multiple_of(FRAME) && *bytes > FRAME);
    stride
        .ok_or(content!("redistributor-stride", "is not a multiple of 64 KiB, of at least 128 KiB"))
}
