use super::*;
use std::vec::Vec;

const START: Start = Start { entry: 0x4020_0000, context: 0x1234, big_endian: false };

fn four() -> Power {
    let power = Power::new(4);
    assert!(power.boot(0, &START));
    assert_eq!(power.take_start(0), Some(START));
    power
}

#[test]
fn a_vcpu_reads_its_number_and_the_bit_that_is_always_one() {
    assert_eq!(mpidr_of(0), 0x8000_0000);
    assert_eq!(mpidr_of(7), 0x8000_0007);
}

#[test]
fn row_105_a_start_reaches_its_vcpu_once() {
    let power = four();
    assert_eq!(power.cpu_on(2, &START), Ok(2));
    assert_eq!(power.take_start(1), None);
    assert_eq!(power.take_start(2), Some(START));
    assert_eq!(power.take_start(2), None);
    assert!(power.is_on(2));
}

#[test]
fn rows_106_to_109_refusals() {
    let power = four();
    assert_eq!(power.cpu_on(0, &START), Err(-4));
    assert_eq!(power.cpu_on(1, &START), Ok(1));
    assert_eq!(power.cpu_on(1, &START), Err(-5));
    for target in [4, 8, 0x100, 1 << 32, 1 << 31 | 1, 1 << 40 | 1, u64::MAX] {
        assert_eq!(power.cpu_on(target, &START), Err(-2), "{target:#x}");
    }
}

#[test]
fn rows_111_to_113_affinity() {
    let power = four();
    assert_eq!(power.affinity_info(0, 0), Ok(0));
    assert_eq!(power.affinity_info(1, 0), Ok(1));
    assert_eq!(power.affinity_info(1, 1), Ok(0));
    assert_eq!(power.affinity_info(3, 3), Ok(0));
    assert_eq!(power.affinity_info(0, 4), Err(-2));
    assert_eq!(power.affinity_info(9, 0), Err(-2));
    assert_eq!(power.affinity_info(0x100, 1), Err(-2));
    assert_eq!(power.affinity_info(0x100, 2), Ok(0));
    assert_eq!(power.affinity_info(1 << 32, 3), Err(-2));
    assert_eq!(power.affinity_info(1 << 31, 0), Err(-2));
    power.cpu_on(3, &START).unwrap();
    assert_eq!(power.affinity_info(3, 0), Ok(2));
    assert_eq!(power.affinity_info(3, 1), Ok(0));
    power.turn_off(0);
    assert_eq!(power.affinity_info(0, 1), Ok(2));
}

#[test]
fn row_119_off_and_on_again_with_fresh_state() {
    let power = four();
    power.cpu_on(1, &START).unwrap();
    power.take_start(1).unwrap();
    power.turn_off(1);
    assert_eq!(power.affinity_info(1, 0), Ok(1));
    let again = Start { entry: 0x8000, context: 7, big_endian: true };
    assert_eq!(power.cpu_on(1, &again), Ok(1));
    assert_eq!(power.take_start(1), Some(again));
}

#[test]
fn reset_forgets_starts_under_way() {
    let power = four();
    power.cpu_on(1, &START).unwrap();
    power.reset();
    assert_eq!(power.take_start(1), None);
    assert!(!power.is_on(0));
    assert!(power.boot(0, &START));
}

/// Of racing CPU_ON calls exactly one wins, and the vCPU starts where the winner said.
#[test]
fn a_race_has_one_winner() {
    for _ in 0..200 {
        let power = four();
        let results: Vec<_> = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..4)
                .map(|caller| {
                    let start = Start { entry: caller, context: caller, big_endian: false };
                    let power = &power;
                    scope.spawn(move || (caller, power.cpu_on(1, &start)))
                })
                .collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).collect()
        });
        let winners: Vec<_> = results.iter().filter(|(_, result)| result.is_ok()).collect();
        assert_eq!(winners.len(), 1);
        assert!(results.iter().all(|(_, result)| matches!(result, Ok(1) | Err(-5))));
        let start = power.take_start(1).unwrap();
        assert_eq!((start.entry, start.context), (winners[0].0, winners[0].0));
    }
}

/// Two vCPUs take turns: each starts the other, goes off and asks whether anybody is left. There
/// always is, even if the turn comes back while the question is being answered.
#[test]
fn somebody_is_alive_while_turns_are_passed_on() {
    const TURNS: u64 = 20_000;
    let power = Power::new(2);
    assert!(power.boot(0, &Start { context: 0, ..START }));
    let wrong = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for me in 0..2 {
            let (power, wrong) = (&power, &wrong);
            scope.spawn(move || {
                loop {
                    let Some(Start { context: turn, .. }) = power.take_start(me) else {
                        std::thread::yield_now();
                        continue;
                    };
                    let next = turn + 1;
                    let start = Start { context: next, ..START };
                    // The other may not be off yet.
                    while next < TURNS && power.cpu_on(affinity_of(1 - me), &start).is_err() {
                        std::thread::yield_now();
                    }
                    power.turn_off(me);
                    // After the last turn but one the other may have gone off for good.
                    if next + 1 >= TURNS {
                        break;
                    }
                    wrong.fetch_add(u64::from(!power.is_any_alive()), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(wrong.load(Ordering::Relaxed), 0);
    assert!(!power.is_any_alive());
}
