//! The road of one access outside memory (`docs/architecture.md`), page by page, from the raw
//! registers to what the guest finds.

use hyp_core::addr::{Ipa, Va};
use hyp_core::esr::{Access, Direction, Exit, Width};
use hyp_core::events::Reason;
use hyp_core::fault::{
    AddressSource, Fault, FaultView, LeafState, Span, Stage1, Use, Verdict, address_source, admit,
    ipa_from_hpfar, ipa_from_par, judge, load_result, store_value,
};
use hyp_core::inject::{AbortCause, Exception, PstateFeatures};

use super::decode::meaning;
use super::{bits, guest};
use crate::bytes::Bytes;

const PAGE: u64 = 0x1000;

/// One page of the VM's addresses.
#[derive(Debug, Clone, Copy)]
struct Page {
    is_memory: bool,
    is_guarded: bool,
    is_emulated: bool,
    is_assigned: bool,
    /// Whether something is mapped, and what it is good for.
    mapped: Option<[bool; 3]>,
}

/// A VM whose pages repeat, so that every address has a meaning.
#[derive(Debug)]
struct World {
    pages: [Page; 4],
    is_protected: bool,
    is_enrolled: bool,
}

impl World {
    fn new(bytes: &mut Bytes<'_>) -> Self {
        let pages = std::array::from_fn(|_| {
            let form = bytes.u8();
            let bit = |at: u32| form >> at & 1 != 0;
            let is_memory = bit(0);
            let is_emulated = !is_memory && bit(2);
            Page {
                is_memory,
                is_guarded: !is_memory && bit(1),
                is_emulated,
                is_assigned: !is_memory && !is_emulated && bit(3),
                // The page of an emulated device is never mapped.
                mapped: (!is_emulated && bit(4)).then_some([bit(5), bit(6), bit(7)]),
            }
        });
        let form = bytes.u8();
        // A protected VM is enrolled from the start.
        let is_protected = form & 1 != 0;
        Self { pages, is_protected, is_enrolled: is_protected || form & 2 != 0 }
    }

    fn page(&self, ipa: u64) -> &Page {
        &self.pages[usize::try_from(ipa / PAGE % 4).unwrap()]
    }
}

impl FaultView for World {
    type Device = u64;

    fn leaf(&self, ipa: Ipa, needed: Use) -> LeafState {
        match self.page(ipa.get()).mapped {
            None => LeafState::Absent { is_open: self.is_open(ipa) },
            Some([read, write, fetch]) => {
                let permits = match needed {
                    Use::Read => read,
                    Use::Write => write,
                    Use::Fetch => fetch,
                };
                if permits { LeafState::Permits } else { LeafState::Denies }
            }
        }
    }

    fn is_memory(&self, ipa: Ipa) -> bool {
        self.page(ipa.get()).is_memory
    }

    fn is_open(&self, ipa: Ipa) -> bool {
        !self.is_enrolled || self.page(ipa.get()).is_guarded
    }

    fn is_protected(&self) -> bool {
        self.is_protected
    }

    fn device(&self, ipa: Ipa) -> Option<(u64, bool)> {
        self.page(ipa.get()).is_emulated.then_some((ipa.get(), self.is_open(ipa)))
    }

    fn is_assigned(&self, ipa: Ipa) -> bool {
        self.page(ipa.get()).is_assigned
    }
}

/// What is to happen.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Retry,
    InvalidateTlb,
    Populate,
    Skip,
    MapDevice,
    Emulate,
    Decode,
    Abort(Reason),
}

