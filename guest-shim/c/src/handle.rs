//! Structs of C that hold values of Rust.

use core::mem::MaybeUninit;

/// A value of Rust in a struct that C has room for: `uint64_t opaque[WORDS]`.
#[repr(C, align(8))]
#[derive(Debug)]
pub struct Handle<T, const WORDS: usize> {
    mark: u64,
    value: MaybeUninit<T>,
    // C's struct may be larger; it is never smaller.
}

/// What `mark` is while there is a value: "postern" and a byte that no text has.
const THERE: u64 = u64::from_le_bytes(*b"postern\xc1");

impl<T, const WORDS: usize> Handle<T, WORDS> {
    /// Fails to compile if C's struct is too small.
    const FITS: () = assert!(size_of::<Self>() <= WORDS * 8 && align_of::<Self>() == 8);

    /// Puts a value in, or marks that there is none.
    ///
    /// # Safety
    ///
    /// `at` is null or can be written as C's struct.
    pub(crate) unsafe fn fill(at: *mut Self, value: Option<T>) {
        const { Self::FITS };
        let mark = if value.is_some() { THERE } else { 0 };
        let value = value.map_or(MaybeUninit::uninit(), MaybeUninit::new);
        if !at.is_null() {
            // SAFETY: not null, so it can be written.
            unsafe { at.write(Self { mark, value }) };
        }
    }

    /// The value, if there is one.
    ///
    /// # Safety
    ///
    /// `at` is null or points to C's struct, which nobody changes meanwhile and which was zeroed
    /// or given to a function that fills it.
    pub(crate) unsafe fn get<'a>(at: *const Self) -> Option<&'a T> {
        // SAFETY: null or readable by the caller's promise.
        let handle = unsafe { at.as_ref() }?;
        // SAFETY: only `fill` writes the mark, and with it the value.
        (handle.mark == THERE).then(|| unsafe { handle.value.assume_init_ref() })
    }

    /// The value, if there is one, to change it.
    ///
    /// # Safety
    ///
    /// As for [`get`](Self::get), and nobody else reads it meanwhile.
    pub(crate) unsafe fn get_mut<'a>(at: *mut Self) -> Option<&'a mut T> {
        // SAFETY: null or ours alone by the caller's promise.
        let handle = unsafe { at.as_mut() }?;
        // SAFETY: only `fill` writes the mark, and with it the value.
        (handle.mark == THERE).then(|| unsafe { handle.value.assume_init_mut() })
    }
}
