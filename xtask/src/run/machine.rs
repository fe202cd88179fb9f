//! The machine for a run: what the user or a scenario says, what the VMs need, what the model has.

use anyhow::{Result, ensure};

use crate::qemu::{Machine, Memory, Model};
use crate::setup::Qemu;
use crate::units::shown_size;

/// The CPU of a machine that leaves the choice.
const CPU: &str = "cortex-a72";

/// The interrupt controller of a machine that leaves the choice.
const GIC: u8 = 3;

/// What the VMs of a run need of the machine.
#[derive(Debug, Clone, Copy)]
pub struct Needs {
    /// CPUs, one for each vCPU.
    pub cpus: u32,
    /// Bytes of RAM.
    pub ram: u64,
}

/// A machine as somebody describes it.
#[derive(Debug, Clone)]
pub struct Words {
    /// `-machine`: the model's name, optionally with options.
    pub machine: String,
    /// The model.
    pub model: &'static Model,
    /// Version of the interrupt controller.
    pub gic: Option<u8>,
    /// CPU model.
    pub cpu: Option<String>,
    /// Number of CPUs.
    pub smp: Option<u32>,
    /// Bytes of RAM.
    pub ram: Option<u64>,
}

impl Words {
    /// Model of its CPUs.
    pub fn cpu(&self) -> &str {
        let fixed = self.model.fixed.as_ref().map(|fixed| fixed.cpu);
        fixed.or(self.cpu.as_deref()).unwrap_or(CPU)
    }

    /// Version of its interrupt controller.
    pub fn gic(&self) -> u8 {
        let fixed = self.model.fixed.as_ref().map(|fixed| fixed.gic);
        fixed.or(self.gic).unwrap_or(GIC)
    }

    /// Bytes of RAM; nothing if that is left to the VMs.
    pub fn ram(&self) -> Option<u64> {
        self.model.fixed.as_ref().and_then(|fixed| fixed.ram).or(self.ram)
    }

    /// The machine on `qemu` for VMs that need `needs`.
    pub fn machine(&self, qemu: Qemu, needs: Needs) -> Machine {
        let fixed = self.model.fixed.as_ref();
        Machine {
            qemu,
            model: self.model,
            machine: self.machine.clone(),
            gic: self.gic(),
            cpu: self.cpu().to_owned(),
            smp: fixed.map(|fixed| fixed.smp).or(self.smp).unwrap_or(needs.cpus),
            ram: self.ram().unwrap_or(needs.ram),
            memory: Memory::Plain,
            tree: None,
            extra: Vec::new(),
        }
    }

    /// Refuses a machine on which the VMs cannot run.
    ///
    /// # Errors
    ///
    /// It has too few CPUs or too little RAM; the message names the options that change it.
    pub fn check(&self, needs: Needs) -> Result<()> {
        let fixed = self.model.fixed.as_ref();
        if let Some(fixed) = fixed {
            ensure!(
                fixed.cpus >= needs.cpus,
                "the VMs have {} vCPUs, each on a CPU of its own, and the machine {} has {}; give the \
                 VMs fewer with --cpus, which is `cpus` in a description",
                needs.cpus,
                self.model.name,
                fixed.cpus
            );
        } else if let Some(smp) = self.smp {
            ensure!(
                smp >= needs.cpus,
                "the VMs have {} vCPUs, each on a CPU of its own, and --smp gives {smp}; give more, or \
                 the VMs fewer with --cpus, which is `cpus` in a description",
                needs.cpus
            );
        }
        if let Some(most) = fixed.and_then(|fixed| fixed.most_ram) {
            let wanted = self.ram.unwrap_or(needs.ram);
            ensure!(
                wanted <= most,
                "the machine {} has {} of RAM at most: give less with --ram, and the VMs \
                 less with --mem, which is `mem` in a description",
                self.model.name,
                shown_size(most)
            );
        }
        if let Some(ram) = fixed.and_then(|fixed| fixed.ram) {
            ensure!(
                self.ram.is_none_or(|wanted| wanted == ram),
                "the machine {} has {} of RAM: leave --ram out",
                self.model.name,
                shown_size(ram)
            );
            ensure!(
                ram >= needs.ram,
                "the VMs and Postern need {} of RAM, and the machine {} has {}; make the VMs smaller \
                 with --mem, which is `mem` in a description",
                shown_size(needs.ram),
                self.model.name,
                shown_size(ram)
            );
        } else if let Some(ram) = self.ram {
            ensure!(
                ram >= needs.ram,
                "the VMs and Postern need {} of RAM, and --ram gives {}; give more, or make the VMs \
                 smaller with --mem, which is `mem` in a description",
                shown_size(needs.ram),
                shown_size(ram)
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(machine: &str, ram: Option<u64>) -> Words {
        let model = Model::find(machine).unwrap();
        Words { machine: machine.to_owned(), model, gic: None, cpu: None, smp: None, ram }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        const GIB: u64 = 1 << 30;
        let needs = |cpus, ram| Needs { cpus, ram };
        for (machine, ram, needs, reason) in [
            ("xlnx-zcu102", Some(4 * GIB), needs(1, GIB), "2 GiB of RAM at most"),
            ("xlnx-zcu102", None, needs(1, 3 * GIB), "2 GiB of RAM at most"),
            ("xlnx-zcu102", None, needs(5, GIB), "has 4"),
            ("raspi4b", Some(GIB), needs(1, GIB), "leave --ram out"),
            ("raspi4b", None, needs(1, 3 * GIB), "--mem"),
            ("virt", Some(GIB), needs(1, 2 * GIB), "--ram gives 1 GiB"),
        ] {
            let text = words(machine, ram).check(needs).unwrap_err().to_string();
            assert!(text.contains(reason), "{machine}: {text}");
        }
        words("xlnx-zcu102", Some(2 * GIB)).check(needs(4, GIB)).unwrap();
        words("virt", None).check(needs(8, 64 * GIB)).unwrap();
    }
}
