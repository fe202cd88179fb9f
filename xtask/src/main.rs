//! Postern's one command-line face: `cargo xtask --help`.
#![expect(unreachable_pub, reason = "a program has no users: `pub` means the other modules")]

#[macro_use]
mod output;

mod audit;
mod bench;
mod board;
mod board_check;
mod build;
mod bundle;
mod cli;
mod coverage;
mod fuzz;
mod guest;
mod image;
mod libtest;
mod miri;
mod mutants;
mod output_file;
mod payload;
mod qemu;
mod report;
mod run;
mod scenario;
mod setup;
mod symbolize;
mod tap;
mod test;
mod trace;
mod units;
mod vm_desc;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use cli::{Cli, Command};
use hyp_abi::exit;

fn main() -> ExitCode {
    if build::link::has_role() {
        return ended(build::link::link());
    }
    let status = match Cli::parse().command {
        Command::Build(options) => build::command(&options).map(|()| 0),
        Command::Bundle(options) => bundle::command(&options).map(|()| 0),
        Command::Image(options) => image::command(&options).map(|()| 0),
        Command::BoardCheck(options) => board_check::command(&options),
        Command::Run(options) => run::command(&options),
        Command::QemuTest(options) => scenario::command(&options),
        Command::Audit(options) => audit::command(&options),
        Command::Bench(options) => bench::command(&options),
        Command::Coverage(options) => coverage::command(&options),
        Command::Fuzz(options) => fuzz::command(&options),
        Command::Miri(options) => miri::command(&options),
        Command::Mutants(options) => mutants::command(&options),
        Command::Test(options) => test::command(&options),
        Command::Setup { boards } => provide(boards).map(|()| 0),
        Command::Guest { which } => guest::command(which).map(|()| 0),
    };
    ended(status)
}

/// The program's exit status.
fn ended(status: Result<u8>) -> ExitCode {
    match status {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            let told_to_stop = qemu::stop_asked();
            ExitCode::from(if told_to_stop { qemu::INTERRUPTED } else { exit::BAD_INPUT })
        }
    }
}

/// `cargo xtask setup`: everything that any other command would ask for, guests included; what
/// only boards take if asked for.
fn provide(boards: bool) -> Result<()> {
    setup::everything()?;
    if boards {
        setup::for_boards()?;
    }
    for payload in guest::Which::TESTED {
        let payload = guest::ensure(payload)?;
        setup::say(&format!("guest: {} is {}", payload.version, payload.kernel.display()));
    }
    let kept = setup::cache::root()?;
    setup::say(&format!("ready; downloads and built kernels are kept in {}", kept.display()));
    Ok(())
}
