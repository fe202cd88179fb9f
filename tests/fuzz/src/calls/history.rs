//! What bytes mean as a history. Frequent things are short, and any other value can be said too.

use model::{Access, Conduit, Event, Kind, PAGE};

use super::place::{CONSOLE, DEVICE, GIC, Options};
use crate::bytes::Bytes;

/// What happens next.
pub(super) enum Step {
    /// An event, and whether an interrupt waits meanwhile.
    Event(Event, bool),
    /// Marks far apart, until there are no more tables.
    Scatter(usize),
    /// No vCPU is there to do it.
    Nobody,
}

/// Function numbers that a guest may use (SMCCC, PSCI, the guard, sharing).
const FUNCTIONS: [u32; 27] = [
    0xc600_0002,
    0xc600_0003,
    0xc600_0004,
    0xc600_0005,
    0xc600_0006,
    0xc600_0007,
    0xc600_0008,
    0xc600_0009,
    0xc600_000a,
    0xc600_000b,
    0x8600_0000,
    0x8600_ff01,
    0x8000_0000,
    0x8400_0000,
    0x8400_0001,
    0x8400_0002,
    0x8400_0003,
    0x8400_0004,
    0x8400_0008,
    0x8400_0009,
    0x8400_000a,
    0xc400_0001,
    0xc400_0003,
    0xc400_0004,
    0xc400_0012,
    0x8400_0050,
    0x8600_1234,
];

/// Calls of which the model does not speak: what the processor is vulnerable to, and what of the
/// calls about that there is.
const UNJUDGED: [u32; 4] = [0x8000_0001, 0x8000_3fff, 0x8000_7fff, 0x8000_8000];

/// The VM.
pub(super) fn options(bytes: &mut Bytes<'_>) -> Options {
    let kind = bytes.u8();
    let is_protected = kind & 1 == 0;
    let is_2021 = kind & 2 != 0;
    Options {
        is_protected,
        is_2021,
        // Always on if protected and in the old dialect.
        with_guard: !is_protected && !is_2021 && kind & 4 != 0,
        smc_is_undefined: kind & 8 != 0,
        vcpus: 1 + usize::from(kind >> 4 & 3),
        ipa_field: bytes.choose(&[0, 32, 36, 40]),
    }
}

/// A register: an address among the interesting pages, a small number, or any.
fn argument(bytes: &mut Bytes<'_>, pages: &[u64]) -> u64 {
    match bytes.u8() {
        form @ 0..=0x9f => pages[usize::from(form) % pages.len()],
        0xa0..=0xbf => pages[bytes.below(pages.len())].wrapping_add(u64::from(bytes.u16() & 0xfff)),
        form @ 0xc0..=0xdf => u64::from(form & 0x1f),
        0xe0..=0xe7 => 1 << (bytes.u8() & 63),
        0xe8..=0xef => u64::from(bytes.u32()),
        _ => bytes.u64(),
    }
}

/// Mostly zero, as the calls want it.
fn rest(bytes: &mut Bytes<'_>, flags: u8, pages: &[u64]) -> u64 {
    if flags & 0xc == 0xc { argument(bytes, pages) } else { 0 }
}

fn call(bytes: &mut Bytes<'_>, vcpu: usize, pages: &[u64]) -> Event {
    let which = bytes.u8();
    let flags = bytes.u8();
    let id = FUNCTIONS.get(usize::from(which & 0x3f)).copied().unwrap_or_else(|| bytes.u32());
    let id = if UNJUDGED.contains(&id) { 0 } else { u64::from(id) };
    // SMCCC: the upper half of w0 is not part of the number.
    let high = if which & 0x80 == 0 { 0 } else { u64::from(bytes.u32()) << 32 };
    let immediate = if which & 0x40 == 0 { 0 } else { bytes.u16() };
    let conduit = if flags & 3 == 3 { Conduit::Smc } else { Conduit::Hvc };
    let x1 = argument(bytes, pages);
    let x = [id | high, x1, rest(bytes, flags, pages), rest(bytes, flags >> 2, pages)];
    Event::Call { vcpu, conduit, immediate, x }
}

fn access(bytes: &mut Bytes<'_>, vcpu: usize, pages: &[u64]) -> Event {
    let form = bytes.u8();
    let kind = match form & 7 {
        0..=2 => Kind::Load,
        3 | 4 => Kind::Store(bytes.u8()),
        5 => Kind::Fetch,
        6 => Kind::Walk,
        _ => Kind::Maintenance,
    };
    let over = [GIC + 0xfff, GIC + 0x1ffc, DEVICE + 0xfff, CONSOLE + 0xffc, CONSOLE + PAGE - 4];
    let ipa = match form >> 6 {
        // Over the end of a page.
        3 => bytes.choose(&over),
        _ => argument(bytes, pages),
    };
    let access = Access {
        kind,
        ipa,
        bytes: 1 << (form >> 3 & 3),
        is_described: form & 0x20 == 0,
        from_user: form & 0x40 != 0,
    };
    Event::Access { vcpu, access }
}

/// The next step of a VM of `vcpus` vCPUs, of which `running` run.
pub(super) fn step(bytes: &mut Bytes<'_>, pages: &[u64], vcpus: usize, running: &[usize]) -> Step {
    let form = bytes.u8();
    let who = usize::from(form >> 4 & 3);
    let interrupted = form & 0x40 != 0;
    if form & 0xf >= 0xd {
        return Step::Event(Event::Wait { vcpu: who % vcpus }, false);
    }
    let Some(&vcpu) = running.get(who % running.len().max(1)) else { return Step::Nobody };
    match form & 0xf {
        0..=7 => Step::Event(call(bytes, vcpu, pages), interrupted),
        8..=0xb => Step::Event(access(bytes, vcpu, pages), interrupted),
        _ if form & 0x80 == 0 => {
            Step::Event(Event::Endianness { vcpu, is_big: interrupted }, false)
        }
        _ => Step::Scatter(vcpu),
    }
}
