//! Registers with a field for each interrupt: whose they are, which bits count, and how little is
//! done for what is often done (IHI0069, sections 12.9 to 12.11).

use super::super::{Kicks, Read, RegisterFile, SgiRegister, vmcr};
use super::fake::physical;
use super::machine::{Machine, SGI_FRAME};
use crate::esr::Width;

const IGROUPR: u64 = 0x080;
const ISPENDR: u64 = 0x200;
const ICPENDR: u64 = 0x280;
const ISACTIVER: u64 = 0x300;
/// GICD_ISENABLER to GICD_ICACTIVER: ones set or clear, zeros have no effect.
const SET_AND_CLEAR: [u64; 6] = [0x100, 0x180, ISPENDR, ICPENDR, ISACTIVER, 0x380];

/// There are no extended PPIs (GICR_TYPER.PPInum = 0), so that the SGI_base frame has one word of each
/// register, and one for each half of ICFGR.
#[test]
fn a_redistributor_has_the_registers_of_its_own_interrupts_only() {
    let mut m = Machine::started(2, 4);
    m.line(40, true);
    let spis = |m: &mut Machine| {
        let words = SET_AND_CLEAR.map(|offset| m.dist_read(0, offset + 4));
        (words, m.dist_read(0, IGROUPR + 4), m.dist_read(0, 0x420), m.dist_read(0, 0xc08))
    };
    let before = spis(&mut m);
    assert_eq!(before.0, [0xffff_ffff, 0xffff_ffff, 1 << 8, 1 << 8, 0, 0]);
    for offset in SET_AND_CLEAR.into_iter().chain([IGROUPR]) {
        for word in 1..32 {
            let offset = SGI_FRAME + offset + 4 * word;
            m.redist_write(0, 0, offset, !0);
            assert_eq!(m.redist_read(0, 0, offset), 0, "{offset:#x}");
        }
    }
    for offset in (0x420..0x800).chain(0xc08..0xd00).step_by(4).map(|offset| SGI_FRAME + offset) {
        m.redist_write(0, 0, offset, !0);
        assert_eq!(m.redist_read(0, 0, offset), 0, "{offset:#x}");
    }
    assert_eq!(spis(&mut m), before);
}

#[test]
fn zeros_written_to_a_group_register_count() {
    let mut m = Machine::started(1, 4);
    assert_eq!(
        (m.dist_read(0, IGROUPR + 4), m.redist_read(0, 0, SGI_FRAME + IGROUPR)),
        (0xffff_ffff, 0xffff_ffff)
    );
    m.dist_write(0, IGROUPR + 4, 0);
    m.redist_write(0, 0, SGI_FRAME + IGROUPR, 0);
    assert_eq!((m.dist_read(0, IGROUPR + 4), m.redist_read(0, 0, SGI_FRAME + IGROUPR)), (0, 0));
    let mut m = Machine::started_v2(1, 4);
    for offset in [IGROUPR, IGROUPR + 4] {
        m.v2_write(0, offset, !0);
        assert_eq!(m.v2_read(0, offset), !0);
        m.v2_write(0, offset, 0);
        assert_eq!(m.v2_read(0, offset), 0);
    }
}

/// Nobody is asked to look, and GICD_CTLR.RWP stays clear, for an interrupt that the write does not
/// name, wherever it is.
#[test]
fn zeros_written_to_a_set_or_clear_register_disturb_nobody() {
    for offset in SET_AND_CLEAR {
        let mut m = Machine::started(2, 4);
        m.dist_write_as(0, 0x6000 + 8 * 40, Width::Double, 1);
        m.line(40, true);
        m.sgi(0, SgiRegister::Sgi1, 3 << 24 | 0b10);
        // SPI 41 and SGI 5, which are idle.
        let cpu = &mut m.cpus[0];
        let kicks =
            m.vgic.write(0, RegisterFile::Distributor, offset + 4, Width::Word, 1 << 9, cpu);
        assert_eq!(kicks, Kicks::NONE, "{offset:#x}");
        if offset != ISPENDR && offset != ISACTIVER {
            let other = 0x2_0000 + SGI_FRAME + offset;
            let kicks =
                m.vgic.write(0, RegisterFile::Redistributors, other, Width::Word, 1 << 5, cpu);
            assert_eq!(kicks, Kicks::NONE, "{offset:#x}");
        }
        assert_eq!(
            m.vgic.read(0, RegisterFile::Distributor, 0, Width::Word, cpu),
            Read::Value(0x53)
        );
        assert!(m.cpus[1].has_interrupt());
    }
}

