//! The machine for a run: what the user or a scenario says, what the VMs need, what the model has.

use anyhow::{Result, ensure};

use crate::qemu::{Machine, Model};
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
    /// The machine on `qemu` for VMs that need `needs`.
    pub fn machine(&self, qemu: Qemu, needs: Needs) -> Machine {
        let fixed = self.model.fixed.as_ref();
        let cpu = fixed.map(|fixed| fixed.cpu.to_owned()).or_else(|| self.cpu.clone());
        Machine {
            qemu,
            model: self.model,
            machine: self.machine.clone(),
            gic: fixed.map(|fixed| fixed.gic).or(self.gic).unwrap_or(GIC),
            cpu: cpu.unwrap_or_else(|| CPU.to_owned()),
            smp: fixed.map(|fixed| fixed.smp).or(self.smp).unwrap_or(needs.cpus),
            ram: fixed.and_then(|fixed| fixed.ram).or(self.ram).unwrap_or(needs.ram),
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
                "the VMs have {} vCPUs, each on a CPU of its own, and the machine {} has {}",
                needs.cpus,
                self.model.name,
                fixed.cpus
            );
        } else if let Some(smp) = self.smp {
            ensure!(
                smp >= needs.cpus,
                "the VMs have {} vCPUs, each on a CPU of its own, and --smp gives {smp}",
                needs.cpus
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
                "the VMs and Postern need {} of RAM, and the machine {} has {}; make the VM \
                 smaller with --mem",
                shown_size(needs.ram),
                self.model.name,
                shown_size(ram)
            );
        } else if let Some(ram) = self.ram {
            ensure!(
                ram >= needs.ram,
                "the VMs and Postern need {} of RAM, and --ram gives {}; give more, or make the VM \
                 smaller with --mem",
                shown_size(needs.ram),
                shown_size(ram)
            );
        }
        Ok(())
    }
}
