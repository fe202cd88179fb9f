//! CPUs that meet in hyp-core, in every order of their steps and with every value that the memory
//! model lets them read.
//!
//! Each model runs the code as it is, and once more with something left out that it needs: so the
//! model shows that it would notice. `INTERLEAVE_PREEMPTIONS` is how often a thread may be stopped
//! where it does not wait, 2 if absent; each one more takes several times as long.

mod machine;
mod power;
mod space;
mod vgic;

use hyp_core_interleaved::sync::watched::{self, Weaken};

/// Explores `f`.
fn explore(weaken: Weaken, f: impl Fn() + Send + Sync + 'static) {
    let mut bounds = loom::model::Builder::new();
    let preemptions = std::env::var("INTERLEAVE_PREEMPTIONS").ok();
    bounds.preemption_bound = preemptions.map_or(Some(2), |number| number.parse().ok());
    bounds.max_branches = 100_000;
    watched::model(&bounds, weaken, f);
}

/// As [`explore`], for an `f` that makes a VM: that takes more stack than loom's threads have.
fn explore_vm(weaken: Weaken, f: impl Fn() + Send + Sync + 'static) {
    let f = std::sync::Arc::new(f);
    explore(weaken, move || {
        let f = std::sync::Arc::clone(&f);
        let thread = loom::thread::Builder::new().stack_size(1 << 17).spawn(move || f());
        thread.expect("loom has no thread left").join().unwrap();
    });
}

/// The model `f`, and two more that must fail: with loads and with stores that order nothing.
macro_rules! model {
    ($name:ident, $explore:ident, $f:path) => {
        mod $name {
            use super::*;

            #[test]
            fn holds() {
                crate::$explore(Weaken::Nothing, $f);
            }

            #[test]
            #[should_panic]
            fn needs_acquire() {
                crate::$explore(Weaken::Acquire, $f);
            }

            #[test]
            #[should_panic]
            fn needs_release() {
                crate::$explore(Weaken::Release, $f);
            }
        }
    };
}
use model;
