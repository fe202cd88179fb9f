//! Hooks for a guest's `ioremap` and `iounmap`.
//!
//! They keep every granule guarded for exactly as long as some mapping of it exists, by counting
//! the users of each granule. The counts live in storage that the guest provides.

use crate::conduit::Conduit;
use crate::counts::{Counts, Place};
use crate::discovery::Services;
use crate::error::Error;
use crate::guard::{Guard, MmioGuardedHypervisor};

/// The word on a guest's command line that asks for the guard, as Android's kernels and the list
/// postings spell it.
pub const COMMAND_LINE_WORD: &str = "ioremap_guard";

/// Whether `command_line` holds [`COMMAND_LINE_WORD`].
#[must_use]
pub fn asks_for_guard(command_line: &[u8]) -> bool {
    command_line.split(u8::is_ascii_whitespace).any(|word| word == COMMAND_LINE_WORD.as_bytes())
}

/// Registers of a device in the guest's physical address space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MmioRegion {
    /// The first byte.
    pub base: u64,
    /// Bytes, at least 1.
    pub size: u64,
}

/// Granules from `first` to before `end`, none of them beyond 64 bits and at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Granules {
    first: u64,
    end: u64,
}

/// The hooks, and in `storage` what they need to remember.
///
/// `S` is an array of [`Place`]s, a `&mut` slice of them, or a growing type of a guest's own. A
/// place holds granules in a row that are in use equally often: as many places as there are
/// separate devices are enough, and two more for each mapping that overlaps another.
///
/// When the places run out, everything still gets guarded, but from then on nothing is taken back:
/// a guard that stays is harmless, one that vanishes under a mapping is not.
#[derive(Debug)]
pub struct IoremapGuard<G, S> {
    hypervisor: G,
    granule: u64,
    counts: Counts<S>,
    keeps_everything: bool,
}

impl<'s, C: Conduit, S: AsRef<[Place]> + AsMut<[Place]>> IoremapGuard<Guard<&'s C>, S> {
    /// Hooks for a guest that wants the guard only where `command_line` holds
    /// [`COMMAND_LINE_WORD`]: then as [`enrol`](Self::enrol). `None` without that word, and then
    /// `console` is not asked.
    ///
    /// # Errors
    ///
    /// [`Error::NotSupported`] if INFO, ENROLL, MAP and UNMAP are not all offered; else as
    /// [`enrol`](Self::enrol). The guard is then not in use and devices must not be touched in a
    /// protected VM.
    pub fn from_command_line(
        services: &'s Services<C>,
        command_line: &str,
        page_size: u64,
        storage: S,
        console: impl FnOnce() -> Option<MmioRegion>,
    ) -> Result<Option<Self>, Error> {
        if !asks_for_guard(command_line.as_bytes()) {
            return Ok(None);
        }
        let guard = services
            .mmio_guard()
            .filter(Guard::is_complete)
            .ok_or(Error::NotSupported(hyp_abi::vendor::FEATURES))?;
        Self::enrol(guard, page_size, storage, console).map(Some)
    }
}

impl<G: MmioGuardedHypervisor, S: AsRef<[Place]> + AsMut<[Place]>> IoremapGuard<G, S> {
    /// Hooks for a guest that is enrolled already, or enrols by itself. `page_size` is that of the
    /// guest's own tables, in bytes. What `storage` holds does not matter.
    ///
    /// # Errors
    ///
    /// [`Error::Granule`] if the hypervisor's granule is larger than a page; else what the
    /// hypervisor answers.
    pub fn new(hypervisor: G, page_size: u64, storage: S) -> Result<Self, Error> {
        let granule = hypervisor.granule()?;
        if !granule.is_power_of_two() || granule > page_size {
            return Err(Error::Granule(granule));
        }
        Ok(Self { hypervisor, granule, counts: Counts::new(storage), keeps_everything: false })
    }

    /// Enrols the VM and guards the early console before anything can be printed: from the
    /// enrolment on, a console that is not guarded aborts.
    ///
    /// `console` is the guest's own lookup: the early console that is in use, as the guest's fixed
    /// mappings, its device tree or its command line tell, or `None`. It is asked before the
    /// enrolment and may still print. Between the enrolment and the return of this function
    /// nothing may be printed, by other CPUs neither.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); [`Error::Region`] if `console` finds no possible region: the VM is
    /// not enrolled then. Else the refusal of ENROLL or MAP; after the latter the console aborts.
    pub fn enrol(
        hypervisor: G,
        page_size: u64,
        storage: S,
        console: impl FnOnce() -> Option<MmioRegion>,
    ) -> Result<Self, Error> {
        let mut hooks = Self::new(hypervisor, page_size, storage)?;
        let console =
            console().map(|region| hooks.granules(region.base, region.size)).transpose()?;
        hooks.hypervisor.enroll()?;
        if let Some(console) = console {
            hooks.keep(console)?;
        }
        Ok(hooks)
    }

    /// Guards what the guest's own lookup finds as its early console, for good, if there is one;
    /// whether there is. For VMs that need no enrolment; to be called before the first print.
    ///
    /// # Errors
    ///
    /// As [`map_early`](Self::map_early).
    pub fn map_early_console(
        &mut self,
        console: impl FnOnce() -> Option<MmioRegion>,
    ) -> Result<bool, Error> {
        let Some(region) = console() else { return Ok(false) };
        self.map_early(region.base, region.size).map(|()| true)
    }

