//! Out of table frames at any moment: whatever a guest asks for is done or refused as a whole.

use proptest::prelude::*;

use crate::addr::Ipa;
use crate::guard::GuardError;
use crate::memory::Populated;
use crate::share::ShareError;
use crate::stage2::EditError;
use crate::testing::vm::{CONSOLE, DEVICE, HIGH, RAM, Space, Vm};

/// What a guest asks for.
#[derive(Debug, Clone, Copy)]
enum Call {
    Touch(u64),
    Share(u64),
    Unshare(u64),
    Relinquish(u64),
    Guard(u64),
    Unguard(u64),
    GuardRange(u64, u64),
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Done(u64),
    Refused,
    /// No frame was left.
    OutOfFrames,
}

impl Call {
    fn make(self, space: &Space) -> Answer {
        let shared = |answer| match answer {
            Ok(()) => Answer::Done(1),
            Err(ShareError::Tables(EditError::NoTables)) => Answer::OutOfFrames,
            Err(ShareError::Tables(error)) => panic!("{error}"),
            Err(_) => Answer::Refused,
        };
        let guarded = |answer| match answer {
            Ok(granules) => Answer::Done(granules),
            Err(GuardError::NoTables) => Answer::OutOfFrames,
            Err(GuardError::Tables(error)) => panic!("{error}"),
            Err(_) => Answer::Refused,
        };
        match self {
            // Memory never needs a frame that is not there.
            Self::Touch(ipa) => match space.populate(Ipa(ipa), || false) {
                Ok(Populated::Mapped) => Answer::Done(1),
                other => panic!("{other:?}"),
            },
            Self::Share(ipa) => shared(space.share(Ipa(ipa), || false)),
            Self::Unshare(ipa) => shared(space.unshare(Ipa(ipa))),
            Self::Relinquish(ipa) => shared(space.relinquish(Ipa(ipa))),
            Self::Guard(ipa) => guarded(space.guard_map(Ipa(ipa), None).map(|()| 1)),
            Self::Unguard(ipa) => guarded(space.guard_unmap(Ipa(ipa)).map(|()| 1)),
            Self::GuardRange(ipa, count) => guarded(space.guard_map_range(Ipa(ipa), count)),
        }
    }
}

fn call() -> impl Strategy<Value = Call> {
    let page = prop_oneof![
        (0u64..2, 0u64..3).prop_map(|(block, page)| RAM + (block << 21) + (page << 12)),
        (0u64..3).prop_map(|page| HIGH + (page << 12)),
    ];
    let place = prop_oneof![
        (0u64..3).prop_map(|page| DEVICE + (page << 12)),
        Just(CONSOLE),
        // Each in a table of its own, or two of its own; one range lies across two.
        (0u64..6).prop_map(|n| 0xc00_0000 + (n << 21)),
        (4u64..8).prop_map(|gib| gib << 30),
        Just(0x1_ff1f_e000),
    ];
    prop_oneof![
        page.clone().prop_map(Call::Touch),
        page.clone().prop_map(Call::Share),
        page.clone().prop_map(Call::Unshare),
        page.prop_map(Call::Relinquish),
        place.clone().prop_map(Call::Guard),
        place.clone().prop_map(Call::Unguard),
        (place, 1u64..5).prop_map(|(ipa, count)| Call::GuardRange(ipa, count)),
    ]
}

fn leave(vm: &Vm, frames: u64) {
    vm.space.write().pool.leave(frames);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    #[test]
    fn out_of_frames_at_the_nth_for_every_n(calls in proptest::collection::vec(call(), 1..16)) {
        let mut left = 0;
        loop {
            let vm = Vm::new(1 << 31);
            leave(&vm, left);
            let mut refused = 0;
            for call in &calls {
                if let Call::Share(ipa) = call {
                    // It populates, which stays.
                    Call::Touch(*ipa).make(&vm.space);
                }
                let before = vm.machine.entries();
                let answer = call.make(&vm.space);
                if answer == Answer::OutOfFrames {
                    refused += 1;
                    prop_assert_eq!(vm.machine.entries(), before, "{:?} left traces", call);
                    // With frames enough it is done.
                    leave(&vm, 100);
                    prop_assert!(matches!(call.make(&vm.space), Answer::Done(_)), "{:?}", call);
                    leave(&vm, left);
                }
                vm.machine.settle();
            }
            leave(&vm, 100);
            prop_assert_eq!(vm.space.reset(), Ok(()));
            if refused == 0 {
                break;
            }
            left += 1;
        }
        prop_assert!(left <= 16 * 3);
    }
}
