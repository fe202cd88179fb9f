//! How a call reaches the hypervisor.

use hyp_abi::smccc::FunctionId;

/// One way to make an SMCCC call (DEN0028): an instruction, or a fake in a host test.
pub trait Conduit {
    /// Makes one call with x1 to x3 as given and returns x0 to x3.
    ///
    /// Calls that take memory away from the guest (`MEM_RELINQUISH`) or hand it to somebody else
    /// (`MEM_SHARE`) are only sound for pages that no live object uses: the caller sees to that.
    #[must_use]
    fn call(&self, function: FunctionId, args: [u64; 3]) -> [u64; 4];
}

impl<C: Conduit + ?Sized> Conduit for &C {
    fn call(&self, function: FunctionId, args: [u64; 3]) -> [u64; 4] {
        (**self).call(function, args)
    }
}
