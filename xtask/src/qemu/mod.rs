//! QEMU as the machine that Postern runs on.

mod session;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use session::{Ending, Session, stop_asked, watch_for_stop};

/// The machine to emulate.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The emulator program.
    pub qemu: PathBuf,
    /// `-machine`: a name, optionally with options.
    pub machine: String,
    /// Version of the interrupt controller, 2 or 3; only for the machine `virt`.
    pub gic: u8,
    /// `-cpu`.
    pub cpu: String,
    /// Number of CPUs.
    pub smp: u32,
    /// Bytes of RAM.
    pub ram: u64,
    /// What follows `--` on our command line: to QEMU untouched.
    pub extra: Vec<OsString>,
}

/// What the machine starts.
#[derive(Debug, Clone, Copy)]
pub struct Boot<'a> {
    /// Flat hypervisor image.
    pub image: &'a Path,
    /// The VMs. Without one EL2 can only complain, and a test wants to see that.
    pub bundle: Option<&'a Path>,
    /// EL2's boot arguments.
    pub arguments: &'a str,
    /// Who starts it instead of QEMU itself.
    pub via: Option<Firmware<'a>>,
}

/// Firmware that runs first.
#[derive(Debug, Clone, Copy)]
pub struct Firmware<'a> {
    /// The firmware.
    pub program: &'a Path,
    /// The disk that it boots, on which is all that [`Boot`] names.
    pub disk: &'a Path,
}

impl Boot<'_> {
    fn start(&self, command: &mut Command) {
        if let Some(firmware) = self.via {
            // A comma in a path is doubled in QEMU's options.
            let disk = firmware.disk.display().to_string().replace(',', ",,");
            command.arg("-bios").arg(firmware.program);
            command.args(["-drive", &format!("if=none,id=disk,format=raw,file={disk}")]);
            command.args(["-device", "virtio-blk-device,drive=disk"]);
            return;
        }
        command.arg("-kernel").arg(self.image);
        if let Some(bundle) = self.bundle {
            command.arg("-initrd").arg(bundle);
        }
        if !self.arguments.is_empty() {
            command.args(["-append", self.arguments]);
        }
    }
}

/// Who uses QEMU's standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyboard {
    /// A person: Ctrl-A x ends QEMU, Ctrl-A c is its monitor.
    Terminal,
    /// A pipe, a file or nothing: every byte is the guest's.
    Plain,
}

/// CPUs that QEMU wants for `machine` in any case.
pub fn least_cpus(machine: &str) -> u32 {
    match machine.split(',').next() {
        // Two Cortex-A72 and two Cortex-R5, of which the tree lists the former.
        Some("xlnx-versal-virt") => 4,
        _ => 1,
    }
}

impl Machine {
    /// The command that boots `boot` on this machine, its console on standard input and output.
    pub fn command(&self, boot: Boot<'_>, keyboard: Keyboard) -> Command {
        let mut command = self.bare(&self.machine_option());
        // A reset asked of the firmware is a fault of ours; it must not loop for ever.
        command.args(["-nodefaults", "-no-reboot", "-display", "none"]);
        match keyboard {
            Keyboard::Terminal => command.args(["-serial", "mon:stdio"]),
            Keyboard::Plain => command.args(["-monitor", "none", "-serial", "stdio"]),
        };
        boot.start(&mut command);
        command.args(&self.extra);
        command
    }

    /// The command that writes the device tree of this machine to `path` and runs nothing.
    pub fn tree_command(&self, path: &Path) -> Command {
        let comma_doubled = path.display().to_string().replace(',', ",,");
        let mut command = self.bare(&format!("{},dumpdtb={comma_doubled}", self.machine_option()));
        command.args(["-nodefaults", "-display", "none"]);
        command
    }

    /// The machine alone.
    fn bare(&self, option: &str) -> Command {
        let mut command = Command::new(&self.qemu);
        command.args(["-machine", option, "-cpu", &self.cpu, "-smp", &self.smp.to_string()]);
        // In MiB, rounded up: QEMU's own granule for RAM.
        command.args(["-m", &format!("{}M", self.ram.div_ceil(1 << 20))]);
        command
    }

    /// `-machine` with what a hypervisor needs, unless the caller's words already say otherwise.
    fn machine_option(&self) -> String {
        let mut option = self.machine.clone();
        let name = self.machine.split(',').next().unwrap_or_default();
        if name == "virt" || name.starts_with("virt-") {
            if !option.contains(",virtualization=") {
                option.push_str(",virtualization=on");
            }
            if !option.contains(",gic-version=") {
                option.push_str(&format!(",gic-version={}", self.gic));
            }
        }
        option
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::exec::command_line;

    fn machine(machine: &str) -> Machine {
        Machine {
            qemu: PathBuf::from("qemu-system-aarch64"),
            machine: machine.to_owned(),
            gic: 3,
            cpu: "cortex-a72".to_owned(),
            smp: 2,
            ram: (512 << 20) + 1,
            extra: vec![OsString::from("-icount")],
        }
    }

    #[test]
    fn virt_gets_what_a_hypervisor_needs_and_the_callers_word_wins() {
        for (given, option) in [
            ("virt", "virt,virtualization=on,gic-version=3"),
            ("virt-7.2", "virt-7.2,virtualization=on,gic-version=3"),
            ("virt,gic-version=2", "virt,gic-version=2,virtualization=on"),
            ("virt,virtualization=off", "virt,virtualization=off,gic-version=3"),
            ("raspi4b", "raspi4b"),
        ] {
            assert_eq!(machine(given).machine_option(), option);
        }
    }

    #[test]
    fn the_command_line_boots_the_image_with_bundle_and_arguments() {
        let boot = Boot {
            image: Path::new("postern.img"),
            bundle: Some(Path::new("b")),
            arguments: "postern.log=debug x",
            via: None,
        };
        let words = command_line(&machine("virt").command(boot, Keyboard::Plain));
        assert_eq!(
            words,
            "qemu-system-aarch64 -machine virt,virtualization=on,gic-version=3 -cpu cortex-a72 \
             -smp 2 -m 513M -nodefaults -no-reboot -display none -monitor none -serial stdio \
             -kernel postern.img -initrd b -append 'postern.log=debug x' -icount"
        );

        let firmware = Firmware { program: Path::new("u-boot.bin"), disk: Path::new("a,b.disk") };
        let boot = Boot { via: Some(firmware), ..boot };
        let words = command_line(&machine("virt").command(boot, Keyboard::Plain));
        let (_, start) = words.split_once(" -serial stdio ").unwrap();
        assert_eq!(
            start,
            "-bios u-boot.bin -drive if=none,id=disk,format=raw,file=a,,b.disk \
             -device virtio-blk-device,drive=disk -icount"
        );
    }
}