/// The road, from ESR_EL2 as it is.
fn expected(world: &World, esr: u64, ipa: u64) -> Outcome {
    use Outcome::{Abort, Decode, Emulate, InvalidateTlb, MapDevice, Populate, Retry, Skip};
    match meaning(bits(esr, 5, 0)) {
        "external" | "parity" => return Abort(Reason::External),
        "conflict" => return InvalidateTlb,
        "unsupported" | "other" => return Abort(Reason::Unsupported),
        _ => {}
    }
    let flag = |at| bits(esr, at, at) == 1;
    let is_fetch = bits(esr, 31, 26) == 0x20;
    let is_walk = flag(7);
    let is_maintenance = !is_fetch && !is_walk && flag(8);
    let page = world.page(ipa);
    let allowed = page.mapped.map(|[read, write, fetch]| match (is_fetch, is_walk) {
        (true, false) => fetch,
        (true, true) => read,
        // Maintenance is reported as a store.
        (false, _) if is_maintenance || flag(6) => write,
        _ => read,
    });
    // 0. The leaf is valid by now.
    if allowed == Some(true) {
        return if is_walk && !page.is_memory { Abort(Reason::WalkOffMemory) } else { Retry };
    }
    // 1. Memory.
    if page.is_memory {
        return if page.mapped.is_some() { Abort(Reason::Permission) } else { Populate };
    }
    // 0. again: what is not a load or store.
    match (is_fetch, is_walk, is_maintenance) {
        (_, true, _) => return Abort(Reason::WalkOffMemory),
        (true, ..) => return Abort(Reason::FetchOffMemory),
        (.., true) => return Skip,
        _ => {}
    }
    if page.mapped.is_some() {
        return Abort(Reason::Permission);
    }
    // 2. Each page that the access touches.
    let is_described = flag(24);
    let bytes = if is_described { 1 << bits(esr, 23, 22) } else { 1 };
    let last = u128::from(ipa) + bytes - 1;
    let is_guarded = |at: u128| u64::try_from(at).is_ok_and(|at| world.page(at).is_guarded);
    if world.is_enrolled && !(is_guarded(u128::from(ipa)) && is_guarded(last)) {
        return Abort(Reason::Unguarded);
    }
    // 3. and 4.
    let in_one_page = last / u128::from(PAGE) == u128::from(ipa / PAGE);
    match (is_described, page.is_assigned) {
        (false, true) => MapDevice,
        // Its form is to blame only where another could reach something.
        (false, false) if world.is_protected && page.is_emulated => Abort(Reason::NoSyndrome),
        (false, false) if world.is_protected => Abort(Reason::NoDevice),
        (false, false) => Decode,
        (true, _) if page.is_emulated && in_one_page => Emulate,
        (true, true) => MapDevice,
        (true, false) => Abort(Reason::NoDevice),
    }
}

/// A trap for an abort: the address, the verdict, and what the guest takes.
pub(super) fn check(esr: u64, bytes: &mut Bytes<'_>) {
    let (hpfar, far) = (bytes.u64(), bytes.u64());
    let world = World::new(bytes);
    address(esr, hpfar, far, bytes);
    let ipa = ipa_from_hpfar(hpfar, far);
    let fault = match Exit::from_esr(esr) {
        Exit::DataAbort(abort) => Fault::from_data(&abort, Va(far), ipa),
        Exit::FetchAbort(abort) => Fault::from_fetch(&abort, Va(far), ipa),
        other => panic!("no abort: {other:?}"),
    };
    let is_fetch = bits(esr, 31, 26) == 0x20;
    let verdict = judge(&world, &fault);
    let found = match verdict {
        Verdict::Retry => Outcome::Retry,
        Verdict::InvalidateTlb => Outcome::InvalidateTlb,
        Verdict::Populate => Outcome::Populate,
        Verdict::Skip => Outcome::Skip,
        Verdict::MapDevice => Outcome::MapDevice,
        Verdict::Decode => Outcome::Decode,
        Verdict::Emulate { device, access } => {
            assert_eq!(device, ipa.get());
            moved(access, bytes);
            Outcome::Emulate
        }
        Verdict::Abort { exception, reason } => {
            let is_unsupported = meaning(bits(esr, 5, 0)) == "unsupported";
            let cause = if is_unsupported { AbortCause::Unsupported } else { AbortCause::Access };
            let address = Va(far);
            let taken = if is_fetch {
                Exception::FetchAbort { address, cause }
            } else {
                Exception::DataAbort { address, cause }
            };
            assert_eq!(exception, taken);
            let state = guest::state(bytes);
            guest::taken(exception, &state, PstateFeatures::from_bits_truncate(bytes.u8()));
            Outcome::Abort(reason)
        }
    };
    assert_eq!(found, expected(&world, esr, ipa.get()), "{esr:#x} at {ipa:?} in {world:?}");
    if found == Outcome::Decode {
        pieces(&world, &fault, bytes);
    }
    walked(far, bytes);
}

/// `HPFAR_EL2` and `PAR_EL1`: which register has the address, and where in it.
fn address(esr: u64, hpfar: u64, far: u64, bytes: &mut Bytes<'_>) {
    let (cause, on_walk) = match Exit::from_esr(esr) {
        Exit::DataAbort(abort) => (abort.cause, abort.on_walk),
        Exit::FetchAbort(abort) => (abort.cause, abort.on_walk),
        other => panic!("no abort: {other:?}"),
    };
    let erratum = bytes.u8() & 1 != 0;
    let par = bytes.u64();
    let source = match meaning(bits(esr, 5, 0)) {
        "permission" if !on_walk => AddressSource::Translate,
        "address size" | "translation" | "access flag" if erratum && !on_walk => {
            AddressSource::Translate
        }
        "address size" | "translation" | "access flag" | "permission" => AddressSource::Hpfar,
        _ => AddressSource::None,
    };
    assert_eq!(address_source(cause, on_walk, erratum), source);
    // FIPA, bits 43:4, is bits 51:12 of the address.
    assert_eq!(ipa_from_hpfar(hpfar, far).get(), bits(hpfar, 43, 4) << 12 | bits(far, 11, 0));
    let translated = (bits(par, 0, 0) == 0).then(|| bits(par, 51, 12) << 12 | bits(far, 11, 0));
    assert_eq!(ipa_from_par(par, far).map(Ipa::get), translated);
}

