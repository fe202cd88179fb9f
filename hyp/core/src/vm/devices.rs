//! The devices that EL2 emulates for a VM, and what stage 2 says about its pages.

use hyp_abi::vplatform::{
    GICC_DIR, GICD_BASE, GICD_SIZE, GICR_BASE, GICR_STRIDE, GICV2_GICD_SIZE, UART_BASE, UART_INTID,
    UART_SIZE,
};
use spin::RelaxStrategy;

use super::{Shell, Vm};
use crate::addr::{Ipa, PAGE_SIZE};
use crate::esr::{Access, Direction, Width};
use crate::fault::{FaultView, LeafState, Use};
use crate::pl011::Pl011;
use crate::ports::Ports;
use crate::stage2::{Access as Permission, Execute, Leaf};
use crate::vgic::{CpuInterface, GicVersion, Kicks, Read};

/// A device and an offset into its registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// GICv3 distributor.
    Distributor(u64),
    /// GICv3 redistributors, from the first vCPU's.
    Redistributors(u64),
    /// GICv2 distributor.
    DistributorV2(u64),
    /// The second page of a GICv2's CPU interface.
    Deactivation(u64),
    /// The console.
    Console(u64),
}

/// What became of an emulated access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emulated {
    /// A load read this, zero-extended.
    Loaded(u64),
    /// A store is done.
    Stored,
    /// Another CPU has to answer first: the guest executes the instruction again.
    Again,
}

/// The offset of `bytes` bytes at `ipa` in the `size` bytes at `base`, if all of them are there.
fn offset_in(ipa: Ipa, bytes: u64, base: u64, size: u64) -> Option<u64> {
    let offset = ipa.get().checked_sub(base)?;
    (offset.checked_add(bytes)? <= size).then_some(offset)
}

impl<P: Ports, R: RelaxStrategy> FaultView for Vm<P, R> {
    type Device = Device;

    #[inline]
    fn leaf(&self, ipa: Ipa, needed: Use) -> LeafState {
        match self.space.lookup(ipa) {
            Leaf::Valid(mapping) => {
                let permitted = match needed {
                    Use::Read => true,
                    Use::Write => mapping.attributes.access == Permission::ReadWrite,
                    Use::Fetch => mapping.attributes.execute == Execute::Allowed,
                };
                if permitted { LeafState::Permits } else { LeafState::Denies }
            }
            Leaf::Guarded | Leaf::Empty => LeafState::Absent,
        }
    }

    #[inline]
    fn is_memory(&self, ipa: Ipa) -> bool {
        self.space.is_memory(ipa)
    }

    #[inline]
    fn is_enrolled(&self) -> bool {
        self.space.is_enrolled()
    }

    #[inline]
    fn is_guarded(&self, ipa: Ipa) -> bool {
        self.space.is_guarded(ipa)
    }

    #[inline]
    fn is_protected(&self) -> bool {
        self.space.is_protected()
    }

    #[inline]
    fn device(&self, ipa: Ipa, bytes: u64) -> Option<Device> {
        let gic = match self.gic.version() {
            GicVersion::V3 => self.gic_v3_at(ipa, bytes),
            GicVersion::V2 => Self::gic_v2_at(ipa, bytes),
        };
        gic.or_else(|| offset_in(ipa, bytes, UART_BASE, UART_SIZE).map(Device::Console))
    }

    #[inline]
    fn is_assigned(&self, ipa: Ipa) -> bool {
        self.space.is_assigned(ipa)
    }
}

impl<P: Ports, R: RelaxStrategy> Vm<P, R> {
    /// The part of the GICv3 whose registers hold all of `bytes` bytes from `ipa`.
    #[inline]
    fn gic_v3_at(&self, ipa: Ipa, bytes: u64) -> Option<Device> {
        if let Some(offset) = offset_in(ipa, bytes, GICD_BASE, GICD_SIZE) {
            return Some(Device::Distributor(offset));
        }
        let redistributors = GICR_STRIDE.saturating_mul(self.gic.vcpus() as u64);
        offset_in(ipa, bytes, GICR_BASE, redistributors).map(Device::Redistributors)
    }

    /// The emulated part of the GICv2 whose registers hold all of `bytes` bytes from `ipa`.
    fn gic_v2_at(ipa: Ipa, bytes: u64) -> Option<Device> {
        offset_in(ipa, bytes, GICD_BASE, GICV2_GICD_SIZE)
            .map(Device::DistributorV2)
            .or_else(|| offset_in(ipa, bytes, GICC_DIR, PAGE_SIZE).map(Device::Deactivation))
    }

