//! Physical interrupts that are a vCPU's business.

use super::*;
use crate::trap::{Interrupt, serve};
use hyp_abi::vplatform::UART_INTID;

/// IHI0069: offsets of GICD_*, and of GICR_* in the SGI frame of redistributor [`SELF`].
const CTLR: u64 = 0;
const SGI_FRAME: u64 = SELF as u64 * 0x2_0000 + 0x1_0000;
const IGROUPR0: u64 = SGI_FRAME + 0x80;
const ISENABLER0: u64 = SGI_FRAME + 0x100;

impl Guest {
    /// The guest's driver is up: all its private interrupts, and the console's to this vCPU.
    fn drivers(self) -> Self {
        self.gic_write(CTLR, Width::Word, 3);
        for offset in [IGROUPR0, ISENABLER0] {
            let mut lists = &self.cpu.lists;
            let _ = self.vm.gic.write(
                SELF,
                RegisterFile::Redistributors,
                offset,
                Width::Word,
                0xffff_ffff,
                &mut lists,
            );
        }
        self.gic_write(0x84, Width::Word, 0xffff_ffff);
        self.gic_write(0x6000 + 8 * u64::from(UART_INTID), Width::Double, SELF as u64);
        self.gic_write(0x104, Width::Word, 0xffff_ffff);
        self.cpu.desk.kicked.set(Kicks::NONE);
        self
    }

    fn serve(&mut self, interrupt: Interrupt) {
        serve(&mut self.vcpu, self.cpu, interrupt);
    }
}

#[test]
fn a_timer_of_the_guest_is_pending_for_it_and_a_sign_of_life() {
    for intid in [27, 30] {
        let mut guest = Guest::normal().drivers();
        guest.cpu.lists.is_timer_up.set(true);
        assert!(!guest.cpu.lists.is_pending(intid));
        guest.serve(Interrupt::GuestTimer(intid));
        assert!(guest.cpu.lists.is_pending(intid), "{intid}");
        assert!(!guest.cpu.lists.is_pending(57 - intid));
        assert!(!guest.vcpu.liveness.is_quiet);
    }
}

#[test]
fn a_kick_has_the_vcpu_see_what_others_sent() {
    let mut guest = Guest::normal().drivers();
    // SGI 5 from vCPU 0 to this one, by ICC_SGI1R_EL1.
    let desk = &FakeCpu::new();
    let value = 5 << 24 | 1 << SELF;
    let which = crate::vgic::SgiRegister::Sgi1;
    let kicks = guest.vm.gic.sgi(0, which, value, &mut &desk.lists);
    assert_eq!(kicks, Kicks::NONE.with(SELF));
    assert!(!guest.cpu.lists.is_pending(5));
    guest.serve(Interrupt::Kick);
    assert!(guest.cpu.lists.is_pending(5));
    assert!(guest.vcpu.liveness.is_quiet, "what others do is no sign of life");
    assert_eq!(guest.cpu.desk.kicked.get(), Kicks::NONE);
}

/// Five interrupts, four list registers: the fifth comes once there is room.
#[test]
fn a_maintenance_interrupt_brings_what_had_no_room() {
    let mut guest = Guest::normal().drivers();
    let mut lists = &guest.cpu.lists;
    for sgi in 0..5 {
        let which = crate::vgic::SgiRegister::Sgi1;
        let _ = guest.vm.gic.sgi(SELF, which, sgi << 24 | 1 << SELF, &mut lists);
    }
    let pending = |guest: &Guest| (0..5).filter(|n| guest.cpu.lists.is_pending(*n)).count();
    assert_eq!(pending(&guest), 4);
    let missing = (0..5).find(|n| !guest.cpu.lists.is_pending(*n)).unwrap();
    // The guest has served all four.
    guest.cpu.lists.lrs.iter().for_each(|lr| lr.set(crate::vgic::ListRegister::EMPTY));
    guest.serve(Interrupt::Maintenance);
    assert!(guest.cpu.lists.is_pending(missing));
    assert_eq!(pending(&guest), 1);
}

/// DDI0183: RTIM follows once the FIFO has held something for a while.
#[test]
fn el2s_timer_serves_the_consoles_timeout_and_looks() {
    let mut guest = Guest::normal().drivers();
    let mut lists = &guest.cpu.lists;
    let console = vm::CONSOLE;
    // LCR_H.FEN; CR: UARTEN, TXE, RXE; IMSC: RT.
    for (offset, value) in [(0x2c, 0x70), (0x30, 0x301), (0x38, 1 << 6)] {
        guest.vcpu.frame.x[1] = value;
        guest.cpu.pc.set(PC);
        guest.abort(console + offset, iss(Width::Word, 1) | WNR);
    }
    let mut bytes = b"x".iter().copied();
    guest.vm.serve_console(SELF, &mut || bytes.next(), &guest.cpu, &mut lists);
    // ICR clears it, and it comes back.
    guest.vcpu.frame.x[1] = 0x7ff;
    guest.abort(console + 0x44, iss(Width::Word, 1) | WNR);
    assert!(guest.cpu.desk.timeouts.get() > 0);
    guest.cpu.lists.lrs.iter().for_each(|lr| lr.set(crate::vgic::ListRegister::EMPTY));
    let _ = guest.vm.gic.maintenance(SELF, &mut lists);
    assert!(!guest.cpu.lists.is_pending(UART_INTID));
    guest.vcpu.liveness.next_look = 5000;
    guest.cpu.now.set(4000);
    guest.serve(Interrupt::HypTimer);
    assert!(guest.cpu.lists.is_pending(UART_INTID));
    assert_eq!(*guest.cpu.deadlines.borrow(), [5000]);
}

/// An interrupt that another vCPU has to see makes that one look.
#[test]
fn what_is_for_another_vcpu_kicks_its_cpu() {
    let mut guest = Guest::normal().drivers();
    let mut other = &FakeCpu::new().lists;
    let _ = guest.vm.gic.vcpu_on(2, &mut other);
    // SPI 40 is pending here, and then routed to vCPU 2, which asks for it.
    guest.gic_write(0x6000 + 8 * 40, Width::Double, SELF as u64);
    guest.gic_write(0x204, Width::Word, 1 << 8);
    assert!(guest.cpu.lists.is_pending(40));
    let _ = guest.vm.gic.write(
        2,
        RegisterFile::Distributor,
        0x6000 + 8 * 40,
        Width::Double,
        2,
        &mut other,
    );
    guest.serve(Interrupt::Kick);
    assert!(!guest.cpu.lists.is_pending(40));
    assert_eq!(guest.cpu.desk.kicked.get(), Kicks::NONE.with(6));
}
