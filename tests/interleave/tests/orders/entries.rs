//! What a TLB holds.

use std::collections::BTreeMap;

/// Bits of a descriptor that the hardware ignores, and its bits for software.
pub(crate) const SOFTWARE: u64 = 0xf << 55;
/// The output address.
pub(crate) const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

/// What a walker has read once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cached {
    pub(crate) vmid: u8,
    pub(crate) ipa: u64,
    pub(crate) level: u32,
    /// The descriptor less what the hardware ignores.
    pub(crate) value: u64,
}

impl Cached {
    pub(crate) const fn is_table(&self) -> bool {
        self.level < 3 && self.value & 2 != 0
    }

    pub(crate) const fn size(&self) -> u64 {
        1 << shift(self.level)
    }

    pub(crate) fn reaches(&self, pa: u64, bytes: u64) -> bool {
        let base = self.value & ADDRESS;
        !self.is_table() && base < pa + bytes && pa < base + self.size()
    }
}

/// What has been read, by VMID, level and address: two different entries for one place are wrong, so
/// that one is remembered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entries(pub(crate) BTreeMap<(u8, u32, u64), u64>);

impl Entries {
    pub(crate) fn iter(&self) -> impl Iterator<Item = Cached> {
        self.0.iter().map(|((vmid, level, ipa), value)| Cached {
            vmid: *vmid,
            ipa: *ipa,
            level: *level,
            value: *value,
        })
    }

    pub(crate) fn contains(&self, cached: &Cached) -> bool {
        self.0.get(&(cached.vmid, cached.level, cached.ipa)) == Some(&cached.value)
    }

    /// `false` if it was there.
    pub(crate) fn insert(&mut self, cached: Cached) -> bool {
        self.0.insert((cached.vmid, cached.level, cached.ipa), cached.value) != Some(cached.value)
    }

    pub(crate) fn retain(&mut self, mut keeps: impl FnMut(&Cached) -> bool) {
        self.0.retain(|(vmid, level, ipa), value| {
            keeps(&Cached { vmid: *vmid, ipa: *ipa, level: *level, value: *value })
        });
    }

    /// What no TLB may hold together with `new`: all that overlaps it but itself, tables above it
    /// and, if it is a table, what is below it.
    pub(crate) fn conflict(&self, new: &Cached) -> Option<Cached> {
        (0..4).find_map(|level| {
            let first = new.ipa & !((1u64 << shift(level.min(new.level))) - 1);
            let end = if level > new.level { new.ipa + new.size() } else { first + 1 };
            let range = (new.vmid, level, first)..(new.vmid, level, end);
            let mut found = self.0.range(range).map(|((vmid, level, ipa), value)| Cached {
                vmid: *vmid,
                ipa: *ipa,
                level: *level,
                value: *value,
            });
            found.find(|old| {
                let is_above = old.level < new.level && old.is_table();
                let is_below = old.level > new.level && new.is_table();
                old != new && !is_above && !is_below
            })
        })
    }
}

/// Bits of address below one entry of `level`.
pub(crate) const fn shift(level: u32) -> u32 {
    12 + 9 * (3 - level)
}
