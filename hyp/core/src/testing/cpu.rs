//! A CPU made of plain data: what it is told stays in it, what it is asked comes from it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::vec::Vec;

use crate::addr::{Ipa, Va};
use crate::calls::{Mitigation, Workaround};
use crate::cpu::{Cpu, Crash, FaultAddress, Seen};
use crate::esr::Access;
use crate::events::Event;
use crate::inject::Rights;
use crate::ports::Ports;
use crate::sysreg::{DebugUnit, Point};
use crate::vcpu::{El1, El1State, Vcpu, Vectors};
use crate::vgic::{CpuInterface, Kicks, ListRegister, VirtualCommon};
use crate::vm::Shell;

/// Notes what it is asked to do.
#[derive(Default)]
pub(crate) struct Desk {
    pub(crate) sctlr: Cell<u64>,
    pub(crate) mair: Cell<u64>,
    /// A physical interrupt waits.
    pub(crate) pending: Cell<bool>,
    /// CPUs, by number.
    pub(crate) kicked: Cell<Kicks>,
    pub(crate) sent: RefCell<Vec<u8>>,
    /// How often there was something to send.
    pub(crate) sends: Cell<u32>,
    pub(crate) received_again: Cell<u32>,
    pub(crate) timeouts: Cell<u32>,
}

impl Shell for Desk {
    fn sctlr_el1(&self) -> u64 {
        self.sctlr.get()
    }
    fn mair_el1(&self) -> u64 {
        self.mair.get()
    }
    fn is_interrupt_pending(&self) -> bool {
        self.pending.get()
    }
    fn kick(&self, cpu: usize) {
        self.kicked.set(self.kicked.get().with(cpu));
    }
    fn mitigation(&self, _: Workaround) -> Mitigation {
        Mitigation::Unaffected
    }
    fn mitigate(&self, _: Workaround) {}
    fn entropy(&self) -> Option<[u64; 3]> {
        None
    }
    fn send(&self, _: u8, next: impl FnMut() -> Option<u8>) {
        self.sends.set(self.sends.get() + 1);
        self.sent.borrow_mut().extend(std::iter::from_fn(next));
    }
    fn receive_again(&self) {
        self.received_again.set(self.received_again.get() + 1);
    }
    fn time_out_soon(&self) {
        self.timeouts.set(self.timeouts.get() + 1);
    }
    fn guard_quota_exceeded(&self, _: u8, _: usize, _: Ipa) {}
}

/// Four list registers that nothing takes interrupts from.
#[derive(Default)]
pub(crate) struct Lists {
    pub(crate) lrs: [Cell<ListRegister>; 4],
    hcr: Cell<u64>,
    /// The lines of the timers, 27 and 30, are up.
    pub(crate) is_timer_up: Cell<bool>,
}

impl Lists {
    /// Whether interrupt `intid` is pending in any of them.
    pub(crate) fn is_pending(&self, intid: u32) -> bool {
        self.lrs.iter().any(|lr| lr.get().intid() == intid && lr.get().is_pending())
    }
}

impl CpuInterface for &Lists {
    fn list_registers(&self) -> usize {
        self.lrs.len()
    }
    fn deactivation_trap(&self) -> u64 {
        0
    }
    fn read_lr(&self, n: usize) -> ListRegister {
        self.lrs[n].get()
    }
    fn write_lr(&mut self, n: usize, value: ListRegister) {
        self.lrs[n].set(value);
    }
    fn empty_lrs(&self) -> u32 {
        let holds = |lr: ListRegister| lr.is_pending() || lr.is_active();
        (0..4).filter(|&n| !holds(self.lrs[n].get())).map(|n| 1 << n).sum()
    }
    fn hcr(&self) -> u64 {
        self.hcr.get()
    }
    fn set_hcr(&mut self, value: u64) {
        self.hcr.set(value);
    }
    fn vmcr(&self) -> u64 {
        0
    }
    fn reset(&mut self) {
        self.lrs.iter().for_each(|lr| lr.set(ListRegister::EMPTY));
        self.hcr.set(0);
    }
    fn timer_line(&self, _: u32) -> bool {
        self.is_timer_up.get()
    }
    fn physical_timer(&self, intid: u32) -> u32 {
        intid
    }
    fn deactivate_physical(&mut self, _: u32) {}
}

