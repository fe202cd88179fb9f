//! Discovery, conduits and the calls that need no memory of their own.

use guest_shim::{
    Conduit, Dialect, DiscoveryError, Error, FunctionId, MemSharingHypervisor,
    MmioGuardedHypervisor, Services,
};

use crate::handle::Handle;
use crate::status;

/// `postern_call_fn`: makes one SMCCC call with `args` as x1 to x3 and stores x0 to x3 in
/// `results`.
pub type CallFn = unsafe extern "C" fn(function: u32, args: *const u64, results: *mut u64);

/// `struct postern_services`.
pub type CServices = Handle<Services<CConduit>, 8>;

/// `POSTERN_DIALECT_PKVM`.
pub const DIALECT_PKVM: u32 = 0;
/// `POSTERN_DIALECT_LIST_2021`.
pub const DIALECT_LIST_2021: u32 = 1;

/// A conduit that a function of C is.
#[derive(Debug, Clone, Copy)]
pub struct CConduit(CallFn);

impl Conduit for CConduit {
    fn call(&self, function: FunctionId, args: [u64; 3]) -> [u64; 4] {
        let mut results = [0; 4];
        // SAFETY: who handed the function in promised that it reads three words and writes four.
        unsafe { (self.0)(function.0, args.as_ptr(), results.as_mut_ptr()) };
        results
    }
}

/// One call by HVC.
///
/// # Safety
///
/// `args` are three words, `results` room for four.
#[cfg(target_arch = "aarch64")]
// SAFETY: no other library has names that begin so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn postern_hvc(function: u32, args: *const u64, results: *mut u64) {
    // SAFETY: the caller's promise is the same.
    unsafe { call(&guest_shim::Hvc, function, args, results) };
}

/// One call by SMC.
///
/// # Safety
///
/// `args` are three words, `results` room for four.
#[cfg(target_arch = "aarch64")]
// SAFETY: no other library has names that begin so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn postern_smc(function: u32, args: *const u64, results: *mut u64) {
    // SAFETY: the caller's promise is the same.
    unsafe { call(&guest_shim::Smc, function, args, results) };
}

/// # Safety
///
/// `args` are three words, `results` room for four.
#[cfg(target_arch = "aarch64")]
unsafe fn call(conduit: &impl Conduit, function: u32, args: *const u64, results: *mut u64) {
    // SAFETY: three words by the caller's promise.
    let args = unsafe { args.cast::<[u64; 3]>().read() };
    let answer = conduit.call(FunctionId(function), args);
    // SAFETY: room for four by the caller's promise.
    unsafe { results.cast::<[u64; 4]>().write(answer) };
}

/// The whole chain of discovery.
///
/// # Safety
///
/// `services` is null or can be written; `call` is null or such a function.
// SAFETY: no other library has names that begin so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn postern_discover(
    services: *mut CServices,
    call: Option<CallFn>,
    dialect: u32,
) -> i32 {
    // SAFETY: the caller's promise is the same.
    unsafe { discover(services, call, dialect, Services::discover) }
}

/// Discovery behind a firmware layer that has found SMCCC.
///
/// # Safety
///
/// As for [`postern_discover`].
// SAFETY: no other library has names that begin so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn postern_after_firmware(
    services: *mut CServices,
    call: Option<CallFn>,
    dialect: u32,
    smccc_version: u64,
) -> i32 {
    let find = |conduit, dialect| Services::after_firmware(conduit, dialect, smccc_version);
    // SAFETY: the caller's promise is the same.
    unsafe { discover(services, call, dialect, find) }
}

/// # Safety
///
/// As for [`postern_discover`].
unsafe fn discover(
    services: *mut CServices,
    call: Option<CallFn>,
    dialect: u32,
    find: impl FnOnce(CConduit, Dialect) -> Result<Services<CConduit>, DiscoveryError>,
) -> i32 {
    let dialect = match dialect {
        DIALECT_PKVM => Some(Dialect::Pkvm),
        DIALECT_LIST_2021 => Some(Dialect::List2021),
        _ => None,
    };
    let found = match (call, dialect) {
        (Some(call), Some(dialect)) if !services.is_null() => {
            find(CConduit(call), dialect).map_err(status::of_discovery)
        }
        _ => Err(status::ARGUMENT),
    };
    let status = found.as_ref().err().copied().unwrap_or(status::OK);
    // SAFETY: null or writable by the caller's promise.
    unsafe { Handle::fill(services, found.ok()) };
    status
}

