//! The devices that EL2 emulates for a VM, and what stage 2 says about its pages.

use hyp_abi::vplatform::UART_INTID;

use super::{Shell, Vm};
use crate::addr::Ipa;
use crate::esr::{Access, Direction, Width};
use crate::fault::{FaultView, LeafState, Use};
use crate::memory::EmulatedKind;
use crate::pl011::Pl011;
use crate::ports::Ports;
use crate::stage2::{Access as Permission, Execute, Leaf};
use crate::vgic::{CpuInterface, Kicks, Read, Vgic};

/// An emulated device and an offset into its registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Whose registers.
    pub kind: EmulatedKind,
    /// Offset in bytes from the first.
    pub offset: u64,
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

impl<P: Ports> FaultView for Vm<P> {
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
        let (kind, offset) = self.space.emulated_at(ipa, bytes)?;
        Some(Device { kind, offset })
    }

    #[inline]
    fn is_assigned(&self, ipa: Ipa) -> bool {
        self.space.is_assigned(ipa)
    }
}

impl<P: Ports> Vm<P> {
    /// The emulated device at `ipa`, if an aligned access may use it at once. `None` where
    /// [`judge`](crate::fault::judge) has to be asked.
    ///
    /// Pages of emulated devices are neither memory nor ever mapped
    /// ([`SpaceLayout`](crate::memory::SpaceLayout)), so the road comes to the guard for each access
    /// there, and what the guard says of them is kept beside the tables.
    #[inline]
    pub fn open_device(&self, ipa: Ipa, width: Width) -> Option<Device> {
        // An aligned access lies in one page.
        if !ipa.is_aligned(width.bytes()) {
            return None;
        }
        let (kind, offset) = self.space.open_device(ipa)?;
        Some(Device { kind, offset })
    }

    /// What a load of `width` at `device` reads, where that is a constant of the VM and needs
    /// neither a lock nor a look at anything.
    #[inline(always)]
    pub fn constant(&self, device: Device, width: Width) -> Option<u64> {
        match device.kind {
            EmulatedKind::Distributor => Vgic::dist_constant(device.offset, width),
            EmulatedKind::Redistributors => self.gic.redist_constant(device.offset, width),
            _ => None,
        }
    }

    /// Whether a store of `value` at `device` changes nothing, whatever the state is in.
    #[inline(always)]
    pub fn is_idle_store(device: Device, width: Width, value: u64) -> bool {
        device.kind == EmulatedKind::Distributor
            && value == 0
            && Vgic::is_idle_zero(device.offset, width)
    }

    /// Does `access` of `vcpu` on `device`; `value` is what a store writes, cut to its width.
    #[inline(never)]
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
        let offset = device.offset;
        match (device.kind, access.direction) {
            (EmulatedKind::Distributor, Direction::Read) => {
                Self::loaded(self.gic.dist_read(vcpu, offset, width, iface), shell)
            }
            (EmulatedKind::Redistributors, Direction::Read) => {
                Self::loaded(self.gic.redist_read(vcpu, offset, width, iface), shell)
            }
            (EmulatedKind::Distributor, Direction::Write) => {
                Self::stored(self.gic.dist_write(vcpu, offset, width, value, iface), shell)
            }
            (EmulatedKind::Redistributors, Direction::Write) => {
                Self::stored(self.gic.redist_write(vcpu, offset, width, value, iface), shell)
            }
            (EmulatedKind::DistributorV2, Direction::Read) => {
                Self::loaded(self.gic.dist_v2_read(vcpu, offset, width, iface), shell)
            }
            (EmulatedKind::DistributorV2, Direction::Write) => {
                Self::stored(self.gic.dist_v2_write(vcpu, offset, width, value, iface), shell)
            }
            (EmulatedKind::Deactivation, Direction::Write) => {
                if (offset, width) != (0, Width::Word) {
                    return Emulated::Stored;
                }
                // Bits 12:10, an SGI's sender, do not matter: an SGI is active once.
                let intid = (value & 0x3ff) as u32;
                Self::stored(self.gic.deactivate(vcpu, intid, iface), shell)
            }
            // GICC_DIR, the only register there, is write-only.
            (EmulatedKind::Deactivation, Direction::Read) => Emulated::Loaded(0),
            (EmulatedKind::Console, _) => {
                self.emulate_console(vcpu, offset, access, value, shell, iface)
            }
        }
    }

    #[inline(never)]
    fn emulate_console(
        &self,
        vcpu: usize,
        offset: u64,
        access: &Access,
        value: u64,
        shell: &impl Shell,
        iface: &mut impl CpuInterface,
    ) -> Emulated {
        let mut uart = self.uart.lock();
        let line = uart.irq_line();
        let had_room = uart.rx_room() > 0;
        let mut is_overdue = false;
        let answer = match access.direction {
            Direction::Read => Emulated::Loaded(uart.read(offset, access.width)),
            Direction::Write => {
                uart.write(offset, access.width, value);
                is_overdue = uart.is_overdue();
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
        if is_overdue {
            shell.time_out_soon();
        }
        answer
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

    /// At least as much time has passed as the console's receive timeout takes, since the guest cleared
    /// one; see [`Shell::time_out_soon`]. Harmless at any other time.
    pub fn console_timeout(&self, vcpu: usize, shell: &impl Shell, iface: &mut impl CpuInterface) {
        let mut uart = self.uart.lock();
        let line = uart.irq_line();
        uart.time_passes();
        self.console_line(&uart, line, vcpu, shell, iface);
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
    #[inline]
    pub fn pass_on(
        &self,
        vcpu: usize,
        kicks: Kicks,
        shell: &impl Shell,
        iface: &mut impl CpuInterface,
    ) {
        if !kicks.is_empty() {
            self.pass_on_some(vcpu, kicks, shell, iface);
        }
    }

    #[inline(never)]
    fn pass_on_some(
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

    #[inline]
    fn loaded(read: Read, shell: &impl Shell) -> Emulated {
        match read {
            Read::Value(value) => Emulated::Loaded(value),
            Read::Again(kicks) => {
                shell.kick(kicks);
                Emulated::Again
            }
        }
    }

    #[inline]
    fn stored(kicks: Kicks, shell: &impl Shell) -> Emulated {
        if !kicks.is_empty() {
            shell.kick(kicks);
        }
        Emulated::Stored
    }
}

#[cfg(test)]
mod emulate_tests;
#[cfg(test)]
mod tests;
