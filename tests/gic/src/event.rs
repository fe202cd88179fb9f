//! What happens to an interrupt controller, made of bytes: everything means something, and what is
//! likely to matter is likely.

use crate::model::Sender;

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A load; of a redistributor if not of the distributor.
    Read {
        /// Who.
        vcpu: usize,
        /// From where.
        is_distributor: bool,
        /// Offset from the distributor or the first redistributor.
        offset: u64,
        /// 1, 2, 4 or 8.
        bytes: u64,
    },
    /// A store.
    Write {
        /// Who.
        vcpu: usize,
        /// To where.
        is_distributor: bool,
        /// As above.
        offset: u64,
        /// As above.
        bytes: u64,
        /// What.
        value: u64,
    },
    /// A write of a system register that sends SGIs (GICv3).
    Send(usize, Sender, u64),
    /// The line of a shared interrupt.
    Line(u32, bool),
    /// An edge on it.
    Pulse(u32),
    /// A timer of a vCPU.
    Timer(usize, u32, bool),
    /// A vCPU sets up its CPU interface: mask, groups, EOImode.
    SetUp(usize, u8, bool, bool, bool),
    /// A vCPU reads IAR.
    Acknowledge(usize),
    /// It writes EOIR, for what it acknowledged last.
    End(usize),
    /// It writes DIR, for the n-th of those that it ended.
    Deactivate(usize, usize),
    /// It goes off.
    Off(usize),
    /// It goes on.
    On(usize),
    /// The VM resets.
    Reset,
}

/// Where the bytes come from. Behind their end are zeroes.
#[derive(Debug, Clone)]
pub struct Source<'a>(pub &'a [u8]);

impl Source<'_> {
    /// The next one.
    pub fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        byte
    }

    /// A number below `count`, which is not 0.
    pub fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn number(&mut self, bytes: usize) -> u64 {
        (0..bytes).fold(0, |value, _| value << 8 | u64::from(self.byte()))
    }
}

/// Few interrupts, so that what is done to one meets what is done to it elsewhere.
const FAVOURITES: [u32; 16] = [0, 1, 2, 7, 26, 27, 29, 30, 32, 33, 34, 47, 63, 64, 95, 127];
const SPIS: [u32; 8] = [32, 33, 34, 47, 63, 64, 95, 127];

/// A value for bits, bytes or anything.
fn value(source: &mut Source<'_>) -> u64 {
    match source.below(8) {
        0 => !0,
        1 => 0,
        2 => source.number(8),
        3 => source.number(4),
        4 => 0x0101_0101 * source.number(1),
        count => (5..=count).fold(0, |bits, _| bits | 1 << (source.of(&FAVOURITES) & 31)),
    }
}

/// Register, offset of the access and its bytes; `true` for the distributor.
fn place(source: &mut Source<'_>, is_v2: bool, vcpus: usize) -> (bool, u64, u64) {
    let intid = u64::from(source.of(&FAVOURITES));
    // All the frames are 128 KiB, and the last one is where nobody is.
    let frame = 0x2_0000 * source.below(vcpus + 1) as u64;
    let is_private = intid < 32 && !is_v2;
    let base = if is_private { frame + 0x1_0000 } else { 0 };
    let word = intid / 32 * 4;
    let (is_distributor, offset, bytes) = match source.below(16) {
        kind @ 1..=7 => (!is_private, base + 0x80 * kind as u64 + word, 4),
        8 => (!is_private, base + 0x400 + intid, 1),
        9 => (!is_private, base + 0x400 + (intid & !3), 4),
        10 => (!is_private, base + 0xc00 + intid / 16 * 4, 4),
        11 if is_v2 => (true, 0x800 + (intid & !3), 4),
        11 => (true, 0x6000 + 8 * intid, 8),
        12 if is_v2 => (true, 0x800 + intid, 1),
        12 => (true, 0x6000 + 8 * intid + 4 * source.below(2) as u64, 4),
        13 if is_v2 => (true, 0xf00 + source.below(0x30) as u64, source.of(&[1, 4])),
        13 => (false, frame + source.of(&[0, 4, 8, 0xc, 0x14]), source.of(&[4, 4, 4, 8])),
        14 if source.below(4) == 0 => (true, source.of(&[0, 4, 8, 0xf00]), 4),
        // Enables, so that what others turned off is on again.
        14 => (!is_private, base + 0x100 + word, 4),
        _ => {
            let bytes = source.of(&[1, 2, 4, 8]);
            let offset = source.number(3) & !(bytes - 1) | source.of(&[0, 0, 0, 1]);
            if is_private {
                (false, frame + offset % 0x2_0000, bytes)
            } else {
                (true, offset % if is_v2 { 0x1080 } else { 0x1_0000 }, bytes)
            }
        }
    };
    (is_distributor, offset, bytes)
}

impl Event {
    /// The next event of `source` for that many vCPUs.
    pub fn next(source: &mut Source<'_>, is_v2: bool, vcpus: usize) -> Self {
        let vcpu = source.below(vcpus);
        match source.below(32) {
            0..=4 => {
                let (is_distributor, offset, bytes) = place(source, is_v2, vcpus);
                Self::Read { vcpu, is_distributor, offset, bytes }
            }
            5..=13 => {
                let (is_distributor, offset, bytes) = place(source, is_v2, vcpus);
                let value = value(source);
                Self::Write { vcpu, is_distributor, offset, bytes, value }
            }
            14..=15 if is_v2 => {
                let value = source.number(1) << 24 | source.number(1) << 16 | source.number(1) & 7;
                Self::Write { vcpu, is_distributor: true, offset: 0xf00, bytes: 4, value }
            }
            14..=15 => {
                let sender =
                    source.of(&[Sender::Group1, Sender::Group1, Sender::Group0, Sender::Other]);
                let far = source.of(&[0, 0, 0, 0, 0, 1 << 40, 1 << 16, 1 << 44]);
                let value = far | (source.number(1) % 3) << 24 | source.number(1);
                Self::Send(vcpu, sender, value)
            }
            16..=17 => Self::Line(source.of(&SPIS), source.flag()),
            18 => Self::Pulse(source.of(&SPIS)),
            19..=20 => Self::Timer(vcpu, source.of(&[27, 30]), source.flag()),
            21 => {
                let mask = source.of(&[0xff, 0xff, 0x80, 0xf0, 0x08, 0]);
                let (group0, group1) = (source.below(4) != 0, source.below(4) != 0);
                Self::SetUp(vcpu, mask, group0, group1, source.flag())
            }
            22..=25 => Self::Acknowledge(vcpu),
            26..=28 => Self::End(vcpu),
            29 => Self::Deactivate(vcpu, source.below(4)),
            30 => match source.below(8) {
                0 if source.below(8) == 0 => Self::Reset,
                0..=3 => Self::Off(vcpu),
                _ => Self::On(vcpu),
            },
            _ => Self::Acknowledge(vcpu),
        }
    }
}
