//! The devices that EL2 emulates for a VM, and what stage 2 says about its pages.

use hyp_abi::vplatform::UART_INTID;

use super::{Shell, Vm};
use crate::addr::Ipa;
use crate::bus::{Answer, Device, Register};
use crate::esr::{Access, Direction, Width};
use crate::fault::{FaultView, LeafState, Use};
use crate::pl011::Pl011;
use crate::ports::Ports;
use crate::stage2::{Access as Permission, Execute, Leaf};
use crate::vgic::{CpuInterface, Kicks, Read};

impl<P: Ports> FaultView for Vm<P> {
    type Device = Register;

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
            Leaf::Guarded => LeafState::Absent { is_open: true },
            Leaf::Empty => LeafState::Absent { is_open: self.space.lets(false) },
        }
    }

    #[inline]
    fn is_memory(&self, ipa: Ipa) -> bool {
        self.space.is_memory(ipa)
    }

    #[inline]
    fn is_open(&self, ipa: Ipa) -> bool {
        self.space.is_open(ipa)
    }

    #[inline]
    fn is_protected(&self) -> bool {
        self.space.is_protected()
    }

    #[inline]
    fn device(&self, ipa: Ipa) -> Option<(Register, bool)> {
        self.space.register(ipa)
    }

    #[inline]
    fn is_assigned(&self, ipa: Ipa) -> bool {
        self.space.is_assigned(ipa)
    }
}

impl<P: Ports> Vm<P> {
    /// Does `access` of `vcpu` on `register`; `value` is what a store writes, cut to its width.
    #[inline]
    pub fn access(
        &self,
        vcpu: usize,
        register: Register,
        access: Access,
        value: u64,
        shell: &impl Shell,
        iface: &mut impl CpuInterface,
    ) -> Answer {
        let Register { device, offset } = register;
        match (device, access.direction()) {
            (Device::Gic(file), Direction::Read) => {
                match self.gic.read(vcpu, file, offset, access.width(), iface) {
                    Read::Value(value) => Answer::Done(value),
                    Read::Again(kicks) => {
                        self.kick(kicks, shell);
                        Answer::Again
                    }
                }
            }
            (Device::Gic(file), Direction::Write) => {
                let kicks = self.gic.write(vcpu, file, offset, access.width(), value, iface);
                if !kicks.is_empty() {
                    self.kick(kicks, shell);
                }
                Answer::Done(0)
            }
            (Device::Deactivation, Direction::Write) => {
                if (offset, access.width()) == (0, Width::Word) {
                    // Bits 12:10, an SGI's sender, do not matter: an SGI is active once.
                    self.kick(self.gic.deactivate(vcpu, (value & 0x3ff) as u32, iface), shell);
                }
                Answer::Done(0)
            }
            // GICC_DIR, the only register there, is write-only.
            (Device::Deactivation, Direction::Read) => Answer::Done(0),
            (Device::Console, Direction::Read) => {
                Answer::Done(self.console_read(vcpu, offset, access.width(), shell, iface))
            }
            (Device::Console, Direction::Write) => {
                self.console_write(vcpu, offset, access.width(), value, shell, iface);
                Answer::Done(0)
            }
        }
    }

    /// A load from the console.
    #[inline(never)]
    fn console_read(
        &self,
        vcpu: usize,
        offset: u64,
        width: Width,
        shell: &impl Shell,
        iface: &mut impl CpuInterface,
    ) -> u64 {
        let shown = self.uart.lock().show(offset, width);
        shown.unwrap_or_else(|| self.console_receive(vcpu, offset, width, shell, iface))
    }

    /// A load from the console that takes a byte out.
    #[inline(never)]
    fn console_receive(
        &self,
        vcpu: usize,
        offset: u64,
        width: Width,
        shell: &impl Shell,
        iface: &mut impl CpuInterface,
    ) -> u64 {
        self.console_change(vcpu, shell, iface, |uart| uart.read(offset, width))
    }

    /// A store to the console.
    #[inline(never)]
    fn console_write(
        &self,
        vcpu: usize,
        offset: u64,
        width: Width,
        value: u64,
        shell: &impl Shell,
        iface: &mut impl CpuInterface,
    ) {
        let is_overdue = self.console_change(vcpu, shell, iface, |uart| {
            uart.write(offset, width, value);
            self.send(uart, shell);
            uart.is_overdue()
        });
        if is_overdue {
            shell.time_out_soon();
        }
    }

    /// Changes the console by `change` and passes on what follows.
    fn console_change<T>(
        &self,
        vcpu: usize,
        shell: &impl Shell,
        iface: &mut impl CpuInterface,
        change: impl FnOnce(&mut Pl011) -> T,
    ) -> T {
        let mut uart = self.uart.lock();
        let line = uart.irq_line();
        let result = change(&mut uart);
        let has_room_again = uart.has_room_again();
        self.console_line(&uart, line, vcpu, shell, iface);
        drop(uart);
        if has_room_again {
            shell.receive_again();
        }
        result
    }

    /// Sends what waits. A VM that has nothing to say does not wait for the end of another one's line, and cuts
    /// none.
    fn send(&self, uart: &mut Pl011, shell: &impl Shell) {
        if uart.has_tx() {
            shell.send(self.number, || uart.take_tx());
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
        self.send(&mut uart, shell);
        while uart.rx_room() > 0 {
            let Some(byte) = receive() else { break };
            if !uart.push_rx(byte) {
                break;
            }
        }
        self.console_line(&uart, line, vcpu, shell, iface);
        uart.offers_room()
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
            self.kick(others, shell);
        }
    }
}

#[cfg(test)]
mod emulate_tests;
#[cfg(test)]
mod tests;
