//! Trapped system registers.

use std::collections::BTreeMap;

use super::*;
use crate::testing::cpu::Traced;
use crate::vgic::VirtualCommon;

/// An MRS of the register into, or an MSR from, X`rt` (Arm ARM, ESR_EL2, ISS of EC 0x18).
const fn mrs((op0, op1, crn, crm, op2): (u64, u64, u64, u64, u64), rt: u64) -> u64 {
    let register = op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | crm << 1;
    0x18 << 26 | 1 << 25 | register | rt << 5 | 1
}

const fn msr(register: (u64, u64, u64, u64, u64), rt: u64) -> u64 {
    mrs(register, rt) & !1
}

const ID_AA64PFR0: (u64, u64, u64, u64, u64) = (3, 0, 0, 4, 0);
const ICC_CTLR: (u64, u64, u64, u64, u64) = (3, 0, 12, 12, 4);
const ICC_PMR: (u64, u64, u64, u64, u64) = (3, 0, 4, 6, 0);
const ICC_SGI1R: (u64, u64, u64, u64, u64) = (3, 0, 12, 11, 5);
const ICC_DIR: (u64, u64, u64, u64, u64) = (3, 0, 12, 11, 1);
const MDSCR: (u64, u64, u64, u64, u64) = (2, 0, 0, 2, 2);
const DBGBVR1: (u64, u64, u64, u64, u64) = (2, 0, 0, 1, 4);
const ACTLR: (u64, u64, u64, u64, u64) = (3, 0, 1, 0, 1);
const RT: usize = 7;

#[track_caller]
fn done(guest: &mut Guest, esr: u64) {
    guest.cpu.pc.set(PC);
    guest.cpu.pstate.set(PSTATE);
    let next = guest.trap(esr);
    guest.assert_done(next);
}

#[test]
fn an_id_register_reads_as_the_view_has_it() {
    for mut guest in [Guest::normal(), Guest::protected(), Guest::protected().traced()] {
        let before = guest.vcpu.frame.clone();
        done(&mut guest, mrs(ID_AA64PFR0, 31));
        assert_eq!(guest.vcpu.frame, before);
        done(&mut guest, mrs(ID_AA64PFR0, RT as u64));
        // AArch64 at all levels, a GIC with system registers.
        let value = core::mem::replace(&mut guest.vcpu.frame.x[RT], before.x[RT]);
        assert_eq!(value, 0x0100_1111);
        assert_eq!(guest.vcpu.frame, before);
        let traced = if guest.vcpu.is_traced { 2 } else { 0 };
        assert_eq!(guest.cpu.traced.borrow().len(), traced);
        guest.cpu.pc.set(PC);
        guest.cpu.pstate.set(PSTATE);
        let next = guest.trap(msr(ID_AA64PFR0, RT as u64));
        guest.assert_undefined(next);
    }
}

#[test]
fn actlr_reads_as_zero_and_forgets() {
    let mut guest = Guest::protected();
    done(&mut guest, msr(ACTLR, RT as u64));
    assert_ne!(guest.vcpu.frame.x[RT], 0);
    done(&mut guest, mrs(ACTLR, RT as u64));
    assert_eq!(guest.vcpu.frame.x[RT], 0);
}

/// IHI0069: ICC_CTLR_EL1 CBPR (0), EOImode (1), PRIbits (10:8), ICH_VMCR_EL2 VCBPR (4), VEOIM (9), VPMR
/// (31:24); ICH_VTR_EL2 PRIbits (31:29).
#[test]
fn what_both_groups_share_is_the_virtual_interfaces() {
    let mut guest = Guest::protected();
    guest.cpu.common.set(VirtualCommon { vtr: 4 << 29, vmcr: 1 << 9, active: [0; 4] });
    done(&mut guest, mrs(ICC_CTLR, RT as u64));
    assert_eq!(guest.vcpu.frame.x[RT], 4 << 8 | 2);
    guest.vcpu.frame.x[RT] = 1;
    done(&mut guest, msr(ICC_CTLR, RT as u64));
    assert_eq!(guest.cpu.common.get().vmcr, 1 << 4);
    assert_eq!(guest.vcpu.frame.x[RT], 1);
    guest.vcpu.frame.x[RT] = 0xf8;
    done(&mut guest, msr(ICC_PMR, RT as u64));
    assert_eq!(guest.cpu.common.get().vmcr, 0xf8 << 24 | 1 << 4);
}

