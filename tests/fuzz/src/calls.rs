//! Histories of calls and accesses from several vCPUs: `hyp-core` against the model of
//! `tests/model`, by the code with which that package's own test compares them.

mod history;

#[path = "../../model/tests/oracle/compare.rs"]
mod compare;
#[path = "../../model/tests/oracle/duel.rs"]
mod duel;
#[path = "../../model/tests/oracle/place.rs"]
mod place;
#[path = "../../model/tests/oracle/subject.rs"]
mod subject;

use hyp_core::testing::FakeMachine;
use model::{Answer, Event};

use crate::bytes::Bytes;
use duel::{Duel, FRAMES, Tally};
use history::Step;
use place::Options;

/// Events of one history.
const MOST_EVENTS: usize = 200;

/// One input: a VM, and what happens to it.
pub(crate) fn run(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let options = history::options(&mut bytes);
    let is_watched = bytes.u8() & 3 == 0;
    if let Err(difference) = play(&options, is_watched, &mut bytes) {
        panic!("{difference}\n{options:x?}");
    }
}

fn play(options: &Options, is_watched: bool, bytes: &mut Bytes<'_>) -> Result<(), String> {
    let machine = FakeMachine::new(FRAMES << 12);
    let tally = Tally::default();
    let mut duel = Duel::new(&machine, options, is_watched, &tally)?;
    duel.happen(&Event::Wait { vcpu: 0 }, false)?;
    for index in 0..MOST_EVENTS {
        if bytes.is_empty() {
            break;
        }
        let at = |error: String| format!("event {index}: {error}");
        let running = duel.running();
        let answer = match history::step(bytes, &duel.pages, options.vcpus, &running) {
            Step::Nobody => continue,
            Step::Event(event, interrupted) => duel.happen(&event, interrupted).map_err(at)?,
            // The machine that watches each step is slow where there are many tables.
            Step::Scatter(_) if is_watched => continue,
            Step::Scatter(vcpu) => {
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
