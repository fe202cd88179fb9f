//! A tree that is looked at: as EL2 reads it, and what else it says.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, ensure};
use hyp_core::addr::Pa;
use hyp_core::memory::PaRange;
use hyp_core::tree::{Machine, Tree, TreeError};

use super::nodes::{self, Device};
use super::places::{Loads, registers};
use super::report::{Report, Span};

/// A tree, read.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    /// As EL2 reads it.
    pub(super) machine: Machine<'a>,
    /// For look-ups.
    pub(super) tree: Tree<'a>,
    /// Whether it lists memory itself.
    pub(super) lists_memory: bool,
    /// All devices.
    pub(super) devices: Vec<Device>,
    /// Type of each CPU by its affinity fields.
    pub(super) cpu_types: BTreeMap<u64, String>,
}

impl<'a> Subject<'a> {
    /// Reads `bytes`.
    ///
    /// # Errors
    ///
    /// They are no sound tree.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, TreeError> {
        let machine = Machine::from_tree(bytes)?;
        let tree = Tree::new(bytes)?;
        let devices = nodes::devices(&tree);
        let cpu_types = nodes::cpu_types(&tree);
        Ok(Self { lists_memory: !machine.memory.is_empty(), machine, tree, devices, cpu_types })
    }

    /// Puts in the memory that the board's firmware would: the banks given, in the place of those that the
    /// tree lists; where there are none, what is known of the board, else, with `assume`, 1 GiB where no
    /// device is.
    ///
    /// # Errors
    ///
    /// The banks given overlap or are too many.
    pub(super) fn complete_memory(
        &mut self,
        loads: &Loads<'_>,
        memory: &[PaRange],
        assume: bool,
        report: &mut Report,
    ) -> Result<()> {
        if !memory.is_empty() && self.lists_memory {
            self.machine.memory.clear();
            let text = "reckoned with --memory: the board's firmware has to replace the memory that the tree \
                        lists (U-Boot does)";
            report.note("memory", text);
        }
        for (n, bank) in memory.iter().enumerate() {
            ensure!(
                !memory.iter().take(n).any(|other| other.overlaps(*bank)),
                "two banks given with --memory overlap"
            );
            let room = self.machine.memory.try_push(*bank);
            room.map_err(|_| anyhow!("too many --memory"))?;
        }
        if !self.machine.memory.is_empty() {
            return Ok(());
        }
        let least = loads.facts.and_then(|facts| facts.least_ram);
        let least = least.map(|bytes| PaRange::between(Pa(0), Pa(bytes)));
        let assumed = || assume.then(|| self.place_without_devices()).flatten();
        let Some((bank, whose)) = least
            .map(|bank| (bank, "the smallest model"))
            .or_else(|| Some((assumed()?, "1 GiB where no device is")))
        else {
            return Ok(());
        };
        self.machine.memory.push(bank);
        let text = format!(
            "the tree lists no memory: the board's firmware fills it in. Reckoned with {whose}, {}; --memory \
             ADDRESS:SIZE says otherwise",
            Span::from(bank).shown()
        );
        report.note("memory", text);
        Ok(())
    }

    /// 1 GiB at one of the places where SoCs have memory.
    fn place_without_devices(&self) -> Option<PaRange> {
        const GIB: u64 = 1 << 30;
        let devices = registers(self);
        let banks = [0, 1, 2, 4, 8, 32, 64, 512]
            .into_iter()
            .filter_map(|at| PaRange::new(Pa(at * GIB), GIB));
        banks.into_iter().find(|bank| !devices.iter().any(|(_, range)| range.overlaps(*bank)))
    }
}
