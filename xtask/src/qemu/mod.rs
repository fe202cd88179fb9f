//! QEMU as the machine that Postern runs on.

mod model;
mod session;
mod tether;
mod tree;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::board::Board;
use crate::setup::Qemu;
use model::Sound;
pub use model::{MODELS, Model, TreeSource};
pub use session::{Ending, INTERRUPTED, Session, Typist, stop_asked, watch_for_stop};

/// The machine to emulate.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The emulator.
    pub qemu: Qemu,
    /// What kind of machine.
    pub model: &'static Model,
    /// `-machine`: the model's name, optionally with options.
    pub machine: String,
    /// Version of the interrupt controller, 2 or 3.
    pub gic: u8,
    /// `-cpu`.
    pub cpu: String,
    /// Number of CPUs.
    pub smp: u32,
    /// Bytes of RAM.
    pub ram: u64,
    /// How the RAM is made.
    pub memory: Memory,
    /// Device tree in place of QEMU's own.
    pub tree: Option<PathBuf>,
    /// What follows `--` on our command line: to QEMU untouched.
    pub extra: Vec<OsString>,
}

/// How RAM is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Memory {
    /// In one piece, of the host's memory as far as it is used.
    #[default]
    Plain,
    /// As nodes of these sizes, one behind the other.
    Banks(Vec<u64>),
    /// In one piece, of this file.
    File(PathBuf),
}

impl Memory {
    /// More than this is taken from the host only as it is used: many a host has less.
    const PROMISED: u64 = 8 << 30;

    /// Words for QEMU.
    fn arguments(&self, ram: u64) -> Vec<String> {
        let option = |name: &str, value: String| [format!("-{name}"), value];
        let late = "memory-backend-ram,reserve=off";
        match self {
            Self::Plain if ram <= Self::PROMISED => Vec::new(),
            Self::Plain => [
                option("object", format!("{late},id=ram,size={ram}")),
                option("machine", "memory-backend=ram".to_owned()),
            ]
            .concat(),
            Self::Banks(banks) => banks
                .iter()
                .enumerate()
                .flat_map(|(n, size)| {
                    [
                        option("object", format!("{late},id=bank{n},size={size}")),
                        option("numa", format!("node,memdev=bank{n}")),
                    ]
                    .concat()
                })
                .collect(),
            Self::File(path) => {
                // A comma in a path is doubled in QEMU's options.
                let path = path.display().to_string().replace(',', ",,");
                let file =
                    format!("memory-backend-file,id=ram,share=on,size={ram},mem-path={path}");
                [option("object", file), option("machine", "memory-backend=ram".to_owned())]
                    .concat()
            }
        }
    }
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
    /// The board that it was built for.
    pub board: Board,
    /// A machine option, `key=value`, that it needs unless the caller's words have the key.
    pub option: Option<&'static str>,
}

