//! Hooks for a guest's `ioremap` and `iounmap`.
//!
//! They keep every granule guarded for exactly as long as some mapping of it exists. What they
//! remember are the mapped regions themselves, not single granules: a device of 256 MiB takes one
//! place in the table, and a granule may be taken back when no other region covers it.

use crate::conduit::Conduit;
use crate::discovery::Services;
use crate::error::Error;
use crate::guard::{Guard, MmioGuardedHypervisor};

/// The word on a guest's command line that asks for the guard, as Android's kernels and the list
/// postings spell it.
pub const COMMAND_LINE_WORD: &str = "ioremap_guard";

/// Granules from `first` on, none of them beyond 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Region {
    /// Number of the first granule.
    first: u64,
    /// Number of granules, at least 1.
    count: u64,
    /// Never taken back.
    is_early: bool,
}

impl Region {
    fn end(self) -> u64 {
        self.first.saturating_add(self.count)
    }

    fn covers(self, granule: u64) -> bool {
        (self.first..self.end()).contains(&granule)
    }
}

/// The hooks and their memory, for up to `N` regions at once.
///
/// When more than `N` regions are mapped, everything still gets guarded, but from then on nothing
/// is taken back: a guard that stays is harmless, one that vanishes under a mapping is not.
#[derive(Debug)]
pub struct IoremapGuard<G, const N: usize> {
    hypervisor: G,
    granule: u64,
    regions: [Option<Region>; N],
    has_overflowed: bool,
}

impl<'s, C: Conduit, const N: usize> IoremapGuard<Guard<&'s C>, N> {
    /// Hooks for a guest that wants the guard only where `command_line` holds
    /// [`COMMAND_LINE_WORD`]: then checks the granule and enrols. `None` without that word.
    ///
    /// # Errors
    ///
    /// [`Error::NotSupported`] if INFO, ENROLL, MAP and UNMAP are not all offered; else the error
    /// of the call that failed. The guard is then not in use and devices must not be touched in a
    /// protected VM.
    pub fn from_command_line(
        services: &'s Services<C>,
        command_line: &str,
        page_size: u64,
    ) -> Result<Option<Self>, Error> {
        if !command_line.split_ascii_whitespace().any(|word| word == COMMAND_LINE_WORD) {
            return Ok(None);
        }
        let guard = services
            .mmio_guard()
            .filter(Guard::is_complete)
            .ok_or(Error::NotSupported(hyp_abi::vendor::FEATURES))?;
        let hooks = Self::new(guard, page_size)?;
        hooks.hypervisor.enroll()?;
        Ok(Some(hooks))
    }
}

impl<G: MmioGuardedHypervisor, const N: usize> IoremapGuard<G, N> {
    /// Hooks for a guest that is enrolled already, or enrols by itself. `page_size` is that of the
    /// guest's own tables, in bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Granule`] if the hypervisor's granule is larger than a page; else what the
    /// hypervisor answers.
    pub fn new(hypervisor: G, page_size: u64) -> Result<Self, Error> {
        let granule = hypervisor.granule()?;
        if !granule.is_power_of_two() || granule > page_size {
            return Err(Error::Granule(granule));
        }
        Ok(Self { hypervisor, granule, regions: [None; N], has_overflowed: false })
    }

    /// Guards a region for good: for what is mapped before `iounmap` can be called in pairs, such
    /// as an early console.
    ///
    /// # Errors
    ///
    /// As [`ioremap`](Self::ioremap), and [`Error::TooManyRegions`] if `N` regions are mapped:
    /// a region that must never be taken back cannot be forgotten.
    pub fn map_early(&mut self, base: u64, size: u64) -> Result<(), Error> {
        let region = Region { is_early: true, ..self.region(base, size)? };
        if self.regions.contains(&Some(region)) {
            return Ok(());
        }
        let place = self.free_place().ok_or(Error::TooManyRegions)?;
        self.map(region)?;
        self.regions[place] = Some(region);
        Ok(())
    }