/// What was traced: a [`Seen`] that can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Traced {
    Populated(Ipa),
    DeviceMapped(Ipa),
    Access { ipa: Ipa, access: Access, value: u64 },
    Refused,
    Undefined,
    Register { is_sgi: bool },
}

/// A CPU with a vCPU loaded. Its handle is a reference.
pub(crate) struct FakeCpu {
    pub(crate) desk: Desk,
    pub(crate) lists: Lists,
    pub(crate) el1: RefCell<El1State>,
    pub(crate) at: Cell<FaultAddress>,
    pub(crate) pc: Cell<u64>,
    pub(crate) pstate: Cell<u64>,
    /// What the guest's stage 1 makes of a page, by its address without the tag: PAR_EL1. Others are
    /// where their address says.
    pub(crate) par: RefCell<BTreeMap<u64, u64>>,
    /// Pages that the guest's stage 1 lets nobody write.
    pub(crate) read_only: RefCell<Vec<u64>>,
    pub(crate) asked: RefCell<Vec<(Va, bool, Rights)>>,
    pub(crate) vectors: RefCell<Vectors>,
    /// How often they were written.
    pub(crate) vector_writes: Cell<u32>,
    pub(crate) common: Cell<VirtualCommon>,
    pub(crate) tlb_drops: Cell<u32>,
    pub(crate) serrors: Cell<u32>,
    pub(crate) now: Cell<u64>,
    pub(crate) deadlines: RefCell<Vec<u64>>,
    pub(crate) given_way: Cell<u32>,
    pub(crate) events: RefCell<Vec<Event>>,
    pub(crate) crashes: RefCell<Vec<Crash>>,
    pub(crate) traced: RefCell<Vec<Traced>>,
    pub(crate) control: Cell<u64>,
    pub(crate) points: RefCell<BTreeMap<usize, u64>>,
}

impl FakeCpu {
    /// Ticks in a second.
    pub(crate) const FREQUENCY: u64 = 1000;

    pub(crate) fn new() -> Self {
        Self {
            desk: Desk::default(),
            lists: Lists::default(),
            el1: RefCell::new(El1State::RESET),
            at: Cell::new(FaultAddress { far: 0, hpfar: 0 }),
            pc: Cell::new(0),
            pstate: Cell::new(0),
            par: RefCell::default(),
            read_only: RefCell::default(),
            asked: RefCell::default(),
            vectors: RefCell::new([0; 32]),
            vector_writes: Cell::new(0),
            common: Cell::new(VirtualCommon { vtr: 0, vmcr: 0, active: [0; 4] }),
            tlb_drops: Cell::new(0),
            serrors: Cell::new(0),
            now: Cell::new(0),
            deadlines: RefCell::default(),
            given_way: Cell::new(0),
            events: RefCell::default(),
            crashes: RefCell::default(),
            traced: RefCell::default(),
            control: Cell::new(0),
            points: RefCell::default(),
        }
    }

    pub(crate) fn get(&self, register: El1) -> u64 {
        self.el1.borrow().get(register)
    }

    pub(crate) fn set(&self, register: El1, value: u64) {
        self.el1.borrow_mut().set(register, value);
    }
}

impl Shell for &FakeCpu {
    fn sctlr_el1(&self) -> u64 {
        self.get(El1::Sctlr)
    }
    fn mair_el1(&self) -> u64 {
        self.get(El1::Mair)
    }
    fn is_interrupt_pending(&self) -> bool {
        self.desk.is_interrupt_pending()
    }
    fn kick(&self, cpu: usize) {
        self.desk.kick(cpu);
    }
    fn mitigation(&self, workaround: Workaround) -> Mitigation {
        self.desk.mitigation(workaround)
    }
    fn mitigate(&self, workaround: Workaround) {
        self.desk.mitigate(workaround);
    }
    fn entropy(&self) -> Option<[u64; 3]> {
        self.desk.entropy()
    }
    fn send(&self, vm: u8, next: impl FnMut() -> Option<u8>) {
        self.desk.send(vm, next);
    }
    fn receive_again(&self) {
        self.desk.receive_again();
    }
    fn time_out_soon(&self) {
        self.desk.time_out_soon();
    }
    fn guard_quota_exceeded(&self, vm: u8, vcpu: usize, ipa: Ipa) {
        self.desk.guard_quota_exceeded(vm, vcpu, ipa);
    }
}

