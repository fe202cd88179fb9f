//! Which interrupt reaches which guest when, and what ends it.

use super::super::{CpuInterface, Kicks, SgiRegister, hcr, vmcr};
use super::fake::{SPURIOUS, physical};
use super::machine::{Machine, SGI_FRAME};
use crate::esr::Width;
use std::vec::Vec;

fn set_edge(m: &mut Machine, intid: u64) {
    let offset = 0xc00 + intid / 16 * 4;
    let old = m.dist_read(0, offset);
    m.dist_write(0, offset, old | 2 << (2 * (intid % 16)));
}

fn route(m: &mut Machine, intid: u64, vcpu: u64) {
    m.dist_write_as(0, 0x6000 + 8 * intid, Width::Double, vcpu);
}

#[test]
fn an_spi_made_pending_while_its_group_is_off_comes_when_the_group_is_on() {
    for edge in [false, true] {
        let mut m = Machine::started(2, 4);
        route(&mut m, 50, 1);
        if edge {
            set_edge(&mut m, 50);
        }
        m.dist_write(0, 0, 0);
        m.line(50, true);
        m.dist_write(0, 0x200 + 4, 1 << 8);
        assert!(!m.cpus[0].has_interrupt() && !m.cpus[1].has_interrupt());
        assert_eq!(m.dist_read(0, 0x204), 1 << 18 | 1 << 8);
        m.dist_write(0, 0, 2);
        assert_eq!((m.acknowledge(0), m.acknowledge(1)), (40, 50));
    }
}

#[test]
fn turning_a_group_off_takes_back_what_is_on_its_way() {
    let mut m = Machine::started(2, 4);
    m.sgi(0, SgiRegister::Sgi1, 3 << 24 | 0b11);
    m.dist_write(0, 0, 1);
    assert_eq!((m.acknowledge(0), m.acknowledge(1)), (SPURIOUS, SPURIOUS));
    assert_eq!(m.redist_read(0, 1, SGI_FRAME + 0x200), 1 << 3);
    m.dist_write(0, 0, 3);
    assert_eq!((m.acknowledge(0), m.acknowledge(1)), (3, 3));
}

#[test]
fn an_sgi_to_oneself_is_one_list_register_write() {
    let mut m = Machine::started(2, 4);
    m.cpus[0].writes = 0;
    for round in 1..4 {
        let kicks = m.vgic.sgi(0, SgiRegister::Sgi1, 1, &mut m.cpus[0]);
        assert_eq!(kicks, Kicks::NONE);
        assert_eq!(m.cpus[0].writes, round);
        assert_eq!(m.cpus[0].acknowledge(), 0);
        m.cpus[0].end(0);
    }
}

#[test]
fn an_sgi_to_another_is_one_kick_until_it_has_looked() {
    let mut m = Machine::started(3, 4);
    let first = m.vgic.sgi(0, SgiRegister::Sgi1, 1 << 40, &mut m.cpus[0]);
    assert_eq!(first.iter().collect::<Vec<_>>(), [1, 2]);
    let second = m.vgic.sgi(0, SgiRegister::Sgi1, 5 << 24 | 0b10, &mut m.cpus[0]);
    assert!(second.is_empty());
    assert!(m.vgic.sync(1, &mut m.cpus[1]).is_empty());
    assert_eq!((m.acknowledge(1), m.cpus[2].acknowledge()), (0, SPURIOUS));
    m.end(1, 0);
    assert_eq!(m.acknowledge(1), 5);
}

#[test]
fn an_sgi_sent_twice_is_one_while_pending_and_two_while_active() {
    let mut m = Machine::started(1, 4);
    m.sgi(0, SgiRegister::Sgi1, 1);
    m.sgi(0, SgiRegister::Sgi1, 1);
    assert_eq!(m.acknowledge(0), 0);
    m.sgi(0, SgiRegister::Sgi1, 1);
    assert_eq!(m.acknowledge(0), SPURIOUS);
    m.end(0, 0);
    assert_eq!(m.acknowledge(0), 0);
    m.end(0, 0);
    assert_eq!(m.acknowledge(0), SPURIOUS);
}