/// The lines of the reader's timers are no business of another vCPU's registers, nor of registers that
/// do not show what is pending.
#[test]
fn a_timer_line_shows_where_it_is_pending() {
    let mut m = Machine::new(2, 4);
    m.cpus[0].lines = 1 << 27 | 1 << 30;
    for offset in SET_AND_CLEAR {
        let shown = if matches!(offset, ISPENDR | ICPENDR) { m.cpus[0].lines.into() } else { 0 };
        let mut read = |target: u64| {
            let offset = 0x2_0000 * target + SGI_FRAME + offset;
            m.vgic.read(0, RegisterFile::Redistributors, offset, Width::Word, &mut m.cpus[0])
        };
        assert_eq!(read(0), Read::Value(shown), "{offset:#x}");
        assert_eq!(read(1), Read::Value(0), "{offset:#x} of another");
    }
    // Taken, the same interrupt is pending in two ways at once.
    m.settle();
    assert_eq!(m.cpus[0].physical_active, 1 << physical(27) | 1 << physical(30));
    for offset in [ISPENDR, ICPENDR] {
        assert_eq!(m.redist_read(0, 0, SGI_FRAME + offset), 1 << 27 | 1 << 30);
        assert_eq!(m.redist_read(1, 0, SGI_FRAME + offset), 1 << 27 | 1 << 30);
    }
}

/// Both, over and over, are what a guest does most with its interrupts; `cargo xtask bench` counts
/// them.
#[test]
fn an_sgi_or_timer_that_comes_again_is_one_list_register_write() {
    let mut m = Machine::started(2, 4);
    let once = |m: &mut Machine| {
        m.cpus[0].writes = 0;
        assert!(m.vgic.sgi(0, SgiRegister::Sgi1, 1, &mut m.cpus[0]).is_empty());
        m.cpus[0].writes
    };
    m.sgi(0, SgiRegister::Sgi1, 1);
    for _ in 0..3 {
        assert_eq!(m.cpus[0].acknowledge(), 0);
        m.cpus[0].end(0);
        assert_eq!(once(&mut m), 1);
        assert!(m.cpus[0].has_interrupt());
    }
    // While it is active, it does not come before its end.
    assert_eq!(m.cpus[0].acknowledge(), 0);
    once(&mut m);
    assert!(!m.cpus[0].has_interrupt());
    m.end(0, 0);
    assert_eq!(m.acknowledge(0), 0);
}

/// Another vCPU made the SGI active, and its owner has not looked yet: the short road, on which it would
/// be signalled at once, is not taken.
#[test]
fn an_sgi_that_another_made_active_waits() {
    let mut m = Machine::started(2, 4);
    m.sgi(0, SgiRegister::Sgi1, 5 << 24 | 1);
    assert_eq!(m.cpus[0].acknowledge(), 5);
    m.cpus[0].end(5);
    let kicks = m.vgic.write(
        1,
        RegisterFile::Redistributors,
        SGI_FRAME + ISACTIVER,
        Width::Word,
        1 << 5,
        &mut m.cpus[1],
    );
    assert_eq!(kicks, Kicks::NONE.with(0));
    m.sgi(0, SgiRegister::Sgi1, 5 << 24 | 1);
    assert!(!m.cpus[0].has_interrupt());
    m.redist_write(1, 0, SGI_FRAME + 0x380, 1 << 5);
    assert_eq!(m.acknowledge(0), 5);
}

/// A level sensitive line is `0b00` and an edge `0b10`, whatever was there before.
#[test]
fn a_trigger_is_what_was_written_last() {
    let mut m = Machine::started(1, 4);
    let mut v2 = Machine::started_v2(1, 4);
    for value in [0xaaaa_aaaa, 0xaaaa_aaaa, 0x0a0a_8002, 0xa00a_8008, 0, 0, 2] {
        for offset in [0xc08, 0xc0c, 0xc1c] {
            m.dist_write(0, offset, value);
            assert_eq!(m.dist_read(0, offset), value, "{offset:#x}");
            v2.v2_write(0, offset, u32::try_from(value).unwrap());
            assert_eq!(u64::from(v2.v2_read(0, offset)), value, "{offset:#x} of a GICv2");
        }
    }
}

/// An SPI that is neither pending nor active goes where GICD_IROUTER says, whatever was made of its
/// neighbours before.
#[test]
fn an_spi_made_active_binds_no_other() {
    let mut m = Machine::started(2, 4);
    m.dist_write(0, ISACTIVER + 4, 1 << 9);
    assert_eq!(m.dist_read(0, ISACTIVER + 4), 1 << 9);
    m.dist_write_as(0, 0x6000 + 8 * 40, Width::Double, 1);
    m.line(40, true);
    assert!(m.cpus[1].has_interrupt() && !m.cpus[0].has_interrupt());
    assert_eq!(m.acknowledge(1), 40);
    assert_eq!(m.dist_read(0, ISACTIVER + 4), 0b11 << 8);
}

