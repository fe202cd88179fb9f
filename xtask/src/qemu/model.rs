//! The machines of QEMU that Postern is known to run on, and how each wants to be started.

use anyhow::{Context, Result, bail};

use crate::board::Board;

/// A machine of QEMU.
#[derive(Debug, PartialEq, Eq)]
pub struct Model {
    /// QEMU's name for it.
    pub name: &'static str,
    /// The first QEMU that has it and boots us: major and minor number.
    pub since: (u32, u32),
    /// Machine options, `key=value`, unless the caller's words have the key.
    options: &'static [&'static str],
    /// What is not the caller's choice.
    pub fixed: Option<Fixed>,
    /// Where its device tree comes from.
    pub tree: TreeSource,
    /// Serial ports before the one that the tree names as the console.
    pub ports_before_console: usize,
    /// The board for which there is a U-Boot that runs on it.
    pub u_boot: Option<Board>,
    /// Firmware can switch it off.
    pub switches_off: bool,
    /// Its sound device stops QEMU where the host has no sound, unless told to be silent.
    has_sound: bool,
}

/// What a machine has, whatever the caller would like.
#[derive(Debug, PartialEq, Eq)]
pub struct Fixed {
    /// CPUs that QEMU must be asked for; the hypervisor may get fewer.
    pub smp: u32,
    /// CPUs that the hypervisor gets.
    pub cpus: u32,
    /// Their model.
    pub cpu: &'static str,
    /// Version of the interrupt controller.
    pub gic: u8,
    /// Bytes of RAM, where there is no choice.
    pub ram: Option<u64>,
    /// Most bytes of RAM.
    pub most_ram: Option<u64>,
}

/// Where the device tree of a machine comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeSource {
    /// QEMU makes it, random seeds included.
    Qemu,
    /// QEMU makes it, but without a seed, which real firmware would add: we do.
    QemuWithoutSeed,
    /// A file among the boards' trees, to which we add a seed as its firmware would.
    Board(&'static str),
}

const GIB: u64 = 1 << 30;

/// All of them, in the order in which people are told.
pub static MODELS: [Model; 5] = [
    Model {
        name: "virt",
        since: (7, 2),
        options: &["virtualization=on"],
        fixed: None,
        tree: TreeSource::Qemu,
        ports_before_console: 0,
        u_boot: Some(Board::Virt),
        switches_off: true,
        has_sound: false,
    },
    Model {
        name: "xlnx-zcu102",
        since: (7, 2),
        options: &["virtualization=on"],
        // QEMU has more in another place, but lists it in the tree where devices are.
        fixed: Some(Fixed {
            smp: 4,
            cpus: 4,
            cpu: "cortex-a53",
            gic: 2,
            ram: None,
            most_ram: Some(2 * GIB),
        }),
        tree: TreeSource::Board("zynqmp-zcu102-rev1.0.dtb"),
        ports_before_console: 0,
        u_boot: None,
        switches_off: true,
        has_sound: true,
    },
    Model {
        name: "xlnx-versal-virt",
        since: (7, 2),
        options: &[],
        // Two Cortex-R5 beside them, which the tree does not list.
        fixed: Some(Fixed {
            smp: 4,
            cpus: 2,
            cpu: "cortex-a72",
            gic: 3,
            ram: None,
            most_ram: None,
        }),
        tree: TreeSource::QemuWithoutSeed,
        ports_before_console: 0,
        u_boot: None,
        switches_off: true,
        has_sound: false,
    },
    Model {
        name: "imx8mp-evk",
        // Known from 10.0 on, which does not connect the GIC's virtual interrupts to the CPUs.
        since: (11, 0),
        options: &[],
        fixed: Some(Fixed {
            smp: 4,
            cpus: 4,
            cpu: "cortex-a53",
            gic: 3,
            ram: None,
            most_ram: None,
        }),
        tree: TreeSource::Board("imx8mp-evk.dtb"),
        // The console is UART2.
        ports_before_console: 1,
        u_boot: None,
        switches_off: true,
        has_sound: false,
    },
    Model {
        name: "raspi4b",
        since: (9, 0),
        options: &[],
        fixed: Some(Fixed {
            smp: 4,
            cpus: 4,
            cpu: "cortex-a72",
            gic: 2,
            ram: Some(2 * GIB),
            most_ram: None,
        }),
        tree: TreeSource::Board("bcm2711-rpi-4-b.dtb"),
        // The console is the mini UART.
        ports_before_console: 1,
        u_boot: Some(Board::Rpi4),
        // CPUs wait at a spin table; there is no PSCI.
        switches_off: false,
        has_sound: false,
    },
];