#[test]
fn a_group_0_sgi_does_not_reach_a_group_1_interrupt() {
    let mut m = Machine::started(2, 4);
    m.redist_write(1, 1, SGI_FRAME + 0x80, !0b10);
    m.sgi(0, SgiRegister::Sgi0, 2 << 24 | 0b10);
    assert_eq!(m.acknowledge(1), SPURIOUS);
    m.sgi(0, SgiRegister::Sgi0, 1 << 24 | 0b10);
    assert!(!m.cpus[1].lrs.iter().any(|lr| lr.is_pending() && lr.is_group1()));
    assert_eq!(m.acknowledge(1), 1);
}

#[test]
fn the_guests_end_of_a_timer_interrupt_deactivates_the_physical_one() {
    let mut m = Machine::started(1, 4);
    m.timer(0, 27, true);
    assert!(m.cpus[0].lrs[0].is_physical());
    assert_eq!((m.cpus[0].lrs[0].intid(), m.cpus[0].lrs[0].physical()), (27, physical(27)));
    assert_eq!(m.cpus[0].physical_active, 1 << physical(27));
    assert_eq!(m.acknowledge(0), 27);
    m.timer(0, 27, false);
    m.end(0, 27);
    assert_eq!(m.cpus[0].physical_active, 0);
    // A line that stays high interrupts again.
    m.timer(0, 27, true);
    for _ in 0..3 {
        assert_eq!(m.acknowledge(0), 27);
        m.end(0, 27);
    }
}

#[test]
fn a_timer_line_that_falls_while_the_interrupt_is_disabled_leaves_nothing() {
    let mut m = Machine::started(1, 4);
    m.redist_write(0, 0, SGI_FRAME + 0x180, 1 << 30);
    m.timer(0, 30, true);
    assert_eq!(m.cpus[0].physical_active, 1 << physical(30), "masked by staying active");
    assert_eq!(m.redist_read(0, 0, SGI_FRAME + 0x200), 1 << 30);
    m.timer(0, 30, false);
    assert_eq!(m.redist_read(0, 0, SGI_FRAME + 0x200), 0);
    m.redist_write(0, 0, SGI_FRAME + 0x100, 1 << 30);
    assert_eq!(m.acknowledge(0), SPURIOUS);
    assert_eq!(m.cpus[0].physical_active, 0);
    m.timer(0, 30, true);
    assert_eq!(m.acknowledge(0), 30);
}

#[test]
fn deactivating_a_timer_by_register_frees_the_physical_interrupt() {
    let mut m = Machine::started(2, 4);
    for writer in [0, 1] {
        m.timer(0, 27, true);
        assert_eq!(m.acknowledge(0), 27);
        m.timer(0, 27, false);
        m.redist_write(writer, 0, SGI_FRAME + 0x380, 1 << 27);
        assert_eq!(m.cpus[0].physical_active, 0);
        assert_eq!(m.redist_read(0, 0, SGI_FRAME + 0x300), 0);
        // The guest still drops the priority.
        m.end(0, 27);
    }
}

#[test]
fn a_timer_made_pending_while_active_comes_again() {
    let mut m = Machine::started(1, 4);
    m.timer(0, 27, true);
    assert_eq!(m.acknowledge(0), 27);
    m.redist_write(0, 0, SGI_FRAME + 0x200, 1 << 27);
    m.timer(0, 27, false);
    m.end(0, 27);
    assert_eq!(m.acknowledge(0), 27);
    m.end(0, 27);
    assert_eq!((m.acknowledge(0), m.cpus[0].physical_active), (SPURIOUS, 0));
    m.timer(0, 27, true);
    assert_eq!(m.acknowledge(0), 27, "and the physical one still works");
}

#[test]
fn a_level_comes_again_while_the_line_is_high_and_goes_when_it_falls() {
    let mut m = Machine::started(2, 4);
    m.line(33, true);
    assert_eq!(m.acknowledge(0), 33);
    m.end(0, 33);
    assert_eq!(m.acknowledge(0), 33);
    m.line(33, false);
    m.end(0, 33);
    assert_eq!(m.acknowledge(0), SPURIOUS);
    m.line(33, true);
    assert!(m.cpus[0].has_interrupt());
    m.line(33, false);
    assert_eq!(m.acknowledge(0), SPURIOUS, "taken back before it was acknowledged");
}

