//! Nothing is injected: see `injection.rs`.

use core::convert::Infallible;

use hyp_core::tree::machine::Machine;
use hyp_core::trng::Answer;
use smccc::psci::error::Error;

pub(crate) const fn init(_: Option<&str>) -> Result<(), Infallible> {
    Ok(())
}

pub(crate) const fn note_forbidden(_: &Machine<'_>) {}

pub(crate) const fn maps(_: u64, _: u64) {}

pub(crate) const fn has_trng() -> bool {
    false
}

pub(crate) const fn trng_word() -> Option<Answer> {
    None
}

pub(crate) const fn note_secret(_: &[u8]) {}

pub(crate) const fn is_secret(_: u64) -> bool {
    false
}

pub(crate) const fn cpu_on() -> Option<Result<(), Error>> {
    None
}

pub(crate) const fn is_heap_used_up() -> bool {
    false
}

pub(crate) const fn frames(bytes: u64) -> u64 {
    bytes
}

pub(crate) const fn serror() -> Option<u64> {
    None
}

pub(crate) const fn leaves() {}

pub(crate) const fn late_serror() -> Option<u64> {
    None
}

pub(crate) const fn raise_line() {}

pub(crate) const fn serror_at_el2() {}

pub(crate) const fn withdraw() {}

pub(crate) const fn was_spurious() {}

pub(crate) const fn was_served() {}

pub(crate) const fn hides_separate_trap() -> bool {
    false
}

pub(crate) const fn holds_console_line() -> bool {
    false
}

pub(crate) const fn tell_registers() {}

pub(crate) const fn console_takes_byte() -> bool {
    true
}