/// Clearing what is not pending, or activating what is active, has no effect (IHI0069,
/// GICD_ICPENDR and GICD_ISACTIVER): the end still belongs to the interrupt that was acknowledged, not
/// to more urgent ones that software made active, though there is one list register for all.
#[test]
fn an_end_is_of_the_acknowledged_interrupt_after_any_write_to_it() {
    for register in [ICPENDR, ISACTIVER] {
        for (first, is_private) in [(40, false), (20, true)] {
            let mut m = Machine::started(1, 1);
            let bits = 0b111 << (first & 31);
            let write = |m: &mut Machine, offset: u64, value: u64| {
                if is_private {
                    m.redist_write(0, 0, SGI_FRAME + offset, value);
                } else {
                    m.dist_write(0, offset + 4, value);
                }
            };
            let word = 0x400 + first;
            for (n, priority) in [(0, 0xa0), (1, 0x20), (2, 0x30)] {
                if is_private {
                    m.redist_write_as(0, 0, SGI_FRAME + word + n, Width::Byte, priority);
                } else {
                    m.dist_write_as(0, word + n, Width::Byte, priority);
                }
            }
            write(&mut m, ISPENDR, 1 << (first & 31));
            assert_eq!(u64::from(m.acknowledge(0)), first);
            write(&mut m, register, 1 << (first & 31));
            write(&mut m, ISACTIVER, 0b110 << (first & 31));
            let active = |m: &mut Machine| {
                if is_private {
                    m.redist_read(0, 0, SGI_FRAME + ISACTIVER)
                } else {
                    m.dist_read(0, ISACTIVER + 4)
                }
            };
            assert_eq!(active(&mut m), bits);
            m.end(0, u32::try_from(first).unwrap());
            assert_eq!(active(&mut m), bits & (bits << 1), "{first} {register:#x}");
        }
    }
}

/// A timer that is pending is of the priority that was written last, whoever wrote it.
#[test]
fn a_priority_counts_for_what_is_pending() {
    for writer in 0..2 {
        let mut m = Machine::started(2, 4);
        m.redist_write(writer, 0, SGI_FRAME + 0x418, 0xa0a0_a0a0);
        m.timer(0, 27, true);
        m.cpus[0].pmr = 0x80;
        assert!(!m.cpus[0].has_interrupt());
        m.redist_write_as(writer, 0, SGI_FRAME + 0x41b, Width::Byte, 0x20);
        assert_eq!(m.acknowledge(0), 27, "written by {writer}");
    }
}

/// Active and pending: it comes again after its end, whoever made it pending.
#[test]
fn what_is_made_pending_while_active_comes_after_the_end() {
    for writer in 0..2 {
        for intid in [5, 20] {
            let mut m = Machine::started(2, 4);
            for _ in 0..2 {
                m.redist_write(writer, 0, SGI_FRAME + ISPENDR, 1 << intid);
                assert_eq!(m.acknowledge(0), intid);
                assert_eq!(m.redist_read(writer, 0, SGI_FRAME + ISACTIVER), 1 << intid);
                m.redist_write(writer, 0, SGI_FRAME + ISPENDR, 1 << intid);
                assert!(!m.cpus[0].has_interrupt());
                m.end(0, intid);
                assert_eq!(m.acknowledge(0), intid, "made pending by {writer}");
                m.end(0, intid);
                assert!(!m.cpus[0].has_interrupt());
            }
        }
    }
}

/// With separate deactivation the guest may deactivate what it made active without ever acknowledging
/// it, though there was no list register left for it.
#[test]
fn what_waits_and_is_made_active_can_be_deactivated() {
    let mut m = Machine::started(1, 1);
    m.cpus[0].vmcr |= vmcr::VEOIM;
    m.redist_write(0, 0, SGI_FRAME + ISPENDR, 0b11 << 20);
    m.redist_write(0, 0, SGI_FRAME + ISACTIVER, 1 << 21);
    // Without a look in between, which would bring everything up to date.
    m.deactivate(0, 21);
    assert_eq!(m.redist_read(0, 0, SGI_FRAME + ISACTIVER), 0);
    assert_eq!(m.redist_read(0, 0, SGI_FRAME + ISPENDR), 0b11 << 20);
}

/// What comes again while it is active has the priority that was written in between.
#[test]
fn a_priority_written_while_active_counts_from_the_next_time_on() {
    for (before, after) in [(0x40, 0xa0), (0xa0, 0x40)] {
        let mut m = Machine::started(1, 4);
        let set = |m: &mut Machine, priority: u64| {
            m.redist_write_as(0, 0, SGI_FRAME + 0x405, Width::Byte, priority);
        };
        set(&mut m, before);
        m.sgi(0, SgiRegister::Sgi1, 5 << 24 | 1);
        assert_eq!(m.acknowledge(0), 5);
        assert_eq!(m.redist_read(0, 0, SGI_FRAME + ISACTIVER), 1 << 5);
        set(&mut m, after);
        m.sgi(0, SgiRegister::Sgi1, 5 << 24 | 1);
        m.end(0, 5);
        m.cpus[0].pmr = 0x80;
        assert_eq!(m.cpus[0].has_interrupt(), after < 0x80, "{before:#x} {after:#x}");
    }
}
