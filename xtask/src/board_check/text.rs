//! The report for a person.

use std::fmt::Write as _;

use super::cause::Cause;
use super::census::by_cause;
use super::cpus::kind;
use super::report::{Core, Interrupt, Report, Severity, Span};
use crate::units::shown_size;

/// The report as lines.
pub(super) fn render(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let mut line = |topic: &str, text: &str| {
        let _ = writeln!(out, "{topic:<12}{text}");
    };
    line("tree", &report.tree);
    if let Some(model) = &report.model {
        line("machine", model);
    }
    if let Some(board) = report.board {
        line("board", &format!("{board}, addresses from {}", report.source));
    }
    let machine = &report.machine;
    spans(&mut line, "memory", &machine.memory);
    spans(&mut line, "reserved", &machine.reserved);
    let cpus: Vec<_> = machine.cpus.iter().map(core).collect();
    line("CPUs", &format!("{}: {}", cpus.len(), machine.cpu_types));
    for cpu in &cpus {
        line("", cpu);
    }
    if let Some(psci) = machine.psci {
        line("firmware", &format!("PSCI by {psci}"));
    }
    if let Some(gic) = &machine.gic {
        let frames: Vec<_> = gic
            .frames
            .iter()
            .map(|frame| format!("{} {:#x}", frame.what, frame.span.from))
            .collect();
        line("GIC", &format!("version {}, {}", gic.version, frames.join(", ")));
    }
    let taken: Vec<_> = machine.interrupts.iter().map(interrupt).collect();
    line("interrupts", &taken.join(", "));
    if let Some(console) = &machine.console {
        let intid = console.intid.map_or("none".to_owned(), |intid| intid.to_string());
        let at = console.registers.from;
        line("console", &format!("{} at {at:#x}, interrupt {intid}", console.driver));
    }
    line(
        "entropy",
        &match machine.seed_bytes {
            0 => "no seed in the tree".to_owned(),
            bytes => format!("a seed of {bytes} bytes in the tree"),
        },
    );
    for place in &report.places {
        line(if place.what == report.places[0].what { "places" } else { "" }, &place_line(place));
    }
    if !report.free.is_empty() {
        let total = report.free.iter().map(|piece| piece.to - piece.from).sum();
        let pieces = report.free.len();
        line("for VMs", &format!("{} in {pieces} piece(s)", shown_size(total)));
    }
    let mut first = 0;
    for vm in &report.vms {
        let kind = if vm.protected { "protected" } else { "normal" };
        let memory = shown_size(vm.memory);
        line("VM", &format!("{}: {kind}, {} vCPU(s), {memory}", vm.name, vm.vcpus));
        for (n, cpu) in vm.cpus.iter().enumerate() {
            line("", &format!("vCPU {n} on CPU {}, {cpu}", first + n));
        }
        first += vm.vcpus;
    }
    for (n, missing) in report.firmware_adds.iter().enumerate() {
        let topic = if n == 0 { "not there" } else { "" };
        line(topic, &wrapped(&format!("{}: {}", missing.what, missing.text)));
    }
    if !report.firmware_adds.is_empty() {
        line("", "(a tree from a file lacks these where the board's firmware adds them)");
    }
    findings(&mut out, report);
    out
}

/// A line for each of several trees, and how many boot.
pub(super) fn lines(reports: &[Report]) -> String {
    let mut out = String::new();
    for report in reports {
        let mut causes: Vec<_> = report.causes().map(Cause::name).collect();
        causes.dedup();
        let (word, why) = match report.passes() {
            true => ("boots", String::new()),
            false => ("STOPS", format!(": {}", causes.join(", "))),
        };
        // Writing to a string does not fail.
        let _ = writeln!(out, "{word:<12}{}{why}", report.tree);
    }
    let boots = reports.iter().filter(|report| report.passes()).count();
    let _ = writeln!(out, "\nverdict     {boots} of {} boot", reports.len());
    for (cause, count, _) in by_cause(reports) {
        let _ = writeln!(out, "{:<12}{count} by {}", "", cause.name());
    }
    out
}

fn findings(out: &mut String, report: &Report) {
    if !report.findings.is_empty() {
        out.push('\n');
    }
    for finding in &report.findings {
        let word = match finding.severity {
            Severity::Stop => "STOPS",
            Severity::Risk => "may stop",
            Severity::Note => "note",
        };
        let text = wrapped(&format!("{}: {}", finding.topic, finding.text));
        let _ = writeln!(out, "{word:<12}{text}");
        if let Some(remedy) = &finding.remedy {
            let _ = writeln!(out, "{:<12}{}", "", wrapped(&format!("remedy: {remedy}")));
        }
    }
    let stops = report.findings.iter().filter(|one| one.severity == Severity::Stop).count();
    out.push_str("\nverdict     ");
    out.push_str(&match stops {
        0 => "nothing found that stops the boot\n".to_owned(),
        1 => "1 finding will stop the boot\n".to_owned(),
        _ => format!("{stops} findings will stop the boot\n"),
    });
}

/// `text` in lines that fit behind the column of topics.
fn wrapped(text: &str) -> String {
    const WIDTH: usize = 84;
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let full = lines.last().is_none_or(|line| line.len() + word.len() >= WIDTH);
        match lines.last_mut() {
            Some(line) if !full || line.is_empty() => {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join(&format!("\n{:<12}", ""))
}

fn spans(line: &mut impl FnMut(&str, &str), topic: &str, spans: &[Span]) {
    for (n, span) in spans.iter().enumerate() {
        line(if n == 0 { topic } else { "" }, &span.shown());
    }
}

fn place_line(place: &super::report::Place) -> String {
    format!("{:<23}{}", place.what, place.span.shown())
}

fn core(core: &Core) -> String {
    let address = core.release_address.map_or(String::new(), |address| format!(" {address:#x}"));
    let number = core.number.map_or("stays off".to_owned(), |number| format!("CPU {number}"));
    format!("{number:<9}{:#x} {}, by {}{address}", core.affinity, kind(core), core.enable_method)
}

fn interrupt(interrupt: &Interrupt) -> String {
    let intid = interrupt.intid.map_or("not listed".to_owned(), |intid| intid.to_string());
    format!("{} {intid}", interrupt.what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_findings_are_broken_between_words() {
        let text = "word ".repeat(40);
        let shown = wrapped(text.trim_end());
        assert!(shown.lines().all(|line| line.trim_start().len() <= 84), "{shown}");
        assert_eq!(shown.split_whitespace().count(), 40);
        assert_eq!(wrapped("short"), "short");
    }
}
