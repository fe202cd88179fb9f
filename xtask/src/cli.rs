//! The command line: names, options, help. What they mean is in each command's own module.

use clap::{Parser, Subcommand};

use crate::{
    audit, bench, board_check, build, bundle, coverage, fuzz, guest, image, miri, mutants, run,
    scenario, test,
};

/// Builds, runs and tests Postern, a Type-1 hypervisor for AArch64.
///
/// What a command needs and the machine lacks (an emulator, a compiler target) is provided first,
/// with a word on what is done and why.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build the hypervisor image and the test guests, and show their size.
    Build(build::Options),
    /// Pack the VMs of a description into a bundle, the one file that the hypervisor reads.
    Bundle(bundle::Options),
    /// Make what a board boots: a disk or card image for its U-Boot, or a FIT with hashes.
    ///
    /// On the card are the hypervisor, its VMs, the board's device tree, and the files that tell
    /// U-Boot to start them. What has to be added by hand, such as closed firmware, and how to
    /// write the card is printed at the end; docs/boards.md explains all of it.
    #[command(after_help = "Examples: cargo xtask image --board rpi4 linux -o card.img\n  \
        cargo xtask image --board generic --tree BOARD.dtb --image-addr A --bundle-addr B \
        --tree-addr C linux -o card.img\n\n\
        Exit status: 0 the image is written; 2 wrong arguments, bad input or something that cannot \
        be had.")]
    Image(Box<image::Options>),
    /// Say from a board's device tree whether Postern will boot there, before anybody flashes.
    ///
    /// Reads the tree as the hypervisor will, and shows what it would take of the machine, where
    /// things lie, what collides, what is missing, and what mends it.
    #[command(after_help = "Exit status: 0 nothing found that stops the boot; 1 a finding will \
        stop it; 2 wrong arguments or bad input, such as a damaged tree. Of several trees the gravest \
        counts. docs/running.md has the fields of --json.")]
    BoardCheck(Box<board_check::Options>),
    /// Boot the hypervisor under QEMU, its console on this terminal.
    #[command(after_help = "Examples:\n  \
        cargo xtask run                             the demonstration\n  \
        cargo xtask run linux                       Linux as a protected VM, to a shell\n  \
        cargo xtask run --kernel FILE --protected   a payload of your own\n  \
        cargo xtask run linux -- -d int -D qemu.log a word to QEMU\n\n\
        docs/running.md explains all of it.\n\n\
        Exit status: 0 the guest powered off; 1 it crashed, cannot get any further, broke a rule that \
        was to be denied, or its own tests failed; 2 wrong arguments or bad input; 3 the hypervisor \
        failed; 4 the run was cut off: Ctrl-A x, gdb's kill, a killed QEMU; 124 time limit; 130 \
        interrupted.")]
    Run(Box<run::Options>),
    /// Run the scenarios of `tests/scenarios` under QEMU, with a verdict line for each.
    QemuTest(scenario::Options),
    /// Run everything that CI runs: format, lints, host tests, rules of the house, scenarios; or, with
    /// `--all`, everything there is, or a part of it.
    Test(test::Options),
    /// Let libFuzzer look for inputs that break what reads a guest's or a loader's bytes.
    ///
    /// Each target runs for its share of the time and is asked for an answer that was come to in
    /// another way. A verdict line says how many inputs it was given, how many branches of the code
    /// they reached, and how many inputs it takes to reach them all.
    #[command(after_help = fuzz::after_help())]
    Fuzz(fuzz::Options),
    /// Check the finished image: no panic from a guest's trap, stacks deep enough.
    Audit(audit::Options),
    /// Say which lines of `hyp-core` its own tests and the model's run.
    #[command(after_help = "Exit status: 0 enough of them; 1 too few; 2 a test fails, or the \
        compiler's tools cannot be had.")]
    Coverage(coverage::Options),
    /// Run host tests in Miri, an interpreter that finds undefined behaviour; takes hours.
    ///
    /// It needs a nightly toolchain, which rustup fetches if it is missing.
    Miri(miri::Options),
    /// Count the instructions of each operation, beside hand-written code that does the least.
    Bench(bench::Options),
    /// Change `hyp-core` in small ways, one at a time, and see whether a test notices.
    ///
    /// Takes an hour or more. A change that no test notices must be in tests/mutants.toml with the
    /// reason.
    #[command(
        after_help = "Exit status: 0 enough is noticed and each survivor explained; 1 not so; \
        2 wrong arguments, or the tool cannot be had."
    )]
    Mutants(mutants::Options),
    /// Make this machine able to build, run and test; says what it installs and why.
    Setup {
        /// Also fetch newer QEMUs, which lie beside the machine's own and do not disturb it, and
        /// the device trees of boards.
        #[arg(long)]
        boards: bool,
    },
    /// Provide the files of a real guest, fetched or built once, and say where they are.
    Guest {
        /// The guest.
        which: guest::Which,
    },
}
