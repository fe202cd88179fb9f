//! Stage-2 faults: what was touched, and the road from there to an answer.
//!
//! [`Fault`] gathers the three fault registers into plain data; [`judge`] walks the road of
//! `docs/architecture.md` ("One device access") over a [`FaultView`] of the
//! VM and names the next step. Nothing here changes state.

mod data;
mod pieces;
mod road;
mod stage1;

pub use data::{load_result, store_value};
pub use pieces::{Denied, Span, admit};
pub use road::{FaultView, LeafState, Verdict, judge};
pub use stage1::Stage1;

use crate::addr::{Ipa, PAGE_SIZE, Va};
use crate::esr::{Access, Cause, DataAbort, Direction, FetchAbort};
use crate::events::Touch;
use crate::inject::{AbortCause, Exception};

/// What an access needs of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Read.
    Read,
    /// Write.
    Write,
    /// Execute.
    Fetch,
}

impl Use {
    /// What a load or a store needs.
    #[must_use]
    pub const fn of(direction: Direction) -> Self {
        match direction {
            Direction::Read => Self::Read,
            Direction::Write => Self::Write,
        }
    }
}

/// What the guest was doing when stage 2 refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Fetching an instruction.
    Fetch,
    /// Walking its own translation tables, for a fetch or for data.
    Walk(Use),
    /// Maintaining a cache by address.
    Maintenance,
    /// Loading or storing.
    Data {
        /// Load or store.
        direction: Direction,
        /// The access, if the hardware described it.
        access: Option<Access>,
    },
}

impl From<Kind> for Touch {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Fetch => Self::Fetch,
            Kind::Walk(_) => Self::Walk,
            Kind::Maintenance => Self::Maintenance,
            Kind::Data { direction, .. } => Self::from(direction),
        }
    }
}

impl From<Direction> for Touch {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Read => Self::Load,
            Direction::Write => Self::Store,
        }
    }
}

/// One stage-2 fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Where. For a walk only the page is meaningful.
    pub ipa: Ipa,
    /// The guest's virtual address, FAR_EL2.
    pub va: Va,
    /// Why.
    pub cause: Cause,
    /// What the guest was doing.
    pub kind: Kind,
    /// The exception was an instruction abort: what a guest takes for it is one, too.
    pub is_fetch: bool,
}

impl Fault {
    /// The fault of a data abort.
    #[must_use]
    pub const fn from_data(abort: &DataAbort, va: Va, ipa: Ipa) -> Self {
        // An address translation instruction that faults on its walk sets CM as well as S1PTW:
        // the walk is what went wrong.
        let kind = if abort.on_walk {
            Kind::Walk(Use::of(abort.direction))
        } else if abort.is_maintenance {
            Kind::Maintenance
        } else {
            Kind::Data { direction: abort.direction, access: abort.access }
        };
        Self { ipa, va, cause: abort.cause, kind, is_fetch: false }
    }

    /// The fault of an instruction abort.
    #[must_use]
    pub const fn from_fetch(abort: &FetchAbort, va: Va, ipa: Ipa) -> Self {
        let kind = if abort.on_walk { Kind::Walk(Use::Read) } else { Kind::Fetch };
        Self { ipa, va, cause: abort.cause, kind, is_fetch: true }
    }

    /// The external abort that a guest takes for it.
    #[must_use]
    pub const fn external_abort(&self) -> Exception {
        let (address, cause) = (self.va, AbortCause::Access);
        if self.is_fetch {
            Exception::FetchAbort { address, cause }
        } else {
            Exception::DataAbort { address, cause }
        }
    }

    /// Whether stage 2 refused a table of the guest's, which then lies in the page of
    /// [`Fault::ipa`].
    #[must_use]
    pub const fn is_on_walk(&self) -> bool {
        let has_address = matches!(
            self.cause,
            Cause::Translation { .. } | Cause::AddressSize | Cause::AccessFlag | Cause::Permission
        );
        has_address && matches!(self.kind, Kind::Walk(_))
    }
}

/// Where the faulting IPA is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressSource {
    /// HPFAR_EL2 holds the page: [`ipa_from_hpfar`].
    Hpfar,
    /// Translate FAR_EL2 with `AT S1E1R` and read PAR_EL1: [`ipa_from_par`].
    Translate,
    /// The abort came from the bus and has no IPA.
    None,
}

/// Whether HPFAR_EL2 is valid for a fault (Arm ARM, `HPFAR_EL2`): not for a permission fault
/// outside a table walk, and never outside a walk on a CPU with Cortex-A57 erratum 834220.
#[must_use]
pub const fn address_source(cause: Cause, on_walk: bool, erratum_834220: bool) -> AddressSource {
    match cause {
        Cause::External | Cause::TlbConflict | Cause::Unsupported | Cause::Other { .. } => {
            AddressSource::None
        }
        _ if on_walk => AddressSource::Hpfar,
        Cause::Permission => AddressSource::Translate,
        _ if erratum_834220 => AddressSource::Translate,
        _ => AddressSource::Hpfar,
    }
}

/// The faulting IPA from HPFAR_EL2 (FIPA in 43:4 holds IPA\[51:12\]; 48 bits are used) and
/// FAR_EL2.
#[must_use]
pub const fn ipa_from_hpfar(hpfar: u64, far: u64) -> Ipa {
    Ipa(((hpfar & 0x0000_0fff_ffff_fff0) << 8) | (far & (PAGE_SIZE - 1)))
}

/// The faulting IPA from PAR_EL1 after `AT S1E1R` of FAR_EL2, or `None` where the translation
/// failed: the guest changed its tables meanwhile, so the access is to be retried.
#[must_use]
pub const fn ipa_from_par(par: u64, far: u64) -> Option<Ipa> {
    if par & 1 != 0 {
        return None;
    }
    Some(Ipa((par & 0x000f_ffff_ffff_f000) | (far & (PAGE_SIZE - 1))))
}

#[cfg(test)]
mod tests;
