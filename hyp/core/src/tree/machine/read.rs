//! The one walk that reads a machine.

use super::interrupts::{Controller, Interrupts};
use super::parts::{ConsoleKind, Cpu, EnableMethod, Reserved, Seed};
use super::place::{Ancestors, Level, Role};
use super::properties::Properties;
use super::{MAX_BANKS, MAX_RESERVED, Machine};
use crate::addr::Pa;
use crate::memory::PaRange;
use crate::tree::{
    Cells, Header, NodeName, PropertyName, Token, Tokens, Tree, TreeError, string, u64_value,
};
use arrayvec::ArrayVec;
use core::str;

/// UARTs that are remembered until it is known which one is the console.
const MAX_UARTS: usize = 8;

/// A UART that may turn out to be the console.
pub(super) struct Uart<'a> {
    /// Its node's name, if that is a child of the root.
    pub(super) at_root: Option<&'a [u8]>,
    pub(super) inside: usize,
    pub(super) kind: ConsoleKind,
    pub(super) registers: PaRange,
    pub(super) interrupts: Interrupts<'a>,
}

/// What has been read so far.
#[derive(Default)]
pub(super) struct Reader<'a> {
    pub(super) machine: Machine<'a>,
    /// The first thing that was wrong.
    pub(super) error: Option<TreeError>,
    pub(super) above: Ancestors<'a>,
    pub(super) gic: Controller,
    pub(super) gic_interrupts: Interrupts<'a>,
    pub(super) timer: Interrupts<'a>,
    pub(super) uarts: ArrayVec<Uart<'a>, MAX_UARTS>,
    pub(super) stdout_path: &'a [u8],
    pub(super) initrd_start: Option<u64>,
    pub(super) initrd_end: Option<u64>,
}

/// Reads the tree that `bytes` begin with as far as it is sound: the machine, and the first error.
pub(super) fn machine(bytes: &[u8]) -> Result<(Machine<'_>, Option<TreeError>), TreeError> {
    let header = Header::read(bytes)?;
    let mut reader = Reader::default();
    reader.machine.tree_size = header.size();
    let reserved = reader.reservations(header);
    reader.note(reserved);
    let root = reader.walk(header);
    Ok(reader.finish(Tree::walked(header, root)))
}

impl<'a> Reader<'a> {
    /// Remembers the first error. One in what a node says leaves the rest readable.
    pub(super) fn note(&mut self, result: Result<(), TreeError>) {
        if let Err(error) = result {
            self.error.get_or_insert(error);
        }
    }

    fn reservations(&mut self, header: Header<'a>) -> Result<(), TreeError> {
        const BLOCK: &str = "(memory reservation block)";
        for entry in header.reservations() {
            let range = PaRange::new(Pa(entry.base), entry.size);
            let range = range.ok_or_else(|| TreeError::content(b"", BLOCK, "a range wraps"))?;
            self.reserve(b"", range, false)?;
        }
        Ok(())
    }

    /// Walks the tree up to its end or to the first break of the grammar; returns where the root's
    /// inside begins.
    fn walk(&mut self, header: Header<'a>) -> usize {
        let mut tokens = Tokens::new(header);
        let mut root = header.structure_end;
        // The node whose properties are being gathered: they all come before its first child.
        let mut open: Option<Properties<'a>> = None;
        loop {
            let token = match tokens.next_token() {
                Ok(Some(token)) => token,
                Ok(None) => return root,
                Err(error) => {
                    self.note(Err(error));
                    return root;
                }
            };
            match token {
                Token::Begin { name, inside } => {
                    match open.take() {
                        Some(node) => self.enter(&node),
                        None if self.above.depth() == 0 => root = inside,
                        None => {}
                    }
                    open = Some(Properties { name, inside, ..Properties::default() });
                }
                Token::Property { name, value, at } => {
                    if let Some(node) = &mut open {
                        node.set(name, value);
                        if node.name == b"chosen" && self.above.depth() == 1 {
                            let read = self.chosen(name, value, at);
                            self.note(read);
                        }
                    }
                }
                Token::End => {
                    if let Some(node) = open.take() {
                        self.enter(&node);
                    }
                    self.above.pop();
                }
            }
        }
    }

    /// Reads a node whose properties are complete and makes it the parent of what follows.
    fn enter(&mut self, node: &Properties<'a>) {
        let parent = self.above.parent().copied();
        let role = match (parent.map(|parent| parent.role), node.name) {
            (None, _) => Role::Root,
            (Some(Role::Root), b"cpus") => Role::Cpus,
            (Some(Role::Root), b"reserved-memory") => Role::ReservedMemory,
            _ => Role::Other,
        };
        let inherited = parent.and_then(|parent| parent.interrupt_parent);
        let interrupt_parent = node.interrupt_parent.or(inherited);
        let interrupts = Interrupts { parent: interrupt_parent, ..node.interrupts };
        let read = match parent.map(|parent| parent.role) {
            Some(Role::Cpus) => self.cpu(node),
            Some(Role::ReservedMemory) => self.reserved_memory(node),
            Some(Role::Root) if node.device_type == b"memory\0" => self.memory(node),
            Some(_) if node.is_enabled() => self.device(node, interrupts),
            _ => Ok(()),
        };
        self.note(read);
        let mut width = |value, property, absent| {
            let width = node.width(value, property, absent);
            self.note(width.map(|_| ()));
            width.unwrap_or(absent)
        };
        let level = Level {
            role,
            address_cells: width(node.address_cells, "#address-cells", 2),
            size_cells: width(node.size_cells, "#size-cells", 1),
            ranges: node.ranges,
            interrupt_parent,
        };
        self.above.push(level);
    }