#[test]
fn an_edge_stays_although_the_line_falls() {
    let mut m = Machine::started(1, 4);
    set_edge(&mut m, 34);
    m.line(34, true);
    m.line(34, false);
    assert_eq!(m.acknowledge(0), 34);
    m.kicked |= m.vgic.pulse_spi(34);
    m.settle();
    m.end(0, 34);
    assert_eq!(m.acknowledge(0), 34);
    m.end(0, 34);
    assert_eq!(m.acknowledge(0), SPURIOUS);
}

#[test]
fn one_list_register_serves_ninety_interrupts_in_order_of_priority() {
    let mut m = Machine::started(1, 1);
    for n in 0..90u64 {
        // Priorities 0x08 to 0xf0 in scrambled order, each about three times.
        m.dist_write_as(0, 0x420 + n, Width::Byte, (n * 7 % 30 + 1) * 8);
    }
    for word in 1..4 {
        m.dist_write(0, 0x200 + 4 * word, 0x03ff_ffff);
    }
    let mut priorities = Vec::new();
    while m.cpus[0].has_interrupt() {
        let intid = m.acknowledge(0);
        priorities.push(m.dist_read_as(0, 0x400 + u64::from(intid), Width::Byte));
        m.end(0, intid);
    }
    assert_eq!(priorities.len(), 78);
    assert!(priorities.is_sorted());
    assert_eq!(m.cpus[0].hcr, hcr::EN | hcr::TDIR, "no maintenance interrupt is left on");
}

#[test]
fn active_interrupts_survive_without_a_list_register() {
    let mut m = Machine::started(1, 2);
    for level in 0..8u64 {
        m.dist_write_as(0, 0x420 + level, Width::Byte, 0xf0 - 0x10 * level);
    }
    for intid in 32..40 {
        m.line(intid, true);
        assert_eq!(m.acknowledge(0), intid);
        m.line(intid, false);
    }
    assert_eq!(m.dist_read(0, 0x304), 0xff, "eight active, two list registers");
    for intid in (32..40).rev() {
        m.end(0, intid);
        assert_eq!(m.dist_read(0, 0x304), (1 << (intid - 32)) - 1);
    }
    assert_eq!(m.cpus[0].running_priority(), 0xff);
}

#[test]
fn an_end_is_that_of_an_acknowledged_interrupt_whatever_else_is_active() {
    let mut m = Machine::started(1, 2);
    for intid in 40..43 {
        m.dist_write_as(0, 0x400 + intid, Width::Byte, 0x10);
    }
    m.dist_write(0, 0x304, 0b111 << 8);
    m.dist_write_as(0, 0x400 + 36, Width::Byte, 0xa0);
    m.dist_write_as(0, 0x400 + 37, Width::Byte, 0xd0);
    m.line(36, true);
    assert_eq!(m.acknowledge(0), 36);
    m.line(36, false);
    m.line(37, true);
    m.end(0, 36);
    assert_eq!(m.dist_read(0, 0x304), 0b111 << 8, "what a register made active stays so");
    assert_eq!(m.acknowledge(0), 37);
    m.line(37, false);
    m.end(0, 37);
    assert_eq!(m.dist_read(0, 0x304), 0b111 << 8);
}

#[test]
fn separate_deactivation_is_in_any_order() {
    let mut m = Machine::started(1, 2);
    m.split(0);
    for intid in 32..37 {
        m.line(intid, true);
        assert_eq!(m.acknowledge(0), intid);
        m.line(intid, false);
        m.end(0, intid);
    }
    assert_eq!(m.dist_read(0, 0x304), 0x1f);
    for (intid, left) in [(34, 0x1b), (32, 0x1a), (36, 0x0a), (33, 0x08), (35, 0)] {
        m.deactivate(0, intid);
        assert_eq!(m.dist_read(0, 0x304), left);
    }
    assert_eq!(m.cpus[0].hcr, hcr::EN | hcr::TDIR);
}

