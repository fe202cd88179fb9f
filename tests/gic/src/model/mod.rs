//! A GICv3 with affinity routing and one Security state, or a GICv2 without the Security Extensions,
//! as the architecture describes them: IHI 0069 and IHI 0048. In sets and maps,
//! with nothing of the implementation in it: there are no list registers here, everything is where
//! it belongs at once.
//!
//! What the architecture leaves to an implementation, the model takes as hyp-core documents it:
//!
//! * priorities have the upper five bits; all of them preempt;
//! * after reset interrupts are level-sensitive, of priority 0, routed to the first vCPU (GICv3) or to
//!   none (GICv2 with several);
//! * an access of a width that a register does not have reads as zero and is ignored;
//! * SGIs of a GICv2 cannot be disabled;
//! * an SPI with several targets goes to the first of them;
//! * the timers' PPIs are level-sensitive for ever, and their active state ends with CPU_OFF;
//! * GICR_WAKER does not hold interrupts back.

mod distributor_v2;
mod distributor_v3;
mod interface;
mod redistributor;
mod registers;

use std::collections::{BTreeMap, BTreeSet};

pub use distributor_v3::Sender;
pub use interface::{Interface, Taken};
pub use redistributor::FRAMES;
pub use registers::{Common, Expected, Set};

/// Which architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// IHI 0048.
    V2,
    /// IHI 0069.
    V3,
}

/// The first shared interrupt.
pub const FIRST_SPI: u32 = 32;
/// The timers' PPIs.
pub const TIMERS: [u32; 2] = [27, 30];

/// An interrupt: one of a vCPU's own, or a shared one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// Whose, below [`FIRST_SPI`].
    pub vcpu: Option<usize>,
    /// The INTID.
    pub number: u32,
}

/// What there is.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// The architecture.
    pub version: Version,
    /// 1 to 8 of them.
    pub vcpus: usize,
    /// One more than the last INTID, a multiple of 32.
    pub end: u32,
}

/// The state of an interrupt controller.
#[derive(Debug, Clone)]
pub struct Gic {
    /// What there is.
    pub config: Config,
    /// GICD_CTLR.EnableGrp0 and EnableGrp1.
    group_enables: u32,
    enabled: BTreeSet<Id>,
    group1: BTreeSet<Id>,
    edge: BTreeSet<Id>,
    /// Pending by an edge, by an SGI or by a write of ISPENDR.
    latch: BTreeSet<Id>,
    /// Input lines that are high.
    high: BTreeSet<Id>,
    active: BTreeSet<Id>,
    priority: BTreeMap<Id, u8>,
    /// GICD_IROUTER, by INTID.
    router: BTreeMap<u32, u64>,
    /// GICD_ITARGETSR, by INTID.
    targets: BTreeMap<u32, u8>,
    /// With a GICv2, which vCPUs' SGIs wait.
    senders: BTreeMap<Id, BTreeSet<usize>>,
    /// GICR_WAKER.ProcessorSleep.
    asleep: BTreeSet<usize>,
    /// The CPU interfaces of the vCPUs that are on.
    pub interfaces: BTreeMap<usize, Interface>,
    /// Timers whose line fell after the interrupt was signalled: until that is seen takes a
    /// time that the architecture leaves open, so they may be taken and shown, or not.
    pub lingering: BTreeSet<Id>,
}

