//! What the boot protocol leaves to a guest.
#![expect(unsafe_code, reason = "an address that the loader vouches for")]

/// The device tree at `address`, which x0 held at the entry of the first CPU; empty where there is
/// none.
#[must_use]
pub fn tree(address: u64) -> &'static [u8] {
    const MAGIC: [u8; 4] = 0xd00d_feed_u32.to_be_bytes();
    let start = address as *const [u8; 8];
    if address == 0 {
        return &[];
    }
    // SAFETY: by the boot protocol x0 was the address of a tree in RAM, at least a header long,
    // which nobody changes while this guest runs.
    let [m0, m1, m2, m3, l0, l1, l2, l3] = unsafe { *start };
    if [m0, m1, m2, m3] != MAGIC {
        return &[];
    }
    let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
    // SAFETY: as above; the second word of a tree is the number of its bytes.
    unsafe { core::slice::from_raw_parts(start.cast(), length) }
}