/// Whether function `number` is announced.
///
/// # Safety
///
/// `services` is null or points to the struct.
// SAFETY: no other library has names that begin so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn postern_has_function(services: *const CServices, number: u32) -> bool {
    // SAFETY: the caller's promise is the same.
    let services = unsafe { Handle::get(services) };
    let number = u16::try_from(number).ok();
    services.zip(number).is_some_and(|(services, number)| services.features().has(number))
}

/// The guard's granule.
///
/// # Safety
///
/// `services` is null or points to the struct; `granule` is null or can be written.
// SAFETY: no other library has names that begin so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn postern_guard_granule(
    services: *const CServices,
    granule: *mut u64,
) -> i32 {
    let ask = |services: &Services<CConduit>| {
        services.mmio_guard().ok_or_else(absent).and_then(|guard| guard.granule())
    };
    // SAFETY: the caller's promise is the same.
    unsafe { store_granule(services, granule, ask) }
}

/// The granule of sharing.
///
/// # Safety
///
/// As for [`postern_guard_granule`].
// SAFETY: no other library has names that begin so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn postern_share_granule(
    services: *const CServices,
    granule: *mut u64,
) -> i32 {
    let ask = |services: &Services<CConduit>| {
        services.mem_sharing().ok_or_else(absent).and_then(|memory| memory.granule())
    };
    // SAFETY: the caller's promise is the same.
    unsafe { store_granule(services, granule, ask) }
}

/// # Safety
///
/// As for [`postern_guard_granule`].
unsafe fn store_granule(
    services: *const CServices,
    granule: *mut u64,
    ask: impl FnOnce(&Services<CConduit>) -> Result<u64, Error>,
) -> i32 {
    // SAFETY: the caller's promise is the same.
    let Some(services) = (unsafe { Handle::get(services) }) else { return status::ARGUMENT };
    // SAFETY: null or writable by the caller's promise.
    let Some(place) = (unsafe { granule.as_mut() }) else { return status::ARGUMENT };
    match ask(services) {
        Ok(bytes) => {
            *place = bytes;
            status::OK
        }
        Err(error) => status::of_error(error),
    }
}

/// Shares `count` granules from `base_ipa` on; all or none.
///
/// # Safety
///
/// `services` is null or points to the struct; the host may read and write the granules.
// SAFETY: no other library has names that begin so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn postern_share(
    services: *const CServices,
    base_ipa: u64,
    count: u64,
) -> i32 {
    // SAFETY: the caller's promise is the same.
    unsafe { with_memory(services, |memory| memory.share_all(base_ipa, count)) }
}

/// Takes `count` granules from `base_ipa` on back.
///
/// # Safety
///
/// `services` is null or points to the struct.
// SAFETY: no other library has names that begin so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn postern_unshare(
    services: *const CServices,
    base_ipa: u64,
    count: u64,
) -> i32 {
    // SAFETY: the caller's promise is the same.
    unsafe { with_memory(services, |memory| memory.unshare_all(base_ipa, count)) }
}

/// Gives one granule of memory back to the host.
///
/// # Safety
///
/// `services` is null or points to the struct; nothing uses the granule.
// SAFETY: no other library has names that begin so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn postern_relinquish(services: *const CServices, base_ipa: u64) -> i32 {
    // SAFETY: the caller's promise is the same.
    unsafe { with_memory(services, |memory| memory.relinquish(base_ipa)) }
}

/// # Safety
///
/// `services` is null or points to the struct.
unsafe fn with_memory(
    services: *const CServices,
    work: impl FnOnce(guest_shim::Sharing<&CConduit>) -> Result<(), Error>,
) -> i32 {
    // SAFETY: the caller's promise is the same.
    let Some(services) = (unsafe { Handle::get(services) }) else { return status::ARGUMENT };
    status::of(services.mem_sharing().ok_or_else(absent).and_then(work))
}

/// The service is not announced.
fn absent() -> Error {
    Error::NotSupported(guest_shim::FEATURES)
}