    fn cpu(&mut self, node: &Properties<'a>) -> Result<(), TreeError> {
        // "disabled" means quiescent and may be started; "fail…" means do not touch
        // (Devicetree Specification, 3.8.1).
        if node.device_type != b"cpu\0" || node.status.starts_with(b"fail") {
            return Ok(());
        }
        let bad = || TreeError::content(node.name, "reg", "is not the CPU's affinity");
        let width = self.above.parent().map_or(0, |cpus| cpus.address_cells);
        let mpidr =
            Cells(node.reg.ok_or_else(bad)?).take(width).filter(|_| width > 0).ok_or_else(bad)?;
        if self.machine.cpus.iter().any(|cpu| cpu.mpidr == mpidr) {
            return Err(TreeError::content(node.name, "reg", "repeats another CPU's affinity"));
        }
        let enable_method = match (node.enable_method, node.release_address.and_then(u64_value)) {
            (b"psci\0", _) => EnableMethod::Psci,
            (b"spin-table\0", Some(address)) => EnableMethod::SpinTable(Pa(address)),
            _ => EnableMethod::Unknown,
        };
        if self.machine.cpus.try_push(Cpu { mpidr, enable_method }).is_err() {
            self.machine.cpus_left_out = self.machine.cpus_left_out.saturating_add(1);
        }
        Ok(())
    }

    fn memory(&mut self, node: &Properties<'a>) -> Result<(), TreeError> {
        if !node.is_enabled() {
            return Ok(());
        }
        let reg = node.reg.ok_or_else(|| TreeError::content(node.name, "reg", "is missing"))?;
        for (base, size) in self.above.ranges(node.name, reg)? {
            let range = PaRange::new(Pa(base), size)
                .ok_or_else(|| TreeError::content(node.name, "reg", "a range wraps"))?;
            if size != 0 && self.machine.memory.try_push(range).is_err() {
                return Err(TreeError::TooMany {
                    node: NodeName::new(node.name),
                    what: "memory banks",
                    limit: MAX_BANKS,
                });
            }
        }
        Ok(())
    }

    fn reserved_memory(&mut self, node: &Properties<'a>) -> Result<(), TreeError> {
        let Some(reg) = node.reg.filter(|_| node.is_enabled()) else { return Ok(()) };
        for (base, size) in self.above.ranges(node.name, reg)? {
            let range = PaRange::new(Pa(base), size)
                .ok_or_else(|| TreeError::content(node.name, "reg", "a range wraps"))?;
            self.reserve(node.name, range, node.no_map)?;
        }
        Ok(())
    }

    fn reserve(&mut self, node: &[u8], range: PaRange, no_map: bool) -> Result<(), TreeError> {
        let full = |_| TreeError::TooMany {
            node: NodeName::new(node),
            what: "reserved ranges",
            limit: MAX_RESERVED,
        };
        if range.is_empty() {
            return Ok(());
        }
        self.machine.reserved.try_push(Reserved { range, no_map }).map_err(full)
    }

    fn chosen(
        &mut self,
        name: PropertyName<'a>,
        value: &'a [u8],
        at: usize,
    ) -> Result<(), TreeError> {
        let bad = |property, problem| TreeError::content(b"chosen", property, problem);
        match name.bytes() {
            b"bootargs" => {
                let text = string(value).and_then(|text| str::from_utf8(text).ok());
                self.machine.bootargs = text.ok_or_else(|| bad("bootargs", "is not a string"))?;
            }
            b"stdout-path" => {
                self.stdout_path =
                    string(value).ok_or_else(|| bad("stdout-path", "is not a string"))?;
            }
            b"linux,initrd-start" => {
                let start = u64_value(value);
                self.initrd_start =
                    Some(start.ok_or_else(|| bad("linux,initrd-start", "is no address"))?);
            }
            b"linux,initrd-end" => {
                let end = u64_value(value);
                self.initrd_end =
                    Some(end.ok_or_else(|| bad("linux,initrd-end", "is no address"))?);
            }
            b"rng-seed" => self.machine.rng_seed = Some(Seed { bytes: value, at }),
            b"kaslr-seed" => self.machine.kaslr_seed = Some(Seed { bytes: value, at }),
            _ => {}
        }
        Ok(())
    }
}