impl DebugUnit for &FakeCpu {
    fn set_control(&mut self, value: u64) {
        self.control.set(value);
    }
    fn set_point(&mut self, point: Point, value: u64) {
        self.points.borrow_mut().insert(point.index(), value);
    }
}

impl<'a> Cpu for &'a FakeCpu {
    type Interface = &'a Lists;

    fn el1(&self, register: El1) -> u64 {
        self.get(register)
    }
    fn set_el1(&self, register: El1, value: u64) {
        self.set(register, value);
    }
    fn fault_address(&self) -> FaultAddress {
        self.at.get()
    }
    fn pc(&self) -> u64 {
        self.pc.get()
    }
    fn set_pc(&self, pc: u64) {
        self.pc.set(pc);
    }
    fn pstate(&self) -> u64 {
        self.pstate.get()
    }
    fn set_pstate(&self, pstate: u64) {
        self.pstate.set(pstate);
    }
    fn translate(&self, va: Va, is_write: bool, rights: Rights) -> u64 {
        self.asked.borrow_mut().push((va, is_write, rights));
        let page = va.page().get() << 8 >> 8;
        if is_write && self.read_only.borrow().contains(&page) {
            // F, and a permission fault at level 3.
            return 1 | 0xf << 1;
        }
        // Attributes and shareability around the address: normal memory, inner shareable.
        const AROUND: u64 = 0xff << 56 | 3 << 7;
        let to = self.par.borrow().get(&page).copied();
        to.unwrap_or(page & 0x0000_ffff_ffff_f000 | AROUND)
    }
    fn vectors(&self) -> Vectors {
        *self.vectors.borrow()
    }
    fn set_vectors(&self, vectors: &Vectors) {
        self.vector_writes.set(self.vector_writes.get() + 1);
        *self.vectors.borrow_mut() = *vectors;
    }
    fn interface(&self) -> &'a Lists {
        &self.lists
    }
    fn virtual_common(&self) -> VirtualCommon {
        self.common.get()
    }
    fn set_virtual_control(&self, vmcr: u64) {
        self.common.set(VirtualCommon { vmcr, ..self.common.get() });
    }
    fn invalidate_tlb(&self) {
        self.tlb_drops.set(self.tlb_drops.get() + 1);
    }
    fn pend_serror(&self) {
        self.serrors.set(self.serrors.get() + 1);
    }
    fn now(&self) -> u64 {
        self.now.get()
    }
    fn frequency(&self) -> u64 {
        FakeCpu::FREQUENCY
    }
    fn fire_by(&self, deadline: u64) {
        self.deadlines.borrow_mut().push(deadline);
    }
    fn give_way(&self) {
        self.given_way.set(self.given_way.get() + 1);
    }
    fn record(&self, event: Event) {
        self.events.borrow_mut().push(event);
    }
    fn crashed<P: Ports>(&self, _: &Vcpu<'_, P>, why: &Crash) {
        self.crashes.borrow_mut().push(*why);
    }
    fn trace<P: Ports>(&self, vcpu: &Vcpu<'_, P>, seen: &Seen<'_>) {
        assert!(vcpu.is_traced);
        self.traced.borrow_mut().push(match *seen {
            Seen::Populated(fault) => Traced::Populated(fault.ipa),
            Seen::DeviceMapped(fault) => Traced::DeviceMapped(fault.ipa),
            Seen::Access { ipa, access, value } => Traced::Access { ipa, access, value },
            Seen::Refused => Traced::Refused,
            Seen::Undefined => Traced::Undefined,
            Seen::Register { is_sgi } => Traced::Register { is_sgi },
        });
    }
}
