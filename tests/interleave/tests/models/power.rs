//! Starts, stops and VMIDs.

use hyp_core_interleaved::psci::{Power, Start};
use hyp_core_interleaved::stage2::{Vmid, VmidAllocator};
use hyp_core_interleaved::sync::watched::Weaken;
use hyp_core_interleaved::vm::{Left, Life, Stop};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use crate::model;

const fn start(number: u64) -> Start {
    Start { entry: number << 12, context: number, big_endian: number.is_multiple_of(2) }
}

model!(cpu_on_mailbox, explore, cpu_on);

/// Two vCPUs start a third. One of them is told that it did, and the third begins where that one
/// said.
fn cpu_on() {
    let power = Arc::new(Power::new(3));
    // A run before this one, so that there is something older to be read.
    assert!(power.boot(2, &start(9)));
    assert_eq!(power.take_start(2), Some(start(9)));
    power.turn_off(2);
    let callers: Vec<_> = (1..3)
        .map(|caller| {
            let power = Arc::clone(&power);
            thread::spawn(move || power.cpu_on(2, &start(caller)))
        })
        .collect();
    let mut taken = power.take_start(2);
    let answers: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
    taken = taken.or_else(|| power.take_start(2));
    let winners: Vec<u64> = (1..)
        .zip(&answers)
        .filter(|(_, answer)| **answer == Ok(2))
        .map(|(caller, _)| caller)
        .collect();
    assert_eq!(winners.len(), 1, "{answers:?}");
    assert_eq!(taken, Some(start(winners[0])));
    assert!(power.is_on(2) && power.is_any_alive());
    assert_eq!(power.take_start(2), None);
}

model!(a_vcpu_that_starts_again, explore, off_and_on);

/// A vCPU goes off while another starts it again: what it did before is seen by its next run.
fn off_and_on() {
    let power = Arc::new(Power::new(2));
    let state = Arc::new(UnsafeCell::new(()));
    assert!(power.boot(1, &start(1)));
    assert_eq!(power.take_start(1), Some(start(1)));
    let runs = {
        let (power, state) = (Arc::clone(&power), Arc::clone(&state));
        thread::spawn(move || {
            state.with_mut(|_| ());
            power.turn_off(1);
        })
    };
    if power.cpu_on(1, &start(2)).is_ok() {
        // Its caller may look at what it left.
        state.with_mut(|_| ());
        assert_eq!(power.take_start(1), Some(start(2)));
    }
    runs.join().unwrap();
}

model!(the_last_one_out, explore, last_out);

/// Two vCPUs inside, one of them asks for a stop, a third wants in: one of them is the last, and
/// what the others did is over by then.
fn last_out() {
    let life = Arc::new(Life::new());
    let memory = Arc::new(UnsafeCell::new(()));
    assert!(life.enter() && life.enter());
    let vcpus: Vec<_> = (0..3)
        .map(|vcpu| {
            let (life, memory) = (Arc::clone(&life), Arc::clone(&memory));
            thread::spawn(move || {
                if vcpu == 2 && !life.enter() {
                    return 0;
                }
                memory.with(|_| ());
                if vcpu == 0 {
                    assert!(life.request(Stop::Reset));
                }
                match life.leave() {
                    Left::Last(stop) => {
                        assert_eq!(stop, Stop::Reset);
                        memory.with_mut(|_| ());
                        1
                    }
                    Left::Idle => panic!("a stop was asked for"),
                    Left::OthersRun => 0,
                }
            })
        })
        .collect();
    let last: u32 = vcpus.into_iter().map(|vcpu| vcpu.join().unwrap()).sum();
    assert_eq!(last, 1);
    assert!(!life.enter());
}

model!(a_vmid_that_goes_on, explore, vmids);

/// One VMID is left for two VMs: never both have it, and whoever gets it second finds the TLBs as
/// the first has left them.
fn vmids() {
    let allocator = Arc::new(VmidAllocator::new());
    let tlbs = Arc::new(UnsafeCell::new(()));
    while allocator.allocate() != Vmid::new(254) {}
    let vms: Vec<_> = (0..2)
        .map(|_| {
            let (allocator, tlbs) = (Arc::clone(&allocator), Arc::clone(&tlbs));
            thread::spawn(move || {
                let Some(vmid) = allocator.allocate() else { return 0 };
                assert_eq!(Some(vmid), Vmid::new(255));
                tlbs.with_mut(|_| ());
                allocator.release(vmid);
                1
            })
        })
        .collect();
    let served: u32 = vms.into_iter().map(|vm| vm.join().unwrap()).sum();
    assert!(served >= 1);
    assert_eq!(allocator.allocate(), Vmid::new(255));
    assert_eq!(allocator.allocate(), None);
}
