//! The one walk that reads a machine.

use super::fault::{Fault, Read, content};
use super::interrupts::{Controller, Interrupts, Parent};
use super::parts::{ConsoleKind, Cpu, EnableMethod, Reserved, Seed};
use super::place::{Ancestors, Level, Role};
use super::properties::{Key, Properties};
use super::{MAX_BANKS, MAX_RESERVED, Machine};
use crate::addr::Pa;
use crate::memory::PaRange;
use crate::tree::{
    Cells, Header, PropertyName, Token, Tokens, Tree, TreeError, same, string, text, u64_value,
};
use arrayvec::ArrayVec;

/// UARTs that are remembered until it is known which one is the console. That one is read once more if
/// it is not among them.
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
pub(super) struct Reader<'m, 'a> {
    pub(super) machine: &'m mut Machine<'a>,
    /// The first thing that was wrong.
    pub(super) error: Option<TreeError>,
    pub(super) above: Ancestors<'a>,
    pub(super) gic: Controller,
    pub(super) gic_interrupts: Interrupts<'a>,
    pub(super) timer: Interrupts<'a>,
    /// The fault of the first GIC that cannot be used.
    pub(super) gic_fault: Option<TreeError>,
    pub(super) uarts: ArrayVec<Uart<'a>, MAX_UARTS>,
    /// A UART is not among them.
    pub(super) uarts_left_out: bool,
    /// Where the inside of the only node that is to be read begins, in a second walk.
    pub(super) wanted: Option<usize>,
    pub(super) stdout_path: &'a [u8],
    pub(super) old_stdout_path: &'a [u8],
    pub(super) initrd_start: Option<u64>,
    pub(super) initrd_end: Option<u64>,
}

/// Reads the tree that `bytes` begin with into `machine`, which is empty, as far as it is sound.
#[inline(never)]
pub(super) fn read<'a>(machine: &mut Machine<'a>, bytes: &'a [u8]) -> Result<(), TreeError> {
    let header = Header::read(bytes)?;
    machine.tree_size = header.size();
    let mut reader = Reader {
        machine,
        error: None,
        above: Ancestors::default(),
        gic: Controller::default(),
        gic_interrupts: Interrupts::default(),
        timer: Interrupts::default(),
        gic_fault: None,
        uarts: ArrayVec::new(),
        uarts_left_out: false,
        wanted: None,
        stdout_path: &[],
        old_stdout_path: &[],
        initrd_start: None,
        initrd_end: None,
    };
    let reserved = reader.reservations(header);
    reader.note(b"", reserved);
    let root = reader.walk(header);
    reader.finish(Tree::walked(header, root));
    reader.error.map_or(Ok(()), Err)
}

