//! The firmware's services, as far as they are used.
#![expect(unsafe_code, reason = "EFI is an interface of raw pointers")]

use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::slice;

use hyp_core::addr::{PAGE_SHIFT, Pa};
use hyp_core::memory::PaRange;
use hyp_core::tree::u32_value;
use uefi_raw::protocol::device_path::DevicePathProtocol;
use uefi_raw::protocol::loaded_image::LoadedImageProtocol;
use uefi_raw::protocol::rng::RngProtocol;
use uefi_raw::table::boot::{AllocateType, BootServices, MemoryDescriptor, MemoryType};
use uefi_raw::table::configuration::ConfigurationTable;
use uefi_raw::table::system::SystemTable;
use uefi_raw::{Guid, Handle, Status, guid};

/// The configuration table that is a device tree (UEFI Specification 2.10, 4.6.1.3 "Devicetree
/// Tables").
const DEVICE_TREE: Guid = guid!("b1b621d5-f19c-41a5-830b-d9152c69aae0");

/// No device tree is larger: the limit of the arm64 boot protocol.
const LARGEST_TREE: usize = 2 << 20;

/// The firmware that has started this program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Firmware {
    handle: Handle,
    system: NonNull<SystemTable>,
}

/// Ends well or with what the firmware says.
pub(crate) fn check(status: Status) -> Result<(), Status> {
    if status == Status::SUCCESS { Ok(()) } else { Err(status) }
}

impl Firmware {
    /// # Safety
    ///
    /// The arguments are those that EFI firmware has called an application with, and its boot
    /// services have not ended.
    pub(crate) unsafe fn new(handle: Handle, system: NonNull<SystemTable>) -> Self {
        Self { handle, system }
    }

    fn system(&self) -> &SystemTable {
        // SAFETY: the firmware's table is there while boot services last, and nobody writes it
        // while this program, on the only CPU, reads a field.
        unsafe { self.system.as_ref() }
    }

    fn services(&self) -> &BootServices {
        // SAFETY: as for the system table, which points to it.
        unsafe { &*self.system().boot_services }
    }

    /// The first interface of kind `guid` on `handle`, whose type `T` is.
    ///
    /// # Safety
    ///
    /// `T` is the type that belongs to `guid`.
    pub(crate) unsafe fn interface<T>(
        &self,
        handle: Handle,
        guid: &Guid,
    ) -> Result<NonNull<T>, Status> {
        let mut found = ptr::null_mut::<c_void>();
        // SAFETY: both pointers are to values that outlive the call.
        check(unsafe { (self.services().handle_protocol)(handle, guid, &raw mut found) })?;
        NonNull::new(found.cast()).ok_or(Status::NOT_FOUND)
    }

    /// How this program was loaded.
    pub(crate) fn loaded_image(&self) -> Result<&LoadedImageProtocol, Status> {
        // SAFETY: the type is the one of the GUID.
        let image = unsafe { self.interface(self.handle, &LoadedImageProtocol::GUID) }?;
        // SAFETY: the firmware keeps it while the program runs, and does not change it.
        Ok(unsafe { image.as_ref() })
    }

    /// The firmware's device tree, as long as its header says; otherwise unchecked.
    pub(crate) fn device_tree(&self) -> Option<&[u8]> {
        let system = self.system();
        let tables: NonNull<ConfigurationTable> = NonNull::new(system.configuration_table)?;
        let count = system.number_of_configuration_table_entries;
        // SAFETY: the firmware vouches for so many entries.
        let tables = unsafe { slice::from_raw_parts(tables.as_ptr(), count) };
        let table = tables.iter().find(|table| table.vendor_guid == DEVICE_TREE)?;
        let start = NonNull::new(table.vendor_table.cast::<u8>())?;
        // SAFETY: a tree is at least a header of 40 bytes, and what has this GUID is a tree.
        let head = unsafe { slice::from_raw_parts(start.as_ptr(), 8) };
        let size = u32_value(head.get(4..)?).and_then(|size| usize::try_from(size).ok());
        let size = size.filter(|size| *size <= LARGEST_TREE)?;
        // SAFETY: the tree is as long as it says; nobody changes it while this program runs.
        Some(unsafe { slice::from_raw_parts(start.as_ptr(), size) })
    }