#[test]
fn an_spi_is_deactivated_where_it_was_not_acknowledged() {
    let mut m = Machine::started(2, 4);
    m.split(0);
    m.split(1);
    m.line(40, true);
    assert_eq!(m.acknowledge(0), 40);
    m.end(0, 40);
    assert_eq!(m.acknowledge(0), SPURIOUS, "active");
    m.deactivate(1, 40);
    assert_eq!(m.acknowledge(0), 40, "the line is still high");
}

/// The line of the waiting interrupt falls and another CPU's kick is still on its way when the
/// guest deactivates: fewer interrupts are left than list registers were full.
#[test]
fn a_trapped_deactivation_leaves_nothing_behind_in_list_registers() {
    let mut m = Machine::started(1, 3);
    m.split(0);
    for intid in 32..35 {
        m.line(intid, true);
        assert_eq!(m.acknowledge(0), intid);
        m.line(intid, false);
        m.end(0, intid);
    }
    m.line(50, true);
    let kicks = m.vgic.set_spi_line(50, false);
    assert!(!m.cpus[0].write_dir(33), "it traps");
    m.kicked |= m.vgic.deactivate(0, 33, &mut m.cpus[0]) | kicks;
    let held: Vec<u32> = m.cpus[0]
        .lrs
        .iter()
        .filter(|lr| lr.is_pending() || lr.is_active())
        .map(|lr| lr.intid())
        .collect();
    assert_eq!(held, [32, 34]);
}

#[test]
fn an_active_edge_that_is_routed_away_goes_on_after_its_end() {
    let mut m = Machine::started(2, 4);
    set_edge(&mut m, 60);
    m.line(60, true);
    assert_eq!(m.acknowledge(0), 60);
    m.line(60, false);
    route(&mut m, 60, 1);
    m.line(60, true);
    assert_eq!(m.acknowledge(1), SPURIOUS, "active elsewhere");
    m.end(0, 60);
    assert_eq!((m.acknowledge(0), m.acknowledge(1)), (SPURIOUS, 60));
}

#[test]
fn a_pending_interrupt_follows_its_route() {
    let mut m = Machine::started(3, 4);
    m.line(61, true);
    assert!(m.cpus[0].has_interrupt());
    route(&mut m, 61, 2);
    assert_eq!((m.acknowledge(0), m.acknowledge(2)), (SPURIOUS, 61));
    route(&mut m, 61, 7);
    m.end(2, 61);
    assert!((0..3).all(|vcpu| m.acknowledge(vcpu) == SPURIOUS), "routed to nobody");
    assert_eq!(m.dist_read(0, 0x204) >> 29, 1);
}

#[test]
fn a_vcpu_that_goes_off_gives_everything_back() {
    let mut m = Machine::started(2, 4);
    m.sgi(0, SgiRegister::Sgi1, 7 << 24 | 0b10);
    route(&mut m, 62, 1);
    m.line(62, true);
    m.timer(1, 27, true);
    m.cpus[1].lines = 0;
    m.kicked |= m.vgic.vcpu_off(1, &mut m.cpus[1]);
    assert_eq!(m.cpus[1].physical_active, 0);
    assert_eq!(m.cpus[1].empty_lrs(), 0xf);
    // Pending elsewhere now.
    route(&mut m, 62, 0);
    assert_eq!(m.acknowledge(0), 62);
    m.end(0, 62);
    m.line(62, false);
    // SGIs wait for it.
    m.sgi(0, SgiRegister::Sgi1, 8 << 24 | 0b10);
    m.kicked |= m.vgic.vcpu_on(1, &mut m.cpus[1]);
    m.cpus[1].open();
    m.settle();
    assert_eq!(m.acknowledge(1), 7);
    m.end(1, 7);
    assert_eq!(m.acknowledge(1), 8);
    m.end(1, 8);
    assert_eq!(m.acknowledge(1), SPURIOUS);
}

/// A timer's line takes time to fall: the interrupt may be acknowledged on a CPU whose vCPU has
/// gone off. The VM's reset must not forget that it is active.
#[test]
fn a_timer_that_fired_behind_the_end_fires_again_after_a_reset() {
    let mut m = Machine::new(1, 4);
    m.kicked |= m.vgic.vcpu_off(0, &mut m.cpus[0]);
    m.timer(0, 27, true);
    assert_eq!(m.cpus[0].physical_active, 1 << physical(27));
    m.timer(0, 27, false);
    m.vgic.reset();
    m.kicked |= m.vgic.vcpu_on(0, &mut m.cpus[0]);
    assert_eq!(m.cpus[0].physical_active, 0);
}

