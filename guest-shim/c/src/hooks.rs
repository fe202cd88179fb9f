//! The ioremap hooks.

use core::ffi::{CStr, c_char, c_void};
use core::ptr;
use core::slice;

use guest_shim::{Guard, IoremapGuard, MmioRegion, Place, Services, asks_for_guard};

use crate::handle::Handle;
use crate::services::{CConduit, CServices};
use crate::status;

type Inner = IoremapGuard<Guard<CConduit>, &'static mut [Place]>;

/// `struct postern_hooks`.
pub type Hooks = Handle<Inner, 16>;

/// `struct postern_region`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Region {
    /// Physical address of the first register.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

/// `postern_console_fn`: stores the early console that is in use, and whether there is one.
pub type ConsoleFn = unsafe extern "C" fn(context: *mut c_void, console: *mut Region) -> bool;

/// Hooks for a guest that is enrolled already.
///
/// # Safety
///
/// Each pointer is null or points to what the header says; `places` stay the hooks' own for as
/// long as the hooks are used.
// SAFETY: no other library has names that begin so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn postern_ioremap_init(
    hooks: *mut Hooks,
    services: *const CServices,
    page_size: u64,
    places: *mut Place,
    count: usize,
) -> i32 {
    // SAFETY: the caller's promise is the same.
    unsafe {
        fill(hooks, services, places, count, |services, places| {
            let guard = services.to_mmio_guard().ok_or(status::NOT_SUPPORTED)?;
            IoremapGuard::new(guard, page_size, places).map_err(status::of_error)
        })
    }
}

/// Enrols, if the command line asks for it, and guards the early console.
///
/// # Safety
///
/// As for [`postern_ioremap_init`]; `console` is null or such a function.
// SAFETY: no other library has names that begin so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn postern_ioremap_start(
    hooks: *mut Hooks,
    services: *const CServices,
    command_line: *const c_char,
    page_size: u64,
    places: *mut Place,
    count: usize,
    console: Option<ConsoleFn>,
    context: *mut c_void,
) -> i32 {
    let look_up = || {
        let mut found = Region::default();
        // SAFETY: such a function by the caller's promise; the region is ours.
        let is_there = unsafe { console?(context, ptr::from_mut(&mut found)) };
        is_there.then_some(MmioRegion { base: found.base, size: found.size })
    };
    let words = if command_line.is_null() {
        &[]
    } else {
        // SAFETY: a string of C by the caller's promise.
        unsafe { CStr::from_ptr(command_line) }.to_bytes()
    };
    // SAFETY: the caller's promise is the same.
    unsafe {
        fill(hooks, services, places, count, |services, places| {
            if !asks_for_guard(words) {
                return Err(status::NOT_ASKED);
            }
            let guard = services.to_mmio_guard().filter(Guard::is_complete);
            let guard = guard.ok_or(status::NOT_SUPPORTED)?;
            IoremapGuard::enrol(guard, page_size, places, look_up).map_err(status::of_error)
        })
    }
}

/// # Safety
///
/// As for [`postern_ioremap_init`].
unsafe fn fill(
    hooks: *mut Hooks,
    services: *const CServices,
    places: *mut Place,
    count: usize,
    make: impl FnOnce(&Services<CConduit>, &'static mut [Place]) -> Result<Inner, i32>,
) -> i32 {
    // SAFETY: the caller's promise is the same.
    let services = unsafe { Handle::get(services) };
    let made = match services {
        Some(services) if !hooks.is_null() && (!places.is_null() || count == 0) => {
            // SAFETY: not null unless there are none, and there are `count`.
            make(services, unsafe { storage(places, count) })
        }
        _ => Err(status::ARGUMENT),
    };
    let status = made.as_ref().err().copied().unwrap_or(status::OK);
    // SAFETY: null or writable by the caller's promise.
    unsafe { Handle::fill(hooks, made.ok()) };
    status
}

/// # Safety
///
/// `places` can be written `count` times and is nobody else's from now on.
unsafe fn storage(places: *mut Place, count: usize) -> &'static mut [Place] {
    if count == 0 {
        return &mut [];
    }
    for index in 0..count {
        // SAFETY: within the caller's array.
        let place = unsafe { places.add(index) };
        // SAFETY: writable by the caller's promise; what C left there is no value yet.
        unsafe { place.write(Place::FREE) };
    }
    // SAFETY: all of them hold values now, and they are ours.
    unsafe { slice::from_raw_parts_mut(places, count) }
}

/// # Safety
///
/// `hooks` is null or points to the struct, which nobody else uses meanwhile.
unsafe fn with(
    hooks: *mut Hooks,
    work: impl FnOnce(&mut Inner) -> Result<(), guest_shim::Error>,
) -> i32 {
    // SAFETY: the caller's promise is the same.
    match unsafe { Handle::get_mut(hooks) } {
        Some(hooks) => status::of(work(hooks)),
        None => status::ARGUMENT,
    }
}

/// Guards a region for good.
///
/// # Safety
///
/// `hooks` is null or points to the struct, which nobody else uses meanwhile.
// SAFETY: no other library has names that begin so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn postern_map_early(hooks: *mut Hooks, base: u64, size: u64) -> i32 {
    // SAFETY: the caller's promise is the same.
    unsafe { with(hooks, |hooks| hooks.map_early(base, size)) }
}

/// To be called before a device is mapped.
///
/// # Safety
///
/// As for [`postern_map_early`].
// SAFETY: no other library has names that begin so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn postern_ioremap(hooks: *mut Hooks, base: u64, size: u64) -> i32 {
    // SAFETY: the caller's promise is the same.
    unsafe { with(hooks, |hooks| hooks.ioremap(base, size)) }
}

/// To be called after a mapping is gone.
///
/// # Safety
///
/// As for [`postern_map_early`].
// SAFETY: no other library has names that begin so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn postern_iounmap(hooks: *mut Hooks, base: u64, size: u64) -> i32 {
    // SAFETY: the caller's promise is the same.
    unsafe { with(hooks, |hooks| hooks.iounmap(base, size)) }
}

/// Whether anything covers the granule of `address`.
///
/// # Safety
///
/// `hooks` is null or points to the struct, which nobody changes meanwhile.
// SAFETY: no other library has names that begin so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn postern_is_tracked(hooks: *const Hooks, address: u64) -> bool {
    // SAFETY: the caller's promise is the same.
    unsafe { Handle::get(hooks) }.is_some_and(|hooks| hooks.is_tracked(address))
}

/// Whether places have run out.
///
/// # Safety
///
/// As for [`postern_is_tracked`].
// SAFETY: no other library has names that begin so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn postern_keeps_everything(hooks: *const Hooks) -> bool {
    // SAFETY: the caller's promise is the same.
    unsafe { Handle::get(hooks) }.is_some_and(|hooks| hooks.keeps_everything())
}
