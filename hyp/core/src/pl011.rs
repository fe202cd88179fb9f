//! The console UART a guest sees: a PL011 (DDI0183, r1p5, 32-byte FIFOs).
//!
//! Data as plain state: bytes leave by [`Pl011::take_tx`] and arrive by [`Pl011::push_rx`], and
//! after every call [`Pl011::irq_line`] is the level of the combined interrupt. As long as the
//! host does not take bytes the transmit FIFO fills, and the guest sees it in FR.TXFF.
//!
//! The receive timeout, which is due when 32 bit periods pass with data present and none received (2.8.4),
//! comes at once with each byte. ICR clears it; if data still waits then ([`Pl011::is_overdue`]), the host
//! calls [`Pl011::time_passes`] about a timeout later. Not at once: a handler that clears first and reads
//! later, outside of its interrupt, would never get to read. RXRIS comes back then as well, although it
//! tells of a transition (3.3.9): bytes come only where there is room for them, so that no further byte
//! would ever raise it for a driver that has RTIM clear. TXRIS does not: what a guest sends has left.
//!
//! Like the UART of QEMU's `virt` machine, this one sends and
//! receives although the guest never enabled it, because there firmware would have. Once the guest
//! has written CR, input waits while the receiver is off.

use crate::esr::Width;

/// Register offsets (DDI0183, section 3.2).
mod reg {
    pub(super) const DR: u64 = 0x000;
    pub(super) const RSR: u64 = 0x004;
    pub(super) const FR: u64 = 0x018;
    pub(super) const ILPR: u64 = 0x020;
    pub(super) const IBRD: u64 = 0x024;
    pub(super) const FBRD: u64 = 0x028;
    pub(super) const LCR_H: u64 = 0x02c;
    pub(super) const CR: u64 = 0x030;
    pub(super) const IFLS: u64 = 0x034;
    pub(super) const IMSC: u64 = 0x038;
    pub(super) const RIS: u64 = 0x03c;
    pub(super) const MIS: u64 = 0x040;
    pub(super) const ICR: u64 = 0x044;
    pub(super) const DMACR: u64 = 0x048;
    pub(super) const PERIPH_ID0: u64 = 0xfe0;
}

mod flag {
    pub(super) const BUSY: u32 = 1 << 3;
    pub(super) const RXFE: u32 = 1 << 4;
    pub(super) const TXFF: u32 = 1 << 5;
    pub(super) const RXFF: u32 = 1 << 6;
    pub(super) const TXFE: u32 = 1 << 7;
}

mod int {
    pub(super) const RX: u32 = 1 << 4;
    pub(super) const TX: u32 = 1 << 5;
    pub(super) const RT: u32 = 1 << 6;
    /// All eleven sources.
    pub(super) const ALL: u32 = 0x7ff;
}

/// LCR_H: FIFOs enabled.
const LCR_H_FEN: u32 = 1 << 4;
/// CR: UART enabled, transmit and receive enabled, loopback; and what can be written.
const CR_UARTEN: u32 = 1 << 0;
const CR_LBE: u32 = 1 << 7;
const CR_TXE: u32 = 1 << 8;
const CR_RXE: u32 = 1 << 9;
const CR_WRITABLE: u32 = 0xff87;

/// Bytes in each FIFO.
pub const FIFO_DEPTH: usize = 32;

/// PeriphID0-3 and PCellID0-3 (DDI0183, section 3.3.14 on); revision 3 is r1p5.
const ID: [u8; 8] = [0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1];

/// A ring of bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Fifo {
    bytes: [u8; FIFO_DEPTH],
    head: usize,
    len: usize,
}

impl Fifo {
    /// Adds `byte` unless the FIFO is full.
    fn push(&mut self, byte: u8) {
        let at = self.head.wrapping_add(self.len) % FIFO_DEPTH;
        if self.len < FIFO_DEPTH
            && let Some(entry) = self.bytes.get_mut(at)
        {
            *entry = byte;
            self.len = self.len.saturating_add(1);
        }
    }

    fn pop(&mut self) -> Option<u8> {
        self.len = self.len.checked_sub(1)?;
        let byte = self.bytes.get(self.head).copied();
        self.head = self.head.wrapping_add(1) % FIFO_DEPTH;
        byte
    }
}

