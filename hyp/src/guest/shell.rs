//! The CPU and the machine around it as `hyp_core::vm` needs them.

use hyp_core::addr::{Ipa, Va};
use hyp_core::calls::{Mitigation, Workaround};
use hyp_core::events::{Event, Reason, Touch};
use hyp_core::vgic::Kicks;
use hyp_core::vm::Shell;

use super::{events, ghost};
use crate::arch::{cpu, percpu, sysreg, timer};
use crate::drivers::gic;
use crate::{console, entropy, machine};

/// The CPU this code runs on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Here;

impl Shell for Here {
    #[inline]
    fn sctlr_el1(&self) -> u64 {
        sysreg::sctlr_el1()
    }

    fn mair_el1(&self) -> u64 {
        sysreg::mair_el1()
    }

    #[inline]
    fn is_interrupt_pending(&self) -> bool {
        cpu::is_interrupt_pending()
    }

    fn kick(&self, vcpus: Kicks) {
        // vCPU n runs on CPU n.
        vcpus.iter().for_each(gic::kick);
    }

    fn mitigation(&self, workaround: Workaround) -> Mitigation {
        machine::mitigation(workaround)
    }

    fn mitigate(&self, workaround: Workaround) {
        machine::mitigate(workaround);
    }

    fn entropy(&self) -> Option<[u64; 3]> {
        entropy::words()
    }

    fn send(&self, next: impl FnMut() -> Option<u8>) {
        console::guest_output(next);
    }

    fn receive_again(&self) {
        console::listen();
    }

    fn time_out_soon(&self) {
        timer::fire_soon();
    }

    fn guard_quota_exceeded(&self, ipa: Ipa) {
        ghost::out_of_tables();
        events::record_watched(Event {
            vm: 0,
            vcpu: events::number(percpu::index()),
            reason: Reason::GuardQuota,
            touch: Touch::Call,
            bytes: 0,
            pc: sysreg::elr_el2(),
            va: Va(0),
            ipa,
        });
    }
}
