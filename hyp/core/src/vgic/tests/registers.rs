//! What the register files answer.

use super::super::{GicVersion, Kicks, Read, RegisterFile, Vgic};
use super::fake::FakeCpu;
use super::machine::{FRAMES, Machine, SGI_FRAME};
use crate::esr::Width;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

#[test]
fn the_distributor_says_what_it_is() {
    let mut m = Machine::new(4, 4);
    assert_eq!(m.dist_read(0, 0x0000), 0x50, "CTLR: DS, ARE");
    assert_eq!(m.dist_read(0, 0x0004), 0x0248_0003, "TYPER: No1N, 10 ID bits, 128 INTIDs");
    assert_eq!(m.dist_read(0, 0x0008) & 0xfff, 0x43b, "IIDR");
    assert_eq!(m.dist_read(0, 0x000c), 0, "TYPER2");
    let id: Vec<u64> = (0..12).map(|n| m.dist_read(0, 0xffd0 + 4 * n)).collect();
    assert_eq!(id, [0x44, 0, 0, 0, 0x92, 0xb4, 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1]);
}

/// IHI0069, 12.11.36: Affinity_Value, Processor_Number, Last.
#[test]
fn each_redistributor_says_whose_it_is() {
    let mut m = Machine::new(3, 4);
    for (vcpu, low, high) in [(0, 0, 0), (1, 0x100, 1), (2, 0x210, 2)] {
        for (offset, width, value) in [
            (8, Width::Word, low),
            (0xc, Width::Word, high),
            (8, Width::Double, high << 32 | low),
            (8, Width::Half, 0),
            (0xc, Width::Double, 0),
        ] {
            assert_eq!(m.redist_read_as(0, vcpu, offset, width), value, "{vcpu} {offset:#x}");
        }
    }
    assert_eq!(m.redist_read_as(0, 3, 8, Width::Double), 0, "no fourth vCPU");
}

/// Ones set and clear: zeros do neither.
#[test]
fn a_store_of_zeros_changes_no_set_or_clear_register() {
    let mut m = Machine::new(3, 4);
    m.dist_write(1, 0x104, 0x1234_5678);
    m.dist_write(1, 0x204, 0x8765_4321);
    m.dist_write(1, 0x304, 0x1010_1010);
    let seen = |m: &mut Machine| [0x104, 0x204, 0x304].map(|offset| m.dist_read(1, offset));
    assert_eq!(seen(&mut m), [0x1234_5678, 0x8765_4321, 0x1010_1010]);
    for offset in (0x100..0x400).step_by(4) {
        m.dist_write(1, offset, 0);
    }
    assert_eq!(seen(&mut m), [0x1234_5678, 0x8765_4321, 0x1010_1010]);
}

#[test]
fn only_the_group_enables_of_ctlr_are_writable() {
    let mut m = Machine::new(1, 4);
    m.dist_write(0, 0, 0xffff_ffff);
    assert_eq!(m.dist_read(0, 0), 0x53);
    m.dist_write(0, 0, 0);
    assert_eq!(m.dist_read(0, 0), 0x50);
}

#[test]
fn redistributors_are_walked_by_typer() {
    for vcpus in 1..=8 {
        let mut m = Machine::new(vcpus, 4);
        for n in 0..vcpus {
            let typer = m.redist_read_as(0, n, 8, Width::Double);
            let last = u64::from(n + 1 == vcpus) << 4;
            assert_eq!(typer, (n as u64) << 32 | (n as u64) << 8 | last);
            assert_eq!(m.redist_read(0, n, 8), typer & 0xffff_ffff);
            assert_eq!(m.redist_read(0, n, 12), n as u64);
            assert_eq!(m.redist_read(0, n, 0xffe8), 0x3b, "PIDR2: GICv3");
        }
        assert_eq!(m.redist_read_as(0, vcpus, 8, Width::Double), 0, "beyond the last");
    }
}

#[test]
fn the_waker_wakes() {
    let mut m = Machine::new(2, 4);
    assert_eq!(m.redist_read(1, 1, 0x14), 6);
    m.redist_write(1, 1, 0x14, 0);
    assert_eq!(m.redist_read(1, 1, 0x14), 0);
    m.redist_write(1, 1, 0x14, 2);
    assert_eq!(m.redist_read(1, 1, 0x14), 6);
}