/// One UART.
#[derive(Debug, Clone)]
pub struct Pl011 {
    rx: Fifo,
    tx: Fifo,
    ilpr: u32,
    ibrd: u32,
    fbrd: u32,
    lcr_h: u32,
    cr: u32,
    /// The guest has written CR, so its receiver enable counts.
    is_managed: bool,
    ifls: u32,
    imsc: u32,
    ris: u32,
    dmacr: u32,
    /// The host was refused room.
    is_awaited: bool,
}

impl Default for Pl011 {
    fn default() -> Self {
        Self::new()
    }
}

impl Pl011 {
    /// The state after reset.
    #[must_use]
    pub const fn new() -> Self {
        const EMPTY: Fifo = Fifo { bytes: [0; FIFO_DEPTH], head: 0, len: 0 };
        Self {
            rx: EMPTY,
            tx: EMPTY,
            ilpr: 0,
            ibrd: 0,
            fbrd: 0,
            lcr_h: 0,
            cr: CR_TXE | CR_RXE,
            is_managed: false,
            ifls: 0x12,
            imsc: 0,
            ris: 0,
            dmacr: 0,
            is_awaited: false,
        }
    }

    /// A load at `offset` in the register page. Registers answer at their own offset, whatever the
    /// width; everything else reads as zero.
    pub fn read(&mut self, offset: u64, width: Width) -> u64 {
        self.show(offset, width).unwrap_or_else(|| u64::from(self.receive()) & width.mask())
    }

    /// Answers a load that changes nothing; `None` for one that takes a byte out.
    #[must_use]
    pub fn show(&self, offset: u64, width: Width) -> Option<u64> {
        let value = match offset {
            reg::DR => return None,
            reg::FR => self.flags(),
            reg::ILPR => self.ilpr,
            reg::IBRD => self.ibrd,
            reg::FBRD => self.fbrd,
            reg::LCR_H => self.lcr_h,
            reg::CR => self.cr,
            reg::IFLS => self.ifls,
            reg::IMSC => self.imsc,
            // RTRIS shows only where it is enabled (3.3.11, table 3-15, note a).
            reg::RIS => self.ris & (self.imsc | !int::RT),
            reg::MIS => self.ris & self.imsc,
            reg::DMACR => self.dmacr,
            // No errors occur, so RSR is among the rest.
            _ => identification(offset),
        };
        Some(u64::from(value) & width.mask())
    }

    /// A store at `offset` in the register page; without effect where nothing can be written.
    pub fn write(&mut self, offset: u64, width: Width, value: u64) {
        let value = (value & width.mask() & 0xffff) as u32;
        match offset {
            reg::DR => self.send((value & 0xff) as u8),
            reg::RSR => {}
            reg::ILPR => self.ilpr = value & 0xff,
            reg::IBRD => self.ibrd = value,
            reg::FBRD => self.fbrd = value & 0x3f,
            reg::LCR_H => self.set_line_control(value & 0xff),
            reg::CR => {
                self.cr = value & CR_WRITABLE;
                self.is_managed = true;
            }
            reg::IFLS => {
                self.ifls = value & 0x3f;
                self.ris |= self.due();
            }
            reg::IMSC => self.imsc = value & int::ALL,
            reg::ICR => self.ris &= !value,
            reg::DMACR => self.dmacr = value & 7,
            _ => {}
        }
    }

    /// The next byte that goes out, if there is one.
    pub fn take_tx(&mut self) -> Option<u8> {
        let byte = self.tx.pop()?;
        if self.tx.len <= self.tx_trigger() {
            self.ris |= int::TX;
        }
        Some(byte)
    }

    /// Whether a byte waits to go out.
    #[must_use]
    pub const fn has_tx(&self) -> bool {
        self.tx.len != 0
    }

    /// How many bytes [`Self::push_rx`] would take now.
    #[must_use]
    pub fn rx_room(&self) -> usize {
        let is_on = self.cr & (CR_UARTEN | CR_RXE) == CR_UARTEN | CR_RXE;
        if self.is_managed && !is_on {
            return 0;
        }
        self.depth().saturating_sub(self.rx.len)
    }

    /// Whether [`Self::push_rx`] would take a byte now. If not, the host is to be told of room:
    /// [`Self::has_room_again`].
    pub fn offers_room(&mut self) -> bool {
        self.is_awaited = self.rx_room() == 0;
        !self.is_awaited
    }