#[test]
fn a_normal_vms_debug_registers_are_its_own_and_the_cpus() {
    let mut guest = Guest::normal();
    guest.vcpu.frame.x[RT] = 0x4000_1234;
    done(&mut guest, msr(DBGBVR1, RT as u64));
    assert_eq!(*guest.cpu.points.borrow(), BTreeMap::from([(1, 0x4000_1234)]));
    // MDE, SS.
    guest.vcpu.frame.x[RT] = 1 << 15 | 1;
    done(&mut guest, msr(MDSCR, RT as u64));
    assert_eq!(guest.cpu.control.get(), 1 << 15 | 1);
    done(&mut guest, mrs(DBGBVR1, RT as u64));
    assert_eq!(guest.vcpu.frame.x[RT], 0x4000_1234);
    assert_eq!(guest.cpu.control.get(), 1 << 15 | 1, "a read writes nothing");
    // A protected VM has none.
    let mut guest = Guest::protected();
    let next = guest.trap(mrs(DBGBVR1, RT as u64));
    guest.assert_undefined(next);
}

impl Guest {
    fn enable_all(&self) {
        self.gic_write(0, Width::Word, 3);
        let mut lists = &self.cpu.lists;
        for offset in [0x80, 0x100] {
            let offset = SELF as u64 * 0x2_0000 + 0x1_0000 + offset;
            let _ = self.vm.gic.write(
                SELF,
                RegisterFile::Redistributors,
                offset,
                Width::Word,
                0xffff,
                &mut lists,
            );
        }
    }
}

/// ICC_SGI1R_EL1: the target list is 15:0, the interrupt 27:24.
#[test]
fn an_sgi_is_sent() {
    let mut guest = Guest::protected().traced();
    guest.enable_all();
    let _ = guest.vm.gic.vcpu_on(2, &mut &FakeCpu::new().lists);
    guest.cpu.desk.kicked.set(Kicks::NONE);
    guest.vcpu.frame.x[RT] = 3 << 24 | 1 << SELF;
    done(&mut guest, msr(ICC_SGI1R, RT as u64));
    assert!(guest.cpu.lists.is_pending(3));
    assert_eq!(guest.cpu.desk.kicked.get(), Kicks::NONE, "the sender looks for itself");
    guest.vcpu.frame.x[RT] = 4 << 24 | 1 << 2;
    done(&mut guest, msr(ICC_SGI1R, RT as u64));
    assert!(!guest.cpu.lists.is_pending(4));
    assert_eq!(guest.cpu.desk.kicked.get(), Kicks::NONE.with(6));
    done(&mut guest, msr(ACTLR, RT as u64));
    let [one, two, three] = guest.cpu.traced.borrow()[..] else { panic!() };
    let sgi = Traced::Register { is_sgi: true };
    assert_eq!((one, two, three), (sgi, sgi, Traced::Register { is_sgi: false }));
}

/// ICC_DIR_EL1: the interrupt is in bits 23:0.
#[test]
fn an_interrupt_is_deactivated() {
    let mut guest = Guest::protected();
    guest.enable_all();
    guest.gic_write(0x6000 + 8 * 40, Width::Double, SELF as u64);
    let is_active = |guest: &Guest| {
        let mut lists = &guest.cpu.lists;
        let read =
            guest.vm.gic.read(SELF, RegisterFile::Distributor, 0x304, Width::Word, &mut lists);
        let Read::Value(value) = read else { panic!() };
        value >> 8 & 1 == 1
    };
    for (value, stays) in [(40, false), (0xff00_0028, false), (0x80_0028, true), (41, true)] {
        guest.gic_write(0x304, Width::Word, 1 << 8);
        assert!(is_active(&guest));
        guest.vcpu.frame.x[RT] = value;
        done(&mut guest, msr(ICC_DIR, RT as u64));
        assert_eq!(is_active(&guest), stays, "{value:#x}");
    }
}

#[test]
fn what_does_not_exist_is_undefined() {
    // MRS of ICC_SGI1R_EL1, which is written only; PMUs of a protected VM; an EL2 register.
    for register in [ICC_SGI1R, (3, 3, 9, 12, 0), (3, 4, 1, 1, 0)] {
        let mut guest = Guest::protected().traced();
        let before = guest.vcpu.frame.clone();
        let next = guest.trap(mrs(register, RT as u64));
        guest.assert_undefined(next);
        assert_eq!(guest.vcpu.frame, before);
        let traced = [Traced::Register { is_sgi: false }, Traced::Undefined];
        assert_eq!(*guest.cpu.traced.borrow(), traced);
    }
}
