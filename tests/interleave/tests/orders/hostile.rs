//! A TLB that keeps whatever a walker could ever have read until it is told to drop it, and a
//! walker that may read at any moment.
//!
//! Written from the Arm ARM (DDI 0487, D8.16 "TLB maintenance", D8.17 "Caches": break-before-make,
//! what a TLBI covers and when it is complete) in its own terms; it knows nothing of how Postern
//! edits its tables. It judges a list of what the CPU does, in program order:
//!
//! - A store may be seen by a walker at once or late. It has surely been seen after a DSB that
//!   covers stores; a store-release is seen only by whoever sees the stores before it.
//! - A TLBI may act at any time up to the next DSB ISH, and what a walker can still read comes back.
//! - TLBI IPAS2E1IS drops entries of stage 2, leaving those that hold the result of both stages;
//!   TLBI VMALLE1IS drops those, and they come back while an entry of stage 2 is there to make them
//!   from.
//!
//! On CPUs with one of the errata that `hyp_core::errata::Actions::REPEAT_TLBI` is for ([`Hostile::late`]), a
//! DSB ISH need not wait for accesses that were let through by what the TLBIs before it have dropped. They
//! are complete after one more TLBI, whichever, and its DSB ISH.

use std::collections::{BTreeMap, BTreeSet};

use crate::entries::{ADDRESS, Cached, Entries, SOFTWARE, shift};

/// What a CPU does that walkers and TLBs may notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    /// A store to the entry of a table at this physical address.
    Store { at: u64, old: u64, new: u64, is_release: bool },
    /// DSB ISHST.
    DsbIshst,
    /// DSB ISH.
    DsbIsh,
    /// DSB SY.
    DsbSy,
    /// TLBI IPAS2E1IS under this VMID.
    TlbiIpa { vmid: u8, ipa: u64 },
    /// TLBI VMALLE1IS.
    TlbiCombined { vmid: u8 },
    /// TLBI VMALLS12E1IS.
    TlbiAll { vmid: u8 },
    /// TLBI VALE2IS: of EL2's own translations.
    TlbiEl2,
    /// IC IALLUIS.
    IcIalluis,
    /// Stores to memory through a map of EL2's.
    Write { pa: u64, bytes: u64 },
    /// DC CIVAC over memory.
    Clean { pa: u64, bytes: u64 },
    /// Guests run with these tables under this VMID.
    Root { vmid: u8, root: Root },
}

/// Where walks begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Root {
    pub(crate) pa: u64,
    pub(crate) ipa_bits: u32,
    pub(crate) level: u32,
}

/// A store that walkers need not have seen.
#[derive(Debug, Clone, Copy)]
struct Unseen {
    at: u64,
    old: u64,
    new: u64,
}

/// A TLBI that is not complete.
#[derive(Debug, Clone)]
struct Issued {
    op: Op,
    /// Entries whose stores walkers need not have seen when it was issued.
    late: Vec<u64>,
}

/// The TLBs of the machine, the walkers' view of its tables, and the caches.
#[derive(Debug, Default)]
pub(crate) struct Hostile {
    roots: Vec<(u8, Root)>,
    stage2: Entries,
    both: Entries,
    /// What was dropped, but accesses need not be complete that it has let through; `None` where the CPUs
    /// have no such erratum.
    late: Option<Entries>,
    /// Where each table stands that a walker has found.
    tables: BTreeMap<u64, BTreeSet<(u8, u32, u64)>>,
    unseen: Vec<Unseen>,
    issued: Vec<Issued>,
    /// Pages written and not clean; cleaned, but the barrier is missing; not yet known to fetches;
    /// the same, but the barrier is missing.
    dirty: BTreeSet<u64>,
    cleaning: BTreeSet<u64>,
    unfetched: BTreeSet<u64>,
    fetching: BTreeSet<u64>,
    /// The first rule that was broken.
    wrong: Option<String>,
    /// How often a rule was applied.
    pub(crate) judged: u64,
}

/// Reads eight bytes of a table; `None` for what is no table.
pub(crate) type Read<'a> = &'a dyn Fn(u64) -> Option<u64>;

impl Hostile {
    /// CPUs that wait for all accesses only at the second TLBI and DSB.
    pub(crate) fn late() -> Self {
        Self { late: Some(Entries::default()), ..Self::default() }
    }

