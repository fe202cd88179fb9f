//! More interrupts at a time than list registers.

use super::super::{SgiRegister, hcr};
use super::machine::{Machine, SGI_FRAME};
use crate::esr::Width;

const ISPENDR: u64 = SGI_FRAME + 0x200;
const ISACTIVER: u64 = SGI_FRAME + 0x300;

/// ICH_HCR_EL2 but for what traps.
fn calls_back(m: &Machine) -> u64 {
    m.cpus[0].hcr & !(hcr::TDIR | hcr::TC)
}

/// ICH_HCR_EL2.EOIcount counts ends that met no list register until it is cleared (IHI0069, ICH_HCR_EL2):
/// each is the end of one interrupt, once.
#[test]
fn an_end_that_meets_no_list_register_counts_once() {
    let mut m = Machine::started(1, 1);
    let mut active = 0;
    for n in 0..6 {
        let intid = 20 + n;
        let offset = SGI_FRAME + 0x400 + u64::from(intid);
        m.redist_write_as(0, 0, offset, Width::Byte, 0xc0 - 0x10 * u64::from(n));
        m.redist_write(0, 0, ISPENDR, 1 << intid);
        assert_eq!(m.acknowledge(0), intid);
        active |= 1 << intid;
    }
    assert_eq!(m.redist_read(0, 0, ISACTIVER), active);
    for ends in [1, 2, 2, 1] {
        // One list register holds one of them: of two ends in a row one is counted at least.
        for _ in 0..ends {
            let intid = 31 - u32::try_from(active).unwrap().leading_zeros();
            m.cpus[0].end(intid);
            active &= !(1 << intid);
        }
        m.settle();
        assert_eq!(m.redist_read(0, 0, ISACTIVER), active);
        let wanted = if active.count_ones() > 1 { hcr::EN | hcr::LRENPIE } else { hcr::EN };
        assert_eq!(calls_back(&m), wanted, "{active:#x}");
    }
}

/// Where everything has a list register, nothing calls back, and the next interrupt goes by the short
/// road.
#[test]
fn as_many_as_there_are_list_registers_are_no_crowd() {
    for list_registers in [1, 2, 4] {
        let mut m = Machine::started(1, list_registers);
        for n in 0..list_registers as u64 {
            m.sgi(0, SgiRegister::Sgi1, n << 24 | 1);
        }
        // The long road.
        let pending = (1 << list_registers) - 1;
        assert_eq!(m.redist_read(0, 0, ISPENDR), pending);
        assert_eq!(calls_back(&m), hcr::EN);
        let sgi = m.acknowledge(0);
        m.cpus[0].end(sgi);
        m.cpus[0].writes = 0;
        let value = u64::from(sgi) << 24 | 1;
        assert!(m.vgic.sgi(0, SgiRegister::Sgi1, value, &mut m.cpus[0]).is_empty());
        assert_eq!(m.cpus[0].writes, 1);
        assert_eq!(m.acknowledge(0), sgi);
        m.end(0, sgi);
        // One more is one too many.
        for n in 0..=list_registers as u64 {
            m.sgi(0, SgiRegister::Sgi1, n << 24 | 1);
        }
        assert_ne!(calls_back(&m) & hcr::NPIE, 0);
    }
}
