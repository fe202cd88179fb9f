//! The conformance guest where other hosts put it, as far as an emulator shows it: memory from 2 GiB on,
//! a 16550, no hypervisor. Under Postern at 2 GiB is `tests/scenarios/elsewhere.toml`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};

use crate::bundle::node::{Node, cells};
use crate::qemu::{Ending, Session, Typist};
use crate::run::console::Lines;
use crate::scenario::Tally;
use crate::setup::{self, exec::command_line};
use crate::{build, tap, workspace};

/// A run takes a few seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// What the guest begins its last line with where it cannot run.
const BAIL_OUT: &str = "Bail out!";

/// Rows that real hardware or an emulator satisfies, with a GICv3 and one CPU, and no PL011.
const BARE_ROWS: [&str; 14] = [
    "R104", "R106", "R108", "P3", "R64", "R64m", "R74-R75", "R78", "G1-G10", "G12-G17", "G19",
    "G24", "G31-G33", "T1-T7",
];

/// Where memory begins, where the guest is put, 4 KiB off any larger block, and its tree.
const MEMORY: u64 = 2 << 30;
const MEMORY_SIZE: u64 = 128 << 20;
const GUEST: u64 = MEMORY + 0x8_1000;
const TREE: u64 = MEMORY + (64 << 20);

/// Ports of QEMU's `virt` begin here, and the 16550 gets this one.
const PORTS: u64 = 0x3eff_0000;
const PORT: u64 = 0x1000;

type Check = fn(&Bench) -> Result<()>;

/// Each run is a check.
pub fn round() -> Result<Tally> {
    let bench = Bench::new()?;
    let checks: [(&str, Check); 3] = [
        ("with a 16550, and memory from 2 GiB on", with_a_16550),
        ("without a hypervisor", without_a_hypervisor),
        ("at EL2", at_el2),
    ];
    let verdict = |(name, check): (&str, Check)| {
        let result = check(&bench);
        let verdict = if result.is_ok() { "PASS" } else { "FAIL" };
        println!("{verdict} conformance elsewhere, {name}");
        if let Err(error) = &result {
            println!("     {}", format!("{error:#}").replace('\n', "\n     "));
        }
        Tally::of_one(result.is_ok())
    };
    Ok(checks.into_iter().map(verdict).sum())
}

struct Bench {
    qemu: PathBuf,
    image: PathBuf,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Result<Self> {
        setup::ensure_c_tools()?;
        let folder = tempfile::tempdir_in(workspace::output_dir()?)?;
        Ok(Self { qemu: setup::ensure_qemu()?, image: build::conformance_image()?, folder })
    }

    /// QEMU's `virt`, of whose options `machine` are some, with one CPU.
    fn machine(&self, machine: &str) -> Command {
        let mut command = Command::new(&self.qemu);
        command.arg("-machine").arg(format!("virt,gic-version=3,{machine}"));
        command.args(["-cpu", "cortex-a72", "-nodefaults", "-no-reboot", "-display", "none"]);
        command
    }

    /// Runs with the console that such machines have, and the guest started by QEMU.
    fn direct(&self, machine: &str) -> Command {
        let mut command = self.machine(machine);
        command.args(["-m", "64", "-serial", "stdio", "-kernel"]).arg(&self.image);
        command
    }
}

/// All rows that need no hypervisor.
fn with_a_16550(bench: &Bench) -> Result<()> {
    let loader = loader(bench.folder.path())?;
    let tree = bench.folder.path().join("guest.dtb");
    fs::write(&tree, tree_with_a_16550("expect=bare"))?;
    // 256 MiB of it are the guest's.
    let mut command = bench.machine("highmem=off");
    command.args(["-m", "1280", "-chardev", "stdio,id=console"]);
    command.args(["-device", "pci-serial,chardev=console,addr=1", "-kernel"]).arg(loader);
    for (file, at) in [(&bench.image, GUEST), (&tree, TREE)] {
        let file = file.display();
        command.arg("-device").arg(format!("loader,file={file},addr={at:#x},force-raw=on"));
    }
    let lines = run(&command, false)?;
    let rows = tap::rows(&BARE_ROWS.map(str::to_owned)).map_err(|wrong| anyhow!(wrong))?;
    let complaints = tap::complaints(&lines, &rows);
    if !complaints.is_empty() {
        bail!("{}\n{}", complaints.join("\n"), command_line(&command));
    }
    Ok(())
}

