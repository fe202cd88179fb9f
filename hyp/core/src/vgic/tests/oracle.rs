//! The interrupt controller in its simplest form: a flat list of interrupts with the architecture's
//! state machine, no list registers, everything visible to everybody at once. Written from
//! IHI0069 chapters 1, 4 and 12, not from the implementation.

use std::vec;
use std::vec::Vec;

#[derive(Clone, Copy, Default)]
pub(super) struct Interrupt {
    pub(super) enabled: bool,
    pub(super) group1: bool,
    pub(super) edge: bool,
    pub(super) latch: bool,
    pub(super) line: bool,
    pub(super) active: bool,
    pub(super) priority: u8,
    /// vCPU that takes it; for an SPI it follows GICD_IROUTER.
    pub(super) target: Option<usize>,
    /// With a GICv2, a bit for each vCPU that sent this SGI.
    pub(super) senders: u8,
    /// A timer whose line fell while it was pending: hardware list registers may still hold it.
    pub(super) optional: bool,
}

impl Interrupt {
    pub(super) fn pending(&self) -> bool {
        self.latch || self.senders != 0 || (self.line && !self.edge)
    }
}

pub(super) struct Oracle {
    /// INTID 0 to 31 of each vCPU.
    pub(super) private: Vec<[Interrupt; 32]>,
    /// INTID 32 and up.
    pub(super) spis: Vec<Interrupt>,
    pub(super) group0_on: bool,
    pub(super) group1_on: bool,
    pub(super) cpus: Vec<Interface>,
}

#[derive(Clone, Default)]
pub(super) struct Interface {
    pub(super) pmr: u8,
    pub(super) group0: bool,
    pub(super) group1: bool,
    /// Acknowledged and not ended: INTID, priority.
    pub(super) stack: Vec<(u32, u8)>,
}

impl Oracle {
    pub(super) fn new(vcpus: usize, spis: usize) -> Self {
        let mut private = [Interrupt::default(); 32];
        for sgi in &mut private[..16] {
            sgi.edge = true;
        }
        let private = (0..vcpus)
            .map(|vcpu| private.map(|irq| Interrupt { target: Some(vcpu), ..irq }))
            .collect();
        Self {
            private,
            spis: vec![Interrupt { target: Some(0), ..Interrupt::default() }; spis],
            group0_on: false,
            group1_on: false,
            cpus: vec![Interface::default(); vcpus],
        }
    }

    pub(super) fn get(&mut self, vcpu: usize, intid: u32) -> &mut Interrupt {
        match intid {
            0..32 => &mut self.private[vcpu][intid as usize],
            _ => &mut self.spis[intid as usize - 32],
        }
    }

    /// Whether `got` is a right answer of an acknowledge by `vcpu`.
    pub(super) fn check_acknowledge(&self, vcpu: usize, got: Option<u32>) -> Result<(), Vec<u32>> {
        let interface = &self.cpus[vcpu];
        let running = interface.stack.iter().map(|&(_, p)| p & 0xf8).min().unwrap_or(0xff);
        let all = (0u32..).zip(&self.private[vcpu]).chain((32..).zip(&self.spis));
        let able: Vec<(u32, &Interrupt)> = all
            .filter(|(_, irq)| irq.target == Some(vcpu) && irq.enabled && !irq.active)
            .filter(|(_, irq)| if irq.group1 { self.group1_on } else { self.group0_on })
            .filter(|(_, irq)| if irq.group1 { interface.group1 } else { interface.group0 })
            .filter(|(_, irq)| irq.priority < interface.pmr && irq.priority & 0xf8 < running)
            .collect();
        let must = able.iter().filter(|(_, irq)| irq.pending()).map(|(_, irq)| irq.priority).min();
        let fine = match got {
            None => must.is_none(),
            Some(got) => able.iter().any(|&(intid, irq)| {
                intid == got
                    && (irq.pending() || irq.optional)
                    && must.is_none_or(|best| irq.priority <= best)
            }),
        };
        if fine {
            return Ok(());
        }
        Err(able.iter().filter(|(_, irq)| irq.pending()).map(|&(intid, _)| intid).collect())
    }

    pub(super) fn acknowledge(&mut self, vcpu: usize, intid: u32) {
        let irq = self.get(vcpu, intid);
        irq.active = true;
        irq.latch = false;
        irq.optional = false;
        let priority = irq.priority;
        self.cpus[vcpu].stack.push((intid, priority));
    }

    /// The same for an SGI of a GICv2, which came from `sender`.
    pub(super) fn acknowledge_sgi(&mut self, vcpu: usize, intid: u32, sender: u32) {
        let irq = self.get(vcpu, intid);
        assert!(irq.senders & 1 << sender != 0, "SGI {intid} from {sender}, of {:#b}", irq.senders);
        irq.senders &= !(1 << sender);
        self.acknowledge(vcpu, intid);
    }

    /// Ends the interrupt acknowledged last.
    pub(super) fn end(&mut self, vcpu: usize) -> Option<u32> {
        let (intid, _) = self.cpus[vcpu].stack.pop()?;
        self.get(vcpu, intid).active = false;
        Some(intid)
    }

    pub(super) fn set_line(&mut self, vcpu: usize, intid: u32, level: bool) {
        let irq = self.get(vcpu, intid);
        if irq.edge && level && !irq.line {
            irq.latch = true;
        }
        irq.line = level;
    }

    /// A set of 32 interrupts as a register shows it.
    pub(super) fn bits(&self, vcpu: usize, word: usize, claim: impl Fn(&Interrupt) -> bool) -> u32 {
        let irqs = match word {
            0 => &self.private[vcpu][..],
            _ => &self.spis[32 * (word - 1)..32 * word],
        };
        irqs.iter().enumerate().fold(0, |bits, (n, irq)| bits | u32::from(claim(irq)) << n)
    }
}