    /// Does `access` of `vcpu` on `device`; `value` is what a store writes, cut to its width.
    pub fn emulate(
        &self,
        vcpu: usize,
        device: Device,
        access: &Access,
        value: u64,
        shell: &impl Shell,
        iface: &mut impl CpuInterface,
    ) -> Emulated {
        let width = access.width;
        match (device, access.direction) {
            (Device::Distributor(offset), Direction::Read) => {
                Self::loaded(self.gic.dist_read(vcpu, offset, width, iface), shell)
            }
            (Device::Redistributors(offset), Direction::Read) => {
                Self::loaded(self.gic.redist_read(vcpu, offset, width, iface), shell)
            }
            (Device::Distributor(offset), Direction::Write) => {
                Self::stored(self.gic.dist_write(vcpu, offset, width, value, iface), shell)
            }
            (Device::Redistributors(offset), Direction::Write) => {
                Self::stored(self.gic.redist_write(vcpu, offset, width, value, iface), shell)
            }
            (Device::DistributorV2(offset), Direction::Read) => {
                Self::loaded(self.gic.dist_v2_read(vcpu, offset, width, iface), shell)
            }
            (Device::DistributorV2(offset), Direction::Write) => {
                Self::stored(self.gic.dist_v2_write(vcpu, offset, width, value, iface), shell)
            }
            (Device::Deactivation(0), Direction::Write) if width == Width::Word => {
                // Bits 12:10, an SGI's sender, do not matter: an SGI is active once.
                let intid = (value & 0x3ff) as u32;
                Self::stored(self.gic.deactivate(vcpu, intid, iface), shell)
            }
            (Device::Deactivation(_), Direction::Write) => Emulated::Stored,
            // GICC_DIR, the only register there, is write-only.
            (Device::Deactivation(_), Direction::Read) => Emulated::Loaded(0),
            (Device::Console(offset), direction) => {
                let mut uart = self.uart.lock();
                let line = uart.irq_line();
                let had_room = uart.rx_room() > 0;
                let answer = match direction {
                    Direction::Read => Emulated::Loaded(uart.read(offset, width)),
                    Direction::Write => {
                        uart.write(offset, width, value);
                        Emulated::Stored
                    }
                };
                shell.send(&mut || uart.take_tx());
                let has_room = uart.rx_room() > 0;
                self.console_line(&uart, line, vcpu, shell, iface);
                drop(uart);
                if has_room && !had_room {
                    shell.receive_again();
                }
                answer
            }
        }
    }

    /// The terminal has room for guest output again, or bytes from `receive` for the guest; it is
    /// asked for one whenever there is room for it. Answers whether there still is.
    pub fn serve_console(
        &self,
        vcpu: usize,
        receive: &mut dyn FnMut() -> Option<u8>,
        shell: &impl Shell,
        iface: &mut impl CpuInterface,
    ) -> bool {
        let mut uart = self.uart.lock();
        let line = uart.irq_line();
        shell.send(&mut || uart.take_tx());
        while uart.rx_room() > 0 {
            let Some(byte) = receive() else { break };
            if !uart.push_rx(byte) {
                break;
            }
        }
        self.console_line(&uart, line, vcpu, shell, iface);
        uart.rx_room() > 0
    }

    /// Passes a change of the console's interrupt line on, while its lock is held: two CPUs must
    /// not pass changes on in another order than they made them.
    fn console_line(
        &self,
        uart: &Pl011,
        before: bool,
        vcpu: usize,
        shell: &impl Shell,
        iface: &mut impl CpuInterface,
    ) {
        let now = uart.irq_line();
        if now == before {
            return;
        }
        let kicks = self.gic.set_spi_line(UART_INTID, now);
        self.pass_on(vcpu, kicks, shell, iface);
    }

    /// Sends `kicks`, and has the calling vCPU look for itself if it is among them.
    pub fn pass_on(
        &self,
        vcpu: usize,
        kicks: Kicks,
        shell: &impl Shell,
        iface: &mut impl CpuInterface,
    ) {
        let mut others = kicks.without(vcpu);
        if kicks.contains(vcpu) {
            others |= self.gic.sync(vcpu, iface);
        }
        if !others.is_empty() {
            shell.kick(others);
        }
    }

    fn loaded(read: Read, shell: &impl Shell) -> Emulated {
        match read {
            Read::Value(value) => Emulated::Loaded(value),
            Read::Again(kicks) => {
                shell.kick(kicks);
                Emulated::Again
            }
        }
    }

    fn stored(kicks: Kicks, shell: &impl Shell) -> Emulated {
        if !kicks.is_empty() {
            shell.kick(kicks);
        }
        Emulated::Stored
    }
}
