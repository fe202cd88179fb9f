//! A hypervisor for host tests, made from the tables of the ABI and from nothing else.
//!
//! It serves one VM through [`Conduit`], with the numbers written out as the reference has them,
//! so that a wrong constant elsewhere shows. [`Quirks`] turn it into the hosts that guests meet in
//! the field.

use core::cell::RefCell;
use std::collections::BTreeSet;
use std::vec::Vec;

use hyp_abi::smccc::FunctionId;

use crate::conduit::Conduit;

const NOT_SUPPORTED: u64 = 0xffff_ffff_ffff_ffff;
const INVALID_PARAMETER: u64 = 0xffff_ffff_ffff_fffd;
const PAGE: u64 = 4096;

/// Which host to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// The numbering of the 2021 postings in place of Android's.
    pub is_list_2021: bool,
    /// The VM starts enrolled, as protected VMs do.
    pub starts_enrolled: bool,
    /// RGUARD_* are there (android15-6.6 and later), with at most this many granules a call.
    pub range_limit: Option<u64>,
    /// SHARE and UNSHARE take ranges (likewise), with at most this many granules a call.
    pub share_limit: Option<u64>,
    /// MAP alone is announced, as mainline documents it.
    pub map_only: bool,
    /// Errors of MAP come in 32 bits, the upper half zero (android13-5.15).
    pub zero_extends: bool,
    /// UNMAP does nothing and answers 0 (android16-6.12).
    pub unmap_does_nothing: bool,
    /// What INFO and MEMINFO answer.
    pub granule: u64,
    /// MAP is refused from this many marked granules on.
    pub quota: usize,
    /// First byte of the VM's memory.
    pub ram_base: u64,
    /// First byte behind it.
    pub ram_end: u64,
    /// Bits of its physical addresses.
    pub ipa_bits: u32,
    /// What PSCI_VERSION answers.
    pub psci_version: u64,
    /// What SMCCC_VERSION answers.
    pub smccc_version: u64,
    /// What CALL_UID answers.
    pub uid: [u32; 4],
}

impl Default for Quirks {
    /// A protected VM of an android14-6.1 host.
    fn default() -> Self {
        Self {
            is_list_2021: false,
            starts_enrolled: true,
            range_limit: None,
            share_limit: None,
            map_only: false,
            zero_extends: false,
            unmap_does_nothing: false,
            granule: PAGE,
            quota: usize::MAX,
            ram_base: 0x4000_0000,
            ram_end: 0x4800_0000,
            ipa_bits: 40,
            psci_version: 0x1_0001,
            smccc_version: 0x1_0001,
            uid: [0xb66f_b428, 0xe911_c52e, 0x564b_caa9, 0x743a_004d],
        }
    }
}

#[derive(Debug, Default)]
struct State {
    is_enrolled: bool,
    guarded: BTreeSet<u64>,
    shared: BTreeSet<u64>,
    calls: Vec<(u32, [u64; 3])>,
}

/// The fake: answers calls and remembers what they did.
#[derive(Debug)]
pub struct FakeHypervisor {
    quirks: Quirks,
    state: RefCell<State>,
}

impl FakeHypervisor {
    /// A fresh VM of this host.
    #[must_use]
    pub fn new(quirks: Quirks) -> Self {
        let state = State { is_enrolled: quirks.starts_enrolled, ..State::default() };
        Self { quirks, state: RefCell::new(state) }
    }

    /// Addresses of all guarded granules, rising.
    #[must_use]
    pub fn guarded(&self) -> Vec<u64> {
        self.state.borrow().guarded.iter().copied().collect()
    }

    /// Addresses of all shared granules, rising.
    #[must_use]
    pub fn shared(&self) -> Vec<u64> {
        self.state.borrow().shared.iter().copied().collect()
    }

    /// Whether the guard is in force.
    #[must_use]
    pub fn is_enrolled(&self) -> bool {
        self.state.borrow().is_enrolled
    }

    /// Every call so far: function id and x1 to x3.
    #[must_use]
    pub fn calls(&self) -> Vec<(u32, [u64; 3])> {
        self.state.borrow().calls.clone()
    }

    fn is_ram(&self, address: u64) -> bool {
        (self.quirks.ram_base..self.quirks.ram_end).contains(&address)
    }

    fn features(&self) -> u64 {
        match self.quirks {
            Quirks { is_list_2021: true, .. } => 0x3d,
            Quirks { map_only: true, .. } => 0x9d,
            Quirks { range_limit: Some(_), .. } => 0xffd,
            _ => 0x3fd,
        }
    }

    fn refusal(&self) -> u64 {
        match self.quirks {
            Quirks { is_list_2021: true, .. } => NOT_SUPPORTED,
            Quirks { zero_extends: true, .. } => INVALID_PARAMETER & 0xffff_ffff,
            _ => INVALID_PARAMETER,
        }
    }

    /// Section 3.2 of the reference, in its order.
    fn map(&self, state: &mut State, address: u64) -> u64 {
        let is_bad = !state.is_enrolled
            || !address.is_multiple_of(self.quirks.granule)
            || self.is_ram(address)
            || address >> self.quirks.ipa_bits != 0
            || (state.guarded.len() >= self.quirks.quota && !state.guarded.contains(&address));
        if is_bad {
            return self.refusal();
        }
        state.guarded.insert(address);
        0
    }

