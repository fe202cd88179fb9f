//! The one walk that reads a machine.

use super::interrupts::{Controller, Interrupts};
use super::parts::{Cpu, EnableMethod, Gic, GicV2, GicV3, PsciConduit, PsciNode, Reserved, Seed};
use super::place::{Ancestors, Level, Role};
use super::properties::Properties;
use super::{MAX_BANKS, MAX_RESERVED, Machine};
use crate::addr::Pa;
use crate::memory::PaRange;
use crate::tree::{Cells, Header, NodeName, Token, Tokens, Tree, TreeError, string, u64_value};
use arrayvec::ArrayVec;
use core::str;

/// PL011s that are remembered until it is known which one is the console.
const MAX_UARTS: usize = 8;

/// A PL011 that may turn out to be the console.
pub(super) struct Uart<'a> {
    pub(super) inside: usize,
    pub(super) registers: PaRange,
    pub(super) interrupts: Interrupts<'a>,
}

/// What has been read so far.
#[derive(Default)]
pub(super) struct Reader<'a> {
    pub(super) machine: Machine<'a>,
    pub(super) above: Ancestors<'a>,
    pub(super) gic: Controller,
    pub(super) gic_interrupts: Interrupts<'a>,
    pub(super) timer: Interrupts<'a>,
    pub(super) uarts: ArrayVec<Uart<'a>, MAX_UARTS>,
    pub(super) stdout_path: &'a [u8],
    pub(super) initrd_start: Option<u64>,
    pub(super) initrd_end: Option<u64>,
}

/// Checks and reads the tree that `bytes` begin with.
pub(super) fn machine(bytes: &[u8]) -> Result<Machine<'_>, TreeError> {
    let header = Header::read(bytes)?;
    let mut reader = Reader::default();
    reader.machine.tree_size = header.size();
    for entry in header.reservations() {
        let range = PaRange::new(Pa(entry.base), entry.size).ok_or(TreeError::content(
            b"",
            "(memory reservation block)",
            "a range wraps",
        ))?;
        reader.reserve(b"", range, false)?;
    }
    let root = reader.walk(header)?;
    reader.finish(Tree::walked(header, root))
}

impl<'a> Reader<'a> {
    /// Walks the whole tree; returns where the root's inside begins.
    fn walk(&mut self, header: Header<'a>) -> Result<usize, TreeError> {
        let mut tokens = Tokens::new(header);
        let mut root = header.structure_end;
        // The node whose properties are being gathered: they all come before its first child.
        let mut open: Option<Properties<'a>> = None;
        while let Some(token) = tokens.next_token()? {
            match token {
                Token::Begin { name, inside } => {
                    match open.take() {
                        Some(node) => self.enter(&node)?,
                        None if self.above.depth() == 0 => root = inside,
                        None => {}
                    }
                    open = Some(Properties { name, inside, ..Properties::default() });
                }
                Token::Property { name, value, at } => {
                    if let Some(node) = &mut open {
                        node.set(name, value);
                        if node.name == b"chosen" && self.above.depth() == 1 {
                            self.chosen(name, value, at)?;
                        }
                    }
                }
                Token::End => {
                    if let Some(node) = open.take() {
                        self.enter(&node)?;
                    }
                    self.above.pop();
                }
            }
        }
        Ok(root)
    }

