//! A run that somebody watches: everything the console says goes to standard output at once.

use std::io::{Write, stdout};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use hyp_abi::exit;

use super::console::{LastWord, Lines};
use super::terminal::Terminal;
use crate::qemu::{Boot, Ending, INTERRUPTED, Keyboard, Machine, Session, Typist, watch_for_stop};
use crate::setup::exec::command_line;
use crate::symbolize::Symbolizer;

/// Boots and waits for the end; the answer is the exit status that belongs to it. `hear` is told
/// each line of the console.
///
/// # Errors
///
/// QEMU cannot be started, or standard output is gone.
pub fn run(
    machine: &Machine,
    boot: Boot<'_>,
    elf: &Path,
    limit: Option<Duration>,
    hear: &impl Fn(&str),
) -> Result<u8> {
    watch_for_stop()?;
    let terminal = Terminal::remember();
    let keyboard = terminal.keyboard();
    let command = machine.command(boot, keyboard);
    eprintln!("[xtask] {}", command_line(&command));
    if keyboard == Keyboard::Terminal {
        eprintln!("[xtask] Ctrl-A x ends the run");
    }
    let mut session = Session::start(&command, Typist::Person, limit)?;
    if !machine.model.switches_off {
        eprintln!(
            "[xtask] this machine cannot switch itself off: QEMU is stopped at the line {}",
            exit::EXIT_PREFIX
        );
        session = session.until_line(exit::EXIT_PREFIX);
    }

    let mut lines = Lines::default();
    let mut last = LastWord::default();
    let mut symbols = None;
    let ending = session.run(|piece| {
        let mut out = stdout().lock();
        out.write_all(piece).and_then(|()| out.flush()).context("standard output is closed")?;
        drop(out);
        for line in lines.feed(piece) {
            last.hear(&line);
            hear(&line);
            for name in explain(&mut symbols, elf, &line) {
                eprintln!("[xtask]   {name}");
            }
        }
        Ok(Vec::new())
    })?;
    if let Some(line) = lines.finish() {
        last.hear(&line);
        println!();
    }
    drop(terminal);
    Ok(status(ending, last.code(), keyboard, limit, &command_line(&command)))
}

/// Names for the addresses in `line`; the symbols are read at the first crash line only.
fn explain(symbols: &mut Option<Result<Symbolizer>>, elf: &Path, line: &str) -> Vec<String> {
    if !Symbolizer::concerns(line) {
        return Vec::new();
    }
    match symbols.get_or_insert_with(|| Symbolizer::open(elf)) {
        Ok(symbols) => symbols.explain(line),
        Err(error) => vec![format!("{error:#}")],
    }
}

/// Exit status of the run, with a word on standard error where it is not plain from the console.
fn status(
    ending: Ending,
    code: Option<u8>,
    keyboard: Keyboard,
    limit: Option<Duration>,
    command: &str,
) -> u8 {
    match (ending, code) {
        (Ending::TimeLimit, _) => {
            let seconds = limit.unwrap_or_default().as_secs();
            eprintln!("[xtask] stopped after {seconds} s, the limit given with --timeout");
            exit::TIME_LIMIT
        }
        (Ending::Interrupted, _) => INTERRUPTED,
        (Ending::Exited(_), Some(code)) => code.min(exit::HYP_FAILED),
        (Ending::Exited(status), None) if status.success() && keyboard == Keyboard::Terminal => {
            eprintln!("[xtask] QEMU was ended from the keyboard");
            exit::GUEST_OFF
        }
        (Ending::Exited(status), None) if status.code().is_some_and(|code| code != 0) => {
            eprintln!(
                "[xtask] QEMU gave up ({status}); its reason is above. The command was:\n  {command}"
            );
            exit::BAD_INPUT
        }
        (Ending::Exited(status), None) if status.signal().is_some() => {
            eprintln!(
                "[xtask] QEMU was killed ({status}), which nothing in the machine can do: a fault of \
                 QEMU's, somebody's `kill`, or a host without memory (see `dmesg`; less with `--mem` \
                 and `--ram`)"
            );
            exit::HYP_FAILED
        }
        (Ending::Exited(status), None) => {
            eprintln!(
                "[xtask] QEMU ended ({status}) without Postern's last line `{} CODE`: EL2 died \
                 before it could report. `--boot-args postern.log=debug` or `-- -d \
                 int,guest_errors -D qemu.log` may show where.",
                exit::EXIT_PREFIX
            );
            exit::HYP_FAILED
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn each_ending_has_its_exit_status() {
        let exited = |raw: i32| Ending::Exited(ExitStatus::from_raw(raw));
        let signalled = exited(9);
        let refused = exited(1 << 8);
        for (ending, code, keyboard, expected) in [
            (exited(0), Some(0), Keyboard::Plain, 0),
            (exited(0), Some(1), Keyboard::Terminal, 1),
            (exited(0), Some(2), Keyboard::Plain, 2),
            (exited(0), Some(3), Keyboard::Plain, 3),
            // No code that EL2 could mean.
            (exited(0), Some(77), Keyboard::Plain, 3),
            // EL2's word counts, not how QEMU came to its end.
            (refused, Some(0), Keyboard::Plain, 0),
            (exited(0), None, Keyboard::Terminal, 0),
            (exited(0), None, Keyboard::Plain, 3),
            (signalled, None, Keyboard::Plain, 3),
            (refused, None, Keyboard::Plain, 2),
            (Ending::TimeLimit, Some(0), Keyboard::Plain, 124),
            (Ending::Interrupted, None, Keyboard::Plain, 130),
        ] {
            let got = status(ending, code, keyboard, None, "qemu");
            assert_eq!(got, expected, "{ending:?} {code:?} {keyboard:?}");
        }
    }
}