impl<'a> Reader<'_, 'a> {
    /// Remembers the first error. One in what a node says leaves the rest readable.
    pub(super) fn note(&mut self, node: &[u8], result: Read<()>) {
        if let Err(fault) = result {
            self.remember(fault.of(node));
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn remember(&mut self, error: TreeError) {
        self.error.get_or_insert(error);
    }

    fn reservations(&mut self, header: Header<'a>) -> Read<()> {
        for entry in header.reservations() {
            let range = PaRange::new(Pa(entry.base), entry.size);
            let range = range.ok_or(content!("(memory reservation block)", "a range wraps"))?;
            self.reserve(range, false)?;
        }
        Ok(())
    }

    /// Walks the tree up to its end or to the first break of the grammar; returns where the root's
    /// inside begins.
    pub(super) fn walk(&mut self, header: Header<'a>) -> usize {
        self.above = Ancestors::default();
        let mut tokens = Tokens::new(header);
        let mut root = header.blocks.structure.len();
        // The node whose properties are being gathered: they all come before its first child.
        let mut open: Option<Properties<'a>> = None;
        loop {
            let token = match tokens.advance() {
                Ok(Some(token)) => token,
                Ok(None) => return root,
                Err(problem) => {
                    self.remember(tokens.error(problem));
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
                    open = Some(Properties::new(name, inside));
                }
                Token::Property { name, value, at } => {
                    if let Some(node) = &mut open {
                        node.set(name, value);
                        if self.above.depth() == 1 && same(node.name, b"chosen") {
                            let read = self.chosen(name, value, at);
                            self.note(b"chosen", read);
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
        let role = match parent.map(|parent| parent.role) {
            None => Role::Root,
            Some(Role::Root) if same(node.name, b"cpus") => Role::Cpus,
            Some(Role::Root) if same(node.name, b"reserved-memory") => Role::ReservedMemory,
            _ => Role::Other,
        };
        let inherited = parent.and_then(|parent| parent.interrupt_parent);
        let mut interrupts = node.interrupts();
        interrupts.parent = interrupts.parent.or(inherited);
        let is_all = self.wanted.is_none();
        let read = match parent.map(|parent| parent.role) {
            Some(Role::Cpus) if is_all => {
                if let Err(fault) = self.cpu(node) {
                    self.machine.cpu_fault.get_or_insert(fault.of(node.name));
                }
                Ok(())
            }
            Some(Role::ReservedMemory) if is_all => self.reserved_memory(node),
            Some(Role::Root) if is_all && same(node.value(Key::DeviceType), b"memory\0") => {
                self.memory(node)
            }
            Some(Role::Root | Role::Other) if is_all || self.wanted == Some(node.inside) => {
                self.device(node, interrupts)
            }
            _ => Ok(()),
        };
        self.note(node.name, read);
        let level = Level {
            role,
            address_cells: node.width(Key::AddressCells, 2),
            size_cells: node.width(Key::SizeCells, 1),
            ranges: node.get(Key::Ranges),
            // Without a word below it they speak to the nearest node above that takes some
            // (Devicetree Specification, 2.4).
            interrupt_parent: match node.get(Key::InterruptCells) {
                Some(_) => Some(Parent::Inside(node.inside)),
                None => interrupts.parent,
            },
        };
        self.above.push(level);
    }

    fn cpu(&mut self, node: &Properties<'a>) -> Read<()> {
        // "disabled" means quiescent and may be started; "fail…" means do not touch
        // (Devicetree Specification, 3.8.1).
        if !same(node.value(Key::DeviceType), b"cpu\0")
            || node.value(Key::Status).starts_with(b"fail")
        {
            return Ok(());
        }
        let width =
            self.above.parent().and_then(|cpus| cpus.address_cells).filter(|width| *width > 0);
        let mpidr = node.get(Key::Reg).zip(width).and_then(|(reg, width)| Cells(reg).take(width));
        let mpidr = mpidr.ok_or(content!("reg", "is not the CPU's affinity"))?;
        if self.machine.cpus.iter().any(|cpu| cpu.mpidr == mpidr) {
            return Err(content!("reg", "repeats another CPU's affinity"));
        }
        let method = node.value(Key::EnableMethod);
        let enable_method = match node.get(Key::ReleaseAddress).and_then(u64_value) {
            _ if same(method, b"psci\0") => EnableMethod::Psci,
            Some(address) if same(method, b"spin-table\0") => EnableMethod::SpinTable(Pa(address)),
            _ => EnableMethod::Unknown,
        };
        if self.machine.cpus.try_push(Cpu { mpidr, enable_method }).is_err() {
            self.machine.cpus_left_out = self.machine.cpus_left_out.saturating_add(1);
        }
        Ok(())
    }

    fn memory(&mut self, node: &Properties<'a>) -> Read<()> {
        if !node.is_enabled() {
            return Ok(());
        }
        let mut ranges =
            self.above.ranges(node.get(Key::Reg).ok_or(content!("reg", "is missing"))?)?;
        while let Some(range) = ranges.next_range()? {
            if !range.is_empty() && self.machine.memory.try_push(range).is_err() {
                return Err(&Fault::TooMany { what: "memory banks", limit: MAX_BANKS });
            }
        }
        Ok(())
    }

    fn reserved_memory(&mut self, node: &Properties<'a>) -> Read<()> {
        let Some(reg) = node.get(Key::Reg).filter(|_| node.is_enabled()) else { return Ok(()) };
        let mut ranges = self.above.ranges(reg)?;
        while let Some(range) = ranges.next_range()? {
            self.reserve(range, node.get(Key::NoMap).is_some())?;
        }
        Ok(())
    }

    fn reserve(&mut self, range: PaRange, no_map: bool) -> Read<()> {
        if range.is_empty() {
            return Ok(());
        }
        let room = self.machine.reserved.try_push(Reserved { range, no_map });
        room.map_err(|_| &Fault::TooMany { what: "reserved ranges", limit: MAX_RESERVED })
    }

    /// Takes in one property of `/chosen`.
    #[inline(never)]
    fn chosen(&mut self, name: PropertyName<'a>, value: &'a [u8], at: usize) -> Read<()> {
        let machine = &mut self.machine;
        if name.is(b"bootargs") {
            machine.bootargs = text(value).ok_or(content!("bootargs", "is not a string"))?;
        } else if name.is(b"stdout-path") {
            self.stdout_path = string(value).ok_or(content!("stdout-path", "is not a string"))?;
        } else if name.is(b"linux,stdout-path") {
            self.old_stdout_path = string(value).unwrap_or_default();
        } else if name.is(b"linux,initrd-start") {
            let start = u64_value(value).ok_or(content!("linux,initrd-start", "is no address"))?;
            self.initrd_start = Some(start);
        } else if name.is(b"linux,initrd-end") {
            let end = u64_value(value).ok_or(content!("linux,initrd-end", "is no address"))?;
            self.initrd_end = Some(end);
        } else if name.is(b"rng-seed") {
            machine.rng_seed = Some(Seed { bytes: value, at });
        } else if name.is(b"kaslr-seed") {
            machine.kaslr_seed = Some(Seed { bytes: value, at });
        }
        Ok(())
    }
}
