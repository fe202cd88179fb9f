//! When a VM's vCPUs may be inside the guest, and who is the last one out.
//!
//! One word counts the vCPUs inside and holds the reason to stop, so that "stop" and "enter"
//! cannot miss each other: after a request nobody enters, and exactly one vCPU, the last to leave,
//! is told to carry it out.

use crate::sync::{AtomicU32, Ordering};

/// Why a VM stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It powered itself off.
    Off,
    /// It asked for a reset.
    Reset,
    /// It did something after which it cannot go on.
    Crash,
}

impl Stop {
    const fn code(self) -> u32 {
        match self {
            Self::Off => 1 << REASON_SHIFT,
            Self::Reset => 2 << REASON_SHIFT,
            Self::Crash => 3 << REASON_SHIFT,
        }
    }

    const fn from_word(word: u32) -> Option<Self> {
        match word >> REASON_SHIFT {
            1 => Some(Self::Off),
            2 => Some(Self::Reset),
            3 => Some(Self::Crash),
            _ => None,
        }
    }
}

/// The reason lies above the count of vCPUs inside.
const REASON_SHIFT: u32 = 8;
const COUNT: u32 = (1 << REASON_SHIFT) - 1;

/// The life of one VM between two starts.
#[derive(Debug, Default)]
pub struct Life(AtomicU32);

/// What a vCPU that leaves has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Others are inside: wait for a start.
    OthersRun,
    /// Nobody is inside and nobody asked for a stop: if no start is pending either, the VM will
    /// never run again.
    Idle,
    /// This was the last one out: carry out the stop.
    Last(Stop),
}

impl Life {
    /// Nobody inside, no reason to stop.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// A vCPU wants to enter the guest: `false` while the VM is stopping.
    pub fn enter(&self) -> bool {
        self.0
            .try_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                (word >> REASON_SHIFT == 0).then(|| word.wrapping_add(1))
            })
            .is_ok()
    }

    /// Asks for a stop; the first reason stays. `true` for the one that was first.
    #[inline(never)]
    pub fn request(&self, stop: Stop) -> bool {
        self.0
            .try_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                (word >> REASON_SHIFT == 0).then_some(word | stop.code())
            })
            .is_ok()
    }

    /// Whether there is a reason to stop.
    #[inline]
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.0.load(Ordering::Acquire) >> REASON_SHIFT != 0
    }

    /// A vCPU that had entered is out for good.
    pub fn leave(&self) -> Left {
        let before = self.0.fetch_sub(1, Ordering::AcqRel);
        match (Stop::from_word(before), before & COUNT) {
            (Some(stop), 1) => Left::Last(stop),
            (None, 1) => Left::Idle,
            _ => Left::OthersRun,
        }
    }

    /// Nobody inside: the last one out carried out a reset, vCPUs may enter again.
    pub fn restart(&self) {
        self.0.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    #[test]
    fn the_first_reason_stays_and_closes_the_door() {
        let life = Life::new();
        assert!(life.enter());
        assert!(life.request(Stop::Reset));
        assert!(!life.request(Stop::Off));
        assert!(!life.enter());
        assert!(life.is_stopping());
        assert_eq!(life.leave(), Left::Last(Stop::Reset));
        life.restart();
        assert!(life.enter());
    }

    #[test]
    fn a_vcpu_that_leaves_alone_leaves_the_vm_idle() {
        let life = Life::new();
        assert!(life.enter());
        assert!(life.enter());
        assert_eq!(life.leave(), Left::OthersRun);
        assert_eq!(life.leave(), Left::Idle);
    }

    /// Whatever the interleaving, exactly one of the racing vCPUs is told to carry out the stop.
    #[test]
    fn one_of_many_is_last() {
        for _ in 0..200 {
            let life = Life::new();
            let last = AtomicUsize::new(0);
            assert!(life.enter());
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        if life.enter() && matches!(life.leave(), Left::Last(_)) {
                            last.fetch_add(1, Ordering::SeqCst);
                        }
                    });
                }
                life.request(Stop::Off);
                if matches!(life.leave(), Left::Last(_)) {
                    last.fetch_add(1, Ordering::SeqCst);
                }
            });
            assert_eq!(last.load(Ordering::SeqCst), 1);
        }
    }
}