    /// Guards a region for good: for what is mapped before `iounmap` can be called in pairs, and
    /// for what firmware left guarded and is in use.
    ///
    /// # Errors
    ///
    /// As [`ioremap`](Self::ioremap).
    pub fn map_early(&mut self, base: u64, size: u64) -> Result<(), Error> {
        self.keep(self.granules(base, size)?)
    }

    /// The same hooks with other storage, usually more: nothing that is guarded is forgotten.
    ///
    /// # Errors
    ///
    /// The hooks as they were, if `storage` has too few places.
    pub fn move_to<T: AsRef<[Place]> + AsMut<[Place]>>(
        self,
        storage: T,
    ) -> Result<IoremapGuard<G, T>, Self> {
        let Self { hypervisor, granule, counts, keeps_everything } = self;
        match counts.moved(storage) {
            Ok(counts) => Ok(IoremapGuard { hypervisor, granule, counts, keeps_everything }),
            Err(counts) => Err(Self { hypervisor, granule, counts, keeps_everything }),
        }
    }

    /// To be called before the `size` bytes at physical address `base` are mapped as device
    /// memory: guards every granule that they touch and that has no user yet, and counts one user
    /// more for each. Not for memory.
    ///
    /// # Errors
    ///
    /// [`Error::Region`] for an impossible region; else the hypervisor's refusal, and then
    /// everything is guarded exactly as before.
    pub fn ioremap(&mut self, base: u64, size: u64) -> Result<(), Error> {
        let granules = self.granules(base, size)?;
        self.guard(granules)?;
        if self.counts.add(granules.first, granules.end).is_err() {
            self.keeps_everything = true;
        }
        Ok(())
    }

    /// To be called after a mapping of an earlier [`ioremap`](Self::ioremap), or a part of it, is
    /// gone: takes back the granules that this leaves without a user. Granules that nobody uses
    /// are left alone; calls beyond what was mapped take other users' counts.
    ///
    /// # Errors
    ///
    /// [`Error::Region`] for an impossible region; else the first refusal of the hypervisor. The
    /// users are gone in either case, since nothing could be done better later.
    pub fn iounmap(&mut self, base: u64, size: u64) -> Result<(), Error> {
        let granules = self.granules(base, size)?;
        if self.keeps_everything {
            return Ok(());
        }
        let mut result = Ok(());
        let mut at = granules.first;
        while at < granules.end {
            let (users, end) = self.counts.run(at, granules.end);
            let run = Granules { first: at, end };
            // Without a place to note the loss of a user in, the granules stay guarded.
            if users > 0 && self.counts.remove(run.first, run.end).is_ok() && users == 1 {
                result = result.and(self.unguard(run));
            }
            at = end;
        }
        result
    }

    /// Whether any mapping, or an early one, covers the granule of `address`.
    #[must_use]
    pub fn is_tracked(&self, address: u64) -> bool {
        let granule = address / self.granule;
        self.counts.run(granule, granule.saturating_add(1)).0 > 0
    }

    /// Whether places have run out, so that nothing is taken back any more.
    #[must_use]
    pub fn keeps_everything(&self) -> bool {
        self.keeps_everything
    }

    fn granules(&self, base: u64, size: u64) -> Result<Granules, Error> {
        let last = size
            .checked_sub(1)
            .and_then(|more| base.checked_add(more))
            .ok_or(Error::Region { base, size })?;
        let end = (last / self.granule).checked_add(1).ok_or(Error::Region { base, size })?;
        Ok(Granules { first: base / self.granule, end })
    }

    fn keep(&mut self, granules: Granules) -> Result<(), Error> {
        self.guard(granules)?;
        if self.counts.keep(granules.first, granules.end).is_err() {
            self.keeps_everything = true;
        }
        Ok(())
    }

    /// Declares the granules that have no user yet; all of them or none.
    fn guard(&self, granules: Granules) -> Result<(), Error> {
        let mut at = granules.first;
        while at < granules.end {
            let (users, end) = self.counts.run(at, granules.end);
            while users == 0 && at < end {
                let left = end.saturating_sub(at);
                match self.hypervisor.map_range(at.wrapping_mul(self.granule), left) {
                    Ok(count) => at = at.saturating_add(count.clamp(1, left)),
                    Err(error) => {
                        self.undo(Granules { end: at, ..granules });
                        return Err(error);
                    }
                }
            }
            at = end;
        }
        Ok(())
    }

    /// Takes back what a failed call has declared so far.
    fn undo(&self, granules: Granules) {
        let mut at = granules.first;
        while at < granules.end && !self.keeps_everything {
            let (users, end) = self.counts.run(at, granules.end);
            if users == 0 {
                // The call that failed is what the caller hears of.
                let _ = self.unguard(Granules { first: at, end });
            }
            at = end;
        }
    }

    fn unguard(&self, granules: Granules) -> Result<(), Error> {
        let mut result = Ok(());
        let mut at = granules.first;
        while at < granules.end {
            let left = granules.end.saturating_sub(at);
            let done = match self.hypervisor.unmap_range(at.wrapping_mul(self.granule), left) {
                Ok(count) => count.clamp(1, left),
                // This granule cannot be helped; the others can.
                Err(error) => {
                    result = result.and(Err(error));
                    1
                }
            };
            at = at.saturating_add(done);
        }
        result
    }
}
