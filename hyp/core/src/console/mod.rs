//! One terminal for the guests and the hypervisor's log, without garbling.
//!
//! Everything that reaches the UART passes one ring in one order. The hypervisor's lines wait
//! until the guest stands at the start of a line, or until the guest has left its line unfinished
//! for [`PATIENCE_MS`], and then open a line of their own. So does a VM's output while another VM is
//! within a line, and the next line is its own; where there are several, each line begins with its VM's name.
//! Nothing here waits: when the ring is
//! full the guest is told so (its FIFO fills up, `FR.TXFF`), and a log line that does not fit is
//! counted and confessed later.

mod line;
mod plain;
mod ring;

pub use line::{LONGEST_LINE, Line};
pub use plain::{Plain, shown};
pub use ring::Ring;

/// How long a log line waits for the guest to finish its own line, in milliseconds: longer than a busy host keeps
/// an emulated CPU from running.
pub const PATIENCE_MS: u64 = 200;

/// How long another VM waits for the end of a line at most, however busily its speaker goes on, in
/// milliseconds.
pub const LONGEST_MS: u64 = 1000;

/// Output on its way to the UART: `OUT` bytes in order, and `LOG` bytes of log lines that wait for
/// a line boundary.
#[derive(Debug)]
pub struct Console<const OUT: usize, const LOG: usize> {
    out: Ring<OUT>,
    held: Ring<LOG>,
    /// When the oldest held line gives up waiting, in counter ticks.
    deadline: Option<u64>,
    patience_ticks: u64,
    longest_ticks: u64,
    /// A guest has not ended its line.
    mid_line: bool,
    /// The VM whose line it is, or was last.
    speaker: u8,
    /// When the first VM that waits for its end gives up waiting, in counter ticks.
    give_up: u64,
    /// Names of the VMs, by number, where there are several.
    names: Option<&'static [&'static str]>,
    /// A bit for each VM that waits for the end of that line.
    awaiting: u8,
    /// A bit for each VM that waited when a line ended and has not had one since. No other VM begins a line.
    turns: u8,
    /// Held lines have waited long enough, and found the ring full.
    overdue: bool,
    lost_lines: u32,
}