impl Boot<'_> {
    fn start(&self, command: &mut Command) {
        if let Some(firmware) = self.via {
            // A comma in a path is doubled in QEMU's options.
            let disk = firmware.disk.display().to_string().replace(',', ",,");
            if firmware.board == Board::Rpi4 {
                // The Pi's own firmware, which QEMU stands in for, starts it as it would a kernel.
                command.arg("-kernel").arg(firmware.program);
                command.args(["-drive", &format!("if=sd,format=raw,file={disk}")]);
            } else {
                command.arg("-bios").arg(firmware.program);
                command.args(["-drive", &format!("if=none,id=disk,format=raw,file={disk}")]);
                command.args(["-device", "virtio-blk-device,drive=disk"]);
            }
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

/// Name of the driver that makes no sound.
const SILENCE: &str = "silence";

impl Machine {
    /// The command that boots `boot` on this machine, its console on standard input and output.
    pub fn command(&self, boot: Boot<'_>, keyboard: Keyboard) -> Command {
        let option = boot.via.and_then(|firmware| firmware.option);
        let mut command =
            self.bare(&option.map_or_else(String::new, |option| self.unless_said(option)));
        // A reset asked of the firmware is a fault of ours; it must not loop for ever.
        command.args(["-nodefaults", "-no-reboot", "-display", "none"]);
        for _ in 0..self.model.ports_before_console {
            command.args(["-serial", "null"]);
        }
        match keyboard {
            Keyboard::Terminal => command.args(["-serial", "mon:stdio"]),
            Keyboard::Plain => command.args(["-monitor", "none", "-serial", "stdio"]),
        };
        if let Some(tree) = &self.tree {
            command.arg("-dtb").arg(tree);
        }
        boot.start(&mut command);
        command.args(&self.extra);
        command
    }

    /// The command that writes the device tree of this machine, were it to start `image`, to `path`
    /// and runs nothing.
    fn tree_command(&self, image: &Path, path: &Path) -> Command {
        let comma_doubled = path.display().to_string().replace(',', ",,");
        let mut command = self.bare(&format!(",dumpdtb={comma_doubled}"));
        command.args(["-nodefaults", "-display", "none", "-kernel"]).arg(image);
        command
    }

    /// `option` as one more, unless the caller's words have its key.
    fn unless_said(&self, option: &str) -> String {
        let key = |word: &str| word.split('=').next().map(str::to_owned);
        let said = self.machine.split(',').skip(1).any(|word| key(word) == key(option));
        if said { String::new() } else { format!(",{option}") }
    }

    /// The machine alone, with more machine options.
    fn bare(&self, more: &str) -> Command {
        let mut command = Command::new(&self.qemu.program);
        let sound = self.model.sound(self.qemu.version);
        let silent = (sound == Some(Sound::OfMachine)).then_some(SILENCE);
        let option = self.model.option(&self.machine, self.gic, silent);
        command.args(["-machine", &format!("{option}{more}")]);
        if self.model.fixed.is_none() {
            command.args(["-cpu", &self.cpu]);
        }
        command.args(["-smp", &self.smp.to_string()]);
        // In MiB, rounded up: QEMU's own granule for RAM.
        let ram = self.ram.next_multiple_of(1 << 20);
        command.args(["-m", &format!("{}M", ram >> 20)]);
        command.args(self.memory.arguments(ram));
        if sound.is_some() {
            command.args(["-audiodev", &format!("none,id={SILENCE}")]);
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::exec::command_line;

    fn machine(machine: &str, version: (u32, u32)) -> Machine {
        Machine {
            qemu: Qemu {
                program: PathBuf::from("qemu-system-aarch64"),
                version,
                shown_version: String::new(),
            },
            model: Model::find(machine).unwrap(),
            machine: machine.to_owned(),
            gic: 3,
            cpu: "cortex-a72".to_owned(),
            smp: 2,
            ram: (512 << 20) + 1,
            memory: Memory::Plain,
            tree: None,
            extra: vec![OsString::from("-icount")],
        }
    }

    #[test]
    fn a_board_has_its_own_cpus_console_tree_and_no_sound() {
        let boot = Boot { image: Path::new("i"), bundle: None, arguments: "", via: None };
        let words = |name: &str, version| {
            let mut machine = machine(name, version);
            machine.tree = Some(PathBuf::from("t.dtb"));
            command_line(&machine.command(boot, Keyboard::Plain))
        };
        assert_eq!(
            words("raspi4b", (9, 0)),
            "qemu-system-aarch64 -machine raspi4b -smp 2 -m 513M -nodefaults -no-reboot \
             -display none -serial null -monitor none -serial stdio -dtb t.dtb -kernel i -icount"
        );
        let old = words("xlnx-zcu102", (7, 2));
        assert!(old.contains("xlnx-zcu102,virtualization=on -smp"), "{old}");
        let new = words("xlnx-zcu102", (10, 0));
        assert!(new.contains("xlnx-zcu102,virtualization=on,audiodev=silence -smp"), "{new}");
        assert!([old, new].iter().all(|words| words.contains(" -audiodev none,id=silence ")));
    }

    #[test]
    fn memory_is_in_one_piece_in_banks_or_in_a_file() {
        let words = |memory: &Memory, ram| memory.arguments(ram).join(" ");
        assert_eq!(words(&Memory::Plain, 1 << 30), "");
        assert_eq!(
            words(&Memory::Plain, 64 << 30),
            "-object memory-backend-ram,reserve=off,id=ram,size=68719476736 \
             -machine memory-backend=ram"
        );
        assert_eq!(
            words(&Memory::Banks(vec![1, 2]), 3),
            "-object memory-backend-ram,reserve=off,id=bank0,size=1 -numa node,memdev=bank0 \
             -object memory-backend-ram,reserve=off,id=bank1,size=2 -numa node,memdev=bank1"
        );
        assert_eq!(
            words(&Memory::File("a,b".into()), 4),
            "-object memory-backend-file,id=ram,share=on,size=4,mem-path=a,,b \
             -machine memory-backend=ram"
        );
    }

    #[test]
    fn the_command_line_boots_the_image_with_bundle_and_arguments() {
        let boot = Boot {
            image: Path::new("postern.img"),
            bundle: Some(Path::new("b")),
            arguments: "postern.log=debug x",
            via: None,
        };
        let words = command_line(&machine("virt", (7, 2)).command(boot, Keyboard::Plain));
        assert_eq!(
            words,
            "qemu-system-aarch64 -machine virt,virtualization=on,gic-version=3 -cpu cortex-a72 \
             -smp 2 -m 513M -nodefaults -no-reboot -display none -monitor none -serial stdio \
             -kernel postern.img -initrd b -append 'postern.log=debug x' -icount"
        );

        let firmware = |board| Firmware {
            program: Path::new("u-boot.bin"),
            disk: Path::new("a,b.disk"),
            board,
            option: None,
        };
        let boot = Boot { via: Some(firmware(Board::Virt)), ..boot };
        let words = command_line(&machine("virt", (7, 2)).command(boot, Keyboard::Plain));
        let (_, start) = words.split_once(" -serial stdio ").unwrap();
        assert_eq!(
            start,
            "-bios u-boot.bin -drive if=none,id=disk,format=raw,file=a,,b.disk \
             -device virtio-blk-device,drive=disk -icount"
        );
        let boot = Boot { via: Some(firmware(Board::Rpi4)), ..boot };
        let words = command_line(&machine("raspi4b", (9, 0)).command(boot, Keyboard::Plain));
        let end =
            " -serial stdio -kernel u-boot.bin -drive if=sd,format=raw,file=a,,b.disk -icount";
        assert!(words.ends_with(end), "{words}");
    }

    #[test]
    fn what_firmware_needs_is_said_unless_the_caller_says_otherwise() {
        let firmware = Firmware {
            program: Path::new("efi"),
            disk: Path::new("disk"),
            board: Board::Virt,
            option: Some("acpi=off"),
        };
        let boot = Boot { image: Path::new("i"), bundle: None, arguments: "", via: Some(firmware) };
        for (machine_words, acpi) in
            [("virt", ",acpi=off"), ("virt,acpi=on", ",acpi=on"), ("virt-7.2,its=off", ",acpi=off")]
        {
            let command = machine(machine_words, (7, 2)).command(boot, Keyboard::Plain);
            let words = command_line(&command);
            assert_eq!(words.matches(",acpi=").count(), 1, "{words}");
            assert!(words.contains(acpi), "{words}");
        }
    }
}
