//! Repeats, told once: a guest that makes one mistake in a loop makes a hundred thousand records of it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use hyp_core::events::{Reason, Touch};

use super::record::{Record, What};

/// A record and those that say the same again.
#[derive(Debug, PartialEq, Eq)]
pub struct Told<'a> {
    /// The first of them.
    pub record: &'a Record,
    /// How many there are.
    pub count: u64,
    /// Time of the last, in ticks of the counter.
    pub last: u64,
    /// The lowest and the highest IPA of refused accesses.
    pub ipas: Option<(u64, u64)>,
}

/// What records that say the same have in common: site, callers and outcome. An access may go to
/// another address each time, a call may not.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Site<'a> {
    vm: u8,
    vcpu: u8,
    pc: u64,
    is_el0: bool,
    callers: &'a [u64],
    what: Outcome,
    /// Changes of the VM before: what happens again after one is told again.
    changes: u64,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Outcome {
    Call { function: u32, arguments: [u64; 3], x0: u64, x1: u32 },
    Refused { reason: Reason, touch: Touch, bytes: u8 },
    Undefined { esr: u64 },
}

/// `records` without repeats, in the order of the first of each.
pub fn fold(records: &[Record]) -> Vec<Told<'_>> {
    let mut told: Vec<Told<'_>> = Vec::new();
    let mut sites: HashMap<Site<'_>, usize> = HashMap::new();
    let mut changes: HashMap<u8, u64> = HashMap::new();
    for record in records {
        let ipa = match record.what {
            What::Refused { ipa, .. } => Some((ipa, ipa)),
            _ => None,
        };
        let changes = changes.entry(record.vm).or_default();
        let known = outcome(record).map(|what| {
            sites.entry(Site {
                vm: record.vm,
                vcpu: record.vcpu,
                pc: record.pc,
                is_el0: record.is_el0,
                callers: &record.callers,
                what,
                changes: *changes,
            })
        });
        match known {
            Some(Entry::Occupied(known)) => {
                if let Some(first) = told.get_mut(*known.get()) {
                    first.count += 1;
                    first.last = record.time;
                    let widest = |(low, high): (u64, u64), (ipa, _): (u64, u64)| {
                        (low.min(ipa), high.max(ipa))
                    };
                    first.ipas = first.ipas.zip(ipa).map(|(all, one)| widest(all, one));
                }
                continue;
            }
            Some(Entry::Vacant(new)) => {
                new.insert(told.len());
            }
            None => {}
        }
        *changes += u64::from(is_change(record));
        told.push(Told { record, count: 1, last: record.time, ipas: ipa });
    }
    told
}

/// What came of `record`, if it is one that a loop can repeat.
fn outcome(record: &Record) -> Option<Outcome> {
    match &record.what {
        What::Call(call) => Some(Outcome::Call {
            function: call.function,
            arguments: call.registers,
            x0: call.x0,
            x1: call.x1,
        }),
        What::Refused { reason, touch, bytes, .. } => {
            Some(Outcome::Refused { reason: *reason, touch: *touch, bytes: *bytes })
        }
        What::Undefined { esr } => Some(Outcome::Undefined { esr: *esr }),
        _ => None,
    }
}

/// Whether what comes after `record` may have another meaning than what came before.
fn is_change(record: &Record) -> bool {
    match &record.what {
        What::Call(call) => [false, true].iter().any(|dialect| call.deed(*dialect).is_some()),
        What::VmReset { .. } | What::VcpuOn { .. } | What::VcpuOff => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Call;
    use super::*;

    fn record(time: u64, pc: u64, what: What) -> Record {
        let callers = Vec::new();
        Record { time, cpu: 0, vm: 0, vcpu: 0, pc, is_el0: false, vectors: None, callers, what }
    }

    fn refused(time: u64, pc: u64, ipa: u64) -> Record {
        let (reason, touch) = (Reason::Unguarded, Touch::Load);
        record(time, pc, What::Refused { ipa, va: 0, reason, touch, bytes: 4, esr: 0 })
    }

    fn call(time: u64, pc: u64, function: u32, x1: u64, x0: i64) -> Record {
        let registers = [x1, 0, 0];
        let x0 = x0.cast_unsigned();
        record(time, pc, What::Call(Call { function, registers, x0, x1: 0 }))
    }

    fn counts(told: &[Told<'_>]) -> Vec<(u64, u64, u64)> {
        told.iter().map(|told| (told.record.time, told.count, told.last)).collect()
    }

    /// Two instructions in a loop, a timer's counts between, and a hundred thousand rounds.
    #[test]
    fn a_mistake_in_a_loop_is_one_record() {
        let mut records = Vec::new();
        for round in 0..100_000 {
            records.push(refused(10 * round, 0x100, 0x900_0000 + round));
            records.push(call(10 * round + 1, 0x104, 0xc600_0007, 3, -3));
            if round % 1000 == 999 {
                records.push(record(10 * round + 2, 0, What::VmName(String::new())));
            }
        }
        let told = fold(&records);
        assert_eq!(told.len(), 102);
        assert_eq!(counts(&told)[..2], [(0, 100_000, 999_990), (1, 100_000, 999_991)]);
        assert_eq!(told[0].ipas, Some((0x900_0000, 0x901_869f)));
        assert_eq!(told[1].ipas, None);
    }

    #[test]
    fn what_differs_is_told_apart() {
        let mut with_caller = refused(5, 0x100, 0x900_0000);
        with_caller.callers.push(0x500);
        let mut of_another = refused(6, 0x100, 0x900_0000);
        of_another.vcpu = 1;
        let records = [
            refused(1, 0x100, 0x900_0000),
            refused(2, 0x104, 0x900_0000),
            call(3, 0x108, 0xc600_0007, 1, -3),
            call(4, 0x108, 0xc600_0007, 2, -3),
            with_caller,
            of_another,
        ];
        assert_eq!(fold(&records).len(), records.len());
    }

    /// What was refused before the page was guarded, and again after it was not any more.
    #[test]
    fn after_a_change_of_the_vm_a_repeat_is_told_again() {
        let records = [
            refused(1, 0x100, 0x900_0000),
            refused(2, 0x100, 0x900_0000),
            call(3, 0x104, 0xc600_0007, 0x900_0000, 0),
            call(4, 0x108, 0xc600_0008, 0x900_0000, 0),
            refused(5, 0x100, 0x900_0000),
            record(6, 0, What::VmReset { count: 1 }),
            refused(7, 0x100, 0x900_0000),
        ];
        assert_eq!(
            counts(&fold(&records)),
            [(1, 2, 2), (3, 1, 3), (4, 1, 4), (5, 1, 5), (6, 1, 6), (7, 1, 7)]
        );
    }
}
