//! How a run ends.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use arrayvec::ArrayString;
use hyp_abi::exit::{BAD_INPUT, EXIT_PREFIX, HYP_FAILED, LONGEST_NONCE, is_nonce};

use crate::arch::boot::{Halt, halt};
use crate::arch::cpu;
use crate::arch::once::Once;
use crate::say::error;
use crate::{console, firmware};

/// A CPU is in [`fail`].
static IS_FAILING: AtomicBool = AtomicBool::new(false);

/// What this run's last line ends with, so that no guest can say it.
static NONCE: Once<ArrayString<LONGEST_NONCE>> = Once::new();

/// Takes the boot argument [`hyp_abi::exit::NONCE`]. Before anything can fail; `false` if it is none.
pub(crate) fn init(nonce: Option<&str>) -> bool {
    let Some(nonce) = nonce else { return true };
    let copy = ArrayString::from(nonce).ok().filter(|nonce| is_nonce(nonce));
    copy.map(|nonce| NONCE.set(nonce)).is_some()
}

/// Says the machine-readable last word and switches the machine off. Codes: `hyp_abi::exit`.
pub(crate) fn exit(code: u8) -> ! {
    // Numbers that are printed while guests run are all of one type, so that one printer stays.
    let (blank, nonce) = NONCE.get().map_or(("", ""), |nonce| (" ", nonce.as_str()));
    console::last_words(format_args!("{EXIT_PREFIX} {}{blank}{nonce}\n", u64::from(code)));
    if matches!(code, BAD_INPUT | HYP_FAILED) && !console::is_attached() {
        // Switched off, the machine would not even show that something was wrong, and memory would forget it.
        halt(Halt::Unheard);
    }
    firmware::system_off()
}

/// Ends because of `error`, whose text names the cause and the remedy.
#[cold]
#[inline(never)]
pub(crate) fn bad_input(error: &dyn fmt::Display) -> ! {
    fail(BAD_INPUT, format_args!("{error}"))
}

/// Ends with an error whose text names the cause and the remedy.
pub(crate) fn fail(code: u8, message: fmt::Arguments<'_>) -> ! {
    // Two CPUs may fail of the same cause: nothing is said behind the last word of the first.
    if IS_FAILING.swap(true, Ordering::Relaxed) {
        cpu::park();
    }
    error!("{message}");
    exit(code)
}