#[test]
fn a_reset_forgets_everything() {
    let mut m = Machine::started(2, 4);
    m.line(40, true);
    m.sgi(0, SgiRegister::Sgi1, 0b11);
    for vcpu in 0..2 {
        m.kicked |= m.vgic.vcpu_off(vcpu, &mut m.cpus[vcpu]);
    }
    m.vgic.reset();
    m.kicked |= m.vgic.vcpu_on(0, &mut m.cpus[0]);
    m.cpus[0].open();
    m.settle();
    assert!(!m.cpus[0].has_interrupt());
    assert_eq!((m.dist_read(0, 0), m.dist_read(0, 0x104), m.dist_read(0, 0x204)), (0x50, 0, 0));
    assert_eq!(m.redist_read(0, 0, SGI_FRAME + 0x80), 0);
}

#[test]
fn what_the_cpu_interface_has_off_does_not_block_the_rest() {
    let mut m = Machine::started(1, 2);
    m.cpus[0].vmcr = vmcr::VENG1;
    // Group 0, highest priority, more than there are list registers.
    m.dist_write(0, 0x84, !0xff);
    m.dist_write(0, 0x204, 0xff);
    m.dist_write_as(0, 0x440, Width::Byte, 0x80);
    m.line(64, true);
    assert_eq!(m.acknowledge(0), 64);
    m.line(64, false);
    m.end(0, 64);
    m.cpus[0].vmcr = vmcr::VENG0;
    m.settle();
    let mut taken = 0;
    while m.cpus[0].has_interrupt() {
        let intid = m.acknowledge(0);
        m.end(0, intid);
        taken += 1;
    }
    assert_eq!(taken, 8);
}

/// A maintenance interrupt that its own service does not end keeps the vCPU from running.
#[test]
fn what_calls_for_a_look_is_over_once_it_was_looked_at() {
    const CALLS: u64 = hcr::VGRP0EIE | hcr::VGRP0DIE | hcr::VGRP1EIE | hcr::VGRP1DIE;
    for (enabled, calls) in [
        (0, hcr::VGRP0EIE | hcr::VGRP1EIE),
        (vmcr::VENG0, hcr::VGRP1EIE),
        (vmcr::VENG1, hcr::VGRP0EIE),
        (vmcr::VENG0 | vmcr::VENG1, hcr::VGRP0DIE | hcr::VGRP1DIE),
    ] {
        let mut m = Machine::started(1, 1);
        m.sgi(0, SgiRegister::Sgi1, 1);
        m.sgi(0, SgiRegister::Sgi1, 2 << 24 | 1);
        m.cpus[0].vmcr = enabled;
        let _ = m.vgic.maintenance(0, &mut m.cpus[0]);
        assert!(!m.cpus[0].has_maintenance(), "{enabled:#x}: {:#x}", m.cpus[0].hcr);
        assert_eq!(m.cpus[0].hcr & CALLS, calls, "{enabled:#x}");
        // Both off and on again: whatever is let in comes.
        m.cpus[0].vmcr = 0;
        m.cpus[0].vmcr = vmcr::VENG0 | vmcr::VENG1;
        assert_eq!((m.acknowledge(0), m.acknowledge(0)), (0, SPURIOUS), "{enabled:#x}");
        m.end(0, 0);
        assert_eq!(m.acknowledge(0), 2, "{enabled:#x}");
    }
}

#[test]
fn unknown_numbers_are_ignored() {
    let mut m = Machine::started(1, 4);
    for intid in [0, 31, 128, 1023, u32::MAX] {
        assert!(m.vgic.set_spi_line(intid, true).is_empty());
        assert!(m.vgic.ppi_fired(0, intid, &mut m.cpus[0]).is_empty());
        assert!(m.vgic.deactivate(0, intid, &mut m.cpus[0]).is_empty());
    }
    assert!(m.vgic.sync(17, &mut m.cpus[0]).is_empty());
    assert!(!m.cpus[0].has_interrupt());
}
