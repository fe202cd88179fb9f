//! What a guest sees of the registers that both groups share, where they trap. Expected values are
//! composed by hand from the field tables of IHI0069, 12.2 (ICV_CTLR_EL1, ICV_PMR_EL1, ICV_RPR_EL1) and
//! 12.4 (ICH_VTR_EL2, ICH_VMCR_EL2, `ICH_AP0R<n>_EL2`).

use super::super::{CommonRegister, VirtualCommon};

/// A Cortex-A72's: 5 bits of priority and of preemption, 16 of INTIDs, A3V, 4 list registers.
const CORTEX_A72: u64 = 4 << 29 | 4 << 26 | 1 << 21 | 3;
/// All there can be: 8 bits of priority, 7 of preemption, 24 of INTIDs, SEIS, A3V.
const LARGEST: u64 = 7 << 29 | 6 << 26 | 1 << 23 | 1 << 22 | 1 << 21 | 15;
const IDLE: VirtualCommon = VirtualCommon { vtr: CORTEX_A72, vmcr: 0, active: [0; 4] };

#[test]
fn control_tells_what_the_hardware_has() {
    assert_eq!(IDLE.read(CommonRegister::Ctlr), 0x8400);
    let largest = VirtualCommon { vtr: LARGEST, ..IDLE };
    assert_eq!(largest.read(CommonRegister::Ctlr), 0xcf00);
}

#[test]
fn control_holds_two_bits_and_touches_no_others() {
    // VENG0, VENG1, VCBPR, VBPR1, VBPR0, VPMR.
    let vmcr = 0xa5_4c_00_13;
    let common = VirtualCommon { vmcr, ..IDLE };
    assert_eq!(common.read(CommonRegister::Ctlr), 0x8401);
    assert_eq!(common.written(CommonRegister::Ctlr, 0b10), 0xa5_4c_02_03);
    assert_eq!(common.written(CommonRegister::Ctlr, !0), 0xa5_4c_02_13);
    assert_eq!(common.written(CommonRegister::Ctlr, 0), 0xa5_4c_00_03);
    let split = VirtualCommon { vmcr: 1 << 9, ..IDLE };
    assert_eq!(split.read(CommonRegister::Ctlr), 0x8402);
}

#[test]
fn the_mask_has_as_many_bits_as_priorities() {
    let common = VirtualCommon { vmcr: 0x12_4c_02_13, ..IDLE };
    assert_eq!(common.read(CommonRegister::Pmr), 0x12);
    assert_eq!(common.written(CommonRegister::Pmr, 0xff), 0xf8_4c_02_13);
    assert_eq!(common.written(CommonRegister::Pmr, 0xffff_ff47), 0x40_4c_02_13);
    let largest = VirtualCommon { vtr: LARGEST, ..common };
    assert_eq!(largest.written(CommonRegister::Pmr, 0x1_ff), 0xff_4c_02_13);
    assert_eq!(largest.written(CommonRegister::Pmr, 0), 0x4c_02_13);
}

#[test]
fn the_running_priority_is_the_highest_that_is_active() {
    let running = |vtr, active| VirtualCommon { vtr, active, ..IDLE }.read(CommonRegister::Rpr);
    assert_eq!(running(CORTEX_A72, [0; 4]), 0xff);
    // 32 levels, 8 apart.
    assert_eq!(running(CORTEX_A72, [1, 0, 0, 0]), 0);
    assert_eq!(running(CORTEX_A72, [1 << 31 | 1 << 20, 0, 0, 0]), 0xa0);
    // 64 levels, 4 apart.
    let six = 5 << 29 | 5 << 26;
    assert_eq!(running(six, [0, 1 << 31, 0, 0]), 0xfc);
    // 128 levels, 2 apart.
    assert_eq!(running(LARGEST, [0, 0, 1 << 3, 1]), 0x86);
    assert_eq!(running(LARGEST, [0, 0, 0, 1 << 31]), 0xfe);
}

#[test]
fn the_running_priority_is_read_only() {
    let common = VirtualCommon { vmcr: 0x12_4c_02_13, ..IDLE };
    assert_eq!(common.written(CommonRegister::Rpr, 0x80), 0x12_4c_02_13);
}
