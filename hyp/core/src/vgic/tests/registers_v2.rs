//! The GICv2 distributor as a driver sees it, register by register (IHI0048B, section 4.3), and the
//! form of its list registers (section 5.3.9).

use super::super::{GicVersion, ListRegister};
use super::fake::SPURIOUS;
use super::machine::Machine;
use crate::esr::Width;

const SGIR: u64 = 0xf00;
const CPENDSGIR: u64 = 0xf10;
const SPENDSGIR: u64 = 0xf20;

#[test]
fn what_never_changes() {
    for (vcpus, typer) in [(1, 0x03), (4, 0x63), (8, 0xe3)] {
        let mut machine = Machine::with_version(GicVersion::V2, vcpus, 4);
        for (offset, value) in [
            (0x000, 0),
            (0x004, typer),
            (0x008, 0x0200_143b),
            (0xc00, 0xaaaa_aaaa),
            (0xfd0, 0x04),
            (0xfe0, 0x90),
            (0xfe4, 0xb4),
            (0xfe8, 0x2b),
            (0xff0, 0x0d),
            (0xff4, 0xf0),
            (0xff8, 0x05),
            (0xffc, 0xb1),
            // Write-only, reserved, without the Security Extensions.
            (SGIR, 0),
            (0x00c, 0),
            (0xd00, 0),
            (0xe00, 0),
        ] {
            assert_eq!(machine.v2_read(0, offset), value, "{offset:#x}");
            if offset != 0 && offset != SGIR {
                machine.v2_write(0, offset, !value);
                assert_eq!(machine.v2_read(0, offset), value, "{offset:#x} after a write");
            }
        }
    }
}

#[test]
fn sgis_are_always_enabled() {
    let mut machine = Machine::with_version(GicVersion::V2, 2, 4);
    machine.v2_write(0, 0x100, 1 << 27);
    machine.v2_write(0, 0x180, 0xffff);
    assert_eq!((machine.v2_read(0, 0x100), machine.v2_read(0, 0x180)), (0x0800_ffff, 0x0800_ffff));
}

#[test]
fn other_widths_and_offsets_are_reserved() {
    let mut machine = Machine::started_v2(2, 4);
    for offset in (0..0x1_1000).step_by(0x20) {
        for width in [Width::Byte, Width::Half, Width::Double] {
            let bytes = width == Width::Byte
                && (matches!(offset, 0x400..0x480 | 0x800..0x880)
                    || matches!(offset, 0xf10..0xf30));
            let value = machine.v2_read_as(0, offset, width);
            assert!(bytes || value == 0, "{offset:#x} {width:?}");
        }
        assert_eq!(machine.v2_read_as(0, 0x1000 + offset, Width::Word), 0);
    }
    machine.v2_write_as(0, 0, Width::Byte, 0);
    assert_eq!(machine.v2_read(0, 0), 3);
}

#[test]
fn targets_are_bytes_of_cpus_that_exist() {
    let mut machine = Machine::with_version(GicVersion::V2, 3, 4);
    for vcpu in 0..3 {
        for offset in (0x800..0x820).step_by(4) {
            machine.v2_write(vcpu, offset, !0);
            assert_eq!(machine.v2_read(vcpu, offset), 0x0101_0101 << vcpu);
        }
        assert_eq!(machine.v2_read_as(vcpu, 0x81d, Width::Byte), 1 << vcpu);
    }
    assert_eq!(machine.v2_read(0, 0x820), 0, "an SPI goes nowhere at first");
    machine.v2_write(1, 0x820, 0xff04_0201);
    assert_eq!(machine.v2_read(0, 0x820), 0x0704_0201);
    machine.v2_write_as(0, 0x822, Width::Byte, 0x06);
    assert_eq!(machine.v2_read(2, 0x820), 0x0706_0201);
    // Behind the last SPI.
    machine.v2_write(0, 0x880, !0);
    assert_eq!(machine.v2_read(0, 0x880), 0);
}

