//! What a guest does instead of running rows: the word `hostile=…` of `config.rs`.
//!
//! | `hostile=` | what the guest does |
//! |---|---|
//! | `own-vector` | its abort handler makes the access that it is to handle |
//! | `return` | its abort handler returns to the access without any change |
//! | `nowhere` | jumps to where its own tables have no code, its vectors being there too |
//! | `nowhere-flat` | the same with the MMU off |
//! | `undefined` | its vectors hold no instructions |
//! | `no-vectors` | takes an exception with the MMU off and VBAR_EL1 as after a reset |
//! | `promised` | clears memory that is not there |
//! | `retry` | its abort handler tries 3,000 times, for longer than EL2's patience, and prints now and then |
//! | `serror` | lets SErrors in and waits for one, which its vectors report |
//! | `flood` | a second vCPU, if there is one, with the first one off: prints more than any FIFO holds, tells how long it was kept from running, ends when told to |
//! | `resets-serror` | as `resets`, with SErrors let in, which its vectors report |
//! | `resets` | asks at each boot what to do: `r` SYSTEM_RESET, `R` SYSTEM_RESET2, `o` power off |

use crate::arch::hostile::End;

/// What to do instead of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Go wrong at once.
    End(End),
    /// Clear memory that is not there.
    Promised,
    /// Come through after many tries.
    Retry,
    /// Let SErrors in and wait for one.
    SError,
    /// Print much and look at the clock.
    Flood,
    /// Reset as often as somebody asks for it.
    Resets,
    /// Reset as often as somebody asks for it, with SErrors let in.
    ResetsWithSErrors,
}

impl Task {
    /// The task of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "own-vector" => Self::End(End::OwnVector),
            "return" => Self::End(End::Return),
            "nowhere" => Self::End(End::Nowhere),
            "nowhere-flat" => Self::End(End::NowhereFlat),
            "undefined" => Self::End(End::Undefined),
            "no-vectors" => Self::End(End::NoVectors),
            "promised" => Self::Promised,
            "retry" => Self::Retry,
            "serror" => Self::SError,
            "flood" => Self::Flood,
            "resets" => Self::Resets,
            "resets-serror" => Self::ResetsWithSErrors,
            _ => return None,
        })
    }
}
