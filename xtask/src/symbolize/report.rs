//! The line of a crash report from which the calls can be found (hyp/src/panic.rs).

use std::collections::BTreeMap;

use regex::Regex;

/// A word on the stack that may be a return address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// The address.
    pub address: u64,
    /// The word below, if that may be a frame's address: what x29 was before.
    pub frame: Option<u64>,
}

/// What EL2 knows of its own crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The instruction.
    pub pc: u64,
    /// x30: who called, in a function that keeps this nowhere else.
    pub lr: u64,
    /// x29.
    pub fp: u64,
    /// The stack pointer.
    pub sp: u64,
    /// Words of the stack by where they are.
    pub stack: BTreeMap<u64, Word>,
}

impl Report {
    /// What `line` says; `None` if it is no such line.
    pub fn read(line: &str) -> Option<Self> {
        let head = r"backtrace: 0x(?P<pc>[0-9a-f]+) 0x(?P<lr>[0-9a-f]+), fp 0x(?P<fp>[0-9a-f]+) sp 0x(?P<sp>[0-9a-f]+), stack:";
        let word =
            r" \+0x(?P<at>[0-9a-f]+) 0x(?P<address>[0-9a-f]+)(?: \(fp \+0x(?P<frame>[0-9a-f]+)\))?";
        let found = Regex::new(head).ok()?.captures(line)?;
        let number = |captures: &regex::Captures<'_>, name: &str| {
            u64::from_str_radix(captures.name(name)?.as_str(), 16).ok()
        };
        let sp = number(&found, "sp")?;
        let above =
            |captures: &regex::Captures<'_>, name: &str| sp.checked_add(number(captures, name)?);
        let stack = Regex::new(word)
            .ok()?
            .captures_iter(&line[found.get(0)?.end()..])
            .filter_map(|word| {
                let frame = above(&word, "frame");
                Some((above(&word, "at")?, Word { address: number(&word, "address")?, frame }))
            })
            .collect();
        let [pc, lr, fp] = ["pc", "lr", "fp"].map(|name| number(&found, name));
        Some(Self { pc: pc?, lr: lr?, fp: fp?, sp, stack })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read() {
        let line = "[postern] ERROR: backtrace: 0x800000001004 0x800000002008, fp 0x10 sp 0x80000006a000, \
                    stack: +0x18 0x800000003000 (fp +0x40) +0x48 0x800000004000";
        let stack = [
            (0x8000_0006_a018, Word { address: 0x8000_0000_3000, frame: Some(0x8000_0006_a040) }),
            (0x8000_0006_a048, Word { address: 0x8000_0000_4000, frame: None }),
        ];
        let expected = Report {
            pc: 0x8000_0000_1004,
            lr: 0x8000_0000_2008,
            fp: 0x10,
            sp: 0x8000_0006_a000,
            stack: stack.into(),
        };
        assert_eq!(Report::read(line), Some(expected));
    }

    #[test]
    fn a_stack_may_have_nothing() {
        let report =
            Report::read("backtrace: 0x0 0x4, fp 0x0 sp 0xffffffffffffffff, stack: +0x8 0x4")
                .unwrap();
        assert!(report.stack.is_empty(), "beyond the last address");
        assert_eq!((report.pc, report.lr, report.sp), (0, 4, u64::MAX));
    }

    #[test]
    fn other_lines_are_none() {
        for line in ["", "backtrace: 0x1 0x2", "fp 0x0 sp 0x8, stack: +0x8 0x1000"] {
            assert_eq!(Report::read(line), None, "{line}");
        }
    }
}