#[test]
fn private_interrupts_are_not_in_the_distributor() {
    let mut m = Machine::new(1, 4);
    for offset in [0x80, 0x100, 0x200, 0x300, 0x400, 0x41c, 0xc00, 0xc04] {
        m.dist_write(0, offset, !0);
        assert_eq!(m.dist_read(0, offset), 0, "{offset:#x}");
    }
    assert_eq!(m.redist_read(0, 0, SGI_FRAME + 0x100), 0);
}

#[test]
fn priorities_have_five_bits_and_bytes() {
    let mut m = Machine::new(1, 4);
    m.dist_write(0, 0x420, 0xa5a4_ffff);
    assert_eq!(m.dist_read(0, 0x420), 0xa0a0_f8f8);
    assert_eq!(m.dist_read_as(0, 0x422, Width::Byte), 0xa0);
    m.dist_write_as(0, 0x421, Width::Byte, 0x18);
    assert_eq!(m.dist_read(0, 0x420), 0xa0a0_18f8);
    assert_eq!(m.dist_read(0, 0x480), 0, "SPI 96 does not exist");
    m.redist_write(0, 0, SGI_FRAME + 0x41c, 0x8090_a0b0);
    assert_eq!(m.redist_read(0, 0, SGI_FRAME + 0x41c), 0x8090_a0b0);
    assert_eq!(m.redist_read_as(0, 0, SGI_FRAME + 0x41f, Width::Byte), 0x80);
}

#[test]
fn a_finer_cpu_interface_gets_finer_priorities() {
    let vgic: Vgic = Vgic::new(GicVersion::V3, 1, 7);
    let mut cpu = FakeCpu::new(4, GicVersion::V3);
    assert!(
        vgic.write(0, RegisterFile::Distributor, 0x420, Width::Word, 0xffff_ffff, &mut cpu)
            .is_empty()
    );
    let read = vgic.read(0, RegisterFile::Distributor, 0x420, Width::Word, &mut cpu);
    assert_eq!(read, Read::Value(0xfefe_fefe));
}

#[test]
fn routers_take_whole_and_half_accesses_and_no_irm() {
    let mut m = Machine::new(4, 4);
    m.dist_write_as(0, 0x6000 + 8 * 33, Width::Double, 0xffff_ffff_ffff_ffff);
    assert_eq!(m.dist_read_as(0, 0x6108, Width::Double), 0xff_00ff_ffff);
    m.dist_write(0, 0x6108, 2);
    assert_eq!(m.dist_read_as(0, 0x6108, Width::Double), 0xff_0000_0002);
    m.dist_write(0, 0x610c, 0);
    assert_eq!(m.dist_read(0, 0x6108), 2);
    assert_eq!(m.dist_read(0, 0x610c), 0);
    m.dist_write_as(0, 0x6000, Width::Double, 3);
    assert_eq!(m.dist_read_as(0, 0x6000, Width::Double), 0, "no router for SGI 0");
}

#[test]
fn sgis_are_edges_and_timers_levels_for_good() {
    let mut m = Machine::new(1, 4);
    m.redist_write(0, 0, SGI_FRAME + 0xc00, 0);
    assert_eq!(m.redist_read(0, 0, SGI_FRAME + 0xc00), 0xaaaa_aaaa);
    m.redist_write(0, 0, SGI_FRAME + 0xc04, 0xffff_ffff);
    let timers = 2 << (2 * 11) | 2 << (2 * 14);
    assert_eq!(m.redist_read(0, 0, SGI_FRAME + 0xc04), 0xaaaa_aaaa & !timers);
    m.dist_write(0, 0xc08, 0x5555_5557);
    assert_eq!(m.dist_read(0, 0xc08), 2, "low bits are reserved");
}

#[test]
fn a_pending_timer_line_shows_before_it_interrupts() {
    let mut m = Machine::new(1, 4);
    m.cpus[0].lines = 1 << 27;
    assert_eq!(m.redist_read(0, 0, SGI_FRAME + 0x200), 1 << 27);
}

#[test]
fn write_pending_lasts_until_the_owner_has_looked() {
    let mut m = Machine::started(2, 4);
    m.dist_write_as(0, 0x6000 + 8 * 40, Width::Double, 1);
    m.line(40, true);
    assert!(m.cpus[1].has_interrupt());
    // vCPU 0 disables it while it sits in vCPU 1's list register.
    let (first, second) = m.cpus.split_at_mut(1);
    let kicks =
        m.vgic.write(0, RegisterFile::Distributor, 0x184, Width::Word, 1 << 8, &mut first[0]);
    assert_eq!(kicks, Kicks::NONE.with(1));
    let rwp = |cpu: &mut FakeCpu| m.vgic.read(0, RegisterFile::Distributor, 0, Width::Word, cpu);
    assert_eq!(rwp(&mut first[0]), Read::Value(0x8000_0053));
    assert!(m.vgic.sync(1, &mut second[0]).is_empty());
    assert_eq!(rwp(&mut first[0]), Read::Value(0x53));
    assert!(!second[0].has_interrupt());
}

