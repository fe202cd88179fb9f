//! Machine code for loaders: just enough of an assembler (Arm ARM, C6.2).

/// Where what a loader gives up with stands in its first page.
const FAIL: usize = 0xd00;
/// Where the CPUs that wait for their release find its words, one for each.
pub(super) const RELEASE: usize = 0xfc0;
/// The PL011 of `virt`.
const CONSOLE: u64 = 0x0900_0000;
/// PSCI `SYSTEM_OFF` and `CPU_ON` (DEN0022).
const SYSTEM_OFF: u64 = 0x8400_0008;
const CPU_ON: u64 = 0xc400_0003;
/// MPIDR_EL1.
const MPIDR: Register = Register("S3_0_C0_C0_5");

/// A system register by its encoding, as assemblers write one without a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register(pub &'static str);

impl Register {
    /// Op0 to Op2, where MRS and MSR have them.
    fn field(self) -> u32 {
        let mut numbers = self.0.trim_start_matches('S').split('_').map(|part| {
            part.trim_start_matches('C').parse::<u32>().expect("S<op0>_<op1>_C<n>_C<m>_<op2>")
        });
        let mut next = || numbers.next().expect("five numbers");
        let [op0, op1, crn, crm, op2] = [next(), next(), next(), next(), next()];
        (op0 & 1) << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5
    }
}

/// Something that a loader does on each CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Writes a register, which must hold the value then.
    Set(Register, u64),
    /// Writes a register, of which the bits of the mask must hold the value then.
    SetSome(Register, u64, u64),
    /// Stores 32 bits at an address, of which the bits of the mask must hold the value then.
    Store(u64, u32, u32),
    /// An offset in the frames of this CPU's GICv3 redistributor.
    StoreOwn(u64, u32, u32),
    /// Stores 64 bits there; to the value is added this times the CPU's number. Nothing is looked at.
    StoreOwnPlus(u64, u64, u64),
}

/// What is being assembled: `at` is where it stands, in the loader's first page.
#[derive(Debug)]
pub(super) struct Code {
    at: usize,
    words: Vec<u32>,
}

/// The redistributors of `virt`.
const REDISTRIBUTORS: u64 = 0x080a_0000;

impl Code {
    pub(super) const fn new(at: usize) -> Self {
        Self { at, words: Vec::new() }
    }

