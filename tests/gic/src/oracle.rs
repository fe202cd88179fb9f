//! The two side by side.

use std::collections::BTreeMap;

use hyp_core::vgic::SgiRegister;

use crate::event::Event;
use crate::model::{Common, Gic, Id, Sender, Set, TIMERS, Version};
use crate::setting::Setting;
use crate::subject::Machine;

/// What was compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that happened.
    pub events: u64,
    /// Answers to loads.
    pub loads: u64,
    /// Interrupts that were signalled to a vCPU, or not.
    pub signals: u64,
    /// Those that were.
    pub signalled: u64,
    /// Interrupts that were acknowledged.
    pub acknowledged: u64,
}

/// The model and hyp-core.
pub struct Oracle {
    /// The model.
    pub gic: Gic,
    machine: Machine,
    /// What is IMPLEMENTATION DEFINED but constant, by place.
    constants: BTreeMap<(bool, u64, u64), u64>,
    /// List registers never run out, so that interrupts may be made active and deactivated in any
    /// order: a vCPU whose list registers are full tells of ends only their number.
    has_room: bool,
    /// What was compared so far.
    pub counts: Counts,
}

/// More active interrupts than this would not leave room in 16 list registers.
const ROOM: usize = 12;

impl Oracle {
    /// Both after reset, all vCPUs on.
    ///
    /// # Errors
    ///
    /// They differ already.
    pub fn new(setting: &Setting) -> Result<Self, String> {
        let has_room = setting.list_registers == 16;
        let mut oracle = Self {
            gic: Gic::new(setting.config()),
            machine: Machine::new(setting.choices()),
            constants: BTreeMap::new(),
            has_room,
            counts: Counts::default(),
        };
        for vcpu in 0..setting.vcpus {
            oracle.apply(Event::On(vcpu))?;
        }
        Ok(oracle)
    }

    /// Lets `event` happen to both, if a guest may do that, and compares.
    ///
    /// # Errors
    ///
    /// Says in what they differ.
    pub fn apply(&mut self, event: Event) -> Result<(), String> {
        let actor = match event {
            Event::Read { vcpu, .. }
            | Event::Write { vcpu, .. }
            | Event::Send(vcpu, ..)
            | Event::Timer(vcpu, ..)
            | Event::SetUp(vcpu, ..)
            | Event::Acknowledge(vcpu)
            | Event::End(vcpu)
            | Event::Deactivate(vcpu, _)
            | Event::Off(vcpu) => Some(vcpu),
            Event::On(_) | Event::Line(..) | Event::Pulse(_) | Event::Reset => None,
        };
        if actor.is_some_and(|vcpu| !self.gic.interfaces.contains_key(&vcpu)) {
            return Ok(());
        }
        self.counts.events += 1;
        match event {
            Event::Read { vcpu, is_distributor, offset, bytes } => {
                self.read(vcpu, is_distributor, offset, bytes)?;
            }
            Event::Write { vcpu, is_distributor, offset, bytes, value } => {
                let Some(value) = self.permitted(vcpu, is_distributor, offset, bytes, value) else {
                    return Ok(());
                };
                self.gic.write(vcpu, is_distributor, offset, bytes, value);
                self.machine.write(vcpu, is_distributor, offset, bytes, value)?;
            }
            Event::Send(vcpu, sender, value) => {
                self.gic.send(vcpu, sender, value);
                let register = match sender {
                    Sender::Group0 => SgiRegister::Sgi0,
                    Sender::Group1 => SgiRegister::Sgi1,
                    Sender::Other => SgiRegister::Asgi1,
                };
                self.machine.sgi(vcpu, register, value)?;
            }
            Event::Line(intid, level) => self.line(intid, level)?,
            Event::Pulse(intid) => {
                if let Some(id) = self.gic.id(0, intid) {
                    self.gic.pulse(id);
                    self.machine.line(intid, None)?;
                }
            }
            Event::Timer(vcpu, intid, level) => self.timer(vcpu, intid, level)?,
            Event::SetUp(vcpu, mask, group0, group1, is_split) => {
                let Some(interface) = self.gic.interfaces.get_mut(&vcpu) else { return Ok(()) };
                interface.mask = mask;
                (interface.group0, interface.group1) = (group0, group1);
                // With interrupts under way that is unpredictable (IHI 0069, ICC_CTLR_EL1).
                if interface.taken.is_empty() {
                    interface.is_split = is_split;
                }
                self.machine.cpus[vcpu].set_up(mask, group0, group1, interface.is_split);
                self.machine.settle()?;
            }
            Event::Acknowledge(vcpu) => self.acknowledge(vcpu)?,
            Event::End(vcpu) => {
                if let Some(taken) = self.gic.end(vcpu) {
                    self.machine.cpus[vcpu].end(taken.id.number, taken.sender);
                    self.machine.settle()?;
                }
            }
            Event::Deactivate(vcpu, n) => {
                let dropped = self.gic.dropped(vcpu);
                if let Some(taken) = dropped.get(n) {
                    self.gic.deactivate(taken.id);
                    self.machine.deactivate(vcpu, taken.id.number, taken.sender)?;
                }
            }
            Event::Off(vcpu) => {
                let is_busy = |i: &crate::model::Interface| !i.taken.is_empty();
                if self.has_room || !self.gic.interfaces.get(&vcpu).is_none_or(is_busy) {
                    self.turn_off(vcpu)?;
                }
            }
            Event::On(vcpu) => self.turn_on(vcpu)?,
            Event::Reset => self.reset()?,
        }
        self.compare()
    }