#[test]
fn state_in_another_list_register_is_fetched_before_it_is_shown() {
    let mut m = Machine::started(2, 4);
    m.dist_write_as(0, 0x6000 + 8 * 40, Width::Double, 1);
    m.line(40, true);
    assert_eq!(m.cpus[1].acknowledge(), 40);
    let (first, second) = m.cpus.split_at_mut(1);
    let read =
        |cpu: &mut FakeCpu| m.vgic.read(0, RegisterFile::Distributor, 0x304, Width::Word, cpu);
    assert_eq!(read(&mut first[0]), Read::Again(Kicks::NONE.with(1)));
    assert_eq!(read(&mut first[0]), Read::Again(Kicks::NONE), "kicked once, waits");
    assert!(m.vgic.sync(1, &mut second[0]).is_empty());
    assert_eq!(read(&mut first[0]), Read::Value(1 << 8));
    // And the next read asks anew: meanwhile the guest has ended the interrupt.
    second[0].end(40);
    assert_eq!(read(&mut first[0]), Read::Again(Kicks::NONE.with(1)));
    assert!(m.vgic.maintenance(1, &mut second[0]).is_empty());
    assert_eq!(read(&mut first[0]), Read::Value(0));
}

/// One instruction that loads two registers whose state two other vCPUs have: executed anew until
/// both have answered, it gets there, though each turn begins with the first register again.
#[test]
fn the_loads_of_one_instruction_keep_each_others_answers() {
    let mut m = Machine::started(3, 4);
    for (vcpu, intid) in [(1, 40), (2, 72)] {
        m.dist_write_as(0, 0x6000 + 8 * u64::from(intid), Width::Double, vcpu);
        m.line(intid, true);
        assert_eq!(m.cpus[usize::try_from(vcpu).unwrap()].acknowledge(), intid);
    }
    let turn = |m: &mut Machine| {
        m.vgic.begin_pieces(0);
        let mut values = Vec::new();
        for offset in [0x304, 0x308] {
            match m.vgic.read(0, RegisterFile::Distributor, offset, Width::Word, &mut m.cpus[0]) {
                Read::Value(value) => values.push(value),
                Read::Again(kicks) => {
                    m.vgic.end_pieces(0, false);
                    for vcpu in kicks.iter() {
                        assert!(m.vgic.sync(vcpu, &mut m.cpus[vcpu]).is_empty());
                    }
                    return None;
                }
            }
        }
        m.vgic.end_pieces(0, true);
        Some(values)
    };
    assert_eq!((0..4).find_map(|_| turn(&mut m)), Some(vec![1 << 8, 1 << 8]));
    // What comes after asks anew.
    m.cpus[1].end(40);
    assert_eq!(turn(&mut m), None);
    assert!(m.vgic.maintenance(1, &mut m.cpus[1]).is_empty());
    assert_eq!((0..4).find_map(|_| turn(&mut m)), Some(vec![0, 1 << 8]));
}

#[test]
fn a_vcpu_that_is_off_is_not_waited_for() {
    let mut m = Machine::started(2, 4);
    m.redist_write(0, 1, SGI_FRAME + 0x200, 1 << 20);
    assert_eq!(m.vgic.vcpu_off(1, &mut m.cpus[1]), Kicks::NONE);
    assert_eq!(m.redist_read(0, 1, SGI_FRAME + 0x200), 1 << 20);
    m.redist_write(0, 1, SGI_FRAME + 0x180, !0);
    assert_eq!(m.dist_read(0, 0) >> 31, 0, "RWP");
}

#[test]
fn an_sgi_to_a_vcpu_that_is_off_shows_and_can_be_cleared() {
    let mut m = Machine::started(2, 4);
    m.kicked |= m.vgic.vcpu_off(0, &mut m.cpus[0]);
    m.sgi(1, super::super::SgiRegister::Sgi1, 5 << 24 | 1);
    m.sgi(1, super::super::SgiRegister::Sgi1, 6 << 24 | 1);
    assert_eq!(m.redist_read(1, 0, SGI_FRAME + 0x200), 0b11 << 5);
    m.redist_write(1, 0, SGI_FRAME + 0x280, 1 << 5);
    assert_eq!(m.redist_read(1, 0, SGI_FRAME + 0x200), 1 << 6);
    m.kicked |= m.vgic.vcpu_on(0, &mut m.cpus[0]);
    m.cpus[0].open();
    assert_eq!(m.acknowledge(0), 6);
    m.end(0, 6);
    assert_eq!(m.acknowledge(0), super::fake::SPURIOUS);
}

