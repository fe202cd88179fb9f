//! Several CPUs around one controller; kicks, timers and maintenance interrupts are served as the
//! shell does.

use hyp_core::esr::Width;
use hyp_core::vgic::{GicVersion, Kicks, Read, RegisterFile, SgiRegister, Vgic};

use super::hardware::{Features, Hardware};

type Gic = Vgic;

/// How the machine is built.
#[derive(Debug, Clone, Copy)]
pub struct Choices {
    /// The version.
    pub version: GicVersion,
    /// 1 to 8.
    pub vcpus: usize,
    /// What each CPU has.
    pub features: Features,
}

/// The machine.
pub struct Machine {
    gic: Gic,
    /// The CPUs.
    pub cpus: Vec<Hardware>,
    kicked: Kicks,
}

/// As a width.
fn width(bytes: u64) -> Width {
    Width::from_log2(u64::from(bytes.trailing_zeros()))
}

/// Whose registers.
fn file(is_distributor: bool) -> RegisterFile {
    if is_distributor { RegisterFile::Distributor } else { RegisterFile::Redistributors }
}

impl Machine {
    /// After reset, all vCPUs off.
    #[must_use]
    pub fn new(choices: Choices) -> Self {
        Self {
            gic: Vgic::new(choices.version, choices.vcpus, 5),
            cpus: (0..choices.vcpus).map(|_| Hardware::new(choices.features)).collect(),
            kicked: Kicks::NONE,
        }
    }

    /// Serves everything until nothing moves.
    ///
    /// # Errors
    ///
    /// It does not come to rest, or list registers hold what they must not.
    pub fn settle(&mut self) -> Result<(), String> {
        for _ in 0..200 {
            let mut has_moved = false;
            for (vcpu, cpu) in self.cpus.iter_mut().enumerate() {
                if self.kicked.contains(vcpu) {
                    self.kicked = self.kicked.without(vcpu);
                    self.kicked |= self.gic.sync(vcpu, cpu);
                    has_moved = true;
                }
                while let Some(intid) = cpu.take_physical() {
                    self.kicked |= self.gic.ppi_fired(vcpu, intid, cpu);
                    has_moved = true;
                }
                if cpu.has_maintenance() {
                    self.kicked |= self.gic.maintenance(vcpu, cpu);
                    has_moved = true;
                }
            }
            if !has_moved {
                return self.cpus.iter().try_for_each(Hardware::check);
            }
        }
        Err("the machine does not come to rest".into())
    }

    /// A load by `vcpu` from the distributor, or else the redistributors.
    ///
    /// # Errors
    ///
    /// The read never ends.
    pub fn read(
        &mut self,
        vcpu: usize,
        is_distributor: bool,
        offset: u64,
        bytes: u64,
    ) -> Result<u64, String> {
        let width = width(bytes);
        for _ in 0..10 {
            let cpu = &mut self.cpus[vcpu];
            let answer = self.gic.read(vcpu, file(is_distributor), offset, width, cpu);
            match answer {
                Read::Value(value) => return self.settle().map(|()| value),
                Read::Again(kicks) => self.kicked |= kicks,
            }
            self.settle()?;
        }
        Err("the read never ends".into())
    }

    /// A store by `vcpu`.
    ///
    /// # Errors
    ///
    /// As [`Self::settle`].
    pub fn write(
        &mut self,
        vcpu: usize,
        is_distributor: bool,
        offset: u64,
        bytes: u64,
        value: u64,
    ) -> Result<(), String> {
        let width = width(bytes);
        let cpu = &mut self.cpus[vcpu];
        self.kicked |= self.gic.write(vcpu, file(is_distributor), offset, width, value, cpu);
        self.settle()
    }

    /// `vcpu` writes a register that sends SGIs.
    ///
    /// # Errors
    ///
    /// As [`Self::settle`].
    pub fn sgi(&mut self, vcpu: usize, register: SgiRegister, value: u64) -> Result<(), String> {
        let cpu = &mut self.cpus[vcpu];
        self.kicked |= self.gic.sgi(vcpu, register, value, cpu);
        self.settle()
    }

    /// The line of a shared interrupt; its own edge where `level` is `None`.
    ///
    /// # Errors
    ///
    /// As [`Self::settle`].
    pub fn line(&mut self, intid: u32, level: Option<bool>) -> Result<(), String> {
        self.kicked |= match level {
            Some(level) => self.gic.set_spi_line(intid, level),
            None => self.gic.pulse_spi(intid),
        };
        self.settle()
    }

    /// `vcpu` deactivates an interrupt.
    ///
    /// # Errors
    ///
    /// As [`Self::settle`].
    pub fn deactivate(&mut self, vcpu: usize, intid: u32, sender: usize) -> Result<(), String> {
        let cpu = &mut self.cpus[vcpu];
        if !cpu.write_dir(intid, sender) {
            self.kicked |= self.gic.deactivate(vcpu, intid, cpu);
        }
        self.settle()
    }

    /// `vcpu` is switched on.
    ///
    /// # Errors
    ///
    /// As [`Self::settle`].
    pub fn turn_on(&mut self, vcpu: usize) -> Result<(), String> {
        self.kicked |= self.gic.vcpu_on(vcpu, &mut self.cpus[vcpu]);
        self.settle()
    }

    /// `vcpu` is switched off.
    ///
    /// # Errors
    ///
    /// As [`Self::settle`].
    pub fn turn_off(&mut self, vcpu: usize) -> Result<(), String> {
        self.kicked |= self.gic.vcpu_off(vcpu, &mut self.cpus[vcpu]);
        self.kicked = self.kicked.without(vcpu);
        self.settle()
    }

    /// The VM resets: all vCPUs are off.
    pub fn reset(&mut self) {
        self.gic.reset();
    }
}