    pub(super) fn end(&self) -> usize {
        self.at + 4 * self.words.len()
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    pub(super) fn raw(&mut self, words: &[u32]) {
        self.words.extend_from_slice(words);
    }

    /// MOVZ and MOVK.
    fn mov(&mut self, register: u32, value: u64) {
        self.words.push(0xd280_0000 | register);
        for half in 0..4 {
            let bits = u32::try_from(value >> (16 * half) & 0xffff).expect("16 bits");
            if bits != 0 {
                self.words.push(0xf280_0000 | half << 21 | bits << 5 | register);
            }
        }
    }

    /// Words from here to `to`, for a branch.
    fn distance(&self, to: usize, bits: u32) -> u32 {
        let from = i64::try_from(self.end()).expect("a page");
        let words = (i64::try_from(to).expect("a page") - from) / 4;
        u32::try_from(words & ((1 << bits) - 1)).expect("masked")
    }

    /// B.
    pub(super) fn branch(&mut self, to: usize) {
        let distance = self.distance(to, 26);
        self.words.push(0x1400_0000 | distance);
    }

    /// Gives up unless the bits `mask` of x3 are `value`. Corrupts x1, x2, x3.
    fn demand(&mut self, value: u64, mask: u64) {
        self.mov(2, mask);
        self.words.push(0x8a02_0063); // and x3, x3, x2
        self.mov(1, value & mask);
        self.words.push(0xeb01_007f); // cmp x3, x1
        let distance = self.distance(FAIL, 19);
        self.words.push(0x5400_0001 | distance << 5); // b.ne
    }

    fn set(&mut self, register: Register, value: u64, mask: u64) {
        self.mov(1, value);
        self.words.push(0xd510_0001 | register.field()); // msr register, x1
        self.words.push(0xd503_3fdf); // isb
        self.words.push(0xd530_0003 | register.field()); // mrs x3, register
        self.demand(value, mask);
    }

    /// Does `step`. x9 is the CPU's redistributor, x8 its number.
    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::Set(register, value) => self.set(register, value, u64::MAX),
            Step::SetSome(register, value, mask) => self.set(register, value, mask),
            Step::Store(address, value, mask) | Step::StoreOwn(address, value, mask) => {
                self.mov(2, address);
                if matches!(step, Step::StoreOwn(..)) {
                    self.words.push(0x8b09_0042); // add x2, x2, x9
                }
                self.mov(1, value.into());
                self.words.push(0xb900_0041); // str w1, [x2]
                self.words.push(0xb940_0043); // ldr w3, [x2]
                self.demand(value.into(), mask.into());
            }
            Step::StoreOwnPlus(offset, value, each) => {
                self.mov(2, offset);
                self.words.push(0x8b09_0042); // add x2, x2, x9
                self.mov(1, each);
                self.words.push(0x9b08_7c21); // mul x1, x1, x8
                self.mov(3, value);
                self.words.push(0x8b03_0021); // add x1, x1, x3
                self.words.push(0xf900_0041); // str x1, [x2]
            }
        }
    }

    /// x8 and x9 for [`Self::step`]. Corrupts x1.
    pub(super) fn who(&mut self) {
        self.words.push(0xd530_0008 | MPIDR.field()); // mrs x8, mpidr_el1
        self.words.push(0x9240_1d08); // and x8, x8, #0xff
        self.mov(9, REDISTRIBUTORS);
        self.words.push(0x8b08_4529); // add x9, x9, x8, lsl #17
    }

    /// Has firmware start the CPU with this affinity at `entry` of the loader's first page.
    pub(super) fn start_cpu(&mut self, affinity: u64, entry: usize) {
        self.mov(0, CPU_ON);
        self.mov(1, affinity);
        let words = self.distance(entry, 19);
        self.words.push(0x1000_0002 | words << 5); // adr x2, entry
        self.words.push(0xd400_0003); // smc #0
    }

    /// Waits until there is an address in this CPU's word, and goes there.
    pub(super) fn wait_for_release(&mut self) {
        let words = self.distance(RELEASE, 19);
        self.words.push(0x1000_0002 | words << 5); // adr x2, RELEASE
        self.words.push(0xf868_7843); // ldr x3, [x2, x8, lsl #3]
        self.words.push(0xd503_203f); // yield
        self.words.push(0xb4ff_ffc3); // cbz x3, -2
        self.words.push(0xd61f_0060); // br x3
    }

    /// What stands at [`FAIL`]: says so, and ends the machine.
    pub(super) fn failing() -> (usize, Vec<u8>) {
        let mut code = Self::new(FAIL);
        code.mov(2, CONSOLE);
        for byte in b"the loader's row is not to be had\n" {
            code.mov(1, (*byte).into());
            code.words.push(0xb900_0041); // str w1, [x2]
        }
        code.mov(0, SYSTEM_OFF);
        code.words.push(0xd400_0003); // smc #0
        code.branch(code.end());
        assert!(code.end() <= RELEASE, "{:#x}", code.end());
        (FAIL, code.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What assemblers make of these registers.
    #[test]
    fn registers_are_where_assemblers_put_them() {
        for (name, msr) in [
            ("S3_4_C1_C1_0", 0xd51c_1100), // hcr_el2
            ("S3_0_C0_C0_5", 0xd518_00a0), // mpidr_el1
            ("S2_4_C9_C0_0", 0xd514_9000), // brbcr_el2
            ("S3_3_C4_C2_2", 0xd51b_4240), // svcr
        ] {
            assert_eq!(0xd510_0000 | Register(name).field(), msr, "{name}");
        }
    }

    #[test]
    fn branches_and_constants_are_what_assemblers_make() {
        let mut code = Code::new(0xd08);
        code.demand(0, 0);
        assert_eq!(code.words, [0xd280_0002, 0x8a02_0063, 0xd280_0001, 0xeb01_007f, 0x54ff_ff41]);
        let mut code = Code::new(0);
        code.mov(4, 0x1_0000_0123);
        code.branch(0);
        assert_eq!(code.words, [0xd280_0004, 0xf280_2464, 0xf2c0_0024, 0x17ff_fffd]);
    }
}
