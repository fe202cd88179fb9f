//! The order of the start, from the firmware's call to the hypervisor's first instruction.
#![expect(unsafe_code, reason = "the program's entry, and its end")]

use core::convert::Infallible;
use core::panic::PanicInfo;
use core::ptr::NonNull;

use hyp_abi::exit::{BAD_INPUT, EXIT_PREFIX};
use hyp_core::addr::Pa;
use hyp_core::memory::PaRange;
use hyp_efi::memory::{Banks, EMPTY};
use hyp_efi::place::Path;
use hyp_efi::tree::Facts;
use hyp_efi::words::{self, Words};
use hyp_efi::{memory, tree};
use uefi_raw::table::system::SystemTable;
use uefi_raw::{Handle, Status};

use crate::arch;
use crate::failure::{Failure, Told};
use crate::files::Folder;
use crate::firmware::{self, Firmware};

/// The bundle's name, in the folder of the program.
const BUNDLE: &str = "postern.bundle";

/// The name of the file with words for Postern, which need not be there.
const WORDS: &str = "postern.args";

/// In microseconds.
const TIME_TO_READ: usize = 3_000_000;

/// Random bytes that the hypervisor gets.
const SEED: usize = 32;

/// Where EFI firmware begins. Only comes back if the hypervisor cannot be started.
// SAFETY: no other symbol has this name, and the linker script makes it the program's entry.
#[unsafe(no_mangle)]
extern "efiapi" fn efi_main(handle: Handle, system: *mut SystemTable) -> Status {
    let Some(table) = NonNull::new(system) else { return Status::INVALID_PARAMETER };
    // SAFETY: EFI firmware calls its applications here, with these two arguments.
    let firmware = unsafe { Firmware::new(handle, table) };
    let mut words = Words::new();
    let Err(Told) = start(&firmware, &mut words);
    firmware.text("\n");
    firmware.text(EXIT_PREFIX);
    firmware.text(" ");
    firmware.number(BAD_INPUT.into());
    if let Some(nonce) = words::nonce(&words) {
        firmware.text(" ");
        firmware.text(nonce);
    }
    firmware.text("\n");
    // What the firmware does next may clear the screen.
    firmware.wait(TIME_TO_READ);
    Status::LOAD_ERROR
}

fn start(firmware: &Firmware, words: &mut Words) -> Result<Infallible, Told> {
    let loaded = firmware.loaded_image().map_err(|_| Failure::Image.tell(firmware))?;
    // The words first: the line that tells of a failure ends with one of them.
    let mut path = Path::new();
    let mut folder = Folder::open(firmware, loaded, &mut path)
        .map_err(|status| Failure::NoVolume(status).tell(firmware))?;
    let mut read =
        |name| folder.read(name).map_err(|status| Failure::Read(name, status).tell(firmware));
    if let Some(text) = read(WORDS)? {
        words::add_text(words, text).ok_or_else(|| Failure::Words(WORDS).tell(firmware))?;
    }
    words::add_options(words, firmware::options(loaded));
    if arch::exception_level() != 2 {
        return Err(Failure::Level.tell(firmware));
    }
    let image = firmware::memory(loaded).ok_or_else(|| Failure::Image.tell(firmware))?;
    let old = firmware.device_tree().ok_or_else(|| Failure::NoTree.tell(firmware))?;
    let bundle = read(BUNDLE)?.ok_or_else(|| Failure::NoBundle(BUNDLE).tell(firmware))?;
    let mut seed = [0; SEED];
    let seed = firmware.random(&mut seed).map_or(&[][..], |()| &seed);

    let allocate =
        |size| firmware.allocate(size).map_err(|status| Failure::Memory(status).tell(firmware));
    let facts = Facts { bundle: range(bundle), words, seed };
    let new = allocate(tree::room(old.len(), &facts))?;
    /// The map grows by what is allocated for it, and by what the firmware does at the end.
    const MORE_MAP: usize = 4096;
    let map = allocate(firmware.memory_map(&mut []).size.saturating_add(MORE_MAP))?;
    // Closing it is a call to the firmware.
    drop(folder);
    leave(firmware, old, &facts, new, map)?;

    // SAFETY: level and image were checked, boot services have ended; all memory of the image is
    // this program's, which ends here, and so is the tree.
    unsafe { arch::enter(image, address(new)) }
}

/// Writes the tree and ends boot services.
fn leave(
    firmware: &Firmware,
    old: &[u8],
    facts: &Facts<'_>,
    new: &mut [u8],
    buffer: &mut [u8],
) -> Result<(), Told> {
    /// The firmware may change its memory map when it is told to end, but then it has ended some of
    /// its services already and does not go on so for ever.
    const ATTEMPTS: usize = 4;
    let fail = |status| Failure::Exit(status).tell(firmware);
    let mut attempt = 0;
    let mut room: Banks = [EMPTY; _];
    loop {
        let map = firmware.memory_map(buffer);
        let banks = memory::banks(&mut room, map.descriptors().map_err(fail)?);
        tree::write(old, facts, banks, new).map_err(|_| Failure::Tree.tell(firmware))?;
        match firmware.exit_boot_services(map.key) {
            Err(Status::INVALID_PARAMETER) if attempt < ATTEMPTS => {
                attempt = attempt.wrapping_add(1)
            }
            result => return result.map_err(fail),
        }
    }
}

/// The memory of `bytes`.
fn range(bytes: &[u8]) -> PaRange {
    let start = Pa(address(bytes));
    PaRange::between(start, Pa(start.0.saturating_add(bytes.len() as u64)))
}

/// Where memory is: EFI maps it flat.
fn address(bytes: &[u8]) -> u64 {
    bytes.as_ptr().addr() as u64
}

/// Nothing here can panic, which the build checks: this is never linked.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