    /// Whether there is room that the host was refused before; says so once.
    pub fn has_room_again(&mut self) -> bool {
        self.is_awaited && self.offers_room()
    }

    /// A byte comes in. `false` if there is no room for it: offer it again after the guest's
    /// next access.
    #[must_use]
    pub fn push_rx(&mut self, byte: u8) -> bool {
        if self.rx_room() == 0 {
            return false;
        }
        self.rx.push(byte);
        self.ris |= self.due();
        true
    }

    /// Whether input waits and the guest has cleared a receive interrupt that tells of it: then
    /// [`Self::time_passes`] should be called soon.
    #[must_use]
    pub const fn is_overdue(&self) -> bool {
        self.rx.len != 0 && self.due() & !self.ris != 0
    }

    /// A receive timeout is over: raises again what the guest has cleared without reading.
    pub const fn time_passes(&mut self) {
        self.ris |= self.due();
    }

    /// The level of the combined interrupt, UARTINTR.
    #[must_use]
    pub const fn irq_line(&self) -> bool {
        self.ris & self.imsc != 0
    }

    fn receive(&mut self) -> u32 {
        let byte = self.rx.pop().map_or(0, u32::from);
        if self.rx.len < self.rx_trigger() {
            self.ris &= !int::RX;
        }
        if self.rx.len == 0 {
            self.ris &= !int::RT;
        }
        byte
    }

    fn send(&mut self, byte: u8) {
        if self.cr & CR_LBE != 0 {
            // A full FIFO overruns, as on a wire.
            let _ = self.push_rx(byte);
            self.ris |= int::TX;
            return;
        }
        if self.tx.len < self.depth() {
            self.tx.push(byte);
        }
        if self.tx.len > self.tx_trigger() {
            self.ris &= !int::TX;
        }
    }

    fn flags(&self) -> u32 {
        let mut flags = 0;
        if self.tx.len == 0 {
            flags |= flag::TXFE;
        } else {
            flags |= flag::BUSY;
        }
        if self.tx.len >= self.depth() {
            flags |= flag::TXFF;
        }
        if self.rx.len == 0 {
            flags |= flag::RXFE;
        }
        if self.rx.len >= self.depth() {
            flags |= flag::RXFF;
        }
        flags
    }

    fn set_line_control(&mut self, value: u32) {
        if (self.lcr_h ^ value) & LCR_H_FEN != 0 {
            self.rx = Fifo::default();
            self.ris &= !(int::RX | int::RT);
        }
        self.lcr_h = value;
    }

    /// The receive interrupts that the fill level calls for.
    const fn due(&self) -> u32 {
        let level = if self.rx.len >= self.rx_trigger() { int::RX } else { 0 };
        if self.rx.len == 0 { 0 } else { level | int::RT }
    }

    /// Places in use: the whole FIFO, or one holding register.
    const fn depth(&self) -> usize {
        if self.lcr_h & LCR_H_FEN == 0 { 1 } else { FIFO_DEPTH }
    }

    /// RXRIS is raised when this many bytes or more wait.
    const fn rx_trigger(&self) -> usize {
        if self.lcr_h & LCR_H_FEN == 0 { 1 } else { trigger(self.ifls >> 3) }
    }

    /// TXRIS is raised when, after a byte has left, this many or fewer wait.
    const fn tx_trigger(&self) -> usize {
        if self.lcr_h & LCR_H_FEN == 0 { 0 } else { trigger(self.ifls) }
    }
}

/// The level that a field of IFLS selects: 1/8, 1/4, 1/2, 3/4 or 7/8 of the FIFO. Reserved values
/// count as 7/8.
const fn trigger(select: u32) -> usize {
    match select & 7 {
        0 => FIFO_DEPTH / 8,
        1 => FIFO_DEPTH / 4,
        2 => FIFO_DEPTH / 2,
        3 => FIFO_DEPTH / 4 * 3,
        _ => FIFO_DEPTH / 8 * 7,
    }
}

fn identification(offset: u64) -> u32 {
    let Some(distance) = offset.checked_sub(reg::PERIPH_ID0) else { return 0 };
    if distance & 3 != 0 {
        return 0;
    }
    usize::try_from(distance >> 2).ok().and_then(|n| ID.get(n)).copied().map_or(0, u32::from)
}

#[cfg(test)]
mod tests;