    /// Takes notice of `op`; `read` reads the tables as they are after it.
    pub(crate) fn see(&mut self, op: Op, read: Read<'_>) {
        match op {
            Op::Store { at, old, new, is_release } => self.store(at, old, new, is_release, read),
            Op::DsbIshst => self.unseen.clear(),
            Op::DsbIsh => self.barrier(read),
            Op::DsbSy => {
                self.cleaning.clear();
                self.barrier(read);
            }
            Op::TlbiIpa { .. } | Op::TlbiCombined { .. } | Op::TlbiAll { .. } | Op::TlbiEl2 => {
                let late = self.unseen.iter().map(|store| store.at).collect();
                self.issued.push(Issued { op, late });
            }
            Op::IcIalluis => {
                // Of what is not clean, older bytes would be fetched.
                let ready =
                    |page: &&u64| !self.dirty.contains(page) && !self.cleaning.contains(page);
                self.fetching = self.unfetched.iter().filter(ready).copied().collect();
            }
            Op::Write { pa, bytes } => {
                self.judged += 1;
                let reached = self.leading().find(|cached| cached.reaches(pa, bytes));
                if let Some(cached) = reached {
                    self.blame(format!("{pa:#x} is written while {cached:x?} leads there"));
                }
                self.dirty.extend(pages(pa, bytes));
                self.unfetched.extend(pages(pa, bytes));
            }
            Op::Clean { pa, bytes } => {
                for page in pages(pa, bytes) {
                    if self.dirty.remove(&page) {
                        self.cleaning.insert(page);
                    }
                }
            }
            Op::Root { vmid, root } => {
                self.roots.retain(|(other, _)| *other != vmid);
                self.roots.push((vmid, root));
                for index in 0..1 << (root.ipa_bits - shift(root.level)) {
                    let ipa = index << shift(root.level);
                    self.walk(vmid, root.level, ipa, root.pa + index * 8, true, read);
                }
            }
        }
    }

    /// No vCPU runs under `vmid` any more. What the TLBs hold stays.
    pub(crate) fn stop(&mut self, vmid: u8) {
        self.roots.retain(|(other, _)| *other != vmid);
    }

    /// A call has returned: the guest goes on. What rule was broken, if any.
    pub(crate) fn returned(&mut self, read: Read<'_>) -> Result<(), String> {
        self.judged += 1;
        if let Some(issued) = self.issued.first() {
            self.blame(format!("{:x?} is not complete", issued.op));
        }
        // A guest that comes back to what was made for it would fault again.
        let late = self.unseen.iter().find(|store| store.old & 1 == 0 && store.new & 1 == 1);
        if let Some(store) = late.copied() {
            self.blame(format!("{store:x?} is not published"));
        }
        let late = self.late.iter().flat_map(Entries::iter).next();
        if let Some(cached) = late {
            self.blame(format!("accesses through {cached:x?}, which is gone, may be incomplete"));
        }
        let stale = self.stage2.iter().chain(self.both.iter()).find(|c| {
            self.roots.iter().any(|(vmid, _)| *vmid == c.vmid) && !self.is_current(c, read)
        });
        if let Some(cached) = stale {
            self.blame(format!("a TLB still holds {cached:x?}"));
        }
        self.wrong.clone().map_or(Ok(()), Err)
    }

    /// By what memory may be reached.
    fn leading(&self) -> impl Iterator<Item = Cached> {
        let late = self.late.iter().flat_map(Entries::iter);
        self.stage2.iter().chain(self.both.iter()).chain(late)
    }

    fn blame(&mut self, what: String) {
        self.wrong.get_or_insert(what);
    }

    fn store(&mut self, at: u64, old: u64, new: u64, is_release: bool, read: Read<'_>) {
        if old != new {
            self.unseen.push(Unseen { at, old, new });
        }
        for (vmid, level, ipa) in self.places(at) {
            self.walk(vmid, level, ipa, at, is_release, read);
        }
    }

    /// Where the entry at `at` stands in the walks that there may be.
    fn places(&self, at: u64) -> Vec<(u8, u32, u64)> {
        let roots = self.roots.iter().filter_map(|(vmid, root)| {
            let index = at.checked_sub(root.pa)? / 8;
            let entries = 1 << (root.ipa_bits - shift(root.level));
            (index < entries).then(|| (*vmid, root.level, index << shift(root.level)))
        });
        let runs = |vmid: u8| self.roots.iter().any(|(other, _)| *other == vmid);
        let tables = self.tables.get(&(at & ADDRESS)).into_iter().flatten();
        let tables = tables.filter(|(vmid, ..)| runs(*vmid)).map(|(vmid, level, ipa)| {
            (*vmid, level + 1, ipa + ((at % 4096 / 8) << shift(level + 1)))
        });
        roots.chain(tables).collect()
    }

