//! What must come back, as the model of the guest ABI says for what this CPU alone has a hand in.

use alloc::collections::{BTreeMap, BTreeSet};

use hyp_abi::vplatform::GICC_BASE;
use model::{Access, Answer, Choice, Conduit, Config, Event, Kind, Power, Start, State};

use crate::cpu::Cpu;
use crate::hyper;
use crate::layout::PAGE;
use crate::options::Options;

/// The VM as CPU `index` sees it once the devices are guarded.
pub(crate) fn state(options: &Options) -> State {
    let (base, size) = options.ram;
    let config = Config {
        is_protected: options.is_protected,
        ipa_bits: options.ipa_bits,
        dialect: options.dialect,
        with_guard: options.with_guard,
        smc_is_undefined: false,
        affinities: options.affinities.iter().copied().zip(0..).collect(),
        boot: Start { entry: 0, context: 0, is_big_endian: false },
        memory: BTreeMap::from([(base, base + size)]),
        emulated: options.emulated().into_iter().collect(),
        assigned: if options.is_v2() {
            BTreeMap::from([(GICC_BASE, GICC_BASE + PAGE)])
        } else {
            BTreeMap::new()
        },
        guarded: BTreeSet::new(),
    };
    let mut state = State::new(config);
    if options.has_guard() {
        state.is_enrolled = true;
        state.guarded = hyper::guarded(options).collect();
    }
    for power in state.power.values_mut() {
        *power = Power::On;
    }
    state
}

impl Cpu {
    /// What the call with x0 to x3 as in `x` must answer, given that it answered `seen`.
    pub(crate) fn predict_call(
        &mut self,
        is_smc: bool,
        immediate: u16,
        x: [u64; 4],
        seen: [u64; 4],
    ) -> Answer {
        let conduit = if is_smc { Conduit::Smc } else { Conduit::Hvc };
        let choice = Choice {
            // Tables are enough for all that is guarded here: MAP has no choice.
            refuse: matches!(x[0] & 0xffff_ffff, 0xc600_0009) && seen[0] != 0,
            replay: false,
            granules: seen[1],
        };
        let event = Event::Call { vcpu: self.index, conduit, immediate, x };
        model::apply(&mut self.state, &event, &choice).0
    }

    /// What becomes of an access.
    pub(crate) fn predict_access(
        &mut self,
        kind: Kind,
        ipa: u64,
        bytes: u64,
        is_described: bool,
        from_user: bool,
    ) -> Answer {
        let access = Access { kind, ipa, bytes, is_described, from_user };
        let event = Event::Access { vcpu: self.index, access };
        model::apply(&mut self.state, &event, &Choice::default()).0
    }
}
