//! The power states of a VM's vCPUs (DEN0022).
//!
//! Each vCPU has one atomic state. Whoever moves it from off to starting by compare-and-swap owns
//! the start and is the only one to be told so; the started vCPU takes the entry point out and
//! turns itself on, and only it turns itself off.

use hyp_abi::psci::{self, status};
use hyp_abi::vplatform::MAX_VCPUS;

use crate::sync::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

/// The affinity of vCPU `index`, in the fields of an MPIDR argument: Aff0 counts, all others
/// are 0.
#[must_use]
pub const fn affinity_of(index: usize) -> u64 {
    index as u64
}

/// MPIDR_EL1 as vCPU `index` reads it: its affinity and the RES1 bit 31.
#[must_use]
pub const fn mpidr_of(index: usize) -> u64 {
    affinity_of(index) | 1 << 31
}

/// Where and how a vCPU starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The first instruction.
    pub entry: u64,
    /// What x0 holds there; all other general registers are 0.
    pub context: u64,
    /// SCTLR_EL1.EE, from whoever started it.
    pub big_endian: bool,
}

/// Power states. `CLAIMED` lasts while the caller writes the entry point.
mod state {
    pub(super) const OFF: u8 = 0;
    pub(super) const CLAIMED: u8 = 1;
    pub(super) const STARTING: u8 = 2;
    pub(super) const ON: u8 = 3;
}

/// One vCPU's state and the entry point it is to take.
#[derive(Debug)]
struct Cpu {
    state: AtomicU8,
    entry: AtomicU64,
    context: AtomicU64,
    big_endian: AtomicBool,
}

impl Cpu {
    const fn new() -> Self {
        Self {
            state: AtomicU8::new(state::OFF),
            entry: AtomicU64::new(0),
            context: AtomicU64::new(0),
            big_endian: AtomicBool::new(false),
        }
    }

    /// Moves an idle vCPU to starting.
    fn start(&self, start: &Start) -> Result<(), i64> {
        let claim = self.state.compare_exchange(
            state::OFF,
            state::CLAIMED,
            Ordering::Acquire,
            Ordering::Relaxed,
        );
        match claim {
            Ok(_) => {}
            Err(state::ON) => return Err(status::ALREADY_ON),
            Err(_) => return Err(status::ON_PENDING),
        }
        self.entry.store(start.entry, Ordering::Relaxed);
        self.context.store(start.context, Ordering::Relaxed);
        self.big_endian.store(start.big_endian, Ordering::Relaxed);
        // Release: whoever sees the state sees the entry point.
        self.state.store(state::STARTING, Ordering::Release);
        Ok(())
    }
}

/// The power states of one VM.
#[derive(Debug)]
pub struct Power {
    cpus: [Cpu; MAX_VCPUS],
    count: usize,
    /// How many are not off. A word of its own, because looking at one state after the other would
    /// miss a vCPU that is started behind the look by one that goes off before it.
    alive: AtomicUsize,
}

impl Power {
    /// `count` vCPUs, 1 to [`MAX_VCPUS`], all off.
    #[must_use]
    pub const fn new(count: usize) -> Self {
        Self { cpus: [const { Cpu::new() }; MAX_VCPUS], count, alive: AtomicUsize::new(0) }
    }

    /// How many vCPUs there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// The vCPUs there are, by index.
    fn cpus(&self) -> impl Iterator<Item = (usize, &Cpu)> {
        (0..self.count).zip(&self.cpus)
    }

    /// `CPU_ON`: claims the vCPU with affinity `target` and leaves it to [`Power::take_start`].
    /// Answers its index: it has to be woken.
    ///
    /// # Errors
    ///
    /// A PSCI status: INVALID_PARAMETERS for an affinity that no vCPU has, ALREADY_ON,
    /// ON_PENDING.
    pub fn cpu_on(&self, target: u64, start: &Start) -> Result<usize, i64> {
        let (index, cpu) = self
            .cpus()
            .find(|(index, _)| affinity_of(*index) == target)
            .ok_or(status::INVALID_PARAMETERS)?;
        self.start(cpu, start)?;
        Ok(index)
    }