    /// What of a store a guest may do, as the manuals leave the rest unpredictable: `None` if nothing.
    fn permitted(
        &self,
        vcpu: usize,
        is_distributor: bool,
        offset: u64,
        bytes: u64,
        value: u64,
    ) -> Option<u64> {
        let Some((owner, register)) = self.gic.common_at(vcpu, is_distributor, offset, bytes)
        else {
            return Some(value);
        };
        let old = self.gic.read(vcpu, is_distributor, offset, bytes).value;
        let numbers = |first: u32, count: u32, keep: &dyn Fn(Id) -> bool| {
            (0..count).filter(|&n| self.gic.id(owner, first + n).is_some_and(keep)).collect()
        };
        let (kept, width): (Vec<u32>, u32) = match register {
            Common::Bits(Set::SetActive, _) => {
                let more = value.count_ones() as usize;
                return (self.has_room && self.gic.actives() + more <= ROOM).then_some(value);
            }
            // What somebody serves is not deactivated behind his back: his end would be told only as
            // one of many.
            Common::Bits(Set::ClearActive, first) if !self.has_room => {
                let taken: Vec<u32> = numbers(first, 32, &|id| self.gic.is_taken(id));
                return Some(taken.iter().fold(value, |value, n| value & !(1 << n)));
            }
            Common::Bits(..) => return Some(value),
            // The pending state would be UNKNOWN (IHI 0069, GICD_ICFGR).
            Common::Config(first) => (numbers(first, 16, &|id| !self.gic.is_quiet(id)), 2),
            // Whether the priority of an active interrupt changes is IMPLEMENTATION DEFINED.
            Common::Priority(first) => {
                (numbers(first, u32::try_from(bytes).unwrap_or(0), &|id| self.gic.is_active(id)), 8)
            }
        };
        let mask = kept.iter().fold(0u64, |mask, n| mask | ((1 << width) - 1) << (n * width));
        Some(value & !mask | old & mask)
    }

    fn read(
        &mut self,
        vcpu: usize,
        is_distributor: bool,
        offset: u64,
        bytes: u64,
    ) -> Result<(), String> {
        let expected = self.gic.read(vcpu, is_distributor, offset, bytes);
        let got = self.machine.read(vcpu, is_distributor, offset, bytes)?;
        self.counts.loads += 1;
        if expected.is_constant {
            let before = *self.constants.entry((is_distributor, offset, bytes)).or_insert(got);
            if before != got {
                return Err(format!("{offset:#x} was {before:#x} and is {got:#x}"));
            }
        }
        if (got ^ expected.value) & expected.known != 0 {
            return Err(format!("{bytes} bytes at {offset:#x}: {got:#x}, should be {expected:x?}"));
        }
        Ok(())
    }

    fn line(&mut self, intid: u32, level: bool) -> Result<(), String> {
        let Some(id) = self.gic.id(0, intid) else { return Ok(()) };
        self.gic.set_line(id, level);
        self.machine.line(intid, Some(level))
    }

    fn timer(&mut self, vcpu: usize, intid: u32, level: bool) -> Result<(), String> {
        let Some(id) = self.gic.id(vcpu, intid) else { return Ok(()) };
        self.gic.set_line(id, level);
        self.machine.cpus[vcpu].set_line(intid, level);
        self.machine.settle()
    }

    fn acknowledge(&mut self, vcpu: usize) -> Result<(), String> {
        let (best, may) = self.gic.choice(vcpu);
        match self.machine.cpus[vcpu].acknowledge() {
            None if best.is_none() => return Ok(()),
            None => return Err(format!("vCPU {vcpu} takes nothing, should take one of {may:?}")),
            Some((intid, sender)) => {
                let id = self.gic.id(vcpu, intid).filter(|id| may.contains(id));
                let id = id.ok_or_else(|| {
                    format!("vCPU {vcpu} takes {intid}, should take one of {may:?}")
                })?;
                self.gic.acknowledge(vcpu, id, sender)?;
                self.counts.acknowledged += 1;
            }
        }
        self.machine.settle()
    }

