//! What can only be understood when the whole tree has been read.

use super::MAX_BANKS;
use super::fault::{Fault, content};
use super::interrupts::Router;
use super::parts::{Console, ConsoleKind, Gic, Timers};
use super::read::{Reader, Uart};
use crate::addr::Pa;
use crate::memory::{PaRange, sort_few};
use crate::tree::{NodeName, Tree, before, string, text};
use arrayvec::ArrayVec;

impl<'a> Reader<'_, 'a> {
    /// Puts together what could only be understood at the end.
    pub(super) fn finish(&mut self, tree: Tree<'a>) {
        join(&mut self.machine.memory);
        if self.machine.gic.is_none()
            && let Some(fault) = self.gic_fault
        {
            self.remember(fault);
        }
        let router = Router { tree, gic: self.gic };
        let maintenance = router.nth(&self.gic_interrupts, 0);
        match &mut self.machine.gic {
            Some(Gic::V2(gic)) => gic.maintenance = maintenance,
            Some(Gic::V3(gic)) => gic.maintenance = maintenance,
            None => {}
        }
        // Order of `interrupts` without names, and the names (`arm,arch_timer.yaml`); the first is
        // the secure timer's.
        let timer = |index, name: &[u8]| router.intid(&self.timer, index, name);
        self.machine.timers = Timers {
            physical: timer(1, b"phys"),
            virtual_: timer(2, b"virt"),
            hyp_physical: timer(3, b"hyp-phys"),
            hyp_virtual: timer(4, b"hyp-virt"),
        };
        if let (Some(start), Some(end)) = (self.initrd_start, self.initrd_end) {
            if start < end {
                self.machine.initrd = Some(PaRange::between(Pa(start), Pa(end)));
            } else {
                let fault = content!("linux,initrd-end", "is not above the start");
                self.note(b"chosen", Err(fault));
            }
        }
        self.machine.model = tree.root().value(b"model").and_then(text).unwrap_or_default();
        self.machine.console = self.console(router);
    }

    /// The console that `/chosen` names, directly or by an alias, else the first UART with a driver.
    fn console(&mut self, router: Router<'a>) -> Option<Console> {
        let tree = router.tree;
        let path =
            [self.stdout_path, self.old_stdout_path].into_iter().find(|path| !path.is_empty());
        let path = path.unwrap_or_default();
        // Behind a colon stand line parameters (Devicetree Specification, 3.6).
        let path = before(path, b':').unwrap_or(path);
        let named = match path {
            b"" => return self.uarts.first().map(|uart| uart_console(router, uart)),
            [b'/', step @ ..] => {
                // Most often it is a child of the root, by its whole name, which no other has
                // (Devicetree Specification, 2.2.1).
                if before(step, b'@').is_some()
                    && let Some(uart) = self.uarts.iter().find(|uart| uart.at_root == Some(step))
                {
                    return Some(uart_console(router, uart));
                }
                tree.find(path)
            }
            alias => tree
                .find(b"/aliases")
                .and_then(|aliases| aliases.value(alias))
                .and_then(string)
                .and_then(|path| tree.find(path)),
        };
        let named = named.map(|node| node.id());
        let is_named = |uart: &&Uart<'_>| Some(uart.inside) == named;
        if self.uarts_left_out && named.is_some() && !self.uarts.iter().any(|uart| is_named(&uart))
        {
            self.uarts.clear();
            self.wanted = named;
            self.walk(tree.header());
        }
        let known = self.uarts.iter().find(is_named);
        Some(known.map_or_else(
            || Console {
                kind: ConsoleKind::Unsupported(NodeName::new(path)),
                registers: PaRange::between(Pa(0), Pa(0)),
                interrupt: None,
            },
            |uart| uart_console(router, uart),
        ))
    }
}

fn uart_console<'a>(router: Router<'a>, uart: &Uart<'a>) -> Console {
    Console {
        kind: uart.kind,
        registers: uart.registers,
        interrupt: router.level(&uart.interrupts),
    }
}

/// Sorts banks and joins those that touch or overlap.
fn join(banks: &mut ArrayVec<PaRange, MAX_BANKS>) {
    sort_few(banks);
    let mut joined: ArrayVec<PaRange, MAX_BANKS> = ArrayVec::new();
    for bank in banks.iter() {
        match joined.last_mut() {
            Some(last) if bank.base() <= last.end() => {
                *last = PaRange::between(last.base(), bank.end().max(last.end()));
            }
            // As many fit as there were before.
            _ => drop(joined.try_push(*bank)),
        }
    }
    *banks = joined;
}
