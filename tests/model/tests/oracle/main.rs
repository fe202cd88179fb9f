//! `hyp-core` and the model answer the same random histories, several vCPUs taking turns.
//!
//! After each event the answers are compared, and what the tables, the enrolment and the power
//! states say of every page that the history knows. A difference is shrunk to the shortest history
//! that shows it, and printed.
//!
//! `POSTERN_MODEL_CASES` is how many histories there are, `POSTERN_MODEL_SEED` chooses others.

#![cfg(test)]

mod compare;
mod duel;
mod generate;
mod place;
mod subject;

use hyp_core::testing::FakeMachine;
use hyp_core::vm_type::{ProtectedGate, VmType};
use model::{Answer, Event, Host, Rule, vm_type};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};

use duel::{Duel, FRAMES, Tally};
use generate::Op;
use place::Options;

/// Plays one history; what differs is the error.
fn play(tally: &Tally, options: &Options, ops: &[Op]) -> Result<(), String> {
    let machine = FakeMachine::new(FRAMES << 12);
    // The machine that watches each step is slow where there are many tables.
    let is_watched = !ops.iter().any(|op| matches!(op, Op::Scatter { .. }));
    let mut duel = Duel::new(&machine, options, is_watched, tally)?;
    let all: Vec<usize> = (0..options.vcpus).collect();
    duel.happen(&Event::Wait { vcpu: 0 }, false)?;
    for (index, op) in ops.iter().enumerate() {
        let running = duel.running();
        let (choice, from) = match op {
            Op::Wait { vcpu } => (vcpu, &all),
            Op::Call { vcpu, .. }
            | Op::Access { vcpu, .. }
            | Op::Endianness { vcpu, .. }
            | Op::Scatter { vcpu } => (vcpu, &running),
        };
        if from.is_empty() {
            continue;
        }
        let vcpu = *choice.get(from);
        let at = |error: String| format!("op {index}, vCPU {vcpu}: {error}");
        let answer = match generate::event(op, vcpu, &duel.pages) {
            Some((event, interrupted)) => duel.happen(&event, interrupted).map_err(at)?,
            None => {
                duel.scatter(vcpu).map_err(at)?;
                Answer::Nothing
            }
        };
        duel.compare().map_err(at)?;
        if is_watched && (index % 16 == 0 || answer == Answer::Resets) {
            duel.compare_tables().map_err(at)?;
        }
        if answer == Answer::PowersOff || !duel.subject.vm.power.is_any_alive() {
            break;
        }
    }
    if is_watched {
        duel.compare_tables()?;
    }
    Ok(())
}

fn variable(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Err(_) => default,
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text}: write a number")),
    }
}

fn runner() -> TestRunner {
    let cases = variable("POSTERN_MODEL_CASES", 160);
    let seed = variable("POSTERN_MODEL_SEED", 1);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = ProptestConfig {
        cases: u32::try_from(cases).expect("POSTERN_MODEL_CASES fits 32 bits"),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// Runs a property; a difference ends the test with the shortest input that shows it.
fn run<S: Strategy>(strategy: &S, property: impl Fn(S::Value) -> Result<(), String>)
where
    S::Value: std::fmt::Debug,
{
    let property = |value| property(value).map_err(TestCaseError::fail);
    if let Err(error) = runner().run(strategy, property) {
        match error {
            TestError::Fail(reason, value) => panic!("{reason}\nthe shortest history: {value:#x?}"),
            TestError::Abort(reason) => panic!("{reason}"),
        }
    }
}

#[test]
fn hyp_core_does_what_the_model_says() {
    let tally = Tally::default();
    run(&(generate::options(), prop::collection::vec(generate::op(), 1..300)), |(options, ops)| {
        play(&tally, &options, &ops)
    });
    type_words(&tally);
    println!(
        "{} histories, {} events, {} comparisons",
        tally.histories.get(),
        tally.events.get(),
        tally.comparisons.get()
    );
    let used = tally.rules.borrow();
    for rule in Rule::ALL {
        let (text, source) = rule.text();
        let times = used.get(rule).copied().unwrap_or(0);
        println!("{:3} {times:7}  {text} [{source}]", rule.number());
    }
    let unused: Vec<_> = Rule::ALL.iter().filter(|rule| !used.contains_key(rule)).collect();
    assert!(unused.is_empty(), "no history came to {unused:?}: raise POSTERN_MODEL_CASES");
}

/// The VM type word, on machines with and without protection.
fn type_words(tally: &Tally) {
    static OPEN: ProtectedGate = ProtectedGate::new(true, true);
    static SHUT: ProtectedGate = ProtectedGate::new(true, false);
    let word = prop_oneof![
        4 => (select(vec![0, 31, 32, 36, 40, 48, 49, 52]), any::<bool>())
            .prop_map(|(n, high)| n | u64::from(high) << 31),
        4 => (0u64..0x100, any::<bool>()).prop_map(|(n, high)| n | u64::from(high) << 31),
        1 => any::<u64>(),
        1 => any::<u32>().prop_map(|n| i64::from(n.cast_signed()).cast_unsigned()),
    ];
    run(&(word, any::<bool>(), 32u32..=52), |(word, has_protection, pa_bits)| {
        let host = Host { has_protection, ipa_limit: pa_bits.min(48) };
        let (expected, rule) = vm_type(word, host);
        let gate = if has_protection { &OPEN } else { &SHUT };
        let found = VmType::parse(word, gate, pa_bits).ok();
        let found = found.map(|kind| (kind.is_protected(), kind.ipa_bits()));
        tally.used(rule);
        Tally::add(&tally.comparisons, 1);
        if expected == found {
            Ok(())
        } else {
            Err(format!("{word:#x}: the model says {expected:x?} by {rule:?}, hyp-core {found:x?}"))
        }
    });
}