    /// Reads a node whose properties are complete and makes it the parent of what follows.
    fn enter(&mut self, node: &Properties<'a>) -> Result<(), TreeError> {
        let parent = self.above.parent().copied();
        let role = match (parent.map(|parent| parent.role), node.name) {
            (None, _) => Role::Root,
            (Some(Role::Root), b"cpus") => Role::Cpus,
            (Some(Role::Root), b"reserved-memory") => Role::ReservedMemory,
            _ => Role::Other,
        };
        let inherited = parent.and_then(|parent| parent.interrupt_parent);
        let interrupt_parent = node.interrupt_parent.or(inherited);
        let level = Level {
            role,
            address_cells: node.width(node.address_cells, "#address-cells", 2)?,
            size_cells: node.width(node.size_cells, "#size-cells", 1)?,
            ranges: node.ranges,
            interrupt_parent,
        };
        let interrupts = Interrupts { parent: interrupt_parent, ..node.interrupts };
        match parent.map(|parent| parent.role) {
            Some(Role::Cpus) => self.cpu(node)?,
            Some(Role::ReservedMemory) => self.reserved_memory(node)?,
            Some(Role::Root) if node.device_type == b"memory\0" => self.memory(node)?,
            Some(_) if node.is_enabled() => self.device(node, interrupts)?,
            _ => {}
        }
        self.above.push(level);
        Ok(())
    }

    fn device(
        &mut self,
        node: &Properties<'a>,
        interrupts: Interrupts<'a>,
    ) -> Result<(), TreeError> {
        if node.is_compatible(&[b"arm,gic-v3"]) {
            self.gic_v3(node, interrupts)
        } else if node.is_compatible(&[b"arm,gic-400", b"arm,cortex-a15-gic", b"arm,cortex-a7-gic"])
        {
            self.gic_v2(node, interrupts)
        } else if node.is_compatible(&[b"arm,armv8-timer", b"arm,armv7-timer"]) {
            self.timer = interrupts;
            Ok(())
        } else if node.is_compatible(&[b"arm,psci", b"arm,psci-0.2", b"arm,psci-1.0"]) {
            self.psci(node);
            Ok(())
        } else if node.is_compatible(&[b"arm,pl011"]) {
            self.uart(node, interrupts)
        } else {
            Ok(())
        }
    }

    fn cpu(&mut self, node: &Properties<'a>) -> Result<(), TreeError> {
        // "disabled" means quiescent and may be started; "fail…" means do not touch
        // (Devicetree Specification, 3.8.1).
        if node.device_type != b"cpu\0" || node.status.starts_with(b"fail") {
            return Ok(());
        }
        let bad = TreeError::content(node.name, "reg", "is not the CPU's affinity");
        let width = self.above.parent().map_or(0, |cpus| cpus.address_cells);
        let mpidr = Cells(node.reg.ok_or(bad)?).take(width).filter(|_| width > 0).ok_or(bad)?;
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
        let reg = node.reg.ok_or(TreeError::content(node.name, "reg", "is missing"))?;
        for (base, size) in self.above.ranges(node.name, reg)? {
            let range = PaRange::new(Pa(base), size).ok_or(TreeError::content(
                node.name,
                "reg",
                "a range wraps",
            ))?;
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
            let range = PaRange::new(Pa(base), size).ok_or(TreeError::content(
                node.name,
                "reg",
                "a range wraps",
            ))?;
            self.reserve(node.name, range, node.no_map)?;
        }
        Ok(())
    }

    fn reserve(&mut self, node: &[u8], range: PaRange, no_map: bool) -> Result<(), TreeError> {
        let full = TreeError::TooMany {
            node: NodeName::new(node),
            what: "reserved ranges",
            limit: MAX_RESERVED,
        };
        if range.is_empty() {
            return Ok(());
        }
        self.machine.reserved.try_push(Reserved { range, no_map }).map_err(|_| full)
    }

    /// The `index`-th frame of an interrupt controller, which has to be there.
    fn frame(&self, node: &Properties<'a>, index: usize) -> Result<PaRange, TreeError> {
        self.above.range(node.name, node.reg.unwrap_or_default(), index)?.ok_or(TreeError::content(
            node.name,
            "reg",
            "does not list the frames",
        ))
    }