/// It says so and does not go on.
fn without_a_hypervisor(bench: &Bench) -> Result<()> {
    says(&bench.direct("virtualization=off"), false, "no hypervisor of the pKVM guest ABI is here")
}

/// Likewise.
fn at_el2(bench: &Bench) -> Result<()> {
    says(&bench.direct("virtualization=on"), true, "started at EL2")
}

fn says(command: &Command, stays_on: bool, why: &str) -> Result<()> {
    let lines = run(command, stays_on)?;
    let begin = format!("{BAIL_OUT} {why}");
    if !lines.iter().any(|line| line.starts_with(&begin)) {
        bail!("it never said `{begin}`\n{}\n{}", lines.join("\n"), command_line(command));
    }
    Ok(())
}

/// The lines on the console.
fn run(command: &Command, stays_on: bool) -> Result<Vec<String>> {
    let mut session = Session::start(command, Typist::Nobody, Some(LIMIT))?;
    if stays_on {
        session = session.until_line(BAIL_OUT);
    }
    let mut cutter = Lines::default();
    let mut lines = Vec::new();
    let ending = session.run(|piece| {
        lines.extend(cutter.feed(piece));
        Ok(Vec::new())
    })?;
    lines.extend(cutter.finish());
    match ending {
        Ending::Exited(_) => Ok(lines),
        Ending::TimeLimit => bail!("it hangs\n{}\n{}", lines.join("\n"), command_line(command)),
        Ending::Interrupted => bail!("interrupted"),
    }
}

/// What enters the guest; its ELF file, in `folder`.
fn loader(folder: &Path) -> Result<PathBuf> {
    let elf = folder.join("loader.elf");
    let mut command = Command::new("aarch64-linux-gnu-gcc");
    command.args(["-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none,-Ttext=0x40000000"]);
    for (name, value) in [("PORT", PORT), ("TREE", TREE), ("GUEST", GUEST)] {
        command.arg(format!("-D{name}={value:#x}"));
    }
    command.arg(workspace::root().join("tests/elsewhere/loader.S")).arg("-o").arg(&elf);
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        bail!("{}\n{}", command_line(&command), String::from_utf8_lossy(&output.stderr));
    }
    Ok(elf)
}

/// A tree as kvmtool and crosvm write them, for a machine with the devices of QEMU's `virt`.
fn tree_with_a_16550(bootargs: &str) -> Vec<u8> {
    let uart = PORTS + PORT;
    let gic = cells([0x0800_0000, 0x1_0000, 0x080a_0000, 0x2_0000]);
    Node::new("")
        .with("#address-cells", 2_u32)
        .with("#size-cells", 2_u32)
        .with("compatible", "linux,dummy-virt")
        .child(Node::new("aliases").with("serial0", format!("/U6_16550A@{uart:x}").as_str()))
        .child(Node::new("chosen").with("bootargs", bootargs).with("stdout-path", "serial0"))
        .child(Node::new("memory").with("reg", cells([MEMORY, MEMORY_SIZE]).as_slice()))
        .child(
            Node::new("cpus")
                .with("#address-cells", 1_u32)
                .with("#size-cells", 0_u32)
                .child(Node::new("cpu@0").with("device_type", "cpu").with("reg", 0_u32)),
        )
        .child(Node::new("intc").with("compatible", "arm,gic-v3").with("reg", gic.as_slice()))
        .child(
            Node::new(&format!("U6_16550A@{uart:x}"))
                .with("compatible", "ns16550a")
                .with("reg", cells([uart, 8]).as_slice()),
        )
        .flatten()
}