impl Gic {
    /// The state after reset; all vCPUs are off.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let mut gic = Self {
            config,
            group_enables: 0,
            enabled: BTreeSet::new(),
            group1: BTreeSet::new(),
            edge: BTreeSet::new(),
            latch: BTreeSet::new(),
            high: BTreeSet::new(),
            active: BTreeSet::new(),
            priority: BTreeMap::new(),
            router: BTreeMap::new(),
            targets: BTreeMap::new(),
            senders: BTreeMap::new(),
            asleep: (0..config.vcpus).collect(),
            interfaces: BTreeMap::new(),
            lingering: BTreeSet::new(),
        };
        // SGIs are edge-triggered (IHI 0069, GICR_ICFGR0; IHI 0048, 4.3.13).
        for vcpu in 0..config.vcpus {
            for number in 0..16 {
                gic.edge.insert(Id { vcpu: Some(vcpu), number });
            }
        }
        gic
    }

    /// INTID `number` as `vcpu` sees it, if it is implemented.
    #[must_use]
    pub fn id(&self, vcpu: usize, number: u32) -> Option<Id> {
        (number < self.config.end)
            .then_some(Id { vcpu: (number < FIRST_SPI).then_some(vcpu), number })
    }

    /// A load of `bytes` by `vcpu` from the distributor, else from the redistributors.
    #[must_use]
    pub fn read(&self, vcpu: usize, is_distributor: bool, offset: u64, bytes: u64) -> Expected {
        match (self.config.version, is_distributor) {
            (Version::V2, _) => self.read_distributor_v2(vcpu, offset, bytes),
            (Version::V3, true) => self.read_distributor_v3(vcpu, offset, bytes),
            (Version::V3, false) => self.read_redistributor(vcpu, offset, bytes),
        }
    }

    /// A store.
    pub fn write(
        &mut self,
        vcpu: usize,
        is_distributor: bool,
        offset: u64,
        bytes: u64,
        value: u64,
    ) {
        match (self.config.version, is_distributor) {
            (Version::V2, _) => self.write_distributor_v2(vcpu, offset, bytes, value),
            (Version::V3, true) => self.write_distributor_v3(offset, bytes, value),
            (Version::V3, false) => self.write_redistributor(offset, bytes, value),
        }
    }

    /// Which of the registers with a bit, a byte or a field for each interrupt an access is to, and
    /// whose.
    #[must_use]
    pub fn common_at(
        &self,
        vcpu: usize,
        is_distributor: bool,
        offset: u64,
        bytes: u64,
    ) -> Option<(usize, Common)> {
        match (self.config.version, is_distributor) {
            (Version::V2, _) => Some((vcpu, registers::common(offset, bytes)?)),
            (Version::V3, true) => Some((vcpu, self.shared(offset, bytes)?)),
            (Version::V3, false) => {
                Some((self.owner(offset)?, redistributor::private(offset % FRAMES, bytes)?))
            }
        }
    }

    fn is_v2(&self) -> bool {
        self.config.version == Version::V2
    }

    /// An SGI of a GICv2: it waits once for each sender (IHI 0048, 3.2.2 and 4.3.16).
    fn has_senders(&self, id: Id) -> bool {
        self.is_v2() && id.number < 16
    }

    /// IHI 0069, GICD_ISPENDR, and IHI 0048, 4.3.7: a level-sensitive interrupt is pending while
    /// its line is high or the latch is set that ISPENDR sets; an edge-triggered one while the latch
    /// is set.
    #[must_use]
    pub fn is_pending(&self, id: Id) -> bool {
        self.latch.contains(&id)
            || self.high.contains(&id) && !self.edge.contains(&id)
            || self.senders.get(&id).is_some_and(|senders| !senders.is_empty())
    }

    /// Whether nothing is going on with `id`, so that its configuration may change.
    #[must_use]
    pub fn is_quiet(&self, id: Id) -> bool {
        !self.is_pending(id)
            && !self.active.contains(&id)
            && !self.high.contains(&id)
            && !self.lingering.contains(&id)
    }

    /// Acknowledged and not deactivated, or made so.
    #[must_use]
    pub fn is_active(&self, id: Id) -> bool {
        self.active.contains(&id)
    }

    /// How many interrupts are active.
    #[must_use]
    pub fn actives(&self) -> usize {
        self.active.len()
    }

    /// The priority of `id`.
    #[must_use]
    pub fn priority(&self, id: Id) -> u8 {
        self.priority.get(&id).copied().unwrap_or(0)
    }

    /// The vCPU that takes `id`: that of a private one; of a shared one the PE that GICD_IROUTER names
    /// (IHI 0069) or a CPU interface in GICD_ITARGETSR (IHI 0048, 4.3.12; with one CPU
    /// interface it takes all).
    fn target(&self, id: Id) -> Option<usize> {
        if id.vcpu.is_some() {
            return id.vcpu;
        }
        match self.config.version {
            Version::V3 => {
                let affinity = self.router.get(&id.number).copied().unwrap_or(0);
                usize::try_from(affinity).ok().filter(|&vcpu| vcpu < self.config.vcpus)
            }
            Version::V2 if self.config.vcpus == 1 => Some(0),
            Version::V2 => {
                let targets = self.targets.get(&id.number).copied().unwrap_or(0);
                (0..self.config.vcpus).find(|vcpu| targets >> vcpu & 1 == 1)
            }
        }
    }

    /// The line of a shared interrupt or of a timer changes. A rising edge makes an edge-triggered
    /// interrupt pending, a falling one nothing (IHI 0069, chapter 1, on levels and edges).
    pub fn set_line(&mut self, id: Id, level: bool) {
        if !level {
            let was_signalled = self.is_pending(id) && !self.active.contains(&id);
            if self.high.remove(&id) && was_signalled && id.vcpu.is_some() {
                self.lingering.insert(id);
            }
        } else {
            self.lingering.remove(&id);
            if self.high.insert(id) && self.edge.contains(&id) {
                self.latch.insert(id);
            }
        }
    }

    /// Whether the line is high.
    #[must_use]
    pub fn line(&self, id: Id) -> bool {
        self.high.contains(&id)
    }

    /// An edge, also where the interrupt is level-sensitive: as a write of ISPENDR.
    pub fn pulse(&mut self, id: Id) {
        self.latch.insert(id);
    }

    /// `vcpu` is switched on: its CPU interface is as after reset all
    /// masked, both groups off (IHI 0069, ICC_PMR_EL1, ICC_IGRPEN0_EL1, ICC_IGRPEN1_EL1).
    pub fn turn_on(&mut self, vcpu: usize) {
        self.interfaces.insert(vcpu, Interface::default());
    }

    /// `vcpu` is switched off; its timers are off.
    pub fn turn_off(&mut self, vcpu: usize) {
        self.interfaces.remove(&vcpu);
        for number in TIMERS {
            let id = Id { vcpu: Some(vcpu), number };
            self.active.remove(&id);
            self.lingering.remove(&id);
        }
    }
}