    /// Remembers what resolves interrupts; `false` if an interrupt controller is known already.
    fn claim_gic(&mut self, node: &Properties<'a>, interrupts: Interrupts<'a>) -> bool {
        if self.machine.gic.is_some() {
            return false;
        }
        self.gic =
            Controller { phandle: node.phandle, cells: node.interrupt_cells.unwrap_or_default() };
        // A GIC's own interrupt goes to itself, whatever its parent is called.
        self.gic_interrupts = Interrupts { parent: node.phandle, ..interrupts };
        true
    }

    fn gic_v3(
        &mut self,
        node: &Properties<'a>,
        interrupts: Interrupts<'a>,
    ) -> Result<(), TreeError> {
        if !self.claim_gic(node, interrupts) {
            return Ok(());
        }
        let regions = node.redistributor_regions.unwrap_or(1);
        let mut redistributors = ArrayVec::new();
        for index in 1..=usize::try_from(regions).unwrap_or(usize::MAX) {
            let region = self.frame(node, index)?;
            if redistributors.try_push(region).is_err() {
                return Err(TreeError::TooMany {
                    node: NodeName::new(node.name),
                    what: "redistributor regions",
                    limit: redistributors.capacity(),
                });
            }
        }
        self.machine.gic = Some(Gic::V3(GicV3 {
            distributor: self.frame(node, 0)?,
            redistributors,
            stride: node.redistributor_stride.and_then(u64_value),
            maintenance: None,
        }));
        Ok(())
    }

    fn gic_v2(
        &mut self,
        node: &Properties<'a>,
        interrupts: Interrupts<'a>,
    ) -> Result<(), TreeError> {
        if !self.claim_gic(node, interrupts) {
            return Ok(());
        }
        let reg = node.reg.unwrap_or_default();
        self.machine.gic = Some(Gic::V2(GicV2 {
            distributor: self.frame(node, 0)?,
            cpu_interface: self.frame(node, 1)?,
            hypervisor: self.above.range(node.name, reg, 2)?,
            virtual_cpu: self.above.range(node.name, reg, 3)?,
            maintenance: None,
        }));
        Ok(())
    }

    fn psci(&mut self, node: &Properties<'a>) {
        let method = match node.method {
            b"smc\0" => Some(PsciConduit::Smc),
            b"hvc\0" => Some(PsciConduit::Hvc),
            _ => None,
        };
        let standard_ids = node.is_compatible(&[b"arm,psci-0.2", b"arm,psci-1.0"]);
        self.machine.psci_node = Some(PsciNode { standard_ids, method });
    }

    fn uart(&mut self, node: &Properties<'a>, interrupts: Interrupts<'a>) -> Result<(), TreeError> {
        if let Some(registers) = self.above.range(node.name, node.reg.unwrap_or_default(), 0)? {
            // More than this many are simply not looked at: only `stdout-path` could name one.
            let _full = self.uarts.try_push(Uart { inside: node.inside, registers, interrupts });
        }
        Ok(())
    }

    fn chosen(&mut self, name: &'a [u8], value: &'a [u8], at: usize) -> Result<(), TreeError> {
        let bad = |property, problem| TreeError::content(b"chosen", property, problem);
        match name {
            b"bootargs" => {
                let text = string(value).and_then(|text| str::from_utf8(text).ok());
                self.machine.bootargs = text.ok_or(bad("bootargs", "is not a string"))?;
            }
            b"stdout-path" => {
                self.stdout_path = string(value).ok_or(bad("stdout-path", "is not a string"))?;
            }
            b"linux,initrd-start" => {
                let start = u64_value(value);
                self.initrd_start = Some(start.ok_or(bad("linux,initrd-start", "is no address"))?);
            }
            b"linux,initrd-end" => {
                let end = u64_value(value);
                self.initrd_end = Some(end.ok_or(bad("linux,initrd-end", "is no address"))?);
            }
            b"rng-seed" => self.machine.rng_seed = Some(Seed { bytes: value, at }),
            b"kaslr-seed" => self.machine.kaslr_seed = Some(Seed { bytes: value, at }),
            _ => {}
        }
        Ok(())
    }
}