impl Model {
    /// The model that `words`, a machine's name with options after commas, names. Versions of a
    /// machine such as `virt-7.2` are that machine.
    ///
    /// # Errors
    ///
    /// It is none of ours; the message lists those.
    pub fn find(words: &str) -> Result<&'static Self> {
        let name = words.split(',').next().unwrap_or_default();
        let is = |model: &&Self| {
            let rest = name.strip_prefix(model.name);
            rest.is_some_and(|rest| {
                rest.is_empty()
                    || rest
                        .strip_prefix('-')
                        .is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
            })
        };
        MODELS.iter().find(is).with_context(|| {
            let known: Vec<_> = MODELS.iter().map(|model| model.name).collect();
            format!("Postern does not know the machine `{name}`; it knows {}", known.join(", "))
        })
    }

    /// Whether its RAM is what it is.
    pub fn has_fixed_ram(&self) -> bool {
        self.fixed.as_ref().is_some_and(|fixed| fixed.ram.is_some())
    }

    /// Refuses choices that the machine does not leave.
    ///
    /// # Errors
    ///
    /// The message names the option and what the machine has.
    pub fn check(&self, cpu: Option<&str>, gic: Option<u8>, smp: Option<u32>) -> Result<()> {
        let Some(fixed) = &self.fixed else { return Ok(()) };
        let refused = |option: &str, has: &str| {
            bail!("the machine {} has {has}: leave {option} out", self.name)
        };
        if cpu.is_some_and(|cpu| cpu != fixed.cpu) {
            refused("--cpu", fixed.cpu)?;
        }
        if gic.is_some_and(|gic| gic != fixed.gic) {
            refused("--gic", &format!("a GICv{}", fixed.gic))?;
        }
        if smp.is_some_and(|smp| smp != fixed.smp && smp != fixed.cpus) {
            refused("--smp", &format!("{} CPUs", fixed.cpus))?;
        }
        Ok(())
    }

    /// `words` with what a hypervisor needs, unless they already say otherwise; `gic` is for a
    /// machine whose interrupt controller can be chosen, `silent` names a sound driver.
    pub(super) fn option(&self, words: &str, gic: u8, silent: Option<&str>) -> String {
        let mut option = words.to_owned();
        let mut add = |word: &str| {
            let key = word.split('=').next().unwrap_or_default();
            if !option.contains(&format!(",{key}=")) {
                option.push(',');
                option.push_str(word);
            }
        };
        self.options.iter().for_each(|word| add(word));
        if self.fixed.is_none() {
            add(&format!("gic-version={gic}"));
        }
        if let Some(silent) = silent {
            add(&format!("audiodev={silent}"));
        }
        option
    }

    /// Whether a QEMU of this version must be told on the machine which sound driver to use, or
    /// only that there is a silent one; nothing if there is no sound.
    pub(super) fn sound(&self, version: (u32, u32)) -> Option<Sound> {
        // QEMU 8.2 made sound of machines an option of theirs and refuses to guess.
        self.has_sound.then_some(if version >= (8, 2) { Sound::OfMachine } else { Sound::First })
    }
}

/// How QEMU finds the sound driver of a machine's own device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sound {
    /// It takes the first that there is.
    First,
    /// The machine must name it.
    OfMachine,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_found_by_name_and_others_refused_with_a_list() {
        for (words, name) in [
            ("virt", "virt"),
            ("virt-7.2,gic-version=2", "virt"),
            ("xlnx-versal-virt", "xlnx-versal-virt"),
            ("raspi4b", "raspi4b"),
        ] {
            assert_eq!(Model::find(words).unwrap().name, name);
        }
        for wrong in ["virtual", "virt-x", "raspi4", "", "sbsa-ref"] {
            let text = Model::find(wrong).unwrap_err().to_string();
            assert!(MODELS.iter().all(|model| text.contains(model.name)), "{text}");
        }
    }

    #[test]
    fn options_are_added_once() {
        let virt = Model::find("virt").unwrap();
        for (given, option) in [
            ("virt", "virt,virtualization=on,gic-version=3"),
            ("virt-7.2", "virt-7.2,virtualization=on,gic-version=3"),
            ("virt,gic-version=2", "virt,gic-version=2,virtualization=on"),
            ("virt,virtualization=off", "virt,virtualization=off,gic-version=3"),
        ] {
            assert_eq!(virt.option(given, 3, None), option);
        }
        let zcu102 = Model::find("xlnx-zcu102").unwrap();
        assert_eq!(
            zcu102.option("xlnx-zcu102", 3, Some("none")),
            "xlnx-zcu102,virtualization=on,audiodev=none"
        );
        assert_eq!(Model::find("raspi4b").unwrap().option("raspi4b", 3, None), "raspi4b");
    }

    #[test]
    fn what_a_machine_does_not_leave_to_choice_is_refused() {
        let zcu102 = Model::find("xlnx-zcu102").unwrap();
        zcu102.check(None, None, None).unwrap();
        zcu102.check(Some("cortex-a53"), Some(2), Some(4)).unwrap();
        for (cpu, gic, smp, option) in [
            (Some("max"), None, None, "--cpu"),
            (None, Some(3), None, "--gic"),
            (None, None, Some(2), "--smp"),
        ] {
            let text = zcu102.check(cpu, gic, smp).unwrap_err().to_string();
            assert!(text.contains(option), "{text}");
        }
        Model::find("virt").unwrap().check(Some("max"), Some(2), Some(8)).unwrap();
    }
}