impl<const OUT: usize, const LOG: usize> Console<OUT, LOG> {
    /// An empty console.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            out: Ring::new(),
            held: Ring::new(),
            deadline: None,
            patience_ticks: 0,
            longest_ticks: 0,
            mid_line: false,
            speaker: 0,
            give_up: 0,
            names: None,
            awaiting: 0,
            turns: 0,
            overdue: false,
            lost_lines: 0,
        }
    }

    /// Tells the rate of the counter that later `now` arguments come from, in ticks per second.
    pub const fn set_frequency(&mut self, hz: u64) {
        self.patience_ticks = (hz / 1000).saturating_mul(PATIENCE_MS);
        self.longest_ticks = (hz / 1000).saturating_mul(LONGEST_MS);
    }

    /// Has each line of a guest begin with the name of its VM.
    pub const fn set_names(&mut self, names: &'static [&'static str]) {
        self.names = Some(names);
    }

    /// Whether there are several VMs, whose names their lines begin with.
    #[must_use]
    pub const fn has_names(&self) -> bool {
        self.names.is_some()
    }

    /// Takes one byte of output of the VM with number `vm`; `false`, and no change, while there is no
    /// [`Self::room`].
    pub fn guest_byte(&mut self, vm: u8, byte: u8) -> bool {
        if self.room(vm) == 0 {
            return false;
        }
        if !self.mid_line {
            self.begin_line(vm);
        }
        self.out.push(byte);
        self.mid_line = true;
        if byte == b'\n' {
            self.end_line();
            self.release();
        }
        true
    }

    fn begin_line(&mut self, vm: u8) {
        self.speaker = vm;
        self.turns &= !bit(vm);
        self.awaiting &= !bit(vm);
        for byte in self.prefix(vm).into_iter().flat_map(|name| name.bytes().chain(*b": ")) {
            self.out.push(byte);
        }
    }

    const fn end_line(&mut self) {
        self.mid_line = false;
        self.turns |= self.awaiting;
    }

    /// What the lines of `vm` begin with, but for the colon.
    fn prefix(&self, vm: u8) -> Option<&'static str> {
        self.names?.get(usize::from(vm)).copied()
    }

    /// Notes at `now`, in counter ticks, that `vm` waits until another VM has ended its line.
    pub const fn await_line(&mut self, vm: u8, now: u64) {
        if self.awaiting == 0 {
            self.give_up = now.saturating_add(self.longest_ticks);
        }
        self.awaiting |= bit(vm);
        if self.deadline.is_none() {
            self.deadline = Some(now.saturating_add(self.patience_ticks));
        }
    }

    /// Whether a VM waits for the end of another one's line.
    #[must_use]
    pub const fn is_awaited(&self) -> bool {
        self.mid_line && self.awaiting != 0
    }

    /// Notes at `now`, in counter ticks, that the speaker has gone on with its line: another VM that waits for
    /// the end waits [`PATIENCE_MS`] from here, up to [`LONGEST_MS`] in all. Answers when [`Self::tick`] is due for it.
    pub const fn spoke(&mut self, now: u64) -> Option<u64> {
        if !self.is_awaited() {
            return None;
        }
        if self.held.is_empty() || self.deadline.is_none() {
            let patient = now.saturating_add(self.patience_ticks);
            self.deadline = Some(if patient < self.give_up { patient } else { self.give_up });
        }
        self.deadline
    }

    /// A bit for each VM that has waited for the end of another one's line and may go on. They are asked once.
    pub const fn take_awaiting(&mut self) -> u8 {
        if self.mid_line { 0 } else { core::mem::replace(&mut self.awaiting, 0) }
    }

    /// Notes that each VM has been asked for output. Of those whose turn it was, only the ones in `refused`, a
    /// bit for each, and those that wait once more still have something to say.
    pub const fn asked(&mut self, refused: u8) {
        self.turns &= refused | self.awaiting;
    }

    /// Takes one log line, without its line end. `now` is in counter ticks.
    ///
    /// A line that does not fit whole is dropped and counted.
    pub fn log_line(&mut self, line: &str, now: u64) {
        let needed = line.len().saturating_add(2);
        if self.held.room() < needed {
            self.interrupt_guest_line();
        }
        if self.held.room() < needed {
            self.lost_lines = self.lost_lines.saturating_add(1);
            return;
        }
        for byte in line.bytes().chain(*b"\r\n") {
            self.held.push(byte);
        }
        if !self.mid_line {
            self.release();
        } else if self.deadline.is_none() {
            self.deadline = Some(now.saturating_add(self.patience_ticks));
        }
    }

    /// When [`Self::tick`] has something to do next, in counter ticks.
    #[must_use]
    pub const fn deadline(&self) -> Option<u64> {
        self.deadline
    }

    /// Lets log lines through that have waited long enough. Where the ring is full, the guest
    /// waits until it has drained that far: a deadline that stayed in the past would have the
    /// caller's timer fire without end.
    pub fn tick(&mut self, now: u64) {
        if self.deadline.is_some_and(|at| now >= at) {
            self.deadline = None;
            self.overdue = true;
            self.interrupt_guest_line();
        }
    }

    /// Ends the guest's line and lets every held log line through: the end is near. Where the ring is full,
    /// as it drains.
    pub fn flush(&mut self) {
        self.overdue = true;
        self.interrupt_guest_line();
    }

    /// The next byte for the UART.
    pub fn pop(&mut self) -> Option<u8> {
        let byte = self.out.pop();
        if self.overdue {
            self.interrupt_guest_line();
        }
        let waiting = !self.held.is_empty() || self.lost_lines > 0;
        if byte.is_some() && waiting && !self.mid_line {
            // What found the ring full follows as it drains.
            self.release();
        }
        byte
    }

    /// Whether nothing waits for the UART. Held log lines do not count.
    #[must_use]
    pub const fn is_drained(&self) -> bool {
        self.out.is_empty()
    }

    /// Bytes of output of `vm` that [`Self::guest_byte`] takes now.
    #[must_use]
    pub fn room(&self, vm: u8) -> usize {
        if self.log_comes_first() || self.is_of_another(vm) {
            return 0;
        }
        let prefix = if self.mid_line { None } else { self.prefix(vm) };
        self.out.room().saturating_sub(prefix.map_or(0, |name| name.len().saturating_add(2)))
    }

    /// Whether another VM than `vm` is within a line, or is to begin the next one.
    #[must_use]
    pub const fn is_of_another(&self, vm: u8) -> bool {
        if self.mid_line {
            self.speaker != vm
        } else {
            self.turns != 0 && self.turns & bit(vm) == 0
        }
    }

    /// Bytes that fit into the ring.
    #[must_use]
    pub const fn free(&self) -> usize {
        self.out.room()
    }

    /// A log line on its way out is not cut in two, nor is one kept waiting for ever.
    const fn log_comes_first(&self) -> bool {
        (!self.mid_line || self.overdue) && !self.held.is_empty()
    }

    fn interrupt_guest_line(&mut self) {
        if self.mid_line && self.out.room() >= 2 {
            self.out.push(b'\r');
            self.out.push(b'\n');
            self.end_line();
        }
        if !self.mid_line {
            self.release();
        }
    }

    /// Moves held lines into the ring, as far as it has room.
    fn release(&mut self) {
        self.deadline = None;
        self.overdue = false;
        while self.out.room() > 0 {
            let Some(byte) = self.held.pop() else { break };
            self.out.push(byte);
        }
        if self.held.is_empty() && self.lost_lines > 0 {
            self.confess();
        }
    }

    /// Says how many log lines were lost, once there is room to say so.
    fn confess(&mut self) {
        use core::fmt::Write;
        let mut line = Line::new();
        let lost = u64::from(self.lost_lines);
        let room = self.out.room().saturating_sub(2);
        if write!(line, "[postern] {lost} log line(s) lost: the console was full").is_ok()
            && room >= line.as_str().len()
        {
            for byte in line.as_str().bytes().chain(*b"\r\n") {
                self.out.push(byte);
            }
            self.lost_lines = 0;
        }
    }
}

impl<const OUT: usize, const LOG: usize> Default for Console<OUT, LOG> {
    fn default() -> Self {
        Self::new()
    }
}

/// The bit of the VM with number `vm`.
const fn bit(vm: u8) -> u8 {
    1u8.wrapping_shl(vm as u32)
}

#[cfg(test)]
mod tests;
