//! Several simulated CPUs around one controller, with kicks, timers and maintenance interrupts
//! delivered as the shell would.

use super::super::{GicVersion, Kicks, Read, RegisterFile, SgiRegister, Vgic, vmcr};
use super::fake::FakeCpu;
use crate::esr::Width;
use std::vec::Vec;

pub(super) const SGI_FRAME: u64 = 0x1_0000;
pub(super) const FRAMES: u64 = 0x2_0000;

pub(super) struct Machine {
    pub(super) vgic: Vgic,
    pub(super) cpus: Vec<FakeCpu>,
    pub(super) kicked: Kicks,
}

impl Machine {
    /// All vCPUs on, the guest's drivers not yet started.
    pub(super) fn new(vcpus: usize, list_registers: usize) -> Self {
        Self::with_version(GicVersion::V3, vcpus, list_registers)
    }

    /// The same with a GIC of that version.
    pub(super) fn with_version(version: GicVersion, vcpus: usize, list_registers: usize) -> Self {
        let mut machine = Self {
            vgic: Vgic::new(version, vcpus, 5),
            cpus: (0..vcpus).map(|_| FakeCpu::new(list_registers, version)).collect(),
            kicked: Kicks::NONE,
        };
        for vcpu in 0..vcpus {
            machine.kicked |= machine.vgic.vcpu_on(vcpu, &mut machine.cpus[vcpu]);
        }
        machine
    }

    /// The same with both groups on, every private interrupt and SPI in group 1 and enabled.
    pub(super) fn started(vcpus: usize, list_registers: usize) -> Self {
        let mut machine = Self::new(vcpus, list_registers);
        machine.dist_write(0, 0, 3);
        for word in 1..4 {
            machine.dist_write(0, 0x80 + 4 * word, !0);
            machine.dist_write(0, 0x100 + 4 * word, !0);
        }
        for vcpu in 0..vcpus {
            machine.cpus[vcpu].open();
            machine.redist_write(vcpu, vcpu, SGI_FRAME + 0x80, !0);
            machine.redist_write(vcpu, vcpu, SGI_FRAME + 0x100, !0);
        }
        machine
    }

    /// The vCPU separates deactivations from ends (EOImode).
    pub(super) fn split(&mut self, vcpu: usize) {
        self.cpus[vcpu].vmcr |= vmcr::VEOIM;
    }

    /// With a GICv2: both groups on, everything in group 0, enabled and sent to the first vCPU.
    pub(super) fn started_v2(vcpus: usize, list_registers: usize) -> Self {
        let mut machine = Self::with_version(GicVersion::V2, vcpus, list_registers);
        machine.v2_write(0, 0, 3);
        for vcpu in 0..vcpus {
            machine.cpus[vcpu].open();
            machine.v2_write(vcpu, 0x100, !0);
        }
        for word in 1..4 {
            machine.v2_write(0, 0x100 + 4 * word, !0);
        }
        for four in 8..32 {
            machine.v2_write(0, 0x800 + 4 * four, 0x0101_0101);
        }
        machine
    }

    pub(super) fn v2_write_as(&mut self, vcpu: usize, offset: u64, width: Width, value: u64) {
        let cpu = &mut self.cpus[vcpu];
        self.kicked |= self.vgic.write(vcpu, RegisterFile::Distributor, offset, width, value, cpu);
        self.settle();
    }

    pub(super) fn v2_write(&mut self, vcpu: usize, offset: u64, value: u32) {
        self.v2_write_as(vcpu, offset, Width::Word, u64::from(value));
    }

    pub(super) fn v2_read_as(&mut self, vcpu: usize, offset: u64, width: Width) -> u64 {
        self.read(|vgic, cpus| {
            vgic.read(vcpu, RegisterFile::Distributor, offset, width, &mut cpus[vcpu])
        })
    }

    pub(super) fn v2_read(&mut self, vcpu: usize, offset: u64) -> u32 {
        u32::try_from(self.v2_read_as(vcpu, offset, Width::Word)).unwrap()
    }