    /// To be called before the `size` bytes at physical address `base` are mapped as device
    /// memory: guards every granule that they touch. Not for memory.
    ///
    /// # Errors
    ///
    /// [`Error::Region`] for an impossible region; else the hypervisor's refusal, and then
    /// everything is guarded exactly as before.
    pub fn ioremap(&mut self, base: u64, size: u64) -> Result<(), Error> {
        let region = self.region(base, size)?;
        self.map(region)?;
        match self.free_place() {
            Some(place) => self.regions[place] = Some(region),
            None => self.has_overflowed = true,
        }
        Ok(())
    }

    /// To be called after the mapping of an earlier [`ioremap`](Self::ioremap) with the same `base`
    /// and `size` is gone: takes back the granules that no other region covers. A region that was
    /// not mapped that way is left alone.
    ///
    /// # Errors
    ///
    /// [`Error::Region`] for an impossible region; else the first refusal of the hypervisor. The
    /// region is forgotten in either case, since nothing could be done better later.
    pub fn iounmap(&mut self, base: u64, size: u64) -> Result<(), Error> {
        let region = self.region(base, size)?;
        let Some(place) = self.regions.iter().position(|place| *place == Some(region)) else {
            return Ok(());
        };
        self.regions[place] = None;
        if self.has_overflowed {
            return Ok(());
        }
        self.take_back(region)
    }

    /// Whether any mapping, or an early one, covers the granule of `address`.
    #[must_use]
    pub fn is_tracked(&self, address: u64) -> bool {
        self.covering(address / self.granule)
    }

    fn region(&self, base: u64, size: u64) -> Result<Region, Error> {
        let last = size
            .checked_sub(1)
            .and_then(|more| base.checked_add(more))
            .ok_or(Error::Region { base, size })?;
        let first = base / self.granule;
        let count = (last / self.granule).saturating_sub(first).saturating_add(1);
        Ok(Region { first, count, is_early: false })
    }

    fn free_place(&self) -> Option<usize> {
        self.regions.iter().position(Option::is_none)
    }

    fn covering(&self, granule: u64) -> bool {
        self.regions.iter().flatten().any(|region| region.covers(granule))
    }

    /// How many granules from `at` on, up to `end`, are all covered by regions or all not.
    fn run(&self, at: u64, end: u64) -> (u64, bool) {
        let is_covered = self.covering(at);
        // The answer can only change where a region begins or ends.
        let next = self
            .regions
            .iter()
            .flatten()
            .flat_map(|region| [region.first, region.end()])
            .filter(|border| *border > at && *border < end)
            .min()
            .unwrap_or(end);
        (next.saturating_sub(at), is_covered)
    }

    /// Guards all of `region`, or nothing that was not guarded before.
    fn map(&self, region: Region) -> Result<(), Error> {
        let mut done = 0;
        while done < region.count {
            let first = region.first.saturating_add(done);
            let left = region.count.saturating_sub(done);
            match self.hypervisor.map_range(first.wrapping_mul(self.granule), left) {
                Ok(count) => done = done.saturating_add(count.clamp(1, left)),
                Err(error) => {
                    if !self.has_overflowed {
                        // The call that failed is what the caller hears of.
                        let _ = self.take_back(Region { count: done, ..region });
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Takes back the part of `region` that no remembered region covers.
    fn take_back(&self, region: Region) -> Result<(), Error> {
        let mut result = Ok(());
        let mut at = region.first;
        while at < region.end() {
            let (count, is_covered) = self.run(at, region.end());
            if !is_covered {
                result = result.and(self.unmap(at, count));
            }
            at = at.saturating_add(count);
        }
        result
    }

    /// Takes back `count` granules from `first` on, past refusals; the first of these.
    fn unmap(&self, first: u64, count: u64) -> Result<(), Error> {
        let mut result = Ok(());
        let mut done: u64 = 0;
        while done < count {
            let at = first.saturating_add(done);
            let left = count.saturating_sub(done);
            match self.hypervisor.unmap_range(at.wrapping_mul(self.granule), left) {
                Ok(more) => done = done.saturating_add(more.clamp(1, left)),
                Err(error) => {
                    result = result.and(Err(error));
                    done = done.saturating_add(1);
                }
            }
        }
        result
    }
}
