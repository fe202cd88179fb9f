//! The road of one access that stage 2 refused.

use super::{Fault, Kind, Use};
use crate::addr::Ipa;
use crate::esr::{Access, Cause};
use crate::events::Reason;
use crate::inject::{AbortCause, Exception};

/// What the stage-2 tables say about one page now, some time after the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeafState {
    /// Nothing is mapped.
    Absent {
        /// The guard lets an access go on, if the page is no memory.
        is_open: bool,
    },
    /// Something is mapped and allows the access.
    Permits,
    /// Something is mapped and refuses the access.
    Denies,
}

/// What the road needs to know about the VM.
pub trait FaultView {
    /// How the shell finds an emulated device again.
    type Device;

    /// What the tables say about `ipa` for an access of this kind.
    fn leaf(&self, ipa: Ipa, needed: Use) -> LeafState;
    /// Whether the VM's memory map declares memory at `ipa`, populated or not.
    fn is_memory(&self, ipa: Ipa) -> bool;
    /// Whether the guard lets an access outside memory to the page of `ipa` go on.
    fn is_open(&self, ipa: Ipa) -> bool;
    /// Whether the VM is protected.
    fn is_protected(&self) -> bool;
    /// The emulated device whose register is at `ipa`, if there is one, and whether the guard lets an access
    /// to its page go on. Devices have whole pages, which are neither memory nor ever mapped.
    fn device(&self, ipa: Ipa) -> Option<(Self::Device, bool)>;
    /// Whether `ipa` is a register of an assigned device.
    fn is_assigned(&self, ipa: Ipa) -> bool;
}

/// What to do about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<D> {
    /// Enter the guest again at the same instruction.
    Retry,
    /// Invalidate the VM's TLB entries on this CPU, then enter again at the same instruction:
    /// the guest made entries of its own tables conflict.
    InvalidateTlb,
    /// Back the page with memory, then enter again at the same instruction. Another CPU may
    /// have done so, or may be changing the leaf, meanwhile: look again under the writer's lock.
    Populate,
    /// Step past the instruction; it has no effect here.
    Skip,
    /// Make the guest take `exception` and record `reason`.
    Abort {
        /// What the guest takes.
        exception: Exception,
        /// Which check failed.
        reason: Reason,
    },
    /// Map the page of an assigned device, then enter again at the same instruction. Another CPU
    /// may have done so, or the VM may have enrolled, meanwhile: look again under the writer's lock.
    MapDevice,
    /// Do `access` on `device`, then step past the instruction.
    Emulate {
        /// The device.
        device: D,
        /// The access.
        access: Access,
    },
    /// The hardware did not describe the access: read the instruction, decode it with
    /// [`crate::insn`] and ask [`super::admit`]. Normal VMs only.
    Decode,
}

/// The answer to `fault`.
pub fn judge<V: FaultView>(view: &V, fault: &Fault) -> Verdict<V::Device> {
    match fault.cause {
        Cause::External => return abort(fault, Reason::External),
        Cause::TlbConflict => return Verdict::InvalidateTlb,
        Cause::Unsupported => {
            let exception = fault.external_abort().because(AbortCause::Unsupported);
            return Verdict::Abort { exception, reason: Reason::Unsupported };
        }
        Cause::Other { .. } => return abort(fault, Reason::Unsupported),
        Cause::Translation { .. } | Cause::AddressSize | Cause::AccessFlag | Cause::Permission => {}
    }
    let needed = match fault.kind {
        Kind::Fetch => Use::Fetch,
        Kind::Walk(needed) => needed,
        // Maintenance reports itself as a write and needs whatever a write needs.
        Kind::Maintenance => Use::Write,
        Kind::Data { direction, .. } => Use::of(direction),
    };
    let device = view.device(fault.ipa);
    let is_open = match &device {
        Some((_, is_open)) => *is_open,
        None => match look_up(view, fault, needed) {
            Ok(is_open) => is_open,
            Err(verdict) => return verdict,
        },
    };
    match fault.kind {
        Kind::Fetch => abort(fault, Reason::FetchOffMemory),
        Kind::Walk(_) => abort(fault, Reason::WalkOffMemory),
        Kind::Maintenance => Verdict::Skip,
        Kind::Data { access: Some(access), .. } => {
            let last = fault.ipa.get().saturating_add(access.width().bytes().saturating_sub(1));
            let crosses = Ipa(last).page() != fault.ipa.page();
            if !is_open || (crosses && !view.is_open(Ipa(last))) {
                return abort(fault, Reason::Unguarded);
            }
            // What lies behind the page's end is the next page of the guest's choice, and no register.
            match device.filter(|_| !crosses) {
                Some((device, _)) => Verdict::Emulate { device, access },
                None if view.is_assigned(fault.ipa) => Verdict::MapDevice,
                None => abort(fault, Reason::NoDevice),
            }
        }
        // The guard asks about the page even where no access is described: a page that was
        // never guarded aborts for that reason and not for the instruction's form.
        Kind::Data { access: None, .. } if !is_open => abort(fault, Reason::Unguarded),
        Kind::Data { access: None, .. } if view.is_assigned(fault.ipa) => Verdict::MapDevice,
        Kind::Data { access: None, .. } if view.is_protected() => {
            abort(fault, undescribed(view, fault.ipa))
        }
        Kind::Data { access: None, .. } => Verdict::Decode,
    }
}

/// What the tables and the memory map say about `fault`, where no device is emulated: whether the guard lets
/// an access go on, or the verdict.
fn look_up<V: FaultView>(view: &V, fault: &Fault, needed: Use) -> Result<bool, Verdict<V::Device>> {
    let is_memory = || view.is_memory(fault.ipa);
    match (view.leaf(fault.ipa, needed), fault.kind) {
        // What is mapped and not memory is a device, where HCR_EL2.PTW lets no walk go on: made
        // again, it would fault again for ever.
        (LeafState::Permits, Kind::Walk(_)) if !is_memory() => {
            Err(abort(fault, Reason::WalkOffMemory))
        }
        (LeafState::Permits, _) => Err(Verdict::Retry),
        (LeafState::Denies, Kind::Data { .. }) => Err(abort(fault, Reason::Permission)),
        (LeafState::Denies, _) if is_memory() => Err(abort(fault, Reason::Permission)),
        (LeafState::Denies, _) => Ok(false),
        (LeafState::Absent { .. }, _) if is_memory() => Err(Verdict::Populate),
        (LeafState::Absent { is_open }, _) => Ok(is_open),
    }
}

/// Why an access to `ipa`, off memory, is refused that the hardware did not describe: for its form, if
/// another form could reach something there.
pub(super) fn undescribed<V: FaultView>(view: &V, ipa: Ipa) -> Reason {
    let is_device = view.device(ipa).is_some() || view.is_assigned(ipa);
    if is_device { Reason::NoSyndrome } else { Reason::NoDevice }
}

/// Whether the guard lets an access from `first` to `last`, which lie in one page or in two, go on.
pub(super) fn are_open<V: FaultView>(view: &V, first: Ipa, last: Ipa) -> bool {
    view.is_open(first) && (last.page() == first.page() || view.is_open(last))
}

/// The abort that belongs to `fault`.
const fn abort<D>(fault: &Fault, reason: Reason) -> Verdict<D> {
    Verdict::Abort { exception: fault.external_abort(), reason }
}