#[test]
fn one_cpu_has_no_targets_and_takes_everything() {
    let mut machine = Machine::with_version(GicVersion::V2, 1, 4);
    machine.v2_write(0, 0x820, !0);
    assert_eq!((machine.v2_read(0, 0x800), machine.v2_read(0, 0x820)), (0, 0));
    machine.v2_write(0, 0, 1);
    machine.v2_write(0, 0x104, 2);
    machine.cpus[0].open();
    machine.line(33, true);
    assert_eq!(machine.acknowledge(0), 33);
}

#[test]
fn an_spi_goes_to_the_first_of_its_targets_once() {
    let mut machine = Machine::started_v2(3, 4);
    machine.v2_write_as(0, 0x800 + 40, Width::Byte, 0b110);
    machine.line(40, true);
    assert_eq!([0, 2].map(|vcpu| machine.acknowledge(vcpu)), [SPURIOUS; 2]);
    assert_eq!(machine.acknowledge(1), 40);
    machine.line(40, false);
    machine.end(1, 40);
    for vcpu in 0..3 {
        assert_eq!(machine.acknowledge(vcpu), SPURIOUS);
    }
}

#[test]
fn each_cpu_has_its_own_private_interrupts() {
    let mut machine = Machine::with_version(GicVersion::V2, 2, 4);
    machine.v2_write(0, 0x100, 1 << 27 | 1);
    machine.v2_write(1, 0x080, 1 << 3);
    machine.v2_write_as(0, 0x403, Width::Byte, 0xff);
    assert_eq!((machine.v2_read(0, 0x100), machine.v2_read(1, 0x100)), (0x0800_ffff, 0xffff));
    assert_eq!((machine.v2_read(0, 0x080), machine.v2_read(1, 0x080)), (0, 8));
    // Five bits of priority.
    assert_eq!((machine.v2_read(0, 0x400), machine.v2_read(1, 0x400)), (0xf800_0000, 0));
}

#[test]
fn an_sgi_tells_who_sent_it_and_comes_once_for_each() {
    let mut machine = Machine::started_v2(4, 4);
    // To vCPU 1: twice from 3, from 0 and from itself.
    machine.v2_write(3, SGIR, 0x0002_0005);
    machine.v2_write(3, SGIR, 0x0002_0005);
    machine.v2_write(0, SGIR, 0x0100_0005);
    machine.v2_write(1, SGIR, 0x0200_0005);
    assert_eq!(machine.v2_read(1, SPENDSGIR + 4), 0x0000_0b00);
    assert_eq!(machine.v2_read(1, 0x200), 1 << 5);
    let mut senders = 0;
    for _ in 0..3 {
        let iar = machine.acknowledge(1);
        assert_eq!(iar & 0x3ff, 5);
        senders |= 1 << (iar >> 10);
        // The same SGI does not preempt itself.
        assert_eq!(machine.acknowledge(1), SPURIOUS);
        machine.end(1, iar);
    }
    assert_eq!((senders, machine.acknowledge(1)), (0b1011, SPURIOUS));
    // The others got one each, from 0.
    for vcpu in [2, 3] {
        assert_eq!(machine.acknowledge(vcpu), 5);
    }
    assert_eq!(machine.acknowledge(0), SPURIOUS);
}

#[test]
fn an_sgi_to_oneself_again_and_again() {
    let mut machine = Machine::started_v2(2, 4);
    for _ in 0..5 {
        machine.v2_write(1, SGIR, 0x0002_0007);
        assert_eq!(machine.acknowledge(1), 1 << 10 | 7);
        machine.end(1, 1 << 10 | 7);
    }
    assert_eq!(machine.acknowledge(1), SPURIOUS);
}

