//! What a change of the tables comes of, and how to say so.

use alloc::format;
use alloc::string::String;

use model::{Access, Answer, Conduit, Config, Dialect, Event, Kind, PAGE, Start};

use crate::runs::Span;

/// Why EL2 runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A vCPU did something.
    Event(Event),
    /// EL2 writes what the VM starts with into its memory.
    Load,
    /// EL2 puts everything back to how the VM starts.
    Reset,
}

/// Which call of the guard or about memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Enroll,
    /// MAP or UNMAP of the page.
    Guard(u64),
    /// One of the range calls.
    Range(Range),
    /// SHARE of the page, which may bring it.
    Share(u64),
    /// UNSHARE or RELINQUISH of the page.
    Memory(u64),
}

/// RGUARD_MAP or RGUARD_UNMAP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) base: u64,
    pub(crate) granules: u64,
    /// The call that does one granule.
    pub(crate) one: u64,
}

impl Range {
    /// Where granule `index` is.
    pub(crate) fn address(&self, index: u64) -> Option<u64> {
        self.base.checked_add(index.checked_mul(PAGE)?)
    }

    /// The call that does the granule at `page`.
    pub(crate) const fn granule(&self, vcpu: usize, page: u64) -> Event {
        let x = [self.one, page, 0, 0];
        Event::Call { vcpu, conduit: Conduit::Hvc, immediate: 0, x }
    }
}

/// The vCPU that does `event`.
pub(crate) const fn vcpu_of(event: &Event) -> usize {
    match event {
        Event::Call { vcpu, .. }
        | Event::Access { vcpu, .. }
        | Event::Endianness { vcpu, .. }
        | Event::Wait { vcpu } => *vcpu,
    }
}

/// The service that a call is for; `None` for a call that changes no table.
pub(crate) fn service(config: &Config, [x0, x1, x2, _]: [u64; 4]) -> Option<Service> {
    let page = x1 / PAGE * PAGE;
    let id = x0 & 0xffff_ffff;
    if !config.has_guard() || id & 0xffff_ff00 != 0xc600_0000 {
        return None;
    }
    Some(match (config.dialect, id & 0xff) {
        (Dialect::List2021, 3) | (Dialect::Pkvm, 6) => Service::Enroll,
        (Dialect::List2021, 4 | 5) | (Dialect::Pkvm, 7 | 8) => Service::Guard(page),
        (Dialect::Pkvm, 3) => Service::Share(page),
        (Dialect::Pkvm, 4 | 9) => Service::Memory(page),
        (Dialect::Pkvm, function @ (10 | 11)) => {
            Service::Range(Range { base: x1, granules: x2, one: 0xc600_0000 + function - 3 })
        }
        _ => return None,
    })
}

/// The addresses that the model has to know about to say what follows from `event`; of a range
/// call, the first granule.
pub(crate) fn footprint(config: &Config, event: &Event) -> Span {
    match *event {
        Event::Call { x, .. } => match service(config, x) {
            Some(Service::Guard(page) | Service::Share(page) | Service::Memory(page)) => one(page),
            Some(Service::Range(range)) => one(range.base / PAGE * PAGE),
            Some(Service::Enroll) | None => (0, 0),
        },
        Event::Access { access, .. } => {
            let last = access.ipa.saturating_add(access.bytes.saturating_sub(1));
            (access.ipa / PAGE * PAGE, one(last / PAGE * PAGE).1)
        }
        Event::Endianness { .. } | Event::Wait { .. } => (0, 0),
    }
}

/// The page at `ipa`.
pub(crate) const fn one(ipa: u64) -> Span {
    (ipa, ipa.saturating_add(PAGE))
}

/// `cause` for a person.
pub(crate) fn describe(config: &Config, cause: &Cause) -> String {
    match cause {
        Cause::Load => "EL2 loads the VM's memory".into(),
        Cause::Reset => "EL2 resets the VM".into(),
        Cause::Event(Event::Call { conduit, immediate, x: [x0, x1, x2, x3], .. }) => {
            let conduit = if *conduit == Conduit::Hvc { "HVC" } else { "SMC" };
            let name = name(config, x0 & 0xffff_ffff);
            format!("{conduit} #{immediate} {name}({x1:#x}, {x2:#x}, {x3:#x}), x0 = {x0:#x}")
        }
        Cause::Event(Event::Access { access, .. }) => {
            let Access { kind, ipa, bytes, is_described, from_user } = access;
            let kind = match kind {
                Kind::Load => "load",
                Kind::Store(_) => "store",
                Kind::Fetch => "fetch",
                Kind::Walk => "table walk",
                Kind::Maintenance => "cache maintenance",
            };
            let level = u8::from(!from_user);
            let form = if *is_described { "" } else { ", not described" };
            format!("{kind} of {bytes} byte(s) at IPA {ipa:#x} from EL{level}{form}")
        }
        Cause::Event(Event::Wait { .. }) => "it looks whether it is to start".into(),
        Cause::Event(Event::Endianness { .. }) => "it changes its endianness".into(),
    }
}

fn name(config: &Config, id: u64) -> &'static str {
    const GUARD: [&str; 10] = [
        "MEMINFO",
        "MEM_SHARE",
        "MEM_UNSHARE",
        "MMIO_GUARD_INFO",
        "MMIO_GUARD_ENROLL",
        "MMIO_GUARD_MAP",
        "MMIO_GUARD_UNMAP",
        "MEM_RELINQUISH",
        "MMIO_RGUARD_MAP",
        "MMIO_RGUARD_UNMAP",
    ];
    match (id, config.dialect) {
        (0x8400_0002, _) => "CPU_OFF",
        (0x8400_0003 | 0xc400_0003, _) => "CPU_ON",
        (0x8400_0004 | 0xc400_0004, _) => "AFFINITY_INFO",
        (0x8400_0008, _) => "SYSTEM_OFF",
        (0x8400_0009 | 0x8400_0012 | 0xc400_0012, _) => "SYSTEM_RESET",
        (0x8400_0000..=0x8400_001f | 0xc400_0000..=0xc400_001f, _) => "PSCI",
        (0xc600_0002..=0xc600_0005, Dialect::List2021) => nth(&GUARD, id - 0xc600_0002 + 3),
        (0xc600_0002..=0xc600_000b, Dialect::Pkvm) => nth(&GUARD, id - 0xc600_0002),
        _ => "call",
    }
}

fn nth(names: &[&'static str], number: u64) -> &'static str {
    usize::try_from(number).ok().and_then(|number| names.get(number)).copied().unwrap_or("call")
}

/// `answer` for a person.
pub(crate) fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Returns([x0, x1, x2, x3]) => {
            format!("x0 to x3 = {:#x}, {x1:#x}, {x2:#x}, {x3:#x}", *x0)
        }
        Answer::Starts(Start { entry, context, is_big_endian }) => {
            format!("starts at {entry:#x} with {context:#x}, big-endian: {is_big_endian}")
        }
        Answer::Aborts(esr) => format!("takes an abort with ESR_EL1 = {esr:#x}"),
        other => format!("{other:?}"),
    }
}