    fn unmap(&self, state: &mut State, address: u64) -> u64 {
        if !state.is_enrolled {
            return self.refusal();
        }
        if self.quirks.unmap_does_nothing {
            return 0;
        }
        let address = if self.quirks.is_list_2021 { address & !(PAGE - 1) } else { address };
        if state.guarded.remove(&address) { 0 } else { self.refusal() }
    }

    fn range(&self, x: [u64; 3], mut one: impl FnMut(u64) -> u64) -> [u64; 4] {
        let limit = self.quirks.range_limit.unwrap_or(0);
        if x[1] == 0 || x[2] != 0 {
            return [INVALID_PARAMETER, 0, 0, 0];
        }
        for done in 0..x[1].min(limit) {
            if one(x[0].wrapping_add(done * self.quirks.granule)) != 0 {
                return if done == 0 { [INVALID_PARAMETER, 0, 0, 0] } else { [0, done, 0, 0] };
            }
        }
        [0, x[1].min(limit), 0, 0]
    }

    /// SHARE or UNSHARE: one granule, or as many as x2 says on hosts with ranges of memory.
    fn memory(&self, x: [u64; 3], mut one: impl FnMut(u64) -> bool) -> [u64; 4] {
        let (count, limit) = match self.quirks.share_limit {
            Some(limit) => (x[1].max(1), limit),
            None if x[1] == 0 => (1, 1),
            None => return [INVALID_PARAMETER, 0, 0, 0],
        };
        if x[2] != 0 || !x[0].is_multiple_of(PAGE) {
            return [INVALID_PARAMETER, 0, 0, 0];
        }
        let has_range = self.quirks.share_limit.is_some();
        let want = count.min(limit);
        let done = (0..want).take_while(|n| one(x[0].wrapping_add(n * PAGE))).count() as u64;
        let x0 = if done == 0 { INVALID_PARAMETER } else { 0 };
        [x0, if has_range { done } else { 0 }, 0, 0]
    }

    fn share(&self, state: &mut State, x: [u64; 3]) -> [u64; 4] {
        self.memory(x, |page| self.is_ram(page) && state.shared.insert(page))
    }

    fn unshare(&self, state: &mut State, x: [u64; 3]) -> [u64; 4] {
        self.memory(x, |page| state.shared.remove(&page))
    }

    fn relinquish(state: &State, x: [u64; 3]) -> u64 {
        let is_good = x[1] == 0 && x[2] == 0 && !state.shared.contains(&x[0]);
        if is_good { 0 } else { INVALID_PARAMETER }
    }

    fn info(&self, x: [u64; 3], flags: u64) -> [u64; 4] {
        if x == [0; 3] { [self.quirks.granule, flags, 0, 0] } else { [INVALID_PARAMETER, 0, 0, 0] }
    }

    fn vendor(&self, state: &mut State, function: u32, x: [u64; 3]) -> [u64; 4] {
        let has_range = u64::from(self.quirks.range_limit.is_some());
        if self.quirks.is_list_2021 {
            return match function {
                0xc600_0002 => [self.quirks.granule, 0, 0, 0],
                0xc600_0003 => {
                    state.is_enrolled = true;
                    [0; 4]
                }
                0xc600_0004 => [self.map(state, x[0]), 0, 0, 0],
                0xc600_0005 => [self.unmap(state, x[0]), 0, 0, 0],
                _ => [NOT_SUPPORTED, 0, 0, 0],
            };
        }
        let is_announced = self.features() & (1 << (function & 0xff)) != 0;
        match function {
            _ if !is_announced => [NOT_SUPPORTED, 0, 0, 0],
            0xc600_0002 => self.info(x, u64::from(self.quirks.share_limit.is_some())),
            0xc600_0003 => self.share(state, x),
            0xc600_0004 => self.unshare(state, x),
            0xc600_0005 => self.info(x, has_range),
            0xc600_0006 => {
                state.is_enrolled = true;
                [0; 4]
            }
            0xc600_0007 => [self.map(state, x[0]), 0, 0, 0],
            0xc600_0008 => [self.unmap(state, x[0]), 0, 0, 0],
            0xc600_0009 => [Self::relinquish(state, x), 0, 0, 0],
            0xc600_000a => self.range(x, |address| self.map(state, address)),
            0xc600_000b => self.range(x, |address| self.unmap(state, address)),
            _ => [NOT_SUPPORTED, 0, 0, 0],
        }
    }
}

impl Conduit for FakeHypervisor {
    fn call(&self, function: FunctionId, x: [u64; 3]) -> [u64; 4] {
        let state = &mut *self.state.borrow_mut();
        state.calls.push((function.0, x));
        match function.0 {
            0x8400_0000 => [self.quirks.psci_version, 0, 0, 0],
            0x8400_000a if x[0] == 0x8000_0000 => [0; 4],
            0x8000_0000 => [self.quirks.smccc_version, 0, 0, 0],
            0x8600_ff01 => self.quirks.uid.map(u64::from),
            0x8600_0000 => [self.features(), 0, 0, 0],
            0xc600_0002..=0xc600_000b => self.vendor(state, function.0, x),
            _ => [NOT_SUPPORTED, 0, 0, 0],
        }
    }
}
