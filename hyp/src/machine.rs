//! Facts about the machine that every CPU asks for, gathered once at boot.

use hyp_abi::smccc::{
    ARCH_FEATURES, ARCH_WORKAROUND_1, ARCH_WORKAROUND_2, ARCH_WORKAROUND_3, FunctionId,
};
use hyp_core::calls::{Mitigation, Workaround};
use hyp_core::errata::{Actions, Kind};
use hyp_core::inject::PstateFeatures;
use hyp_core::sysreg::{HostId, Mitigations};

use crate::arch::cpu::Lock;
use crate::arch::once::Once;
use crate::arch::percpu::{self, PerCpu};
use crate::arch::{ident, tlb};
use crate::firmware;
use crate::say::{debug, warn};

/// The facts.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The ID registers: what all CPUs have; MIDR_EL1 and the like are the boot CPU's.
    pub(crate) host: HostId,
    /// What decides about PSTATE at an exception to EL1.
    pub(crate) pstate: PstateFeatures,
    /// How the machine stands to the vulnerabilities that guests ask about.
    mitigations: Mitigations,
    /// INTID of the console's interrupt, if the tree names one that is shared.
    pub(crate) console_intid: Option<u32>,
}

static FACTS: Once<Facts> = Once::new();

/// The workarounds that firmware may offer.
const WORKAROUNDS: [(Workaround, FunctionId); 3] = [
    (Workaround::One, ARCH_WORKAROUND_1),
    (Workaround::Two, ARCH_WORKAROUND_2),
    (Workaround::Three, ARCH_WORKAROUND_3),
];

/// What the CPUs that have come have in common.
static COMMON: Lock<Option<(HostId, Mitigations)>> = Lock::new(None);

/// Takes in what the calling CPU is. On each CPU, before it is online.
pub(crate) fn note_cpu() {
    let own = ident::host_id();
    let mut mitigations = Mitigations::from_id(&own);
    for (workaround, id) in WORKAROUNDS {
        if firmware::service(ARCH_FEATURES, u64::from(id.0)).is_some_and(|[status, ..]| status == 0)
        {
            mitigations.set(workaround, Mitigation::Mitigated);
        }
    }
    match &mut *COMMON.lock() {
        common @ None => *common = Some((own, mitigations)),
        Some((host, others)) => {
            for register in host.differences(&own) {
                warn!(
                    "CPU {} (MIDR {:#x}) differs in {register}: guests see what all CPUs have",
                    percpu::index(),
                    own.midr,
                );
            }
            host.restrict(&own);
            *others = others.worst(mitigations);
        }
    }
}

/// Looks up the errata of the CPUs that have come: settles what is done about them, and says once for each
/// kind of CPU about which nothing is.
#[inline(never)]
fn settle_errata() {
    for (number, cpu) in percpu::online().enumerate() {
        let Some(kind) = Kind::new(cpu.midr()) else { continue };
        let actions = kind.actions();
        cpu.set_errata(actions);
        if actions.contains(Actions::REPEAT_TLBI) {
            tlb::repeat();
        }
        if percpu::online().take(number).any(|other| other.midr() == cpu.midr()) {
            continue;
        }
        for erratum in kind.errata() {
            let (mpidr, number) = (cpu.mpidr(), erratum.number);
            match erratum.actions.taint() {
                Some(taint) => {
                    warn!("CPU {mpidr:#x}: {kind}: erratum {number}: {taint}: this run is tainted");
                }
                None => debug!("CPU {mpidr:#x}: {kind}: erratum {number}"),
            }
        }
    }
}

/// Settles the facts from the CPUs that have come.
pub(crate) fn settle(console_intid: Option<u32>) -> &'static Facts {
    settle_errata();
    let common = COMMON.lock().clone();
    let (host, mitigations) = common.unwrap_or_else(|| panic!("no CPU has said what it is"));
    let pstate = host.pstate_features();
    FACTS.set(Facts { host, pstate, mitigations, console_intid })
}

/// The facts, once there are any.
#[inline]
pub(crate) fn facts() -> Option<&'static Facts> {
    FACTS.get()
}

/// How the machine stands to a vulnerability.
pub(crate) fn mitigation(workaround: Workaround) -> Mitigation {
    FACTS.get().map_or(Mitigation::Vulnerable, |facts| facts.mitigations.of(workaround))
}

/// Whether HPFAR_EL2 of CPU `index` cannot be relied on: Cortex-A57 up to r1p2 (Arm erratum 834220).
pub(crate) fn has_erratum_834220(index: usize) -> bool {
    PerCpu::nth(index).is_some_and(|cpu| cpu.errata().contains(Actions::TRANSLATE_FAULTS))
}

/// Carries out a workaround that firmware offers.
pub(crate) fn mitigate(workaround: Workaround) {
    for (_, id) in WORKAROUNDS.iter().filter(|(known, _)| *known == workaround) {
        firmware::mitigate(*id);
    }
}