    fn turn_on(&mut self, vcpu: usize) -> Result<(), String> {
        if self.gic.interfaces.contains_key(&vcpu) {
            return Ok(());
        }
        self.gic.turn_on(vcpu);
        self.machine.turn_on(vcpu)
    }

    fn turn_off(&mut self, vcpu: usize) -> Result<(), String> {
        for intid in TIMERS {
            self.timer(vcpu, intid, false)?;
        }
        self.gic.turn_off(vcpu);
        self.machine.turn_off(vcpu)
    }

    /// Devices are reset with the VM, so their lines fall; the first vCPU starts anew.
    fn reset(&mut self) -> Result<(), String> {
        for vcpu in 0..self.gic.config.vcpus {
            if self.gic.interfaces.contains_key(&vcpu) {
                self.turn_off(vcpu)?;
            }
        }
        self.gic = Gic::new(self.gic.config);
        self.machine.reset();
        self.turn_on(0)
    }

    /// What every vCPU is signalled.
    fn compare(&mut self) -> Result<(), String> {
        for &vcpu in self.gic.interfaces.keys() {
            let (best, may) = self.gic.choice(vcpu);
            let got = self.machine.cpus[vcpu].priority();
            let is_lingering = may.iter().any(|&id| Some(self.gic.priority(id)) == got);
            if got != best && !is_lingering {
                return Err(format!(
                    "vCPU {vcpu} is signalled priority {got:?}, should be {best:?} of {may:?}"
                ));
            }
            self.counts.signals += 1;
            self.counts.signalled += u64::from(got.is_some());
        }
        Ok(())
    }

    /// All registers; then lines fall, and what waits is taken until there is nothing more.
    ///
    /// # Errors
    ///
    /// Says in what they differ.
    pub fn finish(&mut self) -> Result<(), String> {
        let vcpus = self.gic.config.vcpus;
        for vcpu in 0..vcpus {
            self.apply(Event::On(vcpu))?;
        }
        self.sweep()?;
        for intid in 32..self.gic.config.end {
            if self.gic.id(0, intid).is_some_and(|id| self.gic.line(id)) {
                self.apply(Event::Line(intid, false))?;
            }
        }
        for vcpu in 0..vcpus {
            for intid in TIMERS {
                self.apply(Event::Timer(vcpu, intid, false))?;
            }
        }
        for vcpu in 0..vcpus {
            self.apply(Event::SetUp(vcpu, 0xff, true, true, false))?;
            for _ in 0..2000 {
                let taken = &self.gic.interfaces[&vcpu].taken;
                match taken.last() {
                    Some(taken) if taken.priority.is_some() => self.apply(Event::End(vcpu))?,
                    Some(_) => self.apply(Event::Deactivate(vcpu, 0))?,
                    None if self.machine.cpus[vcpu].priority().is_some() => {
                        self.apply(Event::Acknowledge(vcpu))?;
                    }
                    None => break,
                }
            }
        }
        self.sweep()
    }

    /// Loads all registers that belong to interrupts: with a GICv2 by every vCPU, as each sees others.
    fn sweep(&mut self) -> Result<(), String> {
        let vcpus = self.gic.config.vcpus;
        if self.gic.config.version == Version::V2 {
            return (0..vcpus).try_for_each(|vcpu| self.sweep_by(vcpu));
        }
        let vcpu = usize::try_from(self.counts.events).unwrap_or(0) % vcpus;
        self.sweep_by(vcpu)
    }

    fn sweep_by(&mut self, vcpu: usize) -> Result<(), String> {
        let end = u64::from(self.gic.config.end);
        // Each kind of register and one more than there are of it.
        let mut places: Vec<(u64, u64)> = (0x80..0x400)
            .step_by(4)
            .filter(|offset| offset & 0x7f <= end / 8)
            .map(|offset| (offset, 4))
            .collect();
        for (base, bytes) in [(0x400, end), (0x800, end), (0xc00, end / 4), (0xf00, 0x30)] {
            places.extend((base..=base + bytes).step_by(4).map(|at| (at, 4)));
        }
        if self.gic.config.version == Version::V3 {
            places.extend((0x6000..0x6000 + 8 * end).step_by(8).map(|at| (at, 8)));
        }
        for &(offset, bytes) in &places {
            self.read(vcpu, true, offset, bytes)?;
        }
        if self.gic.config.version == Version::V2 {
            return Ok(());
        }
        for owner in 0..self.gic.config.vcpus as u64 {
            // Words 0 and 1, of which there is the first; and the priorities.
            let is_private = |offset: u64| match offset {
                0x400..0x800 => offset <= 0x420,
                0xc00..0xd00 => offset <= 0xc08,
                _ => offset < 0x400 && offset & 0x7f <= 4,
            };
            for &(offset, bytes) in places.iter().filter(|(offset, _)| is_private(*offset)) {
                self.read(vcpu, false, owner * crate::model::FRAMES + 0x1_0000 + offset, bytes)?;
            }
        }
        Ok(())
    }
}