fn any_offset(size: u64) -> impl Strategy<Value = u64> {
    prop_oneof![0..size, (0..size).prop_map(|offset| offset & !7), (0u64..0x500)]
}

proptest! {
    /// Any access at all answers within its width, comes to rest and leaves the controller
    /// working; what is reserved stays zero.
    #[test]
    fn any_access_is_safe(
        accesses in prop::collection::vec(
            (0usize..2, any_offset(0x8_0000), 0u64..4, any::<u64>(), 0u8..4), 0..80)
    ) {
        let mut m = Machine::started(2, 4);
        for (vcpu, offset, width, value, kind) in accesses {
            let width = Width::from_log2(width);
            match kind {
                0 => m.dist_write_as(vcpu, offset, width, value),
                1 => {
                    let (target, offset) = ((offset / FRAMES) as usize, offset % FRAMES);
                    m.redist_write_as(vcpu, target, offset, width, value);
                }
                2 => prop_assert_eq!(m.dist_read_as(vcpu, offset, width) & !width.mask(), 0),
                _ => {
                    let (target, offset) = ((offset / FRAMES) as usize, offset % FRAMES);
                    let value = m.redist_read_as(vcpu, target, offset, width);
                    prop_assert_eq!(value & !width.mask(), 0);
                }
            }
            m.settle();
        }
        for offset in [0x10, 0x40, 0x480, 0xd00, 0xe00, 0xf00, 0x5000, 0x6010, 0x7000, 0xc000] {
            prop_assert_eq!(m.dist_read(0, offset), 0);
        }
    }
}

#[test]
fn linux_brings_it_up() {
    // The order of gic_init_bases() and gic_cpu_init() of Linux's irq-gic-v3.c.
    let mut m = Machine::new(2, 4);
    assert_eq!(m.dist_read(0, 0xffe8) & 0xf0, 0x30);
    let typer = m.dist_read(0, 4);
    assert_eq!(((typer & 0x1f) + 1) * 32, 128);
    m.dist_write(0, 0, 0);
    for word in 1..4 {
        m.dist_write(0, 0x80 + 4 * word, 0xffff_ffff);
        m.dist_write(0, 0x380 + 4 * word, 0xffff_ffff);
        m.dist_write(0, 0x180 + 4 * word, 0xffff_ffff);
    }
    for word in 8..32 {
        m.dist_write(0, 0x400 + 4 * word, 0xa0a0_a0a0);
    }
    m.dist_write(0, 0, 0x13);
    assert_eq!(m.dist_read(0, 0), 0x53, "no write pending");
    for intid in 32..128 {
        m.dist_write_as(0, 0x6000 + 8 * intid, Width::Double, 0);
    }
    for vcpu in 0..2 {
        m.redist_write(vcpu, vcpu, 0x14, 0);
        assert_eq!(m.redist_read(vcpu, vcpu, 0x14), 0);
        m.redist_write(vcpu, vcpu, SGI_FRAME + 0x80, !0);
        m.redist_write(vcpu, vcpu, SGI_FRAME + 0x380, !0);
        m.redist_write(vcpu, vcpu, SGI_FRAME + 0x180, !0);
        for word in 0..8 {
            m.redist_write(vcpu, vcpu, SGI_FRAME + 0x400 + 4 * word, 0xa0a0_a0a0);
        }
        assert_eq!(m.redist_read(vcpu, vcpu, 0) & 8, 0, "GICR_CTLR.RWP");
        m.cpus[vcpu].pmr = 0xf0;
        m.cpus[vcpu].vmcr = 2;
        m.redist_write(vcpu, vcpu, SGI_FRAME + 0x100, 0x4800_00ff);
    }
    let intids: Vec<u32> = (0..2)
        .flat_map(|vcpu| {
            m.timer(vcpu, 27, true);
            let intid = m.acknowledge(vcpu);
            m.timer(vcpu, 27, false);
            m.end(vcpu, intid);
            m.sgi(1 - vcpu, super::super::SgiRegister::Sgi1, 1 << vcpu);
            let sgi = m.acknowledge(vcpu);
            m.end(vcpu, sgi);
            vec![intid, sgi]
        })
        .collect();
    assert_eq!(intids, [27, 0, 27, 0]);
}
