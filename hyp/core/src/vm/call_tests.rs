//! Calls down to the tables.

use std::sync::Arc;

use super::*;
use crate::calls::{Outcome, hvc};
use crate::features::{Dialect, FeatureOptions};
use crate::psci::Start;
use crate::testing::cpu::Desk;
use crate::testing::oracle;
use crate::testing::vm::{self, DEVICE};
use crate::vgic::GicVersion;

/// MemAttr of an assigned device's page after MAP, `id` in the dialect, with `x2`.
fn type_after_map(dialect: Dialect, id: u64, mair: u64, x2: u64) -> u64 {
    let vm::Vm { machine, space } = vm::Vm::new(0x8000_0000);
    let options = FeatureOptions {
        is_protected: true,
        dialect,
        with_guard: true,
        smc_is_undefined: false,
        has_entropy: false,
    };
    let (vtcr, vttbr) = (space.vtcr(48), space.vttbr());
    let start = Start { entry: 0, context: 0, big_endian: false };
    let space = Arc::into_inner(space).unwrap();
    let features = Features::new(&options);
    let vm: Vm<_> = Vm::new(space, features, 1, GicVersion::V3, 5, start);
    let desk = Desk::default();
    desk.mair.set(mair);
    let caller = Caller { vcpu: 0, vm: &vm, shell: &desk };
    assert_eq!(hvc(&caller, 0, [id, DEVICE, x2, 0]), Outcome::Done([0; 4]));
    let read = |pa| machine.read_entry(pa);
    oracle::translate(vtcr, vttbr, DEVICE, &read).unwrap().memattr
}

#[test]
fn row_47_the_mair_index_shapes_an_assigned_device_in_the_list_dialect() {
    // Normal, nGnRnE, nGnRE, nGRE, GRE.
    let mair = u64::from_le_bytes([0xff, 0x00, 0x04, 0x08, 0x0c, 0, 0, 0]);
    let list = |x2| type_after_map(Dialect::List2021, 0xc600_0004, mair, x2);
    for (x2, memattr) in
        [(1, 0), (2, 1), (3, 2), (4, 3), (0, 1), (8, 1), (1 << 32 | 3, 1), (u64::MAX, 1)]
    {
        assert_eq!(list(x2), memattr, "x2 = {x2:#x}");
    }
    // The other dialect ignores x2.
    for x2 in 0..8 {
        assert_eq!(type_after_map(Dialect::Pkvm, 0xc600_0007, mair, x2), 1);
    }
}