/// What goes between register and device, byte by byte.
fn moved(access: Access, bytes: &mut Bytes<'_>) {
    let (value, big_endian) = (bytes.u64(), bytes.u8() & 1 != 0);
    let len = usize::try_from(access.width().bytes()).unwrap();
    let mut ordered = value.to_le_bytes()[..len].to_vec();
    if big_endian {
        ordered.reverse();
    }
    let mut whole = [0; 8];
    whole[..len].copy_from_slice(&ordered);
    assert_eq!(store_value(access, value, big_endian), u64::from_le_bytes(whole));
    let is_negative = ordered[len - 1] & 0x80 != 0;
    let sign = if access.sign_extend() && is_negative { 0xff } else { 0 };
    whole[len..].fill(sign);
    if !access.is_64bit() {
        whole[4..].fill(0);
    }
    assert_eq!(load_result(access, value, big_endian), u64::from_le_bytes(whole));
}

/// An instruction that the hardware does not describe: all of its pieces, or none.
fn pieces(world: &World, fault: &Fault, bytes: &mut Bytes<'_>) {
    let len = 1 + bytes.below(64);
    let before = u64::try_from(bytes.below(len)).unwrap();
    let start = fault.va.get().wrapping_sub(before);
    let other = Ipa(u64::from(bytes.u16()) * PAGE);
    let is_mapped = bytes.u8() & 1 != 0;
    let width = bytes.choose(&[Width::Byte, Width::Half, Width::Word, Width::Double]);
    let span = Span::new(fault, start, len, None, |_| is_mapped.then_some(other));
    let touches = |offset: usize| {
        let va = start.wrapping_add(u64::try_from(offset).unwrap());
        let is_here = (va ^ fault.va.get()) << 8 < PAGE << 8;
        let page = if is_here { fault.ipa.page() } else { other };
        page.get() + va % PAGE
    };
    let is_split = touches(0) / PAGE != touches(len - 1) / PAGE
        || start / PAGE != start.wrapping_add(len as u64 - 1) / PAGE;
    let Some(span) = span else {
        assert!(is_split && !is_mapped, "a span in one page is there");
        return;
    };
    let step = usize::try_from(width.bytes()).unwrap();
    let offsets: Vec<usize> = (0..len).step_by(step).filter(|at| at + step <= len).collect();
    for offset in 0..len {
        assert_eq!(span.ipa(offset).get(), touches(offset));
    }
    let found = admit(world, fault, &span, offsets.iter().map(|at| (*at, width)));
    let reason = |offset: usize| {
        let (first, last) = (touches(offset), touches(offset + step - 1));
        let crosses = first % PAGE + step as u64 > PAGE;
        let is_guarded = world.page(first).is_guarded && world.page(last).is_guarded;
        if world.page(first).is_memory {
            let faulted = world.page(fault.ipa.get());
            let is_device = faulted.is_emulated || faulted.is_assigned;
            Some(if is_device { Reason::NoSyndrome } else { Reason::NoDevice })
        } else if world.is_enrolled && !is_guarded {
            Some(Reason::Unguarded)
        } else if crosses || !world.page(first).is_emulated {
            Some(Reason::NoDevice)
        } else {
            None
        }
    };
    let expected = offsets.iter().find_map(|offset| reason(*offset));
    assert_eq!(found.err().map(|denied| denied.reason), expected, "{len} bytes at {start:#x}");
    let same = |direction| Span::new(fault, start, len, Some(direction), |_| Some(other)).is_some();
    assert_ne!(same(Direction::Read), same(Direction::Write));
}

/// The guest's own tables, whatever they hold: the walk ends and names a level that there is.
fn walked(far: u64, bytes: &mut Bytes<'_>) {
    let stage1 = Stage1 {
        tcr: bytes.u64(),
        ttbr0: bytes.u64(),
        ttbr1: bytes.u64(),
        big_endian: bytes.u8() & 1 != 0,
    };
    let missing = Ipa(bytes.u64());
    let mut reads = 0;
    let level = stage1.level_of(Va(far), missing, |at| {
        reads += 1;
        assert!(at.get().is_multiple_of(8) && at.page() != missing.page());
        (!bytes.is_empty()).then(|| bytes.array())
    });
    assert!(reads <= 5 && level.is_none_or(|level| (-1..=3).contains(&level)));
}
