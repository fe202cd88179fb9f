//! Files beside this program.
#![expect(unsafe_code, reason = "EFI is an interface of raw pointers")]

use core::ptr::{self, NonNull};

use hyp_efi::place::{self, Path};
use uefi_raw::Status;
use uefi_raw::protocol::file_system::{
    FileAttribute, FileMode, FileProtocolV1, SimpleFileSystemProtocol,
};
use uefi_raw::protocol::loaded_image::LoadedImageProtocol;

use crate::firmware::{Firmware, check, nodes};

/// The folder from which this program was started.
#[derive(Debug)]
pub(crate) struct Folder<'a> {
    firmware: &'a Firmware,
    root: OpenFile,
    /// Of the program, or of a file beside it.
    path: &'a mut Path,
}

impl<'a> Folder<'a> {
    /// Opens the volume from which this program, loaded as `image` says, was started. `path` is room
    /// for paths.
    pub(crate) fn open(
        firmware: &'a Firmware,
        image: &LoadedImageProtocol,
        path: &'a mut Path,
    ) -> Result<Self, Status> {
        /// Type and sub-type of a node that names a file.
        const FILE: (u8, u8) = (4, 4);
        // SAFETY: the type is the one of the GUID.
        let volume: NonNull<SimpleFileSystemProtocol> =
            unsafe { firmware.interface(image.device_handle, &SimpleFileSystemProtocol::GUID) }?;
        let mut root = ptr::null_mut();
        // SAFETY: the firmware has just answered with this interface.
        let open = unsafe { volume.as_ref() }.open_volume;
        // SAFETY: the file is written to a variable that outlives the call.
        check(unsafe { open(volume.as_ptr(), &raw mut root) })?;
        let root = OpenFile(NonNull::new(root).ok_or(Status::NOT_FOUND)?);

        path.clear();
        // SAFETY: the path belongs to how this program was loaded, which does not change.
        for (kind, sub_type, name) in unsafe { nodes(image.file_path) } {
            if (kind, sub_type) == FILE {
                place::append(path, name).ok_or(Status::BAD_BUFFER_SIZE)?;
            }
        }
        Ok(Self { firmware, root, path })
    }

    /// The contents of the file called `name`; `None` if there is no such file.
    pub(crate) fn read(&mut self, name: &str) -> Result<Option<&'static mut [u8]>, Status> {
        place::beside(self.path, name).ok_or(Status::BAD_BUFFER_SIZE)?;
        let file = match self.root.open(self.path) {
            Err(Status::NOT_FOUND) => return Ok(None),
            file => file?,
        };
        let contents = self.firmware.allocate(file.size()?)?;
        file.fill(contents)?;
        Ok(Some(contents))
    }
}

/// A file or folder that is closed in the end.
#[derive(Debug)]
struct OpenFile(NonNull<FileProtocolV1>);

impl OpenFile {
    fn interface(&self) -> &FileProtocolV1 {
        // SAFETY: the firmware keeps it until it is closed.
        unsafe { self.0.as_ref() }
    }

    /// Opens the file at `path`, which ends with a NUL.
    fn open(&self, path: &Path) -> Result<Self, Status> {
        let mut file = ptr::null_mut();
        // SAFETY: the path ends with a NUL; the file is written to a variable that outlives the
        // call.
        check(unsafe {
            (self.interface().open)(
                self.0.as_ptr(),
                &raw mut file,
                path.as_ptr(),
                FileMode::READ,
                FileAttribute::empty(),
            )
        })?;
        NonNull::new(file).map(Self).ok_or(Status::NOT_FOUND)
    }

    /// Bytes in the file. Leaves the position at its end.
    fn size(&self) -> Result<usize, Status> {
        let mut size = 0;
        self.go_to(u64::MAX)?;
        // SAFETY: the position is written to a variable that outlives the call.
        check(unsafe { (self.interface().get_position)(self.0.as_ptr(), &raw mut size) })?;
        usize::try_from(size).map_err(|_| Status::OUT_OF_RESOURCES)
    }

    /// Goes to byte `position`; to the end with `u64::MAX` (UEFI Specification 2.10, 13.5.8
    /// "EFI_FILE_PROTOCOL.SetPosition()").
    fn go_to(&self, position: u64) -> Result<(), Status> {
        // SAFETY: no pointer but the file's own.
        check(unsafe { (self.interface().set_position)(self.0.as_ptr(), position) })
    }

    /// Reads the file from its start until `contents` is full.
    fn fill(&self, mut contents: &mut [u8]) -> Result<(), Status> {
        self.go_to(0)?;
        while !contents.is_empty() {
            let mut size = contents.len();
            // SAFETY: there is room for so many bytes.
            check(unsafe {
                (self.interface().read)(
                    self.0.as_ptr(),
                    &raw mut size,
                    contents.as_mut_ptr().cast(),
                )
            })?;
            match contents.get_mut(size..) {
                Some(rest) if size > 0 => contents = rest,
                _ => return Err(Status::END_OF_FILE),
            }
        }
        Ok(())
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        // SAFETY: nobody uses it any more.
        let _always_succeeds = unsafe { (self.interface().close)(self.0.as_ptr()) };
    }
}
