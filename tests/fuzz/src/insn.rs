//! Instruction words: `hyp-core`'s decoder of loads and stores against two of others.

use std::cell::RefCell;

use decoders::Decoders;

use crate::bytes::Bytes;

thread_local! {
    static JUDGES: RefCell<Decoders> = RefCell::new(Decoders::new().expect("capstone was built in"));
}

/// One input: words. Each is taken twice, as it is and made a load or store.
pub(crate) fn run(input: &[u8]) {
    let mut input = Bytes::new(input);
    JUDGES.with_borrow_mut(|judges| {
        while !input.is_empty() {
            let word = input.u32();
            for word in [word, word & !(1 << 25) | 1 << 27] {
                if let Err(difference) = judges.judge(word) {
                    panic!("{difference}");
                }
            }
        }
    });
}
