//! Who calls whom.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::{Context, Result, bail};

use super::insn::{Op, decode};
use super::program::{Piece, Program};

/// The longest way back from a BR to the sum that makes it a jump table's.
const TABLE_REACH: u64 = 8;

/// One way out of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The instruction.
    pub site: u64,
    /// The function it goes to.
    pub to: u64,
    /// The caller's frame is gone by then.
    pub is_tail: bool,
}

/// What the audit knows of a function, or of the assembly reached from one address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name; that of assembly has an offset.
    pub name: String,
    /// All its names, if equal functions were merged.
    pub names: Vec<String>,
    /// Where it goes, indirect calls included once they are resolved.
    pub calls: Vec<Call>,
    /// Calls through a register: the instruction, and whether the frame is gone.
    pub indirect: Vec<(u64, bool)>,
    /// Instructions that cannot do but crash.
    pub traps: Vec<u64>,
    /// Starts of atomic read-modify-writes.
    pub exclusives: Vec<u64>,
    /// Bytes of stack.
    pub frame: u64,
    /// It moves the stack pointer in a way that is no frame.
    pub sets_stack: bool,
}

/// A program's functions by address.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: BTreeMap<u64, Node>,
    /// Functions whose address is computed or stored somewhere.
    taken: BTreeSet<u64>,
}

impl Graph {
    /// Reads every function of `program`, and the assembly at `entries`.
    ///
    /// # Errors
    ///
    /// A branch leads out of the code.
    pub fn read(program: &Program, entries: &[u64]) -> Result<Self> {
        let mut graph = Self::default();
        let compiled = program.pieces().iter().filter(|piece| !piece.is_assembly);
        let mut open: VecDeque<u64> = compiled.map(|piece| piece.start).collect();
        open.extend(entries);
        while let Some(at) = open.pop_front() {
            if graph.nodes.contains_key(&at) {
                continue;
            }
            let piece = program.piece(at).with_context(|| format!("no code at {at:#x}"))?;
            let mut scan = Scan { program, node: Node::default(), taken: BTreeSet::new() };
            if piece.is_assembly {
                scan.assembly(at)?;
                scan.node.name = match at - piece.start {
                    0 => piece.name().to_owned(),
                    offset => format!("{}+{offset:#x}", piece.name()),
                };
                scan.node.names = vec![scan.node.name.clone()];
            } else {
                scan.compiled(piece)?;
                scan.node.name = piece.name().to_owned();
                scan.node.names.clone_from(&piece.names);
            }
            open.extend(scan.node.calls.iter().map(|call| call.to));
            graph.taken.extend(scan.taken);
            graph.nodes.insert(at, scan.node);
        }
        graph.taken.extend(program.pointers());
        // A table of code addresses within a function is no function.
        let nodes = &graph.nodes;
        graph.taken.retain(|address| nodes.contains_key(address));
        Ok(graph)
    }

    /// A graph of these functions.
    #[cfg(test)]
    pub fn of(nodes: impl IntoIterator<Item = (u64, Node)>) -> Self {
        Self { nodes: nodes.into_iter().collect(), taken: BTreeSet::new() }
    }

    /// The function at `address`.
    pub fn node(&self, address: u64) -> Option<&Node> {
        self.nodes.get(&address)
    }

    /// All functions.
    pub fn nodes(&self) -> impl Iterator<Item = (u64, &Node)> {
        self.nodes.iter().map(|(address, node)| (*address, node))
    }

    /// Functions whose address is taken.
    pub fn taken(&self) -> impl Iterator<Item = (u64, &Node)> {
        self.taken.iter().filter_map(|address| Some((*address, self.nodes.get(address)?)))
    }

    /// Lets each indirect call in the function at `address` reach `targets` too.
    pub fn resolve(&mut self, address: u64, targets: &BTreeSet<u64>) {
        if let Some(node) = self.nodes.get_mut(&address) {
            for (site, is_tail) in node.indirect.clone() {
                for to in targets {
                    let call = Call { site, to: *to, is_tail };
                    if !node.calls.contains(&call) {
                        node.calls.push(call);
                    }
                }
            }
        }
    }

    /// Lets the code named `from` reach `targets`, as code does that enters a guest: its traps come back on the
    /// same stack.
    ///
    /// # Errors
    ///
    /// There is no such code.
    pub fn link(&mut self, from: &str, targets: &[u64]) -> Result<()> {
        let node = self.nodes.iter_mut().find(|(_, node)| node.name == from);
        let (site, node) = node.with_context(|| format!("nothing calls {from}"))?;
        node.calls.extend(targets.iter().map(|to| Call { site: *site, to: *to, is_tail: false }));
        Ok(())
    }

    /// What can be reached from `entries` without going into a function that `stops`, and how: each
    /// function with the call that first led to it, none for the entries themselves.
    pub fn reach(
        &self,
        entries: &[u64],
        stops: impl Fn(&Node) -> bool,
    ) -> BTreeMap<u64, Option<(u64, Call)>> {
        let mut reached: BTreeMap<u64, Option<(u64, Call)>> =
            entries.iter().map(|entry| (*entry, None)).collect();
        let mut open: VecDeque<u64> = entries.iter().copied().collect();
        while let Some(at) = open.pop_front() {
            let calls = self.nodes.get(&at).map_or(&[][..], |node| &node.calls);
            for call in calls {
                let is_new = !reached.contains_key(&call.to);
                if is_new && !self.nodes.get(&call.to).is_some_and(&stops) {
                    reached.insert(call.to, Some((at, *call)));
                    open.push_back(call.to);
                }
            }
        }
        reached
    }
}

