//! The log in memory, of a machine whose console EL2 cannot use: where it is, and what it looks like.
//!
//! It is the last [`SIZE`] bytes of the memory that the image takes, which begins where the image runs and has
//! `image_size` bytes (`Image` header, Linux's `booting.rst`). Words are little-endian:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 16 | [`MAGIC`] |
//! | 16 | 8 | bytes of the ring: [`RING`] |
//! | 24 | 8 | bytes that have been written since the image started |
//! | [`HEADER`] | [`RING`] | the ring: byte `n` of the log is at `n % RING` |

/// Bytes of all of it: whole pages.
pub const SIZE: usize = 0x4000;
/// What it begins with, once it is in use.
pub const MAGIC: [u8; 16] = *b"POSTERN-LOG 1\r\n\0";
/// Bytes in front of the ring.
pub const HEADER: usize = 32;
/// Bytes of the log that are kept, the newest.
pub const RING: usize = SIZE - HEADER;
