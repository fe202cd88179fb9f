//! What a guest may expect of Postern: VM types, the MMIO guard, sharing of memory, PSCI.
//!
//! The specification as a pure function from a state and an event to the next state and the answer
//! ([`step`]), in sets and maps, written from the documents that define the interface and not from
//! the code that serves it. It depends on nothing of this tree. Each decision is a [`Rule`] with its
//! source; `tests/oracle` lets `hyp-core` and this function answer the same random calls.
//!
//! Where the documents leave something to the hypervisor, the function takes what it chose as a
//! [`Choice`] and says what follows. It needs a heap and no operating system, so that a judge on the
//! bare machine can ask it, too.

#![no_std]

extern crate alloc;

mod access;
mod calls;
mod guard;
mod memory;
mod power;
mod rules;
mod state;
mod vm_type;

pub use access::{Access, Kind};
pub use rules::Rule;
pub use state::{Choice, Config, Dialect, PAGE, Power, Start, State};
pub use vm_type::{Host, vm_type};

/// Through which instruction a call comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduit {
    /// `HVC #imm`.
    Hvc,
    /// `SMC #imm`.
    Smc,
}

/// What happens to a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A vCPU makes a call.
    Call {
        /// Which vCPU.
        vcpu: usize,
        /// Through which instruction.
        conduit: Conduit,
        /// The instruction's immediate.
        immediate: u16,
        /// x0 to x3.
        x: [u64; 4],
    },
    /// A vCPU touches an address.
    Access {
        /// Which vCPU.
        vcpu: usize,
        /// How and where.
        access: Access,
    },
    /// A vCPU switches the endianness of its data (SCTLR_EL1.EE).
    Endianness {
        /// Which vCPU.
        vcpu: usize,
        /// To big-endian.
        is_big: bool,
    },
    /// A vCPU that is not running looks whether it is to start.
    Wait {
        /// Which vCPU.
        vcpu: usize,
    },
}

/// What comes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The vCPU goes on with these x0 to x3.
    Returns([u64; 4]),
    /// The vCPU waits for an interrupt, then goes on with zeroes in x0 to x3.
    Suspends,
    /// The vCPU is off.
    TurnsOff,
    /// The VM is off.
    PowersOff,
    /// The VM begins anew.
    Resets,
    /// The instruction is undefined.
    Undefined,
    /// The vCPU issues the same call again; nothing has happened.
    Replays,
    /// The vCPU begins to run.
    Starts(Start),
    /// Memory: the access goes on, and this is in the first byte of the page.
    Memory(u8),
    /// A device has the access.
    Device,
    /// The hypervisor may help or abort: the hardware does not describe the access.
    Undescribed,
    /// The instruction has no effect.
    Skips,
    /// The guest takes an external abort with this ESR_EL1.
    Aborts(u64),
    /// Nothing happens: no vCPU in that state can bring the event about.
    Nothing,
}

/// What follows from an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The state after it.
    pub state: State,
    /// The answer.
    pub answer: Answer,
    /// The rule that says so; `None` for [`Answer::Nothing`].
    pub rule: Option<Rule>,
}

/// What follows from `event` in `state` where the hypervisor chose `choice`.
#[must_use]
pub fn step(state: &State, event: &Event, choice: &Choice) -> Step {
    let mut next = state.clone();
    let (answer, rule) = apply(&mut next, event, choice);
    Step { state: next, answer, rule }
}

/// As [`step`], in place: for who asks too often to copy the state each time. The answer and its
/// rule.
#[must_use]
pub fn apply(next: &mut State, event: &Event, choice: &Choice) -> (Answer, Option<Rule>) {
    match *event {
        Event::Wait { vcpu } => match power::wait(next, vcpu) {
            Some(start) => (Answer::Starts(start), Some(Rule::Start)),
            None => (Answer::Nothing, None),
        },
        Event::Call { vcpu, .. } | Event::Access { vcpu, .. } | Event::Endianness { vcpu, .. }
            if next.power.get(&vcpu) != Some(&Power::On) =>
        {
            (Answer::Nothing, None)
        }
        Event::Endianness { vcpu, is_big } => {
            next.big_endian.insert(vcpu, is_big);
            (Answer::Nothing, None)
        }
        Event::Access { access, .. } => {
            let (outcome, rule) = access::touch(next, &access);
            let answer = match outcome {
                access::Outcome::Memory(byte) => Answer::Memory(byte),
                access::Outcome::Device => Answer::Device,
                access::Outcome::Undescribed => Answer::Undescribed,
                access::Outcome::Skips => Answer::Skips,
                access::Outcome::Aborts(esr) => Answer::Aborts(esr),
            };
            (answer, Some(rule))
        }
        Event::Call { vcpu, conduit, immediate, x } => {
            let is_smc = conduit == Conduit::Smc;
            let (outcome, rule) = calls::call(next, choice, vcpu, is_smc, immediate, x);
            let answer = match outcome {
                calls::Outcome::Returns(x) => Answer::Returns(x),
                calls::Outcome::Suspends => Answer::Suspends,
                calls::Outcome::TurnsOff => Answer::TurnsOff,
                calls::Outcome::PowersOff => Answer::PowersOff,
                calls::Outcome::Resets => Answer::Resets,
                calls::Outcome::Undefined => Answer::Undefined,
                calls::Outcome::Replays => Answer::Replays,
            };
            (answer, Some(rule))
        }
    }
}
