//! The services behind a VM's calls.

use super::{Shell, Vm};
use crate::addr::Ipa;
use crate::calls::{CallServices, Mitigation, Refusal, Workaround};
use crate::features::Features;
use crate::guard::GuardError;
use crate::ports::Ports;
use crate::psci::Power;
use crate::share::ShareError;
use crate::stage2::DeviceType;

/// A VM on behalf of the vCPU that calls it.
pub struct Caller<'a, P, S> {
    /// The VM.
    pub vm: &'a Vm<P>,
    /// The vCPU that calls.
    pub vcpu: usize,
    /// The CPU it calls on.
    pub shell: &'a S,
}

impl<P: Ports, S: Shell> Caller<'_, P, S> {
    fn refuse(&self, ipa: Ipa, error: GuardError) -> Refusal {
        if error == GuardError::NoTables {
            self.shell.guard_quota_exceeded(self.vm.number(), self.vcpu, ipa);
        }
        Refusal::Refused
    }
}

impl From<ShareError> for Refusal {
    fn from(error: ShareError) -> Self {
        match error {
            ShareError::Again => Self::Interrupted,
            _ => Self::Refused,
        }
    }
}

impl<P: Ports, S: Shell> CallServices for Caller<'_, P, S> {
    #[inline(always)]
    fn features(&self) -> Features {
        self.vm.features
    }

    fn power(&self) -> &Power {
        &self.vm.power
    }

    fn wake(&self, index: usize) {
        self.shell.kick(self.vm.homes().of(index));
    }

    fn caller_is_big_endian(&self) -> bool {
        crate::inject::starts_big_endian(self.shell.sctlr_el1())
    }

    fn mitigation(&self, workaround: Workaround) -> Mitigation {
        self.shell.mitigation(workaround)
    }

    fn mitigate(&self, workaround: Workaround) {
        self.shell.mitigate(workaround);
    }

    fn entropy(&self) -> Option<[u64; 3]> {
        self.shell.entropy()
    }

    fn is_enrolled(&self) -> bool {
        self.vm.space.is_enrolled()
    }

    fn enroll(&self) {
        // Fails only where the tables are damaged, and then the VM is enrolled all the same.
        let _ = self.vm.space.enroll();
    }

    fn guard_map(&self, ipa: Ipa) -> Result<(), Refusal> {
        self.vm.space.guard_map_at_once(ipa).map_err(|error| self.refuse(ipa, error))
    }

    fn guard_map_as(&self, ipa: Ipa, index: u64) -> Result<(), Refusal> {
        let kind = DeviceType::from_mair(self.shell.mair_el1(), index);
        self.vm.space.guard_map(ipa, kind).map_err(|error| self.refuse(ipa, error))
    }

    fn guard_unmap(&self, ipa: Ipa) -> Result<(), Refusal> {
        self.vm.space.guard_unmap(ipa).map_err(|error| self.refuse(ipa, error))
    }

    fn guard_map_range(&self, ipa: Ipa, granules: u64) -> Result<u64, Refusal> {
        self.vm.space.guard_map_range(ipa, granules).map_err(|error| self.refuse(ipa, error))
    }

    fn guard_unmap_range(&self, ipa: Ipa, granules: u64) -> Result<u64, Refusal> {
        self.vm.space.guard_unmap_range(ipa, granules).map_err(|error| self.refuse(ipa, error))
    }

    fn share(&self, ipa: Ipa) -> Result<(), Refusal> {
        Ok(self.vm.space.share(ipa, || self.shell.is_interrupt_pending())?)
    }

    fn unshare(&self, ipa: Ipa) -> Result<(), Refusal> {
        Ok(self.vm.space.unshare(ipa)?)
    }

    fn relinquish(&self, ipa: Ipa) -> Result<(), Refusal> {
        Ok(self.vm.space.relinquish(ipa)?)
    }
}

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;