#[test]
fn senders_can_be_set_and_cleared() {
    let mut machine = Machine::started_v2(3, 4);
    machine.v2_write(0, SPENDSGIR, 0x00ff_0001);
    assert_eq!(machine.v2_read(0, CPENDSGIR), 0x0007_0001, "of CPUs that exist");
    assert_eq!(machine.v2_read(1, CPENDSGIR), 0, "banked");
    machine.v2_write_as(0, CPENDSGIR + 2, Width::Byte, 0b011);
    machine.v2_write_as(0, CPENDSGIR, Width::Byte, 1);
    // Not by the registers of other interrupts.
    machine.v2_write(0, 0x280, !0);
    machine.v2_write(0, 0x200, 1 << 9);
    assert_eq!(machine.v2_read(0, 0x200) & 0xffff, 1 << 2);
    assert_eq!(machine.acknowledge(0), 2 << 10 | 2);
    machine.end(0, 2 << 10 | 2);
    assert_eq!(machine.acknowledge(0), SPURIOUS);
}

#[test]
fn sgis_wait_for_a_cpu_that_is_off() {
    let mut machine = Machine::started_v2(2, 4);
    let _ = machine.vgic.vcpu_off(1, &mut machine.cpus[1]);
    machine.v2_write(0, SGIR, 0x0002_0001);
    machine.kicked |= machine.vgic.vcpu_on(1, &mut machine.cpus[1]);
    machine.cpus[1].open();
    machine.settle();
    assert_eq!(machine.acknowledge(1), 1);
    machine.end(1, 1);
    // A reset forgets them.
    machine.v2_write(0, SGIR, 0x0002_0001);
    for vcpu in 0..2 {
        let _ = machine.vgic.vcpu_off(vcpu, &mut machine.cpus[vcpu]);
    }
    machine.vgic.reset();
    machine.kicked |= machine.vgic.vcpu_on(1, &mut machine.cpus[1]);
    machine.settle();
    assert_eq!(machine.v2_read(1, SPENDSGIR), 0);
    assert_eq!(machine.v2_read(1, 0x800 + 40), 0);
}

#[test]
fn list_registers_in_the_form_of_a_gicv2() {
    // GICH_LR: HW 31, group 30, state 29:28, priority 27:23, physical 19:10 or EOI 19, CPU 12:10.
    let timer = ListRegister::new(27, 0xa8).with_group1(true).with_pending(true).with_physical(19);
    assert_eq!(timer.to_gich(), 0xda80_4c1b);
    let sgi = ListRegister::new(5, 0x08).with_source(6).with_active(true).with_eoi_interrupt();
    assert_eq!(sgi.to_gich(), 0x2088_1805);
    let spi = ListRegister::new(1019, 0xf8).with_pending(true).with_active(true);
    assert_eq!(spi.to_gich(), 0x3f80_03fb);
    for lr in [timer, sgi, spi, ListRegister::EMPTY] {
        assert_eq!(ListRegister::from_gich(lr.to_gich()), lr);
    }
    assert_eq!((sgi.intid(), sgi.source(), timer.source()), (5, 6, 0));
}

/// With separate deactivation a guest may end more interrupts than there are list registers, in an
/// order of its own.
#[test]
fn deactivations_in_any_order_beyond_the_list_registers() {
    let mut machine = Machine::started_v2(1, 2);
    machine.cpus[0].vmcr |= crate::vgic::vmcr::VEOIM;
    for intid in 40..46 {
        // Edge-triggered, each more urgent than the one before.
        machine.v2_write_as(
            0,
            0x400 + u64::from(intid),
            Width::Byte,
            u64::from(0xf0 - 8 * (intid - 40)),
        );
        machine.v2_write(0, 0x204, 1 << (intid - 32));
        assert_eq!(machine.acknowledge(0), intid);
        machine.end(0, intid);
    }
    assert_eq!(machine.v2_read(0, 0x304), 0x3f00);
    let mut active = 0x3f00;
    for intid in [42, 45, 40, 41, 44, 43] {
        machine.deactivate(0, intid);
        active &= !(1 << (intid - 32));
        assert_eq!(machine.v2_read(0, 0x304), active);
    }
}