/// Reading one node.
struct Scan<'a> {
    program: &'a Program,
    node: Node,
    taken: BTreeSet<u64>,
}

impl Scan<'_> {
    fn op(&self, at: u64) -> Result<Op> {
        let word = self.program.word(at).with_context(|| format!("no code at {at:#x}"))?;
        Ok(decode(at, word))
    }

    /// A compiled function: all of its instructions, in whatever order they run.
    fn compiled(&mut self, piece: &Piece) -> Result<()> {
        // Every page that an ADRP of the function has put into a register.
        let mut pages: BTreeSet<(u16, u64)> = BTreeSet::new();
        let mut sums = Vec::new();
        // What the compiler puts where it knows that nothing goes on: behind a jump, and no branch
        // leads there.
        let mut branches = BTreeSet::new();
        let mut idle = BTreeSet::new();
        let mut goes_on = true;
        for at in (piece.start..piece.end).step_by(4) {
            let op = self.op(at)?;
            let is_out = |to: &u64| !(piece.start + 1..piece.end).contains(to);
            if let Op::Jump(to) | Op::Branch(to) = op {
                branches.insert(to);
            }
            if op == Op::Trap && !goes_on {
                idle.insert(at);
            }
            goes_on = !matches!(op, Op::Jump(_) | Op::JumpRegister(_) | Op::Return);
            match op {
                Op::Jump(to) | Op::Branch(to) if is_out(&to) && to != piece.start => {
                    self.call(at, to, true)?;
                }
                Op::JumpRegister(register) => {
                    let near = at.saturating_sub(4 * TABLE_REACH);
                    let is_table =
                        sums.iter().any(|&(sum, place)| sum == register && place >= near);
                    if !is_table {
                        self.node.indirect.push((at, true));
                    }
                }
                Op::Page(to, value) => {
                    pages.insert((to, value));
                    self.taken.insert(value);
                }
                Op::Add(_, from, offset) => {
                    let of_register = pages.range((from, 0)..=(from, u64::MAX));
                    self.taken.extend(of_register.map(|(_, page)| page.wrapping_add(offset)));
                }
                Op::Sum(to) => sums.push((to, at)),
                Op::Push(bytes) => self.node.frame += bytes,
                Op::NewStack => self.node.sets_stack = true,
                _ => self.common(at, op)?,
            }
        }
        self.node.traps.retain(|at| !idle.contains(at) || branches.contains(at));
        Ok(())
    }

    /// Assembly: what can run from `entry` on, across labels.
    fn assembly(&mut self, entry: u64) -> Result<()> {
        let mut seen = BTreeSet::new();
        let mut open = vec![entry];
        while let Some(at) = open.pop() {
            let piece = self.program.piece(at).with_context(|| format!("no code at {at:#x}"))?;
            if !piece.is_assembly {
                self.call(at, at, true)?;
                continue;
            }
            if !seen.insert(at) {
                continue;
            }
            let op = self.op(at)?;
            let mut goes_on = true;
            match op {
                Op::Jump(to) => {
                    open.push(to);
                    goes_on = false;
                }
                Op::Branch(to) => open.push(to),
                Op::JumpRegister(_) => {
                    self.node.indirect.push((at, true));
                    goes_on = false;
                }
                Op::Return | Op::Trap => goes_on = false,
                Op::Push(bytes) => self.node.frame += bytes,
                _ => {}
            }
            if !matches!(op, Op::JumpRegister(_) | Op::Push(_)) {
                self.common(at, op)?;
            }
            if goes_on {
                open.push(at + 4);
            }
        }
        Ok(())
    }

    fn common(&mut self, at: u64, op: Op) -> Result<()> {
        match op {
            Op::Call(to) => self.call(at, to, false)?,
            Op::CallRegister => self.node.indirect.push((at, false)),
            Op::Trap => self.node.traps.push(at),
            Op::Exclusive => self.node.exclusives.push(at),
            Op::Address(value) => {
                self.taken.insert(value);
            }
            Op::Literal(place) => self.taken.extend(self.program.literal(place)),
            _ => {}
        }
        Ok(())
    }

    fn call(&mut self, site: u64, to: u64, is_tail: bool) -> Result<()> {
        let piece = self.program.piece(to);
        let piece = piece.with_context(|| format!("{site:#x} leads out of the code, {to:#x}"))?;
        // Assembly has no beginning; into a function one gets by it alone.
        if !piece.is_assembly && to != piece.start {
            bail!("{site:#x} leads into the midst of {}", piece.name());
        }
        self.node.calls.push(Call { site, to, is_tail });
        Ok(())
    }
}

#[cfg(test)]
#[path = "graph_tests.rs"]
mod tests;
