//! Accesses: what the guard is for (Linux, `arch/arm64/kvm/mmu.c` and `mmio.c`; Android,
//! `__pkvm_check_ioguard_page`).

use crate::rules::Rule;
use crate::state::{PAGE, State, covers};

/// What a vCPU does to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It loads.
    Load,
    /// It stores this value.
    Store(u8),
    /// It fetches an instruction.
    Fetch,
    /// It walks its own tables, for data.
    Walk,
    /// It cleans or invalidates a cache.
    Maintenance,
}

/// One access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// What.
    pub kind: Kind,
    /// Where.
    pub ipa: u64,
    /// How many bytes, 1 to 8.
    pub bytes: u64,
    /// The hardware describes it (ESR_EL2.ISV).
    pub is_described: bool,
    /// From EL0.
    pub from_user: bool,
}

pub(crate) enum Outcome {
    Memory(u8),
    Device,
    Undescribed,
    Skips,
    Aborts(u64),
}

/// ESR_EL1 of an external abort: IL, DFSC 0x10, and nothing but the class besides.
fn external_abort(access: &Access) -> Outcome {
    let class = match (access.kind == Kind::Fetch, access.from_user) {
        (false, false) => 0x25,
        (false, true) => 0x24,
        (true, false) => 0x21,
        (true, true) => 0x20,
    };
    Outcome::Aborts(class << 26 | 1 << 25 | 0x10)
}

pub(crate) fn touch(state: &mut State, access: &Access) -> (Outcome, Rule) {
    let ipa = access.ipa;
    let page = ipa / PAGE * PAGE;
    if state.config.is_memory(ipa) {
        state.bring(ipa);
        if let Kind::Store(value) = access.kind {
            state.contents.insert(page, value);
        }
        let byte = state.contents.get(&page).copied().unwrap_or(0);
        return (Outcome::Memory(byte), Rule::AccessMemory);
    }
    match access.kind {
        Kind::Fetch => return (external_abort(access), Rule::AccessFetch),
        Kind::Walk => return (external_abort(access), Rule::AccessWalk),
        Kind::Maintenance => return (Outcome::Skips, Rule::AccessMaintenance),
        Kind::Load | Kind::Store(_) => {}
    }
    // Of an access that is not described only the first byte is known.
    let bytes = if access.is_described { access.bytes } else { 1 };
    let Some(last) = ipa.checked_add(bytes - 1) else {
        return (external_abort(access), Rule::AccessUnguarded);
    };
    let pages = [page, last / PAGE * PAGE];
    if state.is_enrolled && !pages.iter().all(|page| state.guarded.contains(page)) {
        return (external_abort(access), Rule::AccessUnguarded);
    }
    let config = &state.config;
    if !access.is_described && !covers(&config.assigned, ipa, 1) {
        return if config.is_protected {
            (external_abort(access), Rule::AccessUndescribed)
        } else {
            (Outcome::Undescribed, Rule::AccessUndescribedNormal)
        };
    }
    if covers(&config.assigned, ipa, bytes) {
        return (Outcome::Device, Rule::AccessDevice);
    }
    if !covers(&config.emulated, ipa, bytes) {
        return (external_abort(access), Rule::AccessNobody);
    }
    if pages[0] != pages[1] {
        return (external_abort(access), Rule::AccessAcross);
    }
    (Outcome::Device, Rule::AccessDevice)
}