    /// A walker reads the entry at `at`; whatever lies below it, too.
    fn walk(&mut self, vmid: u8, level: u32, ipa: u64, at: u64, is_ordered: bool, read: Read<'_>) {
        let Some(value) = read(at) else {
            return self.blame(format!("a walk of {ipa:#x} leads to {at:#x}, which is no table"));
        };
        if value & 1 == 0 {
            return;
        }
        self.judged += 1;
        let new = Cached { vmid, ipa, level, value: value & !SOFTWARE };
        if (level == 0 || level == 3) && value & 2 == 0 {
            return self.blame(format!("{new:x?} is a reserved encoding"));
        }
        let conflict = self.stage2.conflict(&new).or_else(|| self.both.conflict(&new));
        if let Some(old) = conflict {
            return self.blame(format!("{new:x?} is made while a TLB may hold {old:x?}"));
        }
        if !self.stage2.insert(new) {
            return;
        }
        let target = value & ADDRESS;
        if !new.is_table() {
            self.both.insert(new);
            let pages: Vec<u64> = pages(target, new.size()).collect();
            let late = |set: &BTreeSet<u64>| pages.iter().any(|page| set.contains(page));
            if late(&self.dirty) || late(&self.cleaning) {
                self.blame(format!("{new:x?} maps what is not clean"));
            }
            if value & (1 << 54) == 0 && late(&self.unfetched) {
                self.blame(format!("{new:x?} is executable, and fetches may be of older bytes"));
            }
            return;
        }
        self.tables.entry(target).or_default().insert((vmid, level, ipa));
        if !is_ordered && self.unseen.iter().any(|store| store.at & ADDRESS == target) {
            self.blame(format!("{new:x?} may be seen before what is in it"));
        }
        for index in 0..512 {
            let ipa = ipa + (index << shift(level + 1));
            self.walk(vmid, level + 1, ipa, target + index * 8, true, read);
        }
    }

    /// DSB ISH: the stores before it have been seen, the TLBIs before it are complete.
    fn barrier(&mut self, read: Read<'_>) {
        let issued = std::mem::take(&mut self.issued);
        if !issued.is_empty() {
            self.complete(issued, read);
        }
        self.unseen.clear();
        let fetched = std::mem::take(&mut self.fetching);
        self.unfetched.retain(|page| !fetched.contains(page));
    }

    fn complete(&mut self, issued: Vec<Issued>, read: Read<'_>) {
        let dropped = std::mem::take(&mut self.both);
        self.both = dropped.clone();
        // While an IPAS2 and a VMALLE1 are both under way, they may act in the other order.
        let before: BTreeSet<Cached> =
            self.stage2.iter().filter(|cached| !cached.is_table()).collect();
        for Issued { op, late } in issued {
            self.judged += 1;
            let mut stage2 = std::mem::take(&mut self.stage2);
            let keeps = |c: &Cached| self.is_current(c, read) || self.may_still_be_read(c, &late);
            match op {
                Op::TlbiIpa { vmid, ipa } => stage2.retain(|cached| {
                    let offset = ipa.wrapping_sub(cached.ipa);
                    cached.vmid != vmid || offset >= cached.size() || keeps(cached)
                }),
                Op::TlbiCombined { vmid } => {
                    self.both.retain(|cached| cached.vmid != vmid || before.contains(cached));
                }
                Op::TlbiAll { vmid } => {
                    stage2.retain(|cached| cached.vmid != vmid || keeps(cached));
                    self.both.retain(|cached| cached.vmid != vmid || stage2.contains(cached));
                }
                _ => {}
            }
            self.stage2 = stage2;
        }
        if let Some(late) = &mut self.late {
            // Those of the DSB before were waited for by now, there having been a TLBI between the two.
            *late = dropped;
            late.retain(|cached| !self.both.contains(cached));
        }
        let stage2 = &self.stage2;
        self.tables.retain(|pa, places| {
            places.retain(|(vmid, level, ipa)| {
                let value = stage2.0.get(&(*vmid, *level, *ipa));
                value.is_some_and(|value| value & ADDRESS == *pa)
            });
            !places.is_empty()
        });
    }

    /// Whether a walk made now reads the same as `cached`.
    fn is_current(&self, cached: &Cached, read: Read<'_>) -> bool {
        let Some((_, root)) = self.roots.iter().find(|(vmid, _)| *vmid == cached.vmid) else {
            return false;
        };
        let mut level = root.level;
        let mut at = root.pa + (cached.ipa >> shift(level)) * 8;
        loop {
            let Some(value) = read(at).filter(|value| value & 1 == 1) else { return false };
            if level == cached.level {
                return value & !SOFTWARE == cached.value;
            }
            if value & 2 == 0 {
                return false;
            }
            level += 1;
            at = (value & ADDRESS) + (cached.ipa >> shift(level) & 0x1ff) * 8;
        }
    }

    /// Whether a walker may have read `cached` after the TLBI, because a store was `late`.
    fn may_still_be_read(&self, cached: &Cached, late: &[u64]) -> bool {
        self.unseen.iter().any(|store| {
            late.contains(&store.at)
                && self.places(store.at).iter().any(|(vmid, _, ipa)| {
                    *vmid == cached.vmid && cached.ipa >= *ipa && store.old & 1 == 1
                })
        })
    }
}

fn pages(pa: u64, bytes: u64) -> std::ops::Range<u64> {
    pa / 4096..(pa + bytes).div_ceil(4096)
}