    /// `size` bytes of memory, in pages of their own that are never given back.
    pub(crate) fn allocate(&self, size: usize) -> Result<&'static mut [u8], Status> {
        let mut address = 0;
        let count = size.div_ceil(1 << PAGE_SHIFT);
        let (any, data) = (AllocateType::ANY_PAGES, MemoryType::LOADER_DATA);
        // SAFETY: the address is written to a variable that outlives the call.
        check(unsafe { (self.services().allocate_pages)(any, data, count, &raw mut address) })?;
        let start = usize::try_from(address).ok().and_then(|start| NonNull::new(start as *mut u8));
        let start = start.ok_or(Status::OUT_OF_RESOURCES)?;
        // SAFETY: these pages are ours now, mapped flat, and nobody else has a pointer to them; what
        // is in them is some bytes or other, written by others than Rust.
        Ok(unsafe { slice::from_raw_parts_mut(start.as_ptr(), size) })
    }

    /// Fills `seed` with random bytes, if the firmware has a source.
    pub(crate) fn random(&self, seed: &mut [u8]) -> Option<()> {
        let mut found = ptr::null_mut::<c_void>();
        // SAFETY: the GUID and the pointer are to values that outlive the call.
        let status = unsafe {
            (self.services().locate_protocol)(&RngProtocol::GUID, ptr::null_mut(), &raw mut found)
        };
        let source = NonNull::<RngProtocol>::new(found.cast())?;
        check(status).ok()?;
        // SAFETY: the firmware has just answered with an interface of this kind.
        let get = unsafe { source.as_ref() }.get_rng;
        // SAFETY: the seed has so many bytes; no algorithm means the firmware's default.
        check(unsafe { get(source.as_ptr(), ptr::null(), seed.len(), seed.as_mut_ptr()) }).ok()
    }

    /// Reads the memory map into `buffer`, which may be empty to learn how large the map is.
    pub(crate) fn memory_map<'b>(&self, buffer: &'b mut [u8]) -> MemoryMap<'b> {
        let (mut size, mut key, mut stride, mut version) = (buffer.len(), 0, 0, 0);
        // SAFETY: the buffer has so many bytes and is aligned to a page or empty; the other pointers are to
        // variables that outlive the call.
        let status = unsafe {
            (self.services().get_memory_map)(
                &raw mut size,
                buffer.as_mut_ptr().cast(),
                &raw mut key,
                &raw mut stride,
                &raw mut version,
            )
        };
        MemoryMap { buffer, status, size, key, stride }
    }

    /// Ends boot services, if the memory map is still the one with `key`. Then nothing of the
    /// firmware but its memory is left, and the program's own memory is its own.
    pub(crate) fn exit_boot_services(&self, key: usize) -> Result<(), Status> {
        // SAFETY: no pointer is passed. Who calls this has nothing more to ask of the firmware.
        check(unsafe { (self.services().exit_boot_services)(self.handle, key) })
    }

    /// Puts out one ASCII character, if there is a console.
    pub(crate) fn put_out(&self, byte: u8) {
        let Some(console) = NonNull::new(self.system().stdout) else { return };
        let text = [u16::from(byte), 0];
        // SAFETY: the firmware's console is there while boot services last.
        let output = unsafe { console.as_ref() }.output_string;
        // SAFETY: the text ends with a NUL. Whether it could be shown changes nothing.
        let _ = unsafe { output(console.as_ptr(), text.as_ptr()) };
    }

    /// Waits for so many microseconds.
    pub(crate) fn wait(&self, microseconds: usize) {
        // SAFETY: no pointer is passed. A firmware that cannot wait does not.
        let _ = unsafe { (self.services().stall)(microseconds) };
    }
}