    /// Starts vCPU `index` after creation or reset of the VM; nothing if it is not off.
    pub fn boot(&self, index: usize, start: &Start) -> bool {
        self.cpus.get(index).is_some_and(|cpu| self.start(cpu, start).is_ok())
    }

    /// Moves an idle vCPU to starting and counts it.
    fn start(&self, cpu: &Cpu, start: &Start) -> Result<(), i64> {
        // Counted first: by the time it can turn itself off, it has been.
        self.alive.fetch_add(1, Ordering::AcqRel);
        cpu.start(start).inspect_err(|_| {
            self.alive.fetch_sub(1, Ordering::AcqRel);
        })
    }

    /// For vCPU `index` itself, while it is off: takes its start, if there is one, and turns it
    /// on.
    pub fn take_start(&self, index: usize) -> Option<Start> {
        let cpu = self.cpus.get(index)?;
        // Nobody else moves a state away from STARTING, so load and store need no exchange.
        if cpu.state.load(Ordering::Acquire) != state::STARTING {
            return None;
        }
        let start = Start {
            entry: cpu.entry.load(Ordering::Relaxed),
            context: cpu.context.load(Ordering::Relaxed),
            big_endian: cpu.big_endian.load(Ordering::Relaxed),
        };
        cpu.state.store(state::ON, Ordering::Release);
        Some(start)
    }

    /// For vCPU `index` itself: turns it off. From here on somebody may start it again.
    pub fn turn_off(&self, index: usize) {
        if let Some(cpu) = self.cpus.get(index) {
            // Release: whoever starts it again sees all that it did.
            cpu.state.store(state::OFF, Ordering::Release);
            self.alive.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Whether vCPU `index` is on.
    #[must_use]
    pub fn is_on(&self, index: usize) -> bool {
        self.cpus.get(index).is_some_and(|cpu| cpu.state.load(Ordering::Acquire) == state::ON)
    }

    /// Whether a start waits for vCPU `index`: [`Power::take_start`] would answer it.
    #[must_use]
    pub fn is_starting(&self, index: usize) -> bool {
        self.cpus.get(index).is_some_and(|cpu| cpu.state.load(Ordering::Acquire) == state::STARTING)
    }

    /// Whether any vCPU is on or about to be. Once none is, none will be: only one that is on
    /// starts another.
    #[must_use]
    pub fn is_any_alive(&self) -> bool {
        self.alive() != 0
    }

    /// How many are on or about to be; too many for a moment where somebody starts one that is.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.alive.load(Ordering::Acquire)
    }

    /// Turns all vCPUs off, pending starts included. Only where none of them can run: at the
    /// VM's reset, by the last one out.
    pub fn reset(&self) {
        for cpu in &self.cpus {
            cpu.state.store(state::OFF, Ordering::Release);
        }
        self.alive.store(0, Ordering::Release);
    }

    /// `AFFINITY_INFO` (DEN0022, 5.1.6): the state of the vCPUs that share the affinity fields of
    /// `target` from `level` up.
    ///
    /// # Errors
    ///
    /// INVALID_PARAMETERS for a level above 3 or where no vCPU matches.
    pub fn affinity_info(&self, target: u64, level: u64) -> Result<i64, i64> {
        // Aff3 is not next to Aff2: a level's mask is taken from the affinity bits.
        let ignored = match level {
            0 => 0,
            1 => 0xff,
            2 => 0xffff,
            3 => 0xff_ffff,
            _ => return Err(status::INVALID_PARAMETERS),
        };
        if target & !psci::MPIDR_AFFINITY != 0 {
            return Err(status::INVALID_PARAMETERS);
        }
        let same = |index: usize| (affinity_of(index) ^ target) & !ignored == 0;
        // One that is on counts before one that starts, and that before one that is off.
        let mut answer = Err(status::INVALID_PARAMETERS);
        for (index, cpu) in self.cpus() {
            if !same(index) {
                continue;
            }
            match cpu.state.load(Ordering::Acquire) {
                state::ON => return Ok(psci::affinity::ON),
                state::OFF if answer.is_err() => answer = Ok(psci::affinity::OFF),
                state::OFF => {}
                _ => answer = Ok(psci::affinity::ON_PENDING),
            }
        }
        answer
    }
}

#[cfg(test)]
#[path = "psci_tests.rs"]
mod tests;
