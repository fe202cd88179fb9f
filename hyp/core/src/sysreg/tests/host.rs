//! The machine's ID registers as they come together, and the questions of the short lane.

use super::*;
use crate::calls::Workaround;
use crate::inject::PstateFeatures;

#[test]
fn each_address_size_and_no_more_than_stage_2_can_use() {
    for (range, bits) in [(0, 32), (1, 36), (2, 40), (3, 42), (4, 44), (5, 48), (6, 48), (15, 48)] {
        // The field above must not matter.
        let host = machine(&[(IdRegister::Mmfr0, 0xf0 | range)]);
        assert_eq!(host.pa_bits(), bits, "PARange {range}");
    }
}

#[test]
fn what_an_exception_does_to_pstate_is_read_field_by_field() {
    for (register, shift, feature) in [
        (IdRegister::Mmfr1, 20, PstateFeatures::PAN),
        (IdRegister::Pfr1, 4, PstateFeatures::SSBS),
        (IdRegister::Pfr1, 8, PstateFeatures::MTE),
        (IdRegister::Pfr1, 36, PstateFeatures::NMI),
    ] {
        assert_eq!(machine(&[(register, 1 << shift)]).pstate_features(), feature);
        let without = machine(&[(register, !(0xf << shift))]).pstate_features();
        assert!(!without.contains(feature), "{register:?} {shift}");
    }
    assert_eq!(everything().pstate_features(), PstateFeatures::all());
}

#[test]
fn what_firmware_says_replaces_one_answer_and_leaves_the_others() {
    let all = [Workaround::One, Workaround::Two, Workaround::Three];
    for set in all {
        let mut mitigations = Mitigations::from_id(&cortex_a72());
        let before = mitigations;
        mitigations.set(set, Mitigation::Mitigated);
        for asked in all {
            let expected = if asked == set { Mitigation::Mitigated } else { before.of(asked) };
            assert_eq!(mitigations.of(asked), expected, "{set:?} {asked:?}");
        }
    }
}