/// The options that this program, loaded as `image` says, was started with, whatever they are.
pub(crate) fn options(image: &LoadedImageProtocol) -> &[u8] {
    let (Some(start), Ok(size)) = (
        NonNull::new(image.load_options.cast_mut().cast::<u8>()),
        usize::try_from(image.load_options_size),
    ) else {
        return &[];
    };
    // SAFETY: the firmware vouches for so many bytes there, and does not change them.
    unsafe { slice::from_raw_parts(start.as_ptr(), size) }
}

/// The memory of this program's image, loaded as `loaded` says, as its header says.
pub(crate) fn memory(loaded: &LoadedImageProtocol) -> Option<PaRange> {
    /// The header of an arm64 `Image` in doublewords, where its size is and, in a low half, its magic number
    /// (Linux, `Documentation/arch/arm64/booting.rst`, section 4).
    const HEADER: usize = 8;
    const SIZE_AT: usize = 2;
    const MAGIC_AT: usize = 7;
    const MAGIC: u32 = u32::from_le_bytes(*b"ARM\x64");
    let start = NonNull::new(loaded.image_base.cast_mut().cast::<u64>())?;
    if !start.is_aligned() {
        return None;
    }
    // SAFETY: the firmware has read its own PE header from here, which is behind this one.
    let header = unsafe { slice::from_raw_parts(start.as_ptr(), HEADER) };
    let size = u64::from_le(*header.get(SIZE_AT)?);
    let magic = u64::from_le(*header.get(MAGIC_AT)?) & u64::from(u32::MAX);
    let address = u64::try_from(start.addr().get()).ok()?;
    PaRange::new(Pa(address), size)
        .filter(|_| magic == u64::from(MAGIC) && size <= loaded.image_size)
}

/// The nodes of a device path, up to its end: type, sub-type and the bytes behind the header (UEFI
/// Specification 2.10, 10.3.1 "Generic Device Path Structures").
///
/// # Safety
///
/// `path` is a device path that nobody changes while the iterator and what it yields are used.
pub(crate) unsafe fn nodes<'a>(
    path: *const DevicePathProtocol,
) -> impl Iterator<Item = (u8, u8, &'a [u8])> {
    /// Bytes of a node's header.
    const HEADER: usize = 4;
    const END: u8 = 0x7f;
    let mut at = NonNull::new(path.cast_mut().cast::<u8>());
    core::iter::from_fn(move || {
        let start = at?;
        // SAFETY: each node begins with a header, and the last one was not the end.
        let header = unsafe { slice::from_raw_parts(start.as_ptr(), HEADER) };
        let [kind, sub_type, low, high] = *header.first_chunk()?;
        let len = usize::from(u16::from_le_bytes([low, high]));
        if kind == END || len < HEADER {
            return None;
        }
        // SAFETY: a node is as long as its header says.
        let node: &'a [u8] = unsafe { slice::from_raw_parts(start.as_ptr(), len) };
        // SAFETY: behind a node that is not the end is another.
        at = Some(unsafe { start.add(len) });
        Some((kind, sub_type, node.get(HEADER..)?))
    })
}

/// What the firmware says of memory.
#[derive(Debug)]
pub(crate) struct MemoryMap<'a> {
    buffer: &'a [u8],
    /// Whether the buffer has all of it.
    status: Status,
    /// Bytes that it has.
    pub(crate) size: usize,
    /// Which map it is.
    pub(crate) key: usize,
    /// From one descriptor to the next, which may be more than a descriptor's size.
    stride: usize,
}

impl<'a> MemoryMap<'a> {
    /// Its descriptors.
    pub(crate) fn descriptors(&self) -> Result<impl Iterator<Item = &'a MemoryDescriptor>, Status> {
        check(self.status)?;
        let bytes = self.buffer.get(..self.size).ok_or(Status::BUFFER_TOO_SMALL)?;
        if self.stride < size_of::<MemoryDescriptor>() {
            return Err(Status::INCOMPATIBLE_VERSION);
        }
        Ok(bytes.chunks_exact(self.stride).map(|bytes| {
            // SAFETY: the firmware has written a descriptor here, whose fields may have any value;
            // the stride is at least its size, as was just checked, and a multiple of 8.
            unsafe { &*bytes.as_ptr().cast() }
        }))
    }
}