    /// Serves kicks, timers and maintenance interrupts until nothing moves.
    pub(super) fn settle(&mut self) {
        for _ in 0..200 {
            let mut moved = false;
            for vcpu in 0..self.cpus.len() {
                let cpu = &mut self.cpus[vcpu];
                if self.kicked.contains(vcpu) {
                    self.kicked = self.kicked.without(vcpu);
                    self.kicked |= self.vgic.sync(vcpu, cpu);
                    moved = true;
                }
                while let Some(intid) = cpu.take_physical() {
                    self.kicked |= self.vgic.ppi_fired(vcpu, intid, cpu);
                    moved = true;
                }
                if cpu.has_maintenance() {
                    self.kicked |= self.vgic.maintenance(vcpu, cpu);
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
        panic!("the machine does not come to rest");
    }

    pub(super) fn dist_write(&mut self, vcpu: usize, offset: u64, value: u64) {
        let cpu = &mut self.cpus[vcpu];
        self.kicked |=
            self.vgic.write(vcpu, RegisterFile::Distributor, offset, Width::Word, value, cpu);
        self.settle();
    }

    pub(super) fn dist_write_as(&mut self, vcpu: usize, offset: u64, width: Width, value: u64) {
        let cpu = &mut self.cpus[vcpu];
        self.kicked |= self.vgic.write(vcpu, RegisterFile::Distributor, offset, width, value, cpu);
        self.settle();
    }

    pub(super) fn redist_write(&mut self, vcpu: usize, target: usize, offset: u64, value: u64) {
        self.redist_write_as(vcpu, target, offset, Width::Word, value);
    }

    pub(super) fn redist_write_as(
        &mut self,
        vcpu: usize,
        target: usize,
        offset: u64,
        width: Width,
        value: u64,
    ) {
        let offset = FRAMES * target as u64 + offset;
        let cpu = &mut self.cpus[vcpu];
        self.kicked |=
            self.vgic.write(vcpu, RegisterFile::Redistributors, offset, width, value, cpu);
        self.settle();
    }

    pub(super) fn dist_read_as(&mut self, vcpu: usize, offset: u64, width: Width) -> u64 {
        self.read(|vgic, cpus| {
            vgic.read(vcpu, RegisterFile::Distributor, offset, width, &mut cpus[vcpu])
        })
    }

    pub(super) fn dist_read(&mut self, vcpu: usize, offset: u64) -> u64 {
        self.dist_read_as(vcpu, offset, Width::Word)
    }

    pub(super) fn redist_read_as(
        &mut self,
        vcpu: usize,
        target: usize,
        offset: u64,
        width: Width,
    ) -> u64 {
        let offset = FRAMES * target as u64 + offset;
        self.read(|vgic, cpus| {
            vgic.read(vcpu, RegisterFile::Redistributors, offset, width, &mut cpus[vcpu])
        })
    }

    pub(super) fn redist_read(&mut self, vcpu: usize, target: usize, offset: u64) -> u64 {
        self.redist_read_as(vcpu, target, offset, Width::Word)
    }

    fn read(&mut self, mut load: impl FnMut(&Vgic, &mut [FakeCpu]) -> Read) -> u64 {
        for _ in 0..10 {
            match load(&self.vgic, &mut self.cpus) {
                Read::Value(value) => {
                    self.settle();
                    return value;
                }
                Read::Again(kicks) => self.kicked |= kicks,
            }
            self.settle();
        }
        panic!("the read never ends");
    }

    pub(super) fn sgi(&mut self, vcpu: usize, register: SgiRegister, value: u64) {
        let cpu = &mut self.cpus[vcpu];
        self.kicked |= self.vgic.sgi(vcpu, register, value, cpu);
        self.settle();
    }

    pub(super) fn line(&mut self, intid: u32, level: bool) {
        self.kicked |= self.vgic.set_spi_line(intid, level);
        self.settle();
    }

    pub(super) fn timer(&mut self, vcpu: usize, intid: u32, level: bool) {
        let lines = &mut self.cpus[vcpu].lines;
        *lines = if level { *lines | 1 << intid } else { *lines & !(1 << intid) };
        self.settle();
    }

    pub(super) fn acknowledge(&mut self, vcpu: usize) -> u32 {
        let intid = self.cpus[vcpu].acknowledge();
        self.settle();
        intid
    }

    pub(super) fn end(&mut self, vcpu: usize, intid: u32) {
        self.cpus[vcpu].end(intid);
        self.settle();
    }

    pub(super) fn deactivate(&mut self, vcpu: usize, intid: u32) {
        let cpu = &mut self.cpus[vcpu];
        if !cpu.write_dir(intid) {
            self.kicked |= self.vgic.deactivate(vcpu, intid, cpu);
        }
        self.settle();
    }
}
