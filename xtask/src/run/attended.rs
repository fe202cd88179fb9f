//! A run that somebody watches: everything the console says goes to standard output at once.

use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use hyp_abi::exit;

use super::console::{Lines, Nonce};
use super::screen::Screen;
use super::terminal::Terminal;
use crate::qemu::{Boot, Ending, INTERRUPTED, Keyboard, Machine, Session, Typist, watch_for_stop};
use crate::setup::exec::command_line;
use crate::symbolize::Symbolizer;

/// Boots and waits for the end; the answer is the exit status that belongs to it, for which EL2's line
/// with `nonce` counts and no other, or `None` if nobody reads standard output any more, which ends the run.
/// The console goes to `screen`, and `hear` is told each line of it.
///
/// # Errors
///
/// QEMU cannot be started, or nothing can be written to standard output.
pub fn run(
    machine: &Machine,
    boot: Boot<'_>,
    elf: &Path,
    nonce: &Nonce,
    limit: Option<Duration>,
    mut screen: Screen,
    hear: &impl Fn(&str),
) -> Result<Option<u8>> {
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
        session = session.until_last_line(nonce);
    }

    let complaint = session.complaint();
    let mut lines = Lines::default();
    let mut code = None;
    let mut symbols = None;
    let mut is_unread = false;
    let mut last_line = String::new();
    let mut listen = |line: String| {
        code = code.or_else(|| nonce.code(&line));
        hear(&line);
        for name in explain(&mut symbols, elf, &line) {
            eprintln!("[xtask]   {name}");
        }
        if !line.trim().is_empty() {
            last_line = line;
        }
    };
    let ran = session.run(|piece| {
        let shown = screen.show(piece);
        is_unread = shown.as_ref().is_err_and(|error| error.kind() == ErrorKind::BrokenPipe);
        shown.context("cannot write to standard output")?;
        lines.feed(piece).into_iter().for_each(&mut listen);
        Ok(Vec::new())
    });
    if let Some(line) = lines.finish() {
        let _ = screen.finish();
        listen(line);
        println!();
    }
    drop(terminal);
    if is_unread {
        eprintln!("[xtask] nobody reads the console any more: the run was ended");
        return Ok(None);
    }
    let ending = ran?;
    let complaint = complaint.and_then(|complaint| complaint.join().ok()).unwrap_or_default();
    let (status, word) = judge(ending, code, keyboard, &last_line, &complaint);
    if let Some(word) = word {
        eprintln!("[xtask] {word}");
    }
    Ok(Some(status))
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

/// What QEMU says on the console when somebody at the keyboard ends it (QEMU, `chardev/char-mux.c`).
const BY_KEYBOARD: &str = "QEMU: Terminated";
/// What it says on its error output when gdb does (QEMU, `gdbstub`).
const BY_DEBUGGER: &str = "QEMU: Terminated via GDBstub";
/// What it says there when a signal does (QEMU, `system/runstate.c`).
const BY_SIGNAL: &str = "terminating on signal";

/// Exit status of a run, and a word where it is not plain from the console. `code` is that of EL2's last
/// line, `last` the last line on the console, `complaint` that on QEMU's error output.
fn judge(
    ending: Ending,
    code: Option<u8>,
    keyboard: Keyboard,
    last: &str,
    complaint: &str,
) -> (u8, Option<String>) {
    let status = match (ending, code) {
        (Ending::TimeLimit, _) => {
            return (
                exit::TIME_LIMIT,
                Some("stopped at the limit given with --timeout".to_owned()),
            );
        }
        (Ending::Interrupted, _) => {
            return (INTERRUPTED, Some("interrupted: QEMU was stopped".to_owned()));
        }
        (Ending::Exited(_), Some(code)) => return (code.min(exit::HYP_FAILED), None),
        (Ending::Exited(status), None) => status,
    };
    let cut_off = |how: &str| (exit::CUT_OFF, Some(format!("the run was cut off: {how}")));
    if complaint.ends_with(BY_DEBUGGER) {
        cut_off("the debugger killed QEMU")
    } else if complaint.contains(BY_SIGNAL) || status.signal().is_some() {
        let how = status.signal().map_or_else(|| complaint.to_owned(), |_| status.to_string());
        cut_off(&format!(
            "QEMU was killed ({how}), which nothing in the machine can do: a `kill`, a fault of QEMU's, \
             or a host without memory (see `dmesg`; less with `--mem` and `--ram`)"
        ))
    } else if !status.success() {
        let word = format!("QEMU gave up ({status}); its reason and its command are above");
        (exit::BAD_INPUT, Some(word))
    } else if last.ends_with(BY_KEYBOARD) {
        cut_off("QEMU was ended from the keyboard")
    } else if keyboard == Keyboard::Terminal {
        cut_off("QEMU ended in its monitor, or firmware switched the machine off")
    } else {
        let word = format!(
            "QEMU ended without Postern's last line `{} CODE`: EL2 died before it could report, or \
             firmware switched the machine off. `--boot-args postern.log=debug` or `-- -d \
             int,guest_errors -D qemu.log` may show where.",
            exit::EXIT_PREFIX
        );
        (exit::HYP_FAILED, Some(word))
    }
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn each_ending_has_its_exit_status_and_word() {
        let exited = |raw: i32| Ending::Exited(ExitStatus::from_raw(raw));
        let refused = exited(1 << 8);
        let gdb = "qemu-system-aarch64: QEMU: Terminated via GDBstub";
        let term = "qemu-system-aarch64: terminating on signal 15 from pid 7 (bash)";
        for (ending, code, keyboard, last, complaint, expected, word) in [
            (exited(0), Some(0), Keyboard::Plain, "", "", 0, ""),
            (exited(0), Some(1), Keyboard::Terminal, "", "", 1, ""),
            (exited(0), Some(2), Keyboard::Plain, "", "", 2, ""),
            (exited(0), Some(3), Keyboard::Plain, "", "", 3, ""),
            // No code that EL2 could mean.
            (exited(0), Some(77), Keyboard::Plain, "", "", 3, ""),
            // EL2's word counts, not how QEMU came to its end.
            (refused, Some(0), Keyboard::Plain, "", "", 0, ""),
            (exited(0), Some(0), Keyboard::Plain, "", gdb, 0, ""),
            // Nobody in the machine ended it: never status 0.
            (exited(0), None, Keyboard::Terminal, "~ # QEMU: Terminated", "", 4, "keyboard"),
            (exited(0), None, Keyboard::Terminal, "(qemu) quit", "", 4, "monitor"),
            (exited(0), None, Keyboard::Terminal, "", gdb, 4, "debugger"),
            (exited(0), None, Keyboard::Plain, "", gdb, 4, "debugger"),
            (exited(0), None, Keyboard::Plain, "", term, 4, "signal 15"),
            (exited(9), None, Keyboard::Plain, "", "", 4, "signal: 9"),
            (exited(0), None, Keyboard::Plain, "", "", 3, "EL2 died"),
            (refused, None, Keyboard::Plain, "", "no such machine", 2, "gave up"),
            (Ending::TimeLimit, Some(0), Keyboard::Plain, "", "", 124, "--timeout"),
            (Ending::Interrupted, None, Keyboard::Plain, "", term, 130, "interrupted"),
        ] {
            let (status, said) = judge(ending, code, keyboard, last, complaint);
            assert_eq!(status, expected, "{ending:?} {code:?} {keyboard:?} {last} {complaint}");
            assert_eq!(said.is_some(), !word.is_empty(), "{said:?}");
            assert!(said.is_none_or(|said| said.contains(word)), "{word}");
        }
    }
}
